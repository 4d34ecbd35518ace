//! Writing custom fields straight into the output, in either serialisation.

use std::borrow::Cow;

use super::Text;
use crate::frame::HeaderKind;

/// Puts custom fields behind a header's fixed part.
pub struct ExtWriter<'o> {
    kind: HeaderKind,
    out: &'o mut Vec<u8>,
    /// Where the fields begin; binary headers have their common length there.
    start: usize,
    open: bool,
    fields: usize,
}

impl<'o> ExtWriter<'o> {
    pub(super) fn new(kind: HeaderKind, out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        if kind == HeaderKind::Binary {
            out.extend_from_slice(&[0; 4]);
        }
        Self {
            kind,
            out,
            start,
            open: false,
            fields: 0,
        }
    }

    /// Puts one field. Names must be plain: no quotes, no control characters.
    pub fn put(&mut self, name: &str, value: impl ExtValue) {
        match self.kind {
            HeaderKind::Json => self.put_json(name, &value),
            HeaderKind::Binary => self.put_binary(name, &value),
        }
        self.fields += 1;
    }

    /// Puts a field that has a value; an absent one is left out.
    pub fn put_some(&mut self, name: &str, value: Option<impl ExtValue>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Makes the header have custom fields even if none is put. Java's clients look into those of
    /// a send response without asking whether there are any.
    pub fn open(&mut self) {
        if !self.open && self.kind == HeaderKind::Json {
            self.out.extend_from_slice(b",\"extFields\":{");
        }
        self.open = true;
    }

    fn put_json(&mut self, name: &str, value: &impl ExtValue) {
        self.open();
        if self.fields > 0 {
            self.out.push(b',');
        }
        put_json_string(self.out, name);
        self.out.extend_from_slice(b":\"");
        value.write_json(self.out);
        self.out.push(b'"');
    }

    fn put_binary(&mut self, name: &str, value: &impl ExtValue) {
        // Names are our own constants or came out of a header; a longer one is cut.
        let name = &name.as_bytes()[..name.len().min(i16::MAX as usize)];
        self.out
            .extend_from_slice(&(name.len() as u16).to_be_bytes());
        self.out.extend_from_slice(name);
        let len_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        value.write(self.out);
        patch_len(self.out, len_at);
    }

    pub(super) fn close(self) {
        match self.kind {
            HeaderKind::Json if self.open => self.out.push(b'}'),
            HeaderKind::Json => {}
            HeaderKind::Binary => patch_len(self.out, self.start),
        }
    }
}

/// Fills in the four-byte length at `at` with the number of bytes behind it.
fn patch_len(out: &mut [u8], at: usize) {
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

/// What can be the value of a custom field.
pub trait ExtValue {
    /// Appends the value as UTF-8.
    fn write(&self, out: &mut Vec<u8>);

    /// Appends the value as the inside of a JSON string. Values that can contain quotes,
    /// backslashes or control characters must escape them.
    fn write_json(&self, out: &mut Vec<u8>) {
        self.write(out);
    }
}

impl ExtValue for &str {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        put_json_escaped(out, self);
    }
}

impl ExtValue for &Cow<'_, str> {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_ref().write(out);
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        self.as_ref().write_json(out);
    }
}

impl ExtValue for Text<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        self.append_to(out);
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        put_json_escaped(out, &self.to_cow());
    }
}

impl ExtValue for i32 {
    fn write(&self, out: &mut Vec<u8>) {
        put_decimal(out, i64::from(*self));
    }
}

impl ExtValue for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        put_decimal(out, *self);
    }
}

impl ExtValue for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        put_digits(out, *self);
    }
}

impl ExtValue for u32 {
    fn write(&self, out: &mut Vec<u8>) {
        put_digits(out, u64::from(*self));
    }
}

impl ExtValue for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

/// Appends a number in decimal.
pub(crate) fn put_decimal(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_digits(out, value.unsigned_abs());
}

/// Appends a number without sign in decimal.
pub(crate) fn put_digits(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    // Two digits in a step: divisions are what it costs.
    while value >= 10 {
        let pair = DIGIT_PAIRS[(value % 100) as usize];
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair);
    }
    // An even number of digits leaves none to be written here, but for a zero alone.
    if value > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// `00` to `99`.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
};

/// Appends a JSON string with its quotes.
pub(crate) fn put_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_json_escaped(out, text);
    out.push(b'"');
}

/// Appends the inside of a JSON string, with the escapes fastjson chooses: short ones where there
/// are, `\uXXXX` for other control characters (also U+007F to U+009F) and for the two Unicode line
/// separators.
pub(crate) fn put_json_escaped(out: &mut Vec<u8>, text: &str) {
    // Ids, names and numbers: nearly all there is.
    if is_all_plain(text.as_bytes()) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut rest = text;
    while let Some(at) = rest.find(needs_escape) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = tail.chars();
        if let Some(char) = chars.next() {
            put_escape(out, char);
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether no byte needs an escape. It looks at all of them, which vector instructions do at once.
fn is_all_plain(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |plain, byte| plain & is_plain(*byte))
}

/// A printable ASCII character that needs no escape.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7F).contains(&byte) && byte != b'"' && byte != b'\\'
}

fn needs_escape(char: char) -> bool {
    matches!(char, '\0'..='\u{1f}' | '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

fn put_escape(out: &mut Vec<u8>, char: char) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let short = match char {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        _ => {
            out.extend_from_slice(b"\\u");
            let code = char as usize;
            out.extend([12, 8, 4, 0].map(|shift| DIGITS[code >> shift & 15]));
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_fastjson_does() {
        let mut out = Vec::new();
        put_json_string(
            &mut out,
            "a\u{1}\u{2}\"\\\n\t\u{b}\u{7f}\u{80}\u{2028}/\u{e4}\u{1F600}",
        );
        let expected =
            "\"a\\u0001\\u0002\\\"\\\\\\n\\t\\u000B\\u007F\\u0080\\u2028/\u{e4}\u{1F600}\"";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for value in [0, 7, -1, 9, 10, 99, 100, 101, 999, 1000, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_decimal(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}

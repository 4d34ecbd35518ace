//! Text in a header: borrowed as it stands, escapes resolved when somebody asks for it.

use std::borrow::Cow;
use std::fmt;

/// A piece of text of a header. In a JSON header it may still contain escapes.
///
/// Bytes that are not UTF-8 (only a binary header can hold them) read as U+FFFD, as in Java; so do
/// malformed escapes.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// Text without escapes.
    #[inline(always)]
    pub fn plain(raw: &'a [u8]) -> Self {
        Self {
            raw,
            escaped: false,
        }
    }

    #[inline(always)]
    pub(super) fn new(raw: &'a [u8], escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The text: borrowed unless it has escapes or is not UTF-8.
    pub fn to_cow(self) -> Cow<'a, str> {
        if !self.escaped {
            return match std::str::from_utf8(self.raw) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => String::from_utf8_lossy(self.raw),
            };
        }
        let mut out = Vec::with_capacity(self.raw.len());
        self.append_to(&mut out);
        Cow::Owned(String::from_utf8(out).unwrap_or_default())
    }

    /// Appends the text to `out` as UTF-8. With a reused `out` nothing is allocated.
    pub fn append_to(self, out: &mut Vec<u8>) {
        if !self.escaped {
            return append_lossy(out, self.raw);
        }
        // Only JSON has escapes, and it was checked to be UTF-8.
        out.reserve(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = find_backslash(rest) {
            out.extend_from_slice(&rest[..at]);
            rest = match rest[at..].first_chunk::<6>() {
                Some(b"\\u0001") => {
                    out.push(1);
                    &rest[at + 6..]
                }
                Some(b"\\u0002") => {
                    out.push(2);
                    &rest[at + 6..]
                }
                _ => append_escape(out, &rest[at..]),
            };
        }
        out.extend_from_slice(rest);
    }

    /// Most bytes that [`append_to`](Self::append_to) can append: three for each byte that is not
    /// UTF-8, at most one for each byte of everything else.
    pub fn len_max(self) -> usize {
        self.raw.len().saturating_mul(3)
    }

    /// Whether there is no text.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Java's `Integer.parseInt`: an optional sign and decimal digits, nothing else.
    #[inline]
    pub fn parse_i32(self) -> Option<i32> {
        match self.raw {
            [digit @ b'0'..=b'9'] => Some(i32::from(digit - b'0')),
            _ => i32::try_from(self.parse_i64()?).ok(),
        }
    }

    /// Java's `Long.parseLong`.
    #[inline]
    pub fn parse_i64(self) -> Option<i64> {
        if self.escaped {
            return parse_decimal(self.to_cow().as_bytes());
        }
        parse_decimal(self.raw)
    }

    /// Java's `Boolean.parseBoolean`: anything but "true", in any case, is false.
    #[inline]
    pub fn parse_bool(self) -> bool {
        if self.escaped {
            return self.to_cow().eq_ignore_ascii_case("true");
        }
        self.raw.first_chunk::<4>().is_some_and(|word| {
            self.raw.len() == 4
                && u32::from_be_bytes(*word) | 0x2020_2020 == u32::from_be_bytes(*b"true")
        })
    }

    #[inline]
    pub(super) fn is(self, other: &[u8]) -> bool {
        if self.escaped {
            return self.to_cow().as_bytes() == other;
        }
        self.raw == other
    }

    /// The bytes as they stand in the header, escapes included.
    #[inline(always)]
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Whether [`raw`](Self::raw) contains escapes.
    pub fn is_escaped(self) -> bool {
        self.escaped
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.is(other.as_bytes())
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.is(other.as_bytes())
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_cow() == other.to_cow()
    }
}

impl Eq for Text<'_> {}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::plain(&[])
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::plain(text.as_bytes())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_cow(), f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_cow())
    }
}

/// Decimal digits with an optional sign, in the range of `i64`.
#[inline]
pub(super) fn parse_decimal(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    if digits.len() > 18 {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    // 18 digits cannot overflow.
    let mut value = 0i64;
    let mut rest = digits;
    while let Some((eight, tail)) = rest.split_first_chunk::<8>() {
        value = value
            .wrapping_mul(100_000_000)
            .wrapping_add(eight_digits(*eight)?);
        rest = tail;
    }
    for digit in rest {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    Some(if negative { -value } else { value })
}

/// The number that eight digits make: pairs, then fours, then all eight are combined, each in one
/// multiplication.
#[inline]
fn eight_digits(digits: [u8; 8]) -> Option<i64> {
    let word = u64::from_le_bytes(digits);
    let low = word.wrapping_sub(0x3030_3030_3030_3030);
    let above_nine = word.wrapping_add(0x4646_4646_4646_4646);
    if (low | above_nine) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = low.wrapping_mul(10).wrapping_add(low >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    let eight = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF;
    Some(eight.cast_signed())
}

/// Position of the first backslash; eight bytes are looked at together.
#[inline(always)]
fn find_backslash(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let (words, tail) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ LOW.wrapping_mul(u64::from(b'\\'));
        // The lowest byte that is zero borrows first; what it borrows from lies above it.
        let hits = differs.wrapping_sub(LOW) & !differs & (LOW << 7);
        if hits != 0 {
            return Some(8 * number + (hits.trailing_zeros() / 8) as usize);
        }
    }
    let at = tail.iter().position(|byte| *byte == b'\\')?;
    Some(8 * words.len() + at)
}

fn append_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_ascii() {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            append_char(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

fn append_char(out: &mut Vec<u8>, char: char) {
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends what the escape at the front of `bytes` stands for; returns what follows it.
fn append_escape<'a>(out: &mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
    let Some((kind, rest)) = bytes[1..].split_first() else {
        append_char(out, char::REPLACEMENT_CHARACTER);
        return &[];
    };
    let byte = match kind {
        b'u' => return append_unicode(out, rest),
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'"' | b'\\' | b'/' | b'\'' => *kind,
        _ => {
            append_char(out, char::REPLACEMENT_CHARACTER);
            return rest;
        }
    };
    out.push(byte);
    rest
}

/// The digits of a `\u` escape and, of a surrogate pair, the second escape.
fn append_unicode<'a>(out: &mut Vec<u8>, digits: &'a [u8]) -> &'a [u8] {
    let Some((unit, rest)) = unit(digits) else {
        append_char(out, char::REPLACEMENT_CHARACTER);
        return digits;
    };
    if unit < 0x80 {
        out.push(unit as u8);
        return rest;
    }
    let low = rest.strip_prefix(b"\\u").and_then(self::unit);
    if let (0xD800..0xDC00, Some((low @ 0xDC00..0xE000, rest))) = (unit, low) {
        let code = 0x1_0000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00);
        append_char(
            out,
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
        );
        return rest;
    }
    append_char(
        out,
        char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER),
    );
    rest
}

fn unit(digits: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = digits.split_first_chunk::<4>()?;
    let mut unit = 0u32;
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    Some((unit as u16, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(raw: &str) -> String {
        Text::new(raw.as_bytes(), true).to_cow().into_owned()
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(
            escaped(r#"a\u0001b\u0002\"\\\/\n\t"#),
            "a\u{1}b\u{2}\"\\/\n\t"
        );
        assert_eq!(
            escaped(r"\ud83d\ude00 \u00e4 \u4e2d"),
            "\u{1F600} \u{e4} \u{4e2d}"
        );
    }

    #[test]
    fn malformed_escapes_read_as_replacement_characters() {
        assert_eq!(escaped(r"\ud83dx"), "\u{FFFD}x");
        assert_eq!(escaped(r"\ud83d\u0041"), "\u{FFFD}A");
        assert_eq!(escaped(r"\u12"), "\u{FFFD}12");
        assert_eq!(escaped(r"\q"), "\u{FFFD}");
        assert_eq!(escaped("\\"), "\u{FFFD}");
    }

    #[test]
    fn numbers_follow_javas_rules() {
        let i32 = |text: &'static str| Text::from(text).parse_i32();
        let i64 = |text: &'static str| Text::from(text).parse_i64();
        assert_eq!(
            (i32("+7"), i32("-0"), i32("2147483647")),
            (Some(7), Some(0), Some(i32::MAX))
        );
        assert_eq!(
            (i32("2147483648"), i32(""), i32(" 1"), i32("1.0"), i32("-")),
            (None, None, None, None, None)
        );
        assert_eq!(
            (i64("-9223372036854775808"), i64("9223372036854775808")),
            (Some(i64::MIN), None)
        );
        for text in [
            "1795160776462",
            "12345678",
            "-99999999",
            "1234567890123456",
            "000000000000000001",
        ] {
            assert_eq!(i64(text), text.parse().ok(), "{text}");
        }
        for text in [
            "1234567x",
            "x2345678",
            "1234:678",
            "12345/78",
            "1234567\u{e9}",
            "--345678",
        ] {
            assert_eq!(i64(text), None, "{text}");
        }
        assert!(Text::from("TrUe").parse_bool() && !Text::from("1").parse_bool());
    }

    #[test]
    fn bytes_that_are_not_utf8_read_as_java_reads_them() {
        assert_eq!(Text::plain(b"a\xFFb").to_cow(), "a\u{FFFD}b");
        let mut out = Vec::new();
        Text::plain(b"a\xFFb").append_to(&mut out);
        assert_eq!(out, "a\u{FFFD}b".as_bytes());
    }
}

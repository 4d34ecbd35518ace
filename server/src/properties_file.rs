//! Java properties files, as `broker.conf` is one: `key=value`, `key: value` or `key value` lines,
//! `#` and `!` comments, continued lines, escapes (`java.util.Properties.load`).

use std::ops::Range;

/// One entry of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Line on which it begins, counted from 1.
    pub line: usize,
    /// Its key, escapes resolved.
    pub key: String,
    /// Its value, escapes resolved.
    pub value: String,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits.
    #[error("line {line}: \\u must be followed by four hexadecimal digits")]
    Escape {
        /// Where.
        line: usize,
    },
}

/// Reads a file's text. Keys may repeat; the last one counts, as in Java.
pub fn parse(text: &str) -> Result<Vec<Property>, PropertiesError> {
    let mut lines = LogicalLines::new(text);
    let mut properties = Vec::new();
    while let Some(logical) = lines.next_entry() {
        let (key, value) = logical.parts();
        properties.push(Property {
            line: logical.line,
            key: unescape(key, logical.line)?,
            value: unescape(value, logical.line)?.trim_end().to_owned(),
        });
    }
    Ok(properties)
}

/// Where in a file's text its entries stand, for whoever changes one of them in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The entries, in order; those whose key has a wrong escape are left out.
    pub entries: Vec<Entry>,
    /// Whether the last entry ends in a backslash: the next line would belong to it.
    pub is_open: bool,
}

/// Where one entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key, escapes resolved.
    pub key: String,
    /// Bytes of the text that are its value, over all of its lines, the last line's end left out.
    pub value: Range<usize>,
    /// Whether anything stands between key and value.
    pub has_separator: bool,
}

impl Layout {
    /// The layout of a text.
    pub fn of(text: &str) -> Self {
        let mut lines = LogicalLines::new(text);
        let mut entries = Vec::new();
        let mut is_open = false;
        while let Some(logical) = lines.next_entry() {
            is_open = logical.is_open;
            let (key, value) = logical.parts();
            let value_at = logical.text.len() - value.len();
            let Ok(name) = unescape(key, logical.line) else {
                continue;
            };
            let after = logical.places.last().map(|last| last + 1);
            let start = logical.places.get(value_at).copied().or(after);
            entries.push(Entry {
                key: name,
                value: start.unwrap_or(logical.end)..logical.end,
                has_separator: value_at > key.len(),
            });
        }
        Self { entries, is_open }
    }
}

/// A value as it has to be written to be read as itself.
pub fn escape_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut is_first = true;
    for char in value.chars() {
        let is_taken_for_more = is_first && (char.is_whitespace() || char == '=' || char == ':');
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            _ if is_taken_for_more => out.extend(['\\', char]),
            _ => out.push(char),
        }
        is_first = false;
    }
    out
}

/// The entries of a text: lines put together, comments and empty lines left out.
struct LogicalLines<'a> {
    rest: &'a str,
    /// Where `rest` begins in the whole text.
    at: usize,
    line: usize,
}

/// One entry with all its lines put together.
struct Logical {
    line: usize,
    text: String,
    /// For each byte of `text` its place in the whole text.
    places: Vec<usize>,
    /// Where its last line ends, the line's end left out.
    end: usize,
    /// It goes on, but the text does not.
    is_open: bool,
}

impl<'a> LogicalLines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            at: 0,
            line: 0,
        }
    }

    /// The next line without its end, and where it begins.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(length);
        let at = self.at;
        (self.rest, self.at, self.line) = (rest, at + length, self.line + 1);
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some((at, line.strip_suffix('\r').unwrap_or(line)))
    }

    fn next_entry(&mut self) -> Option<Logical> {
        loop {
            let (at, raw) = self.next_line()?;
            let first = raw.trim_start();
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = Logical {
                line: self.line,
                text: String::new(),
                places: Vec::new(),
                end: 0,
                is_open: false,
            };
            logical.push(at, raw);
            while is_continued(&logical.text) {
                logical.text.pop();
                logical.places.pop();
                match self.next_line() {
                    Some((at, next)) => logical.push(at, next),
                    None => {
                        logical.is_open = true;
                        break;
                    }
                }
            }
            return Some(logical);
        }
    }
}

impl Logical {
    fn push(&mut self, at: usize, raw: &str) {
        let line = raw.trim_start();
        let from = at + raw.len() - line.len();
        self.text.push_str(line);
        self.places.extend(from..from + line.len());
        self.end = at + raw.len();
    }

    /// Key and value as written.
    fn parts(&self) -> (&str, &str) {
        let (key, rest) = self.text.split_at(key_end(&self.text));
        let rest = rest.trim_start();
        let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
        (key, rest.trim_start())
    }
}

/// Whether the line ends in an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Position of the first separator that no backslash precedes.
fn key_end(logical: &str) -> usize {
    let mut is_escaped = false;
    for (at, char) in logical.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if char == '\\' {
            is_escaped = true;
        } else if char == '=' || char == ':' || char.is_whitespace() {
            return at;
        }
    }
    logical.len()
}

fn unescape(text: &str, line: usize) -> Result<String, PropertiesError> {
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let escaped = if char == '\\' { chars.next() } else { None };
        if escaped == Some('u') {
            let digits: String = chars.by_ref().take(4).collect();
            let unit = u16::from_str_radix(&digits, 16);
            let is_whole = digits.len() == 4;
            units.push(
                unit.ok()
                    .filter(|_| is_whole)
                    .ok_or(PropertiesError::Escape { line })?,
            );
            continue;
        }
        flush_units(&mut units, &mut out);
        match (char, escaped) {
            ('\\', None) => {}
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('f')) => out.push('\u{c}'),
            ('\\', Some(other)) => out.push(other),
            (plain, _) => out.push(plain),
        }
    }
    flush_units(&mut units, &mut out);
    Ok(out)
}

/// UTF-16 units of consecutive `\u` escapes: two of them may be one character.
fn flush_units(units: &mut Vec<u16>, out: &mut String) {
    out.push_str(&String::from_utf16_lossy(units));
    units.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let properties = parse(text).unwrap().into_iter();
        properties.map(|p| (p.key, p.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn all_separators_and_comments_are_known() {
        assert_eq!(
            pairs("# c\n! d\n\n a = 1\nb:2\nc 3\nd\ne==x\nf = a b \n"),
            [
                pair("a", "1"),
                pair("b", "2"),
                pair("c", "3"),
                pair("d", ""),
                pair("e", "=x"),
                pair("f", "a b"),
            ]
        );
    }

    #[test]
    fn lines_continue_after_a_backslash() {
        assert_eq!(
            pairs("namesrvAddr=a:9876;\\\n    b:9876\nx=1\\\\\ny=2\nz=3\\"),
            [
                pair("namesrvAddr", "a:9876;b:9876"),
                pair("x", "1\\"),
                pair("y", "2"),
                pair("z", "3"),
            ]
        );
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(
            pairs("a\\=b=c\\td\\u00e9\\uD83D\\uDE00\\:"),
            [pair("a=b", "c\tdé\u{1F600}:")]
        );
        assert_eq!(
            parse("ok=1\nbad=\\u12"),
            Err(PropertiesError::Escape { line: 2 })
        );
        assert_eq!(
            parse("bad=\\uzzzz"),
            Err(PropertiesError::Escape { line: 1 })
        );
    }

    #[test]
    fn lines_are_numbered_by_their_beginning() {
        let lines: Vec<usize> = parse("a=1\\\n2\nb=3")
            .unwrap()
            .iter()
            .map(|p| p.line)
            .collect();
        assert_eq!(lines, [1, 3]);
    }
}

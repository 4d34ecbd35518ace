//! Java properties files, as `broker.conf` is one: `key=value`, `key: value` or `key value` lines,
//! `#` and `!` comments, continued lines, escapes (`java.util.Properties.load`).

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
    let mut properties = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((first, line)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((next, _)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        properties.push(property(&logical, line)?);
    }
    Ok(properties)
}

/// Whether the line ends in an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn property(logical: &str, line: usize) -> Result<Property, PropertiesError> {
    let (key, rest) = logical.split_at(key_end(logical));
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Ok(Property {
        line,
        key: unescape(key, line)?,
        value: unescape(rest.trim_start(), line)?.trim_end().to_owned(),
    })
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

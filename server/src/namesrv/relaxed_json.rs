//! fastjson writes maps with numeric keys as `{0:"x"}`, which is not JSON. This makes it JSON.

use std::borrow::Cow;

/// Quotes bare numeric object keys. Text that is JSON already comes back unchanged; nothing is
/// checked beyond what is needed to tell strings from the rest.
pub fn quote_numeric_keys(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'{' | b',' => {
                let start = skip_spaces(bytes, at + 1);
                let end = number_end(bytes, start);
                if end > start && bytes.get(skip_spaces(bytes, end)) == Some(&b':') {
                    out.push_str(&text[copied..start]);
                    out.push('"');
                    out.push_str(&text[start..end]);
                    out.push('"');
                    copied = end;
                    at = end;
                } else {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Position after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn skip_spaces(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_keys_are_quoted_and_strings_left_alone() {
        assert_eq!(
            quote_numeric_keys(r#"{"a":{0:"x",-1 : "{2:3"},"b":[1,2],"c":{"\"{3:":4}}"#),
            r#"{"a":{"0":"x","-1" : "{2:3"},"b":[1,2],"c":{"\"{3:":4}}"#
        );
    }

    #[test]
    fn json_is_not_copied() {
        let text = r#"{"brokerAddrs":{"0":"127.0.0.1:10911"},"n":[1,-2]}"#;
        assert!(matches!(quote_numeric_keys(text), Cow::Borrowed(_)));
    }

    #[test]
    fn cut_off_text_ends() {
        for text in ["", "{", "{1", "\"\\", "{-:1", "{\"a", ","] {
            quote_numeric_keys(text);
        }
        assert_eq!(quote_numeric_keys("{1:é"), "{\"1\":é");
    }
}

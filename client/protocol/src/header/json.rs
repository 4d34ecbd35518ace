//! The JSON serialisation of a header, as fastjson writes it and more tolerantly than it reads.
//!
//! One pass over the bytes. Members come in any order; values of custom fields may be strings,
//! numbers or booleans; members that nobody knows are skipped, nested or not.

use super::ext::{Entry, Span};
use super::text::parse_decimal;
use super::writer::{ExtWriter, put_decimal, put_json_string};
use super::{Head, Header, HeaderError, Language};
use crate::frame::HeaderKind;
use crate::limits::{HEADER_BYTES_MAX, JSON_DEPTH_MAX};

/// Decodes a JSON header.
pub(super) fn decode(bytes: &[u8]) -> Result<Header<'_>, HeaderError> {
    if bytes.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::Length("the header"));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(HeaderError::NotUtf8 {
            at: error.valid_up_to(),
        });
    }
    let mut header = Header::empty(HeaderKind::Json, bytes);
    let mut scanner = Scanner { bytes, at: 0 };
    scanner.expect(b'{', "an opening brace")?;
    if !scanner.closes(b'}')? {
        loop {
            scanner.member(&mut header)?;
            if !scanner.another(b'}')? {
                break;
            }
        }
    }
    scanner.end()?;
    Ok(header)
}

/// The field at byte `at` inside the custom fields of a header that decoded, and where the next
/// one starts (0 after the last).
pub(super) fn entry_at(header: &[u8], mut at: usize) -> Option<(Entry, usize)> {
    loop {
        let mut scanner = Scanner { bytes: header, at };
        let entry = scanner.field().ok()?;
        let more = scanner.another(b'}').ok()?;
        let next_at = if more { scanner.at } else { 0 };
        match entry {
            Some(entry) => return Some((entry, next_at)),
            None if more => at = next_at,
            None => return None,
        }
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A value: where it lies, and what its first byte says it is.
#[derive(Clone, Copy)]
struct Value {
    span: Span,
    kind: ValueKind,
}

#[derive(Clone, Copy, PartialEq)]
enum ValueKind {
    Text,
    Literal,
    Nested,
}

impl<'a> Scanner<'a> {
    /// One member of the header: `"name":value`.
    fn member(&mut self, header: &mut Header<'a>) -> Result<(), HeaderError> {
        let name = self.string()?.of(self.bytes);
        self.expect(b':', "a colon")?;
        if name.is_escaped() {
            return self.member_value(name.to_cow().as_bytes(), header);
        }
        self.member_value(name.raw(), header)
    }

    #[inline]
    fn member_value(&mut self, name: &[u8], header: &mut Header<'a>) -> Result<(), HeaderError> {
        if name == b"extFields" && self.peek()? == b'{' {
            return self.fields(header);
        }
        let value = self.value()?;
        match name {
            b"code" => header.code = self.number(value, "code")?,
            b"version" => header.version = self.number(value, "version")?,
            b"opaque" => header.opaque = self.number(value, "opaque")?,
            b"flag" => header.flag = self.number(value, "flag")?,
            b"language" => header.language = self.language(value),
            b"remark" => header.remark = self.text(value),
            b"extFields" if self.is_null(value) => header.ext.clear(),
            b"extFields" => {
                return Err(HeaderError::Syntax {
                    expected: "an object of fields",
                    at: self.at,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// The object of custom fields.
    fn fields(&mut self, header: &mut Header<'a>) -> Result<(), HeaderError> {
        self.expect(b'{', "an opening brace")?;
        header.ext.begin();
        if self.closes(b'}')? {
            return Ok(());
        }
        loop {
            let at = self.at;
            if let Some(entry) = self.field()? {
                header.ext.push(entry, at);
            }
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }

    /// One custom field; nothing where its value is null.
    #[inline]
    fn field(&mut self) -> Result<Option<Entry>, HeaderError> {
        let name = self.string()?;
        self.expect(b':', "a colon")?;
        let value = self.value()?;
        if self.is_null(value) {
            return Ok(None);
        }
        Ok(Some(Entry::new(name, value.span)))
    }

    #[inline]
    fn value(&mut self) -> Result<Value, HeaderError> {
        match self.peek()? {
            b'"' => Ok(Value {
                span: self.string()?,
                kind: ValueKind::Text,
            }),
            b'{' | b'[' => self.nested(),
            _ => self.literal(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<Value, HeaderError> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let len = rest
            .iter()
            .position(|byte| !is_part(byte))
            .unwrap_or(rest.len());
        let literal = &rest[..len];
        let number = matches!(literal.first(), Some(b'0'..=b'9' | b'-'));
        if !number && !matches!(literal, b"true" | b"false" | b"null") {
            return Err(HeaderError::Syntax {
                expected: "a value",
                at: start,
            });
        }
        self.at += len;
        Ok(Value {
            span: Span::new(start, self.at, false),
            kind: ValueKind::Literal,
        })
    }

    /// Steps over an object or array without looking at what it means. Brackets are matched by
    /// number, not by shape: whoever reads the text must parse it anyway.
    fn nested(&mut self) -> Result<Value, HeaderError> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    self.string()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if depth > JSON_DEPTH_MAX {
                return Err(HeaderError::TooDeep { at: self.at });
            }
            if depth == 0 {
                return Ok(Value {
                    span: Span::new(start, self.at, false),
                    kind: ValueKind::Nested,
                });
            }
        }
    }

    /// A string, quotes excluded; the scanner ends behind its closing quote.
    #[inline]
    fn string(&mut self) -> Result<Span, HeaderError> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let stop = find_stop(self.bytes, self.at);
            match self.bytes.get(stop) {
                Some(b'"') => {
                    self.at = stop + 1;
                    return Ok(Span::new(start, stop, escaped));
                }
                Some(_) => {
                    escaped = true;
                    self.at = stop + 2;
                }
                None => return Err(HeaderError::Truncated("a string")),
            }
        }
    }

    fn number(&self, value: Value, field: &'static str) -> Result<i32, HeaderError> {
        if self.is_null(value) {
            return Ok(0);
        }
        let text = value.span.of(self.bytes);
        let number = if text.is_escaped() {
            None
        } else {
            parse_decimal(text.raw())
        };
        number
            .and_then(|number| i32::try_from(number).ok())
            .ok_or(HeaderError::Number(field))
    }

    fn language(&self, value: Value) -> Language {
        let text = value.span.of(self.bytes);
        match value.kind {
            ValueKind::Text => Language::from_name(text.raw()),
            _ => text
                .parse_i64()
                .map_or(Language::Unknown, Language::from_code),
        }
    }

    fn text(&self, value: Value) -> Option<super::Text<'a>> {
        (!self.is_null(value)).then(|| value.span.of(self.bytes))
    }

    #[inline]
    fn is_null(&self, value: Value) -> bool {
        value.kind == ValueKind::Literal && value.span.of(self.bytes).raw() == b"null"
    }

    /// Whether the object or array ends here; steps over `close` if so.
    fn closes(&mut self, close: u8) -> Result<bool, HeaderError> {
        let closes = self.peek()? == close;
        self.at += usize::from(closes);
        Ok(closes)
    }

    /// Steps over a comma (another member follows) or over `close`.
    #[inline]
    fn another(&mut self, close: u8) -> Result<bool, HeaderError> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Ok(true),
            byte if byte == close => Ok(false),
            _ => Err(HeaderError::Syntax {
                expected: "a comma or the end",
                at: self.at - 1,
            }),
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8, expected: &'static str) -> Result<(), HeaderError> {
        if self.peek()? != wanted {
            return Err(HeaderError::Syntax {
                expected,
                at: self.at,
            });
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Result<u8, HeaderError> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(HeaderError::Truncated("the object")),
            }
        }
    }

    fn end(&mut self) -> Result<(), HeaderError> {
        match self.peek() {
            Ok(_) => Err(HeaderError::Syntax {
                expected: "the end of the header",
                at: self.at,
            }),
            Err(_) => Ok(()),
        }
    }
}

/// Position of the first quote or backslash at or after `at`, or the end.
#[inline]
fn find_stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let hits = bytes_equal(word, b'"') | bytes_equal(word, b'\\');
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    at + stop.unwrap_or(rest.len())
}

/// The top bit of the lowest byte of `word` that equals `byte` is set in the result; bits above it
/// may be set by borrow.
#[inline]
fn bytes_equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let differs = word ^ (LOW * u64::from(byte));
    differs.wrapping_sub(LOW) & !differs & HIGH
}

/// Appends a JSON header with its members in the order fastjson writes them.
pub(super) fn encode(head: &Head<'_>, out: &mut Vec<u8>, ext: impl FnOnce(&mut ExtWriter<'_>)) {
    out.extend_from_slice(b"{\"code\":");
    put_decimal(out, i64::from(head.code));
    let mut writer = ExtWriter::new(HeaderKind::Json, out);
    ext(&mut writer);
    writer.close();
    out.extend_from_slice(b",\"flag\":");
    put_decimal(out, i64::from(head.flag));
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(head.language.name().as_bytes());
    out.extend_from_slice(b"\",\"opaque\":");
    put_decimal(out, i64::from(head.opaque));
    if let Some(remark) = head.remark {
        out.extend_from_slice(b",\"remark\":");
        put_json_string(out, remark);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_decimal(out, i64::from(head.version));
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Text;

    fn header(json: &str) -> Result<Header<'_>, HeaderError> {
        decode(json.as_bytes())
    }

    #[test]
    fn members_come_in_any_order_with_any_spacing() {
        let header = header(
            " { \"flag\" : 1 , \"extFields\" : { \"a\" : \"x\" , \"b\" : 5 } ,\"version\":317,\n\
             \"language\":\"GO\",\"opaque\":-7,\"code\":310, \"remark\":\"\"}\n",
        )
        .unwrap();
        assert_eq!(
            (header.code, header.flag, header.version, header.opaque),
            (310, 1, 317, -7)
        );
        assert_eq!(header.language, Language::Go);
        assert_eq!(header.remark, Some(Text::from("")));
        assert_eq!(header.ext.get("a"), Some(Text::from("x")));
        assert_eq!(header.ext.get_i32("b"), Some(5));
        assert!(header.is_response() && !header.is_oneway());
    }

    #[test]
    fn absent_members_have_javas_defaults() {
        let header = header("{}").unwrap();
        assert_eq!(
            (header.code, header.flag, header.version, header.opaque),
            (0, 0, 0, 0)
        );
        assert_eq!(header.language, Language::Java);
        assert!(header.remark.is_none() && !header.ext.is_present());
    }

    #[test]
    fn values_that_are_no_strings_count_and_nulls_do_not() {
        let header = header(
            r#"{"extFields":{"n":-12,"t":true,"f":false,"z":null,"o":{"x":["}",1]},"e":"a\u0001b"},"remark":null}"#,
        )
        .unwrap();
        assert_eq!(header.ext.get_i64("n"), Some(-12));
        assert!(header.ext.get("t").unwrap().parse_bool());
        assert!(!header.ext.get("f").unwrap().parse_bool());
        assert!(header.ext.get("z").is_none());
        assert_eq!(header.ext.get("o"), Some(Text::from(r#"{"x":["}",1]}"#)));
        assert_eq!(header.ext.get("e").unwrap().to_cow(), "a\u{1}b");
        assert!(header.remark.is_none());
        assert_eq!(header.ext.iter().count(), 5);
    }

    #[test]
    fn unknown_members_are_skipped_and_languages_may_be_numbers() {
        let header = header(
            r#"{"x":{"y":[{"z":"]"}]},"language":12,"serializeTypeCurrentRPC":"JSON","w":[],"code":"34"}"#,
        )
        .unwrap();
        assert_eq!((header.language, header.code), (Language::Rust, 34));
    }

    #[test]
    fn the_last_of_repeated_names_wins() {
        let header =
            header(r#"{"code":1,"code":2,"extFields":{"a":"1"},"extFields":{"b":"2","b":"3"}}"#)
                .unwrap();
        assert_eq!(header.code, 2);
        assert!(header.ext.get("a").is_none());
        assert_eq!(header.ext.get_i32("b"), Some(3));
    }

    #[test]
    fn names_with_escapes_are_found() {
        let header = header(r#"{"\u0063ode":7,"extFields":{"\u0061":"x"}}"#).unwrap();
        assert_eq!(header.code, 7);
        assert_eq!(header.ext.get("a"), Some(Text::from("x")));
    }

    #[test]
    fn fields_beyond_the_index_are_found_too() {
        let fields: Vec<_> = (0..60)
            .map(|n| {
                format!(
                    "\"f{n}\":{}",
                    if n == 40 {
                        "null".into()
                    } else {
                        format!("\"{n}\"")
                    }
                )
            })
            .collect();
        let text = format!("{{\"extFields\":{{{}}},\"code\":5}}", fields.join(", "));
        let header = header(&text).unwrap();
        assert_eq!(header.code, 5);
        assert_eq!(header.ext.iter().count(), 59);
        assert_eq!(header.ext.get_i32("f59"), Some(59));
        assert_eq!(header.ext.get_i32("f3"), Some(3));
        assert!(header.ext.get("f40").is_none());
    }

    #[test]
    fn what_is_no_header_is_a_typed_error() {
        for bad in [
            "",
            "{",
            "[]",
            "{}x",
            "{\"code\"}",
            "{\"code\":}",
            "{\"code\":1,}",
            "{\"code\":1 \"flag\":2}",
            "{\"extFields\":[]}",
            "{\"extFields\":{\"a\"}}",
            "{\"a\":\"b}",
            "{\"a\":\"b\\",
            "{\"a\":tru}",
            "{\"a\":{}",
        ] {
            assert!(header(bad).is_err(), "{bad}");
        }
        assert_eq!(
            header("{\"code\":99999999999}").unwrap_err(),
            HeaderError::Number("code")
        );
        assert_eq!(
            header("{\"code\":1.5}").unwrap_err(),
            HeaderError::Number("code")
        );
        assert_eq!(
            decode(b"{\"a\":\"\xFF\"}").unwrap_err(),
            HeaderError::NotUtf8 { at: 6 }
        );
        let deep = format!("{{\"a\":{}", "[".repeat(JSON_DEPTH_MAX + 1));
        assert!(matches!(header(&deep), Err(HeaderError::TooDeep { .. })));
    }
}

//! The JSON serialisation of a header, as fastjson writes it and more tolerantly than it reads.
//!
//! Two readers work together, member by member. The compact one knows what Java and Go peers send:
//! no white space, known names, strings as values of custom fields; it never looks at a byte twice.
//! Whatever it does not know it leaves to the tolerant one, which accepts any JSON: members in any
//! order, numbers and booleans as values of custom fields, unknown members of any shape.
//!
//! Custom fields are checked when the header is decoded and read again when somebody asks for them:
//! measured, that is faster than keeping an index of them.

use super::text::Text;
use super::writer::{ExtWriter, put_decimal, put_json_string};
use super::{FieldVisitor, Head, Header, HeaderError, Language};
use crate::frame::HeaderKind;
use crate::limits::{HEADER_BYTES_MAX, JSON_DEPTH_MAX};
use crate::stops;

/// Where strings of a header can end.
pub(super) type Stops<'a> = stops::Stops<'a, b'"', b'\\'>;

/// Decodes a JSON header; `visitor` sees each custom field.
#[inline(always)]
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    visitor: &mut impl FieldVisitor<'a>,
) -> Result<Header<'a>, HeaderError> {
    if bytes.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::Length("the header"));
    }
    let mut header = Header::empty(HeaderKind::Json, bytes);
    let mut stops = Stops::new(bytes);
    let mut at = if bytes.starts_with(b"{\"") {
        Some(1)
    } else {
        open(bytes)?
    };
    while let Some(member_at) = at {
        let end = match compact_member(&mut stops, member_at, &mut header, visitor) {
            Some(end) => end,
            None => {
                let end = tolerant_member(bytes, member_at, &mut header)?;
                if header.ext.starts_within(member_at, end) {
                    let code = header.code;
                    header
                        .ext
                        .iter()
                        .for_each(|(name, value)| visitor.field(code, name, value));
                }
                end
            }
        };
        at = if bytes.get(end) == Some(&b',') {
            Some(end + 1)
        } else {
            another(bytes, end)?
        };
    }
    if !bytes.is_ascii()
        && let Err(error) = std::str::from_utf8(bytes)
    {
        return Err(HeaderError::NotUtf8 {
            at: error.valid_up_to(),
        });
    }
    Ok(header)
}

/// Where the first member starts; nothing where the header is `{}`.
fn open(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    let mut scanner = Scanner::at(bytes, 0);
    match scanner
        .expect(b'{', "an opening brace")
        .and_then(|()| scanner.closes())
    {
        Some(false) => Ok(Some(scanner.at)),
        Some(true) => end(scanner),
        None => Err(scanner.error),
    }
}

/// Steps over a comma (to where another member starts) or over the closing brace.
fn another(bytes: &[u8], at: usize) -> Result<Option<usize>, HeaderError> {
    let mut scanner = Scanner::at(bytes, at);
    match scanner.another() {
        Some(true) => Ok(Some(scanner.at)),
        Some(false) => end(scanner),
        None => Err(scanner.error),
    }
}

/// Nothing but white space may follow the header.
fn end(mut scanner: Scanner<'_>) -> Result<Option<usize>, HeaderError> {
    match scanner.peek() {
        None => Ok(None),
        Some(_) => Err(HeaderError::Syntax {
            expected: "the end of the header",
            at: scanner.at,
        }),
    }
}

/// A member as Java writes it; returns where it ends. Nothing, and the header not changed, where it
/// is not; but fields before the odd one have been visited.
#[inline(always)]
fn compact_member<'a>(
    stops: &mut Stops<'a>,
    at: usize,
    header: &mut Header<'a>,
    visitor: &mut impl FieldVisitor<'a>,
) -> Option<usize> {
    let bytes = stops.bytes();
    let rest = bytes.get(at..)?;
    // The first letters of the names differ.
    match rest.get(1)? {
        b'c' => {
            let (code, end) = short_number(bytes, at + after(rest, b"\"code\":")?)?;
            header.code = code;
            Some(end)
        }
        b'e' => {
            let fields_at = at + after(rest, b"\"extFields\":{")?;
            compact_fields(stops, fields_at, header, visitor)
        }
        b'f' => {
            let (flag, end) = short_number(bytes, at + after(rest, b"\"flag\":")?)?;
            header.flag = flag;
            Some(end)
        }
        b'l' => {
            let end = at + after(rest, b"\"language\":\"JAVA\"")?;
            header.language = Language::Java;
            Some(end)
        }
        b'o' => {
            let (opaque, end) = short_number(bytes, at + after(rest, b"\"opaque\":")?)?;
            header.opaque = opaque;
            Some(end)
        }
        b's' => Some(at + after(rest, b"\"serializeTypeCurrentRPC\":\"JSON\"")?),
        b'v' => {
            let (version, end) = short_number(bytes, at + after(rest, b"\"version\":")?)?;
            header.version = version;
            Some(end)
        }
        _ => None,
    }
}

/// Length of `known` if `rest` starts with it.
#[inline(always)]
fn after<const N: usize>(rest: &[u8], known: &[u8; N]) -> Option<usize> {
    (rest.first_chunk::<N>() == Some(known)).then_some(N)
}

/// A number of at most nine digits that is directly followed by the next member or the end, and
/// where it ends. Nothing for everything else.
#[inline(always)]
fn short_number(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let mut number = 0i32;
    for (length, byte) in bytes.get(at..)?.iter().take(10).enumerate() {
        match byte {
            b'0'..=b'9' if length < 9 => {
                number = number
                    .wrapping_mul(10)
                    .wrapping_add(i32::from(byte.wrapping_sub(b'0')))
            }
            b',' | b'}' if length > 0 => return Some((number, at + length)),
            _ => return None,
        }
    }
    None
}

/// The custom fields from byte `at` to behind their closing brace, all of them as Java writes them.
#[inline(always)]
fn compact_fields<'a>(
    stops: &mut Stops<'a>,
    mut at: usize,
    header: &mut Header<'a>,
    visitor: &mut impl FieldVisitor<'a>,
) -> Option<usize> {
    let bytes = stops.bytes();
    let start = at;
    if bytes.get(at) == Some(&b'}') {
        header.ext.set(0);
        return Some(at + 1);
    }
    loop {
        let (name, value, end) = compact_field(stops, at)?;
        visitor.field(header.code, name, value);
        match bytes.get(end) {
            Some(b',') => at = end + 1,
            Some(b'}') => {
                header.ext.set(start);
                return Some(end + 1);
            }
            _ => return None,
        }
    }
}

/// A custom field with a plain name and a string as its value, and where it ends.
#[inline(always)]
fn compact_field<'a>(stops: &mut Stops<'a>, at: usize) -> Option<(Text<'a>, Text<'a>, usize)> {
    let bytes = stops.bytes();
    let (name, value_at) = compact_name(stops, at)?;
    let mut value_end = stops.find(value_at);
    let mut escaped = false;
    while bytes.get(value_end) == Some(&b'\\') {
        escaped = true;
        value_end = stops.find(value_end.wrapping_add(2));
    }
    if bytes.get(value_end) != Some(&b'"') {
        return None;
    }
    let value = Text::new(bytes.get(value_at..value_end)?, escaped);
    Some((name, value, value_end.wrapping_add(1)))
}

/// A plain name that a string follows as its value, and where that begins.
#[inline(always)]
fn compact_name<'a>(stops: &mut Stops<'a>, at: usize) -> Option<(Text<'a>, usize)> {
    let bytes = stops.bytes();
    let rest = bytes.get(at..)?;
    // The names of sends have one letter: their end need not be looked for.
    if let Some([b'"', letter, b'"', b':', b'"']) = rest.first_chunk::<5>()
        && letter.is_ascii_alphabetic()
    {
        return Some((Text::plain(&rest[1..2]), at.wrapping_add(5)));
    }
    if rest.first() != Some(&b'"') {
        return None;
    }
    let name_end = stops.find(at.wrapping_add(1));
    if bytes.get(name_end..)?.first_chunk::<3>() != Some(b"\":\"") {
        return None;
    }
    // Positions are below 2^24: nothing here can overflow.
    let name = Text::plain(bytes.get(at.wrapping_add(1)..name_end)?);
    Some((name, name_end.wrapping_add(3)))
}

/// The field at byte `at` among the custom fields of a header that decoded, and where the next one
/// starts (0 after the last). Nothing where all that follow have no value.
#[inline(always)]
pub(super) fn field_at<'a>(
    stops: &mut Stops<'a>,
    at: usize,
) -> Option<(Text<'a>, Text<'a>, usize)> {
    if let Some((name, value, end)) = compact_field(stops, at) {
        match stops.bytes().get(end) {
            Some(b',') => return Some((name, value, end + 1)),
            Some(b'}') => return Some((name, value, 0)),
            _ => {}
        }
    }
    tolerant_field_at(stops.bytes(), at)
}

#[cold]
fn tolerant_field_at(bytes: &[u8], at: usize) -> Option<(Text<'_>, Text<'_>, usize)> {
    let mut scanner = Scanner::at(bytes, at);
    loop {
        let (name, value) = scanner.field()?;
        let more = scanner.another()?;
        if let Some(value) = value {
            return Some((name, value, if more { scanner.at } else { 0 }));
        }
        if !more {
            return None;
        }
    }
}

/// One member of any shape; returns where it ends.
#[cold]
fn tolerant_member<'a>(
    bytes: &'a [u8],
    at: usize,
    header: &mut Header<'a>,
) -> Result<usize, HeaderError> {
    let mut scanner = Scanner::at(bytes, at);
    match scanner.member(header) {
        Some(()) => Ok(scanner.at),
        None => Err(scanner.error),
    }
}

/// Walks over any JSON. Steps return nothing where the bytes are not what they should be, and leave
/// the reason in `error`.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    error: HeaderError,
}

/// A value, and what its first byte says it is.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: Text<'a>,
    kind: ValueKind,
}

#[derive(Clone, Copy, PartialEq)]
enum ValueKind {
    Text,
    Literal,
    Nested,
}

impl<'a> Value<'a> {
    /// The value as text, numbers and objects as they are written; null is none.
    fn some(self) -> Option<Text<'a>> {
        (self.kind != ValueKind::Literal || self.text.raw() != b"null").then_some(self.text)
    }
}

impl<'a> Scanner<'a> {
    fn at(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            error: HeaderError::Truncated("the object"),
        }
    }

    /// One member of the header: `"name":value`.
    fn member(&mut self, header: &mut Header<'a>) -> Option<()> {
        let name = self.string()?.to_cow();
        self.expect(b':', "a colon")?;
        match name.as_ref() {
            "code" => header.code = self.number("code")?,
            "version" => header.version = self.number("version")?,
            "opaque" => header.opaque = self.number("opaque")?,
            "flag" => header.flag = self.number("flag")?,
            "language" => header.language = language(self.value()?),
            "remark" => header.remark = self.value()?.some(),
            "extFields" if self.peek()? == b'{' => self.fields(header)?,
            "extFields" => match self.value()?.some() {
                None => header.ext.clear(),
                Some(_) => return self.unexpected("an object of fields"),
            },
            _ => drop(self.value()?),
        }
        Some(())
    }

    /// The object of custom fields.
    fn fields(&mut self, header: &mut Header<'a>) -> Option<()> {
        self.expect(b'{', "an opening brace")?;
        if self.closes()? {
            header.ext.set(0);
            return Some(());
        }
        header.ext.set(self.at);
        loop {
            self.field()?;
            if !self.another()? {
                return Some(());
            }
        }
    }

    /// One custom field.
    fn field(&mut self) -> Option<(Text<'a>, Option<Text<'a>>)> {
        let name = self.string()?;
        self.expect(b':', "a colon")?;
        Some((name, self.value()?.some()))
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => Some(Value {
                text: self.string()?,
                kind: ValueKind::Text,
            }),
            b'{' | b'[' => self.nested(),
            _ => self.literal(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self) -> Option<Value<'a>> {
        let rest = &self.bytes[self.at..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let len = rest
            .iter()
            .position(|byte| !is_part(byte))
            .unwrap_or(rest.len());
        let literal = &rest[..len];
        let number = matches!(literal.first(), Some(b'0'..=b'9' | b'-'));
        if !number && !matches!(literal, b"true" | b"false" | b"null") {
            return self.unexpected("a value");
        }
        self.at += len;
        Some(Value {
            text: Text::plain(literal),
            kind: ValueKind::Literal,
        })
    }

    /// Steps over an object or array without looking at what it means. Brackets are matched by
    /// number, not by shape: whoever reads the text must parse it anyway.
    fn nested(&mut self) -> Option<Value<'a>> {
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
                return self.fail(HeaderError::TooDeep { at: self.at });
            }
            if depth == 0 {
                let text = Text::plain(&self.bytes[start..self.at]);
                return Some(Value {
                    text,
                    kind: ValueKind::Nested,
                });
            }
        }
    }

    /// A string; the scanner ends behind its closing quote.
    fn string(&mut self) -> Option<Text<'a>> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
                None => return self.fail(HeaderError::Truncated("a string")),
            }
        }
        self.at += 1;
        Some(Text::new(&self.bytes[start..self.at - 1], escaped))
    }

    /// A 32-bit number, possibly inside a string; null is 0.
    fn number(&mut self, field: &'static str) -> Option<i32> {
        match self.value()?.some().map(Text::parse_i32) {
            None => Some(0),
            Some(Some(number)) => Some(number),
            Some(None) => self.fail(HeaderError::Number(field)),
        }
    }

    /// Whether the object ends here; steps over its brace if so.
    fn closes(&mut self) -> Option<bool> {
        let closes = self.peek()? == b'}';
        self.at += usize::from(closes);
        Some(closes)
    }

    /// Steps over a comma (another member follows) or over the closing brace.
    fn another(&mut self) -> Option<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Some(true)
            }
            b'}' => {
                self.at += 1;
                Some(false)
            }
            _ => self.unexpected("a comma or a closing brace"),
        }
    }

    fn expect(&mut self, wanted: u8, expected: &'static str) -> Option<()> {
        if self.peek()? != wanted {
            return self.unexpected(expected);
        }
        self.at += 1;
        Some(())
    }

    /// The next byte that is not white space. `error` says that the object is not complete until
    /// something else is wrong with it.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn unexpected<T>(&mut self, expected: &'static str) -> Option<T> {
        self.fail(HeaderError::Syntax {
            expected,
            at: self.at,
        })
    }

    fn fail<T>(&mut self, error: HeaderError) -> Option<T> {
        self.error = error;
        None
    }
}

/// A language by name or by number.
fn language(value: Value<'_>) -> Language {
    match value.kind {
        ValueKind::Text => Language::from_name(value.text.raw()),
        _ => value
            .text
            .parse_i64()
            .map_or(Language::Unknown, Language::from_code),
    }
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
    use crate::header::NoVisitor;

    fn header(json: &str) -> Result<Header<'_>, HeaderError> {
        decode(json.as_bytes(), &mut NoVisitor)
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
    fn many_fields_are_found_and_nulls_among_them_skipped() {
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
            Header::decode(HeaderKind::Json, b"{\"a\":\"\xFF\"}").unwrap_err(),
            HeaderError::NotUtf8 { at: 6 }
        );
        let deep = format!("{{\"a\":{}", "[".repeat(JSON_DEPTH_MAX + 1));
        assert!(matches!(header(&deep), Err(HeaderError::TooDeep { .. })));
    }
}

//! The ROCKETMQ serialisation of a header.
//!
//! ```text
//! | code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark length 4, remark |
//! | length of all fields 4 | name length 2, name, value length 4, value | ... |
//! ```
//!
//! Codes and versions have 16 bits: a code above 32767 (the POP family) is cut by every peer and
//! reads back as another one. Such requests are sent in JSON. A value of length 0 is empty here and
//! in 4.x; 5.x takes it for absent.

use super::writer::ExtWriter;
use super::{FieldVisitor, Head, Header, HeaderError, Language, Text};
use crate::frame::HeaderKind;
use crate::limits::HEADER_BYTES_MAX;

/// Bytes up to the remark, its length included.
const FIXED_BYTES: usize = 17;

/// Decodes a binary header; `visitor` sees each field.
#[inline(always)]
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    visitor: &mut impl FieldVisitor<'a>,
) -> Result<Header<'a>, HeaderError> {
    if bytes.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::Length("the header"));
    }
    let fixed = bytes.first_chunk::<FIXED_BYTES>();
    let fixed = fixed.ok_or(HeaderError::Truncated("its fixed part"))?;
    let mut header = Header::empty(HeaderKind::Binary, bytes);
    header.code = i32::from(i16::from_be_bytes([fixed[0], fixed[1]]));
    header.language = Language::from_code(i64::from(fixed[2]));
    header.version = i32::from(i16::from_be_bytes([fixed[3], fixed[4]]));
    header.opaque = i32::from_be_bytes([fixed[5], fixed[6], fixed[7], fixed[8]]);
    header.flag = i32::from_be_bytes([fixed[9], fixed[10], fixed[11], fixed[12]]);
    let remark_at = FIXED_BYTES;
    let remark_end = end_of(bytes, remark_at).ok_or(HeaderError::Length("the remark"))?;
    if remark_end > remark_at {
        header.remark = Some(Text::plain(&bytes[remark_at..remark_end]));
    }
    let fields_at = remark_end + 4;
    match end_of(bytes, fields_at) {
        Some(end) if end == bytes.len() => {}
        _ => return Err(HeaderError::Length("the fields")),
    }
    if fields_at < bytes.len() {
        header.ext.set(fields_at);
    }
    let mut rest = &bytes[fields_at..];
    while !rest.is_empty() {
        let (name, value, next) = field(rest).ok_or(HeaderError::Length("a field"))?;
        visitor.field(header.code, name, value);
        rest = next;
    }
    Ok(header)
}

/// Name and value of the first field, and what follows it. Nothing where a length is negative or
/// goes beyond the end.
#[inline(always)]
fn field(bytes: &[u8]) -> Option<(Text<'_>, Text<'_>, &[u8])> {
    // Sends have names of one letter and values in plenty: one look covers both lengths.
    if let Some((&[0, 1, _, high, upper, lower, low], rest)) = bytes.split_first_chunk::<7>() {
        let value_len = u32::from_be_bytes([high, upper, lower, low]) as usize;
        let (value, rest) = rest.split_at_checked(value_len)?;
        return Some((Text::plain(&bytes[2..3]), Text::plain(value), rest));
    }
    let (name_len, rest) = bytes.split_first_chunk::<2>()?;
    let name_len = u16::from_be_bytes(*name_len);
    if name_len > i16::MAX.cast_unsigned() {
        return None;
    }
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    // A negative length is larger than any header.
    let value_len = u32::from_be_bytes(*value_len) as usize;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((Text::plain(name), Text::plain(value), rest))
}

/// Name and value of the field at byte `at`, and where the next one starts (0 after the last).
#[inline(always)]
pub(super) fn field_at(header: &[u8], at: usize) -> Option<(Text<'_>, Text<'_>, usize)> {
    let (name, value, rest) = field(header.get(at..)?)?;
    let next_at = if rest.is_empty() {
        0
    } else {
        header.len() - rest.len()
    };
    Some((name, value, next_at))
}

/// End of what starts at byte `at` and has its length in the four bytes before. Nothing where that
/// length is negative or goes beyond the end.
#[inline(always)]
fn end_of(bytes: &[u8], at: usize) -> Option<usize> {
    let len = bytes.get(at - 4..)?.first_chunk::<4>()?;
    let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
    let end = at.checked_add(len)?;
    (end <= bytes.len()).then_some(end)
}

/// Appends a binary header.
pub(super) fn encode(head: &Head<'_>, out: &mut Vec<u8>, ext: impl FnOnce(&mut ExtWriter<'_>)) {
    out.extend_from_slice(&(head.code as i16).to_be_bytes());
    out.push(head.language.code());
    out.extend_from_slice(&(head.version as i16).to_be_bytes());
    out.extend_from_slice(&head.opaque.to_be_bytes());
    out.extend_from_slice(&head.flag.to_be_bytes());
    let remark = head.remark.unwrap_or_default();
    out.extend_from_slice(&(remark.len() as u32).to_be_bytes());
    out.extend_from_slice(remark.as_bytes());
    let mut writer = ExtWriter::new(HeaderKind::Binary, out);
    ext(&mut writer);
    writer.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::NoVisitor;

    fn header_of(bytes: &[u8]) -> Result<Header<'_>, HeaderError> {
        decode(bytes, &mut NoVisitor)
    }

    fn encoded() -> Vec<u8> {
        let mut out = Vec::new();
        let head = Head::response(17, -3).with_remark("no route");
        encode(&head, &mut out, |ext| {
            ext.put("topic", "T");
            ext.put("queueOffset", -1i64);
            ext.put("flag", true);
        });
        out
    }

    #[test]
    fn a_header_reads_back() {
        let bytes = encoded();
        let header = header_of(&bytes).unwrap();
        assert_eq!((header.code, header.opaque, header.flag), (17, -3, 1));
        assert_eq!(header.remark, Some(Text::from("no route")));
        assert_eq!(header.ext.get("topic"), Some(Text::from("T")));
        assert_eq!(header.ext.get_i64("queueOffset"), Some(-1));
        assert!(header.ext.get("flag").unwrap().parse_bool());
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = encoded();
        for len in 0..bytes.len() {
            assert!(header_of(&bytes[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn lengths_beyond_the_header_are_errors() {
        let bytes = encoded();
        for at in [13, 25] {
            let mut damaged = bytes.clone();
            damaged[at] = 0xFF;
            assert!(
                matches!(header_of(&damaged), Err(HeaderError::Length(_))),
                "at {at}"
            );
        }
    }

    #[test]
    fn a_field_without_value_is_empty() {
        let mut out = Vec::new();
        encode(&Head::request(1, 1), &mut out, |ext| ext.put("a", ""));
        let header = header_of(&out).unwrap();
        assert!(header.ext.get("a").is_some_and(Text::is_empty));
        assert_eq!(header.ext.get_i32("a"), None);
    }

    #[test]
    fn many_fields_are_found() {
        let mut out = Vec::new();
        encode(&Head::request(1, 1), &mut out, |ext| {
            for n in 0..60 {
                ext.put(&format!("f{n}"), n);
            }
        });
        let header = header_of(&out).unwrap();
        assert_eq!(header.ext.iter().count(), 60);
        assert_eq!(header.ext.get_i32("f59"), Some(59));
    }
}

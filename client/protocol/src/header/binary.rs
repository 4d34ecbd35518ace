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

use super::ext::{Entry, Span};
use super::writer::ExtWriter;
use super::{Head, Header, HeaderError, Language, Text};
use crate::frame::HeaderKind;
use crate::limits::HEADER_BYTES_MAX;

/// Bytes up to the remark.
const FIXED_BYTES: usize = 17;

/// Decodes a binary header.
pub(super) fn decode(bytes: &[u8]) -> Result<Header<'_>, HeaderError> {
    if bytes.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::Length("the header"));
    }
    let fixed = bytes
        .first_chunk::<FIXED_BYTES>()
        .ok_or(HeaderError::Truncated("its fixed part"))?;
    let mut header = Header::empty(HeaderKind::Binary, bytes);
    header.code = i32::from(i16::from_be_bytes([fixed[0], fixed[1]]));
    header.language = Language::from_code(i64::from(fixed[2]));
    header.version = i32::from(i16::from_be_bytes([fixed[3], fixed[4]]));
    header.opaque = i32::from_be_bytes([fixed[5], fixed[6], fixed[7], fixed[8]]);
    header.flag = i32::from_be_bytes([fixed[9], fixed[10], fixed[11], fixed[12]]);
    let (remark_at, remark_end) = sized::<4>(bytes, FIXED_BYTES - 4, "the remark")?;
    if remark_end > remark_at {
        header.remark = Some(Text::plain(&bytes[remark_at..remark_end]));
    }
    let (mut at, end) = sized::<4>(bytes, remark_end, "the fields")?;
    if end != bytes.len() {
        return Err(HeaderError::Length("the fields"));
    }
    if end > at {
        header.ext.begin();
    }
    while at < end {
        let (name_at, name_end) = sized::<2>(bytes, at, "a field's name")?;
        let (value_at, value_end) = sized::<4>(bytes, name_end, "a field's value")?;
        let entry = entry(name_at, name_end, value_at, value_end);
        header.ext.push(entry, at);
        at = value_end;
    }
    Ok(header)
}

/// The field at byte `at` of a header that decoded, and where the next one starts (0 after the
/// last).
pub(super) fn entry_at(header: &[u8], at: usize) -> Option<(Entry, usize)> {
    let (name_at, name_end) = sized::<2>(header, at, "").ok()?;
    let (value_at, value_end) = sized::<4>(header, name_end, "").ok()?;
    let next_at = if value_end < header.len() {
        value_end
    } else {
        0
    };
    Some((entry(name_at, name_end, value_at, value_end), next_at))
}

#[inline]
fn entry(name_at: usize, name_end: usize, value_at: usize, value_end: usize) -> Entry {
    Entry::new(
        Span::new(name_at, name_end, false),
        Span::new(value_at, value_end, false),
    )
}

/// Start and end of what follows a signed length of `N` bytes at `at`.
#[inline]
fn sized<const N: usize>(
    bytes: &[u8],
    at: usize,
    what: &'static str,
) -> Result<(usize, usize), HeaderError> {
    let rest = bytes.get(at..).ok_or(HeaderError::Truncated(what))?;
    let digits = rest
        .first_chunk::<N>()
        .ok_or(HeaderError::Truncated(what))?;
    let len = digits
        .iter()
        .fold(0usize, |len, byte| len << 8 | usize::from(*byte));
    // A negative length has its top bit set and is larger than any header.
    if digits[0] & 0x80 != 0 || len > rest.len() - N {
        return Err(HeaderError::Length(what));
    }
    Ok((at + N, at + N + len))
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
        let header = decode(&bytes).unwrap();
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
            assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn lengths_beyond_the_header_are_errors() {
        let bytes = encoded();
        for at in [13, 25] {
            let mut damaged = bytes.clone();
            damaged[at] = 0xFF;
            assert!(
                matches!(decode(&damaged), Err(HeaderError::Length(_))),
                "at {at}"
            );
        }
    }

    #[test]
    fn a_field_without_value_is_empty() {
        let mut out = Vec::new();
        encode(&Head::request(1, 1), &mut out, |ext| ext.put("a", ""));
        let header = decode(&out).unwrap();
        assert!(header.ext.get("a").is_some_and(Text::is_empty));
        assert_eq!(header.ext.get_i32("a"), None);
    }

    #[test]
    fn fields_beyond_the_index_are_found_too() {
        let mut out = Vec::new();
        encode(&Head::request(1, 1), &mut out, |ext| {
            for n in 0..60 {
                ext.put(&format!("f{n}"), n);
            }
        });
        let header = decode(&out).unwrap();
        assert_eq!(header.ext.iter().count(), 60);
        assert_eq!(header.ext.get_i32("f59"), Some(59));
    }
}

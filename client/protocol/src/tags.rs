//! The tag code: what a queue entry keeps of a message's tag, and what filters compare first.
//!
//! It is Java's `String.hashCode()` of the whole TAGS string. Different tags may share a code, so
//! a match here is a maybe: consumers compare the string again.

/// Tag code of a TAGS value: Java's string hash over UTF-16 units, wrapped to 32 bits and
/// sign-extended; 0 for no tag. Bytes that are not UTF-8 count as U+FFFD, as Java decodes them.
pub fn tags_code(tags: &[u8]) -> i64 {
    if tags.is_ascii() {
        let hash = tags
            .iter()
            .fold(0i32, |hash, byte| step(hash, u16::from(*byte)));
        return i64::from(hash);
    }
    let mut hash = 0i32;
    for chunk in tags.utf8_chunks() {
        hash = chunk.valid().encode_utf16().fold(hash, step);
        if !chunk.invalid().is_empty() {
            hash = step(hash, 0xFFFD);
        }
    }
    i64::from(hash)
}

/// Java's `String.hashCode()` of `text`.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, step)
}

fn step(hash: i32, unit: u16) -> i32 {
    hash.wrapping_mul(31).wrapping_add(i32::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_equal_those_of_the_reference() {
        assert_eq!(tags_code(b"TagA"), 2_598_919);
        assert_eq!(tags_code(b"TagB"), 2_598_920);
        assert_eq!(tags_code(b""), 0);
        assert_eq!(java_hash("TagA"), 2_598_919);
    }

    #[test]
    fn characters_outside_the_basic_plane_count_as_two_units() {
        // U+1F600 is D83D DE00 in UTF-16: 31 * 0xD83D + 0xDE00.
        assert_eq!(tags_code("\u{1F600}".as_bytes()), 31 * 0xD83D + 0xDE00);
    }

    #[test]
    fn long_tags_wrap_to_negative_codes() {
        let code = tags_code(b"a rather long tag that overflows");
        assert_eq!(
            code,
            i64::from(java_hash("a rather long tag that overflows"))
        );
        assert!(i32::try_from(code).is_ok());
    }
}

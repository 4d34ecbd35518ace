//! Both checksums: RocketMQ's over message bodies, and the one over everything of our own.

/// RocketMQ's body checksum: CRC-32 (IEEE) with the top bit cleared, so that it is never negative
/// as an `i32`. Taken over the body as stored, that is over the compressed form of a compressed
/// body (`UtilAll.crc32`).
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

/// CRC-32C of `bytes`: the checksum of our own blocks, records and files.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Continues a CRC-32C: `crc32c_append(crc32c(a), b)` is the checksum of `a` followed by `b`.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_both_polynomials() {
        assert_eq!(body_crc(b"123456789"), 0xCBF4_3926 & 0x7FFF_FFFF);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c_append(crc32c(b"1234"), b"56789"), 0xE306_9283);
    }
}

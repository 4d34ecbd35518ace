//! One record of a queue, as the index knows it.

use crate::types::LogOffset;

/// Where a record lies and how it is proven: 24 bytes in memory, the same on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Entry {
    /// Position of the record in its shard's log ([`crate::types::LogOffset`], no shard bits).
    pub offset: u64,
    /// Hash of the tag (Java's `String.hashCode`, sign-extended), 0 without one.
    pub tag_hash: i64,
    /// Length of the record in bytes.
    pub size: u32,
    /// CRC32C of the record's bytes.
    pub crc32c: u32,
}

const _: () = assert!(size_of::<Entry>() == Entry::LEN);

impl Entry {
    /// Length of the encoded form.
    pub const LEN: usize = 24;

    /// The little-endian form: offset 8, size 4, tag hash 8, CRC32C 4.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.size.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.tag_hash.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.crc32c.to_le_bytes());
        bytes
    }

    /// Stands for a record that damage took; `position` keeps the entries in log order.
    pub fn hole(position: LogOffset) -> Self {
        Self {
            offset: position.0,
            ..Self::default()
        }
    }

    /// Whether there is no record behind it.
    pub fn is_hole(&self) -> bool {
        self.size == 0
    }

    /// The inverse of [`Entry::encode`].
    pub fn decode(bytes: &[u8; Self::LEN]) -> Self {
        let array = |at: usize| -> [u8; 8] {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[at..at + 8]);
            part
        };
        let small = |at: usize| -> [u8; 4] {
            let mut part = [0; 4];
            part.copy_from_slice(&bytes[at..at + 4]);
            part
        };
        Self {
            offset: u64::from_le_bytes(array(0)),
            size: u32::from_le_bytes(small(8)),
            tag_hash: i64::from_le_bytes(array(12)),
            crc32c: u32::from_le_bytes(small(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_encoding() {
        let entry = Entry {
            offset: 0x0102_0304_0506_0708,
            tag_hash: -5,
            size: 91,
            crc32c: 0xDEAD_BEEF,
        };
        assert_eq!(Entry::decode(&entry.encode()), entry);
    }
}

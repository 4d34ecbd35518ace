//! The page: 4096 bytes that prove themselves. 4080 bytes of payload, then number, kind, zeros and a
//! CRC32C that starts from the file's identity, so that a page of another file or place is refused.

use ringmq_ring::ALIGNMENT;

use crate::types::{SegmentNumber, ShardIndex};

/// Length of a page in bytes; the unit of reading and of checking.
pub const PAGE_LEN: usize = ALIGNMENT;
/// Bytes of a page that carry something: a whole number of rows and of entries.
pub const PAYLOAD_LEN: usize = 4080;

const AT_NUMBER: usize = PAYLOAD_LEN;
const AT_KIND: usize = AT_NUMBER + 4;
const AT_ZERO: usize = AT_KIND + 4;
const AT_CRC: usize = AT_ZERO + 4;
const _: () = assert!(AT_CRC + 4 == PAGE_LEN);

/// What a page holds. The figures are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Kind {
    /// The first page of the file.
    Header = 1,
    /// The first queue number of each directory page.
    Fences = 2,
    /// Rows: one per queue, sorted.
    Directory = 3,
    /// Entries, grouped by queue.
    Entries = 4,
    /// Blocks with their times.
    Blocks = 5,
    /// Message keys (reserved: no pages yet).
    Keys = 6,
    /// Parked records by due time (reserved: no pages yet).
    Parked = 7,
    /// The last page of the file.
    Footer = 8,
}

/// Which index segment a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The store's id.
    pub store_id: [u8; 16],
    /// The shard.
    pub shard: ShardIndex,
    /// The log segment that is indexed.
    pub segment: SegmentNumber,
}

impl Identity {
    /// Where the checksum of each page of this file starts from.
    pub fn seed(&self) -> u32 {
        let seed = crc32c::crc32c(&self.store_id);
        let seed = crc32c::crc32c_append(seed, &[self.shard.0]);
        crc32c::crc32c_append(seed, &self.segment.0.to_le_bytes())
    }
}

/// Bytes of an index segment that are not what was written: rebuild it from its log segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "index segment {segment} is damaged at page {page}: {reason}; it will be rebuilt from its log segment"
)]
pub struct Damage {
    /// Whose index.
    pub segment: SegmentNumber,
    /// Which page.
    pub page: u32,
    /// What does not hold.
    pub reason: &'static str,
}

/// Completes a page whose payload is filled: writes number, kind and checksum, which it returns.
///
/// # Panics
/// When `page` is not [`PAGE_LEN`] long.
pub fn seal(page: &mut [u8], number: u32, kind: Kind, seed: u32) -> u32 {
    assert_eq!(page.len(), PAGE_LEN);
    page[AT_NUMBER..AT_KIND].copy_from_slice(&number.to_le_bytes());
    page[AT_KIND..AT_ZERO].copy_from_slice(&(kind as u32).to_le_bytes());
    page[AT_ZERO..AT_CRC].fill(0);
    let crc = crc32c::crc32c_append(seed, &page[..AT_CRC]);
    page[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The payload of a page that is what `number`, `kind` and `seed` say, or what is wrong with it.
pub fn open(page: &[u8], number: u32, kind: Kind, seed: u32) -> Result<&[u8], &'static str> {
    if page.len() != PAGE_LEN {
        return Err("the page is cut short");
    }
    if crc32c::crc32c_append(seed, &page[..AT_CRC]) != u32_at(page, AT_CRC) {
        return Err("its checksum does not match");
    }
    if u32_at(page, AT_NUMBER) != number {
        return Err("it is another page");
    }
    if u32_at(page, AT_KIND) != kind as u32 {
        return Err("it is a page of another kind");
    }
    Ok(&page[..PAYLOAD_LEN])
}

/// The checksum a sealed page carries.
pub fn checksum_of(page: &[u8]) -> u32 {
    u32_at(page, AT_CRC)
}

/// Little-endian number at a place that is inside `bytes`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut part = [0; 4];
    part.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(part)
}

/// See [`u32_at`].
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut part = [0; 8];
    part.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(part)
}

/// See [`u32_at`].
pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    // The same eight bytes, two's complement.
    u64_at(bytes, at) as i64
}

//! The commit block: the unit that is written to the log, and the only thing in it.
//!
//! ```text
//! | header 128 | records, back to back | zeros | list: 16 per record | footer 64 |
//! ^ multiple of 4096                                                            ^ multiple of 4096
//! ```
//!
//! Header and footer each say alone where the block begins and ends, so either of them suffices to
//! step over a damaged block and to name what it held. Every byte is covered by a checksum or must
//! be zero. Byte by byte in `FORMAT.md`, section 1. All integers are little endian.

use ringmq_ring::ALIGNMENT;
use thiserror::Error;

use crate::types::{LogOffset, ShardIndex};

mod builder;
mod damaged;
mod footer;
mod header;
mod record_crc;
mod view;

pub use builder::{BlockBuilder, Placed, SealFields, SealedBlock};
pub use damaged::{DamagedBlock, DamagedRecord};
pub use header::BlockHeader;
pub(crate) use record_crc::record_crc;
pub use view::{BlockRecord, BlockView};

pub(crate) use crate::little_endian::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 128;
/// Bytes of one list entry.
pub const ENTRY_BYTES: usize = 16;
/// Bytes at the very end of a block.
pub const FOOTER_BYTES: usize = 64;
/// Version of the block format written by this build.
pub const BLOCK_VERSION: u16 = 1;

/// What makes a block ours: the same for all blocks of one shard of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The store's id.
    pub store_id: [u8; 16],
    /// CRC32C of the store's secret salt. Seeds the checksums of header and list, so that a block
    /// made up by a client inside a message body never passes for one of ours.
    pub seed: u32,
    /// The shard.
    pub shard: ShardIndex,
    /// Size of every segment of the store in bytes: a multiple of 4096, at most 4 GiB.
    pub segment_bytes: u64,
}

impl LogIdentity {
    /// The identity of `shard` in the store with this id and salt.
    pub fn new(store_id: [u8; 16], salt: &[u8; 16], shard: ShardIndex, segment_bytes: u64) -> Self {
        Self {
            store_id,
            seed: crc32c::crc32c(salt),
            shard,
            segment_bytes,
        }
    }

    /// The segment of a position and the bytes from its start, which fit 32 bits in any segment.
    pub fn split(&self, at: LogOffset) -> (u64, u32) {
        let (segment, within) = at.split(self.segment_bytes);
        (segment.0, within as u32)
    }
}

/// Bytes of the sealed block that holds `count` records of `records_len` bytes together.
pub fn sealed_len(records_len: usize, count: usize) -> usize {
    (HEADER_BYTES + records_len + count * ENTRY_BYTES + FOOTER_BYTES).next_multiple_of(ALIGNMENT)
}

/// Whether lengths agree with each other and with the segment.
fn check_lengths(
    block_len: u32,
    records_len: u32,
    count: u32,
    within: u32,
    identity: &LogIdentity,
) -> Result<(), BlockFault> {
    let needed = (HEADER_BYTES + FOOTER_BYTES) as u64
        + u64::from(records_len)
        + u64::from(count) * ENTRY_BYTES as u64;
    let fits = u64::from(within) + u64::from(block_len) <= identity.segment_bytes;
    if count == 0 || !fits || needed.next_multiple_of(ALIGNMENT as u64) != u64::from(block_len) {
        return Err(BlockFault::Lengths);
    }
    Ok(())
}

/// Why bytes are not the block they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlockFault {
    /// Nothing but zeros where the header should be.
    #[error("nothing but zeros")]
    Blank,
    /// No block begins here.
    #[error("no block begins here")]
    NoMagic,
    /// The header's checksum or a reserved field is wrong.
    #[error("the header's checksum does not match")]
    HeaderChecksum,
    /// Written by a newer RingMQ.
    #[error("block format version {found} is not known to this build: use a newer one")]
    Version {
        /// The version found.
        found: u16,
    },
    /// A block of another store, shard, segment or position: recycled, misdirected or copied.
    #[error("a block of segment {segment}, position {within}, or of another store or shard")]
    Foreign {
        /// The segment it says it is in.
        segment: u64,
        /// The position in that segment.
        within: u32,
    },
    /// The lengths contradict each other or the segment.
    #[error("lengths that contradict each other")]
    Lengths,
    /// More bytes are needed to judge it.
    #[error("cut short: {needed} bytes are needed")]
    Truncated {
        /// Bytes from the block's start.
        needed: usize,
    },
    /// The footer is not this block's.
    #[error("the footer does not belong to the header")]
    Footer,
    /// The list of records is damaged.
    #[error("the checksum of the record list does not match")]
    ListChecksum,
    /// One record is damaged.
    #[error("the checksum of record {index} does not match")]
    RecordChecksum {
        /// Which record, from 0.
        index: u32,
    },
    /// The padding is not zero.
    #[error("padding that is not zero")]
    Padding,
}

#[cfg(test)]
mod tests;

//! The header: what a block is, readable without the rest of it.

use super::{
    BLOCK_VERSION, BlockFault, HEADER_BYTES, LogIdentity, check_lengths, get_u16, get_u32, get_u64,
    put_u16, put_u32, put_u64,
};
use crate::types::LogOffset;

/// Named offsets in the header, in the order of `FORMAT.md`.
mod header_at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const SHARD: usize = 10;
    pub const FLAGS: usize = 12;
    pub const STORE_ID: usize = 16;
    pub const SEGMENT: usize = 32;
    pub const SEQUENCE: usize = 40;
    pub const EPOCH: usize = 48;
    pub const DURABLE: usize = 56;
    pub const FIRST_TIME: usize = 64;
    pub const LAST_TIME: usize = 72;
    pub const WITHIN: usize = 80;
    pub const BLOCK_LEN: usize = 84;
    pub const RECORDS_LEN: usize = 88;
    pub const COUNT: usize = 92;
    pub const PREVIOUS: usize = 96;
    pub const RESERVED: usize = 100;
    pub const CRC: usize = 124;
}

const HEADER_MAGIC: [u8; 8] = *b"RMQBLOCK";

/// A block's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Where the block begins.
    pub at: LogOffset,
    /// Number of the block in the shard's log.
    pub sequence: u64,
    /// The run that wrote it.
    pub epoch: u64,
    /// W when it was submitted.
    pub durable: LogOffset,
    /// Store time of the first record, in milliseconds.
    pub first_ms: i64,
    /// Store time of the last record.
    pub last_ms: i64,
    /// Bytes of the whole block.
    pub block_len: u32,
    /// Bytes of all records.
    pub records_len: u32,
    /// Number of records.
    pub count: u32,
    /// Checksum of the block before it.
    pub previous_checksum: u32,
    /// The header's own checksum.
    pub crc: u32,
}

impl BlockHeader {
    /// Checks the first [`HEADER_BYTES`] of what should be a block at `at`.
    ///
    /// # Errors
    /// What is wrong with it; `Blank` when the bytes are all zero.
    pub fn parse(bytes: &[u8], identity: &LogIdentity, at: LogOffset) -> Result<Self, BlockFault> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(BlockFault::Truncated {
            needed: HEADER_BYTES,
        })?;
        if bytes[header_at::MAGIC..header_at::VERSION] != HEADER_MAGIC {
            let blank = bytes.iter().all(|&byte| byte == 0);
            return Err(if blank {
                BlockFault::Blank
            } else {
                BlockFault::NoMagic
            });
        }
        let crc = get_u32(bytes, header_at::CRC);
        if crc != crc32c::crc32c_append(identity.seed, &bytes[..header_at::CRC]) {
            return Err(BlockFault::HeaderChecksum);
        }
        let version = get_u16(bytes, header_at::VERSION);
        if version != BLOCK_VERSION {
            return Err(BlockFault::Version { found: version });
        }
        check_belongs(bytes, identity, at)?;
        let header = Self::read(bytes, at, crc);
        header.check_lengths(identity)?;
        Ok(header)
    }

    fn read(bytes: &[u8], at: LogOffset, crc: u32) -> Self {
        BlockHeader {
            at,
            sequence: get_u64(bytes, header_at::SEQUENCE),
            epoch: get_u64(bytes, header_at::EPOCH),
            durable: LogOffset(get_u64(bytes, header_at::DURABLE)),
            first_ms: get_u64(bytes, header_at::FIRST_TIME) as i64,
            last_ms: get_u64(bytes, header_at::LAST_TIME) as i64,
            block_len: get_u32(bytes, header_at::BLOCK_LEN),
            records_len: get_u32(bytes, header_at::RECORDS_LEN),
            count: get_u32(bytes, header_at::COUNT),
            previous_checksum: get_u32(bytes, header_at::PREVIOUS),
            crc,
        }
    }

    /// Fills the header's bytes; returns its checksum.
    pub(super) fn write(&self, identity: &LogIdentity, bytes: &mut [u8]) -> u32 {
        let (segment, within) = identity.split(self.at);
        bytes[header_at::MAGIC..header_at::VERSION].copy_from_slice(&HEADER_MAGIC);
        put_u16(bytes, header_at::VERSION, BLOCK_VERSION);
        put_u16(bytes, header_at::SHARD, u16::from(identity.shard.0));
        put_u32(bytes, header_at::FLAGS, 0);
        bytes[header_at::STORE_ID..header_at::SEGMENT].copy_from_slice(&identity.store_id);
        put_u64(bytes, header_at::SEGMENT, segment);
        put_u64(bytes, header_at::SEQUENCE, self.sequence);
        put_u64(bytes, header_at::EPOCH, self.epoch);
        put_u64(bytes, header_at::DURABLE, self.durable.0);
        put_u64(bytes, header_at::FIRST_TIME, self.first_ms as u64);
        put_u64(bytes, header_at::LAST_TIME, self.last_ms as u64);
        put_u32(bytes, header_at::WITHIN, within);
        put_u32(bytes, header_at::BLOCK_LEN, self.block_len);
        put_u32(bytes, header_at::RECORDS_LEN, self.records_len);
        put_u32(bytes, header_at::COUNT, self.count);
        put_u32(bytes, header_at::PREVIOUS, self.previous_checksum);
        bytes[header_at::RESERVED..header_at::CRC].fill(0);
        let crc = crc32c::crc32c_append(identity.seed, &bytes[..header_at::CRC]);
        put_u32(bytes, header_at::CRC, crc);
        crc
    }

    fn check_lengths(&self, identity: &LogIdentity) -> Result<(), BlockFault> {
        let (_, within) = identity.split(self.at);
        check_lengths(
            self.block_len,
            self.records_len,
            self.count,
            within,
            identity,
        )
    }

    /// The position after the block.
    pub fn end(&self) -> LogOffset {
        self.at.plus(u64::from(self.block_len))
    }
}

fn check_belongs(bytes: &[u8], identity: &LogIdentity, at: LogOffset) -> Result<(), BlockFault> {
    let segment = get_u64(bytes, header_at::SEGMENT);
    let within = get_u32(bytes, header_at::WITHIN);
    let shard = get_u16(bytes, header_at::SHARD);
    if bytes[header_at::STORE_ID..header_at::SEGMENT] != identity.store_id
        || shard != u16::from(identity.shard.0)
        || (segment, within) != identity.split(at)
    {
        return Err(BlockFault::Foreign { segment, within });
    }
    let reserved = &bytes[header_at::RESERVED..header_at::CRC];
    if get_u32(bytes, header_at::FLAGS) != 0 || reserved.iter().any(|&byte| byte != 0) {
        return Err(BlockFault::HeaderChecksum);
    }
    Ok(())
}

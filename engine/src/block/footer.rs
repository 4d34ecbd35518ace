//! The list of records and the footer behind it: what a block is, readable without the header.

use super::{
    BLOCK_VERSION, BlockFault, BlockHeader, ENTRY_BYTES, FOOTER_BYTES, LogIdentity, check_lengths,
    get_u16, get_u32, get_u64, put_u16, put_u32, put_u64,
};
use crate::types::{LogOffset, QueueNumber};

/// Named offsets in the footer.
mod footer_at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const SHARD: usize = 10;
    pub const FLAGS: usize = 12;
    pub const SEGMENT: usize = 16;
    pub const SEQUENCE: usize = 24;
    pub const EPOCH: usize = 32;
    pub const WITHIN: usize = 40;
    pub const BLOCK_LEN: usize = 44;
    pub const RECORDS_LEN: usize = 48;
    pub const COUNT: usize = 52;
    pub const HEADER_CRC: usize = 56;
    pub const LIST_CRC: usize = 60;
}

/// Named offsets in a list entry.
mod entry_at {
    pub const LEN: usize = 0;
    pub const CRC: usize = 4;
    pub const QUEUE: usize = 8;
    pub const CHECK: usize = 12;
}

const FOOTER_MAGIC: [u8; 8] = *b"RMQTRAIL";

/// One row of the list: four numbers in the order of [`entry_at`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub len: u32,
    pub crc: u32,
    pub queue: QueueNumber,
}

impl Entry {
    /// Seeded with salt and index: an entry is believed alone, whatever happened to its neighbours.
    pub fn check(&self, seed: u32, index: u32) -> u32 {
        crc32c::crc32c_append(seed, &self.with(index))
    }

    /// The entry with a number where its checksum belongs.
    fn with(&self, check: u32) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = [self.len, self.crc, self.queue.0, check];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    pub fn read(bytes: &[u8]) -> (Self, u32) {
        let entry = Entry {
            len: get_u32(bytes, entry_at::LEN),
            crc: get_u32(bytes, entry_at::CRC),
            queue: QueueNumber(get_u32(bytes, entry_at::QUEUE)),
        };
        (entry, get_u32(bytes, entry_at::CHECK))
    }

    pub fn write(&self, bytes: &mut [u8], seed: u32, index: u32) {
        bytes.copy_from_slice(&self.with(self.check(seed, index)));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub at: LogOffset,
    pub sequence: u64,
    pub epoch: u64,
    pub block_len: u32,
    pub records_len: u32,
    pub count: u32,
    header_crc: u32,
}

impl Footer {
    pub fn of(header: &BlockHeader, header_crc: u32) -> Self {
        Footer {
            at: header.at,
            sequence: header.sequence,
            epoch: header.epoch,
            block_len: header.block_len,
            records_len: header.records_len,
            count: header.count,
            header_crc,
        }
    }

    pub fn write(&self, identity: &LogIdentity, entries: &[u8], bytes: &mut [u8]) -> u32 {
        let (segment, within) = identity.split(self.at);
        bytes[footer_at::MAGIC..footer_at::VERSION].copy_from_slice(&FOOTER_MAGIC);
        put_u16(bytes, footer_at::VERSION, BLOCK_VERSION);
        put_u16(bytes, footer_at::SHARD, u16::from(identity.shard.0));
        put_u32(bytes, footer_at::FLAGS, 0);
        put_u64(bytes, footer_at::SEGMENT, segment);
        put_u64(bytes, footer_at::SEQUENCE, self.sequence);
        put_u64(bytes, footer_at::EPOCH, self.epoch);
        put_u32(bytes, footer_at::WITHIN, within);
        put_u32(bytes, footer_at::BLOCK_LEN, self.block_len);
        put_u32(bytes, footer_at::RECORDS_LEN, self.records_len);
        put_u32(bytes, footer_at::COUNT, self.count);
        put_u32(bytes, footer_at::HEADER_CRC, self.header_crc);
        let crc = list_checksum(identity, entries, bytes);
        put_u32(bytes, footer_at::LIST_CRC, crc);
        crc
    }

    /// The footer that ends `bytes`, checked with the list before it. `bytes` begins where its
    /// block should begin.
    pub fn parse(bytes: &[u8], identity: &LogIdentity, at: LogOffset) -> Result<Self, BlockFault> {
        let split = bytes
            .len()
            .checked_sub(FOOTER_BYTES)
            .ok_or(BlockFault::Footer)?;
        let footer = &bytes[split..];
        let (segment, within) = identity.split(at);
        if footer[footer_at::MAGIC..footer_at::VERSION] != FOOTER_MAGIC
            || get_u16(footer, footer_at::VERSION) != BLOCK_VERSION
            || get_u16(footer, footer_at::SHARD) != u16::from(identity.shard.0)
            || get_u32(footer, footer_at::FLAGS) != 0
            || get_u64(footer, footer_at::SEGMENT) != segment
            || get_u32(footer, footer_at::WITHIN) != within
            || get_u32(footer, footer_at::BLOCK_LEN) as usize != bytes.len()
        {
            return Err(BlockFault::Footer);
        }
        let parsed = Footer {
            at,
            sequence: get_u64(footer, footer_at::SEQUENCE),
            epoch: get_u64(footer, footer_at::EPOCH),
            block_len: get_u32(footer, footer_at::BLOCK_LEN),
            records_len: get_u32(footer, footer_at::RECORDS_LEN),
            count: get_u32(footer, footer_at::COUNT),
            header_crc: get_u32(footer, footer_at::HEADER_CRC),
        };
        check_lengths(
            parsed.block_len,
            parsed.records_len,
            parsed.count,
            within,
            identity,
        )?;
        let entries = &bytes[split - parsed.count as usize * ENTRY_BYTES..split];
        if list_checksum(identity, entries, footer) != get_u32(footer, footer_at::LIST_CRC) {
            return Err(BlockFault::ListChecksum);
        }
        Ok(parsed)
    }
}

/// Over the list and the footer up to this checksum; through the header's checksum in the footer
/// and the records' in the list it stands for every byte of the block.
fn list_checksum(identity: &LogIdentity, entries: &[u8], footer: &[u8]) -> u32 {
    let list = crc32c::crc32c_append(identity.seed, entries);
    crc32c::crc32c_append(list, &footer[..footer_at::LIST_CRC])
}

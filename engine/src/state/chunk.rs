//! One chunk of a state file: envelope and archive.

use ringmq_ring::{ALIGNMENT, AlignedBuf};
use rkyv::rancor;
use rkyv::util::AlignedVec;

use super::rows::{
    CountersArchive, GroupsArchive, NamesArchive, OffsetsArchive, QueuesArchive, TopicsArchive,
};
use crate::block::{LogIdentity, get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use crate::limits::STATE_CHUNK_BYTES;
use crate::types::LogOffset;

/// Bytes before the archive.
pub(super) const ENVELOPE_BYTES: usize = 64;
/// Version of the chunk format written by this build.
const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"RMQSTATE";
const FLAG_LAST_OF_TABLE: u8 = 1;
const FLAG_LAST_OF_FILE: u8 = 2;

/// Bytes that rows of a chunk may take, the archive's own words left out.
pub(super) const ROW_BYTES: usize = STATE_CHUNK_BYTES - ENVELOPE_BYTES - 64;

mod at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const SHARD: usize = 10;
    pub const TABLE: usize = 12;
    pub const FLAGS: usize = 13;
    pub const RESERVED: usize = 14;
    pub const GENERATION: usize = 16;
    pub const INDEX: usize = 24;
    pub const CHUNK_LEN: usize = 28;
    pub const POSITION: usize = 32;
    pub const PAYLOAD_LEN: usize = 40;
    pub const ZERO: usize = 44;
    pub const CRC: usize = 60;
}

/// The tables, in the order in which they lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The next numbers to be given.
    Counters = 1,
    /// Queues by number.
    Queues = 2,
    /// Group names by number.
    GroupNames = 3,
    /// Offsets by queue, then group.
    Offsets = 4,
    /// Home shard: topics by id.
    Topics = 5,
    /// Home shard: groups by name.
    Groups = 6,
}

impl Table {
    /// All tables in order.
    pub const ALL: [Table; 6] = [
        Table::Counters,
        Table::Queues,
        Table::GroupNames,
        Table::Offsets,
        Table::Topics,
        Table::Groups,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == byte)
    }

    /// The table after this one.
    pub fn next(self) -> Option<Self> {
        Self::from_byte(self as u8 + 1)
    }
}

/// A chunk's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub table: Table,
    pub last_of_table: bool,
    pub generation: u64,
    pub index: u32,
    pub position: LogOffset,
}

/// The rows of a chunk.
pub(super) enum Rows {
    Counters(CountersArchive),
    Queues(QueuesArchive),
    Names(NamesArchive),
    Offsets(OffsetsArchive),
    Topics(TopicsArchive),
    Groups(GroupsArchive),
}

/// Why a state file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// It ends before its last chunk.
    #[error("it is cut short")]
    Short,
    /// A chunk's checksum, order or content is wrong.
    #[error("chunk {index} is damaged")]
    Damaged {
        /// Which chunk, from 0.
        index: u32,
    },
    /// Written by a newer RingMQ.
    #[error("format version {found}, which this build does not know: use a newer one")]
    Version {
        /// The version found.
        found: u16,
    },
    /// It cannot be read from the device.
    #[error("it cannot be read")]
    Unreadable,
    /// A table above its bound.
    #[error("more rows than a shard can have")]
    Bound,
}

/// Envelope and archive, padded to whole pages.
pub(super) fn encode(identity: &LogIdentity, head: &ChunkHead, rows: &Rows) -> AlignedBuf {
    let payload = archive(rows);
    let len = (ENVELOPE_BYTES + payload.len()).next_multiple_of(ALIGNMENT);
    debug_assert!(len <= STATE_CHUNK_BYTES, "a chunk of {len} bytes");
    let mut chunk = AlignedBuf::zeroed(len);
    chunk[ENVELOPE_BYTES..ENVELOPE_BYTES + payload.len()].copy_from_slice(&payload);
    chunk[at::MAGIC..at::VERSION].copy_from_slice(&MAGIC);
    put_u16(&mut chunk, at::VERSION, VERSION);
    put_u16(&mut chunk, at::SHARD, u16::from(identity.shard.0));
    chunk[at::TABLE] = head.table as u8;
    let last_of_file = head.last_of_table && head.table.next().is_none();
    chunk[at::FLAGS] = (u8::from(head.last_of_table) * FLAG_LAST_OF_TABLE)
        | (u8::from(last_of_file) * FLAG_LAST_OF_FILE);
    put_u64(&mut chunk, at::GENERATION, head.generation);
    put_u32(&mut chunk, at::INDEX, head.index);
    put_u32(&mut chunk, at::CHUNK_LEN, len as u32);
    put_u64(&mut chunk, at::POSITION, head.position.0);
    put_u32(&mut chunk, at::PAYLOAD_LEN, payload.len() as u32);
    let crc = checksum(identity, &chunk);
    put_u32(&mut chunk, at::CRC, crc);
    chunk
}

/// Serializing plain integers into memory cannot fail but for want of memory.
fn archive(rows: &Rows) -> AlignedVec {
    match rows {
        Rows::Counters(rows) => rkyv::to_bytes::<rancor::Error>(rows),
        Rows::Queues(rows) => rkyv::to_bytes::<rancor::Error>(rows),
        Rows::Names(rows) => rkyv::to_bytes::<rancor::Error>(rows),
        Rows::Offsets(rows) => rkyv::to_bytes::<rancor::Error>(rows),
        Rows::Topics(rows) => rkyv::to_bytes::<rancor::Error>(rows),
        Rows::Groups(rows) => rkyv::to_bytes::<rancor::Error>(rows),
    }
    .unwrap_or_default()
}

/// Length in bytes of the chunk that begins `bytes`, believed only as far as it is plausible.
pub(super) fn announced_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..ENVELOPE_BYTES)?;
    let len = get_u32(head, at::CHUNK_LEN) as usize;
    let plausible = len.is_multiple_of(ALIGNMENT) && (1..=STATE_CHUNK_BYTES).contains(&len);
    plausible.then_some(len)
}

/// Verifies one whole chunk and reads it.
pub(super) fn decode(
    identity: &LogIdentity,
    chunk: &[u8],
    index: u32,
) -> Result<(ChunkHead, Rows), StateFault> {
    let damaged = StateFault::Damaged { index };
    if chunk.len() < ENVELOPE_BYTES
        || chunk[at::MAGIC..at::VERSION] != MAGIC
        || get_u32(chunk, at::CRC) != checksum(identity, chunk)
    {
        return Err(damaged);
    }
    let found = get_u16(chunk, at::VERSION);
    if found != VERSION {
        return Err(StateFault::Version { found });
    }
    let head = read_head(identity, chunk).ok_or(damaged.clone())?;
    let end = ENVELOPE_BYTES.saturating_add(get_u32(chunk, at::PAYLOAD_LEN) as usize);
    let payload = chunk.get(ENVELOPE_BYTES..end).ok_or(damaged.clone())?;
    let mut aligned = AlignedVec::<16>::with_capacity(payload.len());
    aligned.extend_from_slice(payload);
    let rows = read_rows(head.table, &aligned).map_err(|_| damaged)?;
    Ok((head, rows))
}

fn read_head(identity: &LogIdentity, chunk: &[u8]) -> Option<ChunkHead> {
    let head = ChunkHead {
        table: Table::from_byte(chunk[at::TABLE])?,
        last_of_table: chunk[at::FLAGS] & FLAG_LAST_OF_TABLE != 0,
        generation: get_u64(chunk, at::GENERATION),
        index: get_u32(chunk, at::INDEX),
        position: LogOffset(get_u64(chunk, at::POSITION)),
    };
    let reserved = chunk[at::ZERO..at::CRC].iter().all(|&byte| byte == 0);
    let ours = get_u16(chunk, at::SHARD) == u16::from(identity.shard.0);
    (reserved && ours && get_u16(chunk, at::RESERVED) == 0).then_some(head)
}

fn read_rows(table: Table, payload: &[u8]) -> Result<Rows, rancor::Error> {
    Ok(match table {
        Table::Counters => Rows::Counters(rkyv::from_bytes(payload)?),
        Table::Queues => Rows::Queues(rkyv::from_bytes(payload)?),
        Table::GroupNames => Rows::Names(rkyv::from_bytes(payload)?),
        Table::Offsets => Rows::Offsets(rkyv::from_bytes(payload)?),
        Table::Topics => Rows::Topics(rkyv::from_bytes(payload)?),
        Table::Groups => Rows::Groups(rkyv::from_bytes(payload)?),
    })
}

fn checksum(identity: &LogIdentity, chunk: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(identity.seed, &chunk[..at::CRC]);
    crc32c::crc32c_append(head, &chunk[ENVELOPE_BYTES..])
}

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

use ringmq_ring::{ALIGNMENT, AlignedBuf};
use thiserror::Error;

use crate::types::{LogOffset, QueueNumber, ShardIndex};

mod damaged;
mod record_crc;

pub use damaged::{DamagedBlock, DamagedRecord};
pub(crate) use record_crc::record_crc;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 128;
/// Bytes of one list entry.
pub const ENTRY_BYTES: usize = 16;
/// Bytes at the very end of a block.
pub const FOOTER_BYTES: usize = 64;
/// Version of the block format written by this build.
pub const BLOCK_VERSION: u16 = 1;

/// Named offsets in the header, in the order of `FORMAT.md`.
pub(crate) mod header_at {
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

/// Named offsets in the footer.
pub(crate) mod footer_at {
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
pub(crate) mod entry_at {
    pub const LEN: usize = 0;
    pub const CRC: usize = 4;
    pub const QUEUE: usize = 8;
    pub const CHECK: usize = 12;
}

const HEADER_MAGIC: [u8; 8] = *b"RMQBLOCK";
const FOOTER_MAGIC: [u8; 8] = *b"RMQTRAIL";

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

/// What is known only when a block is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealFields {
    /// Where the block begins.
    pub at: LogOffset,
    /// Number of the block in this shard's log, one more than the block before it.
    pub sequence: u64,
    /// The run of the broker that writes it.
    pub epoch: u64,
    /// W: everything below this position is durable now. The end of a block.
    pub durable: LogOffset,
    /// Checksum of the block before it; 0 for the first block of a store.
    pub previous_checksum: u32,
}

/// A block ready to be written.
#[derive(Debug)]
pub struct SealedBlock {
    /// The whole block and nothing else.
    pub buffer: AlignedBuf,
    /// What the next block carries as `previous_checksum`.
    pub checksum: u32,
    /// Records in it.
    pub count: u32,
    /// Store time of its first record, in milliseconds.
    pub first_ms: i64,
    /// Store time of its last record.
    pub last_ms: i64,
}

/// Where a committed record lies in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// From the first byte of the block.
    pub within_block: u32,
    /// Length of the record in bytes.
    pub len: u32,
    /// CRC32C of the record.
    pub crc: u32,
}

/// Bytes of the sealed block that holds `count` records of `records_len` bytes together.
pub fn sealed_len(records_len: usize, count: usize) -> usize {
    (HEADER_BYTES + records_len + count * ENTRY_BYTES + FOOTER_BYTES).next_multiple_of(ALIGNMENT)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    len: u32,
    crc: u32,
    queue: QueueNumber,
}

impl Entry {
    /// Seeded with salt and index: an entry is believed alone, whatever happened to its neighbours.
    fn check(&self, seed: u32, index: u32) -> u32 {
        let mut bytes = [0; 16];
        put_u32(&mut bytes, entry_at::LEN, self.len);
        put_u32(&mut bytes, entry_at::CRC, self.crc);
        put_u32(&mut bytes, entry_at::QUEUE, self.queue.0);
        put_u32(&mut bytes, entry_at::CHECK, index);
        crc32c::crc32c_append(seed, &bytes)
    }

    fn read(bytes: &[u8]) -> (Self, u32) {
        let entry = Entry {
            len: get_u32(bytes, entry_at::LEN),
            crc: get_u32(bytes, entry_at::CRC),
            queue: QueueNumber(get_u32(bytes, entry_at::QUEUE)),
        };
        (entry, get_u32(bytes, entry_at::CHECK))
    }

    fn write(&self, bytes: &mut [u8], seed: u32, index: u32) {
        put_u32(bytes, entry_at::LEN, self.len);
        put_u32(bytes, entry_at::CRC, self.crc);
        put_u32(bytes, entry_at::QUEUE, self.queue.0);
        put_u32(bytes, entry_at::CHECK, self.check(seed, index));
    }
}

/// Gathers records straight into the aligned buffer that will be written.
///
/// `begin` lends the slot, the caller encodes into it, `commit` takes it in; a slot that is begun
/// and not committed is given to the next `begin`. Sealing cuts the block off the front of the
/// buffer; what is left of the buffer holds the next block.
#[derive(Debug)]
pub struct BlockBuilder {
    buffer: Option<AlignedBuf>,
    cap: usize,
    records_len: usize,
    slot_len: usize,
    entries: Vec<Entry>,
    first_ms: i64,
    last_ms: i64,
}

impl BlockBuilder {
    /// A builder of blocks of at most `cap` bytes, without a buffer yet.
    pub fn new(cap: usize) -> Self {
        Self {
            buffer: None,
            cap,
            records_len: 0,
            slot_len: 0,
            entries: Vec::new(),
            first_ms: 0,
            last_ms: 0,
        }
    }

    /// Goes on in `buffer`, whatever it contains; what the open block holds already is copied over.
    /// The old buffer is dropped.
    ///
    /// # Panics
    /// When `buffer` is too small for the open block.
    pub fn use_buffer(&mut self, mut buffer: AlignedBuf) {
        if let Some(old) = self.buffer.take().filter(|_| !self.is_empty()) {
            let used = HEADER_BYTES + self.records_len;
            assert!(
                buffer.len() >= self.sealed_len(),
                "the open block does not fit"
            );
            buffer[..used].copy_from_slice(&old[..used]);
        }
        self.slot_len = 0;
        self.buffer = Some(buffer);
    }

    /// Begins an empty block of at most `cap` bytes in `buffer`, whatever it contains.
    pub fn gather_in(&mut self, buffer: AlignedBuf, cap: usize) {
        debug_assert!(
            self.is_empty(),
            "a block that holds records keeps its buffer"
        );
        self.buffer = Some(buffer);
        self.cap = cap;
        self.slot_len = 0;
    }

    /// Takes no more records: cuts the buffer at the block's end and gives the rest of it out, so that
    /// the next block can be gathered in it before this one is sealed.
    pub fn close(&mut self) -> Option<AlignedBuf> {
        let len = self.sealed_len();
        self.cap = len;
        let mut buffer = self.buffer.take()?;
        if len >= buffer.len() {
            self.buffer = Some(buffer);
            return None;
        }
        self.buffer = Some(buffer.split_to(len));
        Some(buffer)
    }

    /// Bytes of the buffer at hand, used or not.
    pub fn buffer_len(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// Whether one more record of `len` bytes fits the cap and the buffer.
    pub fn room_for(&self, len: usize) -> bool {
        self.room_for_all(len, 1)
    }

    /// Whether `count` more records of `total_len` bytes together fit.
    pub fn room_for_all(&self, total_len: usize, count: usize) -> bool {
        self.sealed_len_with(total_len, count) <= self.cap.min(self.buffer_len())
    }

    /// Bytes of the block if it were sealed with `count` more records of `total_len` bytes.
    pub fn sealed_len_with(&self, total_len: usize, count: usize) -> usize {
        sealed_len(self.records_len + total_len, self.entries.len() + count)
    }

    /// Bytes of the block if it were sealed now.
    pub fn sealed_len(&self) -> usize {
        self.sealed_len_with(0, 0)
    }

    /// Records committed so far.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing has been committed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the next record will lie, from the first byte of the block.
    pub fn next_within_block(&self) -> u32 {
        (HEADER_BYTES + self.records_len) as u32
    }

    /// Lends the next `len` bytes, whose content is unspecified: the caller writes all of them.
    ///
    /// # Panics
    /// When [`BlockBuilder::room_for`] this length is false.
    pub fn begin(&mut self, len: usize) -> &mut [u8] {
        assert!(self.room_for(len), "no room for {len} bytes in the block");
        self.slot_len = len;
        self.slot()
    }

    /// Takes the lent bytes in as a record of `queue`, stored at `store_ms`.
    pub fn commit(&mut self, queue: QueueNumber, store_ms: i64) -> Placed {
        let within_block = self.next_within_block();
        let crc = record_crc(self.slot());
        let len = self.slot_len as u32;
        if self.entries.is_empty() {
            self.first_ms = store_ms;
        }
        self.last_ms = store_ms;
        self.entries.push(Entry { len, crc, queue });
        self.records_len += self.slot_len;
        self.slot_len = 0;
        Placed {
            within_block,
            len,
            crc,
        }
    }

    fn slot(&mut self) -> &mut [u8] {
        let start = HEADER_BYTES + self.records_len;
        let len = self.slot_len;
        match &mut self.buffer {
            Some(buffer) => &mut buffer[start..start + len],
            None => &mut [],
        }
    }

    /// Writes header and trailer and gives the block out; the next one begins in the rest of the
    /// buffer. `None` when nothing has been committed.
    pub fn seal(&mut self, identity: &LogIdentity, fields: &SealFields) -> Option<SealedBlock> {
        if self.is_empty() {
            return None;
        }
        let header = self.header(fields);
        let len = header.block_len as usize;
        let mut buffer = self.buffer.take()?;
        if len < buffer.len() {
            let block = buffer.split_to(len);
            self.buffer = Some(std::mem::replace(&mut buffer, block));
        }
        let checksum = self.write_frame(identity, &header, &mut buffer);
        self.records_len = 0;
        self.slot_len = 0;
        self.entries.clear();
        Some(SealedBlock {
            buffer,
            checksum,
            count: header.count,
            first_ms: header.first_ms,
            last_ms: header.last_ms,
        })
    }

    fn header(&self, fields: &SealFields) -> BlockHeader {
        BlockHeader {
            at: fields.at,
            sequence: fields.sequence,
            epoch: fields.epoch,
            durable: fields.durable,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            block_len: self.sealed_len() as u32,
            records_len: self.records_len as u32,
            count: self.entries.len() as u32,
            previous_checksum: fields.previous_checksum,
            crc: 0,
        }
    }

    /// Everything but the records; returns the block's checksum.
    fn write_frame(&self, identity: &LogIdentity, header: &BlockHeader, block: &mut [u8]) -> u32 {
        let len = header.block_len as usize;
        let header_crc = header.write(identity, &mut block[..HEADER_BYTES]);
        let list_at = len - FOOTER_BYTES - self.entries.len() * ENTRY_BYTES;
        block[HEADER_BYTES + self.records_len..list_at].fill(0);
        let (entries, footer) = block[list_at..].split_at_mut(self.entries.len() * ENTRY_BYTES);
        let slots = entries.chunks_exact_mut(ENTRY_BYTES);
        for ((index, entry), slot) in self.entries.iter().enumerate().zip(slots) {
            entry.write(slot, identity.seed, index as u32);
        }
        let footer_fields = Footer::of(header, header_crc);
        footer_fields.write(identity, entries, footer)
    }
}

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

    fn write(&self, identity: &LogIdentity, bytes: &mut [u8]) -> u32 {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footer {
    at: LogOffset,
    sequence: u64,
    epoch: u64,
    block_len: u32,
    records_len: u32,
    count: u32,
    header_crc: u32,
}

impl Footer {
    fn of(header: &BlockHeader, header_crc: u32) -> Self {
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

    fn write(&self, identity: &LogIdentity, entries: &[u8], bytes: &mut [u8]) -> u32 {
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
    fn parse(bytes: &[u8], identity: &LogIdentity, at: LogOffset) -> Result<Self, BlockFault> {
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

/// A whole block whose every byte has been verified.
#[derive(Clone, Copy, Debug)]
pub struct BlockView<'a> {
    header: BlockHeader,
    block: &'a [u8],
}

impl<'a> BlockView<'a> {
    /// Verifies the block that begins `bytes` and should lie at `at`; `bytes` may go on beyond it.
    ///
    /// # Errors
    /// `Truncated` when `bytes` ends before the block does; else what is wrong with it.
    pub fn parse(
        bytes: &'a [u8],
        identity: &LogIdentity,
        at: LogOffset,
    ) -> Result<Self, BlockFault> {
        let header = BlockHeader::parse(bytes, identity, at)?;
        let len = header.block_len as usize;
        let block = bytes
            .get(..len)
            .ok_or(BlockFault::Truncated { needed: len })?;
        let footer = Footer::parse(block, identity, at)?;
        if footer != Footer::of(&header, header.crc) {
            return Err(BlockFault::Footer);
        }
        let view = BlockView { header, block };
        view.check_padding()?;
        view.check_records(identity)?;
        Ok(view)
    }

    /// The block's header.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// What the next block carries as its `previous_checksum`.
    pub fn checksum(&self) -> u32 {
        get_u32(self.block, self.block.len() - 4)
    }

    /// All records in the order they were committed.
    pub fn records(&self) -> impl ExactSizeIterator<Item = BlockRecord<'a>> + use<'a> {
        let block = self.block;
        let at = self.header.at;
        let list = &block[self.list_at()..block.len() - FOOTER_BYTES];
        let mut start = HEADER_BYTES;
        list.chunks_exact(ENTRY_BYTES).map(move |bytes| {
            let (entry, _) = Entry::read(bytes);
            let from = start;
            start += entry.len as usize;
            BlockRecord {
                position: at.plus(from as u64),
                queue: entry.queue,
                crc: entry.crc,
                bytes: &block[from..start],
            }
        })
    }

    fn list_at(&self) -> usize {
        self.block.len() - FOOTER_BYTES - self.header.count as usize * ENTRY_BYTES
    }

    fn check_padding(&self) -> Result<(), BlockFault> {
        let from = HEADER_BYTES + self.header.records_len as usize;
        let zero = self.block[from..self.list_at()]
            .iter()
            .all(|&byte| byte == 0);
        if zero {
            Ok(())
        } else {
            Err(BlockFault::Padding)
        }
    }

    fn check_records(&self, identity: &LogIdentity) -> Result<(), BlockFault> {
        let list = &self.block[self.list_at()..self.block.len() - FOOTER_BYTES];
        let end = HEADER_BYTES + self.header.records_len as usize;
        let mut start = HEADER_BYTES;
        for (index, bytes) in (0u32..).zip(list.chunks_exact(ENTRY_BYTES)) {
            let (entry, check) = Entry::read(bytes);
            let next = start.saturating_add(entry.len as usize);
            if check != entry.check(identity.seed, index) || next > end {
                return Err(BlockFault::ListChecksum);
            }
            if record_crc(&self.block[start..next]) != entry.crc {
                return Err(BlockFault::RecordChecksum { index });
            }
            start = next;
        }
        if start == end {
            Ok(())
        } else {
            Err(BlockFault::Lengths)
        }
    }
}

/// One record of a verified block.
#[derive(Clone, Copy, Debug)]
pub struct BlockRecord<'a> {
    /// Where its first byte lies.
    pub position: LogOffset,
    /// Its queue; [`QueueNumber::CONTROL`] for a control record.
    pub queue: QueueNumber,
    /// CRC32C of the bytes.
    pub crc: u32,
    /// The stored record.
    pub bytes: &'a [u8],
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

pub(crate) fn get_u16(bytes: &[u8], at: usize) -> u16 {
    let mut value = [0; 2];
    value.copy_from_slice(&bytes[at..at + 2]);
    u16::from_le_bytes(value)
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

pub(crate) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests;

//! Gathering records into the buffer that will be written.

use ringmq_ring::AlignedBuf;

use super::footer::{Entry, Footer};
use super::{
    BlockHeader, ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES, LogIdentity, record_crc, sealed_len,
};
use crate::types::{LogOffset, QueueNumber};

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
        // Records of a kind follow each other: the next one finds its place in the processor's cache.
        if let Some(buffer) = &self.buffer {
            buffer.prefetch(HEADER_BYTES + self.records_len, len as usize);
        }
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

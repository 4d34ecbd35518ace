//! The entries of one log segment out of the log itself: what an index segment is rebuilt from when
//! its own bytes are damaged or missing.
//!
//! Damaged blocks below the durable watermark are stepped over; what can still be read in them is
//! indexed, and what cannot leaves holes.

use ringmq_protocol::record::RecordView;

use crate::block::{BlockFault, BlockRecord, BlockView, DamagedBlock, LogIdentity};
use crate::control_record::RunStart;
use crate::limits::{SEGMENT_RECORDS_MAX, WRITE_BYTES_MAX};
use crate::queue::{ActiveIndex, BlockTime, Entry};
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

/// Scans one log segment: [`Rebuild::next_read`], then [`Rebuild::feed`] until no read is left.
#[derive(Debug)]
pub struct Rebuild {
    identity: LogIdentity,
    index: ActiveIndex,
    /// Blocks from this number on were set aside, not accepted.
    until_sequence: u64,
    /// The runs of the broker that are known: each has voided what older runs left behind its cut.
    runs: Vec<RunStart>,
    /// The next block begins here, in bytes from the segment's start.
    within: u64,
    /// Bytes that the next block needs.
    needed: u64,
    /// The damaged block here was cut off by the end of a read; the next read begins with it.
    read_again: Option<u64>,
    last_sequence: Option<u64>,
    /// Bytes that hold no readable block, between readable ones.
    damaged_bytes: u64,
    /// Such bytes since the last readable block: damage only if another one follows.
    doubtful_bytes: u64,
    done: bool,
}

/// What a rebuild found.
#[derive(Debug)]
pub struct Rebuilt {
    /// The entries. Their `previous` pointers say no more than "some older segment".
    pub index: ActiveIndex,
    /// Bytes between readable blocks in which nothing could be read.
    pub damaged_bytes: u64,
}

/// A segment that cannot be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "segment {segment}: the record at {at:?} contradicts those before it; run `ringmq-admin verify` on the data folder"
)]
pub struct Contradiction {
    /// The log segment.
    pub segment: SegmentNumber,
    /// The record.
    pub at: LogOffset,
}

impl Rebuild {
    /// A scan of `segment`. `until_sequence` is the number of the first block of the next segment, and
    /// `runs` are those of the manifest: both tell which blocks are a tail that recovery has set aside.
    pub fn new(
        identity: LogIdentity,
        segment: SegmentNumber,
        until_sequence: u64,
        runs: &[RunStart],
    ) -> Self {
        Self {
            identity,
            index: ActiveIndex::new(segment),
            until_sequence,
            runs: runs.to_vec(),
            within: 0,
            needed: 0,
            read_again: None,
            last_sequence: None,
            damaged_bytes: 0,
            doubtful_bytes: 0,
            done: false,
        }
    }

    /// Position in the segment's file and length of the next read; `None` when the scan is done.
    pub fn next_read(&self) -> Option<(u64, usize)> {
        let left = self.identity.segment_bytes.saturating_sub(self.within);
        let wanted = self.needed.max(WRITE_BYTES_MAX as u64).min(left);
        (!self.done && left > 0).then_some((self.within, wanted as usize))
    }

    /// Takes the bytes of the read; they may be shorter at the end of the file.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Contradiction> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.done {
            let Some(taken) = self.take_block(rest)? else {
                return Ok(());
            };
            self.within += taken;
            rest = rest.get(taken as usize..).unwrap_or(&[]);
        }
        self.done |= bytes.is_empty();
        Ok(())
    }

    /// What was found.
    pub fn finish(self) -> Rebuilt {
        Rebuilt {
            index: self.index,
            damaged_bytes: self.damaged_bytes,
        }
    }

    /// Indexes the block at the front of `bytes` and returns its length; `None` when it needs more.
    fn take_block(&mut self, bytes: &[u8]) -> Result<Option<u64>, Contradiction> {
        let start = LogOffset::of_segment(self.index.segment(), self.identity.segment_bytes);
        let at = start.plus(self.within);
        let unit = (ringmq_ring::ALIGNMENT as u64).min(bytes.len() as u64);
        match BlockView::parse(bytes, &self.identity, at) {
            Ok(block) if self.counts(at, block.header().epoch, block.header().sequence) => {
                add_block(&mut self.index, &block)?;
                self.accept(block.header().sequence);
                Ok(Some(u64::from(block.header().block_len)))
            }
            Ok(block) => {
                self.done = block.header().sequence >= self.until_sequence;
                Ok(Some(unit))
            }
            Err(BlockFault::Truncated { needed }) if self.fits(needed) => {
                self.needed = needed as u64;
                Ok(None)
            }
            Err(_) => self.step_over(bytes, at, unit),
        }
    }

    /// Indexes what is left of a damaged block, or steps over one unit of bytes.
    fn step_over(
        &mut self,
        bytes: &[u8],
        at: LogOffset,
        unit: u64,
    ) -> Result<Option<u64>, Contradiction> {
        let block = DamagedBlock::read(bytes, &self.identity, at);
        if let Some(block) = block.filter(|block| self.counts(at, block.epoch, block.sequence)) {
            self.accept(block.sequence);
            self.damaged_bytes += u64::from(block.block_len);
            add_damaged(&mut self.index, &block, bytes)?;
            return Ok(Some(u64::from(block.block_len)));
        }
        // Its footer, and with it the records, may be beyond the end of this read.
        if bytes.len() < WRITE_BYTES_MAX
            && self.read_again.replace(self.within) != Some(self.within)
        {
            return Ok(None);
        }
        self.doubtful_bytes += unit;
        Ok(Some(unit))
    }

    /// Whether a block belongs to the log: later than what was found, and not of a run that a newer one
    /// has cut before it.
    fn counts(&self, at: LogOffset, epoch: u64, sequence: u64) -> bool {
        let mut newer = self.runs.iter().filter(|run| run.epoch > epoch);
        self.last_sequence.is_none_or(|last| sequence > last)
            && sequence < self.until_sequence
            && newer.all(|run| at < run.cut)
    }

    fn accept(&mut self, sequence: u64) {
        self.damaged_bytes += std::mem::take(&mut self.doubtful_bytes);
        self.last_sequence = Some(sequence);
        self.needed = 0;
        self.done = sequence + 1 == self.until_sequence;
    }

    fn fits(&self, needed: usize) -> bool {
        self.within + needed as u64 <= self.identity.segment_bytes && needed as u64 > self.needed
    }
}

/// Adds the records of a verified block and its times to the index of its segment.
pub fn add_block(index: &mut ActiveIndex, block: &BlockView<'_>) -> Result<(), Contradiction> {
    for record in block.records() {
        add_record(index, &record)?;
    }
    let header = block.header();
    index.push_block(BlockTime {
        start: header.at,
        len: header.block_len,
        records: header.count,
        first_store_ms: header.first_ms,
        last_store_ms: header.last_ms,
        sequence: header.sequence,
    });
    Ok(())
}

/// Adds one verified record to the index of its segment; control records are not indexed. Queue
/// offsets that are missing before it become holes.
pub fn add_record(index: &mut ActiveIndex, record: &BlockRecord<'_>) -> Result<(), Contradiction> {
    if record.queue == QueueNumber::CONTROL {
        return Ok(());
    }
    let contradiction = Contradiction {
        segment: index.segment(),
        at: record.position,
    };
    let view = RecordView::parse(record.bytes).map_err(|_| contradiction)?;
    let offset = u64::try_from(view.queue_offset()).map_err(|_| contradiction)?;
    let slot = match index.slot_of(record.queue) {
        Some(slot) => slot,
        None => index.open_slot(record.queue, offset, below(index.segment(), offset)),
    };
    let room = SEGMENT_RECORDS_MAX.saturating_sub(index.records());
    index
        .skip(slot, offset, record.position, room)
        .map_err(|_| contradiction)?;
    let entry = Entry {
        offset: record.position.0,
        tag_hash: view.tags_code(),
        // A record lies in a block, whose length fits 32 bits.
        size: record.bytes.len() as u32,
        crc32c: record.crc,
    };
    index.push(slot, entry);
    Ok(())
}

/// The segment below, for a queue that has older offsets.
fn below(segment: SegmentNumber, first: u64) -> Option<SegmentNumber> {
    let below = segment.0.checked_sub(1).map(SegmentNumber);
    below.filter(|_| first > 0)
}

/// Adds what can be read of a damaged block.
fn add_damaged(
    index: &mut ActiveIndex,
    block: &DamagedBlock,
    bytes: &[u8],
) -> Result<(), Contradiction> {
    for record in &block.records {
        let place = record.queue.zip(record.within_block);
        if let (Some((queue, within)), Some(bytes)) = (place, block.bytes_of(record, bytes)) {
            let position = block.at.plus(u64::from(within));
            let crc = record.crc;
            add_record(
                index,
                &BlockRecord {
                    position,
                    queue,
                    crc,
                    bytes,
                },
            )?;
        }
    }
    if let Some(header) = &block.header {
        index.push_block(BlockTime {
            start: header.at,
            len: header.block_len,
            records: header.count,
            first_store_ms: header.first_ms,
            last_store_ms: header.last_ms,
            sequence: header.sequence,
        });
    }
    Ok(())
}

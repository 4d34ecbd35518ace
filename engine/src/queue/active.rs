//! The index of one log segment while it is in memory: first the active segment's, then, frozen and
//! shared (`Arc<ActiveIndex>`), that of a segment whose index segment is still being written.
//!
//! Entries of all queues share pages of one arena. A queue takes *runs* of it, each twice as long as
//! the one before up to [`RUN_MAX`], so that a queue with one record costs 200 bytes, a lookup is
//! arithmetic, and adding a record allocates nothing but, once per 8192 entries, a page.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::queue::Entry;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

/// Everything known about the records of one segment. Slots are in the order in which queues first
/// appeared; blocks are in log order, and so their times never decrease.
#[derive(Debug, Default)]
pub struct ActiveIndex {
    segment: SegmentNumber,
    slots: Vec<QueueSlot>,
    by_queue: HashMap<QueueNumber, u32, BuildHasherDefault<QueueHasher>>,
    blocks: Vec<BlockTime>,
    pages: Vec<Box<[Entry]>>,
    /// Arena entries given to runs so far.
    used: u32,
    records: u64,
}

/// The entries of one queue within one segment: dense from `first`.
#[derive(Debug)]
pub struct QueueSlot {
    /// Whose entries these are.
    pub queue: QueueNumber,
    /// Queue offset of the first entry.
    pub first: u64,
    /// Entries, holes included.
    pub count: u32,
    /// The queue's older entries are in this segment or, if it has none there, in an older one.
    pub previous: Option<SegmentNumber>,
    /// Arena positions of the doubling runs.
    runs: [u32; DOUBLING_RUNS],
    /// Arena positions of the runs of [`RUN_MAX`] entries that follow.
    more: Vec<u32>,
}

/// One commit block: where it lies and the store times in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTime {
    /// Where its header begins in the shard's log.
    pub start: LogOffset,
    /// Its whole length, padding included.
    pub len: u32,
    /// Records in it, control records included.
    pub records: u32,
    /// Store time of its first record, ms since the epoch.
    pub first_store_ms: i64,
    /// Store time of its last record.
    pub last_store_ms: i64,
    /// The block's sequence number.
    pub sequence: u64,
}

/// Where in a queue a store time lies, as far as the index can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Everything before this offset was stored earlier than the time asked for.
    pub low: u64,
    /// Everything from this offset on was stored at that time or later. Where `low < high`, the
    /// records between share a block with the time, and their own store times decide.
    pub high: u64,
}

/// An entry out of order: the queue's next offset is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue offset {got} cannot follow, the next one is {next}: rebuild this segment's index")]
pub struct OutOfOrder {
    /// The offset that was to be added.
    pub got: u64,
    /// The offset that comes next.
    pub next: u64,
}

const FIRST_RUN: u32 = 4;
/// Entries of the longest run.
pub const RUN_MAX: u32 = 1024;
const DOUBLING_RUNS: usize = 8;
const DOUBLING_TOTAL: u32 = FIRST_RUN * ((1 << DOUBLING_RUNS) - 1);
const PAGE_ENTRIES: u32 = 8192;

const _: () = assert!(FIRST_RUN << DOUBLING_RUNS == RUN_MAX);
const _: () = assert!(PAGE_ENTRIES.is_multiple_of(RUN_MAX));

impl ActiveIndex {
    /// The index of a segment without a block.
    pub fn new(segment: SegmentNumber) -> Self {
        Self {
            segment,
            ..Self::default()
        }
    }

    /// An empty index for another segment in the memory of this one.
    #[must_use]
    pub fn reuse(mut self, segment: SegmentNumber) -> Self {
        self.segment = segment;
        self.slots.clear();
        self.by_queue.clear();
        self.blocks.clear();
        self.used = 0;
        self.records = 0;
        self
    }

    /// Opens a slot for a queue's first record in this segment and returns its number. `previous` is
    /// the newest older segment that may hold records of the queue.
    pub fn open_slot(
        &mut self,
        queue: QueueNumber,
        first: u64,
        previous: Option<SegmentNumber>,
    ) -> u32 {
        // A segment holds at most two million records, so slots fit as well.
        let slot = self.slots.len() as u32;
        self.slots.push(QueueSlot {
            queue,
            first,
            count: 0,
            previous,
            runs: [0; DOUBLING_RUNS],
            more: Vec::new(),
        });
        let before = self.by_queue.insert(queue, slot);
        assert!(before.is_none(), "queue {queue:?} has two slots");
        slot
    }

    /// Adds the next entry of the queue in `slot`.
    pub fn push(&mut self, slot: u32, entry: Entry) {
        let (run, within) = run_of(self.slots[slot as usize].count);
        if within == 0 {
            let start = self.take_run(run_len(run));
            self.slots[slot as usize].add_run(run, start);
        }
        let slot = &mut self.slots[slot as usize];
        let at = slot.run(run) + within;
        slot.count += 1;
        self.pages[(at / PAGE_ENTRIES) as usize][(at % PAGE_ENTRIES) as usize] = entry;
        self.records += 1;
    }

    /// Fills the queue with holes up to `offset`: records that damage took, at or before `position`.
    /// At most `limit` of them; anything else cannot come from a log.
    pub fn skip(
        &mut self,
        slot: u32,
        offset: u64,
        position: LogOffset,
        limit: u64,
    ) -> Result<(), OutOfOrder> {
        let next = self.end(slot);
        if offset < next || offset - next > limit {
            return Err(OutOfOrder { got: offset, next });
        }
        for _ in next..offset {
            self.push(slot, Entry::hole(position));
        }
        Ok(())
    }

    /// Adds a block after all others.
    pub fn push_block(&mut self, block: BlockTime) {
        debug_assert!(self.blocks.last().is_none_or(|last| {
            last.start < block.start && last.last_store_ms <= block.first_store_ms
        }));
        self.blocks.push(block);
    }

    /// The slot of a queue, if it has a record in this segment.
    pub fn slot_of(&self, queue: QueueNumber) -> Option<u32> {
        self.by_queue.get(&queue).copied()
    }

    /// The log segment it describes.
    pub fn segment(&self) -> SegmentNumber {
        self.segment
    }

    /// One per queue with a record in the segment, in the order in which they appeared.
    pub fn slots(&self) -> &[QueueSlot] {
        &self.slots
    }

    /// Every block of the segment.
    pub fn blocks(&self) -> &[BlockTime] {
        &self.blocks
    }

    /// Sum of the entries of all slots, holes included.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The oldest offset in a slot.
    pub fn first(&self, slot: u32) -> u64 {
        self.slots[slot as usize].first
    }

    /// One past the newest offset in a slot.
    pub fn end(&self, slot: u32) -> u64 {
        self.slots[slot as usize].end()
    }

    /// The entry at a queue offset.
    pub fn get(&self, slot: u32, offset: u64) -> Option<Entry> {
        let slot = &self.slots[slot as usize];
        let index = offset.checked_sub(slot.first)?;
        (index < u64::from(slot.count)).then(|| self.entry(slot, index as u32))
    }

    /// Up to `max` entries from a queue offset on; none when the offset is not in the slot.
    pub fn range(&self, slot: u32, offset: u64, max: usize) -> impl Iterator<Item = Entry> + '_ {
        let slot = &self.slots[slot as usize];
        let count = u64::from(slot.count);
        let from = offset.checked_sub(slot.first).unwrap_or(count).min(count);
        let to = from.saturating_add(max as u64).min(count);
        (from as u32..to as u32).map(|index| self.entry(slot, index))
    }

    /// The block that holds this log offset.
    pub fn block_at(&self, offset: LogOffset) -> Option<BlockTime> {
        let after = self.blocks.partition_point(|block| block.start <= offset);
        let block = *self.blocks.get(after.checked_sub(1)?)?;
        (offset.0 < block.start.0 + u64::from(block.len)).then_some(block)
    }

    /// Store time of the newest block; `None` without blocks.
    pub fn last_store_ms(&self) -> Option<i64> {
        self.blocks.last().map(|block| block.last_store_ms)
    }

    /// Where in a slot the first record stored at `store_ms` or later is.
    pub fn at_time(&self, slot: u32, store_ms: i64) -> TimeRange {
        let block = self
            .blocks
            .partition_point(|block| block.last_store_ms < store_ms);
        let Some(block) = self.blocks.get(block) else {
            let end = self.end(slot);
            return TimeRange {
                low: end,
                high: end,
            };
        };
        let (low, high) = block.straddle(store_ms);
        TimeRange {
            low: self.at_position(slot, low),
            high: self.at_position(slot, high),
        }
    }

    /// The first queue offset of a slot whose record lies at or after `position`.
    fn at_position(&self, slot: u32, position: LogOffset) -> u64 {
        let slot = &self.slots[slot as usize];
        let (mut low, mut high) = (0, slot.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(slot, middle).offset < position.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        slot.first + u64::from(low)
    }

    fn entry(&self, slot: &QueueSlot, index: u32) -> Entry {
        let (run, within) = run_of(index);
        let at = slot.run(run) + within;
        self.pages[(at / PAGE_ENTRIES) as usize][(at % PAGE_ENTRIES) as usize]
    }

    /// Takes `len` arena entries that lie in one page.
    fn take_run(&mut self, len: u32) -> u32 {
        let left = PAGE_ENTRIES - self.used % PAGE_ENTRIES;
        let start = if left < len {
            self.used + left
        } else {
            self.used
        };
        self.used = start + len;
        if self.pages.len() as u32 * PAGE_ENTRIES < self.used {
            let page = vec![Entry::default(); PAGE_ENTRIES as usize];
            self.pages.push(page.into_boxed_slice());
        }
        start
    }
}

impl QueueSlot {
    /// One past the newest offset.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    fn run(&self, run: u32) -> u32 {
        match self.runs.get(run as usize) {
            Some(&start) => start,
            None => self.more[run as usize - DOUBLING_RUNS],
        }
    }

    fn add_run(&mut self, run: u32, start: u32) {
        match self.runs.get_mut(run as usize) {
            Some(place) => *place = start,
            None => self.more.push(start),
        }
    }
}

impl BlockTime {
    /// The positions before which everything is older than `store_ms`, and from which on nothing is.
    pub(crate) fn straddle(&self, store_ms: i64) -> (LogOffset, LogOffset) {
        if self.first_store_ms >= store_ms {
            (self.start, self.start)
        } else {
            (self.start, self.start.plus(u64::from(self.len)))
        }
    }
}

/// The run that holds a slot's `index`-th entry, and the place in it.
fn run_of(index: u32) -> (u32, u32) {
    if index < DOUBLING_TOTAL {
        let run = (index / FIRST_RUN + 1).ilog2();
        (run, index - FIRST_RUN * ((1 << run) - 1))
    } else {
        let rest = index - DOUBLING_TOTAL;
        (DOUBLING_RUNS as u32 + rest / RUN_MAX, rest % RUN_MAX)
    }
}

fn run_len(run: u32) -> u32 {
    if run < DOUBLING_RUNS as u32 {
        FIRST_RUN << run
    } else {
        RUN_MAX
    }
}

/// Hashes queue numbers, which are our own and dense: one multiplication, the same in every run.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueHasher(u64);

impl Hasher for QueueHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: u64) -> Entry {
        Entry {
            offset,
            tag_hash: -(offset as i64),
            size: 10,
            crc32c: offset as u32,
        }
    }

    fn block(start: u64, first_store_ms: i64, last_store_ms: i64) -> BlockTime {
        BlockTime {
            start: LogOffset(start),
            len: 4096,
            first_store_ms,
            last_store_ms,
            ..BlockTime::default()
        }
    }

    #[test]
    fn a_block_is_found_by_any_offset_in_it() {
        let mut index = ActiveIndex::new(SegmentNumber(0));
        for start in [0, 4096, 12288] {
            index.push_block(block(start, 0, 0));
        }
        let found = |offset| index.block_at(LogOffset(offset)).map(|b| b.start.0);
        assert_eq!(found(5000), Some(4096));
        assert_eq!(found(9000), None);
        assert_eq!(found(12288), Some(12288));
    }

    #[test]
    fn every_entry_is_found_where_it_was_put_however_queues_interleave() {
        let mut index = ActiveIndex::new(SegmentNumber(3));
        for round in 0..2 {
            let slots: Vec<u32> = (0..7u32)
                .map(|q| index.open_slot(QueueNumber(q + 1), u64::from(q) * 10, None))
                .collect();
            for n in 0..9000u64 {
                for (q, &slot) in slots.iter().enumerate() {
                    if q == 0 || n % (1 << q) == 0 {
                        index.push(slot, entry(n * 100 + q as u64));
                    }
                }
            }
            for (q, &slot) in slots.iter().enumerate() {
                let step = if q == 0 { 1 } else { 1 << q };
                let expected: Vec<Entry> = (0..9000u64)
                    .step_by(step)
                    .map(|n| entry(n * 100 + q as u64))
                    .collect();
                let first = q as u64 * 10;
                assert_eq!(index.end(slot), first + expected.len() as u64);
                let all: Vec<Entry> = index.range(slot, first, usize::MAX).collect();
                assert_eq!(all, expected);
                assert_eq!(index.get(slot, first + 5), Some(expected[5]));
                assert_eq!(index.get(slot, index.end(slot)), None);
                assert_eq!(index.slot_of(QueueNumber(q as u32 + 1)), Some(slot));
            }
            let pages = index.pages.len();
            index = index.reuse(SegmentNumber(round + 4));
            assert_eq!(
                (index.pages.len(), index.records(), index.slots().len()),
                (pages, 0, 0)
            );
        }
    }

    #[test]
    fn a_range_outside_a_slot_is_empty() {
        let mut index = ActiveIndex::new(SegmentNumber(0));
        let slot = index.open_slot(QueueNumber(1), 100, None);
        index.push(slot, entry(0));
        for offset in [0, 99, 101, u64::MAX] {
            assert_eq!(index.range(slot, offset, 9).count(), 0, "{offset}");
            assert_eq!(index.get(slot, offset), None);
        }
        assert_eq!(index.range(slot, 100, 9).count(), 1);
    }

    #[test]
    fn lost_records_leave_holes_and_nothing_goes_backwards() {
        let mut index = ActiveIndex::new(SegmentNumber(0));
        let slot = index.open_slot(QueueNumber(1), 5, None);
        index.push(slot, entry(0));
        assert!(index.skip(slot, 9, LogOffset(4096), 100).is_ok());
        assert_eq!(index.end(slot), 9);
        assert!(index.get(slot, 8).is_some_and(|entry| entry.is_hole()));
        assert!(index.skip(slot, 8, LogOffset(4096), 100).is_err());
        assert!(index.skip(slot, 200, LogOffset(4096), 100).is_err());
    }

    #[test]
    fn a_time_is_found_to_the_block_and_exactly_between_blocks() {
        let mut index = ActiveIndex::new(SegmentNumber(0));
        let slot = index.open_slot(QueueNumber(1), 50, None);
        for (start, first, last) in [(0, 10, 10), (4096, 12, 15), (8192, 15, 20)] {
            index.push_block(block(start, first, last));
            index.push(slot, entry(start + 128));
            index.push(slot, entry(start + 228));
        }
        let at = |ms| {
            let range = index.at_time(slot, ms);
            (range.low, range.high)
        };
        assert_eq!(at(9), (50, 50));
        assert_eq!(at(10), (50, 50));
        assert_eq!(at(11), (52, 52));
        assert_eq!(at(13), (52, 54));
        assert_eq!(at(15), (52, 54));
        assert_eq!(at(16), (54, 56));
        assert_eq!(at(21), (56, 56));
    }
}

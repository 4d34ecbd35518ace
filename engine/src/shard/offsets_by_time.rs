//! A queue's offset by store time. Indexes know the time of each block; within the one block that
//! remains, the records' own store times decide.

use ringmq_protocol::RecordView;
use ringmq_ring::Io;

use crate::block::record_crc;
use crate::index::{Step, TimeLookup, TimeOutcome};
use crate::pull::{Boundary, OffsetOutcome, Ticket};
use crate::queue::{ActiveIndex, Entry, TimeRange};
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

use super::Shard;
use super::cold::{Began, ColdTask, Need};

/// A search by time on its way.
#[derive(Debug)]
pub(super) struct TimeTask {
    pub(super) ticket: Ticket,
    queue: QueueNumber,
    /// The first record stored at this time or later is looked for.
    store_ms: i64,
    boundary: Boundary,
    /// What memory knows: the answer unless older segments have a better one.
    range: TimeRange,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Index segments may have an older record.
    Search(TimeLookup),
    /// Records of one block decide.
    Narrow,
    /// The record in the middle has this entry.
    Entry(Entry),
}

impl TimeTask {
    pub(super) fn needed(&self) -> Option<Entry> {
        match self.stage {
            Stage::Entry(entry) => Some(entry),
            _ => None,
        }
    }

    pub(super) fn take_entries(&mut self, first: u64, entries: Vec<Entry>) -> Option<QueueNumber> {
        let entry = entries.first().filter(|_| first == self.middle())?;
        self.stage = Stage::Entry(*entry);
        Some(self.queue)
    }

    fn middle(&self) -> u64 {
        self.range.low + (self.range.high - self.range.low) / 2
    }

    fn take_outcome(&mut self, outcome: TimeOutcome) {
        if let TimeOutcome::Found(range) = outcome {
            self.range = range;
        }
        self.stage = Stage::Narrow;
    }
}

impl<I: Io> Shard<I> {
    /// The offset of the record stored at `wall_ms`, or the nearest by `boundary`; the queue's end when
    /// all are older (lower), its beginning when all are newer (upper).
    pub fn offset_by_time(
        &mut self,
        io: &mut I,
        queue: QueueNumber,
        wall_ms: i64,
        boundary: Boundary,
        ticket: Ticket,
    ) -> OffsetOutcome {
        let store_ms = match boundary {
            Boundary::Lower => wall_ms,
            // The last one at or before a time is the one before the first later one.
            Boundary::Upper => wall_ms.saturating_add(1),
        };
        let (range, older) = self.range_in_memory(queue, store_ms);
        let stage = match self.newest_index_segment(queue).filter(|_| older) {
            Some(newest) => Stage::Search(TimeLookup::new(queue, store_ms, Some(newest))),
            None => Stage::Narrow,
        };
        let task = TimeTask {
            ticket,
            queue,
            store_ms,
            boundary,
            range,
            stage,
        };
        match self.run_time(io, task) {
            Some(offset) => OffsetOutcome::Ready(offset),
            None => OffsetOutcome::Pending,
        }
    }

    /// Store time of the oldest record of a queue that is kept, to the block: `None` for an empty queue or
    /// when its oldest record is not in an index in memory and its segment is not known.
    pub fn earliest_store_time(&self, queue: QueueNumber) -> Option<i64> {
        let row = self.queues.get(queue)?;
        if row.min == row.visible {
            return None;
        }
        for index in self.indexes_in_memory() {
            if let Some(entry) = entry_in(index, queue, row.min) {
                let block = index.block_at(LogOffset(entry.offset))?;
                return Some(block.first_store_ms);
            }
        }
        let oldest = self.indexes.oldest()?;
        Some(self.indexes.open_segment(oldest)?.header.times?.0)
    }

    /// Store time of the first block of a segment that has records of queues.
    pub(super) fn first_store_ms(&self, segment: SegmentNumber) -> Option<i64> {
        let in_memory = self.indexes_in_memory().find(|i| i.segment() == segment);
        if let Some(index) = in_memory {
            let first = index.blocks().first().filter(|_| index.records() > 0);
            return first.map(|block| block.first_store_ms);
        }
        Some(self.indexes.open_segment(segment)?.header.times?.0)
    }

    pub(super) fn run_time(&mut self, io: &mut I, mut task: TimeTask) -> Option<u64> {
        loop {
            let need = match &mut task.stage {
                Stage::Search(lookup) => match lookup.start(&mut self.indexes) {
                    Step::Read(read) => Need::Pages(read),
                    Step::Done(outcome) => {
                        if let TimeOutcome::Damaged(damage) = outcome {
                            self.index_damaged(io, damage);
                        }
                        task.take_outcome(outcome);
                        continue;
                    }
                },
                Stage::Narrow if task.range.low >= task.range.high => {
                    return Some(self.best_guess(&task));
                }
                Stage::Narrow => match self.entry_in_memory(task.queue, task.middle()) {
                    Some(entry) => {
                        task.stage = Stage::Entry(entry);
                        continue;
                    }
                    None => Need::Entries {
                        queue: task.queue,
                        offset: task.middle(),
                    },
                },
                Stage::Entry(entry) => {
                    let entry = *entry;
                    match self.store_ms_of(entry) {
                        Some(store_ms) => {
                            narrow(&mut task, store_ms);
                            continue;
                        }
                        None if entry.is_hole() => return Some(self.best_guess(&task)),
                        None => Need::Record(entry),
                    }
                }
            };
            match self.begin_read(io, need, ColdTask::Time(task)) {
                Began::Ready(ColdTask::Time(ready)) => task = ready,
                Began::Refused(ColdTask::Time(refused))
                | Began::Broken(ColdTask::Time(refused)) => {
                    return Some(self.best_guess(&refused));
                }
                _ => return None,
            }
        }
    }

    pub(super) fn feed_time(&mut self, io: &mut I, bytes: &[u8], mut task: TimeTask) -> Began {
        let Stage::Search(lookup) = &mut task.stage else {
            return Began::Refused(ColdTask::Time(task));
        };
        match lookup.feed(&mut self.indexes, bytes) {
            Step::Read(read) => self.begin_read(io, Need::Pages(read), ColdTask::Time(task)),
            Step::Done(outcome) => {
                if let TimeOutcome::Damaged(damage) = outcome {
                    self.index_damaged(io, damage);
                }
                task.take_outcome(outcome);
                Began::Ready(ColdTask::Time(task))
            }
        }
    }

    /// The answer as far as it is known.
    pub(super) fn best_guess(&self, task: &TimeTask) -> u64 {
        let offsets = self.offsets(task.queue);
        let offset = match task.boundary {
            Boundary::Lower => task.range.low,
            Boundary::Upper => task.range.low.saturating_sub(1),
        };
        offset.clamp(offsets.min, offsets.max)
    }

    /// Where the time lies in the newest indexes, and whether older ones may have an earlier record of it.
    fn range_in_memory(&self, queue: QueueNumber, store_ms: i64) -> (TimeRange, bool) {
        let end = self.queues.get(queue).map_or(0, |row| row.next);
        let mut range = TimeRange {
            low: end,
            high: end,
        };
        for index in self.indexes_in_memory() {
            let Some(slot) = index.slot_of(queue) else {
                continue;
            };
            range = index.at_time(slot, store_ms);
            if range.low > index.first(slot) {
                return (range, false);
            }
        }
        (range, true)
    }

    /// Newest first.
    fn indexes_in_memory(&self) -> impl Iterator<Item = &ActiveIndex> {
        let frozen = self.log.frozen.iter().rev();
        std::iter::once(&self.log.active).chain(frozen.map(|frozen| &*frozen.index))
    }

    fn entry_in_memory(&self, queue: QueueNumber, offset: u64) -> Option<Entry> {
        self.indexes_in_memory()
            .find_map(|index| entry_in(index, queue, offset))
    }

    /// Store time of a record whose bytes are in memory.
    fn store_ms_of(&self, entry: Entry) -> Option<i64> {
        let (place, len) = (LogOffset(entry.offset), entry.size as usize);
        let (bytes, at) = match self.log.hot_block(place) {
            Some((start, block)) => (block, (place.0 - start.0) as usize),
            None => self.cold.window_at(place, len)?,
        };
        let record = bytes.get(at..at + len)?;
        if record_crc(record) != entry.crc32c {
            // Its block's time will have to do.
            return Some(i64::MIN);
        }
        Some(RecordView::parse(record).map_or(i64::MIN, |record| record.store_timestamp()))
    }
}

fn entry_in(index: &ActiveIndex, queue: QueueNumber, offset: u64) -> Option<Entry> {
    index.get(index.slot_of(queue)?, offset)
}

fn narrow(task: &mut TimeTask, store_ms: i64) {
    let middle = task.middle();
    if store_ms < task.store_ms {
        task.range.low = middle + 1;
    } else {
        task.range.high = middle;
    }
    task.stage = Stage::Narrow;
}

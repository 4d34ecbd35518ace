//! A queue's offset by store time: the segment by its header, the block by the block table, the entry
//! by the queue's entries. Store times never decrease within a shard, so each is a binary search.

use crate::index::bisect::{Bisect, Stop};
use crate::index::page::{Damage, Kind};
use crate::index::row::{BLOCKS_PER_PAGE, ENTRIES_PER_PAGE, Row, block_at, entry_at};
use crate::index::set::{End, Goal, IndexSet, PageRead, Slot, Step, Walk};
use crate::queue::TimeRange;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

/// The search for the first record of a queue stored at a time or later, in the index segments of a
/// shard: [`TimeLookup::start`], then [`TimeLookup::feed`] with what each [`Step::Read`] asks for.
#[derive(Clone, Debug)]
pub struct TimeLookup {
    queue: QueueNumber,
    store_ms: i64,
    newest: Option<SegmentNumber>,
    stage: Stage,
    asked: Option<PageRead>,
}

/// How a search by time ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeOutcome {
    /// Offsets of the queue, as [`TimeRange`] says.
    Found(TimeRange),
    /// All records of the queue in index segments are older: go on with those in memory.
    Above,
    /// This index segment must be rebuilt first; the queue is busy meanwhile.
    Damaged(Damage),
}

#[derive(Clone, Debug)]
enum Stage {
    /// The segment is not chosen yet.
    Start,
    /// The first block with the time or a later one, in the block table of a segment.
    Blocks(SegmentNumber, Bisect),
    /// The queue's oldest row in that segment or above, with the positions that the time lies between.
    Walk(SegmentNumber, (LogOffset, LogOffset), Walk),
    /// The queue's first entry at or after the first position, then after the second.
    Entries(
        SegmentNumber,
        Row,
        (LogOffset, LogOffset),
        Option<u64>,
        Bisect,
    ),
}

impl TimeLookup {
    /// A search in `queue`, whose newest index segment is at most `newest`.
    pub fn new(queue: QueueNumber, store_ms: i64, newest: Option<SegmentNumber>) -> Self {
        Self {
            queue,
            store_ms,
            newest,
            stage: Stage::Start,
            asked: None,
        }
    }

    /// Begins: an answer if the cache has all that is needed, else the first read.
    pub fn start<F>(&mut self, set: &mut IndexSet<F>) -> Step<TimeOutcome> {
        let step = self.run(set);
        self.asked = match &step {
            Step::Read(read) => Some(*read),
            Step::Done(_) => None,
        };
        step
    }

    /// Takes the bytes of the read that was asked for: an answer or the next read.
    pub fn feed<F>(&mut self, set: &mut IndexSet<F>, bytes: &[u8]) -> Step<TimeOutcome> {
        if let Some(read) = self.asked.take() {
            match set.take(read, bytes) {
                Ok(true) => {}
                Ok(false) => self.stage = Stage::Start,
                Err(damage) => return Step::Done(TimeOutcome::Damaged(damage)),
            }
        }
        self.start(set)
    }

    fn run<F>(&mut self, set: &mut IndexSet<F>) -> Step<TimeOutcome> {
        loop {
            let step = match &self.stage {
                Stage::Start => self.choose_segment(set),
                Stage::Blocks(..) => self.search_blocks(set),
                Stage::Walk(..) => self.walk(set),
                Stage::Entries(..) => self.search_entries(set),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn choose_segment<F>(&mut self, set: &IndexSet<F>) -> Option<Step<TimeOutcome>> {
        let outcome = match segment_at(set, self.store_ms) {
            Ok(None) => TimeOutcome::Above,
            Err(damage) => TimeOutcome::Damaged(damage),
            Ok(Some((segment, blocks))) => {
                self.stage = Stage::Blocks(segment, Bisect::new(0, blocks, BLOCKS_PER_PAGE));
                return None;
            }
        };
        Some(Step::Done(outcome))
    }

    fn search_blocks<F>(&mut self, set: &mut IndexSet<F>) -> Option<Step<TimeOutcome>> {
        let Stage::Blocks(segment, bisect) = &mut self.stage else {
            return None;
        };
        let segment = *segment;
        let store_ms = self.store_ms;
        let before = |payload: &[u8], at| block_at(payload, at).last_store_ms < store_ms;
        let found = match bisect.run(set, segment, Kind::Blocks, before) {
            Ok(found) => found,
            Err(stop) => return Some(stop.into()),
        };
        let block = match bisect.item(set, segment, Kind::Blocks, found, block_at) {
            Ok(block) => block,
            Err(stop) => return Some(stop.into()),
        };
        let goal = Goal::Since(segment);
        let walk = Walk::new(self.queue, goal, self.newest);
        self.stage = Stage::Walk(segment, block.straddle(store_ms), walk);
        None
    }

    fn walk<F>(&mut self, set: &mut IndexSet<F>) -> Option<Step<TimeOutcome>> {
        let Stage::Walk(since, positions, walk) = &mut self.stage else {
            return None;
        };
        let end = match walk.run(set) {
            Step::Read(read) => return Some(Step::Read(read)),
            Step::Done(end) => end,
        };
        let outcome = match end {
            End::Row(segment, row) if segment == *since => {
                let from = u64::from(row.ordinal);
                let bisect = Bisect::new(from, from + u64::from(row.count), ENTRIES_PER_PAGE);
                self.stage = Stage::Entries(segment, row, *positions, None, bisect);
                return None;
            }
            End::Row(_, row) => TimeOutcome::Found(TimeRange {
                low: row.first,
                high: row.first,
            }),
            End::Damaged(damage) => TimeOutcome::Damaged(damage),
            End::Nothing | End::Above | End::Hole(_) => TimeOutcome::Above,
        };
        Some(Step::Done(outcome))
    }

    fn search_entries<F>(&mut self, set: &mut IndexSet<F>) -> Option<Step<TimeOutcome>> {
        let Stage::Entries(segment, row, (low, high), found_low, bisect) = &mut self.stage else {
            return None;
        };
        let position = if found_low.is_none() { *low } else { *high };
        let before = |payload: &[u8], at| entry_at(payload, at).offset < position.0;
        let found = match bisect.run(set, *segment, Kind::Entries, before) {
            Ok(found) => found,
            Err(stop) => return Some(stop.into()),
        };
        let offset_of = |ordinal: u64| row.first + (ordinal - u64::from(row.ordinal));
        let end = u64::from(row.ordinal) + u64::from(row.count);
        match *found_low {
            None if low != high => {
                *found_low = Some(found);
                *bisect = Bisect::new(found, end, ENTRIES_PER_PAGE);
                None
            }
            start => Some(Step::Done(TimeOutcome::Found(TimeRange {
                low: offset_of(start.unwrap_or(found)),
                high: offset_of(found),
            }))),
        }
    }
}

/// The first segment with a record stored at `store_ms` or later, and its number of blocks. Damage
/// counts only where the answer may be.
fn segment_at<F>(set: &IndexSet<F>, store_ms: i64) -> Result<Option<(SegmentNumber, u64)>, Damage> {
    let mut unknown = None;
    for (segment, slot) in set.slots() {
        let open = match slot {
            Slot::Open(open) => open,
            Slot::Damaged(damage) => {
                unknown = unknown.or(Some(*damage));
                continue;
            }
        };
        let Some((first, last)) = open.header.times else {
            continue;
        };
        if last < store_ms {
            unknown = None;
            continue;
        }
        return match unknown {
            Some(damage) if first >= store_ms => Err(damage),
            _ => Ok(Some((segment, open.header.section(Kind::Blocks).items))),
        };
    }
    unknown.map_or(Ok(None), Err)
}

impl From<Stop> for Step<TimeOutcome> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Read(read) => Self::Read(read),
            Stop::Damaged(damage) => Self::Done(TimeOutcome::Damaged(damage)),
        }
    }
}

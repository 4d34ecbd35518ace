//! The commit block that holds a log position, out of the block table of its index segment.

use crate::index::bisect::{Bisect, Stop};
use crate::index::page::{Damage, Kind};
use crate::index::row::{BLOCKS_PER_PAGE, block_at};
use crate::index::set::{IndexSet, PageRead, Step};
use crate::queue::BlockTime;
use crate::types::{LogOffset, SegmentNumber};

/// The search for a block: [`BlockLookup::start`], then [`BlockLookup::feed`] with what each
/// [`Step::Read`] asks for.
#[derive(Clone, Debug)]
pub struct BlockLookup {
    segment: SegmentNumber,
    position: LogOffset,
    bisect: Option<Bisect>,
    asked: Option<PageRead>,
}

/// How the search for a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOutcome {
    /// This block.
    Found(BlockTime),
    /// No block holds the position, or its segment has no index segment here.
    Absent,
    /// This index segment must be rebuilt first.
    Damaged(Damage),
}

impl BlockLookup {
    /// A search for the block at `position`, which lies in `segment`.
    pub fn new(segment: SegmentNumber, position: LogOffset) -> Self {
        Self {
            segment,
            position,
            bisect: None,
            asked: None,
        }
    }

    /// Begins: an answer if the cache has all that is needed, else the first read.
    pub fn start<F>(&mut self, set: &mut IndexSet<F>) -> Step<BlockOutcome> {
        match self.run(set) {
            Ok(outcome) => Step::Done(outcome),
            Err(Stop::Damaged(damage)) => Step::Done(BlockOutcome::Damaged(damage)),
            Err(Stop::Read(read)) => {
                self.asked = Some(read);
                Step::Read(read)
            }
        }
    }

    /// Takes the bytes of the read that was asked for: an answer or the next read.
    pub fn feed<F>(&mut self, set: &mut IndexSet<F>, bytes: &[u8]) -> Step<BlockOutcome> {
        match self.asked.take().map(|read| set.take(read, bytes)) {
            Some(Ok(false)) => Step::Done(BlockOutcome::Absent),
            Some(Err(damage)) => Step::Done(BlockOutcome::Damaged(damage)),
            Some(Ok(true)) | None => self.start(set),
        }
    }

    fn run<F>(&mut self, set: &mut IndexSet<F>) -> Result<BlockOutcome, Stop> {
        if let Some(damage) = set.damage_of(self.segment) {
            return Ok(BlockOutcome::Damaged(damage));
        }
        let Some(open) = set.open_segment(self.segment) else {
            return Ok(BlockOutcome::Absent);
        };
        let blocks = open.header.section(Kind::Blocks).items;
        let position = self.position;
        let bisect = self
            .bisect
            .get_or_insert(Bisect::new(0, blocks, BLOCKS_PER_PAGE));
        let not_above = |payload: &[u8], at| block_at(payload, at).start <= position;
        let after = bisect.run(set, self.segment, Kind::Blocks, not_above)?;
        let Some(number) = after.checked_sub(1) else {
            return Ok(BlockOutcome::Absent);
        };
        let block = bisect.item(set, self.segment, Kind::Blocks, number, block_at)?;
        let inside = position < block.start.plus(u64::from(block.len));
        Ok(if inside {
            BlockOutcome::Found(block)
        } else {
            BlockOutcome::Absent
        })
    }
}

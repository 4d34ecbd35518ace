//! One record by its physical offset: the block that holds the offset is found, read and verified, and a
//! record must begin exactly there.

use bytes::Bytes;
use ringmq_ring::Io;

use crate::block::{BlockView, DamagedBlock, LogIdentity};
use crate::index::{BlockLookup, BlockOutcome, Step};
use crate::pull::{Ticket, View, ViewOutcome};
use crate::queue::BlockTime;
use crate::types::{LogOffset, PhysicalOffset, QueueNumber};

use super::Shard;
use super::cold::{Began, ColdTask, Need};

/// A view on its way.
#[derive(Debug)]
pub(super) struct ViewTask {
    pub(super) ticket: Ticket,
    position: LogOffset,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The block is looked for in the indexes in memory.
    Memory,
    /// The block is looked for in an index segment.
    Search(BlockLookup),
    /// The block has to be read.
    Found(BlockTime),
    /// The block was read.
    Read(LogOffset, Bytes),
    /// No block holds the position.
    Absent,
    /// The index segment that knows is being rebuilt.
    Rebuilding,
}

impl ViewTask {
    pub(super) fn take_block(&mut self, start: LogOffset, bytes: Bytes) {
        self.stage = Stage::Read(start, bytes);
    }

    fn take_outcome(&mut self, outcome: BlockOutcome) {
        self.stage = match outcome {
            BlockOutcome::Found(block) => Stage::Found(block),
            BlockOutcome::Absent => Stage::Absent,
            BlockOutcome::Damaged(_) => Stage::Rebuilding,
        };
    }
}

impl<I: Io> Shard<I> {
    /// The record that begins at a physical offset, verified.
    pub fn view(&mut self, io: &mut I, physical: PhysicalOffset, ticket: Ticket) -> ViewOutcome {
        let task = ViewTask {
            ticket,
            position: physical.log_offset(),
            stage: Stage::Memory,
        };
        if physical.shard() != self.index {
            return ViewOutcome::Ready(View::Absent);
        }
        match self.run_view(io, task) {
            Some(view) => ViewOutcome::Ready(view),
            None => ViewOutcome::Pending,
        }
    }

    /// Runs a view as far as memory reaches; `None` when it reads.
    pub(super) fn run_view(&mut self, io: &mut I, mut task: ViewTask) -> Option<View> {
        if task.position >= self.visible() || self.log.segments.locate(task.position).is_none() {
            return Some(View::Absent);
        }
        let need = match &mut task.stage {
            Stage::Memory => {
                if let Some((at, block)) = self.log.hot_block(task.position) {
                    let view = record_at(self.log.identity(), at, block, task.position);
                    return Some(self.lent(view));
                }
                let (segment, _) = task.position.split(self.log.segments.size);
                task.stage = match self.block_in_memory(task.position) {
                    Some(block) => Stage::Found(block),
                    None => Stage::Search(BlockLookup::new(segment, task.position)),
                };
                return self.run_view(io, task);
            }
            Stage::Search(lookup) => match lookup.start(&mut self.indexes) {
                Step::Read(read) => Need::Pages(read),
                Step::Done(outcome) => {
                    if let BlockOutcome::Damaged(damage) = outcome {
                        self.index_damaged(io, damage);
                    }
                    task.take_outcome(outcome);
                    return self.run_view(io, task);
                }
            },
            Stage::Found(block) => Need::Range {
                start: block.start,
                len: block.len,
            },
            Stage::Read(start, bytes) => {
                return Some(record_at(self.log.identity(), *start, bytes, task.position));
            }
            Stage::Absent => return Some(View::Absent),
            Stage::Rebuilding => return Some(View::Busy),
        };
        match self.begin_read(io, need, ColdTask::View(task)) {
            Began::Flying => None,
            Began::Broken(_) => Some(View::Damaged),
            Began::Ready(_) | Began::Refused(_) => Some(View::Busy),
        }
    }

    pub(super) fn feed_view(&mut self, io: &mut I, bytes: &[u8], mut task: ViewTask) -> Began {
        let Stage::Search(lookup) = &mut task.stage else {
            return Began::Refused(ColdTask::View(task));
        };
        match lookup.feed(&mut self.indexes, bytes) {
            Step::Read(read) => self.begin_read(io, Need::Pages(read), ColdTask::View(task)),
            Step::Done(outcome) => {
                if let BlockOutcome::Damaged(damage) = outcome {
                    self.index_damaged(io, damage);
                }
                task.take_outcome(outcome);
                Began::Ready(ColdTask::View(task))
            }
        }
    }

    /// A record in memory, copied when readers keep too much of it already.
    fn lent(&self, view: View) -> View {
        match view {
            View::Found(record) if self.log.readers_hold_too_much() => {
                View::Found(Bytes::copy_from_slice(&record))
            }
            view => view,
        }
    }

    fn block_in_memory(&self, position: LogOffset) -> Option<BlockTime> {
        let frozen = self.log.frozen.iter().map(|frozen| &*frozen.index);
        std::iter::once(&self.log.active)
            .chain(frozen)
            .find_map(|index| index.block_at(position))
    }
}

/// The message that begins at `position` in the block at `at`; control records are nobody's business.
fn record_at(identity: &LogIdentity, at: LogOffset, block: &Bytes, position: LogOffset) -> View {
    if let Ok(view) = BlockView::parse(block, identity, at) {
        let record = view.records().find(|record| record.position == position);
        let message = record.filter(|record| record.queue != QueueNumber::CONTROL);
        return message.map_or(View::Absent, |record| {
            View::Found(block.slice_ref(record.bytes))
        });
    }
    let Some(damaged) = DamagedBlock::read(block, identity, at) else {
        return View::Damaged;
    };
    let within = u32::try_from(position.0 - at.0).ok();
    let mut records = damaged.records.iter();
    let Some(record) = records.find(|record| record.within_block == within && within.is_some())
    else {
        // Where the records begin may be what is lost.
        return View::Damaged;
    };
    match (record.queue, damaged.bytes_of(record, block)) {
        (Some(QueueNumber::CONTROL), _) => View::Absent,
        (Some(_), Some(bytes)) => View::Found(block.slice_ref(bytes)),
        _ => View::Damaged,
    }
}

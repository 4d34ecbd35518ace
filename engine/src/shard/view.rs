//! One record by its physical offset: the block that holds the offset is found, read and verified, and a
//! record must begin exactly there.

use bytes::Bytes;
use ringmq_ring::Io;

use crate::block::{BlockView, DamagedBlock, LogIdentity};
use crate::index::{BlockLookup, BlockOutcome, Step};
use crate::pull::{Ticket, ViewOutcome};
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
    /// No block holds the position, or it cannot be read.
    Absent,
}

impl ViewTask {
    pub(super) fn take_block(&mut self, start: LogOffset, bytes: Bytes) {
        self.stage = Stage::Read(start, bytes);
    }

    fn take_outcome(&mut self, outcome: BlockOutcome) {
        self.stage = match outcome {
            BlockOutcome::Found(block) => Stage::Found(block),
            BlockOutcome::Absent | BlockOutcome::Damaged(_) => Stage::Absent,
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
            return ViewOutcome::Ready(None);
        }
        match self.run_view(io, task) {
            Some(record) => ViewOutcome::Ready(record),
            None => ViewOutcome::Pending,
        }
    }

    pub(super) fn run_view(&mut self, io: &mut I, mut task: ViewTask) -> Option<Option<Bytes>> {
        if task.position >= self.visible() {
            return Some(None);
        }
        let need = match &mut task.stage {
            Stage::Memory => {
                if let Some((at, block)) = self.log.hot_block(task.position) {
                    return Some(record_at(self.log.identity(), at, block, task.position));
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
            Stage::Absent => return Some(None),
        };
        match self.begin_read(io, need, ColdTask::View(task)) {
            Began::Flying => None,
            _ => Some(None),
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

    fn block_in_memory(&self, position: LogOffset) -> Option<BlockTime> {
        let frozen = self.log.frozen.iter().map(|frozen| &*frozen.index);
        std::iter::once(&self.log.active)
            .chain(frozen)
            .find_map(|index| index.block_at(position))
    }
}

/// The message that begins at `position` in the block at `at`; control records are nobody's business.
fn record_at(
    identity: &LogIdentity,
    at: LogOffset,
    block: &Bytes,
    position: LogOffset,
) -> Option<Bytes> {
    if let Ok(view) = BlockView::parse(block, identity, at) {
        let record = view.records().find(|record| record.position == position)?;
        let message = record.queue != QueueNumber::CONTROL;
        return message.then(|| block.slice_ref(record.bytes));
    }
    let damaged = DamagedBlock::read(block, identity, at)?;
    let within = u32::try_from(position.0 - at.0).ok();
    let mut records = damaged.records.iter();
    let record = records.find(|record| record.within_block == within && within.is_some())?;
    let message = record
        .queue
        .is_some_and(|queue| queue != QueueNumber::CONTROL);
    let bytes = damaged.bytes_of(record, block).filter(|_| message)?;
    Some(block.slice_ref(bytes))
}

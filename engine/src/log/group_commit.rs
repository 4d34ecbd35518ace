//! Commit blocks on their way: one open, some closed, some in flight, oldest first.
//!
//! There is no timer: a block is submitted as soon as the block before it is done, and holds whatever
//! was appended meanwhile. Blocks complete in order, whatever order the device finishes them in.

use std::collections::VecDeque;

use ringmq_ring::AlignedBuf;

use crate::block::BlockBuilder;
use crate::manifest::BlockMark;
use crate::tickets::Tickets;
use crate::types::{LogOffset, QueueNumber};

/// Consecutive records of one queue in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) queue: QueueNumber,
    pub(crate) count: u32,
}

/// A commit block from its first record to the end of its write.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) builder: BlockBuilder,
    /// Where it begins.
    pub(crate) at: LogOffset,
    /// Where the next one begins; known once it is closed.
    pub(crate) end: LogOffset,
    pub(crate) sequence: u64,
    /// Its checksum; known once it is submitted.
    pub(crate) checksum: u32,
    /// Appends, told when the block is visible.
    pub(crate) acks: Tickets,
    /// Control changes, told when the block is durable.
    pub(crate) durable_acks: Tickets,
    /// Which queues it moves on, and by how much.
    pub(crate) runs: Vec<Run>,
    /// Somebody waits for it: it is submitted as soon as possible.
    pub(crate) pressing: bool,
    /// When it was opened, on the monotonic clock.
    pub(crate) opened_ns: u64,
    pub(crate) first_store_ms: i64,
    pub(crate) last_store_ms: i64,
    /// Writes of it that are not complete; meaningful once submitted.
    pub(crate) parts_left: u32,
}

impl Block {
    /// Where a reader of the log goes on after it.
    pub(crate) fn mark(&self) -> BlockMark {
        BlockMark {
            end: self.end,
            next_sequence: self.sequence + 1,
            checksum: self.checksum,
        }
    }

    /// Counts one more record of `queue`.
    pub(crate) fn count(&mut self, queue: QueueNumber) {
        match self.runs.last_mut() {
            Some(run) if run.queue == queue => run.count += 1,
            _ => self.runs.push(Run { queue, count: 1 }),
        }
    }
}

/// How far a block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Takes records.
    Open,
    /// Its length is fixed; it waits for its turn.
    Closed,
}

/// The blocks between append and completion.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    blocks: VecDeque<Box<Block>>,
    /// How many of them, from the front, are in flight.
    in_flight: usize,
    /// Whether the last of them is open.
    open: bool,
    /// Finished blocks, kept for their vectors.
    #[expect(
        clippy::vec_box,
        reason = "blocks move between the lists as pointers, never as two hundred bytes"
    )]
    spare: Vec<Box<Block>>,
}

/// Finished blocks kept for reuse.
const SPARE_MAX: usize = 8;

impl GroupCommit {
    /// Begins to gather a block at `at` in `buffer`, at most `capacity` bytes long.
    pub(crate) fn open(
        &mut self,
        buffer: AlignedBuf,
        capacity: usize,
        at: LogOffset,
        sequence: u64,
        now_ns: u64,
    ) {
        debug_assert!(!self.open);
        let mut block = self
            .spare
            .pop()
            .unwrap_or_else(|| Box::new(Block::default()));
        block.builder.gather_in(buffer, capacity);
        block.at = at;
        block.end = at;
        block.sequence = sequence;
        block.opened_ns = now_ns;
        block.pressing = false;
        self.blocks.push_back(block);
        self.open = true;
    }

    /// Who waits for any of the blocks, and when the first such block was opened.
    pub(crate) fn waiting(&self) -> (u32, Option<u64>) {
        let waiting = |block: &Block| block.acks.len();
        let first = self.blocks.iter().find(|block| waiting(block) > 0);
        let count: u64 = self.blocks.iter().map(|block| waiting(block)).sum();
        (
            u32::try_from(count).unwrap_or(u32::MAX),
            first.map(|block| block.opened_ns),
        )
    }

    /// The open block.
    pub(crate) fn open_mut(&mut self) -> Option<&mut Block> {
        if self.open {
            self.blocks.back_mut().map(Box::as_mut)
        } else {
            None
        }
    }

    /// The open block.
    pub(crate) fn opened(&self) -> Option<&Block> {
        if self.open {
            self.blocks.back().map(Box::as_ref)
        } else {
            None
        }
    }

    /// Fixes the open block's length; it takes no more records. Returns the block and the end of its
    /// buffer that it does not use.
    pub(crate) fn close(&mut self) -> Option<(&Block, Option<AlignedBuf>)> {
        if !self.open {
            return None;
        }
        self.open = false;
        let block = self.blocks.back_mut()?;
        let rest = block.builder.close();
        block.end = block.at.plus(block.builder.sealed_len() as u64);
        Some((block, rest))
    }

    /// The oldest block that is not in flight, and its stage.
    pub(crate) fn next(&self) -> Option<(&Block, Stage)> {
        let block = self.blocks.get(self.in_flight)?;
        let last = self.in_flight + 1 == self.blocks.len();
        let stage = if last && self.open {
            Stage::Open
        } else {
            Stage::Closed
        };
        Some((block, stage))
    }

    /// Marks the oldest closed block as in flight and returns it.
    pub(crate) fn submit(&mut self) -> Option<&mut Block> {
        let block = self.blocks.get_mut(self.in_flight)?;
        self.in_flight += 1;
        Some(block)
    }

    /// One write of the block with this sequence number is complete. `false` when no such block is in
    /// flight.
    pub(crate) fn part_done(&mut self, sequence: u64) -> bool {
        let flying = self.blocks.iter_mut().take(self.in_flight);
        match flying.into_iter().find(|block| block.sequence == sequence) {
            Some(block) if block.parts_left > 0 => {
                block.parts_left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Where the block with this sequence number begins.
    pub(crate) fn position_of(&self, sequence: u64) -> Option<LogOffset> {
        let block = self.blocks.iter().find(|block| block.sequence == sequence);
        block.map(|block| block.at)
    }

    /// Takes the oldest block out if its write is complete.
    pub(crate) fn pop_done(&mut self) -> Option<Box<Block>> {
        if self.in_flight == 0 || self.blocks.front()?.parts_left > 0 {
            return None;
        }
        self.in_flight -= 1;
        self.blocks.pop_front()
    }

    /// Takes every block out, whatever its stage: after a failure.
    pub(crate) fn pop_any(&mut self) -> Option<Box<Block>> {
        self.in_flight = 0;
        self.open = false;
        self.blocks.pop_front()
    }

    /// Gives a finished block back for its memory.
    pub(crate) fn recycle(&mut self, mut block: Box<Block>) {
        if self.spare.len() < SPARE_MAX {
            block.acks.clear();
            block.durable_acks.clear();
            block.runs.clear();
            self.spare.push(block);
        }
    }

    /// Blocks in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// No block at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl Default for Block {
    fn default() -> Self {
        Self {
            builder: BlockBuilder::new(0),
            at: LogOffset(0),
            end: LogOffset(0),
            sequence: 0,
            checksum: 0,
            acks: Tickets::default(),
            durable_acks: Tickets::default(),
            runs: Vec::new(),
            pressing: false,
            opened_ns: 0,
            first_store_ms: 0,
            last_store_ms: 0,
            parts_left: 0,
        }
    }
}

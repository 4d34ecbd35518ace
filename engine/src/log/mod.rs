//! The commit log of one shard: records get their place here, and become written and durable.
//!
//! ```text
//! append -> open block -> closed -> in flight -> written -> durable -> visible
//! ```

mod buffers;
mod group_commit;
mod hot_tail;
pub mod retention;
pub(crate) mod segment_set;
mod watermarks;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ringmq_ring::planted::{self, planted};
use ringmq_ring::{FileId, Io, Moment};

use crate::block::{self, LogIdentity, Placed, SealFields};
use crate::config::Durability;
use crate::error::{Bound, Refused};
use crate::limits::{
    ARENA_BYTES, ASYNC_FLUSH_NS, BLOCKS_PER_SEGMENT_MIN, CONTROL_SEAL_NS, FROZEN_INDEXES_MAX,
    PINNED_BYTES_MAX, SEGMENT_RECORDS_MAX, SEGMENTS_AHEAD, UNWRITTEN_BYTES_MAX, WRITE_BYTES_MAX,
};
use crate::manifest::BlockMark;
use crate::pull::Ticket;
use crate::queue::{ActiveIndex, BlockTime};
use crate::shard::Settings;
use crate::token::Operation;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

use buffers::Buffers;
pub(crate) use group_commit::Block;
use group_commit::{GroupCommit, Stage};
use hot_tail::HotTail;
use segment_set::SegmentSet;
use watermarks::Watermarks;

/// Who appends: what may be refused differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A message: refused when space or patience is short.
    Send,
    /// A control record: may use the segments kept back for it.
    Control,
}

/// Where a log begins or goes on.
#[derive(Debug)]
pub(crate) struct LogStart {
    pub(crate) identity: LogIdentity,
    pub(crate) epoch: u64,
    /// The last durable block.
    pub(crate) durable: BlockMark,
    /// Where the first block of this run begins.
    pub(crate) next: LogOffset,
    /// Go on in the segment that holds `next`; else it is the next prepared one.
    pub(crate) resume: bool,
    pub(crate) last_store_ms: i64,
    /// The index of the segment that is gone on in.
    pub(crate) active: ActiveIndex,
    /// Indexes of older segments that have no index segment yet, oldest first.
    pub(crate) frozen: Vec<Arc<ActiveIndex>>,
}

/// A frozen index and whether the control plane is writing it.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) index: Arc<ActiveIndex>,
    pub(crate) sent: bool,
}

/// The log of one shard. See the module's text.
pub(crate) struct CommitLog {
    identity: LogIdentity,
    epoch: u64,
    /// Number of the next block to be opened.
    sequence: u64,
    /// After the newest block that was submitted.
    submitted: BlockMark,
    /// After the newest block that is written.
    written: BlockMark,
    /// After the newest block that is durable.
    durable: BlockMark,
    durability: Durability,
    blocks_in_flight: usize,
    block_bytes: usize,
    pub(crate) segments: SegmentSet,
    commit: GroupCommit,
    marks: Watermarks,
    hot: HotTail,
    buffers: Buffers,
    /// Bytes of arenas beyond which readers get copies.
    held_bytes_max: usize,
    /// Entries of the active segment.
    pub(crate) active: ActiveIndex,
    /// Indexes of full segments whose index segments are not on disk yet, oldest first.
    pub(crate) frozen: VecDeque<Frozen>,
    /// The memory of an index that is on disk now.
    spare_index: Option<ActiveIndex>,
    /// Where the next block begins, once there is an active segment.
    head: LogOffset,
    resumed: bool,
    last_store_ms: i64,
    /// Bytes of closed blocks that are not written.
    unwritten: u64,
    /// The control plane could not prepare a segment.
    pub(crate) no_space: bool,
    /// The disk is fuller than sends may make it.
    pub(crate) full: bool,
    /// The segment that became active and was not told to the control plane yet.
    rolled: Option<SegmentNumber>,
    /// A write or flush has failed.
    failed: bool,
    unflushed: VecDeque<Unflushed>,
    flushing: Option<BlockMark>,
    /// Control changes in written blocks, ASYNC_FLUSH: told at the flush.
    flush_acks: VecDeque<(LogOffset, Ticket)>,
}

/// Written and not flushed bytes of one file.
#[derive(Clone, Copy, Debug)]
struct Unflushed {
    file: FileId,
    mark: BlockMark,
    since_ns: u64,
}

impl CommitLog {
    pub(crate) fn new(start: LogStart, segments: SegmentSet, settings: &Settings) -> Self {
        let frozen = start.frozen.into_iter();
        Self {
            identity: start.identity,
            epoch: start.epoch,
            sequence: start.durable.next_sequence,
            submitted: start.durable,
            written: start.durable,
            durable: start.durable,
            durability: settings.durability,
            blocks_in_flight: settings.blocks_in_flight,
            block_bytes: settings.block_bytes,
            segments,
            commit: GroupCommit::default(),
            marks: Watermarks::at(start.durable.end),
            hot: HotTail::new(settings.hot_tail_bytes),
            buffers: Buffers::default(),
            // The end of an arena may be left unused: twice the hot tail is enough for it.
            held_bytes_max: 2 * settings.hot_tail_bytes
                + UNWRITTEN_BYTES_MAX as usize
                + PINNED_BYTES_MAX,
            active: start.active,
            frozen: frozen.map(|index| Frozen { index, sent: false }).collect(),
            spare_index: None,
            head: start.next,
            resumed: start.resume,
            last_store_ms: start.last_store_ms,
            unwritten: 0,
            no_space: false,
            full: false,
            rolled: None,
            failed: false,
            unflushed: VecDeque::new(),
            flushing: None,
            flush_acks: VecDeque::new(),
        }
    }

    /// Makes room for `count` records of `bytes` bytes together in one block, or says why not. Nothing
    /// has a place yet.
    pub(crate) fn reserve(
        &mut self,
        bytes: usize,
        count: usize,
        origin: Origin,
        now: Moment,
    ) -> Result<(), Refused> {
        let alone = block::sealed_len(bytes, count);
        self.admit(alone, origin)?;
        let records = self.active.records() + count as u64;
        if records <= SEGMENT_RECORDS_MAX
            && let Some(open) = self.commit.opened()
            && open.builder.room_for_all(bytes, count)
        {
            return Ok(());
        }
        self.close();
        self.open(alone, count, now)
    }

    /// Adds one record to the block that [`CommitLog::reserve`] made room in. `encode` gets exactly `len`
    /// bytes to fill and the record's place.
    pub(crate) fn push(
        &mut self,
        queue: QueueNumber,
        len: usize,
        store_ms: i64,
        encode: impl FnOnce(&mut [u8], LogOffset),
    ) -> (LogOffset, Placed) {
        let Some(open) = self.commit.open_mut() else {
            unreachable!("room is reserved before a record is pushed")
        };
        let place = open.at.plus(u64::from(open.builder.next_within_block()));
        encode(open.builder.begin(len), place);
        let placed = open.builder.commit(queue, store_ms);
        if open.builder.count() == 1 {
            open.first_store_ms = store_ms;
        }
        open.last_store_ms = store_ms;
        self.last_store_ms = store_ms;
        if queue != QueueNumber::CONTROL {
            open.count(queue);
        }
        self.marks.append(place.plus(len as u64));
        (place, placed)
    }

    /// `ticket` is told when what was just pushed is visible.
    pub(crate) fn ack(&mut self, ticket: Ticket) {
        if let Some(open) = self.commit.open_mut() {
            open.acks.push(ticket);
            open.pressing = true;
        }
    }

    /// `ticket` is told when what was just pushed is durable.
    pub(crate) fn ack_durable(&mut self, ticket: Ticket) {
        if let Some(open) = self.commit.open_mut() {
            open.durable_acks.push(ticket);
            open.pressing = true;
        }
    }

    /// Appends that wait to be visible, and when the first block of them was opened.
    pub(crate) fn waiting(&self) -> (u32, Option<u64>) {
        self.commit.waiting()
    }

    /// The store time of the next record: never below the one before.
    pub(crate) fn store_ms(&self, now: Moment) -> i64 {
        self.last_store_ms.max(now.wall_ms)
    }

    /// Submits what may be submitted now. `hurry` presses whatever was gathered (a stop).
    pub(crate) fn submit<I: Io>(&mut self, io: &mut I, now: Moment, hurry: bool) {
        while !self.failed && self.commit.in_flight() < self.blocks_in_flight {
            let Some((next, stage)) = self.commit.next() else {
                break;
            };
            if stage == Stage::Open {
                let due = next.opened_ns.saturating_add(CONTROL_SEAL_NS) <= now.monotonic_ns;
                if !(next.pressing || due || hurry) {
                    break;
                }
                self.close();
            }
            self.submit_next(io);
        }
        self.flush_if_due(io, now, hurry);
    }

    /// When the open block, with nobody waiting for it, or a flush is due.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let seal = self
            .commit
            .opened()
            // With all places taken, a completion comes before any deadline.
            .filter(|open| !open.pressing && self.commit.in_flight() < self.blocks_in_flight)
            .map(|open| open.opened_ns.saturating_add(CONTROL_SEAL_NS));
        let flush = match self.flushing {
            None => self.unflushed.front().map(|u| u.since_ns + ASYNC_FLUSH_NS),
            Some(_) => None,
        };
        seal.into_iter().chain(flush).min()
    }

    /// One write of a block is complete. `Err`: the log has failed.
    pub(crate) fn block_part_done(
        &mut self,
        number: u64,
        result: io::Result<usize>,
    ) -> io::Result<()> {
        if let Err(error) = result {
            self.failed = true;
            return Err(error);
        }
        self.commit.part_done(number);
        Ok(())
    }

    /// What nothing may do (promise 6): submits a block again whose write has failed.
    pub(crate) fn write_again<I: Io>(&self, io: &mut I, number: u64) -> bool {
        let Some(at) = self.commit.position_of(number) else {
            return false;
        };
        let Some((start, bytes)) = self.hot.block_at(at) else {
            return false;
        };
        let Some((segment, within)) = self.segments.locate(start) else {
            return false;
        };
        let token = Operation::Block.token(number);
        io.write_durable(segment.file, within, bytes.clone(), token);
        true
    }

    /// Takes out the oldest block whose write is complete; with it the watermarks advance.
    pub(crate) fn pop_written(&mut self, now: Moment) -> Option<Box<Block>> {
        if self.failed {
            return None;
        }
        let block = self.commit.pop_done()?;
        self.marks.write(block.end);
        self.unwritten -= block.end.0 - block.at.0;
        self.written = block.mark();
        match self.durability {
            Durability::Sync => self.note_durable(self.written),
            Durability::Async => self.note_unflushed(&block, now),
        }
        Some(block)
    }

    /// Gives a block from [`CommitLog::pop_written`] back for its memory.
    pub(crate) fn recycle(&mut self, block: Box<Block>) {
        self.commit.recycle(block);
    }

    /// A flush is complete. `Err`: the log has failed.
    pub(crate) fn flush_done(&mut self, result: io::Result<usize>) -> io::Result<()> {
        if let Err(error) = result {
            self.failed = true;
            return Err(error);
        }
        if let Some(mark) = self.flushing.take() {
            self.note_durable(mark);
            while self
                .unflushed
                .front()
                .is_some_and(|first| first.mark.end <= mark.end)
            {
                self.unflushed.pop_front();
            }
        }
        Ok(())
    }

    /// The next control change that a flush has made durable (ASYNC_FLUSH).
    pub(crate) fn pop_flush_ack(&mut self) -> Option<Ticket> {
        let (end, ticket) = *self.flush_acks.front()?;
        if end > self.marks.durable() {
            return None;
        }
        self.flush_acks.pop_front();
        Some(ticket)
    }

    /// After a failure: everyone who waits, in order. Their outcome is unknown.
    pub(crate) fn fail(&mut self, mut tell: impl FnMut(Ticket)) {
        self.failed = true;
        for (_, ticket) in self.flush_acks.drain(..) {
            tell(ticket);
        }
        while let Some(block) = self.commit.pop_any() {
            let tickets = block.acks.iter().chain(block.durable_acks.iter());
            tickets.for_each(&mut tell);
        }
    }

    /// The block in memory that holds a position: where it begins, and its bytes.
    pub(crate) fn hot_block(&self, offset: LogOffset) -> Option<(LogOffset, &Bytes)> {
        self.hot.block_at(offset)
    }

    /// Bytes of memory that commit blocks lie in.
    pub(crate) fn block_memory(&self) -> usize {
        self.buffers.held_bytes() + ARENA_BYTES
    }

    /// Whether slow readers keep so much memory of blocks that the next ones get copies.
    pub(crate) fn readers_hold_too_much(&self) -> bool {
        self.buffers.held_bytes() > self.held_bytes_max
    }

    pub(crate) fn marks(&self) -> &Watermarks {
        &self.marks
    }

    /// The end of what may be shown.
    pub(crate) fn visible(&self) -> LogOffset {
        match self.durability {
            Durability::Sync => self.marks.durable(),
            Durability::Async => self.marks.written(),
        }
    }

    /// Whether a written block is durable, so that control changes in it are told with it.
    pub(crate) fn acks_control_with_block(&self) -> bool {
        self.durability == Durability::Sync
    }

    pub(crate) fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// After the newest submitted block: a replay from here sees everything that is not in memory yet.
    pub(crate) fn submitted(&self) -> BlockMark {
        self.submitted
    }

    /// After the newest durable block.
    pub(crate) fn durable(&self) -> BlockMark {
        self.durable
    }

    /// Nothing open, closed or in flight, and nothing to flush.
    pub(crate) fn is_quiet(&self) -> bool {
        self.commit.is_empty() && self.flushing.is_none() && self.unflushed.is_empty()
    }

    /// Blocks or a flush in flight.
    pub(crate) fn in_flight(&self) -> bool {
        self.commit.in_flight() > 0 || self.flushing.is_some()
    }

    /// The oldest frozen index that may become an index segment: its log segment is durable.
    pub(crate) fn next_to_index(&mut self) -> Option<Arc<ActiveIndex>> {
        let durable = self.marks.durable();
        let frozen = self.frozen.iter_mut().find(|frozen| !frozen.sent)?;
        let last = frozen.index.blocks().last();
        let end = last.map_or(0, |block| block.start.0 + u64::from(block.len));
        if end > durable.0 {
            return None;
        }
        frozen.sent = true;
        Some(Arc::clone(&frozen.index))
    }

    /// The segment that became active since the last call.
    pub(crate) fn take_rolled(&mut self) -> Option<SegmentNumber> {
        self.rolled.take()
    }

    /// Whether the active segment is prepared to its end.
    pub(crate) fn active_is_whole(&self) -> bool {
        let active = self.segments.active();
        active.is_some_and(|active| active.prepared == self.segments.size)
    }

    /// The index segment of `segment` is on disk and is served from there.
    pub(crate) fn indexed(&mut self, segment: SegmentNumber) {
        if let Some(at) = self
            .frozen
            .iter()
            .position(|f| f.index.segment() == segment)
            && let Some(frozen) = self.frozen.remove(at)
            && let Ok(index) = Arc::try_unwrap(frozen.index)
        {
            self.spare_index = Some(index);
        }
        if let Some(kept) = self.segments.get_mut(segment) {
            kept.indexed = true;
        }
    }

    fn note_durable(&mut self, mark: BlockMark) {
        self.marks.flush(mark.end);
        self.durable = mark;
    }

    /// Whether the space left is kept for control records.
    pub(crate) fn is_full(&self) -> bool {
        self.full || (self.no_space && self.segments.ahead() < SEGMENTS_AHEAD)
    }

    fn admit(&self, alone: usize, origin: Origin) -> Result<(), Refused> {
        if self.failed {
            return Err(Refused::Failed);
        }
        if alone as u64 > self.segments.size {
            return Err(Refused::TooLarge {
                bytes: alone,
                limit: self.segments.size as usize,
            });
        }
        if origin == Origin::Control {
            return Ok(());
        }
        if self.is_full() {
            return Err(Refused::Full);
        }
        let open = self
            .commit
            .opened()
            .map_or(0, |open| open.builder.sealed_len());
        let waiting = self.unwritten + (open + alone) as u64;
        if !self.commit.is_empty() && waiting > UNWRITTEN_BYTES_MAX {
            return Err(Refused::Busy(Bound::UnwrittenBytes));
        }
        Ok(())
    }

    fn open(&mut self, alone: usize, count: usize, now: Moment) -> Result<(), Refused> {
        let room = self.room_in_segment(alone, count)?;
        let cap = self
            .block_bytes
            .min((self.segments.size / BLOCKS_PER_SEGMENT_MIN) as usize);
        let buffer = self.buffers.take(alone);
        let capacity = cap.max(alone).min(room as usize).min(buffer.len());
        self.commit
            .open(buffer, capacity, self.head, self.sequence, now.monotonic_ns);
        self.sequence += 1;
        Ok(())
    }

    /// Bytes from the head that a block may take, at least `alone`; rolls when the segment has no room.
    fn room_in_segment(&mut self, alone: usize, count: usize) -> Result<u64, Refused> {
        let full = self.active.records() + count as u64 > SEGMENT_RECORDS_MAX;
        let (_, within) = self.head.split(self.segments.size);
        // A head at the very end of a segment has position 0 of the one that is not there yet.
        let at_end = within == 0
            && self.head.0 > LogOffset::of_segment(self.active.segment(), self.segments.size).0;
        if !self.resumed || full || at_end || within + alone as u64 > self.segments.size {
            return self.roll(alone);
        }
        let prepared = self.segments.active().map_or(0, |active| active.prepared);
        if within + alone as u64 > prepared {
            return Err(Refused::Busy(Bound::Segment));
        }
        Ok(prepared - within)
    }

    fn roll(&mut self, alone: usize) -> Result<u64, Refused> {
        let Some(next) = self.segments.next() else {
            return Err(if self.no_space {
                Refused::Full
            } else {
                Refused::Busy(Bound::Segment)
            });
        };
        let prepared = next.prepared;
        if (alone as u64) > prepared {
            return Err(Refused::Busy(Bound::Segment));
        }
        if self.frozen.len() >= FROZEN_INDEXES_MAX && self.resumed {
            return Err(Refused::Busy(Bound::FrozenIndexes));
        }
        let number = next.number;
        self.segments.roll();
        self.rolled = Some(number);
        self.freeze(number);
        self.head = LogOffset::of_segment(number, self.segments.size);
        self.resumed = true;
        Ok(prepared)
    }

    /// The active index belongs to a full segment from now on.
    fn freeze(&mut self, next: SegmentNumber) {
        let fresh = match self.spare_index.take() {
            Some(spare) => spare.reuse(next),
            None => ActiveIndex::new(next),
        };
        let full = std::mem::replace(&mut self.active, fresh);
        // Before the first segment of a run there is nothing to freeze.
        if self.resumed {
            self.frozen.push_back(Frozen {
                index: Arc::new(full),
                sent: false,
            });
        }
    }

    fn close(&mut self) {
        let Some((block, rest)) = self.commit.close() else {
            return;
        };
        self.active.push_block(BlockTime {
            start: block.at,
            len: (block.end.0 - block.at.0) as u32,
            records: block.builder.count() as u32,
            first_store_ms: block.first_store_ms,
            last_store_ms: block.last_store_ms,
            sequence: block.sequence,
        });
        let size = self.segments.size;
        if let Some(active) = self.segments.active_mut() {
            active.last_store_ms = Some(block.last_store_ms);
            active.used = block.end.0 - LogOffset::of_segment(active.number, size).0;
        }
        self.head = block.end;
        self.unwritten += block.end.0 - block.at.0;
        self.marks.append(block.end);
        if let Some(rest) = rest {
            self.buffers.give_back(rest);
        }
    }

    fn submit_next<I: Io>(&mut self, io: &mut I) {
        let durable = self.marks.durable();
        let Some(block) = self.commit.submit() else {
            return;
        };
        let fields = SealFields {
            at: block.at,
            sequence: block.sequence,
            epoch: self.epoch,
            durable,
            previous_checksum: self.submitted.checksum,
        };
        let Some(sealed) = block.builder.seal(&self.identity, &fields) else {
            unreachable!("a block is opened for a record")
        };
        block.checksum = sealed.checksum;
        self.submitted = block.mark();
        let bytes = Bytes::from_owner(sealed.buffer);
        let Some((segment, within)) = self.segments.locate(block.at) else {
            unreachable!("a block lies in a segment that is kept")
        };
        let mut from = 0;
        block.parts_left = 0;
        while from < bytes.len() {
            let to = bytes.len().min(from + WRITE_BYTES_MAX);
            let part = bytes.slice(from..to);
            let token = Operation::Block.token(block.sequence);
            let position = within + from as u64;
            match self.durability {
                Durability::Sync if !planted(planted::ACK_BEFORE_FLUSH) => {
                    io.write_durable(segment.file, position, part, token);
                }
                Durability::Sync => io.write(segment.file, position, part, token),
                Durability::Async => io.write(segment.file, position, part, token),
            }
            block.parts_left += 1;
            from = to;
        }
        self.hot.push(block.at, bytes);
    }

    fn note_unflushed(&mut self, block: &Block, now: Moment) {
        for ticket in block.durable_acks.iter() {
            self.flush_acks.push_back((block.end, ticket));
        }
        let Some((segment, _)) = self.segments.locate(block.at) else {
            return;
        };
        match self.unflushed.back_mut() {
            // What a flush in flight covers was noted when it was submitted.
            Some(last) if last.file == segment.file => last.mark = block.mark(),
            _ => self.unflushed.push_back(Unflushed {
                file: segment.file,
                mark: block.mark(),
                since_ns: now.monotonic_ns,
            }),
        }
    }

    fn flush_if_due<I: Io>(&mut self, io: &mut I, now: Moment, hurry: bool) {
        if self.failed || self.flushing.is_some() {
            return;
        }
        let waited_for = !self.flush_acks.is_empty() || self.unflushed.len() > 1;
        let Some(first) = self.unflushed.front_mut() else {
            return;
        };
        if hurry || waited_for || first.since_ns + ASYNC_FLUSH_NS <= now.monotonic_ns {
            // What is written from now on waits from now on.
            first.since_ns = now.monotonic_ns;
            self.flushing = Some(first.mark);
            io.flush(first.file, Operation::Flush.token(first.mark.next_sequence));
        }
    }
}

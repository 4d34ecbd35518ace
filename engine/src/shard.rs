//! One shard: the state machine that owns a log, its queues and their indexes.
//!
//! It asks for I/O by queueing operations on the ring's [`Io`] and learns of their end through
//! [`Shard::completion`]; time comes in through [`Shard::turn`]. What its callers wait for comes out
//! of [`Shard::next_event`].

use std::collections::VecDeque;

use ringmq_protocol::RecordParts;
use ringmq_ring::{Completion, Io, Moment};

use crate::error::Refused;
use crate::pull::{
    Boundary, Event, OffsetOutcome, PullOutcome, PullRequest, PullResult, PullStatus, Ticket,
    ViewOutcome,
};
use crate::types::{Offsets, PhysicalOffset, QueueNumber, ShardIndex, TopicId};

/// One shard of the store, driven by one thread. See the module's text.
pub struct Shard<I: Io> {
    index: ShardIndex,
    events: VecDeque<Event>,
    ring: std::marker::PhantomData<fn(&mut I)>,
}

/// The place of an appended record. Not to be shown to anyone before [`Event::Stored`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its offset in the queue.
    pub queue_offset: u64,
    /// Its place in the log, with the shard.
    pub physical: PhysicalOffset,
    /// When it was stored, ms since the epoch.
    pub store_time_ms: i64,
}

/// The places of a batch: consecutive queue offsets from the first one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The first record's place.
    pub first: Appended,
    /// Records in the batch.
    pub count: u32,
}

/// How a shard wants its thread to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardPace {
    /// A completion is expected soon.
    pub in_flight: bool,
    /// The next timer, on the monotonic clock.
    pub deadline_ns: Option<u64>,
    /// [`Shard::stop`] is done; nothing is in flight.
    pub stopped: bool,
    /// A write or flush has failed: fail all waiters, then end the process with exit code 70.
    pub failed: bool,
}

/// A reading of a shard's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStatus {
    /// End of what is appended, in the shard's log.
    pub appended: u64,
    /// End of what the device has taken.
    pub written: u64,
    /// End of what survives a power cut.
    pub durable: u64,
    /// Log segments kept.
    pub segments: u32,
    /// Segments prepared ahead of the head.
    pub segments_ahead: u32,
    /// Queues.
    pub queues: u32,
    /// Records appended since the start.
    pub records: u64,
    /// Commit blocks written since the start.
    pub blocks: u64,
    /// Appends refused because a bound was reached.
    pub refused_busy: u64,
    /// Appends refused for want of space.
    pub refused_full: u64,
    /// Records whose checksum failed when they were read.
    pub damaged: u64,
}

impl<I: Io> Shard<I> {
    /// Which shard of the store this is.
    pub fn index(&self) -> ShardIndex {
        self.index
    }

    /// The queue bound to (topic, queue id).
    pub fn queue(&self, _topic: TopicId, _queue_id: u32) -> Option<QueueNumber> {
        None
    }

    /// Binds (topic, queue id) to a queue number before its first record; the existing one when it is
    /// bound already.
    pub fn bind_queue(&mut self, _topic: TopicId, _queue_id: u32) -> Result<QueueNumber, Refused> {
        Err(Refused::Stopping)
    }

    /// Appends a record; its place is fixed when this returns. [`Event::Stored`] (SYNC: durable,
    /// ASYNC: written) or [`Event::Failed`] with the ticket follows.
    pub fn append(
        &mut self,
        _queue: QueueNumber,
        _parts: &RecordParts<'_>,
        _ticket: Ticket,
    ) -> Result<Appended, Refused> {
        Err(Refused::Stopping)
    }

    /// Appends all records or none, with consecutive offsets, in one commit block.
    pub fn append_batch(
        &mut self,
        _queue: QueueNumber,
        _parts: &[RecordParts<'_>],
        _ticket: Ticket,
    ) -> Result<AppendedBatch, Refused> {
        Err(Refused::Stopping)
    }

    /// Reads from a queue: at once when the records are in memory, else [`Event::Pulled`] later.
    pub fn pull(&mut self, _io: &mut I, request: PullRequest) -> PullOutcome {
        PullOutcome::Ready(PullResult {
            status: PullStatus::NoQueue,
            records: Vec::new(),
            count: 0,
            bytes: 0,
            next: request.offset,
            min: 0,
            max: 0,
        })
    }

    /// Forgets a pending pull, view or search; no event comes for it.
    pub fn cancel(&mut self, _ticket: Ticket) {}

    /// The offsets of a queue that may be shown; both 0 for an unknown one.
    pub fn offsets(&self, _queue: QueueNumber) -> Offsets {
        Offsets::default()
    }

    /// The offset of the record stored at `wall_ms`, or the nearest by `boundary`; the queue's end when
    /// all are older.
    pub fn offset_by_time(
        &mut self,
        _io: &mut I,
        _queue: QueueNumber,
        _wall_ms: i64,
        _boundary: Boundary,
        _ticket: Ticket,
    ) -> OffsetOutcome {
        OffsetOutcome::Ready(0)
    }

    /// Store time of the oldest record of a queue that is kept, as far as memory knows it.
    pub fn earliest_store_time(&self, _queue: QueueNumber) -> Option<i64> {
        None
    }

    /// The record that begins at a physical offset, verified.
    pub fn view(&mut self, _io: &mut I, _physical: PhysicalOffset, _ticket: Ticket) -> ViewOutcome {
        ViewOutcome::Ready(None)
    }

    /// Sets a group's offset for a queue; clamped to the visible end. Shown at once, in the log within
    /// a second.
    pub fn commit_offset(&mut self, _group: &str, _queue: QueueNumber, _offset: u64) {}

    /// A group's offset for a queue.
    pub fn committed_offset(&self, _group: &str, _queue: QueueNumber) -> Option<u64> {
        None
    }

    /// Drops all offsets of a group in this shard.
    pub fn forget_group_offsets(&mut self, _group: &str) {}

    /// Home shard: stores or replaces a topic. Durable when [`Event::Stored`] comes.
    pub fn put_topic(
        &mut self,
        _topic: TopicId,
        _name: &str,
        _payload: &[u8],
        _ticket: Ticket,
    ) -> Result<(), Refused> {
        Err(Refused::Stopping)
    }

    /// Home shard: deletes a topic; its queues follow with [`Shard::drop_topic_queues`] on each shard.
    pub fn delete_topic(&mut self, _topic: TopicId, _ticket: Ticket) -> Result<(), Refused> {
        Err(Refused::Stopping)
    }

    /// Any shard: forgets the queues of a deleted topic.
    pub fn drop_topic_queues(&mut self, _topic: TopicId) {}

    /// Home shard: stores or replaces a group. Durable when [`Event::Stored`] comes.
    pub fn put_group(
        &mut self,
        _name: &str,
        _payload: &[u8],
        _ticket: Ticket,
    ) -> Result<(), Refused> {
        Err(Refused::Stopping)
    }

    /// Home shard: deletes a group.
    pub fn delete_group(&mut self, _name: &str, _ticket: Ticket) -> Result<(), Refused> {
        Err(Refused::Stopping)
    }

    /// Home shard: all topics, by id.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &str, &[u8])> {
        std::iter::empty()
    }

    /// Home shard: all groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[u8])> {
        std::iter::empty()
    }

    /// Home shard: issues a topic id that was never used before.
    pub fn next_topic_id(&mut self) -> TopicId {
        TopicId(0)
    }

    /// One completion whose token's top byte is 0.
    pub fn completion(&mut self, _io: &mut I, _completion: Completion<I::Stream, I::Received>) {}

    /// Once per turn, last: seals and submits, runs timers, serves the control plane.
    pub fn turn(&mut self, _io: &mut I, _now: Moment) -> ShardPace {
        ShardPace::default()
    }

    /// The next thing a caller waits for; `None` when all are told.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Refuses appends from now on, finishes what is in flight, checkpoints and writes the witness; then
    /// [`ShardPace::stopped`].
    pub fn stop(&mut self) {}

    /// A reading of the watermarks and counters.
    pub fn status(&self) -> ShardStatus {
        ShardStatus::default()
    }
}

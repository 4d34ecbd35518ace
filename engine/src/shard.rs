//! One shard: the state machine that owns a log, its queues and their indexes.
//!
//! It asks for I/O by queueing operations on the ring's [`Io`] and learns of their end through
//! [`Shard::completion`]; time comes in through [`Shard::observe`] and [`Shard::turn`]. What its callers
//! wait for comes out of [`Shard::next_event`].
//!
//! ```text
//! append -> log (open block) ----- turn: one durable write -----> completion
//!        -> queue entry in memory                                     |
//!   pull <- visible entries, bytes of the hot tail <- watermarks, acks, waiting pulls
//! ```

mod cold;
mod consume;
mod home;
mod keeper;
mod offsets_by_time;
mod produce;
mod settle;
mod start;
mod upkeep;
mod view;

use std::io;
use std::sync::{Arc, OnceLock};

use ringmq_ring::{Completion, FileId, Io, Moment};

use crate::control::link::ShardLink;
use crate::error::Error;
use crate::index::IndexSet;
use crate::limits::CONTROL_LOOK_NS;
use crate::log::CommitLog;
use crate::log::retention::{Policy, Retention};
use crate::metrics::{Counters, Refusing, ShardStatus};
use crate::pull::{Event, Ticket};
use crate::queue::offsets::GroupOffsets;
use crate::queue::table::Queues;
use crate::tickets::Events;
use crate::types::{LogOffset, Offsets, PhysicalOffset, QueueNumber, ShardIndex, TopicId};
use crate::waiters::Waiters;

use cold::Cold;
use home::Home;
use keeper::Keeper;
pub use start::{Settings, ShardStart, StartSegment};

/// One shard of the store, driven by one thread. See the module's text.
pub struct Shard<I: Io> {
    index: ShardIndex,
    settings: Settings,
    log: CommitLog,
    queues: Queues,
    offsets: GroupOffsets,
    home: Home,
    waiters: Waiters,
    cold: Cold,
    indexes: IndexSet<FileId>,
    keeper: Keeper,
    link: ShardLink<I::File>,
    events: Events,
    now: Moment,
    phase: Phase,
    read_only: bool,
    counters: Counters,
    retention: Retention,
    /// Queues whose waiting pulls have something to look at.
    woken: Vec<QueueNumber>,
    /// Topics found dead at start.
    dead_topics: Vec<TopicId>,
    /// Where a failure is reported for the process to end.
    failure: Option<Arc<OnceLock<Error>>>,
    /// Memory of lists that are laid out for control records.
    scratch: Vec<u8>,
}

/// What a shard is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping,
    Stopped,
    Failed,
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
    /// Its length as a stored record.
    pub len: u32,
}

/// The places of a batch: consecutive queue offsets from the first one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The first record's place.
    pub first: Appended,
    /// Every record's place in the log, in order.
    pub physical: Vec<PhysicalOffset>,
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

impl<I: Io> Shard<I> {
    /// Which shard of the store this is.
    pub fn index(&self) -> ShardIndex {
        self.index
    }

    /// A failed write or flush is also left in `cell`, for whoever ends the process.
    #[must_use]
    pub fn report_failure(mut self, cell: Arc<OnceLock<Error>>) -> Self {
        self.failure = Some(cell);
        self
    }

    /// Tells the shard the time: to be called first in every completion and in every turn of the service,
    /// so that what is appended gets the time of this turn and not that of the last sleep.
    pub fn observe(&mut self, now: Moment) {
        self.now = now;
    }

    /// One completion whose token's top byte is 0.
    pub fn completion(&mut self, io: &mut I, completion: Completion<I::Stream, I::Received>) {
        self.settle(io, completion);
    }

    /// Once per turn, last: seals and submits, runs timers, serves the control plane.
    pub fn turn(&mut self, io: &mut I, now: Moment) -> ShardPace {
        self.now = now;
        self.counters.turns += 1;
        self.replies(io);
        self.upkeep(io);
        self.log.submit(io, now, self.phase == Phase::Stopping);
        self.after_submit(io);
        self.pace()
    }

    /// The next thing a caller waits for; `None` when all are told.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether appends may be tried: the first segment of this run is there, or none will be (a shard that
    /// only reads). Before, they are refused as busy; at start a service waits for this.
    pub fn is_ready(&self) -> bool {
        self.read_only || self.keeper.run_to_begin().is_none()
    }

    /// The queue bound to (topic, queue id).
    pub fn queue(&self, topic: TopicId, queue_id: u32) -> Option<QueueNumber> {
        self.queues.number(topic, queue_id)
    }

    /// The offsets of a queue that may be shown; both 0 for an unknown one.
    pub fn offsets(&self, queue: QueueNumber) -> Offsets {
        self.queues
            .get(queue)
            .map_or_else(Offsets::default, |queue| queue.offsets())
    }

    /// Refuses appends from now on, finishes what is in flight, checkpoints and writes the witness; then
    /// [`ShardPace::stopped`]. Waiting pulls are answered at once.
    pub fn stop(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping;
            self.keeper.stop_asked();
        }
    }

    /// Keeps records by another policy from now on.
    pub fn set_retention(&mut self, policy: Policy) {
        self.settings.retention = policy;
        self.retention.set_policy(policy);
    }

    /// Lets expired segments go at the next decisions, whatever the hour of the day.
    pub fn expire_now(&mut self) {
        self.retention.expire_now();
    }

    /// A reading of the watermarks and counters.
    pub fn status(&self) -> ShardStatus {
        let marks = self.log.marks();
        let (acks_waiting, first_ns) = self.log.waiting();
        let oldest = self.log.segments.kept().front();
        ShardStatus {
            visible: self.log.visible().0,
            oldest: oldest
                .map_or(marks.durable(), |oldest| {
                    LogOffset::of_segment(oldest.number, self.log.segments.size)
                })
                .0,
            oldest_store_ms: oldest.and_then(|oldest| self.first_store_ms(oldest.number)),
            acks_waiting,
            oldest_ack_ns: first_ns.map(|first| self.now.monotonic_ns.saturating_sub(first)),
            cold_reads: self.cold.reads() as u32,
            appended: marks.appended().0,
            written: marks.written().0,
            durable: marks.durable().0,
            segments: self.log.segments.kept().len() as u32,
            segments_ahead: self.log.segments.ahead() as u32,
            indexes_waiting: self.log.frozen.len() as u32,
            block_memory: self.log.block_memory() as u64,
            no_space: self.log.no_space,
            read_only: self.read_only,
            checkpoints: self.keeper.checkpoints(),
            offsets_behind: self.offsets.is_behind(),
            queues: self.queues.len() as u32,
            turns: self.counters.turns,
            records: self.counters.records,
            blocks: self.counters.blocks,
            refused_busy: self.counters.refused_busy,
            refused_full: self.counters.refused_full,
            damaged: self.counters.damaged,
            refusing: self.refusing(),
        }
    }

    fn refusing(&self) -> Option<Refusing> {
        if self.read_only {
            Some(Refusing::ReadOnly)
        } else if self.phase != Phase::Running || !self.is_ready() {
            Some(Refusing::NotRunning)
        } else if self.log.is_full() {
            Some(Refusing::Full)
        } else {
            None
        }
    }

    /// The end of what may be shown, in this shard's log.
    fn visible(&self) -> LogOffset {
        self.log.visible()
    }

    fn pace(&self) -> ShardPace {
        let deadlines = [
            self.log.deadline_ns(),
            self.waiters.deadline_ns(),
            self.keeper.deadline_ns(),
            self.step_deadline_ns(),
        ];
        ShardPace {
            in_flight: self.keeper.checkpoint.is_building()
                || self.log.in_flight()
                || self.cold.in_flight()
                || self.keeper.in_flight(),
            deadline_ns: deadlines.into_iter().flatten().min(),
            stopped: self.phase == Phase::Stopped,
            failed: self.phase == Phase::Failed,
        }
    }

    /// Steps that follow each other turn by turn, without a completion between them.
    fn step_deadline_ns(&self) -> Option<u64> {
        let building = self.keeper.checkpoint.is_building();
        if self.keeper.has_minimums_to_show(self.log.marks().durable()) {
            return Some(self.now.monotonic_ns);
        }
        if building && self.link.is_flushed() {
            Some(self.now.monotonic_ns)
        } else if building || !self.link.is_flushed() || self.phase == Phase::Stopping {
            // The control plane takes from a full ring without telling.
            Some(self.now.monotonic_ns + CONTROL_LOOK_NS)
        } else {
            None
        }
    }

    fn tell_failed(&mut self, reason: &io::Error) {
        self.phase = Phase::Failed;
        let stopped = Error::Stopped {
            shard: self.index.0,
            offset: self.log.marks().durable(),
            reason: reason.to_string(),
        };
        if let Some(failure) = &self.failure {
            // The first shard to fail is the one to be named.
            let _ = failure.set(stopped);
        }
        let events = &mut self.events;
        self.log
            .fail(|ticket: Ticket| events.push_back(Event::Failed { ticket }));
    }
}

//! What a shard does beside its requests, once a turn: replies of the control plane, timers, offsets,
//! checkpoint, retention, witness, stop.

use std::io;

use bytes::Bytes;
use ringmq_ring::Io;

use crate::checkpoint::{Building, Cursor};
use crate::control::link::{Reply, Request};
use crate::control_record::{ControlRecord, OFFSETS_MAX, QueueMinimum, minimum_list, offset_list};
use crate::index::{Damage, OpenSegment};
use crate::limits::{
    OFFSETS_BYTES_EAGER, OFFSETS_PERIOD_LONG_NS, OFFSETS_PERIOD_NS, OFFSETS_RETRY_NS,
    STOP_OFFSETS_NS, STOP_STATE_NS,
};
use crate::log::retention::{Fullness, SegmentAge, Space};
use crate::log::segment_set::Segment;
use crate::pull::Event;
use crate::state::{Chunk, Counters as Numbers, GroupRow, QueueRow, TopicRow};
use crate::types::{GroupNumber, LogOffset, QueueNumber, SegmentNumber, TopicId};
use crate::witness::Witness;

use super::keeper::{Retiring, StopStage};
use super::{Phase, Shard};

/// Bytes of one offset in an offset record.
const OFFSET_BYTES: usize = 16;

impl<I: Io> Shard<I> {
    /// Takes in what the control plane has done.
    pub(super) fn replies(&mut self, io: &mut I) {
        self.link.flush();
        while let Some(reply) = self.link.reply() {
            if let Err(error) = self.reply(io, reply) {
                tracing::error!(shard = self.index.0, %error, "the shard stops");
                self.tell_failed(&error);
                return;
            }
        }
    }

    /// Timers and the steps of everything that is under way.
    pub(super) fn upkeep(&mut self, io: &mut I) {
        if matches!(self.phase, Phase::Failed | Phase::Stopped) {
            return;
        }
        self.begin_run();
        self.expire_waiters();
        self.answer_woken(io);
        let writing = self.keeper.run_to_begin().is_none();
        if writing {
            self.log_offsets();
            self.step_checkpoint();
            self.step_retirement(io);
            self.keeper.write_manifest(io, self.log.identity());
        }
        if let Some(index) = self.log.next_to_index() {
            self.link.ask(Request::WriteIndex(index));
        }
        if self.phase == Phase::Stopping {
            self.step_stop(writing);
        }
    }

    /// What follows from what was just submitted: the witness, and which segment is active.
    pub(super) fn after_submit(&mut self, io: &mut I) {
        if matches!(self.phase, Phase::Failed | Phase::Stopped) {
            return;
        }
        if let Some(active) = self.log.take_rolled() {
            self.link.ask(Request::Active(active));
        }
        if self.keeper.run_to_begin().is_none() {
            let clean = self.keeper.stop == StopStage::Witnessing && self.log.active_is_whole();
            let at_once = self.keeper.stop == StopStage::Witnessing;
            let durable = self.log.durable();
            let witness = Witness {
                durable: durable.end,
                epoch: self.log.epoch(),
                next_sequence: durable.next_sequence,
                checksum: durable.checksum,
                clean,
            };
            let identity = self.log.identity();
            self.keeper
                .write_witness(io, identity, witness, self.now, at_once);
        }
        if self.keeper.stop == StopStage::Witnessing {
            self.finish_stop();
        }
    }

    pub(super) fn manifest_written(&mut self, result: io::Result<usize>) -> io::Result<()> {
        for generation in self.keeper.manifest_written(result)? {
            self.link.ask(Request::DropState(generation));
        }
        Ok(())
    }

    /// An index segment cannot be read: its queues are busy until it is rebuilt.
    pub(super) fn index_damaged(&mut self, io: &mut I, damage: Damage) {
        if self.indexes.damage_of(damage.segment).is_some()
            || !self.indexes.contains(damage.segment)
        {
            return;
        }
        tracing::warn!(shard = self.index.0, segment = %damage.segment, ?damage, "an index segment is damaged");
        if let Some(file) = self.indexes.mark_damaged(damage) {
            io.release_file(file);
        }
        self.link.ask(Request::RebuildIndex(damage.segment));
    }

    fn reply(&mut self, io: &mut I, reply: Reply<I::File>) -> io::Result<()> {
        match reply {
            Reply::Segment {
                number,
                file,
                prepared,
            } => {
                let file = io.adopt_file(file)?;
                self.log
                    .segments
                    .push_ahead(Segment::prepared(number, file, prepared));
                self.log.no_space = false;
            }
            Reply::Extent { number, prepared } => {
                if let Some(segment) = self.log.segments.get_mut(number) {
                    segment.prepared = prepared;
                }
            }
            Reply::Untrusted { segment } => {
                let text = format!("zeroing segment {segment} ahead of its head failed");
                return Err(io::Error::other(text));
            }
            Reply::NoSpace => self.log.no_space = true,
            Reply::IndexWritten { segment, index } => {
                let file = io.adopt_file(index.file)?;
                if self.log.segments.get_mut(segment).is_none() {
                    // Rebuilt while its segment retired.
                    io.release_file(file);
                    return Ok(());
                }
                let old = self.indexes.insert(OpenSegment::new(index.header, file));
                if let Some(old) = old {
                    io.release_file(old);
                }
                self.log.indexed(segment);
            }
            Reply::StateWritten { generation } => self.keeper.checkpoint.written(generation),
            Reply::StateLost { generation } => {
                let appended = self.log.marks().appended();
                self.keeper.checkpoint.lost(generation, appended);
            }
            Reply::Retire {
                segment,
                minimums,
                last,
            } => self.retire_queues(segment, &minimums, last),
            Reply::RetireLater { segment } => {
                if self.keeper.retiring == Some(Retiring::Listing(segment)) {
                    self.keeper.retiring = None;
                }
            }
            Reply::Space { free_bytes } => self.decide_retention(free_bytes),
        }
        Ok(())
    }

    fn expire_waiters(&mut self) {
        let stopping = self.phase == Phase::Stopping;
        loop {
            let next = if stopping {
                self.waiters.pop_any()
            } else {
                self.waiters.pop_expired(self.now.monotonic_ns)
            };
            let Some(wait) = next else { return };
            let ticket = wait.request.ticket;
            let result = self.nothing_new(wait.request, wait.asked);
            self.events.push_back(Event::Pulled { ticket, result });
        }
    }

    /// Changed group offsets go to the log once a second, or every five when they are many.
    fn log_offsets(&mut self) {
        self.log_forgotten();
        if !self.offsets.is_behind() {
            self.keeper.offsets_due_ns = None;
            return;
        }
        let changed = self.offsets.changed();
        let now_ns = self.now.monotonic_ns;
        let first = now_ns + OFFSETS_PERIOD_NS;
        let due = self.keeper.offsets_due_ns.get_or_insert(first);
        let at_once = matches!(self.keeper.stop, StopStage::Asked | StopStage::Draining);
        if !at_once && *due > now_ns {
            return;
        }
        let many = changed * OFFSET_BYTES > OFFSETS_BYTES_EAGER;
        if many && !at_once && !self.keeper.offsets_put_off {
            self.keeper.offsets_put_off = true;
            *due += OFFSETS_PERIOD_LONG_NS - OFFSETS_PERIOD_NS;
            return;
        }
        self.write_offsets();
        let refused = self.offsets.is_behind();
        self.keeper.offsets_put_off = refused;
        let wait = if refused {
            OFFSETS_RETRY_NS
        } else {
            OFFSETS_PERIOD_NS
        };
        self.keeper.offsets_due_ns = Some(now_ns + wait);
    }

    /// Before any offset that the group commits later.
    fn log_forgotten(&mut self) {
        while let Some(group) = self.offsets.next_forgotten() {
            if self
                .control(&ControlRecord::OffsetsForget { group })
                .is_err()
            {
                return;
            }
            self.offsets.forgotten_logged();
        }
    }

    /// As many as the log takes now; what it refuses stays changed.
    fn write_offsets(&mut self) {
        // A group that was dropped is dropped in the log before it commits again.
        if self.offsets.next_forgotten().is_some() {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((group, name)) = self.offsets.next_unbound() {
            let name = name.to_owned();
            let record = ControlRecord::GroupBind { group, name: &name };
            if self.control(&record).is_err() {
                self.scratch = scratch;
                return;
            }
            self.offsets.bound();
        }
        while self.offsets.changed() > 0 {
            // Room is made first: what is taken from the table must reach the log.
            let bytes = 8 + self.offsets.changed().min(OFFSETS_MAX) * OFFSET_BYTES;
            if self.room_for_control(bytes).is_err() {
                break;
            }
            let taken = self.offsets.take_changed(OFFSETS_MAX);
            let record = offset_list(taken, &mut scratch);
            if let Err(refused) = Self::control_in(&mut self.log, &record, self.now) {
                unreachable!("room was made for offsets: {refused}");
            }
        }
        self.scratch = scratch;
    }

    fn step_checkpoint(&mut self) {
        let appended = self.log.marks().appended();
        let stopping = self.keeper.stop == StopStage::Checkpointing;
        let due = self
            .keeper
            .checkpoint
            .is_due(appended, self.settings.checkpoint_bytes);
        let last = stopping
            && self.keeper.checkpoint.is_idle()
            && self.keeper.checkpoint.is_behind(appended);
        if due || last {
            let start = self.log.submitted();
            let generation = self.keeper.checkpoint.begin(*self.log.identity(), start);
            self.link.ask(Request::BeginState(generation));
        }
        if self.link.is_flushed()
            && let Some(mut building) = self.keeper.checkpoint.take_building()
        {
            let (chunk, more) = self.next_chunk(&mut building);
            self.link
                .ask(Request::StateChunk(Bytes::from_owner(chunk.bytes)));
            if more {
                self.keeper.checkpoint.go_on(building);
            } else {
                let generation = self.keeper.checkpoint.built(&building);
                self.link.ask(Request::EndState(generation));
            }
        }
        let durable = self.log.marks().durable();
        if let Some(state) = self.keeper.checkpoint.publishable(durable) {
            self.keeper.publish(state, durable);
        }
    }

    /// One chunk: far below what a turn may take.
    fn next_chunk(&self, building: &mut Building) -> (Chunk, bool) {
        let at = self.log.marks().appended();
        let writer = &mut building.writer;
        let (chunk, next) = match &building.cursor {
            Cursor::Counters => {
                let numbers = Numbers {
                    next_topic: self.home.next_topic(),
                    next_queue: self.queues.next_number().unwrap_or(QueueNumber(u32::MAX)),
                    next_group: self.offsets.next_number(),
                };
                let chunk = writer.counters(at, &numbers);
                (chunk, Some(Cursor::Queues(QueueNumber(0))))
            }
            Cursor::Queues(from) => {
                let mut last = from.0;
                let rows = self.queues.from(*from).map(|(queue, row)| QueueRow {
                    queue,
                    topic: row.topic,
                    queue_id: row.queue_id,
                    min: row.logged_min,
                    next: row.next,
                    newest_segment: row.newest,
                });
                let mut count = 0;
                let chunk = writer.queues(at, rows);
                let taken = self.queues.from(*from).take(chunk.rows);
                for (queue, _) in taken {
                    last = queue.0;
                    count += 1;
                }
                let next = if chunk.last_of_table || count == 0 {
                    Cursor::GroupNames(GroupNumber(0))
                } else {
                    Cursor::Queues(QueueNumber(last + 1))
                };
                (chunk, Some(next))
            }
            Cursor::GroupNames(from) => {
                let chunk = writer.group_names(at, self.offsets.names_from(*from));
                let last = self.offsets.names_from(*from).take(chunk.rows).last();
                let next = match last {
                    Some(row) if !chunk.last_of_table => {
                        Cursor::GroupNames(GroupNumber(row.group.0 + 1))
                    }
                    _ => Cursor::Offsets(None),
                };
                (chunk, Some(next))
            }
            Cursor::Offsets(after) => {
                let chunk = writer.offsets(at, self.offsets.rows_after(*after));
                let last = self.offsets.rows_after(*after).take(chunk.rows).last();
                let next = match last {
                    Some(row) if !chunk.last_of_table => {
                        Cursor::Offsets(Some((row.queue, row.group)))
                    }
                    _ => Cursor::Topics(TopicId(0)),
                };
                (chunk, Some(next))
            }
            Cursor::Topics(from) => {
                let rows = self
                    .home
                    .topics_from(*from)
                    .map(|(topic, name, payload)| TopicRow {
                        topic,
                        name: name.to_owned(),
                        payload: payload.to_vec(),
                    });
                let chunk = writer.topics(at, rows);
                let last = self.home.topics_from(*from).take(chunk.rows).last();
                let next = match last {
                    Some((topic, ..)) if !chunk.last_of_table => {
                        Cursor::Topics(TopicId(topic.0 + 1))
                    }
                    _ => Cursor::Groups(None),
                };
                (chunk, Some(next))
            }
            Cursor::Groups(after) => {
                let rows = self.home.groups_after(after.as_deref());
                let rows = rows.map(|(name, payload)| GroupRow {
                    name: name.to_owned(),
                    payload: payload.to_vec(),
                });
                let chunk = writer.groups(at, rows);
                let last = self
                    .home
                    .groups_after(after.as_deref())
                    .take(chunk.rows)
                    .last();
                let next = match last {
                    Some((name, _)) if !chunk.last_of_table => {
                        Some(Cursor::Groups(Some(name.to_owned())))
                    }
                    _ => None,
                };
                (chunk, next)
            }
        };
        let more = next.is_some();
        if let Some(next) = next {
            building.cursor = next;
        }
        (chunk, more)
    }

    fn decide_retention(&mut self, free_bytes: u64) {
        let size = self.log.segments.size;
        let kept = self.log.segments.kept().len() + self.log.segments.ahead();
        let space = Space {
            own_bytes: kept as u64 * size,
            free_bytes,
            segment_bytes: size,
            prepared: self.log.segments.ahead(),
        };
        let closed = self.log.segments.kept().len().saturating_sub(1);
        let states = &self.keeper.manifest().states;
        let ages = self.log.segments.kept().iter().take(closed).map(|segment| {
            let end = LogOffset::of_segment(segment.number.next(), size);
            let behind = |start: LogOffset| start >= end || start.split(size).0 > segment.number;
            SegmentAge {
                number: segment.number,
                bytes: size,
                last_store_ms: segment.last_store_ms,
                free_to_go: segment.indexed
                    && states.len() == 2
                    && states.iter().all(|state| behind(state.start.end)),
            }
        });
        let decision = self
            .retention
            .decide(ages.collect::<Vec<_>>(), space, self.now);
        self.log.full = decision.fullness == Fullness::Full;
        if let (None, Some(&segment)) = (self.keeper.retiring, decision.retire.first())
            && self.phase == Phase::Running
            && !self.read_only
        {
            self.keeper.retiring = Some(Retiring::Listing(segment));
            self.link.ask(Request::BeginRetire(segment));
        }
    }

    /// Queues lose their oldest records: the new minimums go to the log, are shown when they are durable
    /// there, and then the segment goes.
    fn retire_queues(
        &mut self,
        segment: SegmentNumber,
        minimums: &[(QueueNumber, u64)],
        last: bool,
    ) {
        if self.keeper.retiring != Some(Retiring::Listing(segment)) {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let queues = &mut self.queues;
        for part in minimums.chunks(OFFSETS_MAX) {
            let moved = part.iter().filter_map(|&(queue, offset)| {
                let row = queues.get_mut(queue)?;
                row.logged_min = row.logged_min.max(offset.min(row.visible));
                let offset = row.logged_min;
                Some(QueueMinimum { queue, offset })
            });
            let record = minimum_list(moved, &mut scratch);
            let logged = Self::control_in(&mut self.log, &record, self.now);
            // Without room for the record the segment stays, and is tried again. Only on a disk without
            // any space it goes: nothing else would ever make room.
            if logged.is_err() && !self.log.no_space {
                self.keeper.retiring = None;
                self.keeper.minimums.clear();
                break;
            }
            let moved = part.iter().map(|&(queue, _)| queue);
            self.keeper.minimums.extend(moved);
        }
        self.scratch = scratch;
        if last && self.keeper.retiring.is_some() {
            let told = self.log.marks().appended();
            self.keeper.retiring = Some(Retiring::Draining(segment, told));
        }
    }

    /// Shows the new minimums, some thousands a turn; whether these were all.
    fn show_minimums(&mut self) -> bool {
        let from = self.keeper.minimums.len().saturating_sub(OFFSETS_MAX);
        for queue in self.keeper.minimums.drain(from..) {
            if let Some(row) = self.queues.get_mut(queue) {
                row.min = row.logged_min;
            }
        }
        self.keeper.minimums.is_empty()
    }

    fn step_retirement(&mut self, io: &mut I) {
        match self.keeper.retiring {
            Some(Retiring::Draining(number, told)) => {
                if self.log.marks().durable() < told || !self.show_minimums() {
                    return;
                }
                let reads = self.log.segments.get_mut(number).map_or(0, |segment| {
                    segment.retiring = true;
                    segment.reads
                });
                if reads > 0 {
                    return;
                }
                if let Some(segment) = self.log.segments.pop_oldest() {
                    debug_assert_eq!(segment.number, number);
                    io.release_file(segment.file);
                }
                if let Some(file) = self.indexes.remove(number) {
                    io.release_file(file);
                }
                self.cold
                    .forget_before(LogOffset::of_segment(number.next(), self.log.segments.size));
                self.keeper.forget_before(number.next());
                self.keeper.retiring = Some(Retiring::Publishing(number));
            }
            Some(Retiring::Publishing(number)) if self.keeper.manifest_is_durable() => {
                self.link.ask(Request::Recycle(number));
                self.keeper.retiring = None;
            }
            _ => {}
        }
    }

    fn step_stop(&mut self, writing: bool) {
        match self.keeper.stop {
            StopStage::Asked => self.let_offsets_go(),
            StopStage::Draining if self.log.is_quiet() && !self.cold.in_flight() => {
                self.keeper.stop = if writing {
                    StopStage::Checkpointing
                } else {
                    StopStage::Witnessing
                };
                self.keeper.state_until_ns = self.now.monotonic_ns + STOP_STATE_NS;
                if writing {
                    if self.offsets.is_behind() {
                        self.keeper.checkpoint.want();
                    }
                    self.step_checkpoint();
                }
            }
            StopStage::Checkpointing
                if self.has_last_state()
                    && self.keeper.manifest_is_durable()
                    && self.log.is_quiet() =>
            {
                self.keeper.stop = StopStage::Witnessing;
            }
            _ => {}
        }
    }

    /// The last state file is published, or the stop goes on without it: the next start then reads more of
    /// the log, which is whole.
    fn has_last_state(&self) -> bool {
        let is_late = self.keeper.state_until_ns <= self.now.monotonic_ns;
        if is_late && !self.keeper.checkpoint.is_idle() {
            tracing::warn!(
                shard = self.index.0,
                "the last state file is not written in time: the next start takes longer"
            );
        }
        is_late || self.keeper.checkpoint.is_idle()
    }

    /// A stop goes on when the log has all group offsets, or will not take them in time. It may be busy for
    /// a moment, above all before the first segment of the run is there.
    fn let_offsets_go(&mut self) {
        let now_ns = self.now.monotonic_ns;
        let patience = now_ns.saturating_add(STOP_OFFSETS_NS);
        let until_ns = *self.keeper.offsets_until_ns.get_or_insert(patience);
        let hopeless = self.read_only || self.log.no_space || until_ns <= now_ns;
        if self.offsets.is_behind() && !hopeless {
            return;
        }
        if self.offsets.is_behind() {
            tracing::warn!(
                shard = self.index.0,
                "the log cannot take the last group offsets: groups may begin further back"
            );
        }
        self.keeper.stop = StopStage::Draining;
    }

    fn finish_stop(&mut self) {
        let told = self.keeper.run_to_begin().is_some()
            || self.keeper.witness_is_durable(self.log.durable());
        if told {
            self.link.ask(Request::Stop);
            self.phase = Phase::Stopped;
        }
    }
}

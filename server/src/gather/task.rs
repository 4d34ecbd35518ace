//! A shard's side of a gather: it walks its part of the question, some rows a turn, and reads what
//! rows need that is not in memory.

use std::sync::Arc;

use ringmq_engine::placement::shard_of;
use ringmq_engine::{
    Boundary, CommittedPlace, OffsetOutcome, Offsets, PhysicalOffset, PullOutcome, PullRequest,
    PullResult, PullStatus, QueueNumber, TagFilter, TopicId, View, ViewOutcome,
};
use ringmq_protocol::RecordView;
use ringmq_protocol::code::response;
use ringmq_ring::Io;

use super::{Found, GroupOffset, Question, QueueFigures, Reset, ResetMode, ResetTarget, Times};
use crate::broker::Topic;
use crate::context::Context;
use crate::limits;
use crate::reply::Refusal;
use crate::shard::Waiter;

/// See the module.
pub(super) struct Task {
    id: u64,
    question: Arc<Question>,
    at: At,
    found: Found,
    to_read: Vec<Read>,
    reading: usize,
}

/// What of the question comes next.
#[derive(Default)]
struct At {
    topic: usize,
    queue_id: u32,
    place: Option<CommittedPlace>,
    is_end: bool,
}

/// A read that a task waits for; comes back with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The task.
    pub(super) task: u64,
    row: usize,
    when: When,
}

/// Which member of a row a read is for.
#[derive(Clone, Copy, Debug)]
enum When {
    First,
    Last,
    Consumed,
    Next,
    /// The row of a reset.
    Reset,
    /// No row: the record itself.
    Record,
}

/// A read that has to be begun.
#[derive(Clone, Copy)]
struct Read {
    row: usize,
    when: When,
    queue: QueueNumber,
    offset: u64,
}

/// How far a step came.
pub(super) enum Progress {
    /// All is found.
    Done,
    /// There is more to do in the next turn.
    More,
    /// Reads are on their way, nothing else can be done.
    Reads,
    /// The disk has too much to do.
    Busy,
}

impl Task {
    pub(super) fn new(id: u64, question: Arc<Question>) -> Self {
        Self {
            id,
            question,
            at: At::default(),
            found: Found::default(),
            to_read: Vec::new(),
            reading: 0,
        }
    }

    pub(super) fn into_found(self) -> Found {
        self.found
    }

    /// Works on for a part of a turn.
    pub(super) fn step<I: Io>(&mut self, ctx: &mut Context<'_, I>) -> Progress {
        let question = Arc::clone(&self.question);
        let mut rows = limits::GATHER_STEP_ROWS;
        loop {
            if let Some(progress) = self.read(ctx) {
                return progress;
            }
            if self.is_over() {
                return if self.reading > 0 {
                    Progress::Reads
                } else {
                    Progress::Done
                };
            }
            if rows == 0 {
                return Progress::More;
            }
            rows -= 1;
            match &*question {
                Question::Queues {
                    topics,
                    group,
                    times,
                } => self.figures(ctx, topics, group.as_deref(), *times),
                Question::Offsets { group, topic } => {
                    self.offsets(ctx, group.as_deref(), *topic, false);
                    rows = 0;
                }
                Question::Pairs { group, topic } => {
                    self.offsets(ctx, group.as_deref(), *topic, true);
                    rows = 0;
                }
                Question::Reset(reset) => self.reset(ctx, reset),
                Question::Clone { topics, from, to } => self.clone_offset(ctx, topics, from, to),
                Question::Forget(group) => {
                    ctx.broker.engine.forget_group_offsets(group);
                    ctx.broker.progress.forget_group(group);
                    self.at.is_end = true;
                }
                Question::Record(offset) => self.view(ctx, *offset),
                Question::ExpireNow => {
                    ctx.broker.engine.expire_now();
                    self.at.is_end = true;
                }
                Question::Status => {
                    let status = (ctx.front.me(), ctx.broker.engine.status());
                    self.found.statuses.push(status);
                    self.at.is_end = true;
                }
            }
        }
    }

    fn is_over(&mut self) -> bool {
        if self.found.is_full() && !self.at.is_end {
            self.found = Found {
                refusal: Some(too_many_rows()),
                ..Found::default()
            };
            self.to_read.clear();
            self.at.is_end = true;
        }
        self.at.is_end || self.found.refusal.is_some()
    }

    /// The next queue of these topics that this shard owns.
    fn next_queue<'t, I: Io>(
        &mut self,
        ctx: &Context<'_, I>,
        topics: &'t [Arc<Topic>],
    ) -> Option<(usize, &'t Arc<Topic>, u32)> {
        let (me, shards) = (ctx.front.me(), ctx.front.mux.shards());
        while let Some(topic) = topics.get(self.at.topic) {
            let at = self.at.topic;
            while self.at.queue_id < topic.config.queues() {
                let queue_id = self.at.queue_id;
                self.at.queue_id += 1;
                if shard_of(&topic.config.topic_name, queue_id, shards).0 == me {
                    return Some((at, topic, queue_id));
                }
            }
            self.at.topic += 1;
            self.at.queue_id = 0;
        }
        self.at.is_end = true;
        None
    }

    fn figures<I: Io>(
        &mut self,
        ctx: &Context<'_, I>,
        topics: &[Arc<Topic>],
        group: Option<&str>,
        times: Times,
    ) {
        let Some((at, topic, queue_id)) = self.next_queue(ctx, topics) else {
            return;
        };
        let mut figures = QueueFigures {
            topic: at as u32,
            queue_id,
            ..QueueFigures::default()
        };
        let engine = &ctx.broker.engine;
        if let Some(queue) = engine.queue(topic.id, queue_id) {
            let Offsets { min, max } = engine.offsets(queue);
            (figures.min, figures.max) = (min, max);
            if let Some(group) = group {
                figures.committed = engine.committed_offset(group, queue);
                figures.pulled = ctx.broker.progress.pulled_by(queue, group);
            }
            self.plan_reads(queue, &figures, times);
        }
        self.found.queues.push(figures);
    }

    /// Notes which records' times a row needs.
    fn plan_reads(&mut self, queue: QueueNumber, figures: &QueueFigures, times: Times) {
        let row = self.found.queues.len();
        let (min, max) = (figures.min, figures.max);
        let committed = figures.committed.unwrap_or(0);
        let next = committed.max(min);
        let wanted = [
            (times.first, When::First, Some(min)),
            (times.last, When::Last, max.checked_sub(1)),
            (times.consumed, When::Consumed, committed.checked_sub(1)),
            (times.next, When::Next, Some(next)),
        ];
        for (is_wanted, when, offset) in wanted {
            if let Some(offset) = offset
                && is_wanted
                && (min..max).contains(&offset)
            {
                self.to_read.push(Read {
                    row,
                    when,
                    queue,
                    offset,
                });
            }
        }
    }

    fn offsets<I: Io>(
        &mut self,
        ctx: &Context<'_, I>,
        group: Option<&str>,
        topic: Option<TopicId>,
        is_pairs: bool,
    ) {
        let committed = ctx.broker.engine.committed_offsets(self.at.place);
        let mut looked = 0;
        for row in committed.take(limits::GATHER_STEP_LOOKS) {
            looked += 1;
            self.at.place = Some(row.place);
            let is_wanted = group.is_none_or(|group| group == row.group)
                && topic.is_none_or(|topic| topic == row.topic);
            if !is_wanted {
                continue;
            }
            let found = GroupOffset {
                topic: row.topic,
                group: row.group.into(),
                queue_id: if is_pairs { 0 } else { row.queue_id },
                offset: if is_pairs { 0 } else { row.offset },
            };
            self.found.offsets.push(found);
        }
        if is_pairs {
            self.found.offsets.sort();
            self.found.offsets.dedup();
        }
        self.at.is_end = looked < limits::GATHER_STEP_LOOKS;
    }

    fn clone_offset<I: Io>(
        &mut self,
        ctx: &mut Context<'_, I>,
        topics: &[Arc<Topic>],
        from: &str,
        to: &str,
    ) {
        let Some((_, topic, queue_id)) = self.next_queue(ctx, topics) else {
            return;
        };
        let engine = &mut ctx.broker.engine;
        if let Some(queue) = engine.queue(topic.id, queue_id)
            && let Some(offset) = engine.committed_offset(from, queue)
        {
            engine.commit_offset(to, queue, offset);
        }
    }

    fn view<I: Io>(&mut self, ctx: &mut Context<'_, I>, offset: PhysicalOffset) {
        self.at.is_end = true;
        let ticket = self.wait(ctx, 0, When::Record);
        match ctx.broker.engine.view(ctx.io, offset, ticket) {
            ViewOutcome::Pending => self.reading += 1,
            ViewOutcome::Ready(view) => {
                ctx.broker.waiters.take(ticket);
                self.take_view(view);
            }
        }
    }

    fn wait<I: Io>(&self, ctx: &mut Context<'_, I>, row: usize, when: When) -> u64 {
        let task = self.id;
        let probe = Probe { task, row, when };
        ctx.broker.waiters.insert(Waiter::Probe(probe))
    }
}

/// Resets.
impl Task {
    fn reset<I: Io>(&mut self, ctx: &mut Context<'_, I>, reset: &Reset) {
        let name = &reset.topic.config.topic_name;
        let (me, shards) = (ctx.front.me(), ctx.front.mux.shards());
        let (first, end) = reset.queues;
        let queue_id = self.at.queue_id.max(first);
        if queue_id >= end {
            self.at.is_end = true;
            return;
        }
        self.at.queue_id = queue_id + 1;
        if shard_of(name, queue_id, shards).0 != me {
            return;
        }
        // A queue without a record has no number yet, and a group may stand at its beginning.
        let queue = match ctx.broker.queue(&reset.topic, queue_id) {
            Ok(queue) => queue,
            Err(refused) => return self.refuse(Refusal::engine(refused)),
        };
        let Offsets { min, max } = ctx.broker.engine.offsets(queue);
        let row = self.found.resets.len();
        self.found.resets.push((queue_id, max));
        match reset.target {
            ResetTarget::End => self.apply_reset(ctx, row, max),
            ResetTarget::Offset(offset) if (min..=max).contains(&offset) => {
                self.apply_reset(ctx, row, offset);
            }
            ResetTarget::Offset(offset) => {
                let remark =
                    format!("Target offset {offset} not in consume queue range [{min}-{max}]");
                self.refuse(Refusal::new(response::SYSTEM_ERROR, remark));
            }
            ResetTarget::Time(time) => {
                let ticket = self.wait(ctx, row, When::Reset);
                let engine = &mut ctx.broker.engine;
                match engine.offset_by_time(ctx.io, queue, time, Boundary::Lower, ticket) {
                    OffsetOutcome::Pending => self.reading += 1,
                    OffsetOutcome::Ready(offset) => {
                        ctx.broker.waiters.take(ticket);
                        self.apply_reset(ctx, row, offset);
                    }
                }
            }
        }
    }

    /// The offset of a reset is known.
    fn apply_reset<I: Io>(&mut self, ctx: &mut Context<'_, I>, row: usize, offset: u64) {
        let question = Arc::clone(&self.question);
        let (Question::Reset(reset), Some(&(queue_id, _))) =
            (&*question, self.found.resets.get(row))
        else {
            return;
        };
        let group = &reset.group;
        let engine = &mut ctx.broker.engine;
        let Some(queue) = engine.queue(reset.topic.id, queue_id) else {
            return;
        };
        let offset = match reset.mode {
            ResetMode::Broker => {
                engine.commit_offset(group, queue, offset);
                ctx.broker.progress.reset(queue, group, offset);
                offset
            }
            ResetMode::Clients { is_forced } => match engine.committed_offset(group, queue) {
                None => {
                    let remark = format!("THe consumer group <{group}> not exist");
                    return self.refuse(Refusal::new(response::SYSTEM_ERROR, remark));
                }
                Some(committed) if is_forced || offset < committed => offset,
                Some(committed) => committed,
            },
        };
        self.found.resets[row].1 = offset;
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.found.refusal = Some(refusal);
    }
}

/// Reads.
impl Task {
    /// Begins reads while there may be more of them; says so when the task cannot go on before they
    /// have come.
    fn read<I: Io>(&mut self, ctx: &mut Context<'_, I>) -> Option<Progress> {
        while let Some(read) = self.to_read.pop() {
            if self.reading >= limits::GATHER_READS_MAX {
                self.to_read.push(read);
                return Some(Progress::Reads);
            }
            let ticket = self.wait(ctx, read.row, read.when);
            let pull = PullRequest {
                queue: read.queue,
                offset: read.offset,
                max_messages: 1,
                max_bytes: 1,
                filter: TagFilter::All,
                wait_until_ns: None,
                ticket,
            };
            let PullOutcome::Ready(result) = ctx.broker.engine.pull(ctx.io, pull) else {
                self.reading += 1;
                continue;
            };
            ctx.broker.waiters.take(ticket);
            if result.status == PullStatus::Busy {
                self.to_read.push(read);
                return Some(Progress::Busy);
            }
            self.set_time(read.row, read.when, store_ms(&result));
        }
        (self.reading >= limits::GATHER_READS_MAX).then_some(Progress::Reads)
    }

    pub(super) fn take_pulled(&mut self, probe: &Probe, result: &PullResult) {
        self.reading = self.reading.saturating_sub(1);
        self.set_time(probe.row, probe.when, store_ms(result));
    }

    pub(super) fn take_viewed(&mut self, view: View) {
        self.reading = self.reading.saturating_sub(1);
        self.take_view(view);
    }

    fn take_view(&mut self, view: View) {
        match view {
            View::Found(record) => self.found.record = Some(record),
            View::Absent | View::Damaged => {}
            View::Busy => {
                let remark = "too many old messages are being read; ask again in a moment";
                self.refuse(Refusal::new(response::SYSTEM_BUSY, remark));
            }
        }
    }

    /// An offset by time has been found; it takes effect.
    pub(super) fn take_offset<I: Io>(
        &mut self,
        ctx: &mut Context<'_, I>,
        probe: &Probe,
        offset: u64,
    ) {
        self.reading = self.reading.saturating_sub(1);
        self.apply_reset(ctx, probe.row, offset);
    }

    fn set_time(&mut self, row: usize, when: When, store_ms: i64) {
        let Some(figures) = self.found.queues.get_mut(row) else {
            return;
        };
        match when {
            When::First => figures.first_ms = store_ms,
            When::Last => figures.last_ms = store_ms,
            When::Consumed => figures.consumed_ms = store_ms,
            When::Next => figures.next_ms = store_ms,
            When::Reset | When::Record => {}
        }
    }
}

/// When the record of a pull was stored; 0 where none came.
fn store_ms(result: &PullResult) -> i64 {
    let record = result.records.first();
    let record = record.and_then(|bytes| RecordView::parse(bytes).ok());
    record.map_or(0, |record| record.store_timestamp())
}

fn too_many_rows() -> Refusal {
    let remark = format!(
        "the answer has more than {} rows: ask for one topic or group at a time",
        limits::GATHER_ROWS_MAX
    );
    Refusal::new(response::SYSTEM_ERROR, remark)
}

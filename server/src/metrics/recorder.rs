//! The writing side of a shard's metrics: what the handlers tell it is gathered in runs and counted
//! when the run ends, at the latest at the end of the turn.
//!
//! Acknowledgements come in the order of the appends, and what was received together was appended
//! together, so a run is usually a whole read of a socket: a message costs a comparison or two and a
//! few additions in memory that is at hand.

use std::sync::Arc;

use ringmq_engine::TopicId;

use super::Metrics;
use super::backlog::Backlog;
use super::meters::{MeterId, MeterName, MeterTable};
use super::shard::{ShardMetrics, ShardState};
use crate::connection::CloseReason;

/// See the module. Lives on its shard's thread.
#[derive(Debug)]
pub struct Recorder {
    all: Arc<Metrics>,
    mine: Arc<ShardMetrics>,
    meters: MeterTable,
    appended: AppendRun,
    stored: StoreRun,
    /// Sends stored in this turn whose answers leave with it, and since when.
    replies: (u64, u64),
    /// Pulls answered in the turn in which they came.
    pulls: (u64, u64),
    state_due_ns: u64,
    is_state_old: bool,
    frames: u64,
}

/// How often the state of a busy shard is looked at.
const STATE_INTERVAL_NS: u64 = 1_000_000_000;
/// Meters looked over each time for topics and groups that are gone.
const SWEEP_METERS: usize = 256;

#[derive(Debug, Default)]
struct AppendRun {
    took_ns: u64,
    sends: u64,
}

/// A send as its waiter knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSend {
    /// The topic's meter.
    pub meter: MeterId,
    /// Messages: more than one in a batch.
    pub messages: u32,
    /// Bytes of its records.
    pub bytes: u32,
    /// When its request was received.
    pub received_ns: u64,
    /// When it was appended.
    pub appended_ns: u64,
}

#[derive(Debug)]
struct StoreRun {
    meter: MeterId,
    appended_ns: u64,
    received_ns: u64,
    now_ns: u64,
    sends: u64,
    messages: u64,
    bytes: u64,
}

impl Recorder {
    /// For the shard `index` of `all`; `seed` places the names.
    pub fn new(all: Arc<Metrics>, index: usize, seed: u64) -> Self {
        let mine = all.shard(index);
        Self {
            meters: MeterTable::new(Arc::clone(&mine.meters), seed),
            all,
            mine,
            appended: AppendRun::default(),
            stored: StoreRun::new(),
            replies: (0, 0),
            pulls: (0, 0),
            state_due_ns: 0,
            is_state_old: false,
            frames: 0,
        }
    }

    /// The metrics of all shards.
    pub fn all(&self) -> &Arc<Metrics> {
        &self.all
    }

    /// The metrics of this shard.
    pub fn mine(&self) -> &Arc<ShardMetrics> {
        &self.mine
    }

    /// The meter of what is stored into a topic.
    pub fn topic(&mut self, topic: TopicId, name: &str) -> MeterId {
        self.meters.topic(topic, name)
    }

    /// The meter of what a group takes out of a topic.
    pub fn group(&mut self, topic: TopicId, name: &str, group: &str) -> MeterId {
        self.meters.group(topic, name, group)
    }

    /// A send has its place in the log.
    pub fn appended(&mut self, received_ns: u64, now_ns: u64) {
        let took_ns = now_ns.saturating_sub(received_ns);
        if self.appended.took_ns != took_ns {
            self.end_append_run();
            self.appended.took_ns = took_ns;
        }
        self.appended.sends += 1;
    }

    /// A send is stored and about to be answered.
    pub fn stored(&mut self, send: &StoredSend, now_ns: u64) {
        let run = &mut self.stored;
        if run.meter != send.meter
            || run.appended_ns != send.appended_ns
            || run.received_ns != send.received_ns
            || run.now_ns != now_ns
        {
            self.end_store_run();
            let run = &mut self.stored;
            run.meter = send.meter;
            run.appended_ns = send.appended_ns;
            run.received_ns = send.received_ns;
            run.now_ns = now_ns;
        }
        let run = &mut self.stored;
        run.sends += 1;
        run.messages += u64::from(send.messages);
        run.bytes += u64::from(send.bytes);
    }

    /// A pull is answered with `count` messages. `waited`: not in the turn in which it came.
    pub fn pulled(&mut self, pull: &Pulled, now_ns: u64) {
        let mine = &*self.mine;
        if pull.waited {
            let took_ns = now_ns.saturating_sub(pull.received_ns);
            mine.times.pull_waited.record(took_ns, 1);
        } else {
            if self.pulls.0 == 0 {
                self.pulls.1 = pull.received_ns;
            }
            self.pulls.0 += 1;
        }
        if pull.messages == 0 {
            mine.pulls_missed.add(1);
            return;
        }
        mine.pulls_found.add(1);
        mine.messages_out.add(u64::from(pull.messages));
        mine.bytes_out.add(u64::from(pull.bytes));
        if let Some(meter) = self.meters.get(pull.meter) {
            meter.messages.add(u64::from(pull.messages));
            meter.bytes.add(u64::from(pull.bytes));
        }
    }

    /// A pull is answered without having been asked of the engine.
    pub fn missed(&self) {
        self.mine.pulls_missed.add(1);
    }

    /// A group sent a message back.
    pub fn sent_back(&mut self, meter: MeterId) {
        self.mine.send_backs.add(1);
        if let Some(meter) = self.meters.get(meter) {
            meter.send_backs.add(1);
        }
    }

    /// A request is handled; more than once when it is forwarded to another shard or waits for a change,
    /// but it is new only the first time.
    pub fn requested(&mut self, code: i32, is_new: bool) {
        self.frames += 1;
        if is_new {
            self.mine.requests.add(code);
        }
    }

    /// Requests handled.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Shows what a walk has found.
    pub fn show_backlog(&self, backlog: Backlog) {
        self.mine.backlog.store(Arc::new(backlog));
    }

    /// A request was refused.
    pub fn refused(&self, code: i32) {
        self.mine.refusals.add(code);
    }

    /// A connection was taken over.
    pub fn opened(&self) {
        self.mine.connections.opened.add(1);
    }

    /// A connection ended.
    pub fn closed(&self, reason: CloseReason) {
        self.mine.connections.closed[reason.index()].add(1);
    }

    /// Ends the runs. Whether answers to sends or pulls leave with this turn: then the clock is to be
    /// read once they are with the ring, for [`Recorder::answered`].
    pub fn end_turn(&mut self) -> bool {
        self.end_append_run();
        self.end_store_run();
        self.replies.0 + self.pulls.0 > 0
    }

    /// The answers of this turn are in the hands of the ring.
    pub fn answered(&mut self, now_ns: u64) {
        let times = &self.mine.times;
        for (run, histogram) in [
            (&mut self.replies, &times.reply),
            (&mut self.pulls, &times.pull_at_once),
        ] {
            let (count, since_ns) = std::mem::take(run);
            if count > 0 {
                histogram.record(now_ns.saturating_sub(since_ns), count);
            }
        }
    }

    /// Whether the slow figures are due.
    pub fn is_state_due(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.state_due_ns;
        self.is_state_old = !is_due;
        if is_due {
            self.state_due_ns = now_ns + STATE_INTERVAL_NS;
        }
        is_due
    }

    /// When they must be looked at although nothing happens: once after the last turn that did anything.
    pub fn state_due_ns(&self) -> Option<u64> {
        self.is_state_old.then_some(self.state_due_ns)
    }

    /// Shows the slow figures, and looks for meters of what is gone.
    pub fn show_state(
        &mut self,
        state: ShardState,
        is_alive: impl Fn(TopicId, &MeterName) -> bool,
    ) {
        self.mine.state.store(Arc::new(state));
        self.meters.sweep(SWEEP_METERS, is_alive);
    }

    fn end_append_run(&mut self) {
        let run = &mut self.appended;
        if run.sends > 0 {
            self.mine.times.append.record(run.took_ns, run.sends);
            run.sends = 0;
        }
    }

    fn end_store_run(&mut self) {
        let run = &mut self.stored;
        if run.sends == 0 {
            return;
        }
        let mine = &*self.mine;
        let since = |then_ns| run.now_ns.saturating_sub(then_ns);
        mine.times.store.record(since(run.appended_ns), run.sends);
        mine.times.send.record(since(run.received_ns), run.sends);
        mine.sends.add(run.sends);
        mine.messages_in.add(run.messages);
        mine.bytes_in.add(run.bytes);
        if let Some(meter) = self.meters.get(run.meter) {
            meter.messages.add(run.messages);
            meter.bytes.add(run.bytes);
        }
        if self.replies.0 == 0 {
            self.replies.1 = run.now_ns;
        }
        self.replies.0 += run.sends;
        (run.sends, run.messages, run.bytes) = (0, 0, 0);
    }
}

/// An answered pull.
#[derive(Clone, Copy, Debug)]
pub struct Pulled {
    /// The meter of the group in that topic.
    pub meter: MeterId,
    /// Messages delivered.
    pub messages: u32,
    /// Their bytes.
    pub bytes: u32,
    /// When its request was received.
    pub received_ns: u64,
    /// Whether it was not answered in the turn in which it came.
    pub waited: bool,
}

impl StoreRun {
    fn new() -> Self {
        Self {
            meter: MeterId::NONE,
            appended_ns: 0,
            received_ns: 0,
            now_ns: 0,
            sends: 0,
            messages: 0,
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::HistogramReading;

    fn send(meter: MeterId, received_ns: u64, appended_ns: u64) -> StoredSend {
        StoredSend {
            meter,
            messages: 2,
            bytes: 300,
            received_ns,
            appended_ns,
        }
    }

    #[test]
    fn every_send_counts_once_in_the_totals_its_meter_and_each_stage() {
        let all = Arc::new(Metrics::new(1));
        let mut recorder = Recorder::new(Arc::clone(&all), 0, 1);
        let (one, two) = (
            recorder.topic(TopicId(1), "one"),
            recorder.topic(TopicId(2), "two"),
        );
        for (meter, received) in [(one, 1000), (one, 1000), (two, 1000), (two, 5000)] {
            recorder.appended(received, received + 50);
            recorder.stored(&send(meter, received, received + 50), 90_000);
        }
        assert!(recorder.end_turn());
        recorder.answered(95_000);
        assert!(!recorder.end_turn());
        let totals = all.totals();
        assert_eq!(
            (totals.sends, totals.messages_in, totals.bytes_in),
            (4, 8, 1200)
        );
        let rows = all.meters();
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, m)| (&*name.topic, m.messages, m.bytes))
            .collect();
        assert_eq!(rows, [("one", 4, 600), ("two", 4, 600)]);
        for stage in [
            &totals.times.append,
            &totals.times.store,
            &totals.times.reply,
            &totals.times.send,
        ] {
            assert_eq!(HistogramReading::count(stage), 4);
        }
    }

    #[test]
    fn the_slow_figures_are_looked_at_once_a_second_and_once_when_all_is_quiet() {
        let all = Arc::new(Metrics::new(1));
        let mut recorder = Recorder::new(all, 0, 1);
        assert!(recorder.is_state_due(0));
        assert_eq!(recorder.state_due_ns(), None);
        assert!(!recorder.is_state_due(10));
        assert_eq!(recorder.state_due_ns(), Some(STATE_INTERVAL_NS));
        assert!(recorder.is_state_due(STATE_INTERVAL_NS));
        assert_eq!(recorder.state_due_ns(), None);
    }
}

//! What must be true: every answer and every reopened store is held against what was sent.
//!
//! The invariants are those of the fault matrix: I-01 acknowledged records stay readable,
//! unchanged; I-02 nothing appears that was not sent or was refused; I-03 offsets are dense and one
//! offset never has two contents; I-04 the order of appends is the order of offsets; I-05 offsets
//! never go back; I-07 committed offsets; I-12 nothing damaged is delivered; I-13 rebuilt indexes
//! find what the old ones found.
//!
//! What is forgiven, and nothing else:
//!
//! * Records that no ack, pull or maximum has shown, at any end but a stop. With ASYNC_FLUSH at a power cut
//!   also those shown less than half a second before (on a disk that stalls: at any time before). Never what
//!   the log itself has called durable.
//! * Committed offsets: at a crash those of the last moments, or since the log could take none; on a disk
//!   that stalls all that the log has not made durable. At a stop only where the log was closed to them or
//!   has been asked for ten seconds.
//! * Records in a part of the log that something else has changed; behind a write that a device has only
//!   pretended to make, everything of that shard.
//! * An answer "damaged" where something is, or where a read may have failed in this life.
//! * An opening that fails, or a shard that does, when an operation has failed in that life or fails for
//!   good; an opening after a device has pretended to write other files than the log's.
//! * A shard that only reads, when its log is damaged.

use std::collections::{BTreeMap, BTreeSet};

use ringmq_engine::limits::STOP_OFFSETS_NS;
use ringmq_engine::{
    Appended, Offsets, PullRequest, PullResult, PullStatus, ShardIndex, ShardStatus, TagFilter,
    Ticket, placement,
};
use ringmq_protocol::record::Records;

use super::message::Messages;

/// A queue by its topic's place in the plan and its queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueKey {
    pub topic: usize,
    pub queue_id: u32,
}

/// How a life of the engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stopped,
    Killed,
    PowerCut,
}

/// What a promise of this run may be broken by, as planned.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// SYNC_FLUSH: acknowledged means durable.
    pub sync: bool,
    /// Reads fail now and then.
    pub read_errors: bool,
    /// Operations stall for seconds: what is promised within a time is promised no longer. What a watermark
    /// says still is.
    pub slow: bool,
    /// Retention removes old segments.
    pub retention: bool,
}

/// A record as the oracle knows it.
#[derive(Clone, Copy, Debug)]
struct Held {
    id: u64,
    /// Its place in the shard's log.
    physical: u64,
    len: u64,
    store_ms: i64,
    acked_ns: Option<u64>,
    /// Somebody was told of it, by an ack, a pull or a maximum.
    shown: bool,
}

#[derive(Debug, Default)]
struct Queue {
    held: BTreeMap<u64, Held>,
    next: u64,
    min: u64,
    max_shown: u64,
    bound: bool,
}

#[derive(Debug)]
enum Waiting {
    Records { key: QueueKey, offsets: Vec<u64> },
    Other,
}

/// Values that a group had for a queue, with the times they came.
#[derive(Debug, Default)]
struct Commits {
    values: Vec<(u64, u64)>,
}

/// How far the committed offsets of one shard are known to be safe.
#[derive(Clone, Copy, Debug, Default)]
struct Safe {
    /// What was committed before this time is durable.
    until_ns: u64,
    /// Durable once the log is durable up to a position: what was committed before a time.
    next: Option<(u64, u64)>,
    /// The log lacks some, and since when it could have taken them, with the stopped time then.
    behind: bool,
    late_since: Option<(u64, u64)>,
    /// The log could take none from this time on, and until when that excuses.
    unable_since: Option<(u64, u64)>,
    /// The log will take none before an operator or space comes.
    closed: bool,
    /// The newest look, which is the last one when the shard has stopped.
    looked_ns: u64,
    /// The log is durable up to this position, by the engine's own word.
    durable: u64,
}

/// How long a committed offset may be in memory alone: a second until it is in a block, another until the
/// block is written, and the time that takes.
const PERSISTED_NS: u64 = 2_500_000_000;

/// A part of a shard's log that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    pub shard: u8,
    pub from: u64,
    pub to: u64,
    /// The damage was done while the log was written: what follows it may have been set aside.
    pub at_the_end: bool,
}

/// The oracle of one run. It panics where an invariant is broken.
pub struct Oracle {
    pub messages: Messages,
    pub topics: Vec<String>,
    pub shards: u8,
    pub rules: Rules,
    queues: BTreeMap<QueueKey, Queue>,
    refused: BTreeSet<u64>,
    waiting: BTreeMap<Ticket, Waiting>,
    last_physical: Vec<u64>,
    last_store_ms: Vec<i64>,
    commits: BTreeMap<(usize, QueueKey), Commits>,
    safe: Vec<Safe>,
    /// Operations fail in this life.
    pub failing: bool,
    /// When the newest stop was asked for.
    stop_asked_ns: u64,
    damage: Vec<Damaged>,
    /// For how long the process was stopped in this life.
    pub paused_ns: u64,
    pub stats: Stats,
}

/// What a run has done, to see that it was worth it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub appended: u64,
    pub acked: u64,
    pub refused: u64,
    pub failed: u64,
    pub pulled: u64,
    pub vanished: u64,
    pub damaged: u64,
    pub lives: u64,
    pub kills: u64,
    pub cuts: u64,
    pub stops: u64,
    pub fail_stops: u64,
    pub open_errors: u64,
    pub faults: u64,
}

impl Safe {
    /// Whether the log could take committed offsets just now. What it could not take was late at first, and
    /// gets its time from then on.
    fn note_able(&mut self, able: bool, now_ns: u64) {
        let until_ns = now_ns + PERSISTED_NS;
        self.unable_since = match self.unable_since {
            None if able => None,
            None => Some((now_ns, until_ns)),
            Some((since_ns, _)) if !able => Some((since_ns, until_ns)),
            Some((_, until_ns)) if until_ns <= now_ns => None,
            kept => kept,
        };
    }
}

impl Oracle {
    pub fn new(messages: Messages, topics: Vec<String>, shards: u8, rules: Rules) -> Self {
        Self {
            messages,
            topics,
            shards,
            rules,
            queues: BTreeMap::new(),
            refused: BTreeSet::new(),
            waiting: BTreeMap::new(),
            last_physical: vec![0; usize::from(shards)],
            last_store_ms: vec![0; usize::from(shards)],
            commits: BTreeMap::new(),
            safe: vec![Safe::default(); usize::from(shards)],
            failing: false,
            stop_asked_ns: 0,
            damage: Vec::new(),
            paused_ns: 0,
            stats: Stats::default(),
        }
    }

    pub fn shard_of(&self, key: QueueKey) -> usize {
        let ShardIndex(shard) =
            placement::shard_of(&self.topics[key.topic], key.queue_id, self.shards);
        usize::from(shard)
    }

    /// All queues that anything was appended to, or that are bound.
    pub fn queues(&self) -> Vec<QueueKey> {
        self.queues.keys().copied().collect()
    }

    // Sends -----------------------------------------------------------------------------------

    /// A queue is bound from now on, in memory at least.
    pub fn bound(&mut self, key: QueueKey) {
        self.queues.entry(key).or_default().bound = true;
    }

    /// Records got their places.
    pub fn appended(
        &mut self,
        key: QueueKey,
        ids: &[u64],
        first: Appended,
        len: u64,
        ticket: Ticket,
    ) {
        let shard = self.shard_of(key);
        assert_eq!(
            usize::from(first.physical.shard().0),
            shard,
            "a physical offset names another shard"
        );
        let queue = self.queues.entry(key).or_default();
        assert_eq!(
            first.queue_offset, queue.next,
            "I-03: {key:?} gave offset {} after {}",
            first.queue_offset, queue.next
        );
        let physical = first.physical.log_offset().0;
        assert!(
            physical > self.last_physical[shard] || self.last_physical[shard] == 0,
            "physical offsets must increase in shard {shard}: {physical:#x}"
        );
        assert!(
            first.store_time_ms >= self.last_store_ms[shard],
            "store time went back in shard {shard}"
        );
        self.last_physical[shard] = physical;
        self.last_store_ms[shard] = first.store_time_ms;
        let offsets: Vec<u64> = (0..ids.len() as u64)
            .map(|n| first.queue_offset + n)
            .collect();
        for (offset, id) in offsets.iter().zip(ids) {
            let held = Held {
                id: *id,
                physical,
                len,
                store_ms: first.store_time_ms,
                acked_ns: None,
                shown: false,
            };
            let old = queue.held.insert(*offset, held);
            assert!(old.is_none(), "I-03: {key:?} offset {offset} given twice");
        }
        queue.next += ids.len() as u64;
        self.stats.appended += ids.len() as u64;
        self.waiting
            .insert(ticket, Waiting::Records { key, offsets });
    }

    /// Records were turned down: they must never appear.
    pub fn refused(&mut self, ids: &[u64]) {
        self.stats.refused += ids.len() as u64;
        self.refused.extend(ids);
    }

    /// Something else waits for its end.
    pub fn waits(&mut self, ticket: Ticket) {
        self.waiting.insert(ticket, Waiting::Other);
    }

    /// An ack.
    pub fn stored(&mut self, ticket: Ticket, now_ns: u64) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            panic!("an ack for ticket {ticket}, which waits for nothing");
        };
        let Waiting::Records { key, offsets } = waiting else {
            return;
        };
        let queue = self.queues.get_mut(&key).expect("appended before");
        for offset in offsets {
            let held = queue.held.get_mut(&offset).expect("appended before");
            held.acked_ns = Some(now_ns);
            held.shown = true;
            self.stats.acked += 1;
        }
    }

    /// The engine does not know how an append ended.
    pub fn failed(&mut self, ticket: Ticket) {
        assert!(
            self.waiting.remove(&ticket).is_some(),
            "a failure for ticket {ticket}, which waits for nothing"
        );
        self.stats.failed += 1;
    }

    // Reads -----------------------------------------------------------------------------------

    /// A reading of a queue's offsets while the engine runs.
    pub fn offsets(&mut self, key: QueueKey, offsets: Offsets) {
        let queue = self.queues.entry(key).or_default();
        assert!(
            offsets.max >= queue.max_shown,
            "I-05: the maximum of {key:?} went back from {} to {}",
            queue.max_shown,
            offsets.max
        );
        assert!(
            offsets.min >= queue.min && offsets.min <= offsets.max,
            "I-05: the minimum of {key:?} is {} after {}, the maximum {}",
            offsets.min,
            queue.min,
            offsets.max
        );
        assert!(
            offsets.max <= queue.next,
            "I-02: {key:?} shows {} records, {} were appended",
            offsets.max,
            queue.next
        );
        assert!(
            self.rules.retention || offsets.min == queue.min,
            "the minimum of {key:?} moved without retention"
        );
        queue.min = offsets.min;
        Self::show(queue, offsets.max);
    }

    fn show(queue: &mut Queue, max: u64) {
        for (_, held) in queue
            .held
            .range_mut(queue.max_shown..max.max(queue.max_shown))
        {
            held.shown = true;
        }
        queue.max_shown = queue.max_shown.max(max);
    }

    /// The answer to a pull; returns where to go on.
    pub fn pulled(&mut self, key: QueueKey, request: &PullRequest, result: &PullResult) -> u64 {
        if matches!(result.status, PullStatus::Busy | PullStatus::NoQueue) {
            assert!(result.records.is_empty());
            return request.offset;
        }
        let before = self.queues.entry(key).or_default().max_shown;
        self.offsets(
            key,
            Offsets {
                min: result.min,
                max: result.max,
            },
        );
        let mut expected = request.offset.max(result.min);
        for slice in &result.records {
            for record in Records::new(slice) {
                let record = record.unwrap_or_else(|error| panic!("I-12: {key:?}: {error}"));
                let offset = record.queue_offset() as u64;
                self.skip_filtered(key, request, expected, offset);
                self.check_record(key, offset, &record);
                assert!(
                    wanted(&request.filter, record.tags_code()),
                    "a filter let pass"
                );
                expected = offset + 1;
                self.stats.pulled += 1;
            }
        }
        assert!(
            result.records.is_empty() || result.status == PullStatus::Found,
            "{:?} with records",
            result.status
        );
        self.check_status(key, request, result, before);
        if matches!(result.status, PullStatus::Found | PullStatus::NoMatched) {
            assert!(result.next >= expected && result.next <= result.max);
            self.skip_filtered(key, request, expected, result.next);
        }
        result.next
    }

    /// Offsets that a pull passed over must have been unwanted, or damaged.
    fn skip_filtered(&mut self, key: QueueKey, request: &PullRequest, from: u64, to: u64) {
        assert!(to >= from, "I-03: {key:?} went back from {from} to {to}");
        for offset in from..to {
            let held = self.queues[&key].held.get(&offset).copied();
            let Some(held) = held else {
                panic!("I-01: {key:?} skipped offset {offset}, unknown");
            };
            let tag = self
                .messages
                .content(held.id)
                .tag
                .map_or(0, |tag| ringmq_protocol::tags::tags_code(tag.as_bytes()));
            if wanted(&request.filter, tag) {
                assert!(
                    self.excused(key, &held),
                    "I-01: {key:?} passed over offset {offset} on its way from {from} to {to}: \
                     {held:?}, {request:?}"
                );
            }
        }
    }

    fn check_record(
        &mut self,
        key: QueueKey,
        offset: u64,
        record: &ringmq_protocol::RecordView<'_>,
    ) {
        let id = self
            .messages
            .recognise(record, &self.topics[key.topic], key.queue_id)
            .unwrap_or_else(|what| panic!("I-12: {key:?} offset {offset}: {what}"));
        assert!(
            !self.refused.contains(&id),
            "I-02: {key:?} offset {offset} holds message {id}, which was refused"
        );
        let queue = self.queues.get_mut(&key).expect("known");
        let Some(held) = queue.held.get_mut(&offset) else {
            panic!("I-02: {key:?} offset {offset} holds message {id}, which was not put there");
        };
        assert_eq!(
            held.id, id,
            "I-03: {key:?} offset {offset} has another content than before"
        );
        held.shown = true;
    }

    fn check_status(
        &mut self,
        key: QueueKey,
        request: &PullRequest,
        result: &PullResult,
        max: u64,
    ) {
        let status = result.status;
        let inside = request.offset >= result.min && request.offset < max;
        match status {
            PullStatus::Damaged { .. } => {
                self.stats.damaged += 1;
                // The damaged record is at `next`, or was left behind for good.
                self.skip_filtered(key, request, request.offset, result.next);
                let held = &self.queues[&key].held;
                let mut passed = held.range(request.offset..=result.next);
                let excused = passed.any(|(_, held)| self.excused(key, held));
                assert!(
                    excused || (self.rules.read_errors && self.failing),
                    "I-01: {key:?} offset {} is {status:?}, next {}; damage {:?}",
                    request.offset,
                    result.next,
                    self.damage
                );
            }
            PullStatus::NoNew | PullStatus::BeyondMax | PullStatus::Empty => assert!(
                !inside,
                "I-01: {key:?} answers {status:?} at {} below its maximum {max}",
                request.offset
            ),
            PullStatus::TooSmall => assert!(request.offset < result.min),
            _ => {}
        }
    }

    // Group offsets ---------------------------------------------------------------------------

    /// A group's offset was set; `visible` is what it was clamped to.
    pub fn committed(&mut self, group: usize, key: QueueKey, value: u64, now_ns: u64) {
        let commits = self.commits.entry((group, key)).or_default();
        commits.values.push((now_ns, value));
    }

    /// A look at a shard after each of its turns. Offsets go to the log within a second of the time from
    /// which on the log could take them.
    pub fn looked(&mut self, shard: usize, status: &ShardStatus, now_ns: u64) {
        let paused_ns = self.paused_ns;
        let safe = &mut self.safe[shard];
        if let Some((end, before_ns)) = safe.next
            && status.durable >= end
        {
            safe.until_ns = before_ns;
            safe.next = None;
        }
        safe.looked_ns = now_ns;
        safe.durable = safe.durable.max(status.durable);
        safe.behind = status.offsets_behind;
        safe.closed = status.no_space || status.read_only;
        if !safe.behind && safe.next.is_none() {
            safe.next = Some((status.appended, now_ns));
        }
        let able = status.segments_ahead > 0 && status.indexes_waiting < 2 && !status.read_only;
        safe.note_able(able, now_ns);
        if !(safe.behind && able) {
            safe.late_since = None;
            return;
        }
        let (since_ns, paused_then) = *safe.late_since.get_or_insert((now_ns, paused_ns));
        let late_ns = now_ns - since_ns - (paused_ns - paused_then);
        assert!(
            late_ns <= 1_200_000_000,
            "I-07: shard {shard} keeps committed offsets from its log for {late_ns} ns"
        );
    }

    /// All shards are asked to stop.
    pub fn stop_asked(&mut self, now_ns: u64) {
        self.stop_asked_ns = now_ns;
    }

    /// From when on committed offsets may be lost by the end of a life. A crash may take the last ones, and
    /// those since the log could take none; on a disk that stalls all that the log has not made durable
    /// ([`Safe::until_ns`]). A stop takes none, but where the log was closed to them, or was asked for as
    /// long as a stop must ask.
    pub fn loses_from(&self, shard: usize, end: End, ended_ns: u64, paused_ns: u64) -> u64 {
        let safe = &self.safe[shard];
        if end == End::Stopped {
            let asked_in_vain = safe.looked_ns >= self.stop_asked_ns + STOP_OFFSETS_NS;
            return match safe.behind && (safe.closed || asked_in_vain) {
                true => 0,
                false => ended_ns + 1,
            };
        }
        if self.rules.slow {
            return 0;
        }
        let from_ns = safe.unable_since.map_or(ended_ns, |(since, _)| since);
        from_ns
            .min(ended_ns)
            .saturating_sub(PERSISTED_NS + paused_ns)
    }

    /// Writes of a shard's log went wrong silently.
    fn is_lied_to(&self, shard: usize) -> bool {
        let mut damage = self.damage.iter();
        damage.any(|damage| usize::from(damage.shard) == shard && damage.at_the_end)
    }

    /// Whether a shard's log is known to be damaged at all.
    pub fn is_damaged(&self, shard: usize) -> bool {
        let mut damage = self.damage.iter();
        damage.any(|damage| usize::from(damage.shard) == shard)
    }

    /// What came back of a group's offset; `fresh_ns` is the time before which nothing is forgiven.
    pub fn recovered_commit(
        &mut self,
        group: usize,
        key: QueueKey,
        value: Option<u64>,
        fresh_ns: u64,
    ) {
        // A lie may have hit the record of a commit.
        let exact = !self.is_lied_to(self.shard_of(key));
        let fresh_ns = fresh_ns.max(self.safe[self.shard_of(key)].until_ns);
        let max = self.queues.get(&key).map_or(0, |queue| queue.next);
        let commits = self.commits.entry((group, key)).or_default();
        if let Some(value) = value {
            assert!(
                value <= max,
                "I-07: {key:?} group {group} at {value}, maximum {max}"
            );
        }
        let settled = commits.values.iter().rposition(|(at, _)| *at < fresh_ns);
        let allowed = &commits.values[settled.unwrap_or(0)..];
        let known = match value {
            Some(value) => allowed
                .iter()
                .any(|(_, v)| *v == value || *v > max && value == max),
            None => settled.is_none(),
        };
        assert!(
            known || !exact,
            "I-07: {key:?} group {group} came back as {value:?}; it may be one of {allowed:?}"
        );
        // It came from the disk, and stays.
        commits.values = value.into_iter().map(|value| (0, value)).collect();
    }

    /// The groups and queues with a committed offset.
    pub fn commit_keys(&self) -> Vec<(usize, QueueKey)> {
        self.commits.keys().copied().collect()
    }

    // Ends and beginnings ---------------------------------------------------------------------

    /// Something else than the engine changed a part of the log.
    pub fn damage(&mut self, damage: Damaged) {
        self.damage.push(damage);
    }

    /// A life is over: what waits will never be answered.
    pub fn life_ended(&mut self) {
        self.waiting.clear();
        for safe in &mut self.safe {
            safe.next = None;
            safe.late_since = None;
            safe.unable_since = None;
        }
    }

    /// What a queue came back with. `cut_ns`: when the life ended.
    pub fn recovered(&mut self, key: QueueKey, offsets: Offsets, end: End, cut_ns: u64) {
        let rules = self.rules;
        let shard = self.shard_of(key);
        let durable = self.safe[shard].durable;
        let Some(queue) = self.queues.get_mut(&key) else {
            assert_eq!(offsets, Offsets::default(), "I-02: {key:?} was never used");
            return;
        };
        assert!(
            offsets.max <= queue.next,
            "I-02: {key:?} came back with {} records of {}",
            offsets.max,
            queue.next
        );
        assert!(
            offsets.min >= queue.min && (rules.retention || offsets.min == queue.min),
            "I-05: the minimum of {key:?} is {} after {}",
            offsets.min,
            queue.min
        );
        queue.min = offsets.min;
        let vanished = queue.held.split_off(&offsets.max);
        for (offset, held) in &vanished {
            let promised = if end == End::Stopped || held.physical + held.len <= durable {
                true
            } else if rules.sync || end == End::Killed {
                held.shown
            } else {
                // ASYNC_FLUSH: durable within 500 ms of being written.
                let young = |at: u64| cut_ns < at + 500_000_000;
                held.acked_ns.is_some_and(|at| !young(at)) && !rules.slow
            };
            let excused = excuse(&self.damage, shard, held);
            assert!(
                !promised || excused,
                "I-01: {key:?} offset {offset}, message {}, acknowledged {:?}, shown {}, is gone \
                 after {end:?} at {cut_ns}; the maximum is {}",
                held.id,
                held.acked_ns,
                held.shown,
                offsets.max
            );
        }
        self.stats.vanished += vanished.len() as u64;
        let newest = queue.held.values().map(|held| held.store_ms).max();
        queue.next = offsets.max;
        queue.max_shown = queue.max_shown.min(offsets.max);
        Self::show(queue, offsets.max);
        let newest = newest.unwrap_or(i64::MIN);
        self.last_store_ms[shard] = self.last_store_ms[shard].max(newest);
    }

    /// A new life begins: the log may go on below what was appended and lost.
    pub fn forget_places(&mut self) {
        self.last_physical.fill(0);
        self.last_store_ms.fill(i64::MIN);
    }

    /// Damage that recovery met may have taken a record: true when that is possible.
    fn excused(&self, key: QueueKey, held: &Held) -> bool {
        excuse(&self.damage, self.shard_of(key), held)
    }

    /// Newest acknowledged record of a queue older than `before_ns`, for damage: its place and length.
    pub fn old_record(&self, key: QueueKey, before_ns: u64, pick: u64) -> Option<(u64, u64)> {
        let queue = self.queues.get(&key)?;
        let old: Vec<&Held> = queue
            .held
            .values()
            .filter(|held| held.acked_ns.is_some_and(|at| at < before_ns))
            .collect();
        let held = old.get((pick % old.len().max(1) as u64) as usize)?;
        Some((held.physical, held.len))
    }

    /// The range that a queue has now.
    pub fn range(&self, key: QueueKey) -> (u64, u64) {
        self.queues
            .get(&key)
            .map_or((0, 0), |queue| (queue.min, queue.max_shown))
    }
}

fn wanted(filter: &TagFilter, tag: i64) -> bool {
    filter.matches(tag)
}

fn excuse(damage: &[Damaged], shard: usize, held: &Held) -> bool {
    damage.iter().any(|damage| {
        usize::from(damage.shard) == shard
            && held.physical + held.len > damage.from
            && (damage.at_the_end || held.physical < damage.to)
    })
}

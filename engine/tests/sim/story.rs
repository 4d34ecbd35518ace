//! One seed from beginning to end: several lives of one store, each ended somehow, each checked by
//! the next.

use std::cell::RefCell;
use std::rc::Rc;

use ringmq_engine::{Refused, TagFilter, Ticket};
use ringmq_ring::sim::{Fault, Faults, Halt, Process, Rng, SimThread, Step, World};
use ringmq_ring::{Io, Wake};

use super::life::{self, Life};
use super::message::TAGS;
use super::oracle::{Damaged, End, Oracle, QueueKey, Stats};
use super::plan::{Plan, Theme};
use super::worker::{Answer, Command, Shared, Worker};

/// Steps after which something that must end has not ended.
const STEPS_MAX: u64 = 400_000;
/// Late turns in a row that no shard with a next step to take needs.
const LATE_TURNS_MAX: u64 = 1_000;
/// Bytes before a lying write that may be lost with it: a block of several writes.
const LIE_REACH: u64 = 1 << 20;
/// Idle time after which every acknowledged record is below a watermark that is on the disk.
const QUIET_NS: u64 = 4_000_000_000;

/// Runs one seed; panics where an invariant is broken.
pub fn run(plan: &Plan, world: &World) -> Stats {
    let mut story = Story::new(plan, world);
    for _ in 0..plan.lives {
        story.live();
    }
    story.last_life();
    story.check_trust();
    let mut oracle = story.shared.borrow_mut();
    oracle.oracle.stats.faults = world.fired().len() as u64;
    oracle.oracle.stats
}

struct Story<'a> {
    plan: &'a Plan,
    world: &'a World,
    rng: Rng,
    shared: Rc<RefCell<Shared>>,
    life: Option<Life>,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    next_id: u64,
    next_ticket: Ticket,
    /// How and when the engine ended since it last was open and checked.
    end: Option<(End, u64)>,
    /// Faults that had happened when the last life ended.
    fired_before: usize,
    /// Faults that had happened when this life began to open the store.
    fired_at_open: usize,
    /// The store does not open any more, and should not.
    refused: bool,
    /// Silent faults that the oracle knows of.
    lies_seen: usize,
    /// No more trouble from here.
    quiet: bool,
}

#[derive(Default)]
struct Producer {
    waiting: Vec<Ticket>,
}

struct Consumer {
    key: QueueKey,
    offset: u64,
    waiting: Option<Ticket>,
}

/// Why a life ended before its time.
enum Cut {
    Halted(Halt),
    Failed,
}

impl<'a> Story<'a> {
    fn new(plan: &'a Plan, world: &'a World) -> Self {
        let topics: Vec<String> = (0..plan.topics).map(|n| format!("topic{n}")).collect();
        let shared = Shared {
            oracle: Oracle::new(plan.messages, topics.clone(), plan.shards, plan.rules),
            answers: Default::default(),
            topic_ids: vec![None; topics.len()],
            refused: None,
            pulled: None,
        };
        let mut rng = Rng::new(plan.seed ^ 0x0005_7012);
        let consumers = (0..plan.consumers)
            .map(|_| Consumer {
                key: any_key(plan, &mut rng),
                offset: 0,
                waiting: None,
            })
            .collect();
        Self {
            plan,
            world,
            rng,
            shared: Rc::new(RefCell::new(shared)),
            life: None,
            producers: (0..plan.producers).map(|_| Producer::default()).collect(),
            consumers,
            next_id: 1,
            next_ticket: 1,
            end: None,
            fired_before: 0,
            fired_at_open: 0,
            lies_seen: 0,
            refused: false,
            quiet: false,
        }
    }

    // Lives -----------------------------------------------------------------------------------

    /// Opens the store under the planned faults, checks it, works, and ends it somehow.
    fn live(&mut self) {
        if self.refused {
            return;
        }
        self.world.set_faults(self.faults());
        if !self.open_and_check() {
            return;
        }
        self.stats(|stats| stats.lives += 1);
        let steps = self.rng.between(1, self.plan.steps);
        let cut = self.work(steps);
        self.finish(cut);
    }

    /// No faults any more: the store must open, hold everything, take new records and stop.
    fn last_life(&mut self) {
        if self.refused {
            return;
        }
        self.heal();
        self.quiet = true;
        if !self.open_and_check() {
            assert!(self.refused, "it does not open without faults");
            return;
        }
        self.must_accept();
        assert!(self.stop(), "it does not stop without faults");
        self.end(End::Stopped);
        assert!(self.open_and_check(), "it does not open after a stop");
        assert!(self.stop(), "it does not stop without faults");
    }

    /// The planned rates, and now and then an end at some operation to come.
    fn faults(&mut self) -> Faults {
        let mut faults = self.plan.faults.clone();
        if let Some((operation, fault)) = self.plan.sweep {
            faults.planned.insert(operation, fault);
            return faults;
        }
        if self.rng.chance(400_000) {
            let soon = [30, 200, 1500][self.rng.index(3)];
            let at = self.world.operations() + self.rng.between(1, soon);
            let end = [Fault::PowerCut, Fault::Kill][self.rng.index(2)];
            faults.planned.insert(at, end);
        }
        faults
    }

    fn heal(&mut self) {
        self.world.heal();
        self.world.set_capacity(1 << 40);
        self.world.set_faults(Faults {
            tear_bytes: self.plan.faults.tear_bytes,
            latency: self.plan.faults.latency,
            ..Faults::default()
        });
    }

    /// `false` when the opening was cut short; that has been seen to.
    fn open_and_check(&mut self) -> bool {
        for attempt in 0.. {
            assert!(attempt < 20, "it does not open");
            let early = (!self.quiet && self.rng.chance(80_000)).then(|| self.rng.between(1, 400));
            match self.open(early) {
                Ok(true) => break,
                Ok(false) => return false,
                Err(_) if self.metadata_is_spoiled() => {
                    // For an operator.
                    self.refused = true;
                    return false;
                }
                Err(error) => self.opening_failed(&error),
            }
        }
        let early = (!self.quiet && self.rng.chance(50_000)).then(|| self.rng.between(1, 400));
        if let Some(cut) = self.check(early) {
            self.finish(Some(cut));
            return false;
        }
        true
    }

    fn opening_failed(&mut self, error: &ringmq_engine::Error) {
        self.world.note(1, &format!("opening failed: {error}"));
        assert!(
            self.has_failed_since(self.fired_at_open),
            "it does not open, and nothing has gone wrong meanwhile: {error}; {} faults before",
            self.world.fired().len()
        );
        self.stats(|stats| stats.open_errors += 1);
        // A flush that failed in recovery forgot what the killed process had written, too.
        if !self.plan.rules.sync && self.flush_failed() {
            self.end = self.end.map(|(end, at)| match end {
                End::Killed => (End::PowerCut, at),
                end => (end, at),
            });
        }
        self.kill_life();
        self.heal();
    }

    /// Whether an operation has failed since then, or fails for good.
    fn has_failed_since(&self, fired_before: usize) -> bool {
        let fired = self.world.fired();
        let for_good = fired.iter().any(|fired| fired.fault == Fault::ErrorForGood);
        let mut new = fired[fired_before.min(fired.len())..].iter();
        for_good || new.any(|fired| !fired.fault.is_silent())
    }

    /// Whether the device has pretended to write other files than the log's segments.
    fn metadata_is_spoiled(&self) -> bool {
        let fired = self.world.fired();
        let mut silent = fired.iter().filter(|fired| fired.fault.is_silent());
        silent.any(|fired| life::segment_of(&fired.path).is_none())
    }

    /// Starts the engine; `early` steps later it is interrupted.
    fn open(&mut self, early: Option<u64>) -> Result<bool, ringmq_engine::Error> {
        let process = self.world.process();
        self.fired_at_open = self.world.fired().len();
        self.shared.borrow_mut().oracle.failing = false;
        let opening = life::open(self.world, process, &self.plan.config, self.rng.bits());
        for step in 0.. {
            if let Some(opened) = opening.take() {
                let life = life::start(self.world, process, opened?, &self.shared);
                self.life = Some(life);
                return Ok(true);
            }
            assert!(step < STEPS_MAX, "opening does not end");
            let cut = early.is_some_and(|at| step >= at);
            match self.world.step() {
                Step::Halted(halt) => {
                    self.interrupt(process, Some(halt));
                    return Ok(false);
                }
                Step::Idle => panic!("opening waits for nothing"),
                _ if cut => {
                    self.interrupt(process, None);
                    return Ok(false);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    fn interrupt(&mut self, process: Process, halt: Option<Halt>) {
        let power = halt.map_or_else(|| self.rng.chance(500_000), |h| h == Halt::PowerCut);
        self.world.note(2, "interrupted while opening");
        if power {
            self.world.power_cut();
            self.end(End::PowerCut);
        } else {
            self.world.kill(process);
            self.end(End::Killed);
        }
    }

    fn end(&mut self, end: End) {
        let now = self.world.now().monotonic_ns;
        let end = match end {
            // The device forgot what was written and not flushed, as if the power had gone.
            End::Killed if !self.plan.rules.sync && self.flush_failed() => End::PowerCut,
            end => end,
        };
        let worst = match (self.end, end) {
            (None, end) => (end, now),
            // What was written and not flushed when the first process died is nobody's any more.
            (Some((_, first)), End::PowerCut) => (End::PowerCut, first),
            (Some((End::Stopped, first)), _) => (End::Stopped, first),
            (Some(before), _) => before,
        };
        self.end = Some(worst);
        self.life = None;
        let mut shared = self.shared.borrow_mut();
        shared.oracle.life_ended();
        shared.answers.clear();
        drop(shared);
        for producer in &mut self.producers {
            producer.waiting.clear();
        }
        for consumer in &mut self.consumers {
            consumer.waiting = None;
        }
        let kind = worst.0;
        self.stats(|stats| match kind {
            End::Stopped => stats.stops += 1,
            End::Killed => stats.kills += 1,
            End::PowerCut => stats.cuts += 1,
        });
    }

    /// Whether a flush of the log has failed since the last end.
    fn flush_failed(&mut self) -> bool {
        let fired = self.world.fired();
        let new = &fired[std::mem::replace(&mut self.fired_before, fired.len())..];
        new.iter().any(|fired| {
            let flush = fired.len == 0 && !fired.fault.is_silent();
            flush && fired.path.to_string_lossy().contains("/log/")
        })
    }

    fn kill_life(&mut self) {
        if let Some(life) = self.life.take() {
            self.world.kill(life.process);
        }
    }

    // Checking --------------------------------------------------------------------------------

    /// Holds the reopened store against the oracle, then reads every record of it.
    fn check(&mut self, early: Option<u64>) -> Option<Cut> {
        self.recover_topics();
        self.compare_offsets();
        let keys = self.shared.borrow().oracle.queues();
        let mut readers: Vec<(QueueKey, u64, Option<Ticket>)> = keys
            .into_iter()
            .map(|key| {
                let (min, _) = self.shared.borrow().oracle.range(key);
                (key, min, None)
            })
            .collect();
        for step in 0.. {
            assert!(
                step < STEPS_MAX,
                "reading everything does not end: {:?}",
                self.shared.borrow().pulled
            );
            if early.is_some_and(|at| step >= at) {
                return Some(Cut::Halted(Halt::PowerCut));
            }
            readers.retain_mut(|reader| self.read_on(reader));
            if readers.is_empty() {
                self.end = None;
                return None;
            }
            if let Some(cut) = self.step() {
                return Some(cut);
            }
        }
        None
    }

    /// `false` when the reader has reached the end.
    fn read_on(&mut self, reader: &mut (QueueKey, u64, Option<Ticket>)) -> bool {
        let (key, offset, waiting) = reader;
        if let Some(ticket) = *waiting {
            let Some(answer) = self.shared.borrow_mut().answers.remove(&ticket) else {
                return true;
            };
            *waiting = None;
            if let Answer::Pulled { next, damaged } = answer {
                if next == *offset && !damaged {
                    // Busy: a reader does not ask again at once.
                    self.world.pass_ns(200_000);
                }
                // Once more, or on behind it: a read may fail for a while, damage stays.
                let skip = damaged && self.rng.chance(250_000);
                *offset = next.max(*offset + u64::from(skip));
            }
        }
        let (min, max) = self.shared.borrow().oracle.range(*key);
        *offset = (*offset).max(min);
        if *offset >= max {
            return false;
        }
        let (key, offset) = (*key, *offset);
        *waiting = Some(self.pull(key, offset, 64, TagFilter::All, None));
        true
    }

    fn recover_topics(&mut self) {
        let mut shared = self.shared.borrow_mut();
        let Some(life) = &self.life else { return };
        let home = &life.threads[0].service.shard;
        for (id, name, payload) in home.topics() {
            let known = shared.oracle.topics.iter().position(|topic| topic == name);
            let topic = known.unwrap_or_else(|| panic!("I-02: topic {name} was never made"));
            assert_eq!(payload, name.as_bytes(), "a topic's payload changed");
            assert!(
                shared.topic_ids[topic].is_none_or(|known| known == id),
                "topic {name} came back with another id"
            );
            shared.topic_ids[topic] = Some(id);
        }
        for (topic, id) in shared.topic_ids.iter().enumerate() {
            let there = id.is_none_or(|id| home.topics().any(|(there, _, _)| there == id));
            assert!(there, "topic {topic} was durable and is gone");
        }
    }

    fn compare_offsets(&mut self) {
        self.learn_damage();
        let Some((end, ended_ns)) = self.end else {
            return;
        };
        let Some(life) = &self.life else { return };
        let shared = Rc::clone(&self.shared);
        let mut shared = shared.borrow_mut();
        shared.oracle.forget_places();
        let paused_ns = std::mem::take(&mut shared.oracle.paused_ns);
        for key in shared.oracle.queues() {
            let shard = &life.threads[shared.oracle.shard_of(key)].service.shard;
            let queue = shared.topic_ids[key.topic].and_then(|id| shard.queue(id, key.queue_id));
            let offsets = queue.map_or_else(Default::default, |queue| shard.offsets(queue));
            shared
                .oracle
                .recovered(key, offsets, end, ended_ns.saturating_sub(paused_ns));
        }
        for (group, key) in shared.oracle.commit_keys() {
            let number = shared.oracle.shard_of(key);
            let fresh_ns = shared.oracle.loses_from(number, end, ended_ns, paused_ns);
            let shard = &life.threads[number].service.shard;
            let queue = shared.topic_ids[key.topic].and_then(|id| shard.queue(id, key.queue_id));
            let value =
                queue.and_then(|queue| shard.committed_offset(&format!("group{group}"), queue));
            shared.oracle.recovered_commit(group, key, value, fresh_ns);
        }
    }

    // Working ---------------------------------------------------------------------------------

    fn work(&mut self, steps: u64) -> Option<Cut> {
        if let Some(cut) = self.make_topics() {
            return Some(cut);
        }
        for _ in 0..steps {
            self.act();
            self.disturb();
            if let Some(cut) = self.step() {
                return Some(cut);
            }
        }
        None
    }

    fn make_topics(&mut self) -> Option<Cut> {
        for topic in 0..self.plan.topics {
            while self.shared.borrow().topic_ids[topic].is_none() {
                let ticket = self.ticket();
                self.command(0, Command::PutTopic { topic, ticket });
                let answer = match self.wait_for(ticket) {
                    Ok(answer) => answer,
                    Err(cut) => return Some(cut),
                };
                if answer == Answer::Stored {
                    self.find_topic(topic);
                }
            }
        }
        None
    }

    fn find_topic(&mut self, topic: usize) {
        let Some(life) = &self.life else { return };
        let mut shared = self.shared.borrow_mut();
        let name = shared.oracle.topics[topic].clone();
        let home = &life.threads[0].service.shard;
        let found = home.topics().find(|(_, there, _)| *there == name);
        shared.topic_ids[topic] = Some(found.expect("an acknowledged topic is there").0);
    }

    fn wait_for(&mut self, ticket: Ticket) -> Result<Answer, Cut> {
        for _ in 0..STEPS_MAX {
            if let Some(answer) = self.shared.borrow_mut().answers.remove(&ticket) {
                return Ok(answer);
            }
            if let Some(cut) = self.step() {
                return Err(cut);
            }
        }
        panic!("ticket {ticket} is never answered");
    }

    /// One step of the world.
    fn step(&mut self) -> Option<Cut> {
        self.learn_damage();
        let step = self.world.step();
        // Its turn may hear of what has just failed.
        self.learn_failures();
        match step {
            Step::Turn(number) => {
                let life = self.life.as_mut()?;
                let thread = life.threads.iter_mut().find(|t| t.number() == number)?;
                thread.turn();
                assert!(
                    thread.late_turns < LATE_TURNS_MAX,
                    "a shard spins: {:?}",
                    thread.service.pace
                );
                if thread.service.pace.failed {
                    return Some(Cut::Failed);
                }
                None
            }
            Step::Ran => None,
            Step::Idle => panic!("the world has come to rest"),
            Step::Halted(halt) => Some(Cut::Halted(halt)),
        }
    }

    /// Tells the oracle when reads may have failed in this life.
    fn learn_failures(&mut self) {
        if self.plan.rules.read_errors && !self.shared.borrow().oracle.failing {
            let failing = self.has_failed_since(self.fired_at_open);
            self.shared.borrow_mut().oracle.failing = failing;
        }
    }

    /// Tells the oracle of writes of the log that the device has only pretended to make.
    fn learn_damage(&mut self) {
        if self.plan.theme != Theme::Lies {
            return;
        }
        let fired = self.world.fired();
        let size = self.plan.config.segment_bytes;
        for fault in &fired[std::mem::replace(&mut self.lies_seen, fired.len())..] {
            let Some((shard, segment)) = life::segment_of(&fault.path) else {
                continue;
            };
            let from = segment * size + fault.position;
            self.shared.borrow_mut().oracle.damage(Damaged {
                shard,
                from: from.saturating_sub(LIE_REACH),
                to: from + fault.len,
                at_the_end: true,
            });
        }
    }

    fn act(&mut self) {
        if !self.rng.chance(300_000) {
            return;
        }
        let all = self.producers.len() + self.consumers.len();
        let chosen = self.rng.index(all);
        if chosen < self.producers.len() {
            self.produce(chosen);
        } else {
            self.consume(chosen - self.producers.len());
        }
    }

    fn produce(&mut self, index: usize) {
        let mut shared = self.shared.borrow_mut();
        self.producers[index]
            .waiting
            .retain(|ticket| shared.answers.remove(ticket).is_none());
        drop(shared);
        if self.producers[index].waiting.len() >= self.plan.pipeline {
            return;
        }
        let key = any_key(self.plan, &mut self.rng);
        let count = self.rng.between(1, self.plan.batch_max as u64);
        let ids: Vec<u64> = (0..count).map(|n| self.next_id + n).collect();
        self.next_id += count;
        let ticket = self.ticket();
        self.producers[index].waiting.push(ticket);
        let shard = self.shared.borrow().oracle.shard_of(key);
        self.command(shard, Command::Append { key, ids, ticket });
    }

    fn consume(&mut self, index: usize) {
        let consumer = &mut self.consumers[index];
        if let Some(ticket) = consumer.waiting {
            let Some(answer) = self.shared.borrow_mut().answers.remove(&ticket) else {
                return;
            };
            consumer.waiting = None;
            if let Answer::Pulled { next, .. } = answer {
                consumer.offset = next;
            }
        }
        let key = consumer.key;
        let (min, max) = self.shared.borrow().oracle.range(key);
        consumer.offset = consumer.offset.clamp(min, max);
        if self.rng.chance(200_000) {
            consumer.offset = self.rng.between(min, max);
        }
        let offset = consumer.offset;
        if self.rng.chance(400_000) {
            let shard = self.shared.borrow().oracle.shard_of(key);
            let commit = Command::Commit {
                group: index,
                key,
                offset,
            };
            self.command(shard, commit);
        }
        let filter = if self.rng.chance(250_000) {
            let tag = TAGS[self.rng.index(TAGS.len())];
            TagFilter::codes([ringmq_protocol::tags::tags_code(tag.as_bytes()) as i32])
        } else {
            TagFilter::All
        };
        let wait = self
            .rng
            .chance(300_000)
            .then(|| self.rng.between(1_000_000, 500_000_000));
        let count = self.rng.between(1, 40) as u32;
        let ticket = self.pull(key, offset, count, filter, wait);
        self.consumers[index].waiting = Some(ticket);
    }

    fn pull(
        &mut self,
        key: QueueKey,
        offset: u64,
        max_messages: u32,
        filter: TagFilter,
        wait_ns: Option<u64>,
    ) -> Ticket {
        let ticket = self.ticket();
        let shard = self.shared.borrow().oracle.shard_of(key);
        let command = Command::Pull {
            key,
            offset,
            max_messages,
            filter,
            wait_ns,
            ticket,
        };
        self.command(shard, command);
        ticket
    }

    fn command(&mut self, shard: usize, command: Command) {
        if let Some(life) = &mut self.life {
            let thread: &mut SimThread<Worker> = &mut life.threads[shard];
            thread.service.commands.push_back(command);
            thread.io.waker().wake();
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Trouble that is not an operation's.
    fn disturb(&mut self) {
        if !self.rng.chance(3_000) {
            return;
        }
        match self.plan.theme {
            Theme::Full => {
                let used = (1 << 40) - self.world.free();
                let full = self.rng.chance(600_000);
                let room = self.rng.between(0, 1 << 20);
                self.world
                    .note(3, if full { "disk full" } else { "disk free" });
                self.world
                    .set_capacity(if full { used + room } else { 1 << 40 });
            }
            Theme::Time => {
                let jump = self.rng.between(0, 4 * 3_600_000) as i64 - 2 * 3_600_000;
                self.world.jump_wall_ms(jump);
            }
            _ if self.rng.chance(300_000) => {
                let pause = self.rng.between(1_000_000, 1_500_000_000);
                self.world.pass_ns(pause);
                self.shared.borrow_mut().oracle.paused_ns += pause;
            }
            _ => {}
        }
    }

    // Ends ------------------------------------------------------------------------------------

    fn finish(&mut self, cut: Option<Cut>) {
        let at_rest = matches!(self.plan.theme, Theme::Rot);
        if at_rest && cut.is_none() {
            self.idle(QUIET_NS);
        }
        let power = match cut {
            Some(Cut::Halted(Halt::PowerCut)) => true,
            Some(Cut::Halted(Halt::Kill(_))) => false,
            Some(Cut::Failed) => {
                self.stats(|stats| stats.fail_stops += 1);
                self.check_fail_stop();
                self.rng.chance(300_000)
            }
            None => match self.rng.below(10) {
                0 | 1 if self.stop() => {
                    self.end(End::Stopped);
                    if self.rng.chance(500_000) {
                        self.world.power_cut();
                    }
                    return self.damage_at_rest(at_rest);
                }
                0..=4 => false,
                _ => true,
            },
        };
        if power {
            self.world.power_cut();
            self.end(End::PowerCut);
        } else {
            self.kill_life();
            self.end(End::Killed);
        }
        self.damage_at_rest(at_rest);
    }

    fn check_trust(&self) {
        let retried = self.world.retried();
        assert!(
            retried.is_empty(),
            "promise 6: written on after a failure: {retried:?}"
        );
    }

    /// A shard has failed: nothing may have been tried again on a file that had failed.
    fn check_fail_stop(&mut self) {
        self.check_trust();
        assert!(
            self.has_failed_since(self.fired_at_open),
            "a shard failed without a fault"
        );
    }

    /// `false` when it failed meanwhile.
    fn stop(&mut self) -> bool {
        let now_ns = self.world.now().monotonic_ns;
        self.shared.borrow_mut().oracle.stop_asked(now_ns);
        if let Some(life) = &mut self.life {
            for thread in &mut life.threads {
                thread.service.shard.stop();
                thread.io.waker().wake();
            }
        }
        for _ in 0..STEPS_MAX {
            let Some(life) = &self.life else { return false };
            if life.threads.iter().all(|t| t.service.pace.stopped) && life.is_done() {
                self.kill_life();
                return true;
            }
            match self.step() {
                None => {}
                Some(_) => return false,
            }
        }
        panic!("stopping does not end");
    }

    fn idle(&mut self, nanoseconds: u64) {
        let end = self.world.now().monotonic_ns + nanoseconds;
        while self.world.now().monotonic_ns < end {
            if self.step().is_some() {
                return;
            }
        }
    }

    fn damage_at_rest(&mut self, rot: bool) {
        if rot && self.rng.chance(700_000) {
            self.rot();
        }
        if self.plan.theme == Theme::Derived {
            self.spoil_derived();
        }
    }

    /// Changes old, acknowledged bytes of the log.
    fn rot(&mut self) {
        let Some((_, ended_ns)) = self.end else {
            return;
        };
        let keys = self.shared.borrow().oracle.queues();
        for _ in 0..self.rng.between(1, 3) {
            let Some(key) = keys.get(self.rng.index(keys.len())).copied() else {
                return;
            };
            let before = ended_ns.saturating_sub(QUIET_NS - 1_000_000_000);
            let pick = self.rng.bits();
            let old = self.shared.borrow().oracle.old_record(key, before, pick);
            if let Some((physical, len)) = old {
                self.rot_at(key, physical, len);
            }
        }
    }

    fn rot_at(&mut self, key: QueueKey, physical: u64, len: u64) {
        let shard = self.shared.borrow().oracle.shard_of(key);
        let size = self.plan.config.segment_bytes;
        let (segment, position) = (physical / size, physical % size);
        let path = life::segment_path(&self.plan.config, shard, segment);
        let at = position + self.rng.below(len);
        let bit = self.rng.bits() as u8;
        let Ok(()) = self.world.flip(&path, at, bit) else {
            return;
        };
        self.world
            .note(4, &format!("flipped a bit of {} at {at}", path.display()));
        let place = segment * size + at;
        self.shared.borrow_mut().oracle.damage(Damaged {
            shard: shard as u8,
            from: place,
            to: place + 1,
            at_the_end: false,
        });
    }

    /// Deletes or damages files that can be made again from the log.
    fn spoil_derived(&mut self) {
        for path in self.world.files() {
            if path.extension().is_none_or(|e| e != "idx") || !self.rng.chance(400_000) {
                continue;
            }
            let bytes = self.world.contents(&path).unwrap_or_default();
            match self.rng.below(3) {
                0 => self.world.replace(&path, &[]).unwrap_or_default(),
                1 => {
                    let half = bytes.len() / 2 / 4096 * 4096;
                    self.world
                        .replace(&path, &bytes[..half])
                        .unwrap_or_default();
                }
                _ => {
                    let at = self.rng.below(bytes.len().max(1) as u64);
                    self.world.flip(&path, at, at as u8).unwrap_or_default();
                }
            }
            self.world.note(5, &format!("spoiled {}", path.display()));
        }
    }

    // The last life ---------------------------------------------------------------------------

    /// I-14: without faults every queue takes a record within ten seconds.
    fn must_accept(&mut self) {
        if self.make_topics().is_some() {
            panic!("I-14: a shard fails without faults");
        }
        let start = self.world.now().monotonic_ns;
        let keys: Vec<QueueKey> = (0..self.plan.topics)
            .flat_map(|topic| {
                (0..self.plan.queues_per_topic).map(move |queue_id| QueueKey { topic, queue_id })
            })
            .collect();
        for key in keys {
            loop {
                let id = self.next_id;
                self.next_id += 1;
                let ticket = self.ticket();
                let shard = self.shared.borrow().oracle.shard_of(key);
                let ids = vec![id];
                self.command(shard, Command::Append { key, ids, ticket });
                let Ok(answer) = self.wait_for(ticket) else {
                    panic!("I-14: a shard fails without faults");
                };
                let waited = self.world.now().monotonic_ns - start;
                let refused = self.shared.borrow().refused;
                assert!(
                    waited < 10_000_000_000,
                    "I-14: {key:?} takes no record: {refused:?}"
                );
                let damaged = self.shared.borrow().oracle.is_damaged(shard);
                let read_only = self.shared.borrow().refused == Some(Refused::ReadOnly);
                if answer == Answer::Stored || (damaged && read_only) {
                    break;
                }
                self.idle(1_000_000);
            }
        }
    }

    fn stats(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.shared.borrow_mut().oracle.stats);
    }
}

fn any_key(plan: &Plan, rng: &mut Rng) -> QueueKey {
    QueueKey {
        topic: rng.index(plan.topics),
        queue_id: rng.below(u64::from(plan.queues_per_topic)) as u32,
    }
}

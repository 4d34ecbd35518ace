//! The asker's side: rounds that wait for shards, and tasks of rounds that others have asked for.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use ringmq_engine::{PullResult, View};
use ringmq_protocol::code::response;
use ringmq_ring::Io;

use super::task::{Probe, Progress, Task};
use super::{Found, Question};
use crate::connection::ConnectionId;
use crate::context::{Context, Handled};
use crate::limits;
use crate::mux::Letter;
use crate::reply::{Refusal, ReplyTo};

/// What follows when all shards have answered.
type Then<I> = Box<dyn FnOnce(&mut Context<'_, I>, &ReplyTo, Found) -> Handled + Send>;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Every shard.
    All,
    /// This one.
    One(u8),
}

/// What one shard gathers, and what it finds for others.
pub struct Gathers<I: Io> {
    rounds: BTreeMap<u64, Round<I>>,
    next_round: u64,
    tasks: BTreeMap<u64, Running>,
    next_task: u64,
    /// The task that had the last turn.
    last_task: u64,
}

struct Round<I: Io> {
    to: ReplyTo,
    /// One bit for each shard that has not answered.
    missing: u64,
    found: Found,
    due_ns: u64,
    then: Then<I>,
}

struct Running {
    asker: u8,
    round: u64,
    task: Task,
    /// It has to wait until then, or for a read.
    rests: Option<Rest>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    ForRead,
    Until(u64),
}

impl<I: Io> Default for Gathers<I> {
    fn default() -> Self {
        Self {
            rounds: BTreeMap::new(),
            next_round: 0,
            tasks: BTreeMap::new(),
            next_task: 1,
            last_task: 0,
        }
    }
}

impl<I: Io> Gathers<I> {
    /// When there is something to do without a completion or letter.
    pub fn due_ns(&self, now_ns: u64) -> Option<u64> {
        let tasks = self
            .tasks
            .values()
            .filter_map(|running| match running.rests {
                None => Some(now_ns),
                Some(Rest::Until(due_ns)) => Some(due_ns),
                Some(Rest::ForRead) => None,
            });
        // All rounds last equally long, so the first one to be asked is the first to be due.
        let round = self.rounds.values().next().map(|round| round.due_ns);
        tasks.chain(round).min()
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.rounds.is_empty() && self.tasks.is_empty()
    }

    fn next_runnable(&self, now_ns: u64) -> Option<u64> {
        let is_runnable = |running: &Running| match running.rests {
            None => true,
            Some(Rest::Until(due_ns)) => due_ns <= now_ns,
            Some(Rest::ForRead) => false,
        };
        let later = self.tasks.range((Excluded(self.last_task), Unbounded));
        let mut all = later.chain(self.tasks.range(..=self.last_task));
        all.find(|(_, running)| is_runnable(running))
            .map(|(&id, _)| id)
    }
}

impl<I: Io> Context<'_, I> {
    /// Asks shards a question; `then` answers the request with what all of them found together,
    /// sorted. A refusal of any shard, or of `then`, is the request's answer.
    pub fn gather(
        &mut self,
        to: &ReplyTo,
        asked: Asked,
        question: Question,
        then: impl FnOnce(&mut Context<'_, I>, &ReplyTo, Found) -> Handled + Send + 'static,
    ) -> Handled {
        let (me, shards) = (self.front.me(), self.front.mux.shards());
        let asked: Vec<u8> = match asked {
            Asked::All => (0..shards).collect(),
            Asked::One(shard) => vec![shard],
        };
        let is_crowded = |shard| self.front.mux.waiting(shard) > limits::GATHER_LETTERS_WAITING_MAX;
        if self.broker.gathers.rounds.len() >= limits::GATHERS_MAX
            || asked.iter().any(|&shard| is_crowded(shard))
        {
            return Err(busy());
        }
        self.front.is_known_to(to.origin.connection, me);
        let gathers = &mut self.broker.gathers;
        let number = gathers.next_round;
        gathers.next_round += 1;
        gathers.rounds.insert(
            number,
            Round {
                to: *to,
                missing: asked.iter().fold(0, |missing, &shard| missing | 1 << shard),
                found: Found::default(),
                due_ns: self.front.now.monotonic_ns + limits::GATHER_NS,
                then: Box::new(then),
            },
        );
        let question = Arc::new(question);
        for shard in asked {
            if shard == me {
                self.take_question(me, number, Arc::clone(&question));
            } else {
                let letter = Letter::Ask(number, Arc::clone(&question));
                self.front.mux.write(shard, letter);
            }
        }
        Ok(())
    }

    /// A shard (this one perhaps) asks for what this one knows.
    pub fn take_question(&mut self, asker: u8, round: u64, question: Arc<Question>) {
        let gathers = &mut self.broker.gathers;
        let running = Running {
            asker,
            round,
            task: Task::new(gathers.next_task, question),
            rests: None,
        };
        gathers.tasks.insert(gathers.next_task, running);
        gathers.next_task += 1;
    }

    /// A shard has answered.
    pub fn take_found(&mut self, shard: u8, number: u64, found: Found) {
        let rounds = &mut self.broker.gathers.rounds;
        let Some(round) = rounds.get_mut(&number) else {
            return;
        };
        round.missing &= !(1 << shard);
        round.found.add(found);
        if round.missing != 0 {
            return;
        }
        if let Some(round) = rounds.remove(&number) {
            self.end_round(round);
        }
    }

    fn end_round(&mut self, round: Round<I>) {
        let Round {
            to,
            mut found,
            then,
            ..
        } = round;
        found.sort();
        let outcome = match found.refusal.take() {
            Some(refusal) => Err(refusal),
            None => then(self, &to, found),
        };
        if let Err(refusal) = outcome {
            self.refuse(&to, &refusal);
        }
    }

    /// Nobody waits for a round of `asker` any more.
    pub fn drop_task(&mut self, asker: u8, round: u64) {
        let tasks = &mut self.broker.gathers.tasks;
        tasks.retain(|_, running| (running.asker, running.round) != (asker, round));
    }

    /// A connection is gone: nobody waits for what it asked.
    pub fn drop_rounds(&mut self, connection: ConnectionId) {
        let rounds = self.broker.gathers.rounds.iter();
        let gone: Vec<u64> = rounds
            .filter(|(_, round)| round.to.origin.connection == connection)
            .map(|(&number, _)| number)
            .collect();
        for number in gone {
            self.drop_round(number);
        }
    }

    fn drop_round(&mut self, number: u64) -> Option<ReplyTo> {
        let round = self.broker.gathers.rounds.remove(&number)?;
        let me = self.front.me();
        for shard in (0..self.front.mux.shards()).filter(|shard| round.missing & 1 << shard != 0) {
            if shard == me {
                self.drop_task(me, number);
            } else {
                self.front.mux.write(shard, Letter::Unask(number));
            }
        }
        Some(round.to)
    }

    /// Once a turn: a few steps of this shard's tasks, and rounds that took too long.
    pub fn step_gathers(&mut self) {
        if self.broker.gathers.is_idle() {
            return;
        }
        let now_ns = self.front.now.monotonic_ns;
        while let Some((&number, round)) = self.broker.gathers.rounds.iter().next()
            && round.due_ns <= now_ns
        {
            if let Some(to) = self.drop_round(number) {
                self.refuse(&to, &too_slow());
            }
        }
        if let Some(id) = self.broker.gathers.next_runnable(now_ns) {
            self.step_task(id);
        }
    }

    fn step_task(&mut self, id: u64) {
        self.broker.gathers.last_task = id;
        // It is taken out while it works, because it works on the engine beside it.
        let Some(mut running) = self.broker.gathers.tasks.remove(&id) else {
            return;
        };
        running.rests = match running.task.step(self) {
            Progress::Done => {
                let found = running.task.into_found();
                return self.tell(running.asker, running.round, found);
            }
            Progress::More => None,
            Progress::Reads => Some(Rest::ForRead),
            Progress::Busy => {
                let now_ns = self.front.now.monotonic_ns;
                Some(Rest::Until(now_ns + limits::GATHER_RETRY_NS))
            }
        };
        self.broker.gathers.tasks.insert(id, running);
    }

    fn tell(&mut self, asker: u8, round: u64, found: Found) {
        if asker == self.front.me() {
            self.take_found(asker, round, found);
        } else {
            self.front.mux.write(asker, Letter::Told(round, found));
        }
    }

    /// A record that a task has read has come.
    pub fn probe_pulled(&mut self, probe: &Probe, result: &PullResult) {
        self.probe_came(probe, |task, _| task.take_pulled(probe, result));
    }

    /// An offset that a task has looked for has been found.
    pub fn probe_offset(&mut self, probe: &Probe, offset: u64) {
        self.probe_came(probe, |task, ctx| task.take_offset(ctx, probe, offset));
    }

    /// A record that a task has viewed has come.
    pub fn probe_viewed(&mut self, probe: &Probe, view: View) {
        self.probe_came(probe, |task, _| task.take_viewed(view));
    }

    fn probe_came(&mut self, probe: &Probe, take: impl FnOnce(&mut Task, &mut Self)) {
        if let Some(mut running) = self.broker.gathers.tasks.remove(&probe.task) {
            running.rests = None;
            take(&mut running.task, self);
            self.broker.gathers.tasks.insert(probe.task, running);
        }
    }
}

fn busy() -> Refusal {
    let remark = "too many administration requests are under way: ask again in a moment";
    Refusal::new(response::SYSTEM_BUSY, remark)
}

fn too_slow() -> Refusal {
    let remark = "the shards of this broker did not answer in time: ask for less, or again later";
    Refusal::new(response::SYSTEM_BUSY, remark)
}

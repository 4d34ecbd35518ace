//! How far behind each group is, and how much each topic holds: walked through by each shard some rows
//! a turn, and shown when the walk is done.

use std::collections::BTreeMap;

use ringmq_engine::{CommittedPlace, Offsets, QueueNumber, Shard, TopicId};
use ringmq_ring::Io;

use crate::limits::{BACKLOG_INTERVAL_NS, BACKLOG_STEP_ROWS};

/// A shard's figures as of its last walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Topics that have a queue here.
    pub topics: BTreeMap<TopicId, TopicBacklog>,
}

/// A topic's queues of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicBacklog {
    /// Queues that were ever written to.
    pub queues: u32,
    /// Messages kept.
    pub messages: u64,
    /// Groups that have committed an offset in one of them.
    pub groups: BTreeMap<Box<str>, GroupBacklog>,
}

/// A group's progress in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupBacklog {
    /// Queues that it has committed an offset in.
    pub queues: u32,
    /// Messages that it has not committed: from its offset to the newest that may be shown.
    pub lag: u64,
}

/// The walk of one shard.
#[derive(Debug, Default)]
pub struct BacklogWalk {
    stage: Stage,
    found: Backlog,
    due_ns: u64,
    /// Frames handled when the last walk began: without a new one there is nothing new to find.
    frames: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Resting,
    Queues(Option<QueueNumber>),
    Offsets(Option<CommittedPlace>),
}

impl BacklogWalk {
    /// Walks on, or begins when it is time; the figures once it has arrived. `frames` counts what the
    /// shard has handled.
    pub fn step<I: Io>(&mut self, engine: &Shard<I>, now_ns: u64, frames: u64) -> Option<Backlog> {
        match self.stage {
            Stage::Resting => {
                if now_ns >= self.due_ns && self.frames != Some(frames) {
                    self.due_ns = now_ns + BACKLOG_INTERVAL_NS;
                    self.frames = Some(frames);
                    self.stage = Stage::Queues(None);
                }
                None
            }
            Stage::Queues(after) => {
                self.stage = self.queues(engine, after);
                None
            }
            Stage::Offsets(after) => {
                self.stage = self.offsets(engine, after);
                matches!(self.stage, Stage::Resting).then(|| std::mem::take(&mut self.found))
            }
        }
    }

    /// When to walk on.
    pub fn due_ns(&self, now_ns: u64, frames: u64) -> Option<u64> {
        match self.stage {
            Stage::Resting => (self.frames != Some(frames)).then_some(self.due_ns),
            _ => Some(now_ns),
        }
    }

    fn queues<I: Io>(&mut self, engine: &Shard<I>, after: Option<QueueNumber>) -> Stage {
        let mut last = None;
        for (number, topic, offsets) in engine.queues_after(after).take(BACKLOG_STEP_ROWS) {
            last = Some(number);
            let topic = self.found.topics.entry(topic).or_default();
            topic.queues += 1;
            topic.messages += offsets.max - offsets.min;
        }
        last.map_or(Stage::Offsets(None), |last| Stage::Queues(Some(last)))
    }

    fn offsets<I: Io>(&mut self, engine: &Shard<I>, after: Option<CommittedPlace>) -> Stage {
        let mut last = None;
        for row in engine.committed_offsets(after).take(BACKLOG_STEP_ROWS) {
            last = Some(row.place);
            let queue = engine.queue(row.topic, row.queue_id);
            let Offsets { min, max } = queue.map_or_else(Offsets::default, |q| engine.offsets(q));
            // What retention has removed is nobody's backlog any more.
            let lag = max.saturating_sub(row.offset.max(min));
            let groups = &mut self.found.topics.entry(row.topic).or_default().groups;
            match groups.get_mut(row.group) {
                Some(group) => group.add(1, lag),
                None => {
                    groups.insert(row.group.into(), GroupBacklog { queues: 1, lag });
                }
            }
        }
        last.map_or(Stage::Resting, |last| Stage::Offsets(Some(last)))
    }
}

impl Backlog {
    /// Adds another shard's figures.
    pub fn merge(&mut self, other: &Self) {
        for (topic, more) in &other.topics {
            let sum = self.topics.entry(*topic).or_default();
            sum.queues += more.queues;
            sum.messages += more.messages;
            for (group, more) in &more.groups {
                let group = sum.groups.entry(group.clone()).or_default();
                group.add(more.queues, more.lag);
            }
        }
    }
}

impl GroupBacklog {
    fn add(&mut self, queues: u32, lag: u64) {
        self.queues += queues;
        self.lag += lag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_shards_add_up() {
        let group = |queues, lag| GroupBacklog { queues, lag };
        let part = |messages, groups: &[(&str, GroupBacklog)]| {
            let groups = groups.iter().map(|(name, group)| ((*name).into(), *group));
            let topic = TopicBacklog {
                queues: 1,
                messages,
                groups: groups.collect(),
            };
            Backlog {
                topics: [(TopicId(1), topic)].into(),
            }
        };
        let mut sum = part(10, &[("g", group(1, 4))]);
        sum.merge(&part(5, &[("g", group(1, 2)), ("h", group(1, 0))]));
        let topic = &sum.topics[&TopicId(1)];
        assert_eq!((topic.queues, topic.messages), (2, 15));
        assert_eq!(
            (topic.groups["g"], topic.groups["h"]),
            (group(2, 6), group(1, 0))
        );
    }
}

//! What shards found for a question.

use bytes::Bytes;
use ringmq_engine::{ShardStatus, TopicId};

use crate::limits;
use crate::reply::Refusal;

/// Rows of one shard, or of all of them once they are put together. Which of the lists are filled
/// depends on the question.
#[derive(Debug, Default)]
pub struct Found {
    /// Figures of queues.
    pub queues: Vec<QueueFigures>,
    /// Offsets of groups.
    pub offsets: Vec<GroupOffset>,
    /// Queue ids and the offsets they were reset to.
    pub resets: Vec<(u32, u64)>,
    /// A record.
    pub record: Option<Bytes>,
    /// Counters, with the shard they are of.
    pub statuses: Vec<(u8, ShardStatus)>,
    /// Why a shard could not answer.
    pub refusal: Option<Refusal>,
}

/// Figures of a queue: offsets, and the store times that were asked for (ms since the epoch, 0 where
/// there is no such record).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Which of the question's topics.
    pub topic: u32,
    /// The queue's id.
    pub queue_id: u32,
    /// The oldest offset kept.
    pub min: u64,
    /// After the newest visible one.
    pub max: u64,
    /// Where the group goes on, if it has committed anything.
    pub committed: Option<u64>,
    /// Up to where the group has pulled, if it did since the start.
    pub pulled: Option<u64>,
    /// Store time of the oldest record.
    pub first_ms: i64,
    /// Of the newest one.
    pub last_ms: i64,
    /// Of the last one consumed.
    pub consumed_ms: i64,
    /// Of the next one to consume.
    pub next_ms: i64,
}

/// How far a group is in a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupOffset {
    /// The queue's topic.
    pub topic: TopicId,
    /// The group.
    pub group: Box<str>,
    /// The queue's id.
    pub queue_id: u32,
    /// Where the group goes on.
    pub offset: u64,
}

impl Found {
    /// Adds what another shard found. The first refusal stays.
    pub fn add(&mut self, other: Self) {
        self.queues.extend(other.queues);
        self.offsets.extend(other.offsets);
        self.resets.extend(other.resets);
        self.record = self.record.take().or(other.record);
        self.statuses.extend(other.statuses);
        self.refusal = self.refusal.take().or(other.refusal);
    }

    /// Puts rows in an order that does not depend on which shard was faster.
    pub fn sort(&mut self) {
        self.queues.sort_by_key(|row| (row.topic, row.queue_id));
        self.offsets.sort();
        self.resets.sort_unstable();
        self.statuses.sort_by_key(|(shard, _)| *shard);
    }

    /// Whether a shard must add no more rows.
    pub(super) fn is_full(&self) -> bool {
        let rows = self.queues.len() + self.offsets.len() + self.resets.len();
        rows >= limits::GATHER_ROWS_MAX
    }
}

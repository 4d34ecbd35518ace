//! What can be asked of every shard.

use std::sync::Arc;

use ringmq_engine::{PhysicalOffset, TopicId};

use crate::broker::Topic;

/// A question; each shard answers for what it owns.
#[derive(Debug)]
pub enum Question {
    /// The figures of every queue of these topics.
    Queues {
        /// The topics.
        topics: Vec<Arc<Topic>>,
        /// How far this group is in them.
        group: Option<Box<str>>,
        /// Which store times are wanted: each may cost a read.
        times: Times,
    },
    /// The offsets that groups have committed: those of one group, or in one topic, or all.
    Offsets {
        /// Of this group only.
        group: Option<Box<str>>,
        /// In this topic only.
        topic: Option<TopicId>,
    },
    /// The groups that have committed an offset in a topic, or the topics of a group: as
    /// [`Question::Offsets`] with one row for each pair, `queue_id` and `offset` meaning nothing.
    Pairs {
        /// Of this group only.
        group: Option<Box<str>>,
        /// In this topic only.
        topic: Option<TopicId>,
    },
    /// Where a group goes on in the queues of a topic, set to something else.
    Reset(Reset),
    /// A group's offsets in these topics, given to another group too.
    Clone {
        /// The topics.
        topics: Vec<Arc<Topic>>,
        /// From this group.
        from: Box<str>,
        /// To this one.
        to: Box<str>,
    },
    /// A group's offsets are dropped.
    Forget(Box<str>),
    /// The record that begins at this offset, on the shard that it names.
    Record(PhysicalOffset),
    /// The shard's counters.
    Status,
    /// Expired log segments go, whatever the hour.
    ExpireNow,
}

/// Store times of a queue's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of the oldest one kept.
    pub first: bool,
    /// Of the newest one.
    pub last: bool,
    /// Of the last one that the group has consumed.
    pub consumed: bool,
    /// Of the one that it consumes next.
    pub next: bool,
}

/// A change of where a group goes on.
#[derive(Debug)]
pub struct Reset {
    /// In the queues of this topic.
    pub topic: Arc<Topic>,
    /// The group.
    pub group: Box<str>,
    /// Queue ids from the first to before the second.
    pub queues: (u32, u32),
    /// Where to.
    pub target: ResetTarget,
    /// Who carries it out.
    pub mode: ResetMode,
}

/// Where a group shall go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTarget {
    /// After the newest record.
    End,
    /// At the first record stored at this time (ms since the epoch) or later.
    Time(i64),
    /// At this offset, which must be in the queue.
    Offset(u64),
}

/// Who carries a reset out (`useServerSideResetOffset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMode {
    /// The broker: the offset is set, and the group's next pull is told to go there.
    Broker,
    /// The clients, who will be told: nothing is changed here, offsets are only computed. The group
    /// must have an offset in every queue, and without force it never goes forward.
    Clients {
        /// Forward too.
        is_forced: bool,
    },
}

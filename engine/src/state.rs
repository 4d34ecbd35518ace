//! State files: a snapshot of a shard's control state, made chunk after chunk while the shard goes
//! on working. Byte by byte in `FORMAT.md`, section 6.
//!
//! Every chunk carries the log position up to which its rows reflect the log; replay from the
//! generation's start skips, row by row, what lies below the position of the row's chunk. The rows
//! of a table are in strictly ascending order of their keys, so every key, present or not, belongs
//! to exactly one chunk: the first whose last key is not below it, or else the table's last.

use crate::types::{GroupNumber, QueueNumber, SegmentNumber, TopicId};

mod chunk;
mod reader;
mod rows;
mod writer;

pub use chunk::{StateFault, Table};
pub use reader::{Coverage, LoadedState, StateReader};
pub use writer::{Chunk, StateWriter};

/// One queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its number.
    pub queue: QueueNumber,
    /// The topic's incarnation.
    pub topic: TopicId,
    /// Its id in the topic.
    pub queue_id: u32,
    /// The lowest offset it still has.
    pub min: u64,
    /// The offset of its next record.
    pub next: u64,
    /// The newest segment that holds a record of it.
    pub newest_segment: Option<SegmentNumber>,
}

/// The name of a group that has offsets in this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNameRow {
    /// Its number in this shard.
    pub group: GroupNumber,
    /// Its name.
    pub name: String,
}

/// One group's offset for one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRow {
    /// The queue.
    pub queue: QueueNumber,
    /// The group.
    pub group: GroupNumber,
    /// The next offset that the group wants.
    pub offset: u64,
}

/// A topic, on the home shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRow {
    /// Its incarnation.
    pub topic: TopicId,
    /// Its name.
    pub name: String,
    /// What the server keeps of it.
    pub payload: Vec<u8>,
}

/// A group, on the home shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// What the server keeps of it.
    pub payload: Vec<u8>,
}

/// The next numbers to be given; none is ever given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Home shard: the next topic id.
    pub next_topic: TopicId,
    /// The next queue number.
    pub next_queue: QueueNumber,
    /// The next group number.
    pub next_group: GroupNumber,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            next_topic: TopicId(1),
            next_queue: QueueNumber(1),
            next_group: GroupNumber(1),
        }
    }
}

#[cfg(test)]
mod tests;

//! What a reader asks of a queue, and what it gets.

use std::sync::Arc;

use bytes::Bytes;

use crate::types::{LogOffset, QueueNumber};

/// Identifies who asked; chosen by the caller, returned in [`crate::Event`].
pub type Ticket = u64;

/// Which records a reader wants, by the tag hash in their index entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagFilter {
    /// All of them.
    #[default]
    All,
    /// Those whose tag hash, cut to 32 bits, is in this sorted list. Different tags may share a
    /// hash: consumers compare the string again.
    Codes(Arc<[i32]>),
}

impl TagFilter {
    /// A filter for these codes, in any order.
    pub fn codes(codes: impl IntoIterator<Item = i32>) -> Self {
        let mut codes: Vec<i32> = codes.into_iter().collect();
        codes.sort_unstable();
        codes.dedup();
        Self::Codes(codes.into())
    }

    /// Whether a record with this tag hash is wanted.
    pub fn matches(&self, tag_hash: i64) -> bool {
        match self {
            Self::All => true,
            // RocketMQ compares the lower half only (`DefaultMessageFilter`).
            Self::Codes(codes) => codes.binary_search(&(tag_hash as i32)).is_ok(),
        }
    }
}

/// One request to read from a queue.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The queue.
    pub queue: QueueNumber,
    /// The first offset wanted.
    pub offset: u64,
    /// At most this many records.
    pub max_messages: u32,
    /// At most this many bytes of records, but always one record when there is one.
    pub max_bytes: u32,
    /// Which records.
    pub filter: TagFilter,
    /// When nothing is there: wait until the monotonic clock shows this many nanoseconds.
    pub wait_until_ns: Option<u64>,
    /// Comes back in [`crate::Event::Pulled`] when the answer is not immediate.
    pub ticket: Ticket,
}

/// How a pull went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// At least one record.
    Found,
    /// Records were there, none wanted; go on at `next`.
    NoMatched,
    /// The offset is the queue's end: nothing new.
    NoNew,
    /// The offset is below the oldest record kept; go on at `next`.
    TooSmall,
    /// The offset is beyond the queue's end.
    BeyondMax,
    /// The queue has no records at all and the offset is not 0.
    Empty,
    /// The record at the offset fails its checksum or cannot be read; `block` is the position of its
    /// commit block, or of the record where the block is not known. Nothing is delivered.
    Damaged {
        /// Where the damage lies.
        block: LogOffset,
    },
    /// A bound on cold reads is reached, or the queue is unknown: ask again.
    Busy,
    /// There is no such queue.
    NoQueue,
}

/// The answer to a pull.
#[derive(Clone, Debug)]
pub struct PullResult {
    /// How it went.
    pub status: PullStatus,
    /// The stored records, in order: each slice holds one or more whole records back to back.
    pub records: Vec<Bytes>,
    /// Records in all slices together.
    pub count: u32,
    /// Bytes in all slices together.
    pub bytes: u32,
    /// Where to go on.
    pub next: u64,
    /// Oldest offset kept.
    pub min: u64,
    /// One past the newest visible offset.
    pub max: u64,
}

/// What a pull gives at once.
#[derive(Debug)]
pub enum PullOutcome {
    /// The answer.
    Ready(PullResult),
    /// It comes as [`crate::Event::Pulled`].
    Pending,
}

/// Which of several records with one store time is meant (`BoundaryType` in Java).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The first record stored at or after the time.
    #[default]
    Lower,
    /// The last record stored at or before the time.
    Upper,
}

/// What [`crate::Shard::offset_by_time`] gives at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetOutcome {
    /// The offset.
    Ready(u64),
    /// It comes as [`crate::Event::OffsetFound`].
    Pending,
}

/// What is found at a physical offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The record that begins there.
    Found(Bytes),
    /// No record begins there, or it is not kept any more.
    Absent,
    /// A bound on cold reads is reached, or an index is being rebuilt: ask again.
    Busy,
    /// What lies there cannot be read, or fails its checksum.
    Damaged,
}

/// What [`crate::Shard::view`] gives at once.
#[derive(Clone, Debug)]
pub enum ViewOutcome {
    /// The answer.
    Ready(View),
    /// It comes as [`crate::Event::Viewed`].
    Pending,
}

/// What a shard has to tell its service; drained with [`crate::Shard::next_event`].
#[derive(Debug)]
pub enum Event {
    /// The append, batch or control change is visible (control changes: durable).
    Stored {
        /// Who asked.
        ticket: Ticket,
    },
    /// A write or flush failed: the outcome is unknown. The process is about to stop.
    Failed {
        /// Who asked.
        ticket: Ticket,
    },
    /// A pull that was pending.
    Pulled {
        /// Who asked.
        ticket: Ticket,
        /// The answer.
        result: PullResult,
    },
    /// A view that was pending.
    Viewed {
        /// Who asked.
        ticket: Ticket,
        /// The answer.
        view: View,
    },
    /// A search by time that was pending.
    OffsetFound {
        /// Who asked.
        ticket: Ticket,
        /// The offset.
        offset: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_compares_the_lower_half_of_the_hash() {
        let filter = TagFilter::codes([7, -3]);
        assert!(filter.matches(-3) && filter.matches(7) && filter.matches(7 | 1 << 40));
        assert!(!filter.matches(0));
        assert!(TagFilter::All.matches(0));
    }
}

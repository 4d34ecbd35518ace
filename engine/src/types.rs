//! The numbers of the engine, each with a type of its own so that they cannot be swapped.

use std::fmt;

/// One incarnation of a topic, issued by the home shard and never reused; `0` is no topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u64);

/// A queue within its shard, never reused. [`QueueNumber::CONTROL`] marks control records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueNumber(pub u32);

impl QueueNumber {
    /// The number that control records carry in a block's record list.
    pub const CONTROL: Self = Self(0);

    /// Whether records under this number are control records.
    pub fn is_control(self) -> bool {
        self == Self::CONTROL
    }
}

/// A consumer group within one shard, bound to its name by a control record and never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupNumber(pub u32);

/// A shard of the store: one core, one log. Shard 0 is the home shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardIndex(pub u8);

impl ShardIndex {
    /// The shard whose log alone decides which topics and groups exist.
    pub const HOME: Self = Self(0);
}

/// A segment of one shard's log, counted from 0 and never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The segment after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A byte position in one shard's log: segment number times segment size plus the position in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogOffset(pub u64);

impl LogOffset {
    /// The segment that holds this position, and the position in it.
    pub fn split(self, segment_size: u64) -> (SegmentNumber, u64) {
        (SegmentNumber(self.0 / segment_size), self.0 % segment_size)
    }

    /// Where a segment begins.
    pub fn of_segment(segment: SegmentNumber, segment_size: u64) -> Self {
        Self(segment.0 * segment_size)
    }

    /// This many bytes further on.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// The physical offset that records and message ids carry: the shard in bits 56 to 61.
    pub fn physical(self, shard: ShardIndex) -> PhysicalOffset {
        PhysicalOffset((u64::from(shard.0) << PhysicalOffset::SHARD_SHIFT) | self.0)
    }
}

/// A log offset together with its shard, as records, message ids and transactions carry it: the
/// shard in bits 56 to 61, so that it routes itself. Shard 0 adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhysicalOffset(pub u64);

impl PhysicalOffset {
    /// The lowest bit of the shard.
    pub const SHARD_SHIFT: u32 = 56;
    const SHARD_MASK: u64 = 0x3F;

    /// The shard in it.
    pub fn shard(self) -> ShardIndex {
        // The mask leaves six bits.
        ShardIndex(((self.0 >> Self::SHARD_SHIFT) & Self::SHARD_MASK) as u8)
    }

    /// The position in that shard's log.
    pub fn log_offset(self) -> LogOffset {
        LogOffset(self.0 & ((1 << Self::SHARD_SHIFT) - 1))
    }
}

/// The offsets of a queue that may be shown: `min` is the oldest record kept, `max` the one after the
/// newest visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// The oldest offset that is kept.
    pub min: u64,
    /// One past the newest visible offset.
    pub max: u64,
}

/// Where a walk over a shard's committed offsets stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedPlace(pub(crate) (QueueNumber, GroupNumber));

/// How far a group has come in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<'a> {
    /// Where the walk goes on.
    pub place: CommittedPlace,
    /// The queue's topic.
    pub topic: TopicId,
    /// The queue's id in its topic.
    pub queue_id: u32,
    /// The group.
    pub group: &'a str,
    /// The offset it goes on from.
    pub offset: u64,
}

impl fmt::Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_physical_offset_carries_its_shard_and_position() {
        let offset = LogOffset(0x1234_5678).physical(ShardIndex(5));
        assert_eq!(offset.shard(), ShardIndex(5));
        assert_eq!(offset.log_offset(), LogOffset(0x1234_5678));
        assert_eq!(LogOffset(77).physical(ShardIndex::HOME).0, 77);
    }
}

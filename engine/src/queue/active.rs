//! The index of one log segment while it is in memory: first the active segment's, then, frozen and
//! shared, that of a segment whose index segment is still being written.

use crate::queue::Entry;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

/// Entries of one queue within one segment: dense from `first`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSlot {
    /// Whose entries these are.
    pub queue: QueueNumber,
    /// Queue offset of `entries[0]`.
    pub first: u64,
    /// One per record, in order of queue offset and of log offset.
    pub entries: Vec<Entry>,
}

/// One commit block: where it lies and the store times in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTime {
    /// Where its header begins in the shard's log.
    pub start: LogOffset,
    /// Its whole length, padding included.
    pub len: u32,
    /// Records in it, control records included.
    pub records: u32,
    /// Store time of its first record, ms since the epoch.
    pub first_store_ms: i64,
    /// Store time of its last record.
    pub last_store_ms: i64,
}

/// Everything known about the records of one segment. Slots are in the order in which queues first
/// appeared; blocks are in log order, and so their times never decrease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveIndex {
    /// The log segment it describes.
    pub segment: SegmentNumber,
    /// One per queue with a record in the segment.
    pub slots: Vec<QueueSlot>,
    /// Every block of the segment.
    pub blocks: Vec<BlockTime>,
    /// Sum of the entries of all slots.
    pub records: u64,
}

impl ActiveIndex {
    /// The index of a segment without a block.
    pub fn new(segment: SegmentNumber) -> Self {
        Self {
            segment,
            ..Self::default()
        }
    }

    /// Opens a slot for a queue's first record in this segment and returns its number.
    pub fn open_slot(&mut self, queue: QueueNumber, first: u64) -> u32 {
        self.slots.push(QueueSlot {
            queue,
            first,
            entries: Vec::new(),
        });
        // A segment holds at most two million records, so slots fit as well.
        (self.slots.len() - 1) as u32
    }

    /// Adds the next entry of the queue in `slot`.
    pub fn push(&mut self, slot: u32, entry: Entry) {
        self.slots[slot as usize].entries.push(entry);
        self.records += 1;
    }

    /// The block that holds this log offset.
    pub fn block_at(&self, offset: LogOffset) -> Option<BlockTime> {
        let after = self.blocks.partition_point(|block| block.start <= offset);
        let block = *self.blocks.get(after.checked_sub(1)?)?;
        (offset.0 < block.start.0 + u64::from(block.len)).then_some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_any_offset_in_it() {
        let mut index = ActiveIndex::new(SegmentNumber(0));
        for start in [0, 4096, 12288] {
            index.blocks.push(BlockTime {
                start: LogOffset(start),
                len: 4096,
                ..BlockTime::default()
            });
        }
        assert_eq!(
            index.block_at(LogOffset(5000)).map(|b| b.start.0),
            Some(4096)
        );
        assert_eq!(index.block_at(LogOffset(9000)), None);
        assert_eq!(
            index.block_at(LogOffset(12288)).map(|b| b.start.0),
            Some(12288)
        );
    }
}

//! The newest commit blocks, in the very buffers that were written, within a budget of bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::types::LogOffset;

/// Written blocks by position; the oldest leave first.
#[derive(Debug)]
pub(crate) struct HotTail {
    blocks: VecDeque<HotBlock>,
    bytes: usize,
    budget: usize,
}

#[derive(Debug)]
struct HotBlock {
    start: LogOffset,
    bytes: Bytes,
}

impl HotTail {
    /// An empty tail that keeps at most `budget` bytes.
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            bytes: 0,
            budget,
        }
    }

    /// Adds the block that begins at `start`, beyond all others.
    pub(crate) fn push(&mut self, start: LogOffset, bytes: Bytes) {
        debug_assert!(self.blocks.back().is_none_or(|last| last.start < start));
        self.bytes += bytes.len();
        self.blocks.push_back(HotBlock { start, bytes });
        while self.bytes > self.budget && self.blocks.len() > 1 {
            self.drop_oldest();
        }
    }

    /// The block that holds `offset`: where it begins, and its bytes.
    pub(crate) fn block_at(&self, offset: LogOffset) -> Option<(LogOffset, &Bytes)> {
        // Readers are mostly near the end.
        let newest = self.blocks.back()?;
        let block = if newest.start <= offset {
            newest
        } else {
            let after = self.blocks.partition_point(|block| block.start <= offset);
            self.blocks.get(after.checked_sub(1)?)?
        };
        let inside = offset.0 < block.start.0 + block.bytes.len() as u64;
        inside.then_some((block.start, &block.bytes))
    }

    /// Bytes kept.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.bytes -= block.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_blocks_leave_when_the_budget_is_spent() {
        let mut tail = HotTail::new(8192);
        for start in [0, 4096, 12288] {
            tail.push(LogOffset(start), Bytes::from(vec![start as u8; 4096]));
        }
        assert_eq!(tail.bytes(), 8192);
        assert!(tail.block_at(LogOffset(100)).is_none());
        assert_eq!(
            tail.block_at(LogOffset(4096 + 7)).map(|b| b.0),
            Some(LogOffset(4096))
        );
        assert!(tail.block_at(LogOffset(9000)).is_none());
        assert_eq!(
            tail.block_at(LogOffset(12288)).map(|b| b.0),
            Some(LogOffset(12288))
        );
        assert!(tail.block_at(LogOffset(16384)).is_none());
    }
}

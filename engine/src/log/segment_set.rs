//! The files of one shard's log: those with blocks in them, oldest first, and the prepared ones ahead.

use std::collections::VecDeque;

use ringmq_ring::FileId;

use crate::types::{LogOffset, SegmentNumber};

/// One log file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: SegmentNumber,
    pub(crate) file: FileId,
    /// Bytes from the front that are zeroed (or recycled) and so may be written without touching file
    /// system metadata. Grows only for the first segment of a new store.
    pub(crate) prepared: u64,
    /// Cold reads in flight: the file is not recycled before they are done.
    pub(crate) reads: u32,
    /// End of its last block, in the segment.
    pub(crate) used: u64,
    /// Store time of its newest record; `None` when it has none.
    pub(crate) last_store_ms: Option<i64>,
    /// Its index segment is on disk.
    pub(crate) indexed: bool,
    /// It is being retired: no new read is begun.
    pub(crate) retiring: bool,
}

impl Segment {
    /// A prepared file without a block.
    pub(crate) fn prepared(number: SegmentNumber, file: FileId, prepared: u64) -> Self {
        Self {
            number,
            file,
            prepared,
            reads: 0,
            used: 0,
            last_store_ms: None,
            indexed: false,
            retiring: false,
        }
    }
}

/// All files of the log.
#[derive(Debug)]
pub(crate) struct SegmentSet {
    /// Size of every segment in bytes.
    pub(crate) size: u64,
    /// With blocks; the last one is active.
    kept: VecDeque<Segment>,
    /// Without, in the order in which they will be used.
    ahead: VecDeque<Segment>,
}

impl SegmentSet {
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            kept: VecDeque::new(),
            ahead: VecDeque::new(),
        }
    }

    /// Adds a file with blocks; they come in order.
    pub(crate) fn push_kept(&mut self, segment: Segment) {
        debug_assert!(
            self.kept
                .back()
                .is_none_or(|last| last.number < segment.number)
        );
        self.kept.push_back(segment);
    }

    /// Adds a prepared file; they come in order.
    pub(crate) fn push_ahead(&mut self, segment: Segment) {
        debug_assert!(
            self.ahead
                .back()
                .is_none_or(|last| last.number < segment.number)
        );
        self.ahead.push_back(segment);
    }

    /// The first prepared file becomes the active one.
    pub(crate) fn roll(&mut self) -> Option<&Segment> {
        let next = self.ahead.pop_front()?;
        self.kept.push_back(next);
        self.kept.back()
    }

    /// Prepared files ahead of the active one.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// The file that will be active after the next roll.
    pub(crate) fn next(&self) -> Option<&Segment> {
        self.ahead.front()
    }

    /// The file that takes blocks; `None` before the first one of a run.
    pub(crate) fn active(&self) -> Option<&Segment> {
        self.kept.back()
    }

    pub(crate) fn active_mut(&mut self) -> Option<&mut Segment> {
        self.kept.back_mut()
    }

    /// All files with blocks, oldest first.
    pub(crate) fn kept(&self) -> &VecDeque<Segment> {
        &self.kept
    }

    /// A file by its number.
    pub(crate) fn get_mut(&mut self, number: SegmentNumber) -> Option<&mut Segment> {
        match self.kept.binary_search_by_key(&number, |s| s.number) {
            Ok(at) => self.kept.get_mut(at),
            Err(_) => self.ahead.iter_mut().find(|s| s.number == number),
        }
    }

    /// The file that holds a position, and the position in it.
    pub(crate) fn locate(&self, offset: LogOffset) -> Option<(&Segment, u64)> {
        let (number, within) = offset.split(self.size);
        let at = self.kept.binary_search_by_key(&number, |s| s.number).ok()?;
        Some((&self.kept[at], within))
    }

    /// Takes the oldest file out.
    pub(crate) fn pop_oldest(&mut self) -> Option<Segment> {
        self.kept.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_in_its_file_across_gaps() {
        let mut set = SegmentSet::new(1000);
        for number in [2, 3, 7] {
            let number_of_file = FileId(number as u32);
            set.push_kept(Segment::prepared(
                SegmentNumber(number),
                number_of_file,
                1000,
            ));
        }
        let found = |at| {
            set.locate(LogOffset(at))
                .map(|(s, within)| (s.file.0, within))
        };
        assert_eq!(found(3010), Some((3, 10)));
        assert_eq!(found(7999), Some((7, 999)));
        assert_eq!(found(4000), None);
    }

    #[test]
    fn a_roll_takes_the_prepared_files_in_order() {
        let mut set = SegmentSet::new(1000);
        for number in [0, 1] {
            set.push_ahead(Segment::prepared(SegmentNumber(number), FileId(0), 1000));
        }
        assert_eq!(set.roll().map(|s| s.number), Some(SegmentNumber(0)));
        assert_eq!((set.ahead(), set.kept().len()), (1, 1));
        set.roll();
        assert!(set.roll().is_none());
    }
}

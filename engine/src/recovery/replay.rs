//! Accepted blocks become memory: control records the shard's state, queue records the indexes of
//! the segments that have none on disk.

use std::collections::BTreeMap;

use ringmq_protocol::RecordView;
use ringmq_ring::planted::{self, planted};

use super::error::RecoveryError;
use super::recovered::ShardState;
use crate::block::{BlockHeader, BlockView, DamagedBlock};
use crate::control_record::{ControlRecord, OffsetCommit};
use crate::limits::SEGMENT_RECORDS_MAX;
use crate::queue::{ActiveIndex, BlockTime, Entry};
use crate::state::{
    Counters, Coverage, GroupNameRow, GroupRow, LoadedState, OffsetRow, QueueRow, TopicRow,
};
use crate::types::{GroupNumber, LogOffset, QueueNumber, SegmentNumber, TopicId};

/// Warnings kept; beyond that they are only counted.
const WARNINGS_MAX: usize = 64;

/// Memory in the making.
pub(super) struct Replay {
    /// Control records and offsets below are in the state already.
    start: LogOffset,
    tables: Tables,
    covered: LoadedState,
    indexes: Vec<ActiveIndex>,
    segment: Option<OpenSegment>,
    last_store_ms: i64,
    /// Something that state depends on is lost for good, and nobody can say what.
    pub unknown_loss: bool,
    pub records: u64,
    pub warnings: Vec<String>,
    skipped_one: bool,
}

#[derive(Default)]
struct Tables {
    queues: BTreeMap<QueueNumber, QueueRow>,
    group_names: BTreeMap<GroupNumber, String>,
    offsets: BTreeMap<(QueueNumber, GroupNumber), u64>,
    topics: BTreeMap<TopicId, TopicRow>,
    groups: BTreeMap<String, GroupRow>,
    counters: Counters,
}

/// The segment being read.
struct OpenSegment {
    number: SegmentNumber,
    /// `None` when the segment's index is on disk.
    index: Option<ActiveIndex>,
    /// Lost records of queues of which no readable one has come yet in this segment.
    lost: BTreeMap<QueueNumber, Lost>,
}

#[derive(Clone, Copy)]
struct Lost {
    count: u64,
    /// How many of them the state file has not counted.
    uncounted: u64,
    /// The first of them.
    position: LogOffset,
}

/// A record whose bytes have been verified.
struct Whole<'a> {
    position: LogOffset,
    queue: QueueNumber,
    crc: u32,
    bytes: &'a [u8],
}

impl Replay {
    /// From a state file (or nothing) that reflects the log below `start`.
    pub fn new(mut loaded: LoadedState, start: LogOffset) -> Self {
        let mut tables = Tables {
            queues: take_rows(&mut loaded.queues, |row| (row.queue, row)),
            group_names: take_rows(&mut loaded.group_names, |row| (row.group, row.name)),
            offsets: take_rows(&mut loaded.offsets, |row| {
                ((row.queue, row.group), row.offset)
            }),
            topics: take_rows(&mut loaded.topics, |row| (row.topic, row)),
            groups: take_rows(&mut loaded.groups, |row| (row.name.clone(), row)),
            counters: loaded.counters,
        };
        tables.count_groups();
        Self {
            start,
            tables,
            covered: loaded,
            indexes: Vec::new(),
            segment: None,
            last_store_ms: 0,
            unknown_loss: false,
            records: 0,
            warnings: Vec::new(),
            skipped_one: false,
        }
    }

    /// The blocks that follow are this segment's. `indexed`: its index is on disk.
    pub fn enter(&mut self, number: SegmentNumber, indexed: bool) {
        if self
            .segment
            .as_ref()
            .is_some_and(|open| open.number == number)
        {
            return;
        }
        self.leave();
        self.segment = Some(OpenSegment {
            number,
            index: (!indexed).then(|| ActiveIndex::new(number)),
            lost: BTreeMap::new(),
        });
    }

    /// A verified block.
    pub fn accept(&mut self, view: &BlockView<'_>) -> Result<(), RecoveryError> {
        self.push_block(view.header());
        for record in view.records() {
            self.whole(Whole {
                position: record.position,
                queue: record.queue,
                crc: record.crc,
                bytes: record.bytes,
            })?;
        }
        Ok(())
    }

    /// What is left of a damaged block; `bytes` begins with it.
    pub fn accept_damaged(
        &mut self,
        damaged: &DamagedBlock,
        bytes: &[u8],
    ) -> Result<(), RecoveryError> {
        if let Some(header) = &damaged.header {
            self.push_block(header);
        } else {
            self.push_block(&self.stand_in(damaged));
        }
        let mut position = damaged.at;
        for record in &damaged.records {
            if let Some(within) = record.within_block {
                position = damaged.at.plus(u64::from(within));
            }
            match (record.queue, damaged.bytes_of(record, bytes)) {
                (Some(queue), Some(bytes)) => self.whole(Whole {
                    position,
                    queue,
                    crc: record.crc,
                    bytes,
                })?,
                (Some(queue), None) if !queue.is_control() => self.lose(queue, position),
                _ => self.unknown_loss |= position >= self.start,
            }
        }
        Ok(())
    }

    /// A part of the log of which nothing is known.
    pub fn lose_unknown(&mut self, to: LogOffset) {
        self.unknown_loss |= to > self.start;
    }

    /// Store time of the newest record, 0 without any.
    pub fn last_store_ms(&self) -> i64 {
        self.last_store_ms
    }

    /// The state, consistent with itself, and the indexes.
    pub fn finish(mut self) -> (ShardState, Vec<ActiveIndex>, Vec<String>) {
        self.leave();
        (self.tables.into_state(), self.indexes, self.warnings)
    }

    // Blocks -----------------------------------------------------------------------------------

    fn push_block(&mut self, header: &BlockHeader) {
        let first_store_ms = header.first_ms.max(self.last_store_ms);
        self.last_store_ms = header.last_ms.max(first_store_ms);
        let Some(index) = self.index() else { return };
        let last = index.blocks().last();
        if last.is_some_and(|last| last.start >= header.at) {
            return;
        }
        let block = BlockTime {
            start: header.at,
            len: header.block_len,
            records: header.count,
            first_store_ms,
            last_store_ms: header.last_ms.max(first_store_ms),
            sequence: header.sequence,
        };
        index.push_block(block);
    }

    /// The header of a block whose own is lost: its times are those around it.
    fn stand_in(&self, damaged: &DamagedBlock) -> BlockHeader {
        BlockHeader {
            at: damaged.at,
            sequence: damaged.sequence,
            epoch: damaged.epoch,
            durable: LogOffset(0),
            first_ms: self.last_store_ms,
            last_ms: self.last_store_ms,
            block_len: damaged.block_len,
            records_len: 0,
            count: damaged.records.len() as u32,
            previous_checksum: 0,
            crc: 0,
        }
    }

    fn index(&mut self) -> Option<&mut ActiveIndex> {
        self.segment.as_mut().and_then(|open| open.index.as_mut())
    }

    // Records ----------------------------------------------------------------------------------

    fn whole(&mut self, record: Whole<'_>) -> Result<(), RecoveryError> {
        self.records += 1;
        if record.queue.is_control() {
            return self.control(record.position, record.bytes);
        }
        self.tables.counters.count_queue(record.queue);
        let Ok(view) = RecordView::parse(record.bytes) else {
            self.warn(|| format!("the record at {:#x} cannot be parsed", record.position.0));
            self.lose(record.queue, record.position);
            return Ok(());
        };
        let entry = Entry {
            offset: record.position.0,
            tag_hash: view.tags_code(),
            size: record.bytes.len() as u32,
            crc32c: record.crc,
        };
        self.place(record.queue, view.queue_offset().max(0) as u64, entry);
        Ok(())
    }

    fn place(&mut self, queue: QueueNumber, offset: u64, entry: Entry) {
        if planted(planted::REBUILD_ONE_LATE) && !self.skipped_one {
            self.skipped_one = true;
            return;
        }
        if self.index().is_none() {
            let number = self.segment.as_ref().map(|open| open.number);
            if let Some(row) = self.tables.queues.get_mut(&queue) {
                row.advance(offset.saturating_add(1), number);
            }
            return;
        }
        let slot = self.slot(queue, offset);
        let position = LogOffset(entry.offset);
        let Some(index) = self.index() else { return };
        match index.skip(slot, offset, position, SEGMENT_RECORDS_MAX) {
            Ok(()) => index.push(slot, entry),
            Err(out_of_order) => {
                self.warn(|| format!("queue {} at {:#x}: {out_of_order}", queue.0, position.0))
            }
        }
    }

    /// The queue's slot in this segment's index; a new one begins with the records lost before.
    fn slot(&mut self, queue: QueueNumber, offset: u64) -> u32 {
        if let Some(slot) = self.index().and_then(|index| index.slot_of(queue)) {
            return slot;
        }
        let lost = self
            .segment
            .as_mut()
            .and_then(|open| open.lost.remove(&queue));
        let first = offset.saturating_sub(lost.map_or(0, |lost| lost.count));
        self.open_slot(queue, first, lost)
    }

    fn open_slot(&mut self, queue: QueueNumber, first: u64, lost: Option<Lost>) -> u32 {
        let previous = self.previous_segment(queue, first);
        let Some(index) = self.index() else { return 0 };
        let slot = index.open_slot(queue, first, previous);
        if let Some(lost) = lost {
            for _ in 0..lost.count {
                index.push(slot, Entry::hole(lost.position));
            }
        }
        slot
    }

    /// The newest older segment that may hold records of the queue.
    fn previous_segment(&self, queue: QueueNumber, first: u64) -> Option<SegmentNumber> {
        let number = self.segment.as_ref()?.number;
        let before = number.0.checked_sub(1).map(SegmentNumber);
        if first == 0 {
            return None;
        }
        match self.tables.queues.get(&queue) {
            Some(row) if row.newest_segment.is_none_or(|newest| newest < number) => {
                row.newest_segment
            }
            _ => before,
        }
    }

    /// A record of a known queue that cannot be read: its offset stays its own, as a hole.
    fn lose(&mut self, queue: QueueNumber, position: LogOffset) {
        self.tables.counters.count_queue(queue);
        let counted = position < self.covered.queues_at.of(&queue);
        let Some(open) = &mut self.segment else {
            return;
        };
        if let Some(index) = &mut open.index {
            match index.slot_of(queue) {
                Some(slot) => index.push(slot, Entry::hole(position)),
                None => {
                    let lost = open.lost.entry(queue).or_insert(Lost {
                        count: 0,
                        uncounted: 0,
                        position,
                    });
                    lost.count += 1;
                    lost.uncounted += u64::from(!counted);
                }
            }
        } else if !counted && let Some(row) = self.tables.queues.get_mut(&queue) {
            row.advance(row.next.saturating_add(1), Some(open.number));
        }
    }

    fn leave(&mut self) {
        self.settle_lost();
        let Some(open) = self.segment.take() else {
            return;
        };
        let Some(index) = open.index else { return };
        for slot in index.slots() {
            if let Some(row) = self.tables.queues.get_mut(&slot.queue) {
                row.advance(slot.end(), Some(open.number));
            }
        }
        self.indexes.push(index);
    }

    /// Lost records that no readable one followed in the segment end where the queue ends. The state file
    /// may have counted some of them; when it has counted records of later segments as well, nobody knows
    /// their offsets, and the next segment's first record tells that they are lost.
    fn settle_lost(&mut self) {
        let Some(open) = &mut self.segment else {
            return;
        };
        let number = open.number;
        for (queue, lost) in std::mem::take(&mut open.lost) {
            let Some(row) = self.tables.queues.get(&queue) else {
                continue;
            };
            let counted = lost.count - lost.uncounted;
            if counted == 0 || row.newest_segment == Some(number) {
                let first = row.next.saturating_sub(counted);
                self.open_slot(queue, first, Some(lost));
            }
        }
    }

    // Control records --------------------------------------------------------------------------

    fn control(&mut self, position: LogOffset, bytes: &[u8]) -> Result<(), RecoveryError> {
        if position < self.start {
            return Ok(());
        }
        let record = ControlRecord::decode(bytes)
            .map_err(|fault| RecoveryError::Control { position, fault })?;
        self.apply(position, &record);
        Ok(())
    }

    fn apply(&mut self, position: LogOffset, record: &ControlRecord<'_>) {
        let covered = &self.covered;
        let tables = &mut self.tables;
        match *record {
            ControlRecord::TopicPut {
                topic,
                name,
                payload,
            } => {
                tables.counters.count_topic(topic);
                if position >= covered.topics_at.of(&topic) {
                    let (name, payload) = (name.to_owned(), payload.to_vec());
                    tables.topics.insert(
                        topic,
                        TopicRow {
                            topic,
                            name,
                            payload,
                        },
                    );
                }
            }
            ControlRecord::TopicDelete { topic } => {
                if position >= covered.topics_at.of(&topic) {
                    tables.topics.remove(&topic);
                }
            }
            ControlRecord::GroupPut { name, payload } => {
                if position >= covered.groups_at.of(name) {
                    let (name, payload) = (name.to_owned(), payload.to_vec());
                    tables
                        .groups
                        .insert(name.clone(), GroupRow { name, payload });
                }
            }
            ControlRecord::GroupDelete { name } => {
                if position >= covered.groups_at.of(name) {
                    tables.groups.remove(name);
                }
            }
            ControlRecord::GroupBind { group, name } => {
                tables.counters.count_group(group);
                if position >= covered.group_names_at.of(&group) {
                    tables.group_names.insert(group, name.to_owned());
                }
            }
            ControlRecord::QueueBind {
                queue,
                topic,
                queue_id,
            } => {
                tables.counters.count_queue(queue);
                if position >= covered.queues_at.of(&queue) {
                    tables.bind(queue, topic, queue_id);
                }
            }
            ControlRecord::QueueDelete { queue } => {
                if position >= covered.queues_at.of(&queue) {
                    tables.delete_queue(queue);
                }
            }
            ControlRecord::OffsetCommits(list) => {
                for commit in list.iter() {
                    tables.commit(position, commit, &covered.offsets_at);
                }
            }
            ControlRecord::OffsetsForget { group } => {
                let at = &covered.offsets_at;
                tables
                    .offsets
                    .retain(|key, _| key.1 != group || position < at.of(key));
            }
            ControlRecord::NextTopicId { next } => {
                let counters = &mut tables.counters;
                counters.next_topic = counters.next_topic.max(next);
            }
            ControlRecord::QueueMinimums(list) => {
                for minimum in list.iter() {
                    if let Some(row) = tables.queues.get_mut(&minimum.queue) {
                        row.min = row.min.max(minimum.offset);
                    }
                }
            }
            ControlRecord::RunStart(_) => {}
        }
    }

    /// Keeps a line for the operator.
    pub fn warn(&mut self, text: impl FnOnce() -> String) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(text());
        }
    }
}

impl Tables {
    /// Idempotent: a queue that is bound already keeps its offsets.
    fn bind(&mut self, queue: QueueNumber, topic: TopicId, queue_id: u32) {
        self.queues.entry(queue).or_insert(QueueRow {
            queue,
            topic,
            queue_id,
            min: 0,
            next: 0,
            newest_segment: None,
        });
    }

    fn delete_queue(&mut self, queue: QueueNumber) {
        self.queues.remove(&queue);
        let all = (queue, GroupNumber(0))..=(queue, GroupNumber(u32::MAX));
        let groups: Vec<_> = self.offsets.range(all).map(|(key, _)| *key).collect();
        for key in groups {
            self.offsets.remove(&key);
        }
    }

    fn commit(
        &mut self,
        position: LogOffset,
        commit: OffsetCommit,
        covered: &Coverage<(QueueNumber, GroupNumber)>,
    ) {
        let key = (commit.queue, commit.group);
        if position >= covered.of(&key) {
            self.offsets.insert(key, commit.offset);
        }
    }

    /// A state file may hold an offset of a group whose number had not reached the log: that number must
    /// not go to another group, which would inherit the offset.
    fn count_groups(&mut self) {
        let named = self.group_names.keys().copied();
        let groups = named.chain(self.offsets.keys().map(|key| key.1));
        let newest = groups.max();
        if let Some(newest) = newest {
            self.counters.count_group(newest);
        }
    }

    /// No offset without its queue and its group's name, and none beyond the queue's end.
    fn into_state(self) -> ShardState {
        let queues = &self.queues;
        let names = &self.group_names;
        let offset = |((queue, group), offset): ((QueueNumber, GroupNumber), u64)| {
            let row = queues.get(&queue).filter(|_| names.contains_key(&group))?;
            Some(OffsetRow {
                queue,
                group,
                offset: offset.min(row.next),
            })
        };
        let offsets = self.offsets.into_iter().filter_map(offset).collect();
        let queues = self.queues.into_values().map(|mut row| {
            row.min = row.min.min(row.next);
            row
        });
        let group_names = self.group_names.into_iter();
        ShardState {
            queues: queues.collect(),
            group_names: group_names
                .map(|(group, name)| GroupNameRow { group, name })
                .collect(),
            offsets,
            topics: self.topics.into_values().collect(),
            groups: self.groups.into_values().collect(),
            counters: self.counters,
        }
    }
}

impl QueueRow {
    fn advance(&mut self, next: u64, segment: Option<SegmentNumber>) {
        self.next = self.next.max(next);
        self.newest_segment = self.newest_segment.max(segment);
    }
}

impl Counters {
    fn count_queue(&mut self, queue: QueueNumber) {
        self.next_queue = self.next_queue.max(QueueNumber(queue.0.saturating_add(1)));
    }

    fn count_group(&mut self, group: GroupNumber) {
        self.next_group = self.next_group.max(GroupNumber(group.0.saturating_add(1)));
    }

    fn count_topic(&mut self, topic: TopicId) {
        self.next_topic = self.next_topic.max(TopicId(topic.0.saturating_add(1)));
    }
}

fn take_rows<R, K: Ord, V>(rows: &mut Vec<R>, split: impl Fn(R) -> (K, V)) -> BTreeMap<K, V> {
    std::mem::take(rows).into_iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_group_that_never_reached_the_log_is_not_given_away() {
        let offset = OffsetRow {
            queue: QueueNumber(1),
            group: GroupNumber(9),
            offset: 5,
        };
        let loaded = LoadedState {
            offsets: vec![offset],
            ..LoadedState::default()
        };
        let (state, _, _) = Replay::new(loaded, LogOffset(0)).finish();
        assert!(state.offsets.is_empty());
        assert!(state.counters.next_group > GroupNumber(9));
    }
}

//! The rows as they lie in the archive: fixed structs in flat vectors, text in a byte heap.

use rkyv::{Archive, Deserialize, Serialize};

use super::{Counters, GroupNameRow, GroupRow, OffsetRow, QueueRow, TopicRow};
use crate::types::{GroupNumber, QueueNumber, SegmentNumber, TopicId};

/// Stands for no segment.
const NO_SEGMENT: u64 = u64::MAX;

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct CountersArchive {
    next_topic: u64,
    next_queue: u32,
    next_group: u32,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct QueueArchive {
    topic: u64,
    min: u64,
    next: u64,
    newest_segment: u64,
    queue: u32,
    queue_id: u32,
}

#[derive(Archive, Serialize, Deserialize, Default)]
pub(super) struct QueuesArchive {
    pub rows: Vec<QueueArchive>,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct OffsetArchive {
    offset: u64,
    queue: u32,
    group: u32,
}

#[derive(Archive, Serialize, Deserialize, Default)]
pub(super) struct OffsetsArchive {
    pub rows: Vec<OffsetArchive>,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct NameArchive {
    group: u32,
    name_len: u32,
}

#[derive(Archive, Serialize, Deserialize, Default)]
pub(super) struct NamesArchive {
    pub rows: Vec<NameArchive>,
    heap: Vec<u8>,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct TopicArchive {
    topic: u64,
    name_len: u32,
    payload_len: u32,
}

#[derive(Archive, Serialize, Deserialize, Default)]
pub(super) struct TopicsArchive {
    pub rows: Vec<TopicArchive>,
    heap: Vec<u8>,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct GroupArchive {
    name_len: u32,
    payload_len: u32,
}

#[derive(Archive, Serialize, Deserialize, Default)]
pub(super) struct GroupsArchive {
    pub rows: Vec<GroupArchive>,
    heap: Vec<u8>,
}

// What `FORMAT.md` says of them.
const _: () = assert!(size_of::<ArchivedCountersArchive>() == 16);
const _: () = assert!(size_of::<ArchivedQueueArchive>() == 40);
const _: () = assert!(size_of::<ArchivedOffsetArchive>() == 16);
const _: () = assert!(size_of::<ArchivedNameArchive>() == 8);
const _: () = assert!(size_of::<ArchivedTopicArchive>() == 16);
const _: () = assert!(size_of::<ArchivedGroupArchive>() == 8);
const _: () = assert!(size_of::<ArchivedQueuesArchive>() == 8);
const _: () = assert!(size_of::<ArchivedTopicsArchive>() == 16);

/// A row that can be laid out in a table of its kind.
pub(super) trait Row {
    /// What the table is laid out as.
    type Archive: Default;
    /// What orders the rows.
    type Key: Ord + Clone;
    /// Bytes that the row takes in a chunk.
    fn stored_bytes(&self) -> usize;
    /// Its key.
    fn key(&self) -> Self::Key;
    /// Lays it out.
    fn push(&self, archive: &mut Self::Archive);
    /// Reads all rows; `None` when they contradict the heap.
    fn read(archive: Self::Archive) -> Option<Vec<Self>>
    where
        Self: Sized;
}

impl CountersArchive {
    pub fn of(counters: &Counters) -> Self {
        Self {
            next_topic: counters.next_topic.0,
            next_queue: counters.next_queue.0,
            next_group: counters.next_group.0,
        }
    }

    pub fn read(&self) -> Counters {
        Counters {
            next_topic: TopicId(self.next_topic),
            next_queue: QueueNumber(self.next_queue),
            next_group: GroupNumber(self.next_group),
        }
    }
}

impl Row for QueueRow {
    type Archive = QueuesArchive;
    type Key = QueueNumber;

    fn stored_bytes(&self) -> usize {
        size_of::<ArchivedQueueArchive>()
    }

    fn key(&self) -> QueueNumber {
        self.queue
    }

    fn push(&self, archive: &mut QueuesArchive) {
        archive.rows.push(QueueArchive {
            topic: self.topic.0,
            min: self.min,
            next: self.next,
            newest_segment: self.newest_segment.map_or(NO_SEGMENT, |segment| segment.0),
            queue: self.queue.0,
            queue_id: self.queue_id,
        });
    }

    fn read(archive: QueuesArchive) -> Option<Vec<Self>> {
        let row = |row: QueueArchive| QueueRow {
            queue: QueueNumber(row.queue),
            topic: TopicId(row.topic),
            queue_id: row.queue_id,
            min: row.min,
            next: row.next,
            newest_segment: (row.newest_segment != NO_SEGMENT)
                .then_some(SegmentNumber(row.newest_segment)),
        };
        Some(archive.rows.into_iter().map(row).collect())
    }
}

impl Row for OffsetRow {
    type Archive = OffsetsArchive;
    type Key = (QueueNumber, GroupNumber);

    fn stored_bytes(&self) -> usize {
        size_of::<ArchivedOffsetArchive>()
    }

    fn key(&self) -> Self::Key {
        (self.queue, self.group)
    }

    fn push(&self, archive: &mut OffsetsArchive) {
        archive.rows.push(OffsetArchive {
            offset: self.offset,
            queue: self.queue.0,
            group: self.group.0,
        });
    }

    fn read(archive: OffsetsArchive) -> Option<Vec<Self>> {
        let row = |row: OffsetArchive| OffsetRow {
            queue: QueueNumber(row.queue),
            group: GroupNumber(row.group),
            offset: row.offset,
        };
        Some(archive.rows.into_iter().map(row).collect())
    }
}

impl Row for GroupNameRow {
    type Archive = NamesArchive;
    type Key = GroupNumber;

    fn stored_bytes(&self) -> usize {
        size_of::<ArchivedNameArchive>() + self.name.len()
    }

    fn key(&self) -> GroupNumber {
        self.group
    }

    fn push(&self, archive: &mut NamesArchive) {
        archive.rows.push(NameArchive {
            group: self.group.0,
            name_len: self.name.len() as u32,
        });
        archive.heap.extend_from_slice(self.name.as_bytes());
    }

    fn read(archive: NamesArchive) -> Option<Vec<Self>> {
        let mut heap = Heap(&archive.heap);
        let row = |row: NameArchive| {
            Some(GroupNameRow {
                group: GroupNumber(row.group),
                name: heap.text(row.name_len)?,
            })
        };
        let rows: Option<Vec<Self>> = archive.rows.into_iter().map(row).collect();
        rows.filter(|_| heap.0.is_empty())
    }
}

impl Row for TopicRow {
    type Archive = TopicsArchive;
    type Key = TopicId;

    fn stored_bytes(&self) -> usize {
        size_of::<ArchivedTopicArchive>() + self.name.len() + self.payload.len()
    }

    fn key(&self) -> TopicId {
        self.topic
    }

    fn push(&self, archive: &mut TopicsArchive) {
        archive.rows.push(TopicArchive {
            topic: self.topic.0,
            name_len: self.name.len() as u32,
            payload_len: self.payload.len() as u32,
        });
        archive.heap.extend_from_slice(self.name.as_bytes());
        archive.heap.extend_from_slice(&self.payload);
    }

    fn read(archive: TopicsArchive) -> Option<Vec<Self>> {
        let mut heap = Heap(&archive.heap);
        let row = |row: TopicArchive| {
            Some(TopicRow {
                topic: TopicId(row.topic),
                name: heap.text(row.name_len)?,
                payload: heap.take(row.payload_len)?.to_vec(),
            })
        };
        let rows: Option<Vec<Self>> = archive.rows.into_iter().map(row).collect();
        rows.filter(|_| heap.0.is_empty())
    }
}

impl Row for GroupRow {
    type Archive = GroupsArchive;
    type Key = String;

    fn stored_bytes(&self) -> usize {
        size_of::<ArchivedGroupArchive>() + self.name.len() + self.payload.len()
    }

    fn key(&self) -> String {
        self.name.clone()
    }

    fn push(&self, archive: &mut GroupsArchive) {
        archive.rows.push(GroupArchive {
            name_len: self.name.len() as u32,
            payload_len: self.payload.len() as u32,
        });
        archive.heap.extend_from_slice(self.name.as_bytes());
        archive.heap.extend_from_slice(&self.payload);
    }

    fn read(archive: GroupsArchive) -> Option<Vec<Self>> {
        let mut heap = Heap(&archive.heap);
        let row = |row: GroupArchive| {
            Some(GroupRow {
                name: heap.text(row.name_len)?,
                payload: heap.take(row.payload_len)?.to_vec(),
            })
        };
        let rows: Option<Vec<Self>> = archive.rows.into_iter().map(row).collect();
        rows.filter(|_| heap.0.is_empty())
    }
}

struct Heap<'a>(&'a [u8]);

impl<'a> Heap<'a> {
    fn take(&mut self, len: u32) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self, len: u32) -> Option<String> {
        self.take(len)
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    }
}

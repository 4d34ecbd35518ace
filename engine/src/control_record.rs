//! Control records: what a shard writes to its own log under queue number 0.
//!
//! Each is absolute (it names the state after it, not a difference), so that replaying one twice,
//! or one that a state file already reflects, changes nothing. Byte by byte in `FORMAT.md`,
//! section 2. All integers are little endian.
//!
//! ```text
//! | kind u8 | version u8 | zero u16 | fields of the kind |
//! ```

use thiserror::Error;

use crate::block::{get_u16, get_u32, get_u64};
use crate::limits::{NAME_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::types::{GroupNumber, LogOffset, QueueNumber, TopicId};

/// Most offsets in one record (64 KiB).
pub const OFFSETS_MAX: usize = 4096;
/// Kinds from here on are reserved for parked records: carry-over, decision, due, checks so far.
pub const PARKED_KIND_FIRST: u8 = 32;
/// The last kind reserved for parked records.
pub const PARKED_KIND_LAST: u8 = 47;

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 4;
const OFFSET_BYTES: usize = 16;
const MINIMUM_BYTES: usize = 12;

mod kind {
    pub const TOPIC_PUT: u8 = 1;
    pub const TOPIC_DELETE: u8 = 2;
    pub const GROUP_PUT: u8 = 3;
    pub const GROUP_DELETE: u8 = 4;
    pub const GROUP_BIND: u8 = 5;
    pub const QUEUE_BIND: u8 = 6;
    pub const QUEUE_DELETE: u8 = 7;
    pub const OFFSET_COMMITS: u8 = 8;
    pub const NEXT_TOPIC_ID: u8 = 9;
    pub const RUN_START: u8 = 10;
    pub const QUEUE_MINIMUMS: u8 = 11;
    pub const OFFSETS_FORGET: u8 = 12;
}

/// One group's offset for one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The group, by its number in this shard.
    pub group: GroupNumber,
    /// The queue.
    pub queue: QueueNumber,
    /// The next offset that the group wants.
    pub offset: u64,
}

/// The lowest offset that a queue still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueMinimum {
    /// The queue.
    pub queue: QueueNumber,
    /// Its minimum offset.
    pub offset: u64,
}

/// How a run of the broker joins what the run before it left; the first record of a run's first
/// block. It repeats what the manifest holds, so that the log alone can be read in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// The run.
    pub epoch: u64,
    /// Where its first block begins.
    pub first: LogOffset,
    /// Where the log of the runs before it ends. What lies between here and `first` is void.
    pub cut: LogOffset,
    /// The number of its first block.
    pub first_sequence: u64,
    /// Checksum of the last block before `cut`.
    pub previous_checksum: u32,
}

/// A list inside a control record, decoded item by item.
#[derive(Clone, Copy)]
pub struct List<'a, T> {
    bytes: &'a [u8],
    item_bytes: usize,
    read: fn(&[u8]) -> T,
}

impl<'a, T> List<'a, T> {
    /// The items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(self.item_bytes).map(self.read)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.item_bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A control record, borrowed from its bytes.
#[derive(Clone, Copy, Debug)]
pub enum ControlRecord<'a> {
    /// Home shard: this topic exists, with this payload of the server's.
    TopicPut {
        /// Its incarnation.
        topic: TopicId,
        /// Its name.
        name: &'a str,
        /// What the server keeps of it; opaque here.
        payload: &'a [u8],
    },
    /// Home shard: this incarnation exists no more.
    TopicDelete {
        /// The incarnation.
        topic: TopicId,
    },
    /// Home shard: this group exists, with this payload of the server's.
    GroupPut {
        /// Its name.
        name: &'a str,
        /// What the server keeps of it.
        payload: &'a [u8],
    },
    /// Home shard: this group exists no more.
    GroupDelete {
        /// Its name.
        name: &'a str,
    },
    /// The group of this name has this number in this shard.
    GroupBind {
        /// The number, never bound before.
        group: GroupNumber,
        /// The name.
        name: &'a str,
    },
    /// This queue has this number in this shard.
    QueueBind {
        /// The number, never bound before.
        queue: QueueNumber,
        /// The topic's incarnation.
        topic: TopicId,
        /// The queue's id in the topic.
        queue_id: u32,
    },
    /// This queue exists no more; its number is not used again.
    QueueDelete {
        /// The queue.
        queue: QueueNumber,
    },
    /// Offsets that groups have committed.
    OffsetCommits(List<'a, OffsetCommit>),
    /// Home shard: every topic id below this one has been issued.
    NextTopicId {
        /// The next id.
        next: TopicId,
    },
    /// All offsets of this group in this shard are gone.
    OffsetsForget {
        /// The group.
        group: GroupNumber,
    },
    /// A run of the broker begins.
    RunStart(RunStart),
    /// Queues whose minimum offset has moved: records before it have been retired.
    QueueMinimums(List<'a, QueueMinimum>),
}

impl<'a> ControlRecord<'a> {
    /// Decodes the bytes of one record of queue number 0.
    ///
    /// # Errors
    /// What is wrong with them. A known checksum and a decode error together mean a newer writer or
    /// a defect, never damage.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ControlFault> {
        let prefix = bytes.get(..PREFIX_BYTES).ok_or(ControlFault::Short)?;
        let (kind, version) = (prefix[0], prefix[1]);
        let mut rest = Fields(&bytes[PREFIX_BYTES..]);
        if version != VERSION || get_u16(prefix, 2) != 0 || !(1..=12).contains(&kind) {
            return Err(ControlFault::Unknown { kind, version });
        }
        let record = rest.record(kind)?;
        if rest.0.is_empty() {
            Ok(record)
        } else {
            Err(ControlFault::Trailing { kind })
        }
    }

    /// Length in bytes once encoded.
    pub fn encoded_len(&self) -> usize {
        PREFIX_BYTES
            + match self {
                Self::TopicPut { name, payload, .. } => 8 + text_len(name) + 4 + payload.len(),
                Self::TopicDelete { .. } | Self::NextTopicId { .. } => 8,
                Self::GroupPut { name, payload } => text_len(name) + 4 + payload.len(),
                Self::GroupDelete { name } => text_len(name),
                Self::GroupBind { name, .. } => 4 + text_len(name),
                Self::QueueBind { .. } => 4 + 8 + 4,
                Self::QueueDelete { .. } | Self::OffsetsForget { .. } => 4,
                Self::OffsetCommits(list) => 4 + list.bytes.len(),
                Self::RunStart(_) => 8 + 8 + 8 + 8 + 4,
                Self::QueueMinimums(list) => 4 + list.bytes.len(),
            }
    }

    /// Encodes into exactly [`ControlRecord::encoded_len`] bytes.
    ///
    /// # Errors
    /// A name or payload above its bound; nothing useful has been written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<(), ControlFault> {
        let kind = self.kind();
        self.check_bounds()?;
        let mut out = Out(out);
        out.put(&[kind, VERSION, 0, 0]);
        match *self {
            Self::TopicPut {
                topic,
                name,
                payload,
            } => {
                out.u64(topic.0);
                out.text(name);
                out.blob(payload);
            }
            Self::TopicDelete { topic } => out.u64(topic.0),
            Self::GroupPut { name, payload } => {
                out.text(name);
                out.blob(payload);
            }
            Self::GroupDelete { name } => out.text(name),
            Self::GroupBind { group, name } => {
                out.u32(group.0);
                out.text(name);
            }
            Self::QueueBind {
                queue,
                topic,
                queue_id,
            } => {
                out.u32(queue.0);
                out.u64(topic.0);
                out.u32(queue_id);
            }
            Self::QueueDelete { queue } => out.u32(queue.0),
            Self::OffsetsForget { group } => out.u32(group.0),
            Self::OffsetCommits(list) => out.blob(list.bytes),
            Self::NextTopicId { next } => out.u64(next.0),
            Self::RunStart(run) => out.run_start(&run),
            Self::QueueMinimums(list) => out.blob(list.bytes),
        }
        Ok(())
    }

    fn kind(&self) -> u8 {
        match self {
            Self::TopicPut { .. } => kind::TOPIC_PUT,
            Self::TopicDelete { .. } => kind::TOPIC_DELETE,
            Self::GroupPut { .. } => kind::GROUP_PUT,
            Self::GroupDelete { .. } => kind::GROUP_DELETE,
            Self::GroupBind { .. } => kind::GROUP_BIND,
            Self::QueueBind { .. } => kind::QUEUE_BIND,
            Self::QueueDelete { .. } => kind::QUEUE_DELETE,
            Self::OffsetCommits(_) => kind::OFFSET_COMMITS,
            Self::NextTopicId { .. } => kind::NEXT_TOPIC_ID,
            Self::RunStart(_) => kind::RUN_START,
            Self::QueueMinimums(_) => kind::QUEUE_MINIMUMS,
            Self::OffsetsForget { .. } => kind::OFFSETS_FORGET,
        }
    }

    fn check_bounds(&self) -> Result<(), ControlFault> {
        match *self {
            Self::TopicPut { name, payload, .. } | Self::GroupPut { name, payload } => {
                check_name(name, self.kind())?;
                check_bound(payload.len(), PAYLOAD_BYTES_MAX, self.kind())
            }
            Self::GroupDelete { name } | Self::GroupBind { name, .. } => {
                check_name(name, self.kind())
            }
            Self::OffsetCommits(list) => check_bound(list.len(), OFFSETS_MAX, self.kind()),
            Self::QueueMinimums(list) => check_bound(list.len(), OFFSETS_MAX, self.kind()),
            _ => Ok(()),
        }
    }
}

/// Lays out offset commits for [`ControlRecord::OffsetCommits`] in `scratch`, which it empties
/// first. At most [`OFFSETS_MAX`] of them.
pub fn offset_list<'a>(
    commits: impl IntoIterator<Item = OffsetCommit>,
    scratch: &'a mut Vec<u8>,
) -> ControlRecord<'a> {
    scratch.clear();
    for commit in commits.into_iter().take(OFFSETS_MAX) {
        scratch.extend_from_slice(&commit.group.0.to_le_bytes());
        scratch.extend_from_slice(&commit.queue.0.to_le_bytes());
        scratch.extend_from_slice(&commit.offset.to_le_bytes());
    }
    ControlRecord::OffsetCommits(offsets_of(scratch))
}

/// Lays out minimum offsets for [`ControlRecord::QueueMinimums`] in `scratch`, which it empties
/// first. At most [`OFFSETS_MAX`] of them.
pub fn minimum_list<'a>(
    minimums: impl IntoIterator<Item = QueueMinimum>,
    scratch: &'a mut Vec<u8>,
) -> ControlRecord<'a> {
    scratch.clear();
    for minimum in minimums.into_iter().take(OFFSETS_MAX) {
        scratch.extend_from_slice(&minimum.queue.0.to_le_bytes());
        scratch.extend_from_slice(&minimum.offset.to_le_bytes());
    }
    ControlRecord::QueueMinimums(minimums_of(scratch))
}

fn offsets_of(bytes: &[u8]) -> List<'_, OffsetCommit> {
    let read = |item: &[u8]| OffsetCommit {
        group: GroupNumber(get_u32(item, 0)),
        queue: QueueNumber(get_u32(item, 4)),
        offset: get_u64(item, 8),
    };
    List {
        bytes,
        item_bytes: OFFSET_BYTES,
        read,
    }
}

fn minimums_of(bytes: &[u8]) -> List<'_, QueueMinimum> {
    let read = |item: &[u8]| QueueMinimum {
        queue: QueueNumber(get_u32(item, 0)),
        offset: get_u64(item, 4),
    };
    List {
        bytes,
        item_bytes: MINIMUM_BYTES,
        read,
    }
}

fn text_len(text: &str) -> usize {
    2 + text.len()
}

fn check_name(name: &str, kind: u8) -> Result<(), ControlFault> {
    check_bound(name.len(), NAME_BYTES_MAX, kind)
}

fn check_bound(len: usize, max: usize, kind: u8) -> Result<(), ControlFault> {
    if len <= max {
        Ok(())
    } else {
        Err(ControlFault::Bound { kind, max })
    }
}

/// Why a control record cannot be decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ControlFault {
    /// The record ends inside a field.
    #[error("a control record ends inside a field")]
    Short,
    /// Bytes after the last field.
    #[error("a control record of kind {kind} has bytes after its last field")]
    Trailing {
        /// Its kind.
        kind: u8,
    },
    /// Written by a newer RingMQ.
    #[error(
        "control record kind {kind} version {version} is not known to this build: use a newer one"
    )]
    Unknown {
        /// The kind found.
        kind: u8,
        /// The version found.
        version: u8,
    },
    /// A name, payload or list above its bound.
    #[error("a field of control record kind {kind} is above its bound of {max}")]
    Bound {
        /// The kind.
        kind: u8,
        /// The bound, in bytes or items.
        max: usize,
    },
    /// A name that is not UTF-8, or a list that is not whole items.
    #[error("a field of control record kind {kind} is malformed")]
    Malformed {
        /// The kind.
        kind: u8,
    },
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn record(&mut self, kind: u8) -> Result<ControlRecord<'a>, ControlFault> {
        Ok(match kind {
            kind::TOPIC_PUT => ControlRecord::TopicPut {
                topic: TopicId(self.u64()?),
                name: self.name(kind)?,
                payload: self.blob(PAYLOAD_BYTES_MAX, kind)?,
            },
            kind::TOPIC_DELETE => ControlRecord::TopicDelete {
                topic: TopicId(self.u64()?),
            },
            kind::GROUP_PUT => ControlRecord::GroupPut {
                name: self.name(kind)?,
                payload: self.blob(PAYLOAD_BYTES_MAX, kind)?,
            },
            kind::GROUP_DELETE => ControlRecord::GroupDelete {
                name: self.name(kind)?,
            },
            kind::GROUP_BIND => ControlRecord::GroupBind {
                group: GroupNumber(self.u32()?),
                name: self.name(kind)?,
            },
            kind::QUEUE_BIND => ControlRecord::QueueBind {
                queue: QueueNumber(self.u32()?),
                topic: TopicId(self.u64()?),
                queue_id: self.u32()?,
            },
            kind::QUEUE_DELETE => ControlRecord::QueueDelete {
                queue: QueueNumber(self.u32()?),
            },
            kind::OFFSET_COMMITS => {
                ControlRecord::OffsetCommits(offsets_of(self.list(OFFSET_BYTES, kind)?))
            }
            kind::NEXT_TOPIC_ID => ControlRecord::NextTopicId {
                next: TopicId(self.u64()?),
            },
            kind::OFFSETS_FORGET => ControlRecord::OffsetsForget {
                group: GroupNumber(self.u32()?),
            },
            kind::RUN_START => ControlRecord::RunStart(self.run_start()?),
            kind::QUEUE_MINIMUMS => {
                ControlRecord::QueueMinimums(minimums_of(self.list(MINIMUM_BYTES, kind)?))
            }
            _ => {
                return Err(ControlFault::Unknown {
                    kind,
                    version: VERSION,
                });
            }
        })
    }

    fn run_start(&mut self) -> Result<RunStart, ControlFault> {
        Ok(RunStart {
            epoch: self.u64()?,
            first: LogOffset(self.u64()?),
            cut: LogOffset(self.u64()?),
            first_sequence: self.u64()?,
            previous_checksum: self.u32()?,
        })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ControlFault> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(ControlFault::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, ControlFault> {
        self.take(4).map(|bytes| get_u32(bytes, 0))
    }

    fn u64(&mut self) -> Result<u64, ControlFault> {
        self.take(8).map(|bytes| get_u64(bytes, 0))
    }

    fn name(&mut self, kind: u8) -> Result<&'a str, ControlFault> {
        let len = usize::from(self.take(2).map(|bytes| get_u16(bytes, 0))?);
        check_bound(len, NAME_BYTES_MAX, kind)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| ControlFault::Malformed { kind })
    }

    fn blob(&mut self, max: usize, kind: u8) -> Result<&'a [u8], ControlFault> {
        let len = self.u32()? as usize;
        check_bound(len, max, kind)?;
        self.take(len)
    }

    fn list(&mut self, item_bytes: usize, kind: u8) -> Result<&'a [u8], ControlFault> {
        let bytes = self.blob(OFFSETS_MAX * item_bytes, kind)?;
        if bytes.len() % item_bytes == 0 {
            Ok(bytes)
        } else {
            Err(ControlFault::Malformed { kind })
        }
    }
}

/// Fills a slice of exactly the encoded length from front to back.
struct Out<'a>(&'a mut [u8]);

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (head, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.0 = rest;
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.put(&(text.len() as u16).to_le_bytes());
        self.put(text.as_bytes());
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.put(bytes);
    }

    fn run_start(&mut self, run: &RunStart) {
        self.u64(run.epoch);
        self.u64(run.first.0);
        self.u64(run.cut.0);
        self.u64(run.first_sequence);
        self.u32(run.previous_checksum);
    }
}

#[cfg(test)]
mod tests;

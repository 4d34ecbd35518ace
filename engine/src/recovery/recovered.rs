//! What recovery hands to the shard, and what it tells the operator.

use std::fmt;

use crate::control_record::RunStart;
use crate::manifest::Manifest;
use crate::queue::ActiveIndex;
use crate::state::{Counters, GroupNameRow, GroupRow, OffsetRow, QueueRow, TopicRow};
use crate::types::{LogOffset, SegmentNumber, ShardIndex};

/// A recovered shard. Its manifest already names the new run, durably; all files are locked.
#[derive(Debug)]
pub struct Recovered<F> {
    /// Which shard.
    pub shard: ShardIndex,
    /// The manifest as it is on disk now.
    pub manifest: Manifest,
    /// Sequence number of the manifest slot written last; the next write takes the one after it.
    pub manifest_sequence: u64,
    /// The manifest file, locked.
    pub manifest_file: F,
    /// Sequence number of the witness slot written last.
    pub witness_sequence: u64,
    /// The witness file, locked.
    pub witness_file: F,
    /// Every segment of the log, oldest first, without gaps.
    pub segments: Vec<RecoveredSegment<F>>,
    /// Segment files older than the manifest's oldest: their retirement was cut short. They may be
    /// recycled at once.
    pub retired: Vec<SegmentNumber>,
    /// Spare files (`spare-<n>.log`) found, whether or not the manifest calls them prepared.
    pub spares: Vec<u32>,
    /// Topics, groups, queues and offsets as of the end of the log.
    pub state: ShardState,
    /// The indexes of the segments that have no index segment on disk, oldest first. Empty ones
    /// (segments without a record) are there too.
    pub indexes: Vec<ActiveIndex>,
    /// Where and how the log goes on.
    pub head: LogHead,
    /// What the first block of this run must begin with, as a control record.
    pub run: RunStart,
    /// The number of the next state file.
    pub next_generation: u64,
    /// What happened, for the log and the metrics.
    pub report: RecoveryReport,
}

/// Where and how the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// This run. Every block of it carries this.
    pub epoch: u64,
    /// Where its first block begins.
    pub next: LogOffset,
    /// Whether `next` is the start of a segment that must be prepared first. After a clean stop it is
    /// not, and the log goes on in its last segment.
    pub fresh_segment: bool,
    /// The number of its first block.
    pub next_sequence: u64,
    /// What its first block carries as the checksum of the block before it.
    pub previous_checksum: u32,
    /// W: everything that was accepted is durable now. Ends where the accepted log ends.
    pub durable: LogOffset,
    /// Store time of the newest record, in milliseconds; the next is not earlier. 0 without any.
    pub last_store_ms: i64,
    /// Sends are refused and reads served until the operator has decided about damage that cannot
    /// be attributed to queues.
    pub read_only: bool,
}

/// One segment of the log.
#[derive(Debug)]
pub struct RecoveredSegment<F> {
    /// Its number.
    pub number: SegmentNumber,
    /// The file, open and locked, when recovery had to read it; else it is opened when needed.
    pub file: Option<F>,
    /// Bytes from its start that belong to the log; `None` where recovery had no need to read it.
    pub used: Option<u64>,
}

/// Tables of the shard's control state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    /// Queues, by number.
    pub queues: Vec<QueueRow>,
    /// Names of the groups that have committed offsets here, by number.
    pub group_names: Vec<GroupNameRow>,
    /// Committed offsets, by queue, then group. Never above the queue's next offset.
    pub offsets: Vec<OffsetRow>,
    /// Home shard: topics, by id.
    pub topics: Vec<TopicRow>,
    /// Home shard: groups, by name.
    pub groups: Vec<GroupRow>,
    /// The next numbers to be given.
    pub counters: Counters,
}

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Where the scan began.
    pub scan_start: LogOffset,
    /// The end of the accepted log.
    pub scan_end: LogOffset,
    /// Bytes read from the log.
    pub bytes_read: u64,
    /// Blocks accepted.
    pub blocks: u64,
    /// Records in them, control records included.
    pub records: u64,
    /// Whether the log ended with a clean stop.
    pub clean: bool,
    /// Damage below W: quarantined, everything around it is served.
    pub damage: Vec<Damage>,
    /// What was set aside at the end of the log.
    pub tail: Option<TornTail>,
    /// Things to be told that changed nothing: files that do not belong here, a bad older copy.
    pub warnings: Vec<String>,
}

/// One damaged part of the log, below W.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// First byte.
    pub from: LogOffset,
    /// The position after it.
    pub to: LogOffset,
    /// What is left of it.
    pub kind: DamageKind,
}

/// What is left of a damaged part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// One block whose extent is known.
    Block {
        /// Records that cannot be read.
        lost: u32,
        /// Records that can.
        readable: u32,
        /// Lost ones whose queue is not known.
        unattributed: u32,
    },
    /// Neither header nor trailer of a block can be read: how many records are lost is not known.
    Unreadable,
}

/// What was set aside at the end of the log; it stays where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The end of the accepted log.
    pub from: LogOffset,
    /// Whole blocks found behind the first bad one.
    pub blocks: u64,
    /// The position after the last of them; `from` when there is none.
    pub to: LogOffset,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "torn tail set aside at {:#x}: {} whole blocks up to {:#x} behind the first bad one; \
             may include records acknowledged since the last witness",
            self.from.0, self.blocks, self.to.0
        )
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damage from {:#x} to {:#x}: ", self.from.0, self.to.0)?;
        match self.kind {
            DamageKind::Block {
                lost,
                readable,
                unattributed,
            } => write!(
                f,
                "{lost} records lost ({unattributed} of unknown queues), {readable} still readable"
            ),
            DamageKind::Unreadable => f.write_str("what it held is not known"),
        }
    }
}

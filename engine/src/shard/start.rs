//! A shard from what recovery found.

use std::io;
use std::sync::Arc;

use ringmq_ring::{Io, Moment};

use crate::block::LogIdentity;
use crate::config::{Config, Durability};
use crate::control::link::{Request, ShardLink};
use crate::control_record::{ControlRecord, RunStart};
use crate::hash::Seed;
use crate::index::{Damage, IndexSet, OpenSegment};
use crate::limits::{INDEX_CACHE_PAGES, WAITERS_MAX};
use crate::log::retention::{Policy, Retention};
use crate::log::segment_set::{Segment, SegmentSet};
use crate::log::{CommitLog, LogStart};
use crate::manifest::{BlockMark, Manifest};
use crate::queue::ActiveIndex;
use crate::queue::offsets::GroupOffsets;
use crate::queue::table::{Queue, Queues};
use crate::recovery::{LogHead, ShardState};
use crate::tickets::Events;
use crate::types::{SegmentNumber, ShardIndex, TopicId};
use crate::waiters::Waiters;

use super::cold::Cold;
use super::home::Home;
use super::keeper::Keeper;
use super::{Phase, Shard};
use crate::metrics::Counters;

/// What of the configuration a shard goes by.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// When records are acknowledged.
    pub durability: Durability,
    /// Commit blocks in flight at once.
    pub blocks_in_flight: usize,
    /// Longest commit block gathered from several appends.
    pub block_bytes: usize,
    /// Memory for written blocks.
    pub hot_tail_bytes: usize,
    /// Memory for cold reads.
    pub cold_bytes: usize,
    /// Log bytes after which a checkpoint is due, at least.
    pub checkpoint_bytes: u64,
    /// How long records are kept.
    pub retention: Policy,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            durability: config.durability,
            blocks_in_flight: config.blocks_in_flight,
            block_bytes: config.block_bytes,
            hot_tail_bytes: config.hot_tail_bytes,
            cold_bytes: config.cold_bytes,
            checkpoint_bytes: config.checkpoint_bytes,
            retention: config.retention,
        }
    }
}

/// A log segment as the control plane hands it over.
#[derive(Debug)]
pub struct StartSegment<F> {
    /// Its number.
    pub number: SegmentNumber,
    /// Its file, locked.
    pub file: F,
    /// Bytes from its start that belong to the log.
    pub used: u64,
    /// Store time of its newest record, when known.
    pub last_store_ms: Option<i64>,
    /// Its index segment is on disk.
    pub indexed: bool,
}

/// Everything a shard begins with; made by the control plane, moved to the shard's thread.
#[derive(Debug)]
pub struct ShardStart<F> {
    /// Which shard.
    pub shard: ShardIndex,
    /// What it goes by.
    pub settings: Settings,
    /// What its blocks carry.
    pub identity: LogIdentity,
    /// Seeds its tables.
    pub seed: u64,
    /// Where the log goes on.
    pub head: LogHead,
    /// What the first block of this run must begin with.
    pub run: RunStart,
    /// Segments with blocks, oldest first.
    pub segments: Vec<StartSegment<F>>,
    /// Segments that the manifest has left behind; their files are still there.
    pub retired: Vec<SegmentNumber>,
    /// Indexes of the segments that have no index segment on disk, oldest first.
    pub indexes: Vec<ActiveIndex>,
    /// Open index segments, oldest first.
    pub index_segments: Vec<OpenSegment<F>>,
    /// Queues, offsets, topics, groups.
    pub state: ShardState,
    /// Topics that exist no more: their queues are forgotten once the run has begun.
    pub dead_topics: Vec<TopicId>,
    /// The number of the next state file.
    pub next_generation: u64,
    /// The manifest as it is on disk.
    pub manifest: Manifest,
    /// Sequence number of its newest slot.
    pub manifest_sequence: u64,
    /// Its file.
    pub manifest_file: F,
    /// Sequence number of the newest witness slot.
    pub witness_sequence: u64,
    /// The witness file.
    pub witness_file: F,
    /// The way to the control plane.
    pub link: ShardLink<F>,
}

impl<I: Io> Shard<I> {
    /// Takes over what was recovered. The first block of the run will begin with the record that says how
    /// the run joins the one before.
    ///
    /// # Errors
    /// When the ring cannot adopt a file.
    pub fn new(start: ShardStart<I::File>, io: &mut I) -> io::Result<Self> {
        let seed = Seed(start.seed);
        let mut segments = SegmentSet::new(start.identity.segment_bytes);
        for segment in start.segments {
            segments.push_kept(Segment {
                last_store_ms: segment.last_store_ms,
                indexed: segment.indexed,
                used: segment.used,
                ..Segment::prepared(segment.number, io.adopt_file(segment.file)?, segments.size)
            });
        }
        let mut indexes = IndexSet::new(INDEX_CACHE_PAGES);
        for index in start.index_segments {
            let file = io.adopt_file(index.file)?;
            indexes.insert(OpenSegment::new(index.header, file));
        }
        let manifest_file = io.adopt_file(start.manifest_file)?;
        let witness_file = io.adopt_file(start.witness_file)?;
        let head = start.head;
        let newest = indexes.newest();
        let (late, recent): (Vec<_>, Vec<_>) = start
            .indexes
            .into_iter()
            .partition(|index| Some(index.segment()) < newest);
        let log_start = log_start(start.identity, &head, recent);
        let keeper = Keeper::new(
            start.run,
            start.next_generation,
            (start.manifest, start.manifest_sequence, manifest_file),
            (start.witness_sequence, witness_file),
        );
        let mut shard = Self {
            index: start.shard,
            settings: start.settings,
            log: CommitLog::new(log_start, segments, &start.settings),
            queues: Queues::new(seed, start.state.counters.next_queue.0),
            offsets: GroupOffsets::new(seed, start.state.counters.next_group.0),
            home: Home::new(start.state.counters.next_topic),
            waiters: Waiters::new(seed, WAITERS_MAX),
            cold: Cold::new(start.settings.cold_bytes),
            indexes,
            keeper,
            link: start.link,
            events: Events::default(),
            now: Moment::default(),
            phase: Phase::Running,
            read_only: head.read_only,
            counters: Counters::default(),
            retention: Retention::new(start.settings.retention),
            dead_topics: start.dead_topics,
            woken: Vec::new(),
            failure: None,
            scratch: Vec::new(),
        };
        shard.restore(start.state);
        shard.observe(io.now());
        shard.keeper.nothing_to_witness(head.durable);
        if !head.fresh_segment {
            let active = shard.log.active.segment();
            shard.link.ask(Request::Active(active));
        }
        for segment in start.retired {
            shard.link.ask(Request::Recycle(segment));
        }
        shard.write_again(late);
        Ok(shard)
    }

    /// Indexes of segments below those that have their index segments. Memory is searched from the top
    /// down, so they cannot be served from there: their queues are busy until they are written.
    fn write_again(&mut self, late: Vec<ActiveIndex>) {
        for index in late {
            self.indexes.mark_damaged(Damage {
                segment: index.segment(),
                page: 0,
                reason: "it was missing at the start",
            });
            self.link.ask(Request::WriteIndex(Arc::new(index)));
        }
    }

    fn restore(&mut self, state: ShardState) {
        for row in state.queues {
            let queue = Queue {
                topic: row.topic,
                queue_id: row.queue_id,
                min: row.min,
                logged_min: row.min,
                visible: row.next,
                next: row.next,
                newest: row.newest_segment,
                slot: 0,
                slot_segment: None,
            };
            self.queues.restore(row.queue, queue);
        }
        for row in state.group_names {
            self.offsets.restore_group(row.group, &row.name);
        }
        for row in state.offsets {
            self.offsets.restore(row.group, row.queue, row.offset);
        }
        for row in state.topics {
            self.home.restore_topic(row.topic, row.name, row.payload);
        }
        for row in state.groups {
            self.home.restore_group(row.name, row.payload);
        }
    }

    /// Appends the record with which a run begins, once there is a segment to append to.
    pub(super) fn begin_run(&mut self) {
        if self.read_only {
            return;
        }
        if let Some(run) = self.keeper.run_to_begin() {
            let record = ControlRecord::RunStart(run);
            if self.control(&record).is_ok() {
                self.keeper.run_begun();
                for topic in std::mem::take(&mut self.dead_topics) {
                    self.drop_topic_queues(topic);
                }
            }
        }
    }
}

/// Indexes of full segments are frozen; that of the segment which is gone on in stays active.
fn log_start(identity: LogIdentity, head: &LogHead, mut indexes: Vec<ActiveIndex>) -> LogStart {
    let size = identity.segment_bytes;
    let (segment, _) = head.next.split(size);
    let resume = !head.fresh_segment;
    let active = match indexes.last() {
        Some(last) if resume && last.segment() == segment => indexes.pop(),
        _ => None,
    };
    let frozen = indexes
        .into_iter()
        .filter(|index| index.segment() < segment);
    LogStart {
        identity,
        epoch: head.epoch,
        durable: BlockMark {
            end: head.durable,
            next_sequence: head.next_sequence,
            checksum: head.previous_checksum,
        },
        next: head.next,
        resume,
        last_store_ms: head.last_store_ms,
        active: active.unwrap_or_else(|| ActiveIndex::new(segment)),
        frozen: frozen.map(Arc::new).collect(),
    }
}

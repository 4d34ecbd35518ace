//! Writes logs as the engine would, on the simulator's disk, and recovers them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ringmq_protocol::RecordParts;
use ringmq_protocol::record::Stamp;
use ringmq_ring::sim::{Faults, SimDisk, SimFile, World};
use ringmq_ring::{AlignedBuf, Disk, OpenMode};

use crate::block::{BlockBuilder, LogIdentity, SealFields};
use crate::control_record::{ControlRecord, OffsetCommit, offset_list};
use crate::manifest::{BlockMark, Manifest, StateGeneration};
use crate::recovery::{Recovered, RecoveryError, ShardFolder, create_shard, open_shard, recover};
use crate::state::{GroupNameRow, OffsetRow, QueueRow, StateWriter, TopicRow};
use crate::types::{GroupNumber, LogOffset, QueueNumber, SegmentNumber, ShardIndex, TopicId};
use crate::witness::Witness;

pub const SEGMENT_BYTES: u64 = 65536;

pub fn identity() -> LogIdentity {
    LogIdentity::new([3; 16], &[4; 16], ShardIndex(0), SEGMENT_BYTES)
}

pub fn folder() -> ShardFolder {
    ShardFolder {
        identity: identity(),
        path: PathBuf::from("/data/shard-00"),
        lock_wait: Duration::from_secs(30),
    }
}

/// A record of a queue, or a control record.
pub enum What<'a> {
    Message(u32),
    Control(ControlRecord<'a>),
}

/// A log in the making. What it writes is at rest; faults are done to it there.
pub struct LogBuilder {
    pub world: World,
    pub head: BlockMark,
    pub epoch: u64,
    /// What the next block carries as W.
    pub durable: LogOffset,
    pub next: BTreeMap<u32, u64>,
    /// Extent of every block, oldest first.
    pub blocks: Vec<(LogOffset, LogOffset)>,
    pub clock_ms: i64,
}

impl LogBuilder {
    /// A new shard.
    pub fn new(seed: u64) -> Self {
        Self::with_faults(seed, Faults::default())
    }

    pub fn with_faults(seed: u64, faults: Faults) -> Self {
        let world = World::new(seed, Faults::default());
        let process = world.process();
        let disk = world.disk(process);
        world
            .block_on(process, async move {
                create_shard(&disk, &folder()).await.unwrap();
                disk.sync_dir(Path::new("/data")).await?;
                disk.sync_dir(Path::new("/")).await
            })
            .unwrap();
        world.set_faults(faults);
        Self {
            world,
            head: BlockMark::default(),
            epoch: 1,
            durable: LogOffset(0),
            next: BTreeMap::new(),
            blocks: Vec::new(),
            clock_ms: 1_000,
        }
    }

    /// Takes up the run that recovery has begun: its first block is written.
    pub fn begin_run<F>(&mut self, recovered: &Recovered<F>) {
        self.epoch = recovered.head.epoch;
        self.durable = recovered.head.durable;
        self.head = BlockMark {
            end: recovered.head.next,
            next_sequence: recovered.head.next_sequence,
            checksum: recovered.head.previous_checksum,
        };
        self.next = recovered
            .state
            .queues
            .iter()
            .map(|row| (row.queue.0, row.next))
            .collect();
        self.block(&[What::Control(ControlRecord::RunStart(recovered.run))]);
    }

    /// Recovers, begins a run and binds `queues` queues.
    pub fn start(queues: u32) -> Self {
        let mut log = Self::new(1);
        let recovered = log.recover().unwrap();
        log.begin_run(&recovered);
        drop(recovered);
        let binds: Vec<What<'_>> = (1..=queues).map(bind).collect();
        log.block(&binds);
        log
    }

    /// One block with one message per queue named, everything before it durable.
    pub fn messages(&mut self, queues: &[u32]) {
        let records: Vec<What<'_>> = queues.iter().map(|queue| What::Message(*queue)).collect();
        self.block(&records);
    }

    /// One block. W follows: once it is written, the next block says that it is durable.
    pub fn block(&mut self, records: &[What<'_>]) {
        let (at, bytes) = self.seal(records);
        self.write_at(at, &bytes);
        self.durable = self.head.end;
    }

    /// Seals a block without writing it; the log goes on behind it.
    pub fn seal(&mut self, records: &[What<'_>]) -> (LogOffset, Vec<u8>) {
        let len = self.encoded_len(records);
        if SEGMENT_BYTES - self.head.end.0 % SEGMENT_BYTES < len {
            self.roll();
        }
        let at = self.head.end;
        let mut builder = BlockBuilder::new(SEGMENT_BYTES as usize);
        builder.use_buffer(AlignedBuf::zeroed(SEGMENT_BYTES as usize));
        for record in records {
            self.encode(at, record, &mut builder);
        }
        let fields = SealFields {
            at,
            sequence: self.head.next_sequence,
            epoch: self.epoch,
            durable: self.durable,
            previous_checksum: self.head.checksum,
        };
        let sealed = builder.seal(&identity(), &fields).unwrap();
        self.head = BlockMark {
            end: at.plus(sealed.buffer.len() as u64),
            next_sequence: fields.sequence + 1,
            checksum: sealed.checksum,
        };
        self.blocks.push((at, self.head.end));
        (at, sealed.buffer.to_vec())
    }

    /// The next block begins the next segment.
    pub fn roll(&mut self) {
        let segment = self.head.end.0 / SEGMENT_BYTES + 1;
        self.head.end = LogOffset(segment * SEGMENT_BYTES);
    }

    fn encoded_len(&self, records: &[What<'_>]) -> u64 {
        let lens = records.iter().map(|record| match record {
            What::Message(queue) => message(*queue).encoded_len(),
            What::Control(control) => control.encoded_len(),
        });
        crate::block::sealed_len(lens.sum(), records.len()) as u64
    }

    fn encode(&mut self, at: LogOffset, record: &What<'_>, builder: &mut BlockBuilder) {
        self.clock_ms += 1;
        match record {
            What::Control(control) => {
                let slot = builder.begin(control.encoded_len());
                control.encode(slot).unwrap();
                builder.commit(QueueNumber::CONTROL, self.clock_ms);
            }
            What::Message(queue) => {
                let next = self.next.entry(*queue).or_insert(0);
                let parts = message(*queue);
                let stamp = Stamp {
                    queue_offset: *next as i64,
                    physical_offset: at.plus(u64::from(builder.next_within_block())).0 as i64,
                    store_timestamp: self.clock_ms,
                };
                *next += 1;
                parts.encode_into(builder.begin(parts.encoded_len()), stamp);
                builder.commit(QueueNumber(*queue), self.clock_ms);
            }
        }
    }

    /// Writes bytes of the log at rest, making its file when it is not there.
    pub fn write_at(&self, at: LogOffset, bytes: &[u8]) {
        let path = folder().segment(SegmentNumber(at.0 / SEGMENT_BYTES));
        let within = (at.0 % SEGMENT_BYTES) as usize;
        let mut image = self
            .world
            .contents(&path)
            .unwrap_or_else(|_| vec![0; SEGMENT_BYTES as usize]);
        image[within..within + bytes.len()].copy_from_slice(bytes);
        self.put(&path, &image);
    }

    /// Puts a file at rest.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        if self.world.contents(path).is_err() {
            self.make(path.to_path_buf());
        }
        self.world.replace(path, bytes).unwrap();
    }

    fn make(&self, path: PathBuf) {
        let process = self.world.process();
        let disk = self.world.disk(process);
        self.world
            .block_on(process, async move {
                let parent = path.parent().unwrap().to_path_buf();
                let file = disk.open(&path, OpenMode::CreateNew).await?;
                disk.write_at(&file, 0, Bytes::from_owner(AlignedBuf::zeroed(4096)))
                    .await?;
                disk.flush(&file).await?;
                disk.sync_dir(&parent).await
            })
            .unwrap();
    }

    pub fn contents(&self, at: LogOffset) -> Vec<u8> {
        let path = folder().segment(SegmentNumber(at.0 / SEGMENT_BYTES));
        let image = self.world.contents(&path).unwrap();
        image[(at.0 % SEGMENT_BYTES) as usize..].to_vec()
    }

    pub fn flip(&self, at: LogOffset) {
        let path = folder().segment(SegmentNumber(at.0 / SEGMENT_BYTES));
        self.world.flip(&path, at.0 % SEGMENT_BYTES, 3).unwrap();
    }

    /// A witness at rest that says what the log's head is.
    pub fn witness(&self, clean: bool) {
        let witness = Witness {
            durable: self.head.end,
            epoch: self.epoch,
            next_sequence: self.head.next_sequence,
            checksum: self.head.checksum,
            clean,
        };
        let mut file = self.world.contents(&folder().witness()).unwrap();
        let newest = Witness::newest(&identity(), &file).unwrap();
        let sequence = newest.map_or(1, |found| found.0 + 1);
        let at = Witness::position(sequence) as usize;
        let slot = witness.encode(&identity(), sequence);
        file[at..at + slot.len()].copy_from_slice(&slot);
        self.put(&folder().witness(), &file);
    }

    /// Changes the manifest at rest.
    pub fn edit_manifest(&self, edit: impl FnOnce(&mut Manifest)) {
        let mut file = self.world.contents(&folder().manifest()).unwrap();
        let (sequence, mut manifest) = Manifest::newest(&identity(), &file).unwrap();
        edit(&mut manifest);
        let slot = manifest.encode(&identity(), sequence + 1).unwrap();
        let at = Manifest::position(sequence + 1) as usize;
        file[at..at + slot.len()].copy_from_slice(&slot);
        self.put(&folder().manifest(), &file);
    }

    /// Publishes a state file that reflects the log up to the head: `queues` queues as they stand.
    pub fn checkpoint(&self, generation: u64) {
        let mut writer = StateWriter::new(identity(), generation);
        let at = self.head.end;
        let queues = self.next.iter().map(|(queue, next)| QueueRow {
            queue: QueueNumber(*queue),
            topic: TopicId(7),
            queue_id: *queue,
            min: 0,
            next: *next,
            newest_segment: Some(SegmentNumber(at.0 / SEGMENT_BYTES)),
        });
        let name = GroupNameRow {
            group: GroupNumber(1),
            name: "group".into(),
        };
        let topic = TopicRow {
            topic: TopicId(7),
            name: "topic".into(),
            payload: vec![1, 2],
        };
        let offset = OffsetRow {
            queue: QueueNumber(1),
            group: GroupNumber(1),
            offset: 1,
        };
        let counters = crate::state::Counters::default();
        let chunks = [
            writer.counters(at, &counters),
            writer.queues(at, queues),
            writer.group_names(at, [name].into_iter()),
            writer.offsets(at, [offset].into_iter()),
            writer.topics(at, [topic].into_iter()),
            writer.groups(at, std::iter::empty()),
        ];
        let file: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| chunk.bytes.to_vec())
            .collect();
        self.put(&folder().state_file(generation), &file);
        let state = StateGeneration {
            generation,
            start: self.head,
            highest: writer.highest(),
            chunks: writer.chunks(),
            bytes: writer.bytes(),
        };
        self.edit_manifest(|manifest| {
            manifest.push_state(state);
        });
    }

    // Recovery ---------------------------------------------------------------------------------

    pub fn recover(&self) -> Result<Recovered<SimFile>, RecoveryError> {
        self.recover_with(Vec::new())
    }

    /// Recovers with these segments' index segments on disk.
    pub fn recover_with(
        &self,
        indexed: Vec<SegmentNumber>,
    ) -> Result<Recovered<SimFile>, RecoveryError> {
        let process = self.world.process();
        let disk = self.world.disk(process);
        self.world
            .block_on(process, async move { recover_on(&disk, &indexed).await })
    }
}

pub async fn recover_on(
    disk: &SimDisk,
    indexed: &[SegmentNumber],
) -> Result<Recovered<SimFile>, RecoveryError> {
    let files = open_shard(disk, &folder()).await?;
    recover(disk, &folder(), files, indexed).await
}

pub fn bind<'a>(queue: u32) -> What<'a> {
    What::Control(ControlRecord::QueueBind {
        queue: QueueNumber(queue),
        topic: TopicId(7),
        queue_id: queue,
    })
}

pub fn commit(queue: u32, offset: u64, scratch: &mut Vec<u8>) -> What<'_> {
    let commit = OffsetCommit {
        group: GroupNumber(1),
        queue: QueueNumber(queue),
        offset,
    };
    What::Control(offset_list([commit], scratch))
}

fn message(queue: u32) -> RecordParts<'static> {
    const BODY: [u8; 3000] = [0x42; 3000];
    let len = 100 + queue as usize * 331 % 2000;
    RecordParts {
        topic: "topic",
        queue_id: queue as i32,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 5,
        born_host: std::net::SocketAddr::from(([127, 0, 0, 1], 1)),
        store_host: std::net::SocketAddr::from(([127, 0, 0, 1], 2)),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: &BODY[..len],
        properties: &[b"TAGS\x01TagA\x02"],
    }
}

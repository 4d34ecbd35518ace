//! Recovery of a damaged shard: it never panics, it never indexes a record that fails its checksum,
//! and twice gives the same result. The input is a list of edits to a small shard:
//!
//! ```text
//! | kind u8 | place u16 | length u8 | bytes of an overwrite |
//! kind: which file in its upper nibble, what is done in its lower one
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringmq_engine::block::{BlockBuilder, LogIdentity, SealFields};
use ringmq_engine::manifest::BlockMark;
use ringmq_engine::recovery::{Recovered, ShardFolder, create_shard, open_shard, recover};
use ringmq_engine::types::{LogOffset, QueueNumber, SegmentNumber, ShardIndex};
use ringmq_protocol::RecordParts;
use ringmq_protocol::record::Stamp;
use ringmq_ring::sim::{Faults, SimFile, World};
use ringmq_ring::{ALIGNMENT, AlignedBuf, Disk, OpenMode};

const SEGMENT_BYTES: u64 = 32768;
const EDITS_MAX: usize = 64;

/// One input.
///
/// # Panics
/// When recovery breaks its word.
pub fn check(input: &[u8]) {
    let mut shard = Shard::new();
    shard.edit(input);
    let first = shard.recovered();
    let second = shard.recovered();
    assert_eq!(first, second, "recovering again changes the result");
}

/// What two recoveries must agree on: `None` when the shard is refused.
type Outcome = Option<(LogOffset, u64, BTreeMap<(u32, u64), u64>)>;

struct Shard {
    world: World,
    identity: LogIdentity,
    mark: BlockMark,
    epoch: u64,
}

/// A control record that says that the next topic id is 5.
const NEXT_TOPIC_ID: [u8; 12] = [9, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];

/// One edit of the input.
struct Edit<'a> {
    file: u8,
    action: u8,
    place: usize,
    len: usize,
    bytes: &'a [u8],
}

impl Shard {
    /// Two segments of small blocks, all of them durable by the word of the next.
    fn new() -> Self {
        let world = World::new(1, Faults::default());
        let mut shard = Self {
            world,
            identity: LogIdentity::new([3; 16], &[4; 16], ShardIndex(0), SEGMENT_BYTES),
            mark: BlockMark::default(),
            epoch: 1,
        };
        let folder = shard.folder();
        let process = shard.world.process();
        let disk = shard.world.disk(process);
        let made = shard.world.block_on(process, async move {
            create_shard(&disk, &folder).await.is_ok()
        });
        assert!(made, "a faultless disk takes a new shard");
        for number in 0..12 {
            let (first, second) = (message(1, number), message(2, number));
            shard.append(&[(1, &first), (2, &second), (0, &NEXT_TOPIC_ID)]);
        }
        shard
    }

    fn folder(&self) -> ShardFolder {
        ShardFolder {
            identity: self.identity,
            path: PathBuf::from("/shard"),
            lock_wait: Duration::ZERO,
        }
    }

    /// Writes one sealed block with these records at the end of the log.
    fn append(&mut self, records: &[(u32, &[u8])]) {
        let mut builder = BlockBuilder::new(SEGMENT_BYTES as usize);
        builder.use_buffer(AlignedBuf::zeroed(SEGMENT_BYTES as usize));
        for (queue, bytes) in records {
            if builder.room_for(bytes.len()) {
                builder.begin(bytes.len()).copy_from_slice(bytes);
                builder.commit(QueueNumber(*queue), 1000);
            }
        }
        let len = builder.sealed_len() as u64;
        if SEGMENT_BYTES - self.mark.end.0 % SEGMENT_BYTES < len {
            let segment = SegmentNumber(self.mark.end.0 / SEGMENT_BYTES + 1);
            self.mark.end = LogOffset::of_segment(segment, SEGMENT_BYTES);
        }
        let fields = SealFields {
            at: self.mark.end,
            sequence: self.mark.next_sequence,
            epoch: self.epoch,
            durable: self.mark.end,
            previous_checksum: self.mark.checksum,
        };
        if let Some(sealed) = builder.seal(&self.identity, &fields) {
            self.write(self.mark.end, &sealed.buffer);
            self.mark = BlockMark {
                end: self.mark.end.plus(len),
                next_sequence: fields.sequence + 1,
                checksum: sealed.checksum,
            };
        }
    }

    fn write(&self, at: LogOffset, bytes: &[u8]) {
        let (segment, within) = at.split(SEGMENT_BYTES);
        let path = self.folder().segment(segment);
        let mut image = self.world.contents(&path).unwrap_or_default();
        image.resize(SEGMENT_BYTES as usize, 0);
        let end = (within as usize + bytes.len()).min(image.len());
        image[within as usize..end].copy_from_slice(&bytes[..end - within as usize]);
        self.put(&path, &image);
    }

    fn put(&self, path: &Path, bytes: &[u8]) {
        if self.world.contents(path).is_err() {
            let process = self.world.process();
            let disk = self.world.disk(process);
            let path = path.to_path_buf();
            let made = self.world.block_on(process, async move {
                disk.open(&path, OpenMode::CreateNew).await.is_ok()
            });
            assert!(made, "a faultless disk takes a new file");
        }
        let replaced = self.world.replace(path, bytes);
        assert!(replaced.is_ok(), "the file is there");
    }

    // The input --------------------------------------------------------------------------------

    fn edit(&mut self, mut input: &[u8]) {
        for _ in 0..EDITS_MAX {
            let Some((edit, rest)) = Edit::read(input) else {
                break;
            };
            self.apply(&edit);
            input = rest;
        }
    }

    fn apply(&mut self, edit: &Edit<'_>) {
        if edit.action == 7 {
            // A whole and valid block with hostile records.
            let queue = u32::from(edit.file % 4);
            self.append(&[(queue, edit.bytes), (1, b"?")]);
            return;
        }
        let folder = self.folder();
        let path = match edit.file % 8 {
            0..=4 => folder.segment(SegmentNumber(u64::from(edit.file % 8) / 2)),
            5 => folder.manifest(),
            6 => folder.witness(),
            _ => folder.state_file(1),
        };
        let mut image = self.world.contents(&path).unwrap_or_default();
        edit.on(&mut image);
        self.put(&path, &image);
    }

    fn recovered(&self) -> Outcome {
        let process = self.world.process();
        let disk = self.world.disk(process);
        let folder = self.folder();
        let recovered = self.world.block_on(process, async move {
            let files = open_shard(&disk, &folder).await.ok()?;
            recover(&disk, &folder, files, &[]).await.ok()
        })?;
        Some((
            recovered.head.durable,
            recovered.head.next_sequence,
            self.verified(&recovered),
        ))
    }

    /// All entries, each of which must name the bytes that its checksum is of.
    fn verified(&self, recovered: &Recovered<SimFile>) -> BTreeMap<(u32, u64), u64> {
        let mut entries = BTreeMap::new();
        for index in &recovered.indexes {
            let path = self.folder().segment(index.segment());
            let image = self.world.contents(&path).unwrap_or_default();
            for slot in index.slots() {
                let Some(number) = index.slot_of(slot.queue) else {
                    continue;
                };
                let all = index.range(number, slot.first, usize::MAX);
                for (offset, entry) in (slot.first..)
                    .zip(all)
                    .filter(|(_, entry)| !entry.is_hole())
                {
                    let from = (entry.offset % SEGMENT_BYTES) as usize;
                    let bytes = image.get(from..from + entry.size as usize);
                    let crc = bytes.map(crc32c);
                    assert_eq!(
                        crc,
                        Some(entry.crc32c),
                        "an entry of bytes that fail their checksum"
                    );
                    entries.insert((slot.queue.0, offset), entry.offset);
                }
            }
        }
        entries
    }
}

impl<'a> Edit<'a> {
    fn read(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = input.split_at_checked(4)?;
        let wanted = usize::from(head[3]);
        let (bytes, rest) = rest.split_at(wanted.min(rest.len()));
        let edit = Edit {
            file: head[0] >> 4,
            action: head[0] & 7,
            place: usize::from(u16::from_le_bytes([head[1], head[2]])),
            len: wanted * 16,
            bytes,
        };
        Some((edit, rest))
    }

    fn on(&self, image: &mut Vec<u8>) {
        let place = self.place.min(image.len());
        let end = (place + self.len).min(image.len());
        match self.action {
            0 => image[place..end].fill(0),
            1 => image[place..end].iter_mut().for_each(|byte| *byte ^= 0x11),
            2 => {
                let end = (place + self.bytes.len()).min(image.len());
                image[place..end].copy_from_slice(&self.bytes[..end - place]);
            }
            3 => image.truncate(place / ALIGNMENT * ALIGNMENT),
            4 => image.resize(place.next_multiple_of(ALIGNMENT).max(image.len()), 0x5A),
            5 => {
                let from = (self.len * 8) % image.len().max(1);
                let count = ALIGNMENT.min(image.len() - from).min(image.len() - place);
                image.copy_within(from..from + count, place);
            }
            _ => {
                if let Some(byte) = image.get_mut(place) {
                    *byte ^= 1 << (self.len / 16 % 8);
                }
            }
        }
    }
}

fn message(queue: i32, offset: i64) -> Vec<u8> {
    let host = SocketAddr::from(([127, 0, 0, 1], 1));
    let parts = RecordParts {
        topic: "topic",
        queue_id: queue,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 5,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: &[0x42; 700],
        properties: &[b"TAGS\x01TagA\x02"],
    };
    let stamp = Stamp {
        queue_offset: offset,
        ..Stamp::default()
    };
    let mut bytes = vec![0; parts.encoded_len()];
    parts.encode_into(&mut bytes, stamp);
    bytes
}

/// Bitwise, so that the checker shares nothing with what it checks.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg())
        })
    })
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use ringmq_ring::sim::{Faults, World};
use ringmq_ring::{AlignedBuf, Disk};

use super::builder::footer_matches;
use super::page::checksum_of;
use super::row::Links;
use super::*;
use crate::block::{BlockBuilder, LogIdentity, SealFields};
use crate::control::index_files::{IndexError, IndexFiles};
use crate::control_record::RunStart;
use crate::queue::{ActiveIndex, BlockTime, Entry, TimeRange};
use crate::types::{LogOffset, QueueNumber, SegmentNumber, ShardIndex};
use ringmq_protocol::record::{RecordParts, Stamp};

const STORE: [u8; 16] = [0x5A; 16];
const SEGMENT_BYTES: u64 = 1 << 20;

fn identity(segment: u64) -> Identity {
    Identity {
        store_id: STORE,
        shard: ShardIndex(3),
        segment: SegmentNumber(segment),
    }
}

/// A folder of index segments in a world without faults.
struct Folder {
    world: World,
    files: IndexFiles<ringmq_ring::sim::SimDisk>,
    process: ringmq_ring::sim::Process,
}

impl Folder {
    fn new(seed: u64) -> Self {
        let world = World::new(seed, Faults::default());
        let process = world.process();
        let disk = world.disk(process);
        let files = IndexFiles::new(disk.clone(), PathBuf::from("index"), STORE, ShardIndex(3));
        world
            .block_on(process, async move {
                disk.create_dir_all(Path::new("index")).await?;
                disk.sync_dir(Path::new("")).await
            })
            .expect("a folder");
        Self {
            world,
            files,
            process,
        }
    }

    fn write(&self, index: ActiveIndex) -> Vec<u8> {
        let (files, segment) = (self.files.clone(), index.segment());
        self.world
            .block_on(self.process, async move {
                let open = files.write(&index, SegmentNumber(0)).await?;
                files.verify(&open).await
            })
            .expect("a written index segment");
        self.world
            .contents(&self.files.path(segment))
            .expect("its bytes")
    }
}

/// A set over bytes in memory.
type Set = IndexSet<Vec<u8>>;

fn open(bytes: Vec<u8>, segment: u64) -> Result<OpenSegment<Vec<u8>>, Damage> {
    let first = bytes.get(..PAGE_LEN).unwrap_or(&[]);
    let header = Header::open(first, bytes.len() as u64, identity(segment))?;
    Ok(OpenSegment::new(header, bytes))
}

fn bytes_of(set: &Set, read: PageRead) -> Vec<u8> {
    let file = set.file(read.segment).expect("reads go to open segments");
    let from = read.position() as usize;
    file[from..from + read.len()].to_vec()
}

/// Runs a lookup to its end, counting its reads.
fn find(
    set: &mut Set,
    queue: u32,
    offset: u64,
    max: usize,
    newest: Option<u64>,
    cursor: Option<Cursor>,
) -> (Outcome, Vec<PageRead>) {
    let newest = newest.map(SegmentNumber);
    let mut lookup = Lookup::new(set, QueueNumber(queue), offset, max, newest, cursor);
    let mut step = lookup.start(set);
    let mut reads = Vec::new();
    loop {
        match step {
            Step::Done(outcome) => return (outcome, reads),
            Step::Read(read) => {
                let bytes = bytes_of(set, read);
                reads.push(read);
                step = lookup.feed(set, &bytes);
            }
        }
    }
}

fn find_time(set: &mut Set, queue: u32, store_ms: i64, newest: Option<u64>) -> TimeOutcome {
    let newest = newest.map(SegmentNumber);
    let mut lookup = TimeLookup::new(QueueNumber(queue), store_ms, newest);
    let mut step = lookup.start(set);
    loop {
        match step {
            Step::Done(outcome) => return outcome,
            Step::Read(read) => {
                let bytes = bytes_of(set, read);
                step = lookup.feed(set, &bytes);
            }
        }
    }
}

fn find_block(set: &mut Set, segment: u64, position: u64) -> BlockOutcome {
    let mut lookup = BlockLookup::new(SegmentNumber(segment), LogOffset(position));
    let mut step = lookup.start(set);
    loop {
        match step {
            Step::Done(outcome) => return outcome,
            Step::Read(read) => {
                let bytes = bytes_of(set, read);
                step = lookup.feed(set, &bytes);
            }
        }
    }
}

/// What the index should know, and the writer's view of each queue.
#[derive(Default)]
struct Model {
    entries: BTreeMap<(u32, u64), (Entry, i64)>,
    next: BTreeMap<u32, u64>,
    newest: BTreeMap<u32, u64>,
    blocks: Vec<BlockTime>,
    position: u64,
    store_ms: i64,
}

impl Model {
    /// A segment of blocks, each a list of queue numbers, one record each. Store times advance by
    /// `tick` between blocks and by one inside every third block.
    fn segment(&mut self, segment: u64, blocks: &[Vec<u32>], tick: i64) -> ActiveIndex {
        let mut index = ActiveIndex::new(SegmentNumber(segment));
        self.position = segment * SEGMENT_BYTES;
        for (number, queues) in blocks.iter().enumerate() {
            self.store_ms += tick;
            let first_store_ms = self.store_ms;
            let start = LogOffset(self.position);
            let mut at = self.position + 128;
            for &queue in queues {
                if number % 3 == 0 {
                    self.store_ms += 1;
                }
                at += self.record(&mut index, segment, queue, at);
            }
            let block = BlockTime {
                start,
                len: 65536,
                records: queues.len() as u32,
                first_store_ms: if number % 3 == 0 && !queues.is_empty() {
                    first_store_ms + 1
                } else {
                    first_store_ms
                },
                last_store_ms: self.store_ms,
                sequence: self.blocks.len() as u64 + 1,
            };
            self.position += 65536;
            self.blocks.push(block);
            index.push_block(block);
        }
        index
    }

    fn record(&mut self, index: &mut ActiveIndex, segment: u64, queue: u32, at: u64) -> u64 {
        let offset = self.next.entry(queue).or_default();
        let previous = self
            .newest
            .get(&queue)
            .copied()
            .filter(|&newest| newest < segment);
        let slot = match index.slot_of(QueueNumber(queue)) {
            Some(slot) => slot,
            None => index.open_slot(QueueNumber(queue), *offset, previous.map(SegmentNumber)),
        };
        let entry = Entry {
            offset: at,
            tag_hash: i64::from(queue) - 3,
            size: 100 + queue,
            crc32c: (at as u32).wrapping_mul(31),
        };
        index.push(slot, entry);
        self.entries
            .insert((queue, *offset), (entry, self.store_ms));
        *offset += 1;
        self.newest.insert(queue, segment);
        u64::from(entry.size)
    }
}

fn check_offsets(set: &mut Set, model: &Model, queue: u32, min: u64) {
    let next = model.next.get(&queue).copied().unwrap_or(0);
    let newest = model.newest.get(&queue).copied();
    let mut cursor = None;
    let mut offset = min;
    while offset < next {
        let (outcome, _) = find(set, queue, offset, 7, newest, cursor);
        let Outcome::Found(found) = outcome else {
            panic!("queue {queue} offset {offset}: {outcome:?}");
        };
        assert!(!found.entries.is_empty() && found.entries.len() <= 7);
        for entry in &found.entries {
            assert_eq!(
                Some(entry),
                model.entries.get(&(queue, offset)).map(|(e, _)| e)
            );
            offset += 1;
        }
        cursor = Some(found.cursor);
    }
    let (outcome, _) = find(set, queue, next, 1, newest, cursor);
    let expected = if next > min {
        Outcome::Above
    } else {
        Outcome::Nothing
    };
    assert_eq!(outcome, expected, "queue {queue} at its end");
    if min > 0 {
        let (outcome, _) = find(set, queue, min - 1, 1, newest, None);
        let expected = match next > min {
            true => Outcome::Hole { next: min },
            false => Outcome::Nothing,
        };
        assert_eq!(outcome, expected, "queue {queue} below its minimum");
    }
}

fn check_time(set: &mut Set, model: &Model, queue: u32, min: u64, store_ms: i64) {
    let of_queue = || model.entries.range((queue, min)..(queue + 1, 0));
    let exact = of_queue()
        .find(|(_, (_, ms))| *ms >= store_ms)
        .map(|((_, offset), _)| *offset);
    match find_time(set, queue, store_ms, model.newest.get(&queue).copied()) {
        TimeOutcome::Above => assert_eq!(exact, None, "queue {queue} at {store_ms}"),
        TimeOutcome::Found(TimeRange { low, high }) => {
            let exact = exact.unwrap_or(model.next[&queue]);
            assert!((low..=high).contains(&exact), "{low} {exact} {high}");
            let blocks: Vec<_> = (low..high)
                .map(|offset| model.entries[&(queue, offset)].0.offset / 65536)
                .collect();
            assert!(
                blocks.windows(2).all(|pair| pair[0] == pair[1]),
                "one block only"
            );
        }
        TimeOutcome::Damaged(damage) => panic!("{damage}"),
    }
}

fn check_all(set: &mut Set, model: &Model, retired: u64) {
    for queue in 1..=6 {
        let old = |entry: &Entry| entry.offset < retired * SEGMENT_BYTES;
        let of_queue = model.entries.range((queue, 0)..(queue + 1, 0));
        let min = of_queue.filter(|(_, (entry, _))| old(entry)).count() as u64;
        check_offsets(set, model, queue, min);
        for store_ms in [
            0,
            1,
            model.store_ms / 3,
            model.store_ms / 2,
            model.store_ms,
            model.store_ms + 1,
        ] {
            check_time(set, model, queue, min, store_ms);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_is_found_across_segments_however_queues_come_and_go(
        plan in prop::collection::vec(
            (prop::collection::vec(prop::collection::vec(1u32..=6, 0..12), 0..10), any::<u8>()), 1..14),
        tick in 0i64..3,
        cache in 1usize..20,
        retire in 0usize..5,
        seed in any::<u64>(),
    ) {
        let folder = Folder::new(seed);
        let (mut model, mut set) = (Model::default(), Set::new(cache));
        for (segment, (blocks, present)) in (0u64..).zip(&plan) {
            // Each queue is absent from some segments.
            let keep = |queue: &&u32| present >> **queue & 1 == 1;
            let blocks: Vec<Vec<u32>> = blocks.iter().map(|q| q.iter().filter(keep).copied().collect()).collect();
            let index = model.segment(segment, &blocks, tick);
            set.insert(open(folder.write(index), segment).expect("just written"));
        }
        check_all(&mut set, &model, 0);
        let retire = retire.min(plan.len()) as u64;
        for segment in 0..retire {
            prop_assert!(set.remove(SegmentNumber(segment)).is_some());
        }
        check_all(&mut set, &model, retire);
    }
}

fn small_model_index() -> ActiveIndex {
    let mut model = Model::default();
    model.segment(4, &[vec![9, 2, 2, 700_000], vec![2], vec![9, 1]], 5)
}

/// Checks the whole file as the doctor does, without a disk.
fn verify(bytes: &[u8]) -> Result<(), Damage> {
    let open = open(bytes.to_vec(), 4)?;
    let mut chain = 0;
    for (number, page) in (0u32..).zip(bytes.chunks(PAGE_LEN)) {
        let payload = open.check(page, number, open.header.kind_of(number))?;
        if number + 1 == open.header.pages && !footer_matches(payload, &open.header, chain) {
            return Err(open.damage(number, "footer"));
        }
        chain = crc32c::crc32c_append(chain, &checksum_of(page).to_le_bytes());
    }
    Ok(())
}

#[test]
fn a_flip_of_any_byte_is_noticed() {
    let mut bytes = Folder::new(1).write(small_model_index());
    assert_eq!(verify(&bytes), Ok(()));
    for at in 0..bytes.len() {
        bytes[at] ^= 1 << (at % 8);
        assert!(verify(&bytes).is_err(), "byte {at}");
        bytes[at] ^= 1 << (at % 8);
    }
    for len in [0, 1, PAGE_LEN, bytes.len() - PAGE_LEN, bytes.len() - 1] {
        assert!(verify(&bytes[..len]).is_err(), "cut to {len}");
    }
    bytes.extend([0; PAGE_LEN]);
    assert!(verify(&bytes).is_err(), "longer");
}

#[test]
fn a_page_of_another_file_or_place_is_refused() {
    let folder = Folder::new(1);
    let bytes = folder.write(small_model_index());
    let other = open(bytes.clone(), 5);
    assert!(other.is_err_and(|damage| damage.page == 0));
    let mut swapped = bytes.clone();
    swapped.copy_within(2 * PAGE_LEN..3 * PAGE_LEN, 3 * PAGE_LEN);
    assert!(verify(&swapped).is_err());
}

#[test]
fn the_bytes_of_an_index_segment_are_those_of_the_fixture() {
    let bytes = Folder::new(1).write(small_model_index());
    assert_eq!(bytes, Folder::new(2).write(small_model_index()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/index-v1.idx");
    if std::env::var_os("RINGMQ_WRITE_FIXTURES").is_some() {
        std::fs::write(&path, &bytes).expect("the fixture");
    }
    let fixture = std::fs::read(&path).expect("engine/tests/fixtures/index-v1.idx");
    assert!(
        bytes == fixture,
        "the format changed: give it a new version"
    );
    let mut set = Set::new(4);
    set.insert(open(fixture, 4).expect("version 1 is readable"));
    let (outcome, _) = find(&mut set, 2, 0, 9, Some(4), None);
    assert!(matches!(outcome, Outcome::Found(found) if found.entries.len() == 3));
}

#[test]
fn a_damaged_page_makes_its_lookups_damaged_and_leaves_others_alone() {
    let mut bytes = Folder::new(1).write(small_model_index());
    let healthy = open(bytes.clone(), 4).expect("healthy");
    let entries = healthy.header.section(super::page::Kind::Entries).start as usize;
    bytes[entries * PAGE_LEN + 5] ^= 1;
    let mut set = Set::new(4);
    set.insert(open(bytes, 4).expect("the header is fine"));
    let (outcome, _) = find(&mut set, 2, 0, 9, Some(4), None);
    let Outcome::Damaged(damage) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (damage.segment, damage.page as usize),
        (SegmentNumber(4), entries)
    );
    assert_eq!(find(&mut set, 3, 0, 9, Some(4), None).0, Outcome::Nothing);
    set.mark_damaged(damage);
    assert_eq!(
        find(&mut set, 2, 0, 9, Some(4), None).0,
        Outcome::Damaged(damage)
    );
    assert_eq!(
        find_time(&mut set, 2, 1, Some(4)),
        TimeOutcome::Damaged(damage)
    );
    assert_eq!(set.damaged().collect::<Vec<_>>(), [damage]);
    set.insert(healthy);
    assert!(matches!(
        find(&mut set, 2, 0, 9, Some(4), None).0,
        Outcome::Found(_)
    ));
}

#[test]
fn the_block_of_a_position_is_found_cold() {
    let mut model = Model::default();
    let index = model.segment(2, &vec![vec![1]; 300], 1);
    let mut set = Set::new(3);
    set.insert(open(Folder::new(1).write(index), 2).expect("just written"));
    for (number, block) in model.blocks.iter().enumerate() {
        for position in [block.start.0, block.start.0 + 65535] {
            let found = find_block(&mut set, 2, position);
            assert_eq!(found, BlockOutcome::Found(*block), "block {number}");
        }
    }
    let end = model.blocks[299].start.0 + 65536;
    assert_eq!(find_block(&mut set, 2, end), BlockOutcome::Absent);
    assert_eq!(find_block(&mut set, 2, 5), BlockOutcome::Absent);
    assert_eq!(find_block(&mut set, 3, end), BlockOutcome::Absent);
}

#[test]
fn a_lookup_survives_the_retirement_of_what_it_reads() {
    let folder = Folder::new(1);
    let (mut model, mut set) = (Model::default(), Set::new(8));
    for segment in 0..4 {
        let index = model.segment(segment, &[vec![1, 1, 2]], 1);
        set.insert(open(folder.write(index), segment).expect("just written"));
    }
    let mut lookup = Lookup::new(&set, QueueNumber(1), 0, 5, Some(SegmentNumber(3)), None);
    let mut step = lookup.start(&mut set);
    let mut fed = 0;
    while let Step::Read(read) = step {
        let bytes = bytes_of(&set, read);
        if read.segment == SegmentNumber(0) && set.contains(SegmentNumber(0)) {
            set.remove(SegmentNumber(0));
        }
        step = lookup.feed(&mut set, &bytes);
        fed += 1;
        assert!(fed < 50);
    }
    assert_eq!(step, Step::Done(Outcome::Hole { next: 2 }));
}

#[test]
fn two_hundred_thousand_queues_cost_two_directory_reads_and_one_of_entries() {
    const QUEUES: u32 = 200_000;
    let folder = Folder::new(1);
    let (mut model, mut set) = (Model::default(), Set::new(64));
    for segment in 0..2 {
        let queues: Vec<u32> = (1..=QUEUES).map(|queue| queue * 3).collect();
        let index = model.segment(segment, &[queues], 1);
        let bytes = folder.write(index);
        let per_queue = bytes.len() as f64 / f64::from(QUEUES);
        assert!(per_queue < 75.0, "{per_queue} bytes a queue");
        set.insert(open(bytes, segment).expect("just written"));
    }
    let mut most = 0;
    for queue in (1..=QUEUES).step_by(997) {
        let (outcome, reads) = find(&mut set, queue * 3, 1, 32, Some(1), None);
        assert!(matches!(outcome, Outcome::Found(_)));
        most = most.max(reads.len());
        // One step to the older segment: the same once more.
        let (outcome, reads) = find(&mut set, queue * 3, 0, 32, Some(1), None);
        assert!(matches!(outcome, Outcome::Found(_)));
        assert!(reads.len() <= 5, "{reads:?}");
        assert_eq!(
            find(&mut set, queue * 3 + 1, 0, 1, Some(1), None).0,
            Outcome::Nothing
        );
    }
    assert!(most <= 3, "{most} reads");
}

#[test]
fn an_old_offset_is_found_in_two_log_n_hops_and_a_cursor_reads_on_without_a_search() {
    const SEGMENTS: u64 = 200;
    let folder = Folder::new(1);
    let (mut model, mut set) = (Model::default(), Set::new(1));
    for segment in 0..SEGMENTS {
        let index = model.segment(segment, &[vec![1, 1, 1]], 1);
        set.insert(open(folder.write(index), segment).expect("just written"));
    }
    let newest = Some(SEGMENTS - 1);
    for offset in (0..3 * SEGMENTS).step_by(11) {
        let (_, reads) = find(&mut set, 1, offset, 1, newest, None);
        let hops = reads
            .iter()
            .filter(|read| read.kind == super::page::Kind::Directory)
            .count();
        assert!(hops <= 16, "{offset}: {hops}");
    }
    let (mut cursor, mut offset) = (None, 0);
    while offset < 3 * SEGMENTS {
        let (outcome, reads) = find(&mut set, 1, offset, 32, newest, cursor);
        let Outcome::Found(found) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(cursor.is_none() || reads.len() <= 3, "{reads:?}");
        offset += found.entries.len() as u64;
        cursor = Some(found.cursor);
    }
}

#[test]
fn links_that_name_a_newer_segment_too_high_are_made_exact() {
    let folder = Folder::new(1);
    let (mut model, mut set) = (Model::default(), Set::new(9));
    for segment in 0u64..6 {
        let queues = if segment == 1 || segment == 5 {
            vec![1, 2]
        } else {
            vec![2]
        };
        model
            .newest
            .entry(1)
            .and_modify(|newest| *newest = segment.saturating_sub(1));
        let index = model.segment(segment, &[queues], 1);
        set.insert(open(folder.write(index), segment).expect("just written"));
    }
    let (outcome, reads) = find(&mut set, 1, 0, 1, Some(5), None);
    assert!(matches!(outcome, Outcome::Found(_)));
    let hops = reads
        .iter()
        .filter(|read| read.kind == super::page::Kind::Directory)
        .count();
    assert_eq!(hops, 2, "{reads:?}");
    // The same with a start that is too high.
    assert!(matches!(
        find(&mut set, 1, 0, 1, Some(4), None).0,
        Outcome::Found(_)
    ));
}

#[test]
fn an_unreadable_older_segment_does_not_stop_the_next_from_being_written() {
    let folder = Folder::new(1);
    let (mut model, mut set) = (Model::default(), Set::new(9));
    let mut intact = Vec::new();
    for segment in 0..5 {
        let index = model.segment(segment, &[vec![1, 2]], 1);
        let bytes = folder.write(index);
        if segment == 2 {
            let path = folder.files.path(SegmentNumber(2));
            folder
                .world
                .flip(&path, PAGE_LEN as u64 + 1, 0)
                .expect("a flip");
            intact.clone_from(&bytes);
        }
        set.insert(open(bytes, segment).expect("the header is fine"));
    }
    set.insert(open(intact, 2).expect("rebuilt"));
    for queue in [1, 2] {
        check_offsets(&mut set, &model, queue, 0);
    }
}

#[test]
fn a_crash_while_writing_leaves_the_whole_index_segment_or_none() {
    for seed in 0..60 {
        let folder = Folder::new(seed);
        let (files, index) = (folder.files.clone(), small_model_index());
        let written = folder.world.spawn(folder.process, async move {
            files.write(&index, SegmentNumber(0)).await.map(|_| ())
        });
        for _ in 0..seed {
            folder.world.step();
        }
        let done = written.is_ready();
        folder.world.power_cut();
        let process = folder.world.process();
        let disk = folder.world.disk(process);
        let files = IndexFiles::new(disk, PathBuf::from("index"), STORE, ShardIndex(3));
        let left = folder.world.block_on(process, async move {
            let segments = files.segments().await?;
            for &segment in &segments {
                let open = files.open(segment).await?;
                files.verify(&open).await?;
            }
            Ok::<_, IndexError>(segments)
        });
        let left = left.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(!done || left == [SegmentNumber(4)], "seed {seed}: {left:?}");
        let names = folder.world.files();
        assert!(
            names
                .iter()
                .all(|name| !name.to_string_lossy().ends_with("tmp")),
            "{names:?}"
        );
    }
}

#[test]
fn retirement_hears_of_every_queue_and_the_file_goes_away() {
    let folder = Folder::new(1);
    let mut model = Model::default();
    let queues: Vec<u32> = (1..=30_000).collect();
    folder.write(model.segment(0, &[queues, vec![7, 7]], 1));
    let files = folder.files.clone();
    let rows = folder.world.block_on(folder.process, async move {
        let open = files.open(SegmentNumber(0)).await?;
        let mut rows = Vec::new();
        let mut stretches = 0;
        files
            .rows(&open, |some| {
                stretches += 1;
                rows.extend(some)
            })
            .await?;
        assert!(stretches > 3);
        files.remove(SegmentNumber(0)).await?;
        files.remove(SegmentNumber(0)).await?;
        assert_eq!(files.segments().await?, []);
        Ok::<_, IndexError>(rows)
    });
    let rows = rows.expect("a readable directory");
    assert_eq!(rows.len(), 30_000);
    assert!(rows.windows(2).all(|pair| pair[0].queue < pair[1].queue));
    assert_eq!((rows[6].queue, rows[6].end()), (QueueNumber(7), 3));
    assert!(rows.iter().all(|row| row.links == Links::default()));
}

const LOG: LogIdentity = LogIdentity {
    store_id: STORE,
    seed: 99,
    shard: ShardIndex(3),
    segment_bytes: SEGMENT_BYTES,
};

/// A log segment of `blocks` blocks with three records each, its true index, and where blocks begin.
fn log_segment(segment: u64, blocks: u64, body_len: usize) -> (Vec<u8>, ActiveIndex, Vec<usize>) {
    let mut bytes = vec![0; SEGMENT_BYTES as usize];
    let mut index = ActiveIndex::new(SegmentNumber(segment));
    let (mut within, mut starts) = (0usize, Vec::new());
    for block in 0..blocks {
        let at = LogOffset(segment * SEGMENT_BYTES + within as u64);
        let mut builder = BlockBuilder::new(SEGMENT_BYTES as usize);
        builder.use_buffer(AlignedBuf::zeroed(SEGMENT_BYTES as usize));
        for (queue, offset) in [(1u32, 10 + block), (0, 0), (2, block)] {
            let stamp = Stamp {
                queue_offset: offset as i64,
                physical_offset: 0,
                store_timestamp: block as i64,
            };
            let body = vec![block as u8; body_len];
            let parts = parts(&body);
            let len = if queue == 0 { 33 } else { parts.encoded_len() };
            let slot = builder.begin(len);
            if queue == 0 {
                slot.fill(9)
            } else {
                parts.encode_into(slot, stamp);
            }
            let placed = builder.commit(QueueNumber(queue), block as i64);
            if queue > 0 {
                let slot = index.slot_of(QueueNumber(queue)).unwrap_or_else(|| {
                    index.open_slot(
                        QueueNumber(queue),
                        offset,
                        (offset > 0).then(|| SegmentNumber(segment - 1)),
                    )
                });
                index.push(
                    slot,
                    Entry {
                        offset: at.0 + u64::from(placed.within_block),
                        tag_hash: ringmq_protocol::tags::tags_code(b"red"),
                        size: placed.len,
                        crc32c: placed.crc,
                    },
                );
            }
        }
        let fields = SealFields {
            at,
            sequence: 100 + block,
            epoch: 1,
            durable: at,
            previous_checksum: 0,
        };
        let sealed = builder.seal(&LOG, &fields).expect("records are in it");
        bytes[within..within + sealed.buffer.len()].copy_from_slice(&sealed.buffer);
        index.push_block(BlockTime {
            start: at,
            len: sealed.buffer.len() as u32,
            records: sealed.count,
            first_store_ms: sealed.first_ms,
            last_store_ms: sealed.last_ms,
            sequence: 100 + block,
        });
        starts.push(within);
        within += sealed.buffer.len();
    }
    (bytes, index, starts)
}

fn parts(body: &[u8]) -> RecordParts<'_> {
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    RecordParts {
        topic: "t",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 0,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties: &[b"TAGS\x01red\x02"],
    }
}

fn rebuild(bytes: &[u8], segment: u64, until: u64) -> super::rebuild::Rebuilt {
    rebuild_with(bytes, segment, until, &[])
}

fn rebuild_with(
    bytes: &[u8],
    segment: u64,
    until: u64,
    runs: &[RunStart],
) -> super::rebuild::Rebuilt {
    let mut rebuild = super::rebuild::Rebuild::new(LOG, SegmentNumber(segment), until, runs);
    let mut reads = 0;
    while let Some((position, len)) = rebuild.next_read() {
        let from = position as usize;
        rebuild
            .feed(&bytes[from..(from + len).min(bytes.len())])
            .expect("no contradiction");
        reads += 1;
        assert!(reads < 2000);
    }
    rebuild.finish()
}

fn file_of(index: &ActiveIndex) -> Vec<u8> {
    let mut builder = Builder::new(identity(index.segment().0), index).expect("small");
    let links: Vec<Links> = builder.wanted(1 << 20).map(|_| Links::default()).collect();
    let mut buffer = vec![0; 1 << 20];
    let filled = builder.fill(&mut buffer, &links);
    buffer.truncate(filled);
    buffer
}

#[test]
fn a_rebuild_from_the_log_gives_the_same_bytes() {
    for (blocks, body_len) in [(0, 10), (1, 10), (40, 10), (30, 9000), (3, 150_000)] {
        let (bytes, index, _) = log_segment(7, blocks, body_len);
        let rebuilt = rebuild(&bytes, 7, 100 + blocks);
        assert_eq!(rebuilt.damaged_bytes, 0);
        assert!(
            file_of(&rebuilt.index) == file_of(&index),
            "{blocks} blocks"
        );
    }
}

#[test]
fn a_rebuild_leaves_a_tail_that_was_set_aside_alone() {
    let (bytes, _, _) = log_segment(7, 20, 100);
    let (_, index, _) = log_segment(7, 12, 100);
    let rebuilt = rebuild(&bytes, 7, 112);
    assert!(file_of(&rebuilt.index) == file_of(&index));
}

#[test]
fn a_rebuild_leaves_alone_what_a_later_run_has_cut() {
    let (bytes, _, starts) = log_segment(7, 20, 100);
    let (_, index, _) = log_segment(7, 12, 100);
    let cut = LogOffset(7 * SEGMENT_BYTES + starts[12] as u64);
    let run = |epoch, cut| RunStart {
        epoch,
        first: LogOffset(9 * SEGMENT_BYTES),
        cut,
        first_sequence: 112,
        previous_checksum: 0,
    };
    // The tail went on in the next segment, whose first block tells nothing, then.
    let rebuilt = rebuild_with(&bytes, 7, 120, &[run(2, cut)]);
    assert!(file_of(&rebuilt.index) == file_of(&index));
    let (_, whole, _) = log_segment(7, 20, 100);
    let same_run = rebuild_with(&bytes, 7, 120, &[run(1, LogOffset(0))]);
    assert!(file_of(&same_run.index) == file_of(&whole));
}

#[test]
fn a_rebuild_steps_over_damage_and_keeps_what_is_readable() {
    let (clean, _, starts) = log_segment(7, 20, 9000);
    // One record's body; a header; header and trailer.
    for (case, lost) in [(0, 1), (1, 0), (2, 2)] {
        let mut bytes = clean.clone();
        match case {
            0 => bytes[starts[5] + 500] ^= 1,
            1 => bytes[starts[5]] ^= 1,
            _ => {
                bytes[starts[5]] ^= 1;
                bytes[starts[6] - 3] ^= 1;
            }
        }
        let rebuilt = rebuild(&bytes, 7, 120);
        assert!(rebuilt.damaged_bytes > 0);
        let index = rebuilt.index;
        let slot = index.slot_of(QueueNumber(1)).expect("queue 1");
        assert_eq!((index.first(slot), index.end(slot)), (10, 30));
        let holes: usize = index
            .slots()
            .iter()
            .map(|s| {
                let slot = index.slot_of(s.queue).expect("its slot");
                index
                    .range(slot, s.first, usize::MAX)
                    .filter(Entry::is_hole)
                    .count()
            })
            .sum();
        assert_eq!(holes, lost, "case {case}");
    }
}

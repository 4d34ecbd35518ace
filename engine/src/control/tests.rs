use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ringmq_ring::sim::{Faults, Process, SimHandle, SimIo, Step, World};
use ringmq_ring::{Disk, Io, Wait};

use super::index_files::IndexFiles;
use super::link::{Reply, Request, ShardLink, link};
use super::worker::{Worker, WorkerStart};
use crate::block::LogIdentity;
use crate::queue::{ActiveIndex, Entry};
use crate::types::{QueueNumber, SegmentNumber, ShardIndex};

const MB: u64 = 1 << 20;
const SEGMENT: u64 = 8 * MB;

/// A shard's folder, its worker running as a task, and the shard's end of the link.
struct Desk {
    world: World,
    process: Process,
    /// Only its waker is used.
    io: SimIo,
    link: ShardLink<SimHandle>,
    /// What the worker has said so far.
    said: Vec<Reply<SimHandle>>,
}

fn start(next: u64, fresh: bool) -> WorkerStart {
    WorkerStart {
        folder: PathBuf::from("shard-00"),
        identity: LogIdentity {
            store_id: [3; 16],
            seed: 5,
            shard: ShardIndex(0),
            segment_bytes: SEGMENT,
        },
        oldest: SegmentNumber(0),
        next: SegmentNumber(next),
        fresh,
        spares: Vec::new(),
        generations: Vec::new(),
        runs: Vec::new(),
    }
}

fn folders(world: &World) {
    let process = world.process();
    let disk = world.disk(process);
    let made = world.block_on(process, async move {
        for folder in ["log", "index", "state"] {
            disk.create_dir_all(&Path::new("shard-00").join(folder))
                .await?;
        }
        disk.sync_dir(Path::new("shard-00")).await?;
        disk.sync_dir(Path::new("")).await
    });
    made.expect("folders");
}

impl Desk {
    fn new(world: World, start: WorkerStart) -> Self {
        let process = world.process();
        let (shard, control) = link();
        let io = world.io(process);
        let worker = Worker::new(world.disk(process), start, control, io.waker());
        world.spawn(process, async move {
            worker.clean().await.expect("a readable folder");
            worker.run().await;
        });
        Self {
            world,
            process,
            io,
            link: shard,
            said: Vec::new(),
        }
    }

    fn fresh(seed: u64) -> Self {
        let world = World::new(seed, Faults::default());
        folders(&world);
        Self::new(world, start(0, true))
    }

    /// Lets the worker go on until it has said something that passes.
    fn until(&mut self, what: &str, passes: impl Fn(&Reply<SimHandle>) -> bool) -> usize {
        for _ in 0..200_000 {
            if let Some(at) = self.said.iter().position(&passes) {
                return at;
            }
            self.step();
        }
        panic!("the worker never said {what}: {:?}", self.said);
    }

    fn step(&mut self) {
        match self.world.step() {
            Step::Turn(_) => sleep(&mut self.io),
            Step::Halted(..) => panic!("halted"),
            _ => {}
        }
        self.said.extend(self.link.reply());
    }

    fn segment(&mut self, wanted: u64) -> u64 {
        let is_it = |reply: &Reply<SimHandle>| matches!(reply, Reply::Segment { number, .. } if number.0 == wanted);
        let at = self.until("a segment", is_it);
        match self.said.remove(at) {
            Reply::Segment { prepared, .. } => prepared,
            _ => 0,
        }
    }

    fn names(&self) -> Vec<String> {
        let files = self.world.files();
        let mut names: Vec<String> = files.iter().map(|p| p.display().to_string()).collect();
        names.sort();
        names
    }
}

/// The shard's thread has nothing to do.
fn sleep(io: &mut SimIo) {
    let mut completions = Vec::new();
    io.begin(&mut completions);
    io.turn(Wait::Forever, &mut completions).expect("a turn");
}

fn log(number: u64) -> String {
    format!("shard-00/log/{number:016x}.log")
}

#[test]
fn a_new_store_gets_its_first_extent_at_once_and_two_segments_ahead() {
    let mut desk = Desk::fresh(1);
    assert_eq!(desk.segment(0), 4 * MB);
    desk.until("the rest", |reply| {
        matches!(reply, Reply::Extent { number, prepared } if number.0 == 0 && *prepared == SEGMENT)
    });
    assert_eq!((desk.segment(1), desk.segment(2)), (SEGMENT, SEGMENT));
    assert_eq!(desk.names(), [log(0), log(1), log(2)]);
    let bytes = desk.world.contents(Path::new(&log(2))).expect("its bytes");
    assert!(bytes.len() as u64 == SEGMENT && bytes.iter().all(|&byte| byte == 0));
    desk.link.ask(Request::Active(SegmentNumber(1)));
    assert_eq!(desk.segment(3), SEGMENT);
}

#[test]
fn a_retired_segment_is_used_again_without_writing_it() {
    let mut desk = Desk::fresh(2);
    (0..3).for_each(|number| {
        desk.segment(number);
    });
    let mark = vec![7; SEGMENT as usize];
    desk.world
        .replace(Path::new(&log(0)), &mark)
        .expect("the file");
    desk.link.ask(Request::Recycle(SegmentNumber(0)));
    desk.link.ask(Request::Recycle(SegmentNumber(0)));
    desk.link.ask(Request::BeginRetire(SegmentNumber(0)));
    desk.until("no index to retire", |reply| {
        matches!(reply, Reply::RetireLater { .. })
    });
    assert_eq!(
        desk.names(),
        [log(1), log(2), "shard-00/log/spare-1.log".into()]
    );
    desk.link.ask(Request::Active(SegmentNumber(1)));
    assert_eq!(desk.segment(3), SEGMENT);
    assert!(desk.world.contents(Path::new(&log(3))).expect("its bytes") == mark);
    assert_eq!(desk.names(), [log(1), log(2), log(3)]);
}

#[test]
fn want_of_space_is_told_once_and_heals_when_space_returns() {
    let world = World::new(3, Faults::default());
    folders(&world);
    world.set_capacity(20 * MB);
    let mut desk = Desk::new(world, start(0, true));
    desk.segment(0);
    desk.segment(1);
    desk.until("no space", |reply| matches!(reply, Reply::NoSpace));
    for _ in 0..2000 {
        desk.step();
    }
    let told = desk
        .said
        .iter()
        .filter(|reply| matches!(reply, Reply::NoSpace));
    assert_eq!(told.count(), 1);
    desk.world.set_capacity(100 * MB);
    assert_eq!(desk.segment(2), SEGMENT);
    assert_eq!(desk.names(), [log(0), log(1), log(2)]);
}

#[test]
fn the_first_segment_goes_on_growing_when_space_returns() {
    let world = World::new(4, Faults::default());
    folders(&world);
    world.set_capacity(5 * MB);
    let mut desk = Desk::new(world, start(0, true));
    assert_eq!(desk.segment(0), 4 * MB);
    desk.until("no space", |reply| matches!(reply, Reply::NoSpace));
    desk.world.set_capacity(100 * MB);
    desk.until(
        "the rest",
        |reply| matches!(reply, Reply::Extent { prepared, .. } if *prepared == SEGMENT),
    );
}

#[test]
fn a_state_file_is_whole_when_it_is_told_and_goes_when_it_is_dropped() {
    let mut desk = Desk::fresh(5);
    let path = PathBuf::from("shard-00/state/0000000000000011.state");
    desk.link.ask(Request::BeginState(17));
    for byte in 1..=3u8 {
        desk.link.ask(Request::StateChunk(Bytes::from_owner(
            ringmq_ring::AlignedBuf::zeroed(byte as usize * 4096),
        )));
    }
    desk.link.ask(Request::EndState(17));
    let written =
        |reply: &Reply<SimHandle>| matches!(reply, Reply::StateWritten { generation: 17 });
    desk.until("the state", written);
    assert_eq!(
        desk.world.contents(&path).map(|bytes| bytes.len()).ok(),
        Some(24576)
    );
    desk.link.ask(Request::EndState(18));
    desk.until("the loss", |reply| {
        matches!(reply, Reply::StateLost { generation: 18 })
    });
    desk.link.ask(Request::DropState(17));
    for _ in 0..2000 {
        desk.step();
    }
    assert!(desk.world.contents(&path).is_err());
}

#[test]
fn state_files_that_no_manifest_names_are_removed_at_start() {
    let world = World::new(6, Faults::default());
    folders(&world);
    let process = world.process();
    let disk = world.disk(process);
    world
        .block_on(process, async move {
            for generation in 1..4u64 {
                let mut states =
                    super::state_files::StateFiles::new(disk.clone(), "shard-00/state".into());
                states.begin(generation).await?;
                states.end(generation).await?;
            }
            Ok::<_, crate::Error>(())
        })
        .expect("three state files");
    let mut desk = Desk::new(
        world,
        WorkerStart {
            generations: vec![2, 3],
            ..start(0, true)
        },
    );
    desk.segment(0);
    let states = desk
        .names()
        .into_iter()
        .filter(|name| name.contains("state/"));
    assert_eq!(states.count(), 2);
}

#[test]
fn an_index_is_written_read_out_for_retirement_and_removed() {
    let mut desk = Desk::fresh(7);
    desk.segment(2);
    let mut index = ActiveIndex::new(SegmentNumber(0));
    for queue in 1..=3000u32 {
        let slot = index.open_slot(QueueNumber(queue), 5, None);
        index.push(
            slot,
            Entry {
                size: 9,
                ..Entry::default()
            },
        );
    }
    desk.link.ask(Request::WriteIndex(Arc::new(index)));
    desk.until(
        "the index",
        |reply| matches!(reply, Reply::IndexWritten { segment, .. } if segment.0 == 0),
    );
    desk.link.ask(Request::BeginRetire(SegmentNumber(0)));
    desk.until("the end of the minimums", |reply| {
        matches!(reply, Reply::Retire { last: true, .. })
    });
    let mut told = Vec::new();
    for reply in &desk.said {
        if let Reply::Retire { minimums, .. } = reply {
            told.extend_from_slice(minimums);
        }
    }
    let expected: Vec<_> = (1..=3000).map(|queue| (QueueNumber(queue), 6)).collect();
    assert_eq!(told, expected);
    desk.link.ask(Request::Recycle(SegmentNumber(0)));
    for _ in 0..2000 {
        desk.step();
    }
    assert!(desk.names().iter().all(|name| !name.ends_with(".idx")));
}

#[test]
fn index_segments_are_written_in_their_order_even_when_one_fails_at_first() {
    let mut desk = Desk::fresh(9);
    desk.segment(2);
    desk.world.set_faults(Faults {
        no_space: 1_000_000,
        paths: vec!["0000000000000000.idx".into()],
        ..Faults::default()
    });
    for number in 0..3 {
        let mut index = ActiveIndex::new(SegmentNumber(number));
        let slot = index.open_slot(QueueNumber(1), number, None);
        index.push(slot, Entry::default());
        desk.link.ask(Request::WriteIndex(Arc::new(index)));
    }
    for _ in 0..500 {
        desk.step();
    }
    desk.world.set_faults(Faults::default());
    desk.until(
        "the last index",
        |reply| matches!(reply, Reply::IndexWritten { segment, .. } if segment.0 == 2),
    );
    let written = desk.said.iter().filter_map(|reply| match reply {
        Reply::IndexWritten { segment, .. } => Some(segment.0),
        _ => None,
    });
    assert_eq!(written.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn index_segments_of_segments_that_are_not_written_yet_are_removed_for_good() {
    let mut desk = Desk::fresh(10);
    for number in 0..3 {
        let index = ActiveIndex::new(SegmentNumber(number));
        desk.link.ask(Request::WriteIndex(Arc::new(index)));
    }
    desk.until(
        "the last index",
        |reply| matches!(reply, Reply::IndexWritten { segment, .. } if segment.0 == 2),
    );
    let disk = desk.world.disk(desk.process);
    let removed = desk.world.block_on(desk.process, async move {
        let files = IndexFiles::new(disk, "shard-00/index".into(), [3; 16], ShardIndex(0));
        files.remove_from(SegmentNumber(1)).await
    });
    removed.expect("a faultless disk");
    desk.world.power_cut();
    let indexes = desk.names().into_iter().filter(|n| n.ends_with(".idx"));
    assert_eq!(
        indexes.collect::<Vec<_>>(),
        ["shard-00/index/0000000000000000.idx"]
    );
}

#[test]
fn a_worker_ends_when_the_shard_has_stopped_and_when_it_is_gone() {
    let world = World::new(8, Faults::default());
    folders(&world);
    for stop in [true, false] {
        let process = world.process();
        let (mut shard, control) = link::<SimHandle>();
        let mut io = world.io(process);
        let worker = Worker::new(world.disk(process), start(0, true), control, io.waker());
        let ended = world.spawn(process, worker.run());
        if stop {
            shard.ask(Request::Stop);
        } else {
            drop(shard);
        }
        for _ in 0..5000 {
            if let Step::Turn(_) = world.step() {
                sleep(&mut io);
            }
        }
        assert!(ended.is_ready(), "stop {stop}");
        world.kill(process);
    }
}

#[test]
fn whatever_a_power_cut_leaves_segments_are_ready_again() {
    for seed in 0..12 {
        let mut desk = Desk::fresh(seed);
        for _ in 0..seed * 9 {
            desk.step();
        }
        desk.world.kill(desk.process);
        desk.world.power_cut();
        let spares: Vec<u32> = desk
            .names()
            .iter()
            .filter_map(|name| {
                name.strip_prefix("shard-00/log/spare-")?
                    .strip_suffix(".log")?
                    .parse()
                    .ok()
            })
            .collect();
        let mut desk = Desk::new(
            desk.world,
            WorkerStart {
                spares,
                ..start(0, true)
            },
        );
        let first = desk.segment(0);
        assert!(first >= 4 * MB, "seed {seed}");
        desk.segment(1);
        desk.segment(2);
        for number in [1, 2] {
            let len = desk
                .world
                .contents(Path::new(&log(number)))
                .map(|bytes| bytes.len() as u64);
            assert_eq!(len.ok(), Some(SEGMENT), "seed {seed}");
        }
    }
}

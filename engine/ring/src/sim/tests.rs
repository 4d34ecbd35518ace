//! The simulator's own behaviour: what engine tests rely on.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    AlignedBuf, Completion, Disk, Io, Moment, OpenMode, Pace, Payload, Service, Wait, Wake,
};

const PAGE: usize = 4096;

fn page(byte: u8, pages: usize) -> Bytes {
    let mut buffer = AlignedBuf::zeroed(PAGE * pages);
    buffer.fill(byte);
    Bytes::from_owner(buffer)
}

/// A world with a file `log` of `pages` zeroed, durable pages.
fn world_with_file(seed: u64, faults: Faults, pages: usize) -> (World, Process) {
    let world = World::new(seed, Faults::default());
    let process = world.process();
    let disk = world.disk(process);
    world
        .block_on(process, async move {
            let file = disk.open(Path::new("log"), OpenMode::CreateNew).await?;
            disk.write_at(&file, 0, page(0, pages)).await?;
            disk.flush(&file).await?;
            disk.sync_dir(Path::new("")).await
        })
        .expect("a faultless disk");
    world.set_faults(faults);
    (world, process)
}

fn open(world: &World, process: Process, mode: OpenMode) -> io::Result<(SimDisk, SimFile)> {
    let disk = world.disk(process);
    world.block_on(process, async move {
        let file = disk.open(Path::new("log"), mode).await?;
        Ok((disk, file))
    })
}

fn contents(world: &World) -> Vec<u8> {
    world.contents(Path::new("log")).expect("the file is there")
}

/// One io with `log` adopted.
fn io_on_file(world: &World, process: Process) -> (SimIo, crate::FileId) {
    let (disk, file) = open(world, process, OpenMode::Existing).expect("the file is there");
    let handle = disk.handle(&file).expect("a handle");
    let mut io = world.io(process);
    let id = io.adopt_file(handle).expect("adopted");
    (io, id)
}

/// Turns until `count` completions are there or nothing happens any more.
fn drive(world: &World, io: &mut SimIo, count: usize) -> Vec<Completion<SimStream, Bytes>> {
    let mut done = Vec::new();
    io.turn(Wait::Forever, &mut done).expect("a turn");
    while done.len() < count {
        match world.step() {
            Step::Turn(_) => {
                io.begin(&mut done);
                io.turn(Wait::Forever, &mut Vec::new()).expect("a turn");
            }
            Step::Ran => {}
            Step::Idle | Step::Halted(_) => break,
        }
    }
    done
}

fn write_one(world: &World, process: Process, durable: bool, data: Bytes) -> io::Result<usize> {
    let (mut io, file) = io_on_file(world, process);
    if durable {
        io.write_durable(file, 0, data, 1);
    } else {
        io.write(file, 0, data, 1);
    }
    drive(world, &mut io, 1).pop().expect("completed").result
}

/// How many of the sectors hold `byte` throughout.
fn sectors_of(bytes: &[u8], byte: u8) -> usize {
    bytes
        .chunks(SECTOR)
        .filter(|sector| sector.iter().all(|b| *b == byte))
        .count()
}

#[test]
fn unflushed_writes_are_seen_until_the_power_goes_and_then_tear_by_sector() {
    let (mut lost, mut torn, mut kept) = (0, 0, 0);
    for seed in 0..200 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        write_one(&world, process, false, page(7, 16)).expect("written");
        assert_eq!(sectors_of(&contents(&world), 7), 128);
        world.power_cut();
        match sectors_of(&contents(&world), 7) {
            0 => lost += 1,
            128 => kept += 1,
            new => {
                assert_eq!(new + sectors_of(&contents(&world), 0), 128);
                torn += 1;
            }
        }
    }
    assert!(lost > 0 && torn > 0 && kept > 0, "{lost} {torn} {kept}");
}

#[test]
fn bytes_tear_inside_a_sector_when_told_to() {
    let torn = (0..100).any(|seed| {
        let faults = Faults {
            tear_bytes: true,
            ..Faults::default()
        };
        let (world, process) = world_with_file(seed, faults, 16);
        write_one(&world, process, false, page(7, 16)).expect("written");
        world.power_cut();
        let bytes = contents(&world);
        sectors_of(&bytes, 7) + sectors_of(&bytes, 0) < 128
    });
    assert!(torn);
}

#[test]
fn a_completed_durable_write_always_survives() {
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        write_one(&world, process, true, page(9, 16)).expect("written");
        world.power_cut();
        assert_eq!(sectors_of(&contents(&world), 9), 128, "seed {seed}");
    }
}

#[test]
fn a_durable_write_replaces_older_cached_bytes_for_good() {
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        write_one(&world, process, false, page(1, 16)).expect("written");
        write_one(&world, process, true, page(2, 8)).expect("written");
        world.power_cut();
        let bytes = contents(&world);
        assert_eq!(sectors_of(&bytes[..8 * PAGE], 2), 64, "seed {seed}");
        assert_eq!(sectors_of(&bytes[8 * PAGE..], 2), 0, "seed {seed}");
    }
}

#[test]
fn a_flush_covers_the_writes_completed_before_it_and_nothing_is_lost_of_them() {
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        let (mut io, file) = io_on_file(&world, process);
        io.write(file, 0, page(1, 8), 1);
        drive(&world, &mut io, 1);
        io.flush(file, 2);
        io.write(file, 8 * PAGE as u64, page(2, 8), 3);
        assert_eq!(drive(&world, &mut io, 2).len(), 2);
        world.power_cut();
        assert_eq!(sectors_of(&contents(&world)[..8 * PAGE], 1), 64);
    }
}

#[test]
fn a_write_that_completes_during_a_flush_is_not_covered_by_it() {
    let lost = (0..200).any(|seed| {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        let (mut io, file) = io_on_file(&world, process);
        io.flush(file, 1);
        io.write(file, 0, page(2, 16), 2);
        drive(&world, &mut io, 2);
        world.power_cut();
        sectors_of(&contents(&world), 2) < 128
    });
    assert!(lost);
}

#[test]
fn writes_in_flight_may_land_in_part_when_the_power_goes() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        let (mut io, file) = io_on_file(&world, process);
        io.write_durable(file, 0, page(3, 16), 1);
        io.turn(Wait::Forever, &mut Vec::new()).expect("a turn");
        world.power_cut();
        outcomes.insert(sectors_of(&contents(&world), 3));
    }
    assert!(outcomes.contains(&0) && outcomes.contains(&128) && outcomes.len() > 10);
}

#[test]
fn a_killed_process_loses_nothing_that_was_written_and_its_locks_wait_for_its_writes() {
    let mut pinned = 0;
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        let (mut io, file) = io_on_file(&world, process);
        let (disk, locked) = open(&world, process, OpenMode::Existing).expect("open");
        assert!(disk.try_lock(&locked).expect("lock"));
        let id = io
            .adopt_file(disk.handle(&locked).expect("handle"))
            .expect("adopted");
        io.write(file, 0, page(5, 8), 1);
        drive(&world, &mut io, 1);
        io.write(id, 8 * PAGE as u64, page(6, 8), 2);
        io.turn(Wait::Forever, &mut Vec::new()).expect("a turn");
        world.kill(process);
        let next = world.process();
        let (disk, file) = open(&world, next, OpenMode::Existing).expect("open");
        if !disk.try_lock(&file).expect("lock") {
            pinned += 1;
            let waiting = disk.clone();
            let locked = world.block_on(next, async move {
                waiting.pause(Duration::from_secs(30)).await;
                waiting.try_lock(&file)
            });
            assert!(locked.expect("lock"), "free when the writes have landed");
        }
        assert_eq!(sectors_of(&contents(&world)[..8 * PAGE], 5), 64);
    }
    assert!(pinned > 10, "{pinned}");
}

#[test]
fn a_durable_write_of_a_killed_process_may_have_reached_the_cache_only() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..200 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        let (mut io, file) = io_on_file(&world, process);
        io.write_durable(file, 0, page(3, 16), 1);
        io.turn(Wait::Forever, &mut Vec::new()).expect("a turn");
        world.kill(process);
        while world.step() != Step::Idle {}
        if sectors_of(&contents(&world), 3) == 128 {
            world.power_cut();
            match sectors_of(&contents(&world), 3) {
                128 => kept += 1,
                _ => lost += 1,
            }
        }
    }
    assert!(lost > 10 && kept > 10, "{lost} {kept}");
}

#[test]
fn a_lock_is_shared_by_handles_of_its_description_and_refused_to_others() {
    let (world, process) = world_with_file(1, Faults::default(), 1);
    let (disk, one) = open(&world, process, OpenMode::Existing).expect("open");
    let (_, two) = open(&world, process, OpenMode::Existing).expect("open");
    assert!(disk.try_lock(&one).expect("lock"));
    assert!(!disk.try_lock(&two).expect("lock"));
    let handle = disk.handle(&one).expect("handle");
    drop(one);
    assert!(
        !disk.try_lock(&two).expect("lock"),
        "the handle still holds it"
    );
    drop(handle);
    assert!(disk.try_lock(&two).expect("lock"));
}

#[test]
fn a_flush_error_loses_the_cache_and_the_next_flush_says_ok() {
    let mut back = 0;
    for seed in 0..50 {
        let (world, process) = world_with_file(seed, Faults::default(), 16);
        write_one(&world, process, false, page(8, 16)).expect("written");
        let (disk, file) = open(&world, process, OpenMode::Existing).expect("open");
        let faults = Faults {
            planned: [(world.operations() + 1, Fault::Error)].into(),
            ..Faults::default()
        };
        world.set_faults(faults);
        let results = world.block_on(process, async move {
            (disk.flush(&file).await, disk.flush(&file).await)
        });
        assert_eq!(results.0.expect_err("EIO").raw_os_error(), Some(5));
        results.1.expect("the second flush finds nothing to do");
        back += usize::from(sectors_of(&contents(&world), 0) > 0);
        assert_eq!(world.fired().len(), 1);
    }
    assert!(back > 25, "reads see old bytes again: {back}");
}

#[test]
fn writing_on_after_a_known_failure_is_noted() {
    let (world, process) = world_with_file(3, Faults::default(), 2);
    let (mut io, file) = io_on_file(&world, process);
    world.set_faults(Faults {
        planned: [(world.operations() + 1, Fault::Error)].into(),
        ..Faults::default()
    });
    io.write_durable(file, 0, page(1, 1), 1);
    io.write_durable(file, PAGE as u64, page(1, 1), 2);
    drive(&world, &mut io, 2);
    assert!(world.retried().is_empty(), "both were submitted before");
    io.write_durable(file, 0, page(1, 1), 3);
    drive(&world, &mut io, 1);
    assert_eq!(world.retried().len(), 1);
}

#[test]
fn a_failed_write_leaves_a_part_of_its_data() {
    let mut parts = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let faults = Faults {
            write_error: 1_000_000,
            ..Faults::default()
        };
        let (world, process) = world_with_file(seed, faults, 16);
        let error = write_one(&world, process, true, page(8, 16)).expect_err("EIO");
        assert_eq!(error.raw_os_error(), Some(5));
        parts.insert(sectors_of(&contents(&world), 8));
    }
    assert!(parts.len() > 10);
}

#[test]
fn errors_for_good_stay_until_healed() {
    let (world, process) = world_with_file(3, Faults::default(), 2);
    let (disk, file) = open(&world, process, OpenMode::Existing).expect("open");
    world.set_faults(Faults {
        planned: [(world.operations() + 1, Fault::ErrorForGood)].into(),
        ..Faults::default()
    });
    let healing = world.clone();
    world.block_on(process, async move {
        for _ in 0..3 {
            assert!(disk.read_at(&file, 0, PAGE).await.is_err());
        }
        healing.heal();
        assert!(disk.read_at(&file, 0, PAGE).await.is_ok());
    });
}

#[test]
fn short_writes_and_reads_are_completed_by_asking_again() {
    for seed in 0..50 {
        let faults = Faults {
            short_write: 1_000_000,
            short_read: 1_000_000,
            ..Faults::default()
        };
        let (world, process) = world_with_file(seed, faults, 16);
        assert_eq!(
            write_one(&world, process, true, page(8, 16)).expect("written"),
            16 * PAGE
        );
        assert_eq!(sectors_of(&contents(&world), 8), 128);
        let (mut io, file) = io_on_file(&world, process);
        io.read(file, 0, AlignedBuf::zeroed(32 * PAGE), 5);
        let done = drive(&world, &mut io, 1).pop().expect("read");
        assert_eq!(done.result.expect("read"), 16 * PAGE);
        let Payload::Buffer(buffer) = done.payload else {
            panic!("a read gives its buffer back");
        };
        assert_eq!(sectors_of(&buffer, 8), 128);
        assert!(world.fired().len() >= 2);
    }
}

#[test]
fn a_full_disk_refuses_growth_and_takes_overwrites() {
    let (world, process) = world_with_file(1, Faults::default(), 4);
    world.set_capacity(4 * PAGE as u64);
    let (disk, file) = open(&world, process, OpenMode::Existing).expect("open");
    let free = world.clone();
    world.block_on(process, async move {
        disk.write_at(&file, 0, page(1, 4))
            .await
            .expect("overwrite");
        let error = disk.write_at(&file, 4 * PAGE as u64, page(1, 1)).await;
        assert_eq!(error.expect_err("full").raw_os_error(), Some(28));
        let error = disk.open(Path::new("new"), OpenMode::CreateNew).await;
        assert_eq!(error.expect_err("full").raw_os_error(), Some(28));
        assert_eq!(disk.free_bytes(Path::new("")).await.expect("free"), 0);
        free.set_capacity(5 * PAGE as u64);
        disk.write_at(&file, 4 * PAGE as u64, page(1, 1))
            .await
            .expect("room again");
    });
}

#[test]
fn lost_torn_flipped_and_misdirected_writes_say_ok_and_are_listed() {
    for fault in [Fault::Lost, Fault::Torn, Fault::Flip, Fault::Misdirected] {
        let (world, process) = world_with_file(11, Faults::default(), 64);
        world.set_faults(Faults {
            // The first operation of `write_one` opens the file.
            planned: [(world.operations() + 2, fault)].into(),
            ..Faults::default()
        });
        write_one(&world, process, true, page(4, 8)).expect("the device lies");
        let bytes = contents(&world);
        assert_ne!(sectors_of(&bytes[..8 * PAGE], 4), 64, "{fault:?}");
        let elsewhere = sectors_of(&bytes[8 * PAGE..], 4);
        assert_eq!(elsewhere > 0, fault == Fault::Misdirected, "{fault:?}");
        let fired = world.fired();
        assert!(!fired.is_empty() && fired.iter().all(|f| f.fault == fault));
        assert!(fault.is_silent());
    }
}

#[test]
fn a_stalled_operation_takes_seconds_and_one_that_never_ends_does_not_block_others() {
    let (world, process) = world_with_file(5, Faults::default(), 16);
    let (mut io, file) = io_on_file(&world, process);
    let next = world.operations() + 1;
    world.set_faults(Faults {
        planned: [(next, Fault::Stall), (next + 1, Fault::Never)].into(),
        ..Faults::default()
    });
    let start = world.now().monotonic_ns;
    for token in 0..3 {
        io.write(file, token * PAGE as u64, page(1, 1), token);
    }
    let done = drive(&world, &mut io, 3);
    let tokens: Vec<u64> = done.iter().map(|d| d.token).collect();
    assert_eq!(tokens, [2, 0]);
    assert!(world.now().monotonic_ns - start >= 1_000_000_000);
}

#[test]
fn completions_come_in_any_order() {
    let orders: std::collections::BTreeSet<Vec<u64>> = (0..50)
        .map(|seed| {
            let (world, process) = world_with_file(seed, Faults::default(), 16);
            let (mut io, file) = io_on_file(&world, process);
            for token in 0..4 {
                io.write_durable(file, token * PAGE as u64, page(1, 1), token);
            }
            drive(&world, &mut io, 4).iter().map(|d| d.token).collect()
        })
        .collect();
    assert!(orders.len() > 10);
}

#[test]
fn a_name_is_durable_only_after_its_folder_is_synced() {
    let (mut vanished, mut stayed) = (0, 0);
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 1);
        let disk = world.disk(process);
        world
            .block_on(process, async move {
                disk.rename(Path::new("log"), Path::new("other")).await
            })
            .expect("renamed");
        world.power_cut();
        match world.files()[0].to_str() {
            Some("log") => vanished += 1,
            _ => stayed += 1,
        }
        assert_eq!(world.files().len(), 1);
    }
    assert!(vanished > 10 && stayed > 10);
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 1);
        let disk = world.disk(process);
        world
            .block_on(process, async move {
                disk.rename(Path::new("log"), Path::new("other")).await?;
                disk.sync_dir(Path::new("")).await
            })
            .expect("renamed");
        world.power_cut();
        assert_eq!(world.files(), [Path::new("other")]);
    }
}

#[test]
fn changes_of_one_folder_survive_as_a_prefix() {
    for seed in 0..200 {
        let world = World::new(seed, Faults::default());
        let process = world.process();
        let disk = world.disk(process);
        world
            .block_on(process, async move {
                disk.create_dir_all(Path::new("a/b")).await?;
                disk.sync_dir(Path::new("")).await?;
                disk.sync_dir(Path::new("a")).await?;
                for name in ["a/b/1", "a/b/2", "a/b/3"] {
                    disk.open(Path::new(name), OpenMode::CreateNew).await?;
                }
                disk.remove(Path::new("a/b/1")).await
            })
            .expect("a faultless disk");
        world.power_cut();
        let names = world.files();
        let states: [&[&str]; 5] = [
            &[],
            &["a/b/1"],
            &["a/b/1", "a/b/2"],
            &["a/b/1", "a/b/2", "a/b/3"],
            &["a/b/2", "a/b/3"],
        ];
        assert!(
            states.iter().any(|state| names
                .iter()
                .map(|n| n.to_str().expect("utf-8"))
                .eq(state.iter().copied())),
            "{names:?}"
        );
    }
}

#[test]
fn folders_that_were_not_synced_take_what_is_in_them_along() {
    let vanished = (0..100).any(|seed| {
        let world = World::new(seed, Faults::default());
        let process = world.process();
        let disk = world.disk(process);
        world
            .block_on(process, async move {
                disk.create_dir_all(Path::new("a")).await?;
                let file = disk.open(Path::new("a/1"), OpenMode::CreateNew).await?;
                disk.flush(&file).await?;
                disk.sync_dir(Path::new("a")).await
            })
            .expect("a faultless disk");
        world.power_cut();
        world.files().is_empty()
    });
    assert!(vanished);
}

#[test]
fn lengths_are_durable_only_after_a_flush() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let (world, process) = world_with_file(seed, Faults::default(), 2);
        let (disk, file) = open(&world, process, OpenMode::Existing).expect("open");
        world
            .block_on(process, async move {
                disk.set_len(&file, PAGE as u64).await?;
                disk.set_len(&file, 4 * PAGE as u64).await
            })
            .expect("sized");
        world.power_cut();
        lengths.insert(contents(&world).len() / PAGE);
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn misaligned_input_is_refused_as_direct_io_does() {
    let (world, process) = world_with_file(1, Faults::default(), 4);
    let (disk, file) = open(&world, process, OpenMode::Existing).expect("open");
    world.block_on(process, async move {
        let odd = disk.write_at(&file, 512, page(1, 1)).await;
        assert_eq!(odd.expect_err("position").raw_os_error(), Some(22));
        let odd = disk.write_at(&file, 0, page(1, 1).slice(..512)).await;
        assert_eq!(odd.expect_err("length").raw_os_error(), Some(22));
        assert!(disk.read_at(&file, 0, 100).await.is_err());
    });
}

#[test]
fn a_planned_power_cut_and_a_planned_kill_halt_the_world() {
    for (fault, wanted) in [(Fault::PowerCut, true), (Fault::Kill, false)] {
        let (world, process) = world_with_file(1, Faults::default(), 4);
        let (mut io, file) = io_on_file(&world, process);
        world.set_faults(Faults {
            planned: [(world.operations() + 2, fault)].into(),
            ..Faults::default()
        });
        io.write(file, 0, page(1, 1), 1);
        io.write(file, 0, page(1, 1), 2);
        io.turn(Wait::Forever, &mut Vec::new()).expect("a turn");
        match world.step() {
            Step::Halted(Halt::PowerCut) => assert!(wanted),
            Step::Halted(Halt::Kill(dead)) => assert!(!wanted && dead == process),
            other => panic!("{other:?}"),
        }
        if wanted {
            world.power_cut();
        } else {
            world.kill(process);
        }
        let next = world.process();
        assert!(open(&world, next, OpenMode::Existing).is_ok());
    }
}

#[test]
fn the_wall_clock_jumps_and_the_monotonic_clock_does_not() {
    let world = World::new(1, Faults::default());
    let before = world.now();
    world.jump_wall_ms(-3_600_000);
    let after = world.now();
    assert_eq!(after.wall_ms, before.wall_ms - 3_600_000);
    assert_eq!(after.monotonic_ns, before.monotonic_ns);
}

/// Answers every byte with the same byte, and stops receiving when the peer has closed.
struct Echo {
    listener: Option<SimListener>,
    other: Option<SimWaker>,
    turns: usize,
    sockets: Vec<(crate::SocketId, Vec<Bytes>, bool)>,
}

impl Echo {
    fn new(listener: Option<SimListener>) -> Self {
        Self {
            listener,
            other: None,
            turns: 0,
            sockets: Vec::new(),
        }
    }

    fn flush(&mut self, io: &mut SimIo) {
        for (index, (socket, waiting, busy)) in self.sockets.iter_mut().enumerate() {
            if !*busy && !waiting.is_empty() {
                *busy = true;
                io.send(*socket, std::mem::take(waiting), 1000 + index as u64);
            }
        }
    }
}

impl Service<SimIo> for Echo {
    fn completion(&mut self, io: &mut SimIo, done: Completion<SimStream, Bytes>) {
        let index = done.token as usize;
        match done.payload {
            Payload::Accepted(stream) => {
                let socket = io.adopt_socket(stream).expect("adopted");
                let index = self.sockets.len() as u64;
                self.sockets.push((socket, Vec::new(), false));
                io.receive(socket, index);
            }
            Payload::Received(bytes) if bytes.is_empty() => {
                assert!(!done.more);
            }
            Payload::Received(bytes) => self.sockets[index].1.push(bytes),
            Payload::Sent(_) => {
                if done.result.is_ok() {
                    self.sockets[index - 1000].2 = false;
                }
            }
            _ => {
                let error = done.result.expect_err("an ended receive");
                if error.raw_os_error() == Some(105) {
                    io.receive(self.sockets[index].0, done.token);
                }
            }
        }
    }

    fn turn(&mut self, io: &mut SimIo, _now: Moment) -> Pace {
        self.turns += 1;
        if let Some(listener) = self.listener.take() {
            let listener = io.adopt_listener(listener).expect("adopted");
            io.accept(listener, 500);
        }
        if let Some(other) = &self.other {
            io.wake(other);
        }
        self.flush(io);
        Pace::default()
    }
}

/// Steps a world with one echo thread until nothing happens; clients read when told.
fn echo_all(
    world: &World,
    thread: &mut SimThread<Echo>,
    clients: &[(SimClient, Vec<u8>)],
) -> Vec<Vec<u8>> {
    let mut answers = vec![Vec::new(); clients.len()];
    loop {
        match world.step() {
            Step::Turn(_) => {
                thread.turn();
            }
            Step::Ran => {}
            Step::Halted(halt) => panic!("{halt:?}"),
            Step::Idle => {
                let mut any = false;
                for (answer, (client, _)) in answers.iter_mut().zip(clients) {
                    let bytes = client.receive();
                    any |= !bytes.is_empty();
                    answer.extend(bytes);
                }
                if !any {
                    return answers;
                }
            }
        }
    }
}

#[test]
fn bytes_cross_the_network_in_order_and_in_pieces_at_the_readers_pace() {
    for seed in 0..15 {
        let faults = Faults {
            no_buffers: 100_000,
            ..Faults::default()
        };
        let world = World::new(seed, faults);
        let process = world.process();
        let listener = world.listen(process, 10911).expect("free");
        assert!(world.listen(process, 10911).is_err());
        let mut thread = SimThread::new(world.io(process), Echo::new(Some(listener)));
        let clients: Vec<(SimClient, Vec<u8>)> = (0..3u32)
            .map(|n| {
                let client = world.connect(10911);
                let bytes: Vec<u8> = (0..100_000u32)
                    .map(|i| ((i * (n + 3)) >> 3) as u8)
                    .collect();
                client.send(bytes.clone());
                (client, bytes)
            })
            .collect();
        let answers = echo_all(&world, &mut thread, &clients);
        for ((client, sent), received) in clients.iter().zip(&answers) {
            assert!(
                sent == received,
                "seed {seed}: {} of {}",
                received.len(),
                sent.len()
            );
            assert_eq!(client.state(), ClientState::Open);
        }
    }
}

#[test]
fn a_port_without_listener_refuses_and_a_killed_server_resets() {
    let world = World::new(1, Faults::default());
    let process = world.process();
    let refused = world.connect(1);
    let listener = world.listen(process, 2).expect("free");
    let mut thread = SimThread::new(world.io(process), Echo::new(Some(listener)));
    let client = world.connect(2);
    client.send(&b"hello"[..]);
    let pairs = [(client, Vec::new())];
    assert_eq!(echo_all(&world, &mut thread, &pairs), [b"hello"]);
    assert_eq!(refused.state(), ClientState::Refused);
    world.kill(process);
    while world.step() != Step::Idle {}
    assert_eq!(pairs[0].0.state(), ClientState::Reset);
    assert!(world.listen(world.process(), 2).is_ok());
}

#[test]
fn a_closed_client_is_seen_as_an_end_and_a_reset_one_as_an_error() {
    let world = World::new(9, Faults::default());
    let process = world.process();
    let listener = world.listen(process, 2).expect("free");
    let mut io = world.io(process);
    let listener = io.adopt_listener(listener).expect("adopted");
    io.accept(listener, 1);
    let (ending, resetting) = (world.connect(2), world.connect(2));
    let accepted = drive(&world, &mut io, 2);
    let mut sockets = Vec::new();
    for done in accepted {
        let Payload::Accepted(stream) = done.payload else {
            panic!("an accept gives a connection");
        };
        let socket = io.adopt_socket(stream).expect("adopted");
        io.receive(socket, 10);
        sockets.push(socket);
    }
    ending.close();
    resetting.reset();
    let done = drive(&world, &mut io, 2);
    assert_eq!(done.iter().filter(|d| d.result.is_ok()).count(), 1);
    assert!(done.iter().all(|d| !d.more));
    for socket in sockets {
        io.close_socket(socket);
    }
    while world.step() != Step::Idle {
        io.begin(&mut Vec::new());
        io.turn(Wait::Forever, &mut Vec::new()).expect("a turn");
    }
    assert_eq!(ending.state(), ClientState::Ended);
    assert_eq!(resetting.state(), ClientState::Reset);
}

#[test]
fn ios_wake_each_other_and_sleep_until_then() {
    let world = World::new(4, Faults::default());
    let process = world.process();
    let mut one = SimThread::new(world.io(process), Echo::new(None));
    let mut two = SimThread::new(world.io(process), Echo::new(None));
    one.turn();
    two.turn();
    assert_eq!(world.step(), Step::Idle);
    one.service.other = Some(two.io.waker());
    one.turn();
    assert_eq!(world.step(), Step::Turn(two.number()));
    two.turn();
    assert_eq!(world.step(), Step::Idle);
    assert_eq!(two.service.turns, 2);
}

/// A story with everything in it; its hash.
fn story(seed: u64) -> u64 {
    let faults = Faults {
        read_error: 50_000,
        write_error: 30_000,
        flush_error: 30_000,
        short_write: 100_000,
        misdirected_write: 30_000,
        stall: 10_000,
        reset: 5_000,
        ..Faults::default()
    };
    let (world, process) = world_with_file(seed, faults, 64);
    let listener = world.listen(process, 2).expect("free");
    let mut thread = SimThread::new(world.io(process), Echo::new(Some(listener)));
    for name in ["a", "b", "c"] {
        let disk = world.disk(process);
        world.spawn(process, async move {
            for round in 0..6u64 {
                let Ok(file) = disk.open(Path::new(name), OpenMode::CreateOrTruncate).await else {
                    continue;
                };
                let _ = disk.write_at(&file, round * PAGE as u64, page(1, 4)).await;
                let _ = disk.read_at(&file, 0, 8 * PAGE).await;
                let _ = disk.flush(&file).await;
            }
        });
    }
    let client = world.connect(2);
    client.send(vec![7; 20_000]);
    let stop = world.choose_below(400);
    for step in 0.. {
        match world.step() {
            Step::Turn(_) => {
                thread.turn();
            }
            Step::Ran => {}
            Step::Idle | Step::Halted(_) => break,
        }
        client.receive();
        if step == stop {
            world.power_cut();
        }
    }
    for path in world.files() {
        let mut sum = 0u64;
        for chunk in world.contents(&path).expect("there").chunks_exact(8) {
            let number = chunk
                .first_chunk::<8>()
                .map_or(0, |c| u64::from_le_bytes(*c));
            sum = sum.rotate_left(5) ^ number;
        }
        world.note(sum, "");
    }
    world.trace_hash()
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_seed_another() {
    let hashes: std::collections::BTreeSet<u64> = (0..100)
        .map(|seed| {
            let hash = story(seed);
            assert_eq!(hash, story(seed), "seed {seed}");
            hash
        })
        .collect();
    assert_eq!(hashes.len(), 100);
}

/// Stops at once, or asks for the next turn at a deadline.
struct Paced(Pace);

impl Service<SimIo> for Paced {
    fn completion(&mut self, _io: &mut SimIo, _done: Completion<SimStream, Bytes>) {}

    fn turn(&mut self, _io: &mut SimIo, _now: Moment) -> Pace {
        self.0
    }
}

#[test]
fn a_stopped_thread_that_is_woken_does_not_keep_time_from_passing() {
    let world = World::new(5, Faults::default());
    let stop = Pace {
        stop: true,
        ..Pace::default()
    };
    let mut thread = SimThread::new(world.io(world.process()), Paced(stop));
    thread.turn();
    assert!(thread.is_stopped());
    thread.io.waker().wake();
    assert_eq!(world.step(), Step::Turn(thread.number()));
    thread.turn();
    assert_eq!(world.step(), Step::Idle);
}

#[test]
fn only_turns_towards_a_deadline_that_has_passed_are_late() {
    let world = World::new(6, Faults::default());
    let late = Pace {
        deadline_ns: Some(1),
        ..Pace::default()
    };
    let mut thread = SimThread::new(world.io(world.process()), Paced(late));
    for turns in 1..=3 {
        world.step();
        thread.turn();
        assert_eq!(thread.late_turns, turns);
    }
    for waits in [None, Some(u64::MAX)] {
        thread.service.0.deadline_ns = waits;
        thread.io.waker().wake();
        thread.turn();
        assert_eq!(thread.late_turns, 0);
    }
}

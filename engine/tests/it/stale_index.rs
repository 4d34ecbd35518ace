//! Index segments that lie where the log has yet to write.

use std::path::PathBuf;

use ringmq_engine::Config;
use ringmq_ring::sim::World;
use ringmq_ring::{Disk, OpenMode};

use super::desk::{Desk, small};

fn index_path(segment: u64) -> PathBuf {
    PathBuf::from(format!("data/shard-00/index/{segment:016x}.idx"))
}

fn config() -> Config {
    Config {
        hot_tail_bytes: 128 << 10,
        ..small()
    }
}

fn fill(desk: &mut Desk, count: u64) {
    let queue = desk.queue(0);
    let from = desk.shard().offsets(queue).max;
    for mark in from..from + count {
        desk.append(queue, mark, 20_000);
    }
    desk.until("index segments", |desk| {
        (desk.shard().status().indexes_waiting == 0).then_some(())
    });
}

/// The index segment of segment 1 of a store like the ones below, with other records in it.
fn of_another_life() -> Vec<u8> {
    let mut desk = Desk::new(41, config());
    let other = desk.queue(9);
    desk.append(other, 0, 10);
    fill(&mut desk, 120);
    desk.world.contents(&index_path(1)).expect("two are full")
}

fn plant(world: &World, bytes: &[u8]) {
    let process = world.process();
    let disk = world.disk(process);
    let made = world.block_on(process, async move {
        disk.open(&index_path(1), OpenMode::CreateNew).await?;
        disk.sync_dir(&PathBuf::from("data/shard-00/index")).await
    });
    made.expect("the folder is there");
    world.replace(&index_path(1), bytes).expect("its bytes");
    world.kill(process);
}

#[test]
fn an_index_of_a_segment_that_the_log_has_yet_to_write_hides_nothing() {
    let stale = of_another_life();
    let mut desk = Desk::new(42, config());
    fill(&mut desk, 20);
    assert_eq!(desk.shard().status().segments, 1);
    // Its segment was set aside, or taken by a power cut; the index file was not.
    let mut desk = desk.restart(|world| plant(world, &stale));
    // Begins to write that segment, and later fills it.
    for (count, all) in [(5, 25), (150, 175)] {
        fill(&mut desk, count);
        desk = desk.restart(|_| {});
        let queue = desk.queue(0);
        let expected: Vec<_> = (0..all).map(|offset| (offset, offset)).collect();
        assert_eq!(desk.read_all(queue, 0), expected);
    }
}

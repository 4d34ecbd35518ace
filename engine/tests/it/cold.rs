//! What is no longer in memory: index segments, cold reads, offsets by time, retention.

use std::path::{Path, PathBuf};

use ringmq_engine::config::Config;
use ringmq_engine::{Appended, Boundary, PullStatus, QueueNumber};
use ringmq_ring::sim::Faults;

use super::desk::{Desk, records, small};

const LEN: usize = 20_000;

/// The least memory for what was written, so that old records are read from the disk.
fn forgetful() -> Config {
    Config {
        hot_tail_bytes: 128 << 10,
        ..small()
    }
}

fn index_path(segment: u64) -> PathBuf {
    PathBuf::from(format!("data/shard-00/index/{segment:016x}.idx"))
}

/// Two queues, `count` records in turn, marks from `from` on. The second queue rests every third record.
fn fill(desk: &mut Desk, from: u64, count: u64) -> (QueueNumber, QueueNumber, Vec<Appended>) {
    let (one, two) = (desk.queue(0), desk.queue(1));
    let mut places = Vec::new();
    for mark in from..from + count {
        let queue = if mark % 3 == 2 { two } else { one };
        places.push(desk.append(queue, mark, LEN));
        if mark % 7 == 0 {
            desk.pass(5);
        }
    }
    (one, two, places)
}

fn expected(from: u64, count: u64, of_two: bool) -> Vec<(u64, u64)> {
    let marks = (from..from + count).filter(|mark| (mark % 3 == 2) == of_two);
    (0..).zip(marks).collect()
}

fn wait_for_indexes(desk: &mut Desk) {
    desk.until("index segments", |desk| {
        (desk.shard().status().indexes_waiting == 0).then_some(())
    });
}

#[test]
fn old_records_are_read_from_the_disk_in_order_and_complete() {
    let mut desk = Desk::new(1, forgetful());
    let (one, two, places) = fill(&mut desk, 0, 200);
    assert!(desk.shard().status().segments > 3);
    wait_for_indexes(&mut desk);
    assert_eq!(desk.read_all(one, 0), expected(0, 200, false));
    assert_eq!(desk.read_all(two, 0), expected(0, 200, true));
    assert_eq!(desk.read_all(two, 40).len(), 26);
    for (mark, place) in (0u64..).zip(&places).step_by(13) {
        let record = desk.view(place.physical).expect("the record");
        assert_eq!(records(&record), [(place.queue_offset, mark)]);
    }
}

#[test]
fn after_a_kill_everything_is_there_again_from_index_segments_and_log() {
    let mut desk = Desk::new(2, forgetful());
    let (one, two, _) = fill(&mut desk, 0, 200);
    let mut desk = desk.restart(|_| {});
    let (again, _, _) = fill(&mut desk, 200, 100);
    assert_eq!(one, again);
    let mut desk = desk.restart(|_| {});
    assert_eq!(desk.read_all(one, 0), expected(0, 300, false));
    assert_eq!(desk.read_all(two, 0), expected(0, 300, true));
}

#[test]
fn an_offset_is_found_by_store_time_in_memory_and_on_disk() {
    let mut desk = Desk::new(3, forgetful());
    let (one, two, places) = fill(&mut desk, 0, 200);
    for restart in [false, true] {
        if restart {
            desk = desk.restart(|_| {});
        }
        wait_for_indexes(&mut desk);
        for (queue, of_two) in [(one, false), (two, true)] {
            let times: Vec<i64> = (0u64..)
                .zip(&places)
                .filter(|(mark, _)| (mark % 3 == 2) == of_two)
                .map(|(_, place)| place.store_time_ms)
                .collect();
            let (first, last) = (times[0], times[times.len() - 1]);
            for ms in (first - 2..=last + 2).step_by(3) {
                let lower = times.partition_point(|&time| time < ms) as u64;
                assert_eq!(
                    desk.offset_by_time(queue, ms, Boundary::Lower),
                    lower,
                    "{ms}"
                );
                let upper = times.partition_point(|&time| time <= ms).saturating_sub(1) as u64;
                assert_eq!(
                    desk.offset_by_time(queue, ms, Boundary::Upper),
                    upper,
                    "{ms}"
                );
            }
        }
    }
}

#[test]
fn a_missing_index_segment_is_made_again_at_start() {
    let mut desk = Desk::new(4, forgetful());
    let (one, two, _) = fill(&mut desk, 0, 200);
    wait_for_indexes(&mut desk);
    for missing in 0..4 {
        desk = desk.restart(|world| {
            let process = world.process();
            let disk = world.disk(process);
            let removed = world.block_on(process, async move {
                ringmq_ring::Disk::remove(&disk, &index_path(missing)).await
            });
            removed.expect("it was there");
        });
        assert_eq!(
            desk.read_all(one, 0),
            expected(0, 200, false),
            "without {missing}"
        );
        assert_eq!(
            desk.read_all(two, 0),
            expected(0, 200, true),
            "without {missing}"
        );
        desk.until("the index segment", |desk| {
            desk.world.contents(&index_path(missing)).ok()
        });
    }
}

#[test]
fn a_damaged_index_segment_is_rebuilt_while_its_queues_are_busy() {
    let mut desk = Desk::new(5, forgetful());
    let (one, two, _) = fill(&mut desk, 0, 200);
    wait_for_indexes(&mut desk);
    for page in 1..5u64 {
        let healthy = desk.world.contents(&index_path(1)).expect("its bytes");
        desk = desk.restart(|world| {
            world
                .flip(&index_path(1), page * 4096 + 9, 3)
                .expect("a flip")
        });
        assert_eq!(
            desk.read_all(one, 0),
            expected(0, 200, false),
            "page {page}"
        );
        assert_eq!(desk.read_all(two, 0), expected(0, 200, true), "page {page}");
        let _ = desk.offset_by_time(one, 1, Boundary::Lower);
        if page < 4 {
            let rebuilt = desk.world.contents(&index_path(1)).expect("its bytes");
            assert!(rebuilt == healthy, "page {page}");
        }
    }
}

#[test]
fn a_byte_budget_retires_the_oldest_segments_and_moves_the_minimum_for_good() {
    let mut config = forgetful();
    config.retention.bytes = Some(1 << 20);
    let mut desk = Desk::new(6, config);
    let (one, two, places) = fill(&mut desk, 0, 300);
    let min = desk.until("retirement", |desk| {
        let min = desk.shard().offsets(one).min;
        (desk.shard().status().segments <= 4 && min > 0).then_some(min)
    });
    desk.pass(30_000);
    let min = desk.shard().offsets(one).min.max(min);
    for (queue, of_two) in [(one, false), (two, true)] {
        let offsets = desk.shard().offsets(queue);
        let all = expected(0, 300, of_two);
        assert!(offsets.min > 0 && offsets.max == all.len() as u64);
        assert_eq!(
            desk.read_all(queue, offsets.min),
            all[offsets.min as usize..]
        );
        let result = desk.pull(queue, offsets.min - 1, 1);
        assert_eq!(
            (result.status, result.next),
            (PullStatus::TooSmall, offsets.min)
        );
        assert_eq!(desk.offset_by_time(queue, 0, Boundary::Lower), offsets.min);
    }
    assert_eq!(desk.view(places[0].physical), None);
    let before = desk.shard().offsets(two);
    let mut desk = desk.restart(|_| {});
    assert!(desk.shard().offsets(one).min >= min);
    assert!(desk.shard().offsets(two).min >= before.min);
    assert_eq!(desk.shard().offsets(two).max, before.max);
    let from = desk.shard().offsets(one).min;
    assert_eq!(
        desk.read_all(one, from),
        expected(0, 300, false)[from as usize..]
    );
    assert!(desk.world.contents(Path::new(&index_path(0))).is_err());
}

#[test]
fn while_an_index_segment_cannot_be_written_its_records_and_the_newer_ones_are_readable() {
    let mut desk = Desk::new(7, forgetful());
    let fails = Faults {
        write_error: 1_000_000,
        paths: vec![format!("{:016x}.idx.tmp", 0)],
        ..Faults::default()
    };
    desk.world.set_faults(fails);
    let (one, two, _) = fill(&mut desk, 0, 120);
    let status = desk.shard().status();
    assert_eq!((status.segments, status.indexes_waiting), (3, 2));
    for _ in 0..20 {
        desk.pass(100);
        assert_eq!(desk.read_all(one, 0), expected(0, 120, false));
        assert_eq!(desk.read_all(two, 0), expected(0, 120, true));
    }
    assert!(desk.world.contents(&index_path(1)).is_err());
    desk.world.set_faults(Faults::default());
    wait_for_indexes(&mut desk);
    assert_eq!(desk.read_all(one, 0), expected(0, 120, false));
    assert_eq!(desk.read_all(two, 0), expected(0, 120, true));
}

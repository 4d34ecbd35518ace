//! A disk that is full, fails or loses power under a shard that works.

use ringmq_engine::config::{Config, Durability};
use ringmq_engine::{Event, PullStatus, Refused};
use ringmq_ring::sim::{Fault, Faults};

use super::desk::{Desk, records, small};

#[test]
fn a_full_disk_refuses_sends_serves_pulls_and_commits_and_heals() {
    let mut desk = Desk::new(11, small());
    let queue = desk.queue(0);
    desk.append(queue, 0, 1000);
    desk.until("segments ahead", |desk| {
        (desk.shard().status().segments_ahead >= 2).then_some(())
    });
    desk.world.set_capacity(0);
    let mut stored = 1;
    let refused = desk.until("the refusal", |desk| {
        match desk.begin_append(queue, stored, 50_000) {
            Ok(_) => {
                stored += 1;
                None
            }
            Err(Refused::Busy(_)) => None,
            Err(refused) => Some(refused),
        }
    });
    assert_eq!(refused, Refused::Full);
    desk.pass(100);
    assert_eq!(desk.read_all(queue, 0).len() as u64, stored);
    desk.shard().commit_offset("g", queue, 3);
    desk.nudge();
    desk.pass(3_000);
    assert_eq!(
        desk.begin_append(queue, stored, 50_000).err(),
        Some(Refused::Full)
    );
    desk.world.set_capacity(u64::MAX);
    desk.pass(5_000);
    for mark in stored..stored + 40 {
        desk.append(queue, mark, 50_000);
    }
    let mut desk = desk.restart(|_| {});
    assert_eq!(desk.shard().committed_offset("g", queue), Some(3));
    assert_eq!(desk.read_all(queue, 0).len() as u64, stored + 40);
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged_and_the_shard_has_failed() {
    for fault in [Fault::Error, Fault::ErrorForGood] {
        let mut desk = Desk::new(12, small());
        let queue = desk.queue(0);
        for mark in 0..5 {
            desk.append(queue, mark, 1000);
        }
        desk.pass(3_000);
        let next = desk.world.operations() + 1;
        desk.world.set_faults(Faults {
            planned: [(next, fault)].into(),
            ..Faults::default()
        });
        assert!(desk.begin_append(queue, 5, 1000).is_ok());
        desk.nudge();
        desk.until("the failure", |desk| {
            desk.thread.service.pace.failed.then_some(())
        });
        let events = std::mem::take(&mut desk.thread.service.events);
        assert!(
            matches!(events[..], [Event::Failed { ticket: 1_000_005 }]),
            "{events:?}"
        );
        assert_eq!(desk.begin_append(queue, 6, 10).err(), Some(Refused::Failed));
        assert_eq!(desk.shard().offsets(queue).max, 5);
        let mut desk = desk.restart(|world| world.set_faults(Faults::default()));
        let all = desk.read_all(queue, 0);
        assert!(all.len() == 5 || all.len() == 6);
    }
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    for seed in 0..20 {
        let mut desk = Desk::new(100 + seed, small());
        let queue = desk.queue(0);
        for mark in 0..30 {
            desk.append(queue, mark, 1000 + 7000 * (mark as usize % 5));
        }
        let _ = desk.begin_append(queue, 30, 600_000);
        for _ in 0..seed {
            desk.step();
        }
        let mut desk = desk.restart(|world| world.power_cut());
        let all = desk.read_all(queue, 0);
        assert!(all.len() >= 30, "seed {seed}: {} of 30", all.len());
        assert!(all.iter().all(|&(offset, mark)| offset == mark));
        let appended = desk.append(queue, 31, 100);
        assert_eq!(appended.queue_offset, all.len() as u64, "seed {seed}");
    }
}

#[test]
fn without_waiting_for_flushes_what_is_older_than_half_a_second_survives_a_power_cut() {
    let config = Config {
        durability: Durability::Async,
        ..small()
    };
    for seed in 0..10 {
        let mut desk = Desk::new(200 + seed, config.clone());
        let queue = desk.queue(0);
        for mark in 0..40 {
            desk.append(queue, mark, 30_000);
        }
        desk.pass(500);
        let status = desk.shard().status();
        assert_eq!(status.durable, status.written, "seed {seed}");
        desk.append(queue, 40, 30_000);
        let mut desk = desk.restart(|world| world.power_cut());
        let all = desk.read_all(queue, 0);
        assert!((40..=41).contains(&all.len()), "seed {seed}: {}", all.len());
        assert_eq!(desk.append(queue, 50, 10).queue_offset, all.len() as u64);
    }
}

#[test]
fn a_record_longer_than_a_block_is_stored_read_and_recovered_whole() {
    let mut desk = Desk::new(
        13,
        Config {
            hot_tail_bytes: 128 << 10,
            ..small()
        },
    );
    let queue = desk.queue(0);
    let mut places = Vec::new();
    for mark in 0..12 {
        places.push(desk.append(queue, mark, if mark % 3 == 0 { 900_000 } else { 100 }));
    }
    let too_large = desk.begin_append(queue, 99, 1 << 20);
    assert!(matches!(too_large, Err(Refused::TooLarge { .. })));
    for _ in 0..2 {
        for (mark, place) in (0u64..).zip(&places) {
            let result = desk.pull(queue, mark, 1);
            assert_eq!(result.status, PullStatus::Found);
            assert_eq!(records(&result.records[0])[0], (mark, mark));
            assert!(desk.view(place.physical).is_some());
        }
        desk = desk.restart(|world| world.power_cut());
    }
}

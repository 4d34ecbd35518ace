//! What a stop, a kill or a power cut must not change.

use ringmq_engine::PullStatus;

use super::desk::{Desk, small};

#[test]
fn a_clean_stop_finishes_what_is_in_flight_and_the_next_run_goes_on_in_place() {
    let mut desk = Desk::new(21, small());
    let queue = desk.queue(0);
    desk.until("the whole first segment", |desk| {
        (desk.shard().status().segments_ahead >= 2).then_some(())
    });
    for mark in 0..10 {
        desk.append(queue, mark, 1000);
    }
    assert!(desk.begin_append(queue, 10, 1000).is_ok());
    desk.shard().commit_offset("g", queue, 4);
    desk.nudge();
    for round in 0..3 {
        desk.shard().stop();
        desk.nudge();
        desk.until("the stop", |desk| {
            desk.thread.service.pace.stopped.then_some(())
        });
        let status = desk.shard().status();
        assert_eq!(status.durable, status.appended);
        desk = desk.restart(|_| {});
        assert_eq!(desk.shard().status().segments, 1, "round {round}");
        assert_eq!(desk.shard().committed_offset("g", queue), Some(4));
        assert_eq!(desk.read_all(queue, 0).len(), 11 + round);
        desk.append(queue, 100 + round as u64, 10);
    }
}

#[test]
fn a_group_whose_offsets_were_forgotten_has_none_after_a_kill() {
    let mut desk = Desk::new(22, small());
    let queue = desk.queue(0);
    desk.append(queue, 0, 10);
    desk.append(queue, 1, 10);
    desk.shard().commit_offset("g", queue, 1);
    desk.nudge();
    desk.pass(2_500);
    desk.shard().forget_group_offsets("g");
    desk.nudge();
    assert_eq!(desk.shard().committed_offset("g", queue), None);
    desk.pass(2_500);
    let mut desk = desk.restart(|_| {});
    assert_eq!(desk.shard().committed_offset("g", queue), None);
}

#[test]
fn the_minimum_of_a_queue_never_goes_back_when_its_segment_has_gone() {
    for seed in 0..8 {
        let mut config = small();
        config.retention.bytes = Some(1 << 20);
        let mut desk = Desk::new(300 + seed, config);
        let (busy, quiet) = (desk.queue(0), desk.queue(1));
        desk.append(quiet, 0, 10);
        for mark in 1..100 {
            desk.append(busy, mark, 50_000);
        }
        let first = std::path::Path::new("data/shard-00/log/0000000000000000.log");
        desk.until("a segment gone", |desk| {
            desk.world.contents(first).is_err().then_some(())
        });
        let before = [busy, quiet].map(|queue| desk.shard().offsets(queue));
        assert_eq!((before[1].min, before[1].max), (1, 1));
        let mut desk = desk.restart(|world| world.power_cut());
        for (queue, before) in [busy, quiet].into_iter().zip(before) {
            let after = desk.shard().offsets(queue);
            assert!(after.min >= before.min, "seed {seed}: {before:?} {after:?}");
            let result = desk.pull(queue, before.min - 1, 1);
            assert_eq!(result.status, PullStatus::TooSmall);
        }
    }
}

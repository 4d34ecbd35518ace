//! The disk fills up and empties again; the clock jumps.

use std::time::Duration;

use ringmq_engine::log::retention::Hours;
use ringmq_engine::{Boundary, PullStatus, Refused};

use super::desk::{Desk, small};

#[test]
fn a_full_disk_refuses_appends_while_pulls_and_commits_go_on_and_heals() {
    let mut desk = Desk::new(11, small());
    let queue = desk.queue(0);
    desk.append(queue, 0, 20_000);
    desk.until("two segments ahead", |desk| {
        (desk.shard().status().segments_ahead == 2).then_some(())
    });
    desk.world.set_capacity(3 << 20);
    let mut stored = 1;
    let refused = loop {
        match desk.try_append(queue, stored, 20_000) {
            Ok(_) => stored += 1,
            Err(Refused::Busy(_)) => desk.pass(5),
            Err(refused) => break refused,
        }
        assert!(stored < 1000);
    };
    assert_eq!(refused, Refused::Full);
    assert!(stored > 40, "the active segment is used up: {stored}");
    assert!(
        desk.shard().status().segments_ahead > 0,
        "a reserve for commits"
    );
    desk.shard().commit_offset("group", queue, 7);
    assert_eq!(desk.shard().committed_offset("group", queue), Some(7));
    assert_eq!(desk.read_all(queue, 0).len() as u64, stored);
    desk.pass(3_000);
    assert_eq!(
        desk.try_append(queue, stored, 20_000).err(),
        Some(Refused::Full)
    );
    desk.world.set_capacity(1 << 30);
    desk.append(queue, stored, 20_000);
    assert_eq!(desk.read_all(queue, 0).len() as u64, stored + 1);
    let mut desk = desk.restart(|_| {});
    assert_eq!(desk.read_all(queue, 0).len() as u64, stored + 1);
    assert_eq!(desk.shard().committed_offset("group", queue), Some(7));
}

#[test]
fn a_clock_that_jumps_forward_does_not_delete_everything_at_once() {
    let mut config = small();
    config.retention.age_ms = 3_600_000;
    config.retention.delete_when = Hours::ALL;
    let mut desk = Desk::new(12, config);
    let queue = desk.queue(0);
    for mark in 0..250 {
        desk.append(queue, mark, 20_000);
    }
    desk.pass(20_000);
    assert_eq!(desk.shard().offsets(queue).min, 0);
    let year = Duration::from_secs(365 * 24 * 3600);
    desk.world.jump_wall_ms(year.as_millis() as i64);
    // Two hours later by its own count, but for the jump.
    desk.pass(300_000);
    assert_eq!(desk.shard().offsets(queue).min, 0, "held for ten minutes");
    desk.world.jump_wall_ms(-(year.as_millis() as i64));
    let held = desk.pull(queue, 0, 1);
    assert_eq!(held.status, PullStatus::Found);
    desk.append(queue, 250, 20_000);
    let newest = desk.offset_by_time(queue, i64::MAX, Boundary::Lower);
    assert_eq!(newest, 251);
}

#[test]
fn expired_segments_go_and_the_queue_goes_on() {
    let mut config = small();
    config.retention.age_ms = 60_000;
    config.retention.delete_when = Hours::ALL;
    let mut desk = Desk::new(13, config);
    let (busy, idle) = (desk.queue(0), desk.queue(1));
    for mark in 0..20 {
        desk.append(idle, mark, 20_000);
    }
    for mark in 20..150 {
        desk.append(busy, mark, 20_000);
    }
    desk.pass(90_000);
    for mark in 150..300 {
        desk.append(busy, mark, 20_000);
    }
    desk.until("retirement", |desk| {
        let offsets = desk.shard().offsets(idle);
        (offsets.min == offsets.max).then_some(())
    });
    // An empty queue: its minimum is its end, and it goes on from there.
    let offsets = desk.shard().offsets(idle);
    assert_eq!((offsets.min, offsets.max), (20, 20));
    assert_eq!(desk.pull(idle, 20, 1).status, PullStatus::NoNew);
    let old = desk.pull(idle, 3, 1);
    assert_eq!((old.status, old.next), (PullStatus::TooSmall, 20));
    assert_eq!(desk.append(idle, 999, 100).queue_offset, 20);
    desk.pass(25_000);
    let mut desk = desk.restart(|_| {});
    assert_eq!(desk.shard().offsets(idle).max, 21);
    assert_eq!(desk.read_all(idle, 20), [(20, 999)]);
    let from = desk.shard().offsets(busy).min;
    let expected: Vec<(u64, u64)> = (from..280).map(|offset| (offset, offset + 20)).collect();
    assert_eq!(desk.read_all(busy, from), expected);
}

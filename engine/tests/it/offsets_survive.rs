use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_ring::sim::{Faults, Latency};

#[test]
fn a_committed_offset_is_shown_at_once_and_survives_a_kill_after_a_second() {
    let mut store = Store::new(51, small_config());
    let (shard, queue) = store.queue("orders", 0);
    for _ in 0..10 {
        store.send("orders", 0, b"x");
    }
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 7));
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(7)
    );
    // A second to the record, at most another to its block.
    store.pass_ms(2_500);
    let mut store = store.cut_and_open();
    let (shard, queue) = store.queue("orders", 0);
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(7)
    );
    assert_eq!(store.shard(shard).committed_offset("others", queue), None);
}

#[test]
fn a_clean_stop_keeps_the_newest_offsets() {
    let mut store = Store::new(52, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.send("orders", 0, b"x");
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 1));
    let mut store = store.stop_and_open();
    let (shard, queue) = store.queue("orders", 0);
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(1)
    );
}

#[test]
fn a_stop_before_the_first_segment_of_the_run_keeps_the_offsets() {
    let mut store = Store::new(56, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.send("orders", 0, b"x");
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 0));
    store.pass_ms(2_500);
    // The control plane takes its time over the first segment.
    store.world.set_faults(Faults {
        latency: Latency {
            read_ns: (50_000_000, 60_000_000),
            ..Latency::default()
        },
        ..Faults::default()
    });
    let mut store = store.kill_and_begin();
    store.pass_ms(10);
    assert!(!store.shard(shard).is_ready(), "the run has begun already");
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 1));
    let store = store.stop_and_open();
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(1)
    );
}

#[test]
fn a_clean_stop_keeps_the_offsets_that_a_busy_log_refused() {
    let mut store = Store::new(57, small_config());
    let (shard, queue) = store.queue("orders", 0);
    let mut sent = 0;
    while store.append("orders", 0, &body(sent)).is_ok() {
        sent += 1;
    }
    while store.append("orders", 0, b"x").is_ok() {}
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 0));
    let store = store.stop_and_open();
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(0)
    );
}

#[test]
fn an_offset_beyond_the_visible_end_is_clamped() {
    let mut store = Store::new(53, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.send("orders", 0, b"x");
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 99));
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(1)
    );
}

#[test]
fn a_forgotten_group_stays_forgotten() {
    let mut store = Store::new(54, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.send("orders", 0, b"x");
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 1));
    store.pass_ms(2_500);
    store.with(shard, |shard, _| shard.forget_group_offsets("readers"));
    assert_eq!(store.shard(shard).committed_offset("readers", queue), None);
    store.pass_ms(2_500);
    let mut store = store.kill_and_open();
    let (shard, queue) = store.queue("orders", 0);
    assert_eq!(store.shard(shard).committed_offset("readers", queue), None);
}

#[test]
fn many_offsets_come_back_from_the_checkpoint() {
    let mut store = Store::new(55, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.send("orders", 0, b"x");
    store.with(shard, |shard, _| {
        for group in 0..6_000 {
            shard.commit_offset(&format!("group-{group}"), queue, 1);
        }
    });
    let mut store = store.stop_and_open();
    let (shard, queue) = store.queue("orders", 0);
    for group in 0..6_000 {
        let offset = store
            .shard(shard)
            .committed_offset(&format!("group-{group}"), queue);
        assert_eq!(offset, Some(1), "group {group}");
    }
}

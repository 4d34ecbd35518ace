//! A stop ends in bounded time, whatever the disk does to the control plane, and keeps what it can.

use ringmq_ring::sim::{Faults, Latency};

use crate::store::{Store, small_config};

/// From now on the control plane's files take a minute for each operation.
fn stall_state_files(store: &Store) {
    store.world.set_faults(Faults {
        stall: 1_000_000,
        paths: vec!["/state".into()],
        latency: Latency {
            stall_ns: (60_000_000_000, 60_000_000_000),
            ..Latency::default()
        },
        ..Faults::default()
    });
}

#[test]
fn a_stop_goes_on_without_a_state_file_that_cannot_be_written_and_loses_nothing() {
    let mut store = Store::new(61, small_config());
    let (shard, queue) = store.queue("orders", 0);
    for number in 0..20u32 {
        store.send("orders", 0, &number.to_le_bytes());
    }
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 7));
    stall_state_files(&store);
    let asked_ns = store.world.now().monotonic_ns;
    store.ask_to_stop();
    store.run_until("stopped", |store| store.pace(0).stopped);
    let took_ns = store.world.now().monotonic_ns - asked_ns;
    assert!(took_ns < 15_000_000_000, "the stop took {took_ns} ns");
    store.world.set_faults(Faults::default());
    let mut store = store.kill_and_open();
    assert!(store.reports[0].clean, "the log itself was ended in order");
    assert_eq!(store.bodies("orders", 0).len(), 20);
    let (shard, queue) = store.queue("orders", 0);
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(7)
    );
}

use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_engine::Refused;
use ringmq_ring::sim::Faults;

#[test]
fn a_full_disk_refuses_sends_and_nothing_else_and_heals_by_itself() {
    let mut store = Store::new(91, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.run_until("prepared", |store| {
        store.shard(0).status().segments_ahead >= 2
    });
    store.world.set_faults(Faults {
        no_space: 1_000_000,
        paths: vec!["spare".into()],
        ..Faults::default()
    });
    let mut sent = 0;
    let refused = loop {
        match store.append("orders", 0, &body(sent)) {
            Ok((ticket, _)) => {
                store.stored(shard, ticket);
                sent += 1;
            }
            Err(Refused::Busy(_)) => store.pass_ms(5),
            Err(refused) => break refused,
        }
        assert!(sent < 1_000, "the disk is full");
    };
    assert_eq!(refused, Refused::Full);
    // Reads and commits go on.
    assert_eq!(store.bodies("orders", 0).len(), sent as usize);
    store.with(shard, |shard, _| shard.commit_offset("readers", queue, 3));
    store.pass_ms(3_000);
    let ticket = store.ticket();
    store.with(shard, |shard, _| {
        shard.put_group("readers", b"", ticket).unwrap()
    });
    store.stored(shard, ticket);
    assert!(store.shard(shard).status().refused_full > 0);
    // Space returns.
    store.world.set_faults(Faults::default());
    store.world.heal();
    store.run_until("healed", |store| {
        store.shard(0).status().segments_ahead >= 2
    });
    for _ in 0..200 {
        store.send("orders", 0, &body(sent));
        sent += 1;
    }
    let mut store = store.kill_and_open();
    let expected: Vec<_> = (0..sent).map(body).collect();
    assert!(store.bodies("orders", 0) == expected);
    let (shard, queue) = store.queue("orders", 0);
    assert_eq!(
        store.shard(shard).committed_offset("readers", queue),
        Some(3)
    );
}

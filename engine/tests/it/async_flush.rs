use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_engine::{Config, Durability};

fn config() -> Config {
    let mut config = small_config();
    config.durability = Durability::Async;
    config
}

#[test]
fn a_record_is_acknowledged_and_shown_at_written_and_flushed_within_half_a_second() {
    let mut store = Store::new(71, config());
    let (shard, queue) = store.queue("orders", 0);
    store.pass_ms(1_000);
    let before = store.world.now().monotonic_ns;
    store.send("orders", 0, b"quick");
    let status = store.shard(shard).status();
    assert!(status.durable < status.written, "{status:?}");
    assert_eq!(store.shard(shard).offsets(queue).max, 1);
    store.run_until("flushed", |store| {
        let status = store.shard(shard).status();
        status.durable == status.written
    });
    assert!(store.world.now().monotonic_ns - before < 500_000_000);
}

#[test]
fn what_was_acknowledged_survives_the_death_of_the_process() {
    let mut store = Store::new(72, config());
    for number in 0..200 {
        store.send("orders", 0, &body(number));
    }
    let mut store = store.kill_and_open();
    assert_eq!(store.bodies("orders", 0).len(), 200);
}

#[test]
fn a_topic_is_told_only_when_it_is_durable() {
    let mut store = Store::new(73, config());
    let topic = store.topic("orders");
    let store = store.cut_and_open();
    let topics: Vec<_> = store.shard(0).topics().map(|(id, ..)| id).collect();
    assert_eq!(topics, [topic]);
}

#[test]
fn a_power_cut_takes_only_the_newest_and_leaves_a_dense_prefix() {
    for seed in 700..712 {
        let mut store = Store::new(seed, config());
        for number in 0..150 {
            store.send("orders", 0, &body(number));
        }
        let mut store = store.cut_and_open();
        let bodies = store.bodies("orders", 0);
        let expected: Vec<_> = (0..bodies.len() as u32).map(body).collect();
        assert!(bodies == expected, "seed {seed}");
        store.send("orders", 0, b"next");
    }
}

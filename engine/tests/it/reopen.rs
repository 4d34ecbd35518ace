use crate::roll_segment::body;
use crate::store::{Store, small_config};

#[test]
fn reopening_after_a_clean_stop_changes_nothing() {
    let mut store = Store::new(21, small_config());
    for number in 0..300 {
        store.send("orders", number % 2, &body(number));
    }
    let (even, odd) = (store.bodies("orders", 0), store.bodies("orders", 1));
    for _ in 0..3 {
        store = store.stop_and_open();
        assert!(store.reports[0].clean && store.reports[0].tail.is_none());
        assert!(store.bodies("orders", 0) == even && store.bodies("orders", 1) == odd);
    }
    assert_eq!(store.send("orders", 0, b"next").queue_offset, 150);
}

#[test]
fn a_killed_store_keeps_everything_acknowledged() {
    let mut store = Store::new(22, small_config());
    let mut expected = Vec::new();
    for round in 0..6u32 {
        for number in 0..60 {
            store.send("orders", 0, &body(round * 100 + number));
            expected.push(body(round * 100 + number));
        }
        store = if round % 2 == 0 {
            store.kill_and_open()
        } else {
            store.cut_and_open()
        };
        assert!(store.reports[0].damage.is_empty());
        assert!(store.bodies("orders", 0) == expected, "round {round}");
    }
}

#[test]
fn what_was_in_flight_at_a_power_cut_is_there_whole_or_not_at_all() {
    for seed in 100..130 {
        let mut store = Store::new(seed, small_config());
        for number in 0..20 {
            store.send("orders", 0, &body(number));
        }
        for number in 20..40 {
            store.append("orders", 0, &body(number)).unwrap();
        }
        for _ in 0..seed % 7 {
            store.world.step();
        }
        let mut store = store.cut_and_open();
        let bodies = store.bodies("orders", 0);
        assert!(bodies.len() >= 20, "seed {seed}");
        let expected: Vec<_> = (0..bodies.len() as u32).map(body).collect();
        assert!(bodies == expected, "seed {seed}");
        let next = store.send("orders", 0, b"next");
        assert_eq!(next.queue_offset, bodies.len() as u64);
    }
}

#[test]
fn an_empty_store_opens_again_and_again() {
    let mut store = Store::new(23, small_config());
    for round in 0..6 {
        store = if round % 2 == 0 {
            store.kill_and_open()
        } else {
            store.stop_and_open()
        };
    }
    let segments = store.shard(0).status().segments;
    assert!(segments <= 6, "{segments}");
    assert_eq!(store.send("orders", 0, b"first").queue_offset, 0);
}

#[test]
fn several_blocks_in_flight_are_acknowledged_in_order_and_survive_power_cuts() {
    for seed in 200..220 {
        let mut config = small_config();
        config.blocks_in_flight = 4;
        let mut store = Store::new(seed, config);
        let mut acked = 0;
        for number in 0..120 {
            let (shard, queue) = store.queue("orders", 0);
            store.append("orders", 0, &body(number)).unwrap();
            // One turn: a block of its own for every few records.
            for _ in 0..seed % 5 {
                store.world.step();
            }
            store.pass_ms(u64::from(number % 11 == 0));
            acked = store.shard(shard).offsets(queue).max;
        }
        let mut store = store.cut_and_open();
        let bodies = store.bodies("orders", 0);
        assert!(
            bodies.len() as u64 >= acked,
            "seed {seed}: {} of {acked}",
            bodies.len()
        );
        let expected: Vec<_> = (0..bodies.len() as u32).map(body).collect();
        assert!(bodies == expected, "seed {seed}");
        store.send("orders", 0, b"next");
        let store = store.stop_and_open();
        assert!(store.reports[0].damage.is_empty(), "seed {seed}");
    }
}

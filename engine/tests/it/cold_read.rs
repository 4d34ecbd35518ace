use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_engine::{Event, PullStatus, View, ViewOutcome};

fn filled(seed: u64) -> Store {
    let mut config = small_config();
    // Almost nothing stays in memory.
    config.hot_tail_bytes = 16 << 10;
    config.cold_bytes = 512 << 10;
    let mut store = Store::new(seed, config);
    for number in 0..500 {
        store.send("orders", number % 2, &body(number));
    }
    store
}

#[test]
fn cold_records_are_read_from_the_disk_after_reopening() {
    let mut store = filled(31).stop_and_open();
    let expected: Vec<_> = (0..500).filter(|n| n % 2 == 1).map(body).collect();
    assert!(store.bodies("orders", 1) == expected);
    // Backwards too, one at a time.
    for offset in (0..250).rev().step_by(17) {
        let result = store.pull("orders", 1, offset, 1);
        assert_eq!(
            (result.status, result.count, result.next),
            (PullStatus::Found, 1, offset + 1)
        );
    }
}

#[test]
fn cold_records_are_read_while_the_store_runs() {
    let mut store = filled(32);
    let expected: Vec<_> = (0..500).filter(|n| n % 2 == 0).map(body).collect();
    assert!(store.bodies("orders", 0) == expected);
}

#[test]
fn a_damaged_record_is_never_delivered() {
    let mut config = small_config();
    config.hot_tail_bytes = 16 << 10;
    let mut store = Store::new(33, config);
    let victim = store.send("orders", 0, &body(0));
    for number in 1..500 {
        store.send("orders", number % 2, &body(number));
    }
    store.run_until("indexes", |store| {
        store.shard(0).status().indexes_waiting == 0
    });
    // Somewhere in the body of a record of the first segment.
    let log = "data/shard-00/log/0000000000000000.log";
    let place = victim.physical.0 + 500;
    store.world.flip(log.as_ref(), place, 3).unwrap();
    let (mut delivered, mut damaged) = (0, 0);
    for offset in 0..250 {
        for queue in 0..2 {
            let result = store.pull("orders", queue, offset, 1);
            match result.status {
                PullStatus::Found => {
                    let bodies = crate::store::bodies_of(&result);
                    assert!(bodies[0] == body(offset as u32 * 2 + queue));
                    delivered += 1;
                }
                PullStatus::Damaged { .. } => {
                    assert_eq!((result.count, result.next), (0, offset));
                    damaged += 1;
                }
                status => panic!("{status:?}"),
            }
        }
    }
    assert_eq!((delivered, damaged), (499, 1));
    assert_eq!(store.shard(0).status().damaged, 1);
}

#[test]
fn a_cold_record_is_viewed_by_its_physical_offset() {
    let mut config = small_config();
    config.hot_tail_bytes = 16 << 10;
    let mut store = Store::new(34, config);
    let sent = store.send("orders", 0, b"long ago");
    for number in 0..300 {
        store.send("orders", 0, &body(number));
    }
    store.run_until("indexes", |store| {
        store.shard(0).status().indexes_waiting == 0
    });
    let viewed = store.with(0, |shard, io| shard.view(io, sent.physical, 77));
    assert!(matches!(viewed, ViewOutcome::Pending));
    let told = |event: &Event| {
        matches!(
            event,
            Event::Viewed {
                ticket: 77,
                view: View::Found(_)
            }
        )
    };
    store.run_until("viewed", |store| store.events(0).iter().any(told));
}

use crate::store::{Store, small_config};
use ringmq_engine::{Event, Refused};
use ringmq_ring::sim::Faults;

#[test]
fn a_failed_write_fails_every_waiter_and_stops_the_shard() {
    let mut store = Store::new(81, small_config());
    let sent = store.send("orders", 0, b"safe");
    store.world.set_faults(Faults {
        write_error: 1_000_000,
        paths: vec![".log".into()],
        ..Faults::default()
    });
    let tickets: Vec<_> = (0..5)
        .map(|_| store.append("orders", 0, b"lost?").unwrap().0)
        .collect();
    store.run_until("failed", |store| store.pace(0).failed);
    let failed: Vec<_> = store
        .events(0)
        .iter()
        .filter_map(|event| match event {
            Event::Failed { ticket } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(failed, tickets);
    assert_eq!(
        store.append("orders", 0, b"more").err(),
        Some(Refused::Failed)
    );
    store.world.set_faults(Faults::default());
    store.world.heal();
    let mut store = store.kill_and_open();
    let bodies = store.bodies("orders", 0);
    assert!(bodies[0] == b"safe" && sent.queue_offset == 0);
    assert!(bodies[1..].iter().all(|body| body == b"lost?"));
}

#[test]
fn a_failed_read_answers_damage_and_serves_others() {
    let mut config = small_config();
    config.hot_tail_bytes = 16 << 10;
    let mut store = Store::new(82, config);
    for number in 0..100 {
        store.send("orders", 0, &crate::roll_segment::body(number));
    }
    store.world.set_faults(Faults {
        read_error: 1_000_000,
        paths: vec![".log".into()],
        ..Faults::default()
    });
    let result = store.pull("orders", 0, 0, 1);
    assert!(matches!(
        result.status,
        ringmq_engine::PullStatus::Damaged { .. }
    ));
    assert_eq!(result.next, 0);
    assert_eq!(store.pull("orders", 0, 99, 1).count, 1);
    store.world.set_faults(Faults::default());
    store.world.heal();
    assert_eq!(store.pull("orders", 0, 0, 1).count, 1);
}

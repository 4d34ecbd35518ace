use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_engine::{Boundary, Event, OffsetOutcome};

fn find(store: &mut Store, wall_ms: i64, boundary: Boundary) -> u64 {
    let (shard, queue) = store.queue("orders", 0);
    let ticket = store.ticket();
    let outcome = store.with(shard, |shard, io| {
        shard.offset_by_time(io, queue, wall_ms, boundary, ticket)
    });
    if let OffsetOutcome::Ready(offset) = outcome {
        return offset;
    }
    let told = |event: &Event| match event {
        Event::OffsetFound { ticket: t, offset } if *t == ticket => Some(*offset),
        _ => None,
    };
    store.run_until("found", |store| {
        store.events(shard).iter().any(|e| told(e).is_some())
    });
    store
        .events(shard)
        .iter()
        .find_map(told)
        .expect("just seen")
}

#[test]
fn an_offset_is_found_by_time_in_memory_and_on_disk() {
    let mut config = small_config();
    config.hot_tail_bytes = 16 << 10;
    let mut store = Store::new(111, config);
    let mut times = Vec::new();
    for number in 0..300 {
        store.pass_ms(3);
        times.push(store.send("orders", 0, &body(number)).store_time_ms);
    }
    for reopened in [false, true] {
        for (offset, &time) in times.iter().enumerate().step_by(23) {
            let offset = offset as u64;
            assert_eq!(
                find(&mut store, time, Boundary::Lower),
                offset,
                "reopened {reopened}"
            );
            assert_eq!(find(&mut store, time - 1, Boundary::Lower), offset);
            assert_eq!(find(&mut store, time, Boundary::Upper), offset);
            assert_eq!(find(&mut store, time + 1, Boundary::Upper), offset);
        }
        assert_eq!(find(&mut store, times[0] - 1_000, Boundary::Lower), 0);
        assert_eq!(find(&mut store, times[0] - 1_000, Boundary::Upper), 0);
        assert_eq!(find(&mut store, times[299] + 1_000, Boundary::Lower), 300);
        assert_eq!(find(&mut store, times[299] + 1_000, Boundary::Upper), 299);
        store = store.stop_and_open();
    }
    let (shard, queue) = store.queue("orders", 0);
    let earliest = store.shard(shard).earliest_store_time(queue);
    assert!(earliest.is_some_and(|earliest| earliest <= times[0] && earliest > times[0] - 2_000));
}

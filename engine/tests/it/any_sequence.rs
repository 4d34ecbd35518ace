//! Random sequences of sends, reads, commits, kills, power cuts and restarts against a model: what was
//! acknowledged is there, in order, and nothing else but what was in flight.

use std::collections::BTreeMap;

use crate::store::{Store, small_config};
use ringmq_engine::{Durability, Event, Hours, Refused};
use ringmq_ring::sim::Rng;

const QUEUES: u32 = 5;

/// What a queue must hold: bodies by offset, and how many of them were acknowledged.
#[derive(Default)]
struct Model {
    bodies: Vec<Vec<u8>>,
    acked: u64,
    committed: u64,
    /// The highest minimum that was shown.
    min: u64,
}

fn run(seed: u64) {
    let mut random = Rng::new(seed);
    let mut config = small_config();
    config.shards = Some(1 + random.below(2) as u8);
    config.blocks_in_flight = 1 + random.index(3);
    config.hot_tail_bytes = 32 << 10;
    config.retention.bytes = random.chance(500_000).then_some(4 * (512 << 10));
    config.retention.delete_when = Hours::ALL;
    let is_sync = random.chance(700_000);
    if !is_sync {
        config.durability = Durability::Async;
    }
    let mut store = Store::new(seed, config);
    let mut models: BTreeMap<u32, Model> = BTreeMap::new();
    let mut number = 0u32;
    for _ in 0..220 {
        match random.below(100) {
            0..60 => {
                for _ in 0..1 + random.below(8) {
                    number += 1;
                    send(&mut store, &mut models, &mut random, number);
                }
            }
            60..75 => store.pass_ms(random.below(30)),
            75..85 => read(&mut store, &mut models, &mut random),
            85..90 => commit(&mut store, &mut models, &mut random),
            90..93 => store.pass_ms(2_500),
            93..96 => {
                note_acked(&mut store, &mut models);
                // What was written and not flushed does not survive a power cut, and need not.
                store = if is_sync {
                    store.cut_and_open()
                } else {
                    store.kill_and_open()
                };
                check(&mut store, &mut models);
            }
            96..98 => {
                note_acked(&mut store, &mut models);
                store = store.kill_and_open();
                check(&mut store, &mut models);
            }
            _ => {
                store = store.stop_and_open();
                check(&mut store, &mut models);
            }
        }
        note_acked(&mut store, &mut models);
    }
    store = if is_sync {
        store.cut_and_open()
    } else {
        store.kill_and_open()
    };
    check(&mut store, &mut models);
}

fn send(store: &mut Store, models: &mut BTreeMap<u32, Model>, random: &mut Rng, number: u32) {
    let queue = random.below(u64::from(QUEUES)) as u32;
    let mut body = number.to_le_bytes().to_vec();
    let len = match random.below(20) {
        0 => random.below(60_000),
        _ => random.below(4_000),
    };
    body.resize(4 + len as usize, number as u8);
    match store.append("orders", queue, &body) {
        Ok((_, appended)) => {
            let model = models.entry(queue).or_default();
            assert_eq!(appended.queue_offset, model.bodies.len() as u64);
            model.bodies.push(body);
        }
        Err(Refused::Busy(_)) => store.pass_ms(2),
        Err(refused) => panic!("{refused}"),
    }
}

/// Whatever is shown is acknowledged: from now on it must be there.
fn note_acked(store: &mut Store, models: &mut BTreeMap<u32, Model>) {
    for (&queue, model) in models {
        let (shard, number) = store.queue("orders", queue);
        let offsets = store.shard(shard).offsets(number);
        assert!(
            offsets.max >= model.acked && offsets.min >= model.min,
            "queue {queue}"
        );
        model.acked = offsets.max;
        model.min = offsets.min;
        let failed = |event: &Event| matches!(event, Event::Failed { .. });
        assert!(!store.events(shard).iter().any(failed));
    }
}

fn read(store: &mut Store, models: &mut BTreeMap<u32, Model>, random: &mut Rng) {
    let queue = random.below(u64::from(QUEUES)) as u32;
    let Some(model) = models.get(&queue) else {
        return;
    };
    let offset = random.below(model.bodies.len() as u64 + 1);
    let result = store.pull("orders", queue, offset, 1 + random.below(20) as u32);
    let from = result.next - u64::from(result.count);
    for (at, body) in crate::store::bodies_of(&result).iter().enumerate() {
        assert!(
            *body == model.bodies[from as usize + at],
            "queue {queue} offset {from} + {at}"
        );
    }
    assert!(result.next <= result.max);
}

fn commit(store: &mut Store, models: &mut BTreeMap<u32, Model>, random: &mut Rng) {
    let queue = random.below(u64::from(QUEUES)) as u32;
    let Some(model) = models.get_mut(&queue) else {
        return;
    };
    let offset = random.below(model.acked + 1).max(model.committed);
    let (shard, number) = store.queue("orders", queue);
    store.with(shard, |shard, _| {
        shard.commit_offset("readers", number, offset)
    });
    model.committed = offset;
}

/// After a start: every acknowledged record, then perhaps some that were in flight; nothing invented.
fn check(store: &mut Store, models: &mut BTreeMap<u32, Model>) {
    for (&queue, model) in models.iter_mut() {
        let (shard, number) = store.queue("orders", queue);
        let offsets = store.shard(shard).offsets(number);
        assert!(
            offsets.max >= model.acked,
            "queue {queue}: {offsets:?}, acked {}",
            model.acked
        );
        assert!(
            offsets.min >= model.min,
            "queue {queue}: {offsets:?}, min {}",
            model.min
        );
        model.bodies.truncate(offsets.max as usize);
        let bodies = store.bodies("orders", queue);
        // Retention may take some meanwhile.
        let from = offsets.max as usize - bodies.len();
        assert!(from as u64 >= offsets.min, "queue {queue}");
        assert!(bodies == model.bodies[from..], "queue {queue}");
        let committed = store.shard(shard).committed_offset("readers", number);
        assert!(committed.unwrap_or(0) <= model.committed.max(offsets.max));
        model.committed = committed.unwrap_or(0);
        model.acked = offsets.max;
    }
    for report in &store.reports {
        assert!(report.damage.is_empty(), "{report:?}");
    }
}

#[test]
fn any_sequence_leaves_what_was_acknowledged() {
    // Others by hand: SEED=1 SEEDS=100.
    let given = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let first = given("SEED").unwrap_or(9_000);
    let count = given("SEEDS").unwrap_or(8);
    for seed in first..first + count {
        run(seed);
    }
}

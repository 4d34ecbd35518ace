use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_engine::Error;
use ringmq_engine::control::open::{StoreChance, open_store};

#[test]
fn three_shards_share_the_queues_and_keep_them() {
    let mut config = small_config();
    config.shards = Some(3);
    let mut store = Store::new(121, config);
    for number in 0..240 {
        store.send("orders", number % 6, &body(number));
    }
    for shard in 0..3 {
        assert!(store.shard(shard).status().records > 0, "shard {shard}");
    }
    let sent = store.send("orders", 1, b"routed");
    let (shard, _) = store.queue("orders", 1);
    assert_eq!(usize::from(sent.physical.shard().0), shard);
    let mut store = store.cut_and_open();
    for queue in 0..6 {
        let mut expected: Vec<_> = (0..240).filter(|n| n % 6 == queue).map(body).collect();
        if queue == 1 {
            expected.push(b"routed".to_vec());
        }
        assert!(store.bodies("orders", queue) == expected, "queue {queue}");
    }
}

#[test]
fn another_shard_count_is_refused_and_none_takes_what_is_there() {
    let mut config = small_config();
    config.shards = Some(3);
    let store = Store::new(122, config.clone());
    let (world, _) = store.stop();
    let process = world.process();
    let disk = world.disk(process);
    config.shards = Some(2);
    let wrong = config.clone();
    let chance = StoreChance {
        store_id: [1; 16],
        salt: [2; 16],
        table_seed: 0,
        shards: 1,
        wall_ms: 0,
    };
    let refused = world.block_on(process, async move {
        open_store(&disk, &wrong, chance).await.err()
    });
    assert!(matches!(refused, Some(Error::Config(_))), "{refused:?}");
    world.kill(process);
    config.shards = None;
    let store = Store::open(world, config);
    assert_eq!(store.reports.len(), 3);
}

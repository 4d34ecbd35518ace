use crate::store::{Store, small_config};
use ringmq_engine::{Refused, TopicId};

#[test]
fn topics_and_groups_survive_and_ids_are_never_used_again() {
    let mut store = Store::new(61, small_config());
    let first = store.topic("first");
    let second = store.topic("second");
    assert!(second > first);
    let ticket = store.ticket();
    store.with(0, |shard, _| {
        shard.put_group("readers", b"settings", ticket).unwrap();
        shard.delete_topic(first, ticket + 1).unwrap();
    });
    store.stored(0, ticket);
    let store = store.cut_and_open();
    let topics: Vec<_> = store
        .shard(0)
        .topics()
        .map(|(id, name, _)| (id, name.to_owned()))
        .collect();
    assert_eq!(topics, [(second, "second".to_owned())]);
    let groups: Vec<_> = store
        .shard(0)
        .groups()
        .map(|(n, p)| (n.to_owned(), p.to_vec()))
        .collect();
    assert_eq!(groups, [("readers".to_owned(), b"settings".to_vec())]);
    let mut store = store.stop_and_open();
    let third = store.topic("third");
    assert!(third > second);
}

#[test]
fn the_queues_of_a_deleted_topic_are_gone_and_a_new_one_begins_at_zero() {
    let mut store = Store::new(62, small_config());
    let topic = store.topic("orders");
    store.send("orders", 0, b"old");
    let (shard, old) = store.queue("orders", 0);
    store.with(shard, |shard, _| {
        shard.drop_topic_queues(topic);
    });
    assert_eq!(store.shard(shard).queue(topic, 0), None);
    let parts = crate::store::parts("orders", 0, b"x", &[]);
    let refused = store.with(shard, |shard, _| shard.append(old, &parts, 9));
    assert_eq!(refused, Err(Refused::Unknown));
    let (_, new) = store.queue("orders", 0);
    assert!(new > old);
    assert_eq!(store.send("orders", 0, b"new").queue_offset, 0);
    let mut store = store.kill_and_open();
    assert_eq!(store.bodies("orders", 0), [b"new"]);
}

#[test]
fn queues_of_topics_that_the_home_shard_does_not_know_are_dropped_at_start() {
    let mut config = small_config();
    config.reconcile_topics = true;
    let mut store = Store::new(63, config);
    store.send("kept", 0, b"x");
    let dead = TopicId(999);
    store.with(0, |shard, _| shard.bind_queue(dead, 0)).unwrap();
    assert!(store.shard(0).queue(dead, 0).is_some());
    for _ in 0..2 {
        store = store.stop_and_open();
        assert_eq!(store.shard(0).queue(dead, 0), None);
        assert_eq!(store.bodies("kept", 0), [b"x"]);
    }
}

#[test]
fn two_hundred_thousand_empty_queues_cost_less_than_a_kilobyte_each() {
    let mut store = Store::new(64, small_config());
    let topic = store.topic("wide");
    let queues = 200_000;
    let mut bound = 0;
    let counted = allocation_counter::measure(|| {
        // A thousand at a time: their control records wait for the disk.
        while bound < queues {
            store.with(0, |shard, _| {
                for queue_id in bound..bound + 1_000 {
                    while shard.bind_queue(topic, queue_id).is_err() {}
                }
            });
            bound += 1_000;
            store.pass_ms(30);
        }
    });
    let each = counted.bytes_current.max(0) as u64 / u64::from(queues);
    assert!(each < 1_024, "{each} bytes per queue");
    let store = store.stop_and_open();
    assert_eq!(store.shard(0).status().queues, queues);
}

//! What a broker counts is what its clients sent and got.

use std::time::{Duration, Instant};

use ringmq_server::metrics::{MeterSum, Metrics};

use crate::broker::{bodies, create_topic, drain, pull, pull_held, records, send};
use crate::harness::Server;
use crate::wire::{Ask, Client};

fn meter(metrics: &Metrics, topic: &str, group: Option<&str>) -> MeterSum {
    let found = metrics
        .meters()
        .into_iter()
        .find(|(name, _)| &*name.topic == topic && name.group.as_deref() == group);
    found.map(|(_, sum)| sum).unwrap_or_default()
}

#[test]
fn messages_and_bytes_are_counted_by_topic_and_group_on_whatever_shard() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 4);
        create_topic(&mut client, "Other", 1);
        let (mut bytes, mut got) = (0, 0);
        for queue in 0..4 {
            for _ in 0..5 {
                assert_eq!(client.ask(&send("TopicTest", queue, "hello")).code, 0);
            }
            let answer = client.ask(&pull("TopicTest", queue, 0));
            bytes += answer.body.len() as u64;
            got += bodies(&answer).len() as u64;
            assert_eq!(records(&answer).len(), 5);
        }
        assert_eq!(client.ask(&send("Other", 0, "hello")).code, 0);
        let metrics = &server.metrics;
        let sum = |messages, bytes| MeterSum {
            messages,
            bytes,
            send_backs: 0,
        };
        assert_eq!(meter(metrics, "TopicTest", None), sum(20, bytes));
        assert_eq!(
            meter(metrics, "TopicTest", Some("CG_test")),
            sum(got, bytes)
        );
        assert_eq!(meter(metrics, "Other", None).messages, 1);
        let totals = metrics.totals();
        assert_eq!(
            (totals.sends, totals.messages_in, totals.messages_out),
            (21, 21, 20)
        );
        assert_eq!((totals.pulls_found, totals.bytes_out), (4, bytes));
        assert_eq!(
            (totals.times.append.count(), totals.times.send.count()),
            (21, 21)
        );
        assert_eq!(totals.requests.get(&310), Some(&21));
        assert!(totals.times.store.sum_ns > 0);
        assert_eq!(totals.connections_opened, 1);
    }
}

#[test]
fn refusals_are_counted_by_code_and_held_pulls_by_their_time() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    assert_eq!(client.ask(&send("TopicTest", 77, "no such queue")).code, 29);
    assert_eq!(client.ask(&pull("NoTopic", 0, 0)).code, 17);
    assert_eq!(client.ask(&pull_held("TopicTest", 0, 0, "*", 50)).code, 19);
    let totals = server.metrics.totals();
    assert_eq!(
        (totals.refusals.get(&29), totals.refusals.get(&17)),
        (Some(&1), Some(&1))
    );
    assert_eq!((totals.pulls_missed, totals.pulls_found), (1, 0));
    assert!(totals.times.pull_waited.sum_ns >= 50_000_000);
    assert_eq!(totals.messages_in, 0);
}

#[test]
fn a_deleted_topics_meter_goes_and_a_new_one_begins_at_zero() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    client.ask(&send("TopicTest", 0, "one"));
    assert_eq!(
        client.ask(&Ask::new(215).with("topic", "TopicTest")).code,
        0
    );
    create_topic(&mut client, "TopicTest", 1);
    let limit = Instant::now() + Duration::from_secs(20);
    // The dead are looked for once a second, by a shard that has anything to do.
    while meter(&server.metrics, "TopicTest", None).messages != 0 {
        assert!(Instant::now() < limit, "the meter of a deleted topic stays");
        drain(&mut client, "TopicTest", 0);
    }
}

#[test]
fn the_backlog_of_groups_and_what_topics_hold_are_walked_up_after_the_last_request() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 4);
        // The first use creates the group.
        assert_eq!(client.ask(&pull("TopicTest", 0, 0)).code, 19);
        for queue in 0..4 {
            for _ in 0..5 {
                assert_eq!(client.ask(&send("TopicTest", queue, "hello")).code, 0);
            }
            let commit = Ask::new(15)
                .with("consumerGroup", "CG_test")
                .with("topic", "TopicTest")
                .with("queueId", queue)
                .with("commitOffset", 2);
            assert_eq!(client.ask(&commit).code, 0);
        }
        let limit = Instant::now() + Duration::from_secs(30);
        // Nothing is asked any more: the shards walk by themselves.
        let figures = loop {
            let backlog = server.metrics.backlog();
            let found = backlog
                .topics
                .into_values()
                .find(|topic| topic.messages == 20);
            let group = found.and_then(|topic| topic.groups.get("CG_test").copied());
            match group {
                Some(group) if group.queues == 4 => break group,
                _ => assert!(Instant::now() < limit, "no figures of the backlog"),
            }
            std::thread::yield_now();
        };
        assert_eq!(figures.lag, 12);
    }
}

//! Pulling: statuses, long polling, filters; offsets of queues and groups.

use std::time::{Duration, Instant};

use crate::broker::{bodies, create_topic, drain, pull, pull_held, queue, send, send_with};
use crate::harness::Server;
use crate::wire::{Ask, Client};

#[test]
fn statuses_have_the_codes_and_next_offsets_of_apache() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 2);
        create_topic(&mut client, "TopicEmpty", 1);
        for number in 0..5 {
            assert_eq!(
                client.ask(&send("TopicTest", 0, &number.to_string())).code,
                0
            );
        }
        let cases = [
            (pull("TopicTest", 0, 0), 0, 5, "FOUND"),
            (pull("TopicTest", 0, 3), 0, 5, "FOUND"),
            (pull("TopicTest", 0, 5), 19, 5, "OFFSET_OVERFLOW_ONE"),
            (pull("TopicTest", 0, 9), 21, 5, "OFFSET_OVERFLOW_BADLY"),
            (pull("TopicTest", 0, -1), 21, 0, "OFFSET_TOO_SMALL"),
            (
                pull_held("TopicTest", 0, 0, "TagB", 0),
                20,
                5,
                "NO_MATCHED_MESSAGE",
            ),
            (
                pull_held("TopicTest", 0, 0, "|| ||", 0),
                20,
                5,
                "NO_MATCHED_MESSAGE",
            ),
            (
                pull_held("TopicTest", 0, 0, "TagB || TagA", 0),
                0,
                5,
                "FOUND",
            ),
            (pull("TopicEmpty", 0, 0), 19, 0, "NO_MESSAGE_IN_QUEUE"),
            (pull("TopicEmpty", 0, 5), 21, 0, "NO_MESSAGE_IN_QUEUE"),
        ];
        for (ask, code, next, remark) in cases {
            for ask in [ask.clone(), ask.clone().binary()] {
                let answer = client.ask(&ask);
                assert_eq!(answer.code, code, "{ask:?}: {answer:?}");
                assert_eq!(answer.number("nextBeginOffset"), next, "{answer:?}");
                assert_eq!(answer.remark, remark);
                assert_eq!(answer.number("suggestWhichBrokerId"), 0);
                assert_eq!(answer.number("minOffset"), 0);
            }
        }
    }
}

#[test]
fn refused_pulls_have_the_codes_of_the_clients_generation() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 2);
    let without_expression = |group: &str| {
        let mut ask = pull("TopicTest", 0, 0);
        for (name, value) in &mut ask.fields {
            match *name {
                "consumerGroup" => *value = group.into(),
                "sysFlag" => *value = "0".into(),
                _ => {}
            }
        }
        ask
    };
    let mut sql = pull_held("TopicTest", 0, 0, "a > 5", 0);
    if let Some(field) = sql
        .fields
        .iter_mut()
        .find(|(name, _)| *name == "expressionType")
    {
        field.1 = "SQL92".into();
    }
    let cases = [
        (pull("NoSuchTopic", 0, 0), 17, 17),
        (pull("TopicTest", 2, 0), 29, 1),
        (pull("TopicTest", -1, 0), 29, 1),
        (without_expression("CG_nobody"), 24, 24),
        (sql, 1, 1),
    ];
    for (ask, new, old) in cases {
        let answer = client.ask(&ask);
        assert_eq!(answer.code, new, "{answer:?}");
        let answer = client.ask(&ask.version(407));
        assert_eq!(answer.code, old, "{answer:?}");
    }
}

#[test]
fn a_held_pull_is_answered_by_the_send_it_waited_for() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut sender = Client::connect(server.broker_address());
        create_topic(&mut sender, "TopicTest", 3);
        for queue in 0..3 {
            let mut reader = Client::connect(server.broker_address());
            let held = reader.send(&pull_held("TopicTest", queue, 0, "*", 30_000));
            // The reader's queue answers something else meanwhile: the pull is being held.
            assert_eq!(reader.ask(&queue_max(queue)).number("offset"), 0);
            let started = Instant::now();
            assert_eq!(sender.ask(&send("TopicTest", queue, "wake up")).code, 0);
            let answer = reader.answer(held);
            assert_eq!(bodies(&answer), ["wake up"]);
            assert!(started.elapsed() < Duration::from_secs(5));
        }
    }
}

fn queue_max(queue_id: i32) -> Ask<'static> {
    queue(30, "TopicTest", queue_id)
}

#[test]
fn a_held_pull_sleeps_over_messages_it_does_not_want() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let mut reader = Client::connect(server.broker_address());
    let held = reader.send(&pull_held("TopicTest", 0, 0, "TagB", 30_000));
    assert_eq!(reader.ask(&queue_max(0)).number("offset"), 0);
    assert_eq!(client.ask(&send("TopicTest", 0, "not wanted")).code, 0);
    assert_eq!(reader.ask(&queue_max(0)).number("offset"), 1);
    let wanted = send_with("TopicTest", 0, "wanted", "TAGS\u{1}TagB");
    assert_eq!(client.ask(&wanted).code, 0);
    assert_eq!(bodies(&reader.answer(held)), ["wanted"]);
}

#[test]
fn a_held_pull_that_waited_in_vain_is_answered_with_nothing_new() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let started = Instant::now();
    let answer = client.ask(&pull_held("TopicTest", 0, 0, "*", 300));
    assert_eq!(answer.code, 19, "{answer:?}");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn pulls_held_by_a_closed_connection_are_forgotten() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 3);
        for _ in 0..5 {
            let mut reader = Client::connect(server.broker_address());
            for queue in 0..3 {
                reader.send(&pull_held("TopicTest", queue, 0, "*", 30_000));
            }
            assert_eq!(reader.ask(&Ask::new(9999)).code, 3);
        }
        for queue in 0..3 {
            assert_eq!(client.ask(&send("TopicTest", queue, "x")).code, 0);
            assert_eq!(drain(&mut client, "TopicTest", queue), ["x"]);
        }
    }
}

#[test]
fn offsets_of_queues_and_groups() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 3);
        for queue_id in 0..3 {
            for number in 0..4 {
                client.ask(&send("TopicTest", queue_id, &number.to_string()));
            }
            let ask = |code| queue(code, "TopicTest", queue_id);
            assert_eq!(client.ask(&ask(30)).number("offset"), 4);
            assert_eq!(client.ask(&ask(31)).number("offset"), 0);
            assert!(client.ask(&ask(32)).number("timestamp") > 1_600_000_000_000);
            let past = client.ask(&ask(29).with("timestamp", 0));
            assert_eq!(past.number("offset"), 0);
            let future = client.ask(&ask(29).with("timestamp", i64::MAX));
            assert_eq!(future.number("offset"), 4);
            // The group must exist: a pull creates it.
            client.ask(&pull("TopicTest", queue_id, 0));
            let stored = ask(14).with("consumerGroup", "CG_test");
            assert_eq!(
                client.ask(&stored).number("offset"),
                0,
                "the queue still has its first message"
            );
            let not_zero = stored.clone().with("setZeroIfNotFound", false);
            assert_eq!(client.ask(&not_zero).code, 22);
            let update = ask(15)
                .with("consumerGroup", "CG_test")
                .with("commitOffset", 3);
            assert_eq!(client.ask(&update).code, 0);
            assert_eq!(client.ask(&stored).number("offset"), 3);
        }
    }
}

#[test]
fn offsets_of_what_does_not_exist() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    for (topic, queue_id) in [("NoSuchTopic", 0), ("TopicTest", 9), ("TopicTest", -1)] {
        let ask = |code| queue(code, topic, queue_id);
        assert_eq!(client.ask(&ask(30)).number("offset"), 0);
        assert_eq!(client.ask(&ask(31)).number("offset"), 0);
        assert_eq!(client.ask(&ask(32)).number("timestamp"), -1);
        assert_eq!(
            client.ask(&ask(29).with("timestamp", 5)).number("offset"),
            0
        );
        let query = ask(14).with("consumerGroup", "CG");
        assert_eq!(client.ask(&query).code, 22);
        assert_eq!(client.ask(&query.version(407)).number("offset"), 0);
    }
    let update = queue(15, "NoSuchTopic", 0).with("commitOffset", 1);
    let unknown_group = update.clone().with("consumerGroup", "CG_nobody");
    assert_eq!(client.ask(&unknown_group).code, 26);
    assert_eq!(client.ask(&unknown_group.version(407)).code, 0);
    let unknown_topic = update.with("consumerGroup", "TOOLS_CONSUMER");
    assert_eq!(client.ask(&unknown_topic).code, 17);
}

#[test]
fn a_pull_commits_the_offset_it_carries() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    for number in 0..3 {
        client.ask(&send("TopicTest", 0, &number.to_string()));
    }
    let mut ask = pull("TopicTest", 0, 2);
    for (name, value) in &mut ask.fields {
        match *name {
            "sysFlag" => *value = "5".into(),
            "commitOffset" => *value = "2".into(),
            _ => {}
        }
    }
    assert_eq!(client.ask(&ask).code, 0);
    let stored = queue(14, "TopicTest", 0).with("consumerGroup", "CG_test");
    assert_eq!(client.ask(&stored).number("offset"), 2);
}

//! What administrators ask about queues of all shards, and about who is connected: the shapes are
//! those that Apache's tools read.

use ringmq_protocol::command::stats::{ConsumeStats, TopicStats};

use crate::broker::{create_topic, pull, send};
use crate::groups::heartbeat;
use crate::harness::Server;
use crate::wire::{Answer, Ask, Client};

const TOPIC: &str = "TopicTest";

/// A broker with three messages in each queue of a topic of three, and a group that has consumed one
/// of each.
pub fn consumed(shards: u8) -> (Server, Client) {
    let server = Server::broker(shards);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, TOPIC, 3);
    for queue in 0..3 {
        for body in ["a", "b", "c"] {
            assert_eq!(client.ask(&send(TOPIC, queue, body)).code, 0);
        }
        // Creates the group.
        assert_eq!(client.ask(&pull(TOPIC, queue, 0)).code, 0);
        commit(&mut client, "CG_test", queue, 1);
    }
    (server, client)
}

pub fn commit(client: &mut Client, group: &str, queue: i32, offset: i64) {
    let commit = Ask::new(15)
        .with("consumerGroup", group)
        .with("topic", TOPIC)
        .with("queueId", queue)
        .with("commitOffset", offset);
    assert_eq!(client.ask(&commit).code, 0);
}

fn consume_stats(client: &mut Client, group: &str) -> ConsumeStats {
    let answer = client.ask(&Ask::new(208).with("consumerGroup", group));
    assert_eq!(answer.code, 0, "{answer:?}");
    ConsumeStats::parse(&answer.body).unwrap()
}

#[test]
fn a_topics_offsets_come_from_all_shards_with_the_times_of_their_last_messages() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        let answer = client.ask(&Ask::new(202).with("topic", TOPIC));
        assert!(
            answer.text().starts_with(
                r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"TopicTest"}:{"#
            ),
            "{answer:?}"
        );
        let stats = TopicStats::parse(&answer.body).unwrap();
        assert_eq!(stats.offset_table.len(), 3);
        for (queue, offset) in &stats.offset_table {
            assert_eq!((offset.min_offset, offset.max_offset), (0, 3), "{queue:?}");
            assert!(
                offset.last_update_timestamp > 1_600_000_000_000,
                "{offset:?}"
            );
        }
        let unknown = client.ask(&Ask::new(202).with("topic", "NoSuchTopic"));
        assert_eq!(
            (unknown.code, unknown.remark.as_str()),
            (17, "topic[NoSuchTopic] not exist")
        );
    }
}

#[test]
fn a_topic_without_messages_has_zeros() {
    let (_server, mut client) = consumed(3);
    create_topic(&mut client, "TopicEmpty", 200);
    let answer = client.ask(&Ask::new(202).with("topic", "TopicEmpty"));
    let stats = TopicStats::parse(&answer.body).unwrap();
    assert_eq!(stats.offset_table.len(), 200, "more than one step's rows");
    let mut offsets = stats.offset_table.values();
    assert!(offsets.all(|o| (o.max_offset, o.last_update_timestamp) == (0, 0)));
}

#[test]
fn a_groups_progress_shows_what_it_has_pulled_and_committed() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        let stats = consume_stats(&mut client, "CG_test");
        assert_eq!(stats.offset_table.len(), 3);
        for (queue, offset) in &stats.offset_table {
            assert_eq!(
                (offset.broker_offset, offset.consumer_offset),
                (3, 1),
                "{queue:?}"
            );
            assert_eq!(offset.pull_offset, Some(3));
            assert!(offset.last_timestamp > 1_600_000_000_000);
        }
        assert!(
            consume_stats(&mut client, "CG_nope")
                .offset_table
                .is_empty()
        );
    }
}

#[test]
fn a_topic_that_an_online_group_does_not_subscribe_to_does_not_count() {
    let (_server, mut client) = consumed(3);
    create_topic(&mut client, "TopicOther", 1);
    let mut beat = heartbeat("a@1", "CG_test", "*", 1);
    let body = String::from_utf8(beat.body).unwrap();
    beat.body = body.replace(TOPIC, "TopicOther").into_bytes();
    assert_eq!(client.ask(&beat).code, 0);
    assert!(
        consume_stats(&mut client, "CG_test")
            .offset_table
            .is_empty()
    );
    let listed = Ask::new(208)
        .with("consumerGroup", "CG_test")
        .with("topicList", "TopicTest;TopicOther;");
    let stats = ConsumeStats::parse(&client.ask(&listed).body).unwrap();
    assert_eq!(
        stats.offset_table.len(),
        4,
        "listed topics are shown whatever it subscribes to"
    );
}

#[test]
fn groups_of_a_topic_and_topics_of_a_group_are_known_online_and_offline() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        assert_eq!(client.ask(&heartbeat("a@1", "CG_live", "TagA", 1)).code, 0);
        let groups = client.ask(&Ask::new(300).with("topic", TOPIC));
        assert_eq!(groups.text(), r#"{"groupList":["CG_live","CG_test"]}"#);
        let unknown = client.ask(&Ask::new(300).with("topic", "NoSuchTopic"));
        assert_eq!(unknown.text(), r#"{"groupList":[]}"#);
        let topics = client.ask(&Ask::new(343).with("group", "CG_test"));
        assert!(
            topics.text().ends_with(r#""topicList":["TopicTest"]}"#),
            "{topics:?}"
        );
        let subscription = Ask::new(345).with("group", "CG_live").with("topic", TOPIC);
        assert_eq!(
            client.ask(&subscription).text(),
            r#"{"group":"CG_live","subscriptionData":{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"TagA","subVersion":1,"tagsSet":["TagA"],"topic":"TopicTest"},"topic":"TopicTest"}"#
        );
    }
}

#[test]
fn connections_are_listed_as_tools_read_them() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        let offline = Ask::new(203).with("consumerGroup", "CG_live");
        let answer = client.ask(&offline);
        assert_eq!(
            (answer.code, answer.remark.as_str()),
            (206, "the consumer group[CG_live] not online")
        );
        assert_eq!(client.ask(&heartbeat("a@1", "CG_live", "TagA", 1)).code, 0);
        let connection = format!(
            r#"{{"clientAddr":"{}","clientId":"a@1","language":"JAVA","version":513}}"#,
            client.address()
        );
        assert_eq!(
            client.ask(&offline).text(),
            format!(
                r#"{{"connectionSet":[{connection}],"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{{"TopicTest":{{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"TagA","subVersion":1,"tagsSet":["TagA"],"topic":"TopicTest"}}}}}}"#
            )
        );
        let producers = client.ask(&Ask::new(204).with("producerGroup", "PG1"));
        assert_eq!(
            producers.text(),
            format!(r#"{{"connectionSet":[{connection}]}}"#)
        );
        let unknown = client.ask(&Ask::new(204).with("producerGroup", "PG_no"));
        assert_eq!(unknown.code, 1);
        let all = client.ask(&Ask::new(328));
        let start =
            r#"{"data":{"PG1":[{"clientId":"a@1","language":"JAVA","lastUpdateTimestamp":1"#;
        assert!(all.text().starts_with(start), "{all:?}");
        let end = format!(r#""remoteIP":"/{}","version":513}}]}}}}"#, client.address());
        assert!(all.text().ends_with(&end), "{all:?}");
    }
}

#[test]
fn too_many_questions_at_once_are_refused_and_a_lost_connection_ends_its_own() {
    let (server, mut client) = consumed(3);
    let mut crowd = Client::connect(server.broker_address());
    let ask = Ask::new(202).with("topic", "BenchmarkTest");
    for _ in 0..300 {
        crowd.send(&ask);
    }
    // Refusals come before answers to earlier questions.
    let frames = (0..300).map(|_| crowd.next_frame().unwrap());
    let answers: Vec<Answer> = frames.collect();
    let codes = answers.iter().map(|answer| answer.code);
    assert!(codes.clone().any(|code| code == 0), "some are served");
    assert!(
        codes.clone().all(|code| code == 0 || code == 2),
        "the rest is told to come again"
    );
    for _ in 0..50 {
        crowd.send(&ask);
    }
    drop(crowd);
    assert_eq!(client.ask(&Ask::new(202).with("topic", TOPIC)).code, 0);
}

//! Clients and groups: heartbeats, members, notices, locks.

use crate::broker::{bodies, create_topic, pull, send};
use crate::harness::Server;
use crate::wire::{Answer, Ask, Client};

pub fn heartbeat(client_id: &str, group: &str, expression: &str, version: i64) -> Ask<'static> {
    let body = format!(
        r#"{{"clientID":"{client_id}","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"{group}","messageModel":"CLUSTERING","subscriptionDataSet":[{{"expressionType":"TAG","subString":"{expression}","subVersion":{version},"topic":"TopicTest"}}],"unitMode":false}}],"producerDataSet":[{{"groupName":"PG1"}}]}}"#
    );
    Ask::new(34).body(body)
}

fn members(client: &mut Client, group: &str) -> Answer {
    client.ask(&Ask::new(38).with("consumerGroup", group))
}

/// Waits for NOTIFY_CONSUMER_IDS_CHANGED.
fn notice(client: &mut Client) -> String {
    loop {
        let frame = client.next_frame().expect("the connection was closed");
        if frame.flag & 1 == 0 && frame.code == 40 {
            assert_eq!(frame.flag, 2, "one-way");
            return frame.field("consumerGroup").unwrap().to_owned();
        }
    }
}

#[test]
fn members_of_a_group_see_each_other_come_and_go() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut first = Client::connect(server.broker_address());
        create_topic(&mut first, "TopicTest", 2);
        assert_eq!(members(&mut first, "CG1").code, 1);
        let answer = first.ask(&heartbeat("a@1", "CG1", "*", 1));
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.version >= 232, "consumers with SQL filters want it");
        assert_eq!(
            members(&mut first, "CG1").text(),
            r#"{"consumerIdList":["a@1"]}"#
        );
        let mut second = Client::connect(server.broker_address());
        assert_eq!(second.ask(&heartbeat("b@2", "CG1", "*", 1)).code, 0);
        assert_eq!(notice(&mut first), "CG1");
        let list = members(&mut second, "CG1");
        assert!(list.text().contains("a@1") && list.text().contains("b@2"));
        drop(second);
        assert_eq!(notice(&mut first), "CG1");
        assert_eq!(
            members(&mut first, "CG1").text(),
            r#"{"consumerIdList":["a@1"]}"#
        );
        let leave = Ask::new(35)
            .with("clientID", "a@1")
            .with("consumerGroup", "CG1");
        assert_eq!(first.ask(&leave).code, 0);
        assert_eq!(members(&mut first, "CG1").code, 1);
    }
}

#[test]
fn a_heartbeat_creates_the_group_and_its_retry_topic() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        assert_eq!(client.ask(&heartbeat("a@1", "CG_new", "*", 1)).code, 0);
        let answer = client.ask(&pull("%RETRY%CG_new", 0, 0));
        assert_eq!(answer.code, 19, "{answer:?}");
        let config = client.ask(&Ask::new(352).with("group", "CG_new"));
        assert!(config.text().contains(r#""groupName":"CG_new""#));
    }
}

#[test]
fn a_pull_without_expression_follows_the_registered_subscription_at_once() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 3);
        for queue in 0..3 {
            assert_eq!(client.ask(&send("TopicTest", queue, "tagged A")).code, 0);
        }
        let registered = |queue: i32, version: i64| {
            let mut ask = pull("TopicTest", queue, 0);
            for (name, value) in &mut ask.fields {
                match *name {
                    "consumerGroup" => *value = "CG1".into(),
                    "sysFlag" => *value = "0".into(),
                    "subVersion" => *value = version.to_string(),
                    _ => {}
                }
            }
            ask
        };
        for (version, expression, code) in [(1, "TagA", 0), (2, "TagB", 20), (3, "*", 0)] {
            assert_eq!(
                client
                    .ask(&heartbeat("a@1", "CG1", expression, version))
                    .code,
                0
            );
            for queue in 0..3 {
                let answer = client.ask(&registered(queue, version));
                assert_eq!(answer.code, code, "{expression}: {answer:?}");
                let newer = client.ask(&registered(queue, version + 1));
                assert_eq!(
                    newer.code, 0,
                    "the client compares the tags itself: {newer:?}"
                );
            }
        }
        let mut elsewhere = registered(0, 0);
        elsewhere.fields[1].1 = "BenchmarkTest".into();
        assert_eq!(client.ask(&elsewhere).code, 24);
    }
}

#[test]
fn malformed_heartbeats_are_refused_and_the_connection_lives_on() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    for body in [
        "",
        "nonsense",
        "{}",
        r#"{"clientID":""}"#,
        r#"{"clientID":7}"#,
        "[[[[[[[[",
    ] {
        let answer = client.ask(&Ask::new(34).body(body));
        assert_eq!(answer.code, 1, "{body}: {answer:?}");
    }
    assert_eq!(client.ask(&heartbeat("a@1", "CG1", "*", 1)).code, 0);
}

#[test]
fn a_queue_lock_belongs_to_one_client_until_it_lets_go() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut first = Client::connect(server.broker_address());
        let mut second = Client::connect(server.broker_address());
        let queue = r#"{"brokerName":"broker-a","queueId":0,"topic":"TopicTest"}"#;
        let body = |client: &str| {
            format!(r#"{{"clientId":"{client}","consumerGroup":"CG1","mqSet":[{queue}]}}"#)
        };
        let granted = format!(r#"{{"lockOKMQSet":[{queue}]}}"#);
        assert_eq!(first.ask(&Ask::new(41).body(body("a"))).text(), granted);
        let denied = second.ask(&Ask::new(41).body(body("b")));
        assert_eq!(denied.text(), r#"{"lockOKMQSet":[]}"#);
        assert_eq!(first.ask(&Ask::new(42).body(body("a"))).code, 0);
        assert_eq!(second.ask(&Ask::new(41).body(body("b"))).text(), granted);
    }
}

#[test]
fn a_topic_can_be_changed_shown_and_deleted_and_comes_back_empty() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 3);
        for queue in 0..3 {
            assert_eq!(client.ask(&send("TopicTest", queue, "old")).code, 0);
        }
        let shown = client.ask(&Ask::new(351).with("topic", "TopicTest"));
        assert!(shown.text().contains(r#""readQueueNums":3"#), "{shown:?}");
        let delete = Ask::new(215).with("topic", "TopicTest");
        assert_eq!(client.ask(&delete).code, 0);
        assert_eq!(client.ask(&delete).code, 0);
        assert_eq!(client.ask(&pull("TopicTest", 0, 0)).code, 17);
        create_topic(&mut client, "TopicTest", 3);
        for queue in 0..3 {
            assert_eq!(client.ask(&pull("TopicTest", queue, 0)).code, 19);
            let answer = client.ask(&send("TopicTest", queue, "new"));
            assert_eq!(answer.number("queueOffset"), 0);
            assert_eq!(bodies(&client.ask(&pull("TopicTest", queue, 0))), ["new"]);
        }
        let system = client.ask(&Ask::new(215).with("topic", "TBW102"));
        assert_eq!(system.code, 29);
        assert_eq!(
            client
                .ask(&Ask::new(215).with("topic", "TBW102").version(407))
                .code,
            1
        );
    }
}

//! The name server's port.

use crate::harness::Server;
use crate::wire::{Ask, Client};

fn register(client: &mut Client, broker: &str, topics: &str) {
    let body = format!(
        r#"{{"filterServerList":[],"topicConfigSerializeWrapper":{{"dataVersion":{{"counter":1,"timestamp":7}},"topicConfigTable":{{{topics}}}}}}}"#
    );
    let answer = client.ask(
        &Ask::new(103)
            .with("brokerName", broker)
            .with("brokerAddr", "127.0.0.1:10911")
            .with("clusterName", "DefaultCluster")
            .with("haServerAddr", "127.0.0.1:10912")
            .with("brokerId", 0)
            .body(body),
    );
    assert_eq!(answer.code, 0, "{answer:?}");
}

fn topic(name: &str) -> String {
    format!(
        r#""{name}":{{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"{name}","topicSysFlag":0,"writeQueueNums":4}}"#
    )
}

#[test]
fn a_registered_topic_has_a_route_on_every_shard_and_in_both_serialisations() {
    for shards in [1, 3] {
        let server = Server::names(shards);
        let mut broker = Client::connect(server.names);
        register(
            &mut broker,
            "broker-a",
            &[topic("TopicTest"), topic("Other")].join(","),
        );
        for _ in 0..2 * shards {
            let mut client = Client::connect(server.names);
            let route = client.ask(&Ask::new(105).with("topic", "TopicTest"));
            assert_eq!(route.code, 0, "{route:?}");
            assert!(
                route
                    .text()
                    .contains(r#""brokerAddrs":{"0":"127.0.0.1:10911"}"#)
            );
            let route = client.ask(&Ask::new(105).with("topic", "TopicTest").binary());
            assert_eq!(route.kind, ringmq_protocol::frame::HeaderKind::Binary);
            assert_eq!(route.code, 0);
            let unknown = client.ask(&Ask::new(105).with("topic", "Nowhere"));
            assert_eq!(unknown.code, 17);
        }
    }
}

#[test]
fn a_brokers_topics_go_when_its_connection_ends() {
    let server = Server::names(3);
    let mut client = Client::connect(server.names);
    let mut broker = Client::connect(server.names);
    register(
        &mut broker,
        "broker-a",
        &[topic("TopicTest"), topic("Other")].join(","),
    );
    let ask = Ask::new(105).with("topic", "TopicTest");
    assert_eq!(client.ask(&ask).code, 0);
    drop(broker);
    let gone = (0..10_000).any(|_| client.ask(&ask).code == 17);
    assert!(gone, "the route outlives its broker");
}

#[test]
fn an_unknown_code_is_answered_with_three_unless_it_is_oneway() {
    let server = Server::names(1);
    let mut client = Client::connect(server.names);
    let answer = client.ask(&Ask::new(9999));
    assert_eq!(answer.code, 3);
    assert_eq!(answer.remark, " request type 9999 not supported");
    client.send(&Ask::new(9999).oneway());
    let next = client.ask(&Ask::new(106));
    assert_eq!(next.code, 0);
}

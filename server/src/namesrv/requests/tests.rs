use std::collections::BTreeMap;

use super::*;

const BODY: &str = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1795149436437},"topicConfigTable":{"TBW102":{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"TBW102","topicSysFlag":0,"writeQueueNums":4},"TopicX":{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"TopicX","topicSysFlag":0,"writeQueueNums":4}}}}"#;

/// Sends a request as a client of this version would.
fn ask(
    server: &mut NameServer,
    code: i32,
    version: i32,
    fields: &[(&str, &str)],
    body: &str,
) -> Answer {
    let fields: BTreeMap<&str, &str> = fields.iter().copied().collect();
    let field = |name: &str| fields.get(name).map(|value| (*value).to_owned());
    let request = Request {
        code,
        version,
        field: &field,
        body: body.as_bytes(),
        connection: ConnectionId(1),
    };
    server.handle(&request, 0)
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn broker(id: &'static str, address: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("brokerName", "broker-x"),
        ("brokerAddr", address),
        ("clusterName", "DefaultCluster"),
        ("haServerAddr", "127.0.0.1:19000"),
        ("brokerId", id),
        ("bodyCrc32", "0"),
        ("compressed", "false"),
    ]
}

/// A name server that knows a master and its slave.
fn started() -> NameServer {
    let mut server = NameServer::default();
    let master = broker("0", "127.0.0.1:18999");
    assert_eq!(ask(&mut server, 103, 513, &master, BODY), Answer::default());
    let slave = broker("1", "127.0.0.1:18997");
    let answer = ask(&mut server, 103, 513, &slave, BODY);
    assert_eq!(
        answer.fields,
        [
            ("haServerAddr", "127.0.0.1:19000".to_owned()),
            ("masterAddr", "127.0.0.1:18999".to_owned())
        ]
    );
    server
}

#[test]
fn routes_come_in_both_forms() {
    let mut server = started();
    let strict = r#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:18999","1":"127.0.0.1:18997"},"brokerName":"broker-x","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-x","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;
    let legacy = strict.replace("\"0\":", "0:").replace("\"1\":", "1:");
    let topic = ("topic", "TopicX");
    assert_eq!(text(&ask(&mut server, 105, 513, &[topic], "")), strict);
    assert_eq!(text(&ask(&mut server, 105, 401, &[topic], "")), strict);
    assert_eq!(text(&ask(&mut server, 105, 317, &[topic], "")), legacy);
    let wants = [topic, ("acceptStandardJsonOnly", "true")];
    assert_eq!(text(&ask(&mut server, 105, 317, &wants, "")), strict);
}

#[test]
fn an_unknown_topic_is_answered_in_apaches_words() {
    let mut server = started();
    let answer = ask(&mut server, 105, 513, &[("topic", "NoSuchTopic")], "");
    assert_eq!(answer.code, 17);
    assert_eq!(
        answer.remark.as_deref(),
        Some(
            "No topic route info in name server for the topic: NoSuchTopic\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
        )
    );
    assert_eq!(ask(&mut server, 105, 513, &[], "").code, 17);
}

#[test]
fn the_cluster_is_shown_with_bare_keys_to_everyone() {
    let mut server = started();
    assert_eq!(
        text(&ask(&mut server, 106, 513, &[], "")),
        r#"{"brokerAddrTable":{"broker-x":{"brokerAddrs":{0:"127.0.0.1:18999",1:"127.0.0.1:18997"},"brokerName":"broker-x","cluster":"DefaultCluster","enableActingMaster":false}},"clusterAddrTable":{"DefaultCluster":["broker-x"]}}"#
    );
}

#[test]
fn topics_are_listed() {
    let mut server = started();
    let list = r#"{"topicList":["TBW102","TopicX"]}"#;
    assert_eq!(text(&ask(&mut server, 206, 513, &[], "")), list);
    let cluster = [("cluster", "DefaultCluster")];
    assert_eq!(text(&ask(&mut server, 224, 513, &cluster, "")), list);
    assert_eq!(
        text(&ask(&mut server, 304, 513, &[], "")),
        r#"{"brokerAddr":"127.0.0.1:18999","topicList":["DefaultCluster","broker-x"]}"#
    );
    for code in 311..=313 {
        assert_eq!(
            text(&ask(&mut server, code, 513, &[], "")),
            r#"{"topicList":[]}"#
        );
    }
}

#[test]
fn the_data_version_is_compared() {
    let mut server = started();
    let known = broker("0", "127.0.0.1:18999");
    let same = r#"{"counter":1,"stateVersion":0,"timestamp":1795149436437}"#;
    let answer = ask(&mut server, 322, 513, &known, same);
    assert_eq!(answer.fields, [("changed", "false".to_owned())]);
    assert_eq!(text(&answer), same);
    let other = ask(&mut server, 322, 513, &known, r#"{"counter":2}"#);
    assert_eq!(other.fields, [("changed", "true".to_owned())]);
    let unknown = broker("0", "127.0.0.1:1");
    let answer = ask(&mut server, 322, 513, &unknown, same);
    assert_eq!(answer.fields, [("changed", "true".to_owned())]);
    assert!(answer.body.is_empty());
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut server = NameServer::default();
    let mut fields = broker("0", "127.0.0.1:18999");
    fields.retain(|(key, _)| *key != "bodyCrc32");
    fields.push(("bodyCrc32", "12345"));
    let answer = ask(&mut server, 103, 513, &fields, BODY);
    assert_eq!(answer.code, 1);
    assert_eq!(answer.remark.as_deref(), Some("crc32 not match"));
}

#[test]
fn the_order_configuration_reaches_brokers_and_on_demand_routes() {
    let settings = NameServerSettings {
        order_message: true,
        ..NameServerSettings::default()
    };
    let mut server = NameServer::new(settings, KvConfig::default());
    let order = [
        ("namespace", "ORDER_TOPIC_CONFIG"),
        ("key", "TopicX"),
        ("value", "broker-x:2"),
    ];
    assert_eq!(ask(&mut server, 100, 513, &order, "").code, 0);
    let master = broker("0", "127.0.0.1:18999");
    assert_eq!(
        text(&ask(&mut server, 103, 513, &master, BODY)),
        r#"{"table":{"TopicX":"broker-x:2"}}"#
    );
    let route = ask(&mut server, 105, 513, &[("topic", "TopicX")], "");
    assert!(
        text(&route)
            .contains(r#""filterServerTable":{},"orderTopicConf":"broker-x:2","queueDatas""#)
    );
}

#[test]
fn kv_entries_are_put_found_listed_and_deleted() {
    let mut server = NameServer::default();
    let entry = [("namespace", "GOLDEN"), ("key", "k1"), ("value", "v1")];
    ask(&mut server, 100, 513, &entry, "");
    let found = ask(&mut server, 101, 513, &entry[..2], "");
    assert_eq!(found.fields, [("value", "v1".to_owned())]);
    assert_eq!(
        text(&ask(&mut server, 219, 513, &entry[..1], "")),
        r#"{"table":{"k1":"v1"}}"#
    );
    ask(&mut server, 102, 513, &entry[..2], "");
    let gone = ask(&mut server, 101, 513, &entry[..2], "");
    assert_eq!(gone.code, 22);
    assert_eq!(
        gone.remark.as_deref(),
        Some("No config item, Namespace: GOLDEN Key: k1")
    );
    let refused = ask(&mut server, 100, 513, &entry[..1], "");
    assert_eq!(refused.remark.as_deref(), Some("namespace or key is null"));
    let nowhere = ask(&mut server, 219, 513, &[("namespace", "NOPE")], "");
    assert_eq!(nowhere.code, 22);
}

#[test]
fn write_permission_is_wiped_and_given_back() {
    let mut server = started();
    let name = [("brokerName", "broker-x")];
    let wiped = ask(&mut server, 205, 513, &name, "");
    assert_eq!(wiped.fields, [("wipeTopicCount", "2".to_owned())]);
    let given = ask(&mut server, 327, 513, &name, "");
    assert_eq!(given.fields, [("addTopicCount", "2".to_owned())]);
    let nobody = ask(&mut server, 205, 513, &[("brokerName", "nope")], "");
    assert_eq!(nobody.fields, [("wipeTopicCount", "0".to_owned())]);
}

#[test]
fn a_topic_is_registered_directly_and_deleted() {
    let mut server = started();
    let body = r#"{"brokerDatas":[],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-x","perm":6,"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1}]}"#;
    let topic = [("topic", "TopicRegNs")];
    let stranger = body.replace("broker-x", "nobody");
    for body in [stranger.as_str(), "", "{}"] {
        assert_eq!(ask(&mut server, 217, 513, &topic, body), Answer::default());
        assert_eq!(ask(&mut server, 105, 513, &topic, "").code, 17);
    }
    assert_eq!(ask(&mut server, 217, 513, &topic, body), Answer::default());
    assert_eq!(ask(&mut server, 105, 513, &topic, "").code, 0);
    assert_eq!(ask(&mut server, 216, 513, &topic, "").code, 0);
    assert_eq!(ask(&mut server, 105, 513, &topic, "").code, 17);
}

#[test]
fn the_members_of_a_broker_name_are_shown() {
    let mut server = started();
    let group = [
        ("clusterName", "DefaultCluster"),
        ("brokerName", "broker-x"),
    ];
    assert_eq!(
        text(&ask(&mut server, 901, 513, &group, "")),
        r#"{"brokerMemberGroup":{"brokerAddrs":{0:"127.0.0.1:18999",1:"127.0.0.1:18997"},"brokerName":"broker-x","cluster":"DefaultCluster"}}"#
    );
    let master = broker("0", "127.0.0.1:18999");
    assert_eq!(ask(&mut server, 904, 513, &master, ""), Answer::default());
}

#[test]
fn unregistering_takes_the_broker_out_and_its_topics_with_the_last() {
    let mut server = started();
    ask(&mut server, 104, 513, &broker("1", "127.0.0.1:18997"), "");
    let topic = [("topic", "TopicX")];
    assert_eq!(ask(&mut server, 105, 513, &topic, "").code, 0);
    ask(&mut server, 104, 513, &broker("0", "127.0.0.1:18999"), "");
    assert_eq!(ask(&mut server, 105, 513, &topic, "").code, 17);
}

#[test]
fn an_unknown_code_is_named() {
    let answer = ask(&mut NameServer::default(), 9999, 513, &[], "");
    assert_eq!(answer.code, 3);
    assert_eq!(
        answer.remark.as_deref(),
        Some(" request type 9999 not supported")
    );
}

#[test]
fn lists_can_be_turned_off() {
    let settings = NameServerSettings {
        all_topic_list: false,
        topic_list: false,
        ..NameServerSettings::default()
    };
    let mut server = NameServer::new(settings, KvConfig::default());
    for code in [206, 224, 311] {
        let answer = ask(&mut server, code, 513, &[("cluster", "C")], "");
        assert_eq!(answer.remark.as_deref(), Some("disable"), "{code}");
    }
    // Nothing turns this one off.
    assert_eq!(ask(&mut server, 304, 513, &[], "").code, 0);
}

#[test]
fn a_starting_name_server_can_be_told_to_wait_for_its_brokers() {
    let settings = NameServerSettings {
        wait_for_service_ms: 45_000,
        ..NameServerSettings::default()
    };
    let mut server = NameServer::new(settings, KvConfig::default());
    server.expire(1_000);
    let field = |name: &str| (name == "topic").then(|| "T".to_owned());
    let request = Request {
        code: 105,
        version: 513,
        field: &field,
        body: b"",
        connection: ConnectionId(1),
    };
    let early = server.handle(&request, 45_999);
    assert_eq!(early.remark.as_deref(), Some("name server not ready"));
    assert_eq!(server.handle(&request, 46_000).code, 17);
}

#[test]
fn a_static_topics_mapping_is_part_of_its_route() {
    let mut server = NameServer::default();
    let mapping = r#""topicQueueMappingInfoMap":{"TopicX":{"bname":"broker-x","currIdMap":{0:0,1:1},"dirty":false,"epoch":1795149436437,"scope":"__global__","topic":"TopicX","totalQueues":2}}"#;
    let body = BODY.replace(
        "\"topicConfigTable\"",
        &format!("{mapping},\"topicConfigTable\""),
    );
    let master = broker("0", "127.0.0.1:18999");
    assert_eq!(ask(&mut server, 103, 513, &master, &body).code, 0);
    let route = ask(&mut server, 105, 513, &[("topic", "TopicX")], "");
    let end = r#","topicQueueMappingByBroker":{"broker-x":{"bname":"broker-x","currIdMap":{"0":0,"1":1},"dirty":false,"epoch":1795149436437,"scope":"__global__","topic":"TopicX","totalQueues":2}}}"#;
    assert!(text(&route).ends_with(end), "{}", text(&route));
}

#[test]
fn a_client_gets_the_brokers_of_its_zone_when_it_asks_for_them() {
    let mut server = NameServer::default();
    let mut near = broker("0", "127.0.0.1:18999");
    near.push(("__ZONE_NAME", "z1"));
    ask(&mut server, 103, 513, &near, BODY);
    let topic = ("topic", "TopicX");
    let zone = |mode, name| [topic, ("__ZONE_MODE", mode), ("__ZONE_NAME", name)];
    let has_broker = |server: &mut NameServer, fields: &[(&str, &str)]| {
        text(&ask(server, 105, 513, fields, "")).contains("18999")
    };
    assert!(has_broker(&mut server, &[topic]));
    assert!(has_broker(&mut server, &zone("true", "z1")));
    assert!(has_broker(&mut server, &zone("false", "z2")));
    assert!(!has_broker(&mut server, &zone("true", "z2")));
}

#[test]
fn a_question_for_the_data_version_without_one_is_answered_with_changed() {
    let mut server = started();
    let known = broker("0", "127.0.0.1:18999");
    let answer = ask(&mut server, 322, 513, &known, "");
    assert_eq!(answer.fields, [("changed", "true".to_owned())]);
    assert!(!answer.body.is_empty());
}

#[test]
fn wiping_needs_a_broker_name() {
    for code in [205, 327] {
        let answer = ask(&mut NameServer::default(), code, 513, &[], "");
        assert_eq!(answer.code, 1, "{code}");
    }
}

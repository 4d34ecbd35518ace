//! What administrators change or have clients asked: resets, copies and deletions of groups' offsets,
//! lists of topics and groups, and requests that a client answers through its broker.

use ringmq_protocol::command::offset::{AllConsumerOffsets, OffsetTable};
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::{FLAG_RESPONSE, Head, Language};

use crate::broker::{bodies, create_topic, pull, records, send};
use crate::groups::heartbeat;
use crate::harness::Server;
use crate::progress::{commit, consumed};
use crate::wire::{Answer, Ask, Client};

const TOPIC: &str = "TopicTest";

fn reset(group: &str, timestamp: i64) -> Ask<'static> {
    Ask::new(222)
        .with("topic", TOPIC)
        .with("group", group)
        .with("timestamp", timestamp)
        .with("isForce", true)
        .with("queueId", -1)
        .with("offset", -1)
}

fn offsets(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.code, 0, "{answer:?}");
    let table = OffsetTable::parse(&answer.body).unwrap();
    table.offset_table.into_values().collect()
}

fn committed(client: &mut Client, group: &str, queue: i32) -> Option<i64> {
    let answer = client.ask(
        &Ask::new(14)
            .with("consumerGroup", group)
            .with("topic", TOPIC)
            .with("queueId", queue)
            .with("setZeroIfNotFound", false),
    );
    (answer.code == 0).then(|| answer.number("offset"))
}

#[test]
fn a_reset_by_the_broker_moves_offline_groups_and_is_told_to_the_next_pull_once() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        let answer = client.ask(&reset("CG_test", -1));
        assert!(
            answer
                .text()
                .starts_with(r#"{"offsetTable":{{"brokerName":"broker-a""#)
        );
        assert_eq!(offsets(&answer), [3, 3, 3]);
        assert_eq!(committed(&mut client, "CG_test", 1), Some(3));
        assert_eq!(offsets(&client.ask(&reset("CG_test", 0))), [0, 0, 0]);
        for queue in 0..3 {
            commit(&mut client, "CG_test", queue, 2);
            let offset = committed(&mut client, "CG_test", queue);
            assert_eq!(
                offset,
                Some(0),
                "a commit of before the reset does not undo it"
            );
            let told = client.ask(&pull(TOPIC, queue, 1));
            assert_eq!((told.code, told.remark.as_str()), (21, "OFFSET_RESET"));
            assert_eq!(told.number("nextBeginOffset"), 0);
            assert_eq!(bodies(&client.ask(&pull(TOPIC, queue, 0))), ["a", "b", "c"]);
            commit(&mut client, "CG_test", queue, 2);
            assert_eq!(committed(&mut client, "CG_test", queue), Some(2));
        }
    }
}

#[test]
fn one_queue_can_be_reset_to_an_offset_that_it_has() {
    let (_server, mut client) = consumed(3);
    let one = |offset: i64| {
        let mut ask = reset("CG_test", -1);
        ask.fields
            .retain(|(name, _)| !["queueId", "offset"].contains(name));
        ask.with("queueId", 2).with("offset", offset)
    };
    assert_eq!(offsets(&client.ask(&one(2))), [2]);
    assert_eq!(committed(&mut client, "CG_test", 2), Some(2));
    assert_eq!(committed(&mut client, "CG_test", 0), Some(1));
    let beyond = client.ask(&one(9));
    assert_eq!(
        (beyond.code, beyond.remark.as_str()),
        (1, "Target offset 9 not in consume queue range [0-3]")
    );
}

#[test]
fn a_reset_by_time_finds_the_first_message_stored_then() {
    let (_server, mut client) = consumed(3);
    let answer = client.ask(&pull(TOPIC, 1, 0));
    let last = records(&answer)[2].store_timestamp();
    let found = offsets(&client.ask(&reset("CG_test", last)));
    assert!(found[1] <= 2, "{found:?}");
    assert_eq!(
        offsets(&client.ask(&reset("CG_test", i64::MAX - 1))),
        [3, 3, 3]
    );
}

#[test]
fn resets_of_what_is_not_there_are_refused() {
    let (_server, mut client) = consumed(3);
    assert_eq!(client.ask(&reset("CG_nope", 0)).code, 26);
    let mut ask = reset("CG_test", 0);
    ask.fields[0].1 = "NoSuchTopic".into();
    let answer = client.ask(&ask);
    assert_eq!(
        (answer.code, answer.remark.as_str()),
        (17, "Topic NoSuchTopic does not exist")
    );
    assert_eq!(client.ask(&ask.version(407)).code, 1);
}

/// Waits for a request of the broker's own.
fn asked_by_broker(client: &mut Client, code: i32) -> Answer {
    loop {
        let frame = client.next_frame().expect("the connection was closed");
        if frame.flag & 1 == 0 && frame.code == code {
            return frame;
        }
    }
}

fn respond(client: &mut Client, to: &Answer, code: i32, remark: Option<&str>, body: &[u8]) {
    let head = Head {
        code,
        language: Language::Java,
        version: 513,
        opaque: to.opaque,
        flag: FLAG_RESPONSE,
        remark,
    };
    let mut out = Vec::new();
    head.encode_frame(HeaderKind::Json, &mut out, body, |ext| {
        ext.put("kept", "yes")
    })
    .unwrap();
    client.write(&out);
}

#[test]
fn a_reset_by_clients_tells_every_member_and_changes_nothing_itself() {
    for shards in [1, 3] {
        let server = Server::broker_with(shards, |settings| settings.server_side_reset = false);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, TOPIC, 2);
        for queue in 0..2 {
            assert_eq!(client.ask(&send(TOPIC, queue, "a")).code, 0);
        }
        let mut member = Client::connect(server.broker_address());
        assert_eq!(member.ask(&heartbeat("m@1", "CG_live", "*", 1)).code, 0);
        let unknown = client.ask(&reset("CG_live", 0));
        assert_eq!(unknown.remark, "THe consumer group <CG_live> not exist");
        for queue in 0..2 {
            commit(&mut member, "CG_live", queue, 1);
        }
        let mut ask = reset("CG_live", 0);
        ask.fields[3].1 = "false".into();
        assert_eq!(offsets(&client.ask(&ask)), [0, 0]);
        let told = asked_by_broker(&mut member, 220);
        assert_eq!(told.flag, 2, "one-way");
        assert_eq!(
            (told.field("group"), told.number("timestamp")),
            (Some("CG_live"), 0)
        );
        assert!(serde_json::from_slice::<serde_json::Value>(&told.body).is_err());
        assert_eq!(
            OffsetTable::parse(&told.body).unwrap().offset_table.len(),
            2
        );
        assert_eq!(committed(&mut client, "CG_live", 0), Some(1));
        // Without force a group is never moved forward.
        for queue in 0..2 {
            commit(&mut member, "CG_live", queue, 0);
        }
        let mut ask = reset("CG_live", -1);
        ask.fields[3].1 = "false".into();
        assert_eq!(offsets(&client.ask(&ask)), [0, 0]);
        drop(member);
        let offline = loop {
            let answer = client.ask(&reset("CG_live", 0));
            if answer.code != 0 {
                break answer;
            }
        };
        assert_eq!(offline.code, 206);
        assert_eq!(
            offline.remark,
            "Consumer not online, so can not reset offset, Group: CG_live Topic: TopicTest Timestamp: 0"
        );
    }
}

#[test]
fn offsets_can_be_copied_to_another_group_and_dropped_with_theirs() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        let clone = |topic: &str| {
            Ask::new(314)
                .with("srcGroup", "CG_test")
                .with("destGroup", "CG_copy")
                .with("topic", topic)
                .with("offline", false)
        };
        assert_eq!(client.ask(&clone("NoSuchTopic")).code, 0);
        assert_eq!(committed(&mut client, "CG_copy", 0), None);
        for topic in [TOPIC, ""] {
            assert_eq!(client.ask(&clone(topic)).code, 0);
            for queue in 0..3 {
                assert_eq!(committed(&mut client, "CG_copy", queue), Some(1));
            }
        }
        let all = client.ask(&Ask::new(43));
        assert!(
            all.text().contains(r#""TopicTest@CG_copy":{0:1,1:1,2:1}"#),
            "{all:?}"
        );
        let all = AllConsumerOffsets::parse(&all.body).unwrap();
        assert_eq!(all.offset_table["TopicTest@CG_test"].len(), 3);
        let delete = |clean: bool| {
            Ask::new(207)
                .with("groupName", "CG_copy")
                .with("cleanOffset", clean)
        };
        assert_eq!(client.ask(&delete(false)).code, 0);
        assert_eq!(committed(&mut client, "CG_copy", 1), Some(1));
        assert_eq!(
            client.ask(&delete(true)).code,
            0,
            "an unknown group is fine"
        );
        for queue in 0..3 {
            assert_eq!(committed(&mut client, "CG_copy", queue), None);
            assert_eq!(committed(&mut client, "CG_test", queue), Some(1));
        }
    }
}

#[test]
fn a_deleted_group_is_gone_with_its_offsets_and_stays_gone_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let groups = |client: &mut Client| client.ask(&Ask::new(201)).text().to_owned();
    {
        let server = Server::broker_in(folder.path(), 2, |_| ());
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, TOPIC, 3);
        for group in ["CG_gone", "CG_stays"] {
            let config = format!(r#"{{"groupName":"{group}","retryMaxTimes":3}}"#);
            assert_eq!(client.ask(&Ask::new(200).body(config)).code, 0);
            for queue in 0..3 {
                commit(&mut client, group, queue, 0);
            }
        }
        assert!(groups(&mut client).contains("CG_gone"));
        let delete = Ask::new(207)
            .with("groupName", "CG_gone")
            .with("cleanOffset", true);
        assert_eq!(client.ask(&delete).code, 0);
        assert!(!groups(&mut client).contains("CG_gone"));
        assert_eq!(committed(&mut client, "CG_gone", 1), None);
    }
    let server = Server::broker_in(folder.path(), 2, |_| ());
    let mut client = Client::connect(server.broker_address());
    let left = groups(&mut client);
    assert!(
        left.contains("CG_stays") && !left.contains("CG_gone"),
        "{left}"
    );
    for queue in 0..3 {
        assert_eq!(committed(&mut client, "CG_gone", queue), None);
        assert_eq!(committed(&mut client, "CG_stays", queue), Some(0));
    }
}

#[test]
fn lists_of_topics_and_groups_are_created_whole_or_not_at_all() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        let topic = |name: &str| {
            format!(
                r#"{{"attributes":{{"+message.type":"FIFO"}},"order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"{name}","topicSysFlag":0,"writeQueueNums":2}}"#
            )
        };
        let topics = |names: [&str; 2]| {
            let list = names.map(topic).join(",");
            Ask::new(18).body(format!(r#"{{"topicConfigList":[{list}]}}"#))
        };
        assert_eq!(client.ask(&topics(["TopicL1", "not allowed"])).code, 29);
        let show = Ask::new(351).with("topic", "TopicL1");
        assert_eq!(client.ask(&show).code, 17);
        for _ in 0..2 {
            assert_eq!(client.ask(&topics(["TopicL1", "TopicL2"])).code, 0);
            let shown = client.ask(&show);
            assert!(
                shown.text().contains(r#"{"message.type":"FIFO"}"#),
                "{shown:?}"
            );
        }
        let groups = |names: [&str; 2]| {
            let list = names.map(|name| format!(r#"{{"groupName":"{name}"}}"#));
            Ask::new(225).body(format!(r#"{{"groupConfigList":[{}]}}"#, list.join(",")))
        };
        assert_eq!(client.ask(&groups(["CG_1", "CG$2"])).code, 29);
        assert!(!client.ask(&Ask::new(201)).text().contains("CG_1"));
        assert_eq!(client.ask(&groups(["CG_1", "CG_2"])).code, 0);
        assert!(client.ask(&Ask::new(201)).text().contains("CG_2"));
    }
}

#[test]
fn tables_are_shown_page_by_page_to_those_who_ask_so() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    let names = |answer: &Answer| {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let table = body["topicConfigTable"].as_object().unwrap();
        let names: Vec<String> = table.keys().cloned().collect();
        (names, body["dataVersion"].to_string())
    };
    let (all, version) = names(&client.ask(&Ask::new(21)));
    let (mut paged, mut total) = (Vec::new(), usize::MAX);
    while paged.len() < total {
        let page = client.ask(
            &Ask::new(21)
                .with("topicSeq", paged.len())
                .with("maxTopicNum", 4)
                .with("dataVersion", if paged.is_empty() { "" } else { &version }),
        );
        total = page.number("totalTopicNum") as usize;
        paged.extend(names(&page).0);
    }
    assert_eq!(paged, all);
    let stale = Ask::new(21)
        .with("topicSeq", 4)
        .with("maxTopicNum", 2)
        .with(
            "dataVersion",
            r#"{"counter":0,"stateVersion":0,"timestamp":1}"#,
        );
    assert_eq!(
        names(&client.ask(&stale)).0,
        all[..2],
        "from the start again"
    );
    let system = client.ask(&Ask::new(305));
    assert!(system.text().contains(r#""TBW102""#) && system.text().contains(r#""broker-a""#));
}

#[test]
fn a_consumer_answers_through_its_broker() {
    for shards in [1, 3] {
        let (server, mut admin) = consumed(shards);
        let mut member = Client::connect(server.broker_address());
        assert_eq!(member.ask(&heartbeat("m@1", "CG_live", "*", 1)).code, 0);
        let ask = |id: &str| {
            Ask::new(307)
                .with("consumerGroup", "CG_live")
                .with("clientId", id)
                .with("jstackEnable", true)
        };
        let offline = admin.ask(&ask("nobody"));
        assert_eq!(
            (offline.code, offline.remark.as_str()),
            (1, "The Consumer <CG_live> <nobody> not online")
        );
        for round in 0..3 {
            let opaque = admin.send(&ask("m@1"));
            let asked = asked_by_broker(&mut member, 307);
            assert_eq!(asked.flag, 0, "to be answered");
            assert_eq!(asked.field("jstackEnable"), Some("true"));
            // An answer that nobody waits for is passed over.
            let mut stray = asked.clone();
            stray.opaque += 1000;
            respond(&mut member, &stray, 0, None, b"stray");
            let body = format!("running {round}");
            respond(&mut member, &asked, 0, Some("all well"), body.as_bytes());
            let answer = admin.answer(opaque);
            assert_eq!((answer.code, answer.remark.as_str()), (0, "all well"));
            assert_eq!(answer.text(), body);
            assert_eq!(answer.field("kept"), Some("yes"));
        }
        let opaque = admin.send(&ask("m@1"));
        asked_by_broker(&mut member, 307);
        drop(member);
        let gone = admin.answer(opaque);
        assert_eq!(
            (gone.code, gone.remark.as_str()),
            (1, "The Consumer <CG_live> <m@1> not online")
        );
    }
}

#[test]
fn another_connection_cannot_answer_for_a_client() {
    let (server, mut admin) = consumed(1);
    let mut member = Client::connect(server.broker_address());
    let mut other = Client::connect(server.broker_address());
    assert_eq!(member.ask(&heartbeat("m@1", "CG_live", "*", 1)).code, 0);
    let ask = Ask::new(307)
        .with("consumerGroup", "CG_live")
        .with("clientId", "m@1");
    let opaque = admin.send(&ask);
    let asked = asked_by_broker(&mut member, 307);
    respond(&mut other, &asked, 0, None, b"forged");
    assert_eq!(other.ask(&Ask::new(9999)).code, 3);
    respond(&mut member, &asked, 0, None, b"genuine");
    assert_eq!(admin.answer(opaque).text(), "genuine");
}

#[test]
fn a_consumer_is_handed_the_message_that_an_id_names() {
    for shards in [1, 3] {
        let (server, mut admin) = consumed(shards);
        let mut member = Client::connect(server.broker_address());
        assert_eq!(member.ask(&heartbeat("m@1", "CG_live", "*", 1)).code, 0);
        let sent = admin.ask(&send(TOPIC, 2, "by hand"));
        let ask = |client: &str, id: &str| {
            Ask::new(309)
                .with("consumerGroup", "CG_live")
                .with("clientId", client)
                .with("msgId", id)
                .with("topic", TOPIC)
        };
        let id = sent.field("msgId").unwrap();
        assert_eq!(admin.ask(&ask("nobody", id)).code, 1);
        assert_eq!(admin.ask(&ask("m@1", "no id")).code, 1);
        let nothing_there = format!("{}{:016X}", &id[..16], 1);
        assert_eq!(admin.ask(&ask("m@1", &nothing_there)).code, 1);
        let opaque = admin.send(&ask("m@1", id));
        let asked = asked_by_broker(&mut member, 309);
        assert_eq!(asked.field("brokerName"), Some("broker-a"));
        assert_eq!(
            (asked.number("topicSysFlag"), asked.number("groupSysFlag")),
            (0, 0)
        );
        assert_eq!(bodies(&asked), ["by hand"]);
        respond(
            &mut member,
            &asked,
            0,
            None,
            br#"{"consumeResult":"CR_SUCCESS"}"#,
        );
        assert_eq!(
            admin.answer(opaque).text(),
            r#"{"consumeResult":"CR_SUCCESS"}"#
        );
    }
}

#[test]
fn members_are_asked_where_they_are() {
    for shards in [1, 3] {
        let (server, mut admin) = consumed(shards);
        let ask = Ask::new(223)
            .with("topic", TOPIC)
            .with("group", "CG_live")
            .with("clientAddr", "");
        let offline = admin.ask(&ask);
        assert_eq!(
            (offline.code, offline.remark.as_str()),
            (1, "No Any Consumer online in the consumer group: [CG_live]")
        );
        let mut members = ["m@1", "m@2", "m@3"].map(|id| {
            let mut member = Client::connect(server.broker_address());
            assert_eq!(member.ask(&heartbeat(id, "CG_live", "*", 1)).code, 0);
            member
        });
        let opaque = admin.send(&ask);
        // They are asked one after the other in an order of the broker's: each by a thread of its own.
        std::thread::scope(|scope| {
            for (number, member) in members.iter_mut().enumerate() {
                scope.spawn(move || {
                    let asked = asked_by_broker(member, 221);
                    let body = format!(
                        r#"{{"consumerTable":{{}},"messageQueueTable":{{{{"brokerName":"broker-a","queueId":{number},"topic":"TopicTest"}}:{number}}}}}"#
                    );
                    let code = if number == 2 { 1 } else { 0 };
                    respond(member, &asked, code, None, body.as_bytes());
                });
            }
        });
        assert_eq!(
            admin.answer(opaque).text(),
            r#"{"consumerTable":{"m@1":{{"brokerName":"broker-a","queueId":0,"topic":"TopicTest"}:0},"m@2":{{"brokerName":"broker-a","queueId":1,"topic":"TopicTest"}:1}},"messageQueueTable":{}}"#
        );
    }
}

#[test]
fn the_lowest_offsets_of_all_groups_and_the_times_of_a_group_are_told() {
    for shards in [1, 3] {
        let (_server, mut client) = consumed(shards);
        assert_eq!(client.ask(&heartbeat("a@1", "CG_fast", "*", 1)).code, 0);
        for queue in 0..3 {
            commit(&mut client, "CG_fast", queue, 3);
        }
        let ask = |group: &str, left_out: &str| {
            Ask::new(308)
                .with("filterGroups", left_out)
                .with("compareGroup", group)
                .with("topic", TOPIC)
        };
        let lowest = client.ask(&ask("CG_fast", ""));
        assert_eq!(lowest.text(), r#"{"correctionOffsets":{0:1,1:1,2:1}}"#);
        let behind = client.ask(&ask("CG_test", "CG_test"));
        let max = i64::MAX;
        let expected = format!(r#"{{"correctionOffsets":{{0:{max},1:{max},2:{max}}}}}"#);
        assert_eq!(behind.text(), expected);
        let spans = client.ask(&Ask::new(303).with("topic", TOPIC).with("group", "CG_test"));
        let spans: serde_json::Value = serde_json::from_slice(&spans.body).unwrap();
        let spans = spans["consumeTimeSpanSet"].as_array().unwrap();
        assert_eq!(spans.len(), 3);
        for span in spans {
            let times = ["minTimeStamp", "consumeTimeStamp", "maxTimeStamp"];
            let times = times.map(|name| span[name].as_i64().unwrap());
            assert!(times[0] > 1_600_000_000_000 && times.is_sorted(), "{span}");
            assert!(span["delayTime"].as_i64().unwrap() >= 0);
        }
    }
}

#[test]
fn attributes_of_groups_lose_their_signs_and_wrong_ones_are_refused() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    let mut put = |attribute: &str| {
        let group = format!(r#"{{"attributes":{{{attribute}}},"groupName":"CG_attr"}}"#);
        client.ask(&Ask::new(200).body(group))
    };
    assert_eq!(put(r#""+priority.factor":"7""#).code, 0);
    assert_eq!(put("").code, 0, "they stay");
    let refused = put(r#""+no.such":"1""#);
    assert_eq!(
        (refused.code, refused.remark.as_str()),
        (1, "unsupported key: no.such")
    );
    let shown = client.ask(&Ask::new(352).with("group", "CG_attr"));
    assert!(
        shown
            .text()
            .starts_with(r#"{"attributes":{"priority.factor":"7"},"#),
        "{shown:?}"
    );
}

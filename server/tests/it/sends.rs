//! Sending: 10, 310, 320, one-way; what is refused and how.

use ringmq_protocol::command::send::BatchItem;
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::message_id::OffsetId;

use crate::broker::{bodies, create_topic, drain, pull, pull_held, records, send, send_with};
use crate::harness::Server;
use crate::wire::{Ask, Client};

#[test]
fn what_is_sent_is_pulled_back_from_every_queue_and_shard() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 4);
        for queue in 0..4 {
            for number in 0..10 {
                let ask = send("TopicTest", queue, &format!("q{queue} n{number}"));
                let ask = if number % 2 == 0 { ask } else { ask.binary() };
                let answer = client.ask(&ask);
                assert_eq!(answer.code, 0, "{answer:?}");
                assert_eq!(answer.kind, ask.kind);
                assert_eq!(answer.number("queueId"), i64::from(queue));
                assert_eq!(answer.number("queueOffset"), number);
                assert_eq!(answer.field("MSG_REGION"), Some("DefaultRegion"));
                assert_eq!(answer.field("TRACE_ON"), Some("true"));
            }
        }
        let mut other = Client::connect(server.broker_address());
        for queue in 0..4 {
            let answer = other.ask(&pull("TopicTest", queue, 0));
            assert_eq!(answer.code, 0, "{answer:?}");
            let expected: Vec<_> = (0..10).map(|n| format!("q{queue} n{n}")).collect();
            assert_eq!(bodies(&answer), expected, "{shards} shards, queue {queue}");
            assert_eq!(answer.number("nextBeginOffset"), 10);
            assert_eq!(answer.number("maxOffset"), 10);
        }
    }
}

#[test]
fn a_stored_record_carries_what_the_client_and_the_broker_know() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let sent = client.ask(&send("TopicTest", 0, "hello"));
    let answer = client.ask(&pull("TopicTest", 0, 0));
    let record = records(&answer)[0];
    assert_eq!(record.topic(), "TopicTest");
    assert_eq!(record.born_timestamp(), 1_700_000_000_000);
    assert_eq!(record.born_host(), client.address());
    assert!(record.body_crc_matches());
    let properties = record.properties();
    for (name, value) in [
        ("TAGS", "TagA"),
        ("UNIQ_KEY", "C0000202097E00000000063807B40002"),
        ("WAIT", "true"),
        ("MSG_REGION", "DefaultRegion"),
        ("TRACE_ON", "true"),
        ("CLUSTER", "DefaultCluster"),
    ] {
        assert_eq!(properties.get_str(name), Some(value), "{name}");
    }
    assert_eq!(
        sent.field("transactionId"),
        Some("C0000202097E00000000063807B40002")
    );
    let id = OffsetId::parse(sent.field("msgId").unwrap()).unwrap();
    assert_eq!(id.offset, record.physical_offset());
    let view = client.ask(&Ask::new(33).with("offset", id.offset));
    assert_eq!((view.code, &view.body), (0, &answer.body));
    let nothing = client.ask(&Ask::new(33).with("offset", id.offset + 1));
    assert_eq!(nothing.code, 1);
    let nowhere = client.ask(&Ask::new(33).with("offset", -1));
    assert_eq!(nowhere.code, 1);
}

#[test]
fn what_the_broker_gives_every_message_is_stored_once_when_a_received_one_is_sent_again() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let sent =
        "MSG_REGION\u{1}Elsewhere\u{2}KEYS\u{1}k\u{2}TRACE_ON\u{1}false\u{2}CLUSTER\u{1}Other\u{2}";
    assert_eq!(
        client.ask(&send_with("TopicTest", 0, "again", sent)).code,
        0
    );
    let answer = client.ask(&pull("TopicTest", 0, 0));
    let record = records(&answer)[0];
    let stored: Vec<_> = record.properties().iter().collect();
    for (name, value) in [
        ("MSG_REGION", "DefaultRegion"),
        ("TRACE_ON", "true"),
        ("CLUSTER", "DefaultCluster"),
        ("KEYS", "k"),
    ] {
        let values: Vec<_> = stored
            .iter()
            .filter(|(n, _)| *n == name.as_bytes())
            .collect();
        assert_eq!(values.len(), 1, "{name}");
        assert_eq!(values[0].1, value.as_bytes(), "{name}");
    }
}

#[test]
fn a_message_without_unique_key_gets_one() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let sent = client.ask(&send_with("TopicTest", 0, "x", "KEYS\u{1}k"));
    let answer = client.ask(&pull("TopicTest", 0, 0));
    let key = records(&answer)[0].unique_key().unwrap().to_owned();
    assert_eq!(sent.field("transactionId"), Some(key.as_str()));
    assert_eq!(records(&answer)[0].properties().get_str("KEYS"), Some("k"));
}

#[test]
fn an_unknown_topic_is_created_after_its_template_and_only_then() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut clients: Vec<_> = (0..4)
            .map(|_| Client::connect(server.broker_address()))
            .collect();
        let numbers: Vec<_> = (0i32..)
            .zip(&mut clients)
            .map(|(queue, client)| client.send(&send("TopicNew", queue, &format!("to {queue}"))))
            .collect();
        for (number, client) in numbers.into_iter().zip(&mut clients) {
            let answer = client.answer(number);
            assert_eq!(answer.code, 0, "{answer:?}");
        }
        for queue in 0..4 {
            assert_eq!(
                drain(&mut clients[0], "TopicNew", queue),
                [format!("to {queue}")]
            );
        }
        let refused = clients[0].ask(&send("TopicNew", 4, "beyond"));
        assert_eq!(refused.code, 29);
        let mut without = send("TopicOther", 0, "x");
        without.fields[2].1 = "NoSuchTemplate".into();
        let refused = clients[0].ask(&without);
        assert_eq!(refused.code, 17, "{refused:?}");
        assert!(
            refused
                .remark
                .starts_with("topic[TopicOther] not exist, apply first please!")
        );
    }
}

#[test]
fn refusals_have_the_codes_of_the_clients_generation() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 2);
    let long = "T".repeat(128);
    let cases = [
        (send("", 0, "x"), 29, 1),
        (send("Topic$Bad", 0, "x"), 29, 1),
        (send(&long, 0, "x"), 29, 1),
        (send("SCHEDULE_TOPIC_XXXX", 0, "x"), 16, 16),
        (send("SELF_TEST_TOPIC", 0, "x"), 16, 16),
        (send("TopicTest", 99, "x"), 29, 1),
        (Ask::new(310).with("b", "TopicTest").body("x"), 1, 1),
        (send_with("TopicTest", 0, "x", "DELAY\u{1}3\u{2}"), 13, 13),
        (
            send_with("TopicTest", 0, "x", "TIMER_DELAY_SEC\u{1}3\u{2}"),
            13,
            13,
        ),
        (
            send_with("TopicTest", 0, "x", "TRAN_MSG\u{1}true\u{2}"),
            13,
            13,
        ),
        (
            send_with(
                "TopicTest",
                0,
                "x",
                &format!("k\u{1}{}", "p".repeat(32_767)),
            ),
            13,
            13,
        ),
        (
            send("TopicTest", 0, &"x".repeat(4 * 1024 * 1024 + 1)),
            13,
            13,
        ),
    ];
    for (ask, new, old) in cases {
        let answer = client.ask(&ask.clone());
        assert_eq!(answer.code, new, "{answer:?}");
        assert_eq!(answer.field("MSG_REGION"), Some("DefaultRegion"));
        let answer = client.ask(&ask.version(407));
        assert_eq!(answer.code, old, "{answer:?}");
    }
    assert_eq!(drain(&mut client, "TopicTest", 0), Vec::<String>::new());
}

#[test]
fn an_empty_body_is_stored_for_clients_of_4_9_only() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    assert_eq!(client.ask(&send("TopicTest", 0, "")).code, 1);
    assert_eq!(client.ask(&send("TopicTest", 0, "").version(407)).code, 0);
    assert_eq!(drain(&mut client, "TopicTest", 0), [""]);
}

fn batch(items: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (text, properties) in items {
        let item = BatchItem {
            flag: 0,
            body: text.as_bytes(),
            properties: properties.as_bytes(),
        };
        assert!(item.encode(&mut body));
    }
    body
}

fn send_batch(topic: &str, queue_id: i32, body: Vec<u8>) -> Ask<'static> {
    let mut ask = send_with(topic, queue_id, "", "WAIT\u{1}true\u{2}").body(body);
    ask.code = 320;
    if let Some(field) = ask.fields.iter_mut().find(|(name, _)| *name == "m") {
        field.1 = "true".into();
    }
    ask
}

#[test]
fn a_batch_becomes_consecutive_records_with_an_id_each() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let body = batch(&[
        ("one", "TAGS\u{1}A\u{2}"),
        ("two", ""),
        ("three", "TAGS\u{1}A"),
    ]);
    let answer = client.ask(&send_batch("TopicTest", 0, body));
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.number("queueOffset"), 0);
    let ids: Vec<_> = answer.field("msgId").unwrap().split(',').collect();
    let pulled = client.ask(&pull("TopicTest", 0, 0));
    assert_eq!(bodies(&pulled), ["one", "two", "three"]);
    for (id, record) in ids.iter().zip(records(&pulled)) {
        let id = OffsetId::parse(id).unwrap();
        assert_eq!(id.offset, record.physical_offset());
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_damaged_batch_is_illegal_and_nothing_of_it_is_stored() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let whole = batch(&[("one", ""), ("two", "")]);
    for cut in 1..whole.len() {
        if cut == whole.len() / 2 {
            continue;
        }
        let answer = client.ask(&send_batch("TopicTest", 0, whole[..cut].to_vec()));
        assert_eq!(answer.code, 13, "cut at {cut}: {answer:?}");
    }
    let mut lying = whole.clone();
    lying[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(client.ask(&send_batch("TopicTest", 0, lying)).code, 13);
    let to_retry = client.ask(&send_batch("%RETRY%CG_test", 0, whole));
    assert_eq!(to_retry.code, 13, "{to_retry:?}");
    assert_eq!(drain(&mut client, "TopicTest", 0), Vec::<String>::new());
}

#[test]
fn a_oneway_send_is_stored_and_not_answered() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 3);
        for queue in 0..3 {
            client.send(&send("TopicTest", queue, "oneway").oneway());
            let answer = client.ask(&pull_held("TopicTest", queue, 0, "*", 10_000));
            assert_eq!(bodies(&answer), ["oneway"]);
        }
        client.send(&send("Bad$", 0, "refused").oneway());
        assert_eq!(client.ask(&Ask::new(9999)).code, 3);
    }
}

#[test]
fn a_thousand_pipelined_sends_get_a_thousand_answers_and_dense_offsets() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 4);
        let frames: Vec<u8> = (0..1000)
            .flat_map(|n| send("TopicTest", n % 4, &format!("message {n}")).frame(n))
            .collect();
        client.write(&frames);
        let mut offsets = [const { Vec::new() }; 4];
        for _ in 0..1000 {
            let answer = client.next_frame().expect("an answer");
            assert_eq!(answer.code, 0, "{answer:?}");
            let queue = answer.number("queueId") as usize;
            assert_eq!(answer.opaque % 4, queue as i32);
            offsets[queue].push((answer.opaque, answer.number("queueOffset")));
        }
        for mut queue in offsets {
            queue.sort_unstable();
            let offsets: Vec<_> = queue.iter().map(|(_, offset)| *offset).collect();
            assert_eq!(offsets, (0..250).collect::<Vec<_>>(), "in the order sent");
        }
    }
}

#[test]
fn a_negative_queue_id_lets_the_broker_choose() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        create_topic(&mut client, "TopicTest", 4);
        let mut seen = [false; 4];
        for _ in 0..100 {
            let answer = client.ask(&send("TopicTest", -1, "x"));
            assert_eq!(answer.code, 0, "{answer:?}");
            seen[answer.number("queueId") as usize] = true;
        }
        assert_eq!(seen, [true; 4], "{shards} shards");
    }
}

#[test]
fn a_message_sent_back_too_often_goes_to_the_dead_letters() {
    for shards in [1, 3] {
        let server = Server::broker(shards);
        let mut client = Client::connect(server.broker_address());
        let back = |times: i32, limit: i32, body: &str| {
            let mut ask = send_with("%RETRY%CG_back", 0, body, "");
            ask.fields.retain(|(name, _)| *name != "j");
            ask.with("j", times).with("l", limit)
        };
        assert_eq!(client.ask(&back(3, 3, "again")).code, 0);
        assert_eq!(client.ask(&back(4, 3, "dead")).code, 0);
        assert_eq!(client.ask(&back(3, 3, "dead in 4.9").version(407)).code, 0);
        assert_eq!(drain(&mut client, "%RETRY%CG_back", 0), ["again"]);
        assert_eq!(
            drain(&mut client, "%DLQ%CG_back", 0),
            ["dead", "dead in 4.9"]
        );
    }
}

#[test]
fn the_long_field_names_of_code_10_are_understood() {
    let server = Server::broker(1);
    let mut client = Client::connect(server.broker_address());
    create_topic(&mut client, "TopicTest", 1);
    let ask = Ask::new(10)
        .with("producerGroup", "PG")
        .with("topic", "TopicTest")
        .with("defaultTopic", "TBW102")
        .with("defaultTopicQueueNums", 4)
        .with("queueId", 0)
        .with("sysFlag", 0)
        .with("bornTimestamp", 1)
        .with("flag", 7)
        .with("properties", "")
        .with("batch", "1")
        .body("one message");
    for kind in [HeaderKind::Json, HeaderKind::Binary] {
        let mut ask = ask.clone();
        ask.kind = kind;
        assert_eq!(client.ask(&ask).code, 0);
    }
    let pulled = client.ask(&pull("TopicTest", 0, 0));
    assert_eq!(records(&pulled)[0].flag(), 7);
    assert_eq!(bodies(&pulled), ["one message"; 2]);
}

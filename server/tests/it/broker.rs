//! What tests of the broker's port ask for again and again.

use ringmq_protocol::{RecordView, Records};

use crate::wire::{Answer, Ask, Client};

/// A send of one message (310).
pub fn send(topic: &str, queue_id: i32, body: &str) -> Ask<'static> {
    send_with(
        topic,
        queue_id,
        body,
        "TAGS\u{1}TagA\u{2}UNIQ_KEY\u{1}C0000202097E00000000063807B40002\u{2}WAIT\u{1}true\u{2}",
    )
}

/// A send of one message with these properties.
pub fn send_with(topic: &str, queue_id: i32, body: &str, properties: &str) -> Ask<'static> {
    Ask::new(310)
        .with("a", "PG_test")
        .with("b", topic)
        .with("c", "TBW102")
        .with("d", 4)
        .with("e", queue_id)
        .with("f", 0)
        .with("g", 1_700_000_000_000_i64)
        .with("h", 0)
        .with("i", properties)
        .with("j", 0)
        .with("k", false)
        .with("m", false)
        .body(body)
}

/// A pull with its own expression that does not wait.
pub fn pull(topic: &str, queue_id: i32, offset: i64) -> Ask<'static> {
    pull_held(topic, queue_id, offset, "*", 0)
}

/// A pull that waits up to `hold_ms`.
pub fn pull_held(
    topic: &str,
    queue_id: i32,
    offset: i64,
    expression: &str,
    hold_ms: i64,
) -> Ask<'static> {
    let flags = if hold_ms > 0 { 2 | 4 } else { 4 };
    Ask::new(11)
        .with("consumerGroup", "CG_test")
        .with("topic", topic)
        .with("queueId", queue_id)
        .with("queueOffset", offset)
        .with("maxMsgNums", 32)
        .with("sysFlag", flags)
        .with("commitOffset", 0)
        .with("suspendTimeoutMillis", hold_ms)
        .with("subscription", expression)
        .with("subVersion", 0)
        .with("expressionType", "TAG")
}

/// A request about a queue.
pub fn queue(code: i32, topic: &str, queue_id: i32) -> Ask<'static> {
    Ask::new(code)
        .with("topic", topic)
        .with("queueId", queue_id)
}

/// Creates a topic and waits until every shard knows it.
pub fn create_topic(client: &mut Client, topic: &str, queues: u32) {
    let answer = client.ask(
        &Ask::new(17)
            .with("topic", topic)
            .with("defaultTopic", "TBW102")
            .with("readQueueNums", queues)
            .with("writeQueueNums", queues)
            .with("perm", 6)
            .with("topicFilterType", "SINGLE_TAG")
            .with("topicSysFlag", 0)
            .with("order", false),
    );
    assert_eq!(answer.code, 0, "{answer:?}");
}

/// The records of a pull's answer.
pub fn records(answer: &Answer) -> Vec<RecordView<'_>> {
    Records::new(&answer.body)
        .map(|record| record.unwrap())
        .collect()
}

/// The bodies of a pull's answer as text.
pub fn bodies(answer: &Answer) -> Vec<String> {
    let records = records(answer).into_iter();
    records
        .map(|record| String::from_utf8(record.body().to_vec()).unwrap())
        .collect()
}

/// Pulls a queue from the start to its end.
pub fn drain(client: &mut Client, topic: &str, queue_id: i32) -> Vec<String> {
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let answer = client.ask(&pull(topic, queue_id, offset));
        match answer.code {
            0 => all.extend(bodies(&answer)),
            19 => return all,
            20 => {}
            _ => panic!("{answer:?}"),
        }
        offset = answer.number("nextBeginOffset");
    }
}

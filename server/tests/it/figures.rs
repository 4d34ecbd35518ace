//! Figures of a whole broker: runtime information, rates, entries of queues, progress of all groups,
//! and tidying (28, 306, 315, 316, 317, 321, 329, 907).

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use ringmq_server::flags::{Flags, Plan};
use ringmq_server::{Running, start};
use serde_json::Value;

use crate::broker::{create_topic, pull, records, send, send_with};
use crate::wire::{Answer, Ask, Client};

/// A standalone process of so many shards.
fn run(folder: &Path, shards: u8) -> Running {
    let file = folder.join("broker.conf");
    let text =
        "mapedFileSizeCommitLog=8388608\nringmq.lockWaitSeconds=0\nringmq.pinThreads=false\n";
    std::fs::write(&file, text).unwrap();
    let line = format!(
        "ringmq standalone --data {} --namesrv-port 0 --broker-port 0 --shards {shards} -c {}",
        folder.join("data").display(),
        file.display()
    );
    match Flags::try_parse_from(line.split(' ')).unwrap().plan(None) {
        Ok(Plan::Run(config, _)) => start(&config).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn broker_of(running: &Running) -> Client {
    Client::connect(running.broker_address().unwrap())
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.code, 0, "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn statistics(name: &str, key: &str) -> Ask<'static> {
    Ask::new(315).with("statsName", name).with("statsKey", key)
}

/// Asks until the answer is as it should be: figures are up to a second old.
fn ask_until(client: &mut Client, ask: &Ask<'_>, is_right: impl Fn(&Answer) -> bool) -> Answer {
    let began = Instant::now();
    loop {
        let answer = client.ask(ask);
        if is_right(&answer) {
            return answer;
        }
        assert!(began.elapsed().as_secs() < 30, "still {answer:?}");
        std::thread::yield_now();
    }
}

fn commit(client: &mut Client, group: &str, topic: &str, queue: i32, offset: i64) {
    let ask = Ask::new(15)
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("queueId", queue)
        .with("commitOffset", offset);
    assert_eq!(client.ask(&ask).code, 0);
}

#[test]
fn runtime_information_tells_what_was_stored_and_delivered() {
    for shards in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let running = run(folder.path(), shards);
        let mut client = broker_of(&running);
        create_topic(&mut client, "T", 4);
        let fresh = json(&client.ask(&Ask::new(28)));
        assert_eq!(fresh["table"]["earliestMessageTimeStamp"], "-1");
        for queue in 0..4 {
            assert_eq!(client.ask(&send("T", queue, "hello")).code, 0);
            assert_eq!(client.ask(&pull("T", queue, 0)).code, 0);
        }
        let answer = ask_until(&mut client, &Ask::new(28), |answer| {
            let table = &json(answer)["table"];
            table["msgPutTotalTodayNow"] == "4" && table["msgGetTotalTodayNow"] == "4"
        });
        let body = json(&answer);
        let table = &body["table"];
        let text = |key: &str| table[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| text(key).parse::<i64>().unwrap();
        assert_eq!(text("brokerActive"), "true");
        assert_eq!(text("putMessageTimesTotal"), "4");
        assert!(number("putMessageSizeTotal") > 4 * 90);
        assert!(number("commitLogMaxOffset") > number("commitLogMinOffset"));
        assert!(number("earliestMessageTimeStamp") > 1_600_000_000_000);
        assert!(text("commitLogDirCapacity").starts_with("Total : "));
        let first = |key: &str| text(key).split(' ').next().unwrap().parse::<f64>().unwrap();
        assert!(first("putTps") >= 0.0);
        assert_eq!(text("remainHowManyDataToFlush"), "0 B");
        assert_eq!(table.get("commitLogMaxOffset_01").is_some(), shards == 2);
    }
}

#[test]
fn rates_of_topics_and_groups_are_counted_and_unknown_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), 2);
    let mut client = broker_of(&running);
    create_topic(&mut client, "T", 4);
    for queue in 0..4 {
        assert_eq!(client.ask(&send("T", queue, "hello")).code, 0);
    }
    assert_eq!(client.ask(&pull("T", 1, 0)).code, 0);
    let sum_is = |sum: i64| {
        move |answer: &Answer| {
            answer.code == 0 && json(answer)["statsMinute"]["sum"].as_i64() == Some(sum)
        }
    };
    let stored = statistics("TOPIC_PUT_NUMS", "T");
    let answer = ask_until(&mut client, &stored, sum_is(4));
    let body = json(&answer);
    for window in ["statsMinute", "statsHour", "statsDay"] {
        assert_eq!(body[window]["sum"], 4, "{body}");
        assert!(body[window]["tps"].as_f64().unwrap() > 0.0);
        assert_eq!(body[window]["avgpt"], 1.0);
    }
    let got = statistics("GROUP_GET_NUMS", "T@CG_test");
    ask_until(&mut client, &got, sum_is(1));
    for (name, key) in [
        ("TOPIC_PUT_NUMS", "NoSuchTopic"),
        ("GROUP_GET_NUMS", "T@nobody"),
        ("NO_SUCH_STATS", "T"),
    ] {
        let answer = client.ask(&statistics(name, key));
        assert_eq!(answer.code, 1);
        let remark = format!("The stats <{name}> <{key}> not exist");
        assert_eq!(answer.remark, remark);
    }
}

#[test]
fn all_groups_are_told_with_how_far_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), 2);
    let mut client = broker_of(&running);
    create_topic(&mut client, "T", 4);
    for queue in [0, 0, 1] {
        assert_eq!(client.ask(&send("T", queue, "hello")).code, 0);
    }
    // The group is made by its first pull.
    assert_eq!(client.ask(&pull("T", 0, 0)).code, 0);
    commit(&mut client, "CG_test", "T", 0, 1);
    let all = client.ask(&Ask::new(317).with("isOrder", false));
    assert_eq!(all.code, 0, "{all:?}");
    let text = all.text();
    let address = running.broker_address().unwrap();
    assert!(
        text.starts_with(&format!(r#"{{"brokerAddr":"{address}","#)),
        "{text}"
    );
    assert!(text.contains(r#"{"TOOLS_CONSUMER":[]}"#), "{text}");
    let queue = r#"{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"brokerOffset":2,"consumerOffset":1,"lastTimestamp":1"#;
    assert!(text.contains(queue), "{text}");
    assert!(
        text.contains(r#""totalDiff":2,"#),
        "the third lies in a queue without an offset: {text}"
    );
    let ordered = client.ask(&Ask::new(317).with("isOrder", true));
    assert!(
        ordered.text().contains(r#"{"CG_test":[]}"#),
        "{}",
        ordered.text()
    );
    assert!(ordered.text().contains(r#""totalDiff":0,"#));
}

fn entries(topic: &str, queue: i32, index: i64, count: i32) -> Ask<'static> {
    Ask::new(321)
        .with("topic", topic)
        .with("queueId", queue)
        .with("index", index)
        .with("count", count)
}

#[test]
fn entries_of_a_queue_are_told_with_place_size_and_tag() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), 2);
    let mut client = broker_of(&running);
    create_topic(&mut client, "T", 4);
    let body = "x".repeat(100_000);
    for _ in 0..5 {
        let tagged = send_with("T", 3, &body, "TAGS\u{1}TagA\u{2}");
        assert_eq!(client.ask(&tagged).code, 0);
    }
    let answer = client.ask(&entries("T", 3, 1, 10).with("consumerGroup", "CG_off"));
    let told = json(&answer);
    assert_eq!(told["minQueueIndex"], 0);
    assert_eq!(told["maxQueueIndex"], 5);
    assert_eq!(told["filterData"], "CG_off@T is not online!");
    let rows = told["queueData"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "more than one read can give");
    for row in rows {
        assert_eq!(row["tagsCode"], 2_598_919);
        assert!(row["physicSize"].as_i64().unwrap() > 100_000);
    }
    let record = Ask::new(33).with("offset", rows[0]["physicOffset"].as_i64().unwrap());
    assert_eq!(client.ask(&record).code, 0);
    let two = json(&client.ask(&entries("T", 3, 0, 2)));
    assert_eq!(two["queueData"].as_array().unwrap().len(), 2);
    let beyond = json(&client.ask(&entries("T", 3, 9, 2)));
    assert!(beyond["queueData"].as_array().unwrap().is_empty());
    let empty = json(&client.ask(&entries("T", 0, 0, 2)));
    assert_eq!(empty["maxQueueIndex"], 0);
    let unknown = client.ask(&entries("NoSuchTopic", 0, 0, 3));
    assert_eq!(unknown.code, 1);
    assert_eq!(unknown.remark, "0@NoSuchTopic is not exist!");
}

#[test]
fn a_record_is_never_stored_before_it_was_sent_whichever_shard_it_goes_to() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), 2);
    let mut client = broker_of(&running);
    create_topic(&mut client, "T", 4);
    // Both shards rest meanwhile, and the shard of the queue is woken by a letter.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(60) {
        std::thread::yield_now();
    }
    for queue in 0..4 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let before_ms = since.as_millis() as i64;
        assert_eq!(client.ask(&send("T", queue, "hello")).code, 0);
        let pulled = client.ask(&pull("T", queue, 0));
        let stored_ms = records(&pulled)[0].store_timestamp();
        assert!(
            stored_ms >= before_ms,
            "queue {queue}: {stored_ms} < {before_ms}"
        );
    }
}

#[test]
fn a_master_without_slaves_says_so_and_tidying_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), 2);
    let mut client = broker_of(&running);
    assert_eq!(client.ask(&send("T", 0, "hello")).code, 0);
    let status = json(&client.ask(&Ask::new(907)));
    assert_eq!(status["master"], true);
    assert_eq!(status["inSyncSlaveNums"], 0);
    assert!(status["masterCommitLogMaxOffset"].as_i64().unwrap() > 0);
    for code in [306, 316, 329] {
        assert_eq!(client.ask(&Ask::new(code)).code, 0);
    }
    assert_eq!(client.ask(&pull("T", 0, 0)).code, 0, "nothing is gone");
}

//! Sending and reading.

use serde_json::Value;

use crate::cluster::Cluster;

#[test]
fn what_is_sent_is_read_found_and_counted() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 2 -w 2");
    let sent = cluster.json("send -t Orders -p body -c TagA -k key --count 6");
    assert_eq!(sent["messages"].as_array().unwrap().len(), 6);
    assert_eq!(sent["messages"][0]["sendResult"], "SEND_OK");
    let stats = cluster.json("topicStatus -t Orders");
    assert_eq!(stats["messageTotal"], 6);

    let read = cluster.done("consume -t Orders -c 4 --json");
    let messages: Vec<Value> = read
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(messages.len(), 4);
    assert_eq!(messages[0]["properties"]["TAGS"], "TagA");
    assert!(
        messages
            .iter()
            .all(|message| message["body"].as_str().unwrap().starts_with("body"))
    );

    let id = messages[0]["offsetId"].as_str().unwrap();
    let found = cluster.done(&format!("queryMsgById -t Orders -i {id}"));
    assert_eq!(
        found
            .lines_with(messages[0]["messageId"].as_str().unwrap())
            .len(),
        2,
        "{found:?}"
    );
    let queue = messages[0]["queueId"].as_i64().unwrap();
    let broker = messages[0]["brokerName"].as_str().unwrap();
    let at = cluster.done(&format!(
        "queryMsgByOffset -t Orders -b {broker} -i {queue} -o 0"
    ));
    assert!(at.out.contains(id), "{at:?}");
    let beyond = cluster.run(&format!(
        "queryMsgByOffset -t Orders -b {broker} -i {queue} -o 99"
    ));
    assert_eq!(
        (beyond.code, beyond.err.contains("the queue has 0 to")),
        (1, true),
        "{beyond:?}"
    );
    let counted = cluster.json(&format!(
        "printMsgByQueue -t Orders -a {broker} -i {queue} -f true"
    ));
    assert_eq!(counted["tags"][0]["tag"], "TagA");
}

#[test]
fn messages_of_a_span_of_time_are_printed_and_no_others() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 1 -w 1");
    cluster.done("send -t Orders -p one --count 3");
    let all = cluster.done("printMsg -t Orders --json");
    let times: Vec<i64> = all
        .out
        .lines()
        .map(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            message["storeTime"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(times.len(), 3);
    let last = times[2];
    let wanted = times.iter().filter(|time| **time >= last).count();
    let printed = cluster.done(&format!("printMsg -t Orders -b {last} -e {last} --json"));
    assert_eq!(printed.out.lines().count(), wanted, "{printed:?}");
    let none = cluster.done(&format!(
        "printMsg -t Orders -b {} --json",
        last + 3_600_000
    ));
    assert_eq!(none.out, "");
}

#[test]
fn a_queue_can_be_aimed_at() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 4 -w 4");
    let name = cluster.json("clusterList")["brokers"][0]["brokerName"]
        .as_str()
        .unwrap()
        .to_owned();
    let sent = cluster.json(&format!(
        "sendMessage -t Orders -p x -b {name} -i 3 --count 2"
    ));
    for message in sent["messages"].as_array().unwrap() {
        assert_eq!(message["qid"], 3);
    }
    let wrong = cluster.run("sendMessage -t Orders -p x -b nobody");
    assert_eq!(wrong.code, 1, "{wrong:?}");
}

#[test]
fn times_of_sends_are_measured() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 1 -w 1");
    let report = cluster.json("checkMsgSendRT -t Orders -a 5 -s 64");
    assert_eq!(report["messages"].as_array().unwrap().len(), 5);
    assert!(report["avgMs"].as_f64().unwrap() > 0.0);
    assert_eq!(cluster.run("checkMsgSendRT -t Nowhere").code, 1);
}

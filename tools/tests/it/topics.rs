//! Topics, brokers and name servers.

use crate::cluster::Cluster;

#[test]
fn a_topic_is_created_changed_seen_and_deleted() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 3 -w 3");
    let route = cluster.json("topicRoute -t Orders");
    assert_eq!(route["route"]["queueDatas"][0]["writeQueueNums"], 3);
    cluster.done("updateTopicPerm -c DefaultCluster -t Orders -p 4");
    let route = cluster.json("topicRoute -t Orders -l");
    assert_eq!(route["brokers"][0]["perm"], 4);
    assert_eq!(
        route["brokers"][0]["readQueue"], 3,
        "only the permission changes"
    );
    let topics = cluster.json("topics");
    assert!(
        topics["topics"]
            .as_array()
            .unwrap()
            .iter()
            .any(|topic| topic == "Orders")
    );
    assert_eq!(
        cluster.json("topicStatus -t Orders")["queues"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        cluster.json("topicClusterList -t Orders")["clusters"][0],
        "DefaultCluster"
    );
    let shares = cluster.json("allocateMQ -t Orders -i a,b");
    assert_eq!(shares["queues"].as_array().unwrap().len(), 3);
    cluster.done("deleteTopic -c DefaultCluster -t Orders");
    assert_eq!(cluster.run("topicRoute -t Orders").code, 1);
}

#[test]
fn names_that_nobody_knows_are_refused_with_the_nearest_one() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 1 -w 1");
    for (line, hint) in [
        ("topicStatus -t Ordres", "did you mean Orders?"),
        ("consumeMessage -t Ordres", "did you mean Orders?"),
        (
            "updateTopic -c DefaultClustr -t T",
            "did you mean DefaultCluster?",
        ),
    ] {
        let ran = cluster.run(line);
        assert_eq!(
            (ran.code, ran.err.contains(hint)),
            (1, true),
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn clusters_brokers_and_name_servers_are_shown() {
    let cluster = Cluster::start();
    let brokers = cluster.json("clusterList");
    let broker = &brokers["brokers"][0];
    assert_eq!(broker["clusterName"], "DefaultCluster");
    assert_eq!(broker["addr"], cluster.broker());
    let status = cluster.json("status");
    assert_eq!(status["brokers"][0]["addr"], cluster.broker());
}

#[test]
fn values_of_name_servers_come_and_go() {
    let cluster = Cluster::start();
    cluster.done("updateKvConfig -s NS -k k -v v");
    cluster.done("deleteKvConfig -s NS -k k");
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 2 -w 2 -o true");
    let layout = cluster.json("updateOrderConf -t Orders -m get");
    assert!(
        layout["orderConf"]
            .as_str()
            .is_some_and(|layout| layout.ends_with(":2")),
        "{layout}"
    );
    cluster.done("updateOrderConf -t Orders -m delete");
    assert!(cluster.json("updateOrderConf -t Orders -m get")["orderConf"].is_null());
}

#[test]
fn a_broker_loses_its_write_permission_and_gets_it_back() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 1 -w 1");
    let name = cluster.json("clusterList")["brokers"][0]["brokerName"]
        .as_str()
        .unwrap()
        .to_owned();
    let changed = cluster.json(&format!("wipeWritePerm -b {name}"));
    assert!(changed["servers"][0]["topicsChanged"].as_i64().unwrap() > 0);
    assert_eq!(
        cluster.json("topicRoute -t Orders -l")["brokers"][0]["perm"],
        4
    );
    cluster.done(&format!("addWritePerm -b {name}"));
    assert_eq!(
        cluster.json("topicRoute -t Orders -l")["brokers"][0]["perm"],
        6
    );
    assert_eq!(cluster.run("wipeWritePerm -b nobody").code, 1);
}

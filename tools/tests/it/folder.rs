//! Data folders.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use serde_json::Value;

use crate::cluster::{Cluster, run_alone};

#[test]
fn a_stopped_brokers_folder_is_inspected_and_verified() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 2 -w 2");
    cluster.done("send -t Orders -p body --count 10");
    let (_folder, data) = cluster.stop();
    let data = data.to_str().unwrap();
    let seen = run_alone(&["inspect", data, "--json"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let seen: Value = serde_json::from_str(&seen.out).unwrap();
    assert_eq!(seen["shardCount"], 2);
    assert!(
        seen["shards"]
            .as_array()
            .unwrap()
            .iter()
            .all(|shard| shard["stoppedCleanly"] == true)
    );
    let verified = run_alone(&["verify", data, "--json"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let verified: Value = serde_json::from_str(&verified.out).unwrap();
    assert!(verified["records"].as_i64().unwrap() >= 10);
    assert_eq!(verified["damaged"], 0);
}

#[test]
fn damage_below_the_durable_position_has_an_exit_code_of_its_own() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 4 -w 4");
    cluster.done("send -t Orders -p body --count 20");
    let (_folder, data) = cluster.stop();
    for shard in ["shard-00", "shard-01"] {
        let log = std::fs::read_dir(data.join(shard).join("log")).unwrap();
        let first = log.map(|entry| entry.unwrap().path()).min().unwrap();
        let file = OpenOptions::new().write(true).open(first).unwrap();
        file.write_all_at(&[0xff; 64], 4096 + 200).unwrap();
    }
    let verified = run_alone(&["verify", data.to_str().unwrap()]);
    assert_eq!(verified.code, 4, "{verified:?}");
    assert!(verified.out.contains("damaged"), "{verified:?}");
}

#[test]
fn a_folder_without_a_store_is_a_mistake_of_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run_alone(&["verify", folder.path().to_str().unwrap()]);
    assert_eq!(
        (ran.code, ran.err.contains("holds no store")),
        (2, true),
        "{ran:?}"
    );
}

#[test]
fn a_running_brokers_folder_is_refused() {
    let cluster = Cluster::start();
    let data = cluster.data();
    let ran = run_alone(&["inspect", data.to_str().unwrap()]);
    assert_eq!(
        (ran.code, ran.err.contains("stop it first")),
        (3, true),
        "{ran:?}"
    );
}

//! Settings while a process runs: shown, changed at once and for good, refused by name (25, 26, 318,
//! 319).

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser as _;
use ringmq_server::control::supervisor::Ended;
use ringmq_server::flags::{Flags, Plan};
use ringmq_server::{Config, Running, start};

use crate::broker::{pull, send, send_with};
use crate::wire::{Answer, Ask, Client};

const TEXT: &str = "# kept as it is\nmapedFileSizeCommitLog = 8388608\nringmq.lockWaitSeconds=0\nringmq.pinThreads=false\nnobodys = setting\nmaxMessageSize : 1000\n";

fn file_in(folder: &Path) -> PathBuf {
    folder.join("broker.conf")
}

/// A standalone process of two shards whose settings are in a file with a comment.
fn config(folder: &Path) -> Config {
    let file = file_in(folder);
    if !file.exists() {
        std::fs::write(&file, TEXT).unwrap();
    }
    let data = folder.join("data");
    let line = format!(
        "ringmq standalone --data {} --namesrv-port 0 --broker-port 0 --shards 2 -c {}",
        data.display(),
        file.display()
    );
    match Flags::try_parse_from(line.split(' ')).unwrap().plan(None) {
        Ok(Plan::Run(config, _)) => *config,
        other => panic!("{other:?}"),
    }
}

fn run(folder: &Path) -> Running {
    start(&config(folder)).unwrap()
}

fn broker_of(running: &Running) -> Client {
    Client::connect(running.broker_address().unwrap())
}

fn update(client: &mut Client, lines: &str) -> Answer {
    client.ask(&Ask::new(25).body(lines))
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

#[test]
fn a_change_counts_at_once_on_every_shard_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut client = broker_of(&running);
    for queue in 0..4 {
        assert_eq!(client.ask(&send("T", queue, &text(900))).code, 0);
        assert_eq!(client.ask(&send("T", queue, &text(1100))).code, 13);
    }
    let before = client.ask(&Ask::new(26));
    assert!(
        before.text().contains("\nmaxMessageSize=1000\n"),
        "{before:?}"
    );
    assert!(before.text().contains("\nuseTLS=false\n"));
    let version = before.field("version").unwrap().to_owned();
    assert!(version.starts_with(r#"{"counter":0,"#), "{version}");

    let changed = update(&mut client, "maxMessageSize=1200\nfileReservedTime=48\n");
    assert_eq!(changed.code, 0, "{changed:?}");
    for queue in 0..4 {
        assert_eq!(client.ask(&send("T", queue, &text(1100))).code, 0);
        assert_eq!(client.ask(&send("T", queue, &text(1300))).code, 13);
    }
    let after = client.ask(&Ask::new(26));
    assert!(
        after.text().contains("\nmaxMessageSize=1200\n"),
        "{after:?}"
    );
    assert!(
        after
            .field("version")
            .unwrap()
            .starts_with(r#"{"counter":1,"#)
    );
    let expected = TEXT.replace("1000", "1200") + "fileReservedTime=48\n";
    let file = std::fs::read_to_string(file_in(folder.path())).unwrap();
    assert_eq!(file, expected);
    assert_eq!(running.stop(), Ended::Stopped);

    let running = run(folder.path());
    let mut client = broker_of(&running);
    assert_eq!(client.ask(&send("T", 0, &text(1100))).code, 0);
    assert!(
        client
            .ask(&Ask::new(26))
            .text()
            .contains("\nfileReservedTime=48\n")
    );
}

#[test]
fn what_cannot_be_changed_is_refused_by_name_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut client = broker_of(&running);
    let cases = [
        ("maxMessageSize=7\nlistenPort=1\n", 513, 16, "listenPort"),
        ("flushDiskType=ASYNC_FLUSH\n", 513, 16, "flushDiskType"),
        ("maxMessageSize=x\n", 513, 29, "maxMessageSize=x"),
        ("maxMessageSize=x\n", 407, 1, "maxMessageSize=x"),
        (
            "maxMesageSize=7\n",
            513,
            16,
            "the nearest is maxMessageSize",
        ),
        ("useTLS=true\n", 513, 16, "useTLS"),
        ("a=\\u1\n", 513, 1, "line 1"),
    ];
    for (lines, version, code, part) in cases {
        let ask = Ask::new(25).body(lines).version(version);
        let answer = client.ask(&ask);
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(answer.remark.contains(part), "{answer:?}");
    }
    let file = std::fs::read_to_string(file_in(folder.path())).unwrap();
    assert_eq!(file, TEXT);
    let settings = client.ask(&Ask::new(26));
    assert!(settings.text().contains("\nmaxMessageSize=1000\n"));
}

#[test]
fn a_file_that_cannot_be_written_leaves_everything_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut client = broker_of(&running);
    std::fs::remove_file(file_in(folder.path())).unwrap();
    let refused = update(&mut client, "maxMessageSize=7\n");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.remark.contains("nothing was changed"),
        "{refused:?}"
    );
    assert_eq!(client.ask(&send("T", 0, &text(900))).code, 0);
}

#[test]
fn automatic_topics_and_groups_go_and_come_with_their_settings() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut client = broker_of(&running);
    let off = "autoCreateTopicEnable=false\nautoCreateSubscriptionGroup=false\n";
    assert_eq!(update(&mut client, off).code, 0);
    assert_eq!(client.ask(&send("New", 0, "x")).code, 17);
    assert_eq!(client.ask(&Ask::new(351).with("topic", "TBW102")).code, 17);
    assert_eq!(client.ask(&pull("BenchmarkTest", 0, 0)).code, 26);
    assert_eq!(running.stop(), Ended::Stopped);

    // Off at the start, and the template topic of before is not shown.
    let running = run(folder.path());
    let mut client = broker_of(&running);
    assert_eq!(client.ask(&send("New", 0, "x")).code, 17);
    let on = "autoCreateTopicEnable=true\nautoCreateSubscriptionGroup=true\n";
    assert_eq!(update(&mut client, on).code, 0);
    assert_eq!(client.ask(&send("New", 0, "x")).code, 0);
    assert_eq!(client.ask(&pull("New", 0, 0)).code, 0);
}

#[test]
fn a_template_topic_that_never_was_is_made_when_automatic_topics_come() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{TEXT}autoCreateTopicEnable=false\n");
    std::fs::write(file_in(folder.path()), text).unwrap();
    let running = run(folder.path());
    let mut client = broker_of(&running);
    assert_eq!(client.ask(&send("New", 0, "x")).code, 17);
    assert_eq!(update(&mut client, "autoCreateTopicEnable=true\n").code, 0);
    assert_eq!(client.ask(&send("New", 0, "x")).code, 0);
}

#[test]
fn what_is_stored_with_messages_and_said_to_producers_follows_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut client = broker_of(&running);
    let lines = "traceOn=false\nregionId=north\nbrokerPermission=2\n";
    assert_eq!(update(&mut client, lines).code, 0);
    let sent = client.ask(&send_with("T", 0, "x", "TAGS\u{1}a\u{2}"));
    assert_eq!(sent.field("TRACE_ON"), Some("false"));
    assert_eq!(sent.field("MSG_REGION"), Some("north"));
    assert_eq!(client.ask(&pull("T", 0, 0)).code, 16, "not readable");
    assert_eq!(update(&mut client, "brokerPermission=6\n").code, 0);
    let found = client.ask(&pull("T", 0, 0));
    let body = String::from_utf8_lossy(&found.body).into_owned();
    assert!(body.contains("MSG_REGION\u{1}north"), "{body}");
}

#[test]
fn without_a_named_file_a_change_makes_one_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let own = folder.path().join("data/broker.conf");
    config.broker.as_mut().unwrap().file = ringmq_server::config::ConfigFile::own(&own);
    let running = start(&config).unwrap();
    assert!(!own.exists());
    assert_eq!(update(&mut broker_of(&running), "traceOn=false\n").code, 0);
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "traceOn=false\n");
    assert_eq!(running.stop(), Ended::Stopped);
    // The store does not mind its neighbour.
    assert_eq!(start(&config).unwrap().stop(), Ended::Stopped);
}

fn ask_until(client: &mut Client, ask: &Ask<'_>, is_right: impl Fn(&Answer) -> bool) {
    let began = Instant::now();
    loop {
        let answer = client.ask(ask);
        if is_right(&answer) {
            return;
        }
        assert!(began.elapsed().as_secs() < 30, "still {answer:?}");
        std::thread::yield_now();
    }
}

#[test]
fn name_servers_learn_of_another_permission_and_other_name_servers_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut names = Client::connect(running.name_server_address().unwrap());
    let mut client = broker_of(&running);
    assert_eq!(client.ask(&send("T", 0, "x")).code, 0);
    let route = Ask::new(105).with("topic", "T");
    ask_until(&mut names, &route, |a| a.text().contains(r#""perm":6"#));
    assert_eq!(update(&mut client, "brokerPermission=4\n").code, 0);
    ask_until(&mut names, &route, |a| a.text().contains(r#""perm":4"#));

    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = config(elsewhere.path());
    other.broker = None;
    let other = start(&other).unwrap();
    let address = other.name_server_address().unwrap();
    let lines = format!("namesrvAddr={address}\n");
    assert_eq!(update(&mut client, &lines).code, 0);
    let mut names = Client::connect(address);
    ask_until(&mut names, &route, |a| a.code == 0);
}

#[test]
fn the_name_servers_settings_change_too() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path());
    let mut names = Client::connect(running.name_server_address().unwrap());
    let all_topics = Ask::new(206);
    assert_eq!(names.ask(&all_topics).code, 0);
    let off = Ask::new(318).body("enableAllTopicList=false\n");
    assert_eq!(names.ask(&off).code, 0);
    assert_eq!(names.ask(&all_topics).code, 1);
    let shown = names.ask(&Ask::new(319));
    assert!(
        shown.text().contains("enableAllTopicList=false\n"),
        "{shown:?}"
    );
    let fixed = names.ask(&Ask::new(318).body("listenPort=1\n"));
    assert_eq!(fixed.code, 16);
    assert!(fixed.remark.contains("listenPort"), "{fixed:?}");
    let own = folder.path().join("data/namesrv.conf");
    let text = std::fs::read_to_string(own).unwrap();
    assert_eq!(text, "enableAllTopicList=false\n");
}

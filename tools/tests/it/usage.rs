//! The command line itself.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use crate::cluster::{Cluster, binary, run_alone};

#[test]
fn mistakes_of_the_caller_have_exit_code_two_and_say_what_is_right() {
    for (line, says) in [
        ("topcList", "similar"),
        ("updateTopic -t T", "--brokerAddr"),
        ("updateTopic -t T -c C -r many", "invalid value"),
        ("resetOffsetByTime -g G -t T -s yesterday", "yyyy-MM-dd"),
        ("deleteTopic -c C -t T --watch", "only look"),
    ] {
        let ran = run_alone(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(
            (ran.code, ran.err.contains(says)),
            (2, true),
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn silence_of_a_server_has_an_exit_code_of_its_own() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let ran = run_alone(&["topicList", "-n", &closed]);
    assert_eq!(
        (ran.code, ran.err.contains("NAMESRV_ADDR")),
        (5, true),
        "{ran:?}"
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ran = run_alone(&["topicList", "-n", &address, "--timeout", "1"]);
    assert_eq!(
        (ran.code, ran.err.contains("--timeout")),
        (5, true),
        "{ran:?}"
    );
}

#[test]
fn the_environment_names_the_name_servers() {
    let cluster = Cluster::start();
    assert!(cluster.done("topicList").out.contains("TBW102"));
}

#[test]
fn shells_get_a_script_that_completes_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run_alone(&["completion", shell]);
        assert_eq!(
            (ran.code, ran.out.contains("consumerProgress")),
            (0, true),
            "{shell}"
        );
    }
}

#[test]
fn watching_answers_again_until_it_is_ended() {
    let cluster = Cluster::start();
    let mut command = binary();
    command.args([
        "clusterList",
        "--watch=1",
        "--json",
        "-n",
        cluster.name_server(),
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut seen, mut byte) = (0, [0]);
    while seen < 2 {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "it ended by itself");
        seen += usize::from(byte[0] == b'\n');
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

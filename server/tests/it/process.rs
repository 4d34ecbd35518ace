//! Whole processes: in this one through `start`, and the binary with its signals and exit codes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser as _;
use ringmq_server::control::listen::ListenError;
use ringmq_server::control::name_servers::Source;
use ringmq_server::control::supervisor::Ended;
use ringmq_server::error::StartError;
use ringmq_server::flags::{Flags, Plan};
use ringmq_server::{Config, Running, start};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::broker::{bodies, drain, pull_held, send};
use crate::wire::{Answer, Ask, Client};

const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration as this command line makes it, with small log segments.
fn config(folder: &Path, line: &str) -> Config {
    let file = folder.join("broker.conf");
    std::fs::write(
        &file,
        "mapedFileSizeCommitLog=8388608\nringmq.lockWaitSeconds=0\nringmq.pinThreads=false\nmetricsPromExporterPort=0\n",
    )
    .unwrap();
    let words = ["ringmq"].into_iter().chain(line.split(' '));
    let file = file.to_string_lossy().into_owned();
    let words = words.map(str::to_owned).chain(["-c".to_owned(), file]);
    match Flags::try_parse_from(words).unwrap().plan(None).unwrap() {
        Plan::Run(config, warnings) => {
            assert!(warnings.is_empty(), "{warnings:?}");
            *config
        }
        Plan::Print(text) => panic!("prints {text}"),
    }
}

/// Name server and broker on any ports, with the data in a folder.
pub fn standalone(folder: &Path, shards: u8) -> Config {
    let data = folder.join("data");
    let line = format!(
        "standalone --data {} --namesrv-port 0 --broker-port 0 --shards {shards}",
        data.display()
    );
    config(folder, &line)
}

fn broker_of(running: &Running) -> Client {
    Client::connect(running.broker_address().unwrap())
}

/// Asks again and again until the answer has this code; fails after a while.
fn ask_until(client: &mut Client, ask: &Ask<'_>, code: i32) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.ask(ask);
        if answer.code == code {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        std::thread::yield_now();
    }
}

#[test]
fn standalone_serves_routes_and_messages_and_has_them_after_a_restart() {
    for shards in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let config = standalone(folder.path(), shards);
        let running = start(&config).unwrap();
        let mut names = Client::connect(running.name_server_address().unwrap());
        let template = names.ask(&Ask::new(105).with("topic", "TBW102"));
        assert_eq!(template.code, 0, "registered before it says it is ready");
        let mut broker = broker_of(&running);
        for queue in 0..4 {
            assert_eq!(broker.ask(&send("New", queue, "hello")).code, 0);
        }
        let route = ask_until(&mut names, &Ask::new(105).with("topic", "New"), 0);
        let address = running.broker_address().unwrap().to_string();
        assert!(route.text().contains(&address), "{}", route.text());
        assert_eq!(running.stop(), Ended::Stopped);

        let running = start(&config).unwrap();
        let mut broker = broker_of(&running);
        for queue in 0..4 {
            assert_eq!(drain(&mut broker, "New", queue), ["hello"]);
        }
        assert_eq!(running.stop(), Ended::Stopped);
    }
}

#[test]
fn a_held_pull_is_answered_when_the_process_stops() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&standalone(folder.path(), 1)).unwrap();
    let mut client = broker_of(&running);
    assert_eq!(client.ask(&send("T", 0, "one")).code, 0);
    let held = client.send(&pull_held("T", 0, 1, "*", 60_000));
    // Answered in order of arrival on one connection, so the pull is held by now.
    assert_eq!(client.ask(&send("T", 1, "two")).code, 0);
    assert_eq!(running.stop(), Ended::Stopped);
    let answer = client.answer(held);
    assert!(bodies_or_none(&answer).is_empty(), "{answer:?}");
    assert!(client.is_closed_by_server());
}

fn bodies_or_none(answer: &Answer) -> Vec<String> {
    if answer.code == 0 {
        return bodies(answer);
    }
    Vec::new()
}

#[test]
fn a_broker_registers_with_all_its_name_servers_and_leaves_them_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let name_server = || {
        let mut config = standalone(folder.path(), 1);
        config.broker = None;
        start(&config).unwrap()
    };
    let servers = [name_server(), name_server()];
    let addresses = servers.each_ref().map(|s| s.name_server_address().unwrap());
    let mut config = standalone(folder.path(), 1);
    config.name_server = None;
    let broker = config.broker.as_mut().unwrap();
    broker.name_servers = addresses.map(|address| address.to_string()).to_vec();
    let running = start(&config).unwrap();
    let mut clients = addresses.map(Client::connect);
    let ask = Ask::new(105).with("topic", "TBW102");
    for client in &mut clients {
        assert_eq!(client.ask(&ask).code, 0);
    }
    assert_eq!(running.stop(), Ended::Stopped);
    for client in &mut clients {
        assert_eq!(client.ask(&ask).code, 17);
    }
}

#[test]
fn a_broker_on_ipv6_is_announced_sent_to_and_read_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = standalone(folder.path(), 2);
    let broker = config.broker.as_mut().unwrap();
    broker.bind_address = "::1".parse().unwrap();
    broker.address = "::1".parse().unwrap();
    let running = start(&config).unwrap();
    let address = running.broker_address().unwrap();
    assert!(address.is_ipv6());
    let mut client = broker_of(&running);
    for queue in 0..4 {
        assert_eq!(client.ask(&send("Six", queue, "hello")).code, 0);
        assert_eq!(drain(&mut client, "Six", queue), ["hello"]);
    }
    let mut names = Client::connect(running.name_server_address().unwrap());
    let route = ask_until(&mut names, &Ask::new(105).with("topic", "Six"), 0);
    let expected = format!(r#""brokerAddrs":{{"0":"{address}"}}"#);
    assert!(route.text().contains(&expected), "{}", route.text());
    assert!(expected.contains("[::1]:"));
    assert_eq!(running.stop(), Ended::Stopped);
}

#[test]
fn the_replication_port_is_announced_and_nobody_listens_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&standalone(folder.path(), 1)).unwrap();
    let mut names = Client::connect(running.name_server_address().unwrap());
    // A slave is told where its master is.
    let slave = names.ask(
        &Ask::new(103)
            .with("brokerName", "broker-a")
            .with("brokerAddr", "127.0.0.1:1")
            .with("clusterName", "DefaultCluster")
            .with("haServerAddr", "127.0.0.1:2")
            .with("brokerId", 1)
            .body("{}"),
    );
    let master = running.broker_address().unwrap();
    assert_eq!(slave.field("masterAddr"), Some(master.to_string().as_str()));
    let announced: SocketAddr = slave.field("haServerAddr").unwrap().parse().unwrap();
    assert_eq!(announced.port(), master.port() + 1);
    assert!(std::net::TcpStream::connect(announced).is_err());
}

/// A port that is free, and so is the one two below.
fn port_with_vip() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut ports = (0..100).map(|_| {
        let any = TcpListener::bind("127.0.0.1:0").unwrap();
        any.local_addr().unwrap().port()
    });
    ports.find(|port| free(*port) && free(port - 2)).unwrap()
}

#[test]
fn clients_of_the_vip_channel_are_served_two_ports_below() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = standalone(folder.path(), 1);
    let port = port_with_vip();
    config.broker.as_mut().unwrap().port = port;
    let running = start(&config).unwrap();
    let vip = SocketAddr::from(([127, 0, 0, 1], port - 2));
    let mut client = Client::connect(vip);
    assert_eq!(client.ask(&send("T", 0, "hello")).code, 0);
    assert_eq!(drain(&mut broker_of(&running), "T", 0), ["hello"]);
    assert_eq!(running.stop(), Ended::Stopped);

    let _taken = TcpListener::bind(vip).unwrap();
    let error = start(&config).unwrap_err().to_string();
    assert!(error.contains(&format!("{vip} is in use")), "{error}");
    assert!(error.contains("VIP channel"), "{error}");
}

#[test]
fn a_busy_port_and_a_busy_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = standalone(folder.path(), 1);
    let running = start(&config).unwrap();
    let locked = start(&config).unwrap_err();
    assert_eq!(locked.exit_code(), 75, "{locked}");
    assert_eq!(running.stop(), Ended::Stopped);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = standalone(folder.path(), 1);
    config.broker.as_mut().unwrap().port = taken.local_addr().unwrap().port();
    let busy = start(&config).unwrap_err();
    assert!(
        matches!(busy, StartError::Listen(ListenError::InUse { .. })),
        "{busy}"
    );
}

#[test]
fn the_kv_configuration_is_kept_in_the_data_folder_or_where_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("named.json");
    for path in [None, Some(named)] {
        let mut config = standalone(folder.path(), 1);
        config.broker = None;
        let names = config.name_server.as_mut().unwrap();
        let own = folder.path().join("data/kvConfig.json");
        assert_eq!(names.kv_path.as_ref(), Some(&own));
        names.kv_path = Some(path.unwrap_or(own));
        let entry = Ask::new(100)
            .with("namespace", "N")
            .with("key", "k")
            .with("value", "v");
        let running = start(&config).unwrap();
        let mut client = Client::connect(running.name_server_address().unwrap());
        assert_eq!(client.ask(&entry).code, 0);
        assert_eq!(running.stop(), Ended::Stopped);
        let running = start(&config).unwrap();
        let mut client = Client::connect(running.name_server_address().unwrap());
        let answer = client.ask(&Ask::new(101).with("namespace", "N").with("key", "k"));
        assert_eq!(answer.field("value"), Some("v"));
    }
}

/// An HTTP endpoint on loopback that answers every question with the newest list it was given.
fn address_server() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let domain = listener.local_addr().unwrap().to_string();
    let list = Arc::new(Mutex::new(String::new()));
    let served = Arc::clone(&list);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 512];
            let _ = stream.read(&mut asked).unwrap();
            assert!(asked.starts_with(b"GET /rocketmq/nsaddr HTTP/1.0\r\n"));
            let list = served.lock().unwrap().clone();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{list}",
                list.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (domain, list)
}

#[test]
fn a_broker_finds_its_name_servers_through_an_http_endpoint_and_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let name_server = || {
        let mut config = standalone(folder.path(), 1);
        config.broker = None;
        start(&config).unwrap()
    };
    let servers = [name_server(), name_server()];
    let addresses = servers.each_ref().map(|s| s.name_server_address().unwrap());
    let (domain, list) = address_server();
    *list.lock().unwrap() = format!("{}\n", addresses[0]);
    let mut config = standalone(folder.path(), 1);
    config.name_server = None;
    let source = Source::AddressServer {
        domain,
        group: "nsaddr".to_owned(),
    };
    let broker = config.broker.as_mut().unwrap();
    broker.name_server_source = Some((source, Duration::from_millis(20)));
    let running = start(&config).unwrap();
    let mut clients = addresses.map(Client::connect);
    let ask = Ask::new(105).with("topic", "TBW102");
    assert_eq!(
        clients[0].ask(&ask).code,
        0,
        "registered before it is ready"
    );
    *list.lock().unwrap() = addresses[1].to_string();
    ask_until(&mut clients[1], &ask, 0);
    ask_until(&mut clients[0], &ask, 17);
    assert_eq!(running.stop(), Ended::Stopped);
    assert_eq!(clients[1].ask(&ask).code, 17);
}

/// The binary, started and ready, in a folder of its own.
struct Program {
    child: Child,
    broker: SocketAddr,
    lines: BufReader<std::process::ChildStdout>,
}

fn program(folder: &Path) -> Program {
    program_with(folder, "listenPrt=7\n")
}

fn program_with(folder: &Path, settings: &str) -> Program {
    let file = folder.join("broker.conf");
    let settings = format!("mapedFileSizeCommitLog=8388608\nmetricsPromExporterPort=0\n{settings}");
    std::fs::write(&file, settings).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmq"))
        .args(["standalone", "--namesrv-port", "0", "--broker-port", "0"])
        // A relative path, as the default is.
        .args(["--data", "data"])
        .current_dir(folder)
        .args(["-c".as_ref(), file.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("The Name Server boot success. serializeType=JSON"));
    line.clear();
    lines.read_line(&mut line).unwrap();
    let rest = line.strip_prefix("The broker[broker-a, ").unwrap();
    let (address, rest) = rest.split_once(']').unwrap();
    assert!(rest.starts_with(" boot success. serializeType=JSON and name server is 127.0.0.1:"));
    Program {
        broker: address.parse().unwrap(),
        child,
        lines,
    }
}

impl Program {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Exit code, what else was printed, and the log.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut printed = String::new();
        self.lines.read_to_string(&mut printed).unwrap();
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), printed, log)
    }
}

#[test]
fn sigterm_stops_the_program_with_everything_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let mut client = Client::connect(program.broker);
    assert_eq!(client.ask(&send("T", 0, "kept")).code, 0);
    program.signal(Signal::TERM);
    let (code, printed, log) = program.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(printed.contains("flushDiskType=SYNC_FLUSH"), "{printed}");
    assert!(printed.contains("ringmq-admin send"), "{printed}");
    assert!(
        log.contains("listenPrt is no setting; the nearest is listenPort"),
        "{log}"
    );
}

#[test]
fn an_acknowledged_message_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let first = program(folder.path());
    let mut client = Client::connect(first.broker);
    for body in ["one", "two", "three"] {
        assert_eq!(client.ask(&send("T", 0, body)).code, 0);
    }
    first.signal(Signal::KILL);
    assert_eq!(first.end().0, None);
    let second = program(folder.path());
    let mut client = Client::connect(second.broker);
    assert_eq!(drain(&mut client, "T", 0), ["one", "two", "three"]);
    second.signal(Signal::INT);
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn a_failed_write_ends_the_program_and_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let first = program(folder.path());
    let mut client = Client::connect(first.broker);
    for body in ["one", "two"] {
        assert_eq!(client.ask(&send("T", 0, body)).code, 0);
    }
    let pid = Pid::from_child(&first.child);
    let none = Rlimit {
        current: Some(4096),
        maximum: Some(4096),
    };
    prlimit(Some(pid), Resource::Fsize, none).unwrap();
    let unknown = client.ask(&send("T", 0, "unknown"));
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let (code, _, log) = first.end();
    assert_eq!(code, Some(70), "{log}");
    assert!(log.contains("a write to the log failed"), "{log}");

    let second = program(folder.path());
    let mut client = Client::connect(second.broker);
    let kept = drain(&mut client, "T", 0);
    assert_eq!(kept[..2], ["one", "two"]);
    second.signal(Signal::TERM);
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn a_store_that_cannot_be_used_is_named_with_its_exit_code_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let first = program(folder.path());
    let mut client = Client::connect(first.broker);
    assert_eq!(client.ask(&send("T", 0, "kept")).code, 0);
    first.signal(Signal::TERM);
    assert_eq!(first.end().0, Some(0));
    let store = folder.path().join("data/store");
    let whole = std::fs::read(&store).unwrap();
    let mut damaged = whole.clone();
    damaged[30] ^= 1;
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_ringmq"))
            .args(["standalone", "--namesrv-port", "0", "--broker-port", "0"])
            .args(["--data", "data"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    };
    std::fs::write(&store, &damaged).unwrap();
    let (code, error) = run();
    assert_eq!(code, Some(74), "{error}");
    assert!(error.contains("store"), "{error}");
    // Never a new store over an old log.
    std::fs::remove_file(&store).unwrap();
    let (code, error) = run();
    assert_eq!(code, Some(74), "{error}");
    assert!(error.contains("store file"), "{error}");
    assert!(!store.exists());

    std::fs::write(&store, &whole).unwrap();
    let again = program(folder.path());
    let mut client = Client::connect(again.broker);
    assert_eq!(drain(&mut client, "T", 0), ["kept"]);
    again.signal(Signal::TERM);
    assert_eq!(again.end().0, Some(0));
}

#[test]
fn the_program_serves_when_nobody_reads_what_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmq"))
        .args(["standalone", "--namesrv-port", "0", "--data", "data"])
        .args(["--broker-port", &address.port().to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::yield_now();
    }
    let mut client = Client::connect(address);
    assert_eq!(client.ask(&send("T", 0, "served")).code, 0);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn refusals_and_closed_connections_are_told_sparingly_in_files_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        "ringmq.logDir=logs\nringmq.logFormat=json\nringmq.logFileBytes=4096\nringmq.logFiles=3\n";
    let program = program_with(folder.path(), settings);
    let mut client = Client::connect(program.broker);
    for _ in 0..40 {
        assert_eq!(client.ask(&send("T", 77, "no such queue")).code, 29);
        let mut broken = Client::connect(program.broker);
        broken.write(&u32::MAX.to_be_bytes());
        assert!(broken.is_closed_by_server());
    }
    program.signal(Signal::TERM);
    let (code, _, log) = program.end();
    assert_eq!((code, log.as_str()), (Some(0), ""));
    let mut lines: Vec<serde_json::Value> = Vec::new();
    for name in ["ringmq.log.2", "ringmq.log.1", "ringmq.log"] {
        if let Ok(text) = std::fs::read_to_string(folder.path().join("logs").join(name)) {
            lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
    }
    let count = |message: &str| {
        let is_it = |line: &&serde_json::Value| line["message"] == message;
        lines.iter().filter(is_it).count()
    };
    let most = ringmq_server::limits::LIKE_EVENTS_MAX as usize;
    assert_eq!(count("request refused"), most, "{lines:#?}");
    assert!(count("connection closed") >= most);
    assert_eq!(count("stopped"), 1);
    let refused = lines
        .iter()
        .find(|line| line["message"] == "request refused")
        .unwrap();
    assert_eq!(
        (&refused["fields"]["code"], &refused["fields"]["request"]),
        (&29.into(), &310.into())
    );
    assert!(
        refused["fields"]["remark"]
            .as_str()
            .unwrap()
            .contains("queueId[77]")
    );
}

#[test]
fn wrong_flags_and_settings_have_their_exit_codes() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringmq"))
            .args(arguments)
            .env_remove("NAMESRV_ADDR")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    assert_eq!(run(&["standalone", "--nonsense"]).0, Some(64));
    let (code, _, error) = run(&["standalone", "--shards", "99"]);
    assert_eq!(code, Some(64));
    assert!(error.contains("ringmq.shards=99"), "{error}");
    let (code, printed, _) = run(&["broker", "-p", "-n", "ns.example:9876"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("namesrvAddr=ns.example:9876\n"));
    let (code, _, error) = run(&["broker", "-c", "/nowhere.conf"]);
    assert_eq!(code, Some(64));
    assert!(error.contains("/nowhere.conf"));
}

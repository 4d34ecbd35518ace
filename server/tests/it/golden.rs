//! Requests captured from Apache's own clients, replayed: the response codes are Apache's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringmq_protocol::frame::{self, Split};
use ringmq_protocol::header::Header;

use crate::broker::{create_topic, send_with};
use crate::harness::Server;
use crate::wire::{Ask, Client};

/// Codes of the broker's port that this server has.
const SUPPORTED: [i32; 45] = [
    10, 11, 14, 15, 17, 18, 21, 29, 30, 31, 32, 33, 34, 35, 38, 41, 42, 43, 45, 46, 200, 201, 202,
    203, 204, 207, 208, 215, 222, 223, 225, 300, 303, 305, 307, 308, 309, 310, 314, 320, 328, 343,
    345, 351, 361,
];

/// Where our code differs on purpose or because the captured broker stood differently; a name
/// without its version that contains the text is passed over.
const PASSED_OVER: [(&str, &[&str]); 8] = [
    (
        "a pull with a newer subscription than the registered one is served unfiltered",
        &["notlatest-r25"],
    ),
    (
        "delayed and transactional messages and SQL filters are refused: this broker lacks them",
        &[
            "-delay",
            "-half",
            "-timer-",
            "-sql",
            "badtype",
            "46-check",
            "11-pull-message-r27",
        ],
    ),
    (
        "the captured broker ran with access control, or without automatic topics and groups",
        &["-acl", "-noauto", "-nogroup"],
    ),
    (
        "codes new in 5.x are answered to clients of 4.9 too, and illegal group names to nobody",
        &[
            "-ok-r3",
            "-unknown-r3",
            "-online-r3",
            "-offline-r3",
            "200-update-and-create-subscriptiongroup-illegal",
        ],
    ),
    (
        "offsets, subscriptions and groups were others",
        &[
            "longpoll-r19",
            "overflowone-r19",
            "pull-cpp-r19",
            "push-cpp-r20",
            "push-cpp-r22",
            "push-go-r20",
            "bin-r25",
            "11-pull-message-retry",
            "admin-clone",
            "203-get-consumer-connection-list-admin",
            "204-get-producer-connection-list-admin",
            "222-invoke-broker-to-reset-offset-admin",
            "33-view-message-by-id-ok",
            "33-view-message-by-id-admin",
        ],
    ),
    (
        "offline groups are reset for clients of 4.9 too, as brokers of 5.x do",
        &["off-r206", "offline-r206"],
    ),
    (
        "a client must answer, and clients of a replay do not",
        &[
            "223-",
            "307-get-consumer-running-info-admin",
            "309-consume-message-directly-admin",
        ],
    ),
    (
        "the captured topic existed with another queue type, which cannot be changed",
        &["17-update-and-create-topic-pop-r1"],
    ),
];

struct Exchange {
    name: String,
    code: i32,
    is_oneway: bool,
    request: Vec<u8>,
    response: Option<i32>,
}

fn exchanges() -> Vec<Exchange> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/protocol/tests/golden");
    let mut files = Vec::new();
    for version in ["4.9.7", "5.5.0"] {
        let folder = std::fs::read_dir(golden.join(version)).unwrap();
        files.extend(folder.map(|entry| entry.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    files.sort();
    files.iter().filter_map(exchange).collect()
}

/// The request of a file and the code of its answer; nothing when the server spoke first.
fn exchange(path: &PathBuf) -> Option<Exchange> {
    let text = std::fs::read_to_string(path).unwrap();
    let frames = text.lines().filter_map(|line| {
        let (direction, hex) = line.split_once(' ')?;
        matches!(direction, ">" | "<").then(|| (direction.to_owned(), unhex(hex)))
    });
    let frames: Vec<_> = frames.collect();
    let (direction, request) = frames.first()?;
    if direction != ">" {
        return None;
    }
    let (code, flag) = head(request);
    let folder = path.parent()?.file_name()?.to_str()?;
    Some(Exchange {
        name: format!("{folder}/{}", path.file_stem()?.to_str()?),
        code,
        is_oneway: flag & 2 != 0,
        request: request.clone(),
        response: frames.get(1).map(|(_, frame)| head(frame).0),
    })
}

fn is_passed_over(name: &str) -> bool {
    let mut texts = PASSED_OVER.iter().flat_map(|(_, texts)| texts.iter());
    texts.any(|text| name.contains(text))
}

fn head(bytes: &[u8]) -> (i32, i32) {
    let Split::Frame(frame) = frame::split(bytes, 1 << 24).unwrap() else {
        panic!("not a whole frame");
    };
    let header = Header::decode(frame.kind, frame.header).unwrap();
    (header.code, header.flag)
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// A broker with the topics that the captures take for granted.
struct Replay {
    server: Server,
    /// Connections whose heartbeats have been replayed: their groups are online.
    online: Vec<Client>,
}

impl Replay {
    fn new() -> Self {
        let server = Server::broker_with(1, |settings| {
            settings.message_bytes_max = 7000;
            // A pull that would be held for 20 s is answered after one.
            settings.long_polling = false;
        });
        let mut client = Client::connect(server.broker_address());
        for topic in ["TopicTest", "TopicRetry", "TopicOrder"] {
            create_topic(&mut client, topic, 4);
        }
        create_topic(&mut client, "TopicEmpty", 1);
        for number in 0..60 {
            let properties = if number % 3 == 0 {
                "TAGS\u{1}TagA"
            } else {
                "a\u{1}7"
            };
            let sent = client.ask(&send_with("TopicTest", number % 4, "x", properties));
            assert_eq!(sent.code, 0);
        }
        let online = Vec::new();
        Self { server, online }
    }

    fn go_online(&mut self, heartbeat: &Exchange) {
        let mut client = Client::connect(self.server.broker_address());
        client.write(&heartbeat.request);
        let answered = (0..100).any(|_| client.next_frame().is_some_and(|f| f.flag & 1 == 1));
        assert!(answered, "{}", heartbeat.name);
        self.online.push(client);
    }

    /// The code our broker gives, `None` when it does not answer.
    fn replay(&self, exchange: &Exchange) -> Option<i32> {
        let mut client = Client::connect(self.server.broker_address());
        client.write(&exchange.request);
        if exchange.is_oneway {
            let next = client.ask(&Ask::new(9999));
            assert_eq!(next.code, 3, "{}", exchange.name);
            return None;
        }
        loop {
            let frame = client.next_frame()?;
            if frame.flag & 1 == 1 {
                return Some(frame.code);
            }
        }
    }
}

#[test]
fn captured_requests_get_the_codes_that_apache_gave() {
    let mut all = exchanges();
    all.retain(|exchange| SUPPORTED.contains(&exchange.code) && !is_passed_over(&exchange.name));
    assert!(all.len() > 250, "{} exchanges", all.len());
    // Sends before all that reads; resets last, because the next pull is told of them.
    all.sort_by_key(|exchange| match exchange.code {
        10 | 310 | 320 => 0,
        222 => 2,
        _ => 1,
    });
    let offline = Replay::new();
    let mut online = Replay::new();
    for heartbeat in all.iter().filter(|exchange| exchange.code == 34) {
        online.go_online(heartbeat);
    }
    let mut differences = BTreeMap::new();
    for exchange in &all {
        let answers = [online.replay(exchange), offline.replay(exchange)];
        if !answers.contains(&exchange.response) {
            differences.insert(exchange.name.clone(), (exchange.response, answers));
        }
    }
    for (name, (apache, ours)) in &differences {
        eprintln!("{name}: {apache:?} {ours:?}");
    }
    assert!(differences.is_empty());
}

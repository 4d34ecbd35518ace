//! Every frame captured between Apache's name servers and their brokers and clients, sent again byte
//! for byte over a socket: our name server must answer what Apache's did.
//!
//! What Apache's knew at that moment is read from its answer: brokers and topics in it are registered
//! before the request is replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::Server;
use crate::wire::{Answer, Ask, Client, decode};

/// Codes of the name server's port.
const CODES: [i32; 22] = [
    100, 101, 102, 103, 104, 105, 106, 205, 206, 216, 217, 219, 224, 304, 311, 312, 313, 322, 327,
    901, 904, 9999,
];

/// Captures that are not compared, and why. (318 and 319 are tests of their own: settings differ.)
const PASSED_OVER: [(&str, &str); 2] = [
    (
        "4.9.7/217-register-topic-in-namesrv-ok-noanswer",
        "new in 5.x; answered to everybody",
    ),
    (
        "4.9.7/90",
        "901 and 904 are new in 5.x; answered to everybody",
    ),
];

struct Exchange {
    name: String,
    request: Vec<u8>,
    answer: Option<Answer>,
}

fn exchanges() -> Vec<Exchange> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/protocol/tests/golden");
    let mut paths: Vec<PathBuf> = Vec::new();
    for version in ["4.9.7", "5.5.0"] {
        let folder = std::fs::read_dir(golden.join(version)).unwrap();
        paths.extend(folder.map(|entry| entry.unwrap().path()));
    }
    paths.sort();
    let texts = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "txt"));
    let all = texts.filter_map(|path| exchange(path));
    all.filter(|exchange| CODES.contains(&code_of(exchange)))
        .collect()
}

fn code_of(exchange: &Exchange) -> i32 {
    decode(&exchange.request).unwrap().0.code
}

/// What a client asked a name server; nothing where a broker was asked, or spoke first.
fn exchange(path: &Path) -> Option<Exchange> {
    let text = std::fs::read_to_string(path).unwrap();
    let is_to_name_server = text.lines().any(|line| line == "# to: name server");
    let frame = |mark: &str| {
        let hex = text.lines().find_map(|line| line.strip_prefix(mark))?;
        Some(unhex(hex.trim()))
    };
    let version = path.parent()?.file_name()?.to_str()?;
    Some(Exchange {
        name: format!("{version}/{}", path.file_stem()?.to_str()?),
        request: frame("> ").filter(|_| is_to_name_server)?,
        answer: frame("< ").map(|bytes| decode(&bytes).unwrap().0),
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// A body as a value: numeric keys quoted, lists sorted (Java's come in the order of a hash table),
/// and without the members that only one of the versions writes.
fn comparable(body: &[u8]) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.iter_mut().for_each(sort);
                items.sort_by_key(Value::to_string);
            }
            Value::Object(members) => {
                members.remove("enableActingMaster");
                members.remove("stateVersion");
                members.values_mut().for_each(sort);
            }
            _ => {}
        }
    }
    if body.is_empty() {
        return Value::Null;
    }
    let text = std::str::from_utf8(body).unwrap();
    let quoted = ringmq_server::namesrv::relaxed_json::quote_numeric_keys(text);
    let mut value = serde_json::from_str(&quoted).unwrap();
    sort(&mut value);
    value
}

/// What a name server knows.
#[derive(Default)]
struct World {
    /// Cluster, broker name and id: the address.
    brokers: BTreeMap<(String, String, i64), String>,
    /// Topic and broker name: perm, read and write queues, flag.
    topics: BTreeMap<(String, String), [i64; 4]>,
    /// Namespace and key.
    values: BTreeMap<(String, String), String>,
    version: Value,
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl World {
    fn broker(&mut self, name: &str, id: i64, address: &str) {
        let key = ("DefaultCluster".to_owned(), name.to_owned(), id);
        self.brokers.insert(key, address.to_owned());
    }

    fn topic(&mut self, topic: &str, broker: &str) {
        self.topics
            .insert((topic.to_owned(), broker.to_owned()), [6, 4, 4, 0]);
    }

    fn value(&mut self, namespace: &str, key: &str, value: &str) {
        self.values
            .insert((namespace.to_owned(), key.to_owned()), value.to_owned());
    }

    /// What Apache's name server must have known to answer as it did.
    fn before(exchange: &Exchange, request: &Answer) -> Self {
        let mut world = Self::default();
        let Some(answer) = exchange.answer.as_ref().filter(|answer| answer.code == 0) else {
            return world;
        };
        let body = comparable(&answer.body);
        match request.code {
            101 => {
                let field = |name| request.field(name).unwrap();
                world.value(
                    field("namespace"),
                    field("key"),
                    answer.field("value").unwrap(),
                );
            }
            103 => {
                for (key, value) in body["table"].as_object().into_iter().flatten() {
                    world.value("ORDER_TOPIC_CONFIG", key, value.as_str().unwrap());
                }
                if let Some(master) = answer.field("masterAddr") {
                    world.broker(request.field("brokerName").unwrap(), 0, master);
                }
            }
            105 => world.route(request.field("topic").unwrap(), &body),
            106 => {
                let brokers = body["brokerAddrTable"].as_object().unwrap();
                brokers.values().for_each(|data| world.broker_data(data));
            }
            205 | 327 => {
                let name = request.field("brokerName").unwrap();
                let count = answer
                    .field("wipeTopicCount")
                    .or(answer.field("addTopicCount"));
                for number in 0..count.unwrap().parse().unwrap() {
                    world.broker(name, 0, "127.0.0.1:1");
                    world.topic(&format!("T{number}"), name);
                }
            }
            206 | 224 => {
                for topic in body["topicList"].as_array().unwrap() {
                    world.broker("broker-a", 0, "127.0.0.1:18911");
                    world.topic(topic.as_str().unwrap(), "broker-a");
                }
            }
            219 => {
                for (key, value) in body["table"].as_object().unwrap() {
                    let namespace = request.field("namespace").unwrap();
                    world.value(namespace, key, value.as_str().unwrap());
                }
            }
            304 => {
                let address = string(&body["brokerAddr"]);
                world.broker("broker-a", 0, &address);
                world.broker("broker-x", 0, &address);
            }
            322 if !answer.body.is_empty() => {
                world.broker("broker-a", 0, request.field("brokerAddr").unwrap());
                world.version = body;
            }
            901 => {
                let group = &body["brokerMemberGroup"];
                world.broker_data(group);
            }
            _ => {}
        }
        world
    }

    fn broker_data(&mut self, data: &Value) {
        for (id, address) in data["brokerAddrs"].as_object().unwrap() {
            let (cluster, name) = (string(&data["cluster"]), string(&data["brokerName"]));
            let key = (cluster, name, id.parse().unwrap());
            self.brokers.insert(key, string(address));
        }
    }

    fn route(&mut self, topic: &str, body: &Value) {
        let brokers = body["brokerDatas"].as_array().unwrap();
        brokers.iter().for_each(|data| self.broker_data(data));
        for queue in body["queueDatas"].as_array().unwrap() {
            let members = ["perm", "readQueueNums", "writeQueueNums", "topicSysFlag"];
            let numbers = members.map(|member| queue[member].as_i64().unwrap());
            let key = (topic.to_owned(), string(&queue["brokerName"]));
            self.topics.insert(key, numbers);
        }
    }

    /// Makes a name server know it, by registrations without topics and then topic by topic.
    fn tell(&self, client: &mut Client) {
        for ((namespace, key), value) in &self.values {
            let put = Ask::new(100).with("namespace", namespace).with("key", key);
            assert_eq!(client.ask(&put.with("value", value)).code, 0);
        }
        for ((cluster, name, id), address) in &self.brokers {
            let wrapper = json!({"dataVersion": self.version, "topicConfigTable": {}});
            let body = json!({"filterServerList": [], "topicConfigSerializeWrapper": wrapper});
            let register = Ask::new(103)
                .with("brokerName", name)
                .with("brokerAddr", address)
                .with("clusterName", cluster)
                .with("brokerId", id)
                .with("haServerAddr", "127.0.0.1:19000")
                .body(body.to_string());
            assert_eq!(client.ask(&register).code, 0);
        }
        for ((topic, broker), [perm, read, write, flag]) in &self.topics {
            let queue = json!({
                "brokerName": broker, "perm": perm, "readQueueNums": read,
                "writeQueueNums": write, "topicSysFlag": flag,
            });
            let body = json!({"brokerDatas": [], "queueDatas": [queue]}).to_string();
            let register = Ask::new(217).with("topic", topic).body(body);
            assert_eq!(client.ask(&register).code, 0, "{topic}");
        }
    }
}

/// What differs from Apache's answer, in words; nothing when nothing does.
fn difference(exchange: &Exchange) -> Option<String> {
    let server = Server::names(1);
    let mut client = Client::connect(server.names);
    let (request, _) = decode(&exchange.request).unwrap();
    World::before(exchange, &request).tell(&mut client);
    client.write(&exchange.request);
    let Some(theirs) = &exchange.answer else {
        // One-way: the next answer is the next request's.
        assert_eq!(request.flag & 2, 2, "{}", exchange.name);
        let next = client.ask(&Ask::new(106));
        return (next.code != 0).then(|| format!("then {next:?}"));
    };
    let ours = client.answer(request.opaque);
    // What follows is a link to a page, which has moved between the versions.
    let remark_of = |answer: &Answer| {
        let text = answer.remark.split("\nSee ").next();
        text.unwrap_or_default().to_owned()
    };
    let fields = |answer: &Answer| {
        let fields = answer.fields.iter().cloned();
        fields.collect::<BTreeSet<(String, String)>>()
    };
    let pairs = [
        ("code", json!(ours.code), json!(theirs.code)),
        ("flag", json!(ours.flag), json!(theirs.flag)),
        ("remark", json!(remark_of(&ours)), json!(remark_of(theirs))),
        ("fields", json!(fields(&ours)), json!(fields(theirs))),
        ("body", comparable(&ours.body), comparable(&theirs.body)),
    ];
    let mut differing = pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs);
    differing
        .next()
        .map(|(what, ours, theirs)| format!("{what}: ours {ours}, Apache's {theirs}"))
}

#[test]
fn every_captured_request_to_a_name_server_gets_apaches_answer() {
    let mut all = exchanges();
    all.retain(|exchange| {
        !PASSED_OVER
            .iter()
            .any(|(name, _)| exchange.name.starts_with(name))
    });
    assert!(all.len() > 130, "{} exchanges", all.len());
    let differences: Vec<String> = all
        .iter()
        .filter_map(|exchange| Some(format!("{}: {}", exchange.name, difference(exchange)?)))
        .collect();
    assert!(differences.is_empty(), "{:#?}", differences);
}

#[test]
fn a_route_is_apaches_byte_for_byte() {
    let mut compared = 0;
    for exchange in exchanges() {
        let Some(answer) = exchange.answer.as_ref().filter(|answer| answer.code == 0) else {
            continue;
        };
        let (request, _) = decode(&exchange.request).unwrap();
        if request.code != 105 {
            continue;
        }
        let server = Server::names(1);
        let mut client = Client::connect(server.names);
        World::before(&exchange, &request).tell(&mut client);
        client.write(&exchange.request);
        let ours = client.answer(request.opaque);
        let mut text = ours.text().to_owned();
        if exchange.name.starts_with("4.9.7") {
            text = text.replace(r#","enableActingMaster":false"#, "");
        }
        assert_eq!(text, answer.text(), "{}", exchange.name);
        compared += 1;
    }
    assert!(compared > 25, "{compared} routes");
}

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use ringmq_engine::TopicId;
use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{Head, Header};

use serde_json::Value;

use super::*;
use crate::broker::{ConnectionId, Permission, SharedMap, Topic, TopicConfig};
use crate::data_version::DataVersion;
use crate::limits::REGISTRATION_TOPICS_MAX;
use crate::namesrv::{NameServer, Request};

const PATIENCE: Duration = Duration::from_secs(20);

fn topics(names: &[&str]) -> SharedMap<Topic> {
    let mut map = SharedMap::new(1);
    for name in names {
        let config = TopicConfig::new(*name, 4, Permission::READ_WRITE);
        let id = TopicId(1);
        map.insert((*name).into(), Arc::new(Topic { id, config }));
    }
    map
}

fn version(counter: i64) -> DataVersion {
    DataVersion {
        counter,
        ..DataVersion::starting_at(5)
    }
}

fn state(names: &[&str], counter: i64) -> State {
    State::new(topics(names), version(counter), REGISTRATION_TOPICS_MAX)
}

/// As [`state`], a change of an older one: what is not named is the same.
fn changed(older: &SharedMap<Topic>, names: &[&str], counter: i64) -> State {
    let mut map = older.clone();
    for (name, topic) in topics(names).iter() {
        map.insert(Arc::clone(name), Arc::clone(topic));
    }
    State::new(map, version(counter), REGISTRATION_TOPICS_MAX)
}

const OFTEN: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(3600);

fn registrar(servers: &[String], manner: Manner) -> Registrar {
    let mut registrar = Registrar::new(identity(), manner, None).unwrap();
    registrar.set_servers(servers).unwrap();
    registrar
}

fn every(period: Duration) -> Manner {
    Manner {
        period,
        ..Manner::default()
    }
}

fn identity() -> Identity {
    Identity {
        cluster: "DefaultCluster".into(),
        name: "broker-a".into(),
        id: 0,
        address: SocketAddr::from(([127, 0, 0, 1], 10_911)),
        ha_address: SocketAddr::from(([127, 0, 0, 1], 10_912)),
    }
}

/// A name server on threads that block: one connection at a time.
struct FakeServer {
    address: String,
    state: Arc<Mutex<NameServer>>,
    codes: Receiver<i32>,
    /// Topics named in the bodies that came.
    bodies: Receiver<Vec<String>>,
    connections: Receiver<TcpStream>,
}

fn fake_server() -> FakeServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let state = Arc::new(Mutex::new(NameServer::default()));
    let (tell, codes) = flume::unbounded();
    let (tell_body, bodies) = flume::unbounded();
    let (tell_connection, connections) = flume::unbounded();
    let served = Arc::clone(&state);
    thread::spawn(move || {
        for (stream, id) in listener.incoming().zip(0..) {
            let stream = stream.unwrap();
            let _ = tell_connection.send(stream.try_clone().unwrap());
            let served = Arc::clone(&served);
            let tell = (tell.clone(), tell_body.clone());
            thread::spawn(move || serve(stream, ConnectionId(id), &served, &tell));
        }
    });
    FakeServer {
        address,
        state,
        codes,
        bodies,
        connections,
    }
}

fn topics_of(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let table = &body["topicConfigSerializeWrapper"]["topicConfigTable"];
    let names = table
        .as_object()
        .map(|table| table.keys().cloned().collect());
    names.unwrap_or_default()
}

fn serve(
    mut stream: TcpStream,
    id: ConnectionId,
    state: &Mutex<NameServer>,
    (tell, tell_body): &(Sender<i32>, Sender<Vec<String>>),
) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = match stream.read(&mut chunk) {
            Ok(read @ 1..) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Ok(_) | Err(_) => return,
        };
        bytes.extend_from_slice(&chunk[..read]);
        while let Ok(Split::Frame(frame)) = frame::split(&bytes, 1 << 24) {
            let header = Header::decode(frame.kind, frame.header).unwrap();
            let field = |name: &str| Some(header.ext.get(name)?.to_cow().into_owned());
            let request = Request {
                code: header.code,
                version: header.version,
                field: &field,
                body: frame.body,
                connection: id,
            };
            let answer = state.lock().unwrap().handle(&request, 0);
            let mut out = Vec::new();
            let remark = answer.remark.as_deref();
            Head {
                remark,
                ..Head::response(answer.code, header.opaque)
            }
            .encode_frame(HeaderKind::Json, &mut out, &answer.body, |ext| {
                for (name, value) in &answer.fields {
                    ext.put(name, value.as_str());
                }
            })
            .unwrap();
            let _ = tell.send(header.code);
            if header.code == 103 {
                let _ = tell_body.send(topics_of(frame.body));
            }
            stream.write_all(&out).unwrap();
            bytes.drain(..frame.total);
        }
    }
}

impl FakeServer {
    fn next_code(&self) -> i32 {
        self.codes.recv_timeout(PATIENCE).unwrap()
    }

    fn knows(&self, topic: &str) -> bool {
        self.state.lock().unwrap().table.route(topic).is_some()
    }
}

impl FakeServer {
    fn next_topics(&self) -> Vec<String> {
        self.bodies.recv_timeout(PATIENCE).unwrap()
    }
}

#[test]
fn a_broker_registers_with_all_servers_follows_changes_and_deregisters() {
    let servers = [fake_server(), fake_server()];
    let addresses: Vec<String> = servers.iter().map(|s| s.address.clone()).collect();
    let mut registrar = registrar(&addresses, Manner::default());
    registrar.register(state(&["T", "U"], 0));
    registrar.wait_first_round(PATIENCE);
    for server in &servers {
        assert_eq!(server.next_code(), 103);
        assert!(server.knows("T") && !server.knows("V"));
    }
    registrar.register(state(&["T", "U", "V"], 1));
    for server in &servers {
        assert_eq!(server.next_code(), 103);
        assert!(server.knows("V"));
    }
    registrar.stop();
    for server in &servers {
        assert_eq!(server.next_code(), 104);
        assert!(!server.knows("T"));
    }
}

#[test]
fn a_broken_connection_is_made_anew_and_registered_over() {
    let server = fake_server();
    let mut registrar = registrar(std::slice::from_ref(&server.address), every(NEVER));
    registrar.register(state(&["T", "U"], 0));
    assert_eq!(server.next_code(), 103);
    let first = server.connections.recv_timeout(PATIENCE).unwrap();
    first.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(server.next_code(), 103);
    registrar.stop();
}

#[test]
fn a_server_that_is_not_there_delays_nobody() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = fake_server();
    let addresses = [closed.to_string(), server.address.clone()];
    let mut registrar = registrar(&addresses, every(NEVER));
    registrar.register(state(&["T", "U"], 0));
    assert_eq!(server.next_code(), 103);
    registrar.wait_first_round(PATIENCE);
    registrar.stop();
    assert_eq!(server.next_code(), 104);
}

#[test]
fn a_change_of_few_topics_registers_these_alone() {
    let server = fake_server();
    let mut registrar = registrar(std::slice::from_ref(&server.address), every(NEVER));
    let all = topics(&["A", "B", "C", "D", "E", "F"]);
    registrar.register(changed(&all, &[], 0));
    assert_eq!(server.next_topics().len(), 6);
    registrar.register(changed(&all, &["B", "G"], 1));
    assert_eq!(server.next_topics(), ["B", "G"]);
    assert!(server.knows("A"));
    // Topics that went are no part of a registration: everything is said again.
    let rest = topics(&["A", "B"]);
    registrar.register(changed(&rest, &[], 2));
    assert_eq!(server.next_topics(), ["A", "B"]);
    registrar.stop();
}

#[test]
fn changes_that_come_faster_than_they_are_told_are_one_registration() {
    let server = fake_server();
    let mut registrar = registrar(std::slice::from_ref(&server.address), every(NEVER));
    let names: Vec<String> = (0..1000).map(|i| format!("t{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = topics(&names);
    registrar.register(changed(&all, &[], 0));
    assert_eq!(server.next_topics().len(), 1000);
    {
        // The name server stands still meanwhile.
        let _held = server.state.lock().unwrap();
        let mut map = all.clone();
        for (name, counter) in names[..100].iter().zip(1..) {
            for (name, topic) in topics(&[name]).iter() {
                map.insert(Arc::clone(name), Arc::clone(topic));
            }
            registrar.register(State::new(map.clone(), version(counter), 20_000));
        }
    }
    let mut told = 0;
    let mut registrations = 0;
    while told < 100 {
        told += server.next_topics().len();
        registrations += 1;
    }
    assert_eq!(told, 100, "each change once");
    assert!(registrations <= 2, "{registrations}");
    registrar.stop();
}

#[test]
fn single_topics_are_registered_where_that_is_asked_for() {
    let server = fake_server();
    let manner = Manner {
        single_topics: true,
        ..every(NEVER)
    };
    let mut registrar = registrar(std::slice::from_ref(&server.address), manner);
    let all = topics(&["A", "B", "C", "D", "E", "F"]);
    registrar.register(changed(&all, &[], 0));
    assert_eq!(server.next_code(), 103);
    registrar.register(changed(&all, &["G"], 1));
    assert_eq!(server.next_code(), 217);
    registrar.stop();
    assert_eq!(server.next_code(), 104);
}

#[test]
fn a_name_server_that_knows_the_topics_is_not_told_again_when_it_is_asked_first() {
    let server = fake_server();
    let manner = Manner {
        asks_first: true,
        ..every(OFTEN)
    };
    let mut registrar = registrar(std::slice::from_ref(&server.address), manner);
    registrar.register(state(&["T", "U"], 0));
    assert_eq!(server.next_code(), 103);
    for _ in 0..3 {
        assert_eq!(server.next_code(), 322);
    }
    // It forgets: the next question finds out.
    let key = crate::namesrv::BrokerKey {
        cluster: "DefaultCluster".into(),
        address: "127.0.0.1:10911".into(),
    };
    let mut state = server.state.lock().unwrap();
    state.table.unregister(&key, "broker-a");
    drop(state);
    let again = (0..1000).any(|_| server.next_code() == 103);
    assert!(again && server.knows("T"));
    registrar.stop();
}

#[test]
fn name_servers_come_and_go_while_the_broker_runs() {
    let servers = [fake_server(), fake_server()];
    let addresses = servers.each_ref().map(|server| server.address.clone());
    let mut registrar = registrar(&addresses[..1], every(NEVER));
    registrar.register(state(&["T", "U"], 0));
    assert_eq!(servers[0].next_code(), 103);
    registrar.set_servers(&addresses[1..]).unwrap();
    assert_eq!(servers[0].next_code(), 104);
    assert_eq!(servers[1].next_code(), 103);
    registrar.stop();
    assert_eq!(servers[1].next_code(), 104);
}

#[test]
fn very_many_topics_go_in_several_bodies_of_versions_of_their_own() {
    let names: Vec<String> = (0..7).map(|i| format!("t{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let state = State::new(topics(&names), version(7), 3);
    let bodies = state.bodies();
    let parts: Vec<usize> = bodies.iter().map(|body| topics_of(body).len()).collect();
    assert_eq!(parts, [3, 3, 1]);
    let versions = bodies.iter().map(|body| {
        let body: Value = serde_json::from_slice(body).unwrap();
        let version = &body["topicConfigSerializeWrapper"]["dataVersion"];
        (version["counter"].as_i64(), version["timestamp"].as_i64())
    });
    let versions: Vec<_> = versions.collect();
    // The last one is the state's own: it is what the name server is asked for later.
    let of = |timestamp| (Some(7), Some(timestamp));
    assert_eq!(versions, [of(3), of(4), of(5)]);
}

#[test]
fn a_broker_that_takes_no_writes_offers_its_topics_for_reading() {
    let state = state(&["T"], 0).within(Permission(Permission::READ));
    let body: Value = serde_json::from_slice(&state.bodies()[0]).unwrap();
    let topic = &body["topicConfigSerializeWrapper"]["topicConfigTable"]["T"];
    assert_eq!(topic["perm"], 4);
}

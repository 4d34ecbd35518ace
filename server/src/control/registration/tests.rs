use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use ringmq_engine::TopicId;
use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{Head, Header};

use super::*;
use crate::broker::{ConnectionId, Permission, TopicConfig};
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

fn bodies(names: &[&str], counter: i64) -> Bodies {
    let version = DataVersion {
        counter,
        ..DataVersion::starting_at(5)
    };
    Bodies::new(&topics(names), version)
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
    connections: Receiver<TcpStream>,
}

fn fake_server() -> FakeServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let state = Arc::new(Mutex::new(NameServer::default()));
    let (tell, codes) = flume::unbounded();
    let (tell_connection, connections) = flume::unbounded();
    let served = Arc::clone(&state);
    thread::spawn(move || {
        for (stream, id) in listener.incoming().zip(0..) {
            let stream = stream.unwrap();
            let _ = tell_connection.send(stream.try_clone().unwrap());
            let (served, tell) = (Arc::clone(&served), tell.clone());
            thread::spawn(move || serve(stream, ConnectionId(id), &served, &tell));
        }
    });
    FakeServer {
        address,
        state,
        codes,
        connections,
    }
}

fn serve(mut stream: TcpStream, id: ConnectionId, state: &Mutex<NameServer>, tell: &Sender<i32>) {
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
            .encode_frame(HeaderKind::Json, &mut out, &answer.body, |_| {})
            .unwrap();
            stream.write_all(&out).unwrap();
            let _ = tell.send(header.code);
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

#[test]
fn a_broker_registers_with_all_servers_follows_changes_and_deregisters() {
    let servers = [fake_server(), fake_server()];
    let addresses: Vec<String> = servers.iter().map(|s| s.address.clone()).collect();
    let period = Duration::from_secs(30);
    let registrar = Registrar::start(&identity(), &addresses, period).unwrap();
    registrar.register(bodies(&["T", "U"], 0));
    registrar.wait_first_round(PATIENCE);
    for server in &servers {
        assert_eq!(server.next_code(), 103);
        assert!(server.knows("T") && !server.knows("V"));
    }
    registrar.register(bodies(&["T", "U", "V"], 1));
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
    let addresses = [server.address.clone()];
    let registrar = Registrar::start(&identity(), &addresses, Duration::from_secs(3600)).unwrap();
    registrar.register(bodies(&["T", "U"], 0));
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
    let registrar = Registrar::start(&identity(), &addresses, Duration::from_secs(3600)).unwrap();
    registrar.register(bodies(&["T", "U"], 0));
    assert_eq!(server.next_code(), 103);
    registrar.wait_first_round(PATIENCE);
    registrar.stop();
    assert_eq!(server.next_code(), 104);
}

#[test]
fn very_many_topics_go_in_several_bodies_of_rising_versions() {
    let names: Vec<String> = (0..=REGISTRATION_TOPICS_MAX)
        .map(|i| format!("t{i}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Bodies(bodies) = bodies(&names, 7);
    assert_eq!(bodies.len(), 2);
    let counters = bodies.iter().map(|body| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body["topicConfigSerializeWrapper"]["dataVersion"]["counter"].as_i64()
    });
    assert_eq!(counters.collect::<Vec<_>>(), [Some(7), Some(8)]);
}

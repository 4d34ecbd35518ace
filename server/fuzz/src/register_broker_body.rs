//! Any bytes as a broker's registration: plain, compressed, or compressed by us so that what is
//! inside is reached. Nothing panics; what is taken in can be asked for as JSON, and is gone when its
//! broker goes.
//!
//! The first byte of an input says how the rest is sent.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use ringmq_server::broker::ConnectionId;
use ringmq_server::namesrv::{Answer, NameServer, Request};

/// The rest is a compressed body as it stands.
const COMPRESSED: u8 = 1;
/// The rest is what a compressed body inflates to.
const INFLATED: u8 = 2;
/// The sender is older than bodies with filter servers.
const OLD: u8 = 4;
/// The sender is of 5.x and allows acting masters.
const ACTING: u8 = 8;
/// The sender is a slave.
const SLAVE: u8 = 16;

/// More topics than this are not asked for one by one.
const ASKED_MAX: usize = 64;

/// See the module.
pub fn check(input: &[u8]) {
    let Some((&shape, rest)) = input.split_first() else {
        return;
    };
    let body = if shape & INFLATED != 0 {
        deflated(rest)
    } else {
        rest.to_vec()
    };
    let mut server = NameServer::default();
    for _ in 0..2 {
        let answer = ask(&mut server, 103, &fields(shape), version(shape), &body);
        if answer.code != 0 {
            assert!(topics(&mut server).is_empty(), "refused and yet taken in");
            return;
        }
    }
    look(&mut server);
    let gone = ask(&mut server, 104, &fields(shape), 513, b"");
    assert_eq!(gone.code, 0);
    assert!(
        topics(&mut server).is_empty(),
        "topics outlive their broker"
    );
}

fn version(shape: u8) -> i32 {
    if shape & OLD != 0 { 36 } else { 513 }
}

fn fields(shape: u8) -> Vec<(&'static str, &'static str)> {
    let is = |bit: u8| if shape & bit != 0 { "true" } else { "false" };
    let mut fields = vec![
        ("clusterName", "DefaultCluster"),
        ("brokerName", "broker-a"),
        ("brokerAddr", "127.0.0.1:10911"),
        ("haServerAddr", "127.0.0.1:10912"),
        ("brokerId", if shape & SLAVE != 0 { "1" } else { "0" }),
        ("compressed", is(COMPRESSED | INFLATED)),
    ];
    if shape & ACTING != 0 {
        fields.push(("enableActingMaster", "true"));
    }
    fields
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Memory takes every write.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn ask(
    server: &mut NameServer,
    code: i32,
    fields: &[(&str, &str)],
    version: i32,
    body: &[u8],
) -> Answer {
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let request = Request {
        code,
        version,
        field: &field,
        body,
        connection: ConnectionId(1),
    };
    server.handle(&request, 0)
}

fn json(answer: &Answer) -> serde_json::Value {
    match serde_json::from_slice(&answer.body) {
        Ok(value) => value,
        Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(&answer.body)),
    }
}

fn topics(server: &mut NameServer) -> Vec<String> {
    let list = json(&ask(server, 206, &[], 513, b""));
    let names = list["topicList"].as_array().cloned().unwrap_or_default();
    let names = names
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned));
    names.collect()
}

/// All that was taken in is shown as JSON, and to older clients without a panic.
fn look(server: &mut NameServer) {
    for topic in topics(server).iter().take(ASKED_MAX) {
        let fields = [("topic", topic.as_str())];
        let route = ask(server, 105, &fields, 513, b"");
        assert_eq!(route.code, 0, "{topic} is listed and has no route");
        let brokers = &json(&route)["brokerDatas"];
        assert_eq!(brokers[0]["brokerName"], "broker-a");
        ask(server, 105, &fields, 317, b"");
    }
    for code in [106, 304, 311, 312, 313] {
        assert_eq!(ask(server, code, &[], 513, b"").code, 0);
    }
}

//! The captured frames of Apache's name servers, replayed: what was asked then is asked again, and
//! the answers must say the same.

use std::path::PathBuf;

use ringmq_protocol::frame::{self, Split};
use ringmq_protocol::header::Header;
use serde_json::Value;

use super::super::relaxed_json::quote_numeric_keys;
use super::*;

/// A captured exchange: request frame, and the answer's if there was one.
struct Capture {
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
}

fn capture(version: &str, name: &str) -> Capture {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../client/protocol/tests/golden")
        .join(version)
        .join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let frame = |mark: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(mark))?;
        Some(bytes_of_hex(line.trim()))
    };
    Capture {
        request: frame("> ").unwrap(),
        answer: frame("< "),
    }
}

fn bytes_of_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let pairs = digits.chunks(2);
    pairs.map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn with_frame<T>(bytes: &[u8], read: impl FnOnce(&Header<'_>, &[u8]) -> T) -> T {
    let Ok(Split::Frame(frame)) = frame::split(bytes, 1 << 24) else {
        panic!("no whole frame");
    };
    read(
        &Header::decode(frame.kind, frame.header).unwrap(),
        frame.body,
    )
}

fn ask(server: &mut NameServer, version: &str, name: &str) -> (Answer, Capture) {
    let capture = capture(version, name);
    let answer = with_frame(&capture.request, |header, body| {
        let field = |name: &str| Some(header.ext.get(name)?.to_cow().into_owned());
        let request = Request {
            code: header.code,
            version: header.version,
            field: &field,
            body,
            connection: ConnectionId(1),
        };
        server.handle(&request, 0)
    });
    (answer, capture)
}

/// A body as a value; lists are sorted, because Java's come in the order of a hash table, and the
/// member that only 5.x writes is left out.
fn comparable(body: &[u8]) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.iter_mut().for_each(sort);
                items.sort_by_key(Value::to_string);
            }
            Value::Object(members) => {
                members.remove("enableActingMaster");
                members.values_mut().for_each(sort);
            }
            _ => {}
        }
    }
    if body.is_empty() {
        return Value::Null;
    }
    let text = std::str::from_utf8(body).unwrap();
    let mut value = serde_json::from_str(&quote_numeric_keys(text)).unwrap();
    sort(&mut value);
    value
}

/// Replays a capture and compares code, fields and body with what Apache answered.
fn replay(server: &mut NameServer, version: &str, name: &str) {
    let (ours, capture) = ask(server, version, name);
    let Some(theirs) = capture.answer else {
        return;
    };
    with_frame(&theirs, |header, body| {
        assert_eq!(ours.code, header.code, "{version} {name}");
        for (field, value) in &ours.fields {
            let text = header.ext.get(field).map(|text| text.to_cow().into_owned());
            assert_eq!(text.as_ref(), Some(value), "{version} {name} {field}");
        }
        assert_eq!(
            header.ext.iter().count(),
            ours.fields.len(),
            "{version} {name}"
        );
        assert_eq!(comparable(&ours.body), comparable(body), "{version} {name}");
    });
}

#[test]
fn answers_say_what_apaches_said() {
    for version in ["4.9.7", "5.5.0"] {
        let mut server = NameServer::default();
        for name in [
            "100-put-kv-config-ordertopic",
            "100-put-kv-config-ok",
            "100-put-kv-config-ok-bin",
            "101-get-kv-config-ok",
            "101-get-kv-config-absent-bin-r22",
            "219-get-kvlist-by-namespace-ok",
            "219-get-kvlist-by-namespace-absent-r22",
            "102-delete-kv-config-ok",
            "103-register-broker-master",
            "103-register-broker-slave",
            "103-register-broker-badcrc-r1",
            "105-get-routeinfo-by-topic-unknown-r17",
            "105-get-routeinfo-by-topic-nofield-r17",
            "205-wipe-write-perm-of-broker-ok",
            "205-wipe-write-perm-of-broker-unknown",
            "327-add-write-perm-of-broker-ok",
            "322-query-data-version-unknown",
            "224-get-topics-by-cluster-unknown",
            "311-get-unit-topic-list-ok",
            "216-delete-topic-in-namesrv-ok",
            "216-delete-topic-in-namesrv-unknown",
            "104-unregister-broker-slave",
            "104-unregister-broker-ok",
        ] {
            replay(&mut server, version, name);
        }
    }
}

#[test]
fn a_route_is_byte_for_byte_apaches() {
    let mut server = NameServer::default();
    ask(&mut server, "5.5.0", "103-register-broker-master");
    ask(&mut server, "5.5.0", "103-register-broker-slave");
    let name = "105-get-routeinfo-by-topic-twobrokers";
    let (ours, capture) = ask(&mut server, "5.5.0", name);
    with_frame(&capture.answer.unwrap(), |_, body| {
        assert_eq!(ours.body, body);
    });
}

#[test]
fn a_starting_broker_of_each_version_gets_its_template_routed() {
    for version in ["4.9.7", "5.5.0"] {
        let mut server = NameServer::default();
        let (answer, _) = ask(&mut server, version, "103-register-broker-start");
        assert_eq!(answer.code, 0, "{version}");
        replay(&mut server, version, "105-get-routeinfo-by-topic-tbw102");
        replay(
            &mut server,
            version,
            "106-get-broker-cluster-info-cluster-m",
        );
    }
}

#[test]
fn a_one_way_registration_after_a_change_is_applied() {
    let mut server = NameServer::default();
    ask(&mut server, "4.9.7", "103-register-broker-start");
    let (answer, _) = ask(&mut server, "4.9.7", "103-register-broker-oneway");
    assert_eq!(answer.code, 0);
    assert!(server.table.route("TopicTest").is_some());
}

//! Every captured frame decodes to its listed header and, where the bytes are determined by it,
//! encodes to the same bytes again.

use serde_json::{Map, Value};

use ringmq_protocol::frame::{Frame, HeaderKind};
use ringmq_protocol::header::{Head, Header, Language};

use crate::fixture::{Captured, exchanges};

#[test]
fn every_frame_decodes_to_its_listed_header() {
    let (mut listed, mut shortened) = (0, 0);
    for fixture in exchanges() {
        for captured in &fixture.frames {
            let frame = captured.frame();
            let header = decode(&frame, &fixture.name);
            if let Some(expected) = expected_header(captured, &frame) {
                compare(&header, &expected, &fixture.name);
                listed += 1;
            } else {
                shortened += 1;
            }
        }
    }
    assert!(listed > 1400, "only {listed} frames compared");
    assert!(
        shortened < 5,
        "{shortened} frames have no complete list of fields"
    );
}

#[test]
fn requests_and_responses_pair_up() {
    for fixture in exchanges() {
        let headers: Vec<_> = fixture
            .frames
            .iter()
            .map(|captured| decode(&captured.frame(), &fixture.name))
            .collect();
        let (request, responses) = headers.split_first().unwrap();
        assert!(!request.is_response(), "{}", fixture.name);
        assert_eq!(
            fixture.fact("code"),
            Some(request.code.to_string().as_str()),
            "{}",
            fixture.name
        );
        for response in responses {
            assert!(
                response.is_response() && response.opaque == request.opaque,
                "{}",
                fixture.name
            );
        }
    }
}

#[test]
fn headers_of_java_peers_encode_to_the_same_bytes() {
    let (mut same, mut other_order) = (0, 0);
    for fixture in exchanges() {
        for captured in &fixture.frames {
            let frame = captured.frame();
            let header = decode(&frame, &fixture.name);
            if frame.kind == HeaderKind::Json && header.language != Language::Java {
                // Go and C++ order the members in their own way.
                other_order += 1;
                continue;
            }
            let encoded = encode(&header, frame.body);
            assert_eq!(lossy(&encoded), lossy(&captured.bytes), "{}", fixture.name);
            assert_eq!(encoded, captured.bytes, "{}", fixture.name);
            same += 1;
        }
    }
    assert!(
        same > 1300 && other_order < 150,
        "{same} the same, {other_order} left out"
    );
}

fn decode<'a>(frame: &Frame<'a>, name: &str) -> Header<'a> {
    Header::decode(frame.kind, frame.header).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn encode(header: &Header<'_>, body: &[u8]) -> Vec<u8> {
    let remark = header.remark.map(|remark| remark.to_cow());
    let head = Head {
        code: header.code,
        language: header.language,
        version: header.version,
        opaque: header.opaque,
        flag: header.flag,
        remark: remark.as_deref(),
    };
    let mut out = Vec::new();
    head.encode_frame(header.kind, &mut out, body, |ext| {
        if header.ext.is_present() {
            ext.open();
        }
        for (name, value) in header.ext.iter() {
            ext.put(&name.to_cow(), value);
        }
    })
    .unwrap();
    out
}

/// What the file lists; for a JSON header that is listed shortened, what another parser reads.
fn expected_header(captured: &Captured, frame: &Frame<'_>) -> Option<Value> {
    let listed = captured.listed_header.as_deref()?;
    let json = &listed[listed.find('{')?..];
    // A newline behind the header is listed as an escape.
    let json = json.strip_suffix("\\n").unwrap_or(json);
    let parsed = serde_json::from_str(json).ok();
    match frame.kind {
        HeaderKind::Json => parsed.or_else(|| serde_json::from_slice(frame.header).ok()),
        HeaderKind::Binary => parsed,
    }
}

fn compare(header: &Header<'_>, expected: &Value, name: &str) {
    let number = |key: &str| expected.get(key).and_then(Value::as_i64).unwrap_or(0);
    assert_eq!(i64::from(header.code), number("code"), "{name}");
    assert_eq!(i64::from(header.version), number("version"), "{name}");
    assert_eq!(i64::from(header.opaque), number("opaque"), "{name}");
    assert_eq!(i64::from(header.flag), number("flag"), "{name}");
    assert_eq!(
        Some(header.language.name()),
        expected["language"].as_str(),
        "{name}"
    );
    let remark = header.remark.map(|remark| remark.to_cow().into_owned());
    assert_eq!(
        remark.as_deref(),
        expected.get("remark").and_then(Value::as_str),
        "{name}"
    );
    let none = Map::new();
    let fields = expected
        .get("extFields")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    assert_eq!(header.ext.iter().count(), fields.len(), "{name}");
    for (field, value) in fields {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let found = header
            .ext
            .get(field)
            .unwrap_or_else(|| panic!("{name}: no {field}"));
        assert_eq!(found.to_cow(), value, "{name}: {field}");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! How long it takes to decode the header of a send.
//!
//! A captured SEND_MESSAGE_V2 header (about 390 bytes of JSON with four properties) is decoded into
//! the typed request: code, opaque and all fourteen fields. The frame's body is not touched. The
//! same header goes through `serde_json`, once into a map and once into a borrowing struct, in the
//! same run. Expected on a small cloud core: JSON within 200 ns, ROCKETMQ within 80 ns.
//!
//! `cargo bench -p ringmq-protocol` prints all of them; nothing is written.

use std::borrow::Cow;
use std::collections::HashMap;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use serde::Deserialize;

use ringmq_protocol::command::send::SendRequest;
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::{Head, Header};

const CAPTURED: &str = include_str!("../tests/golden/4.9.7/310-send-message-v2-async.txt");

fn main() {
    divan::main();
}

/// From bytes to the typed request, in one pass: how a server reads what may be a send.
#[divan::bench(args = [HeaderKind::Json, HeaderKind::Binary], sample_count = 500, sample_size = 200)]
fn ringmq_request(bencher: Bencher<'_, '_>, kind: HeaderKind) {
    let bytes = header(kind);
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let mut request = SendRequest::default();
        let decoded = SendRequest::decode_header(kind, black_box(&bytes), &mut request);
        let (header, is_send) = decoded.expect("the header was captured");
        assert!(is_send);
        black_box((header.opaque, &request));
    });
}

/// From bytes to a header, and from its fields to the typed request: how all other requests are
/// read.
#[divan::bench(args = [HeaderKind::Json, HeaderKind::Binary], sample_count = 500, sample_size = 200)]
fn ringmq_request_in_two_passes(bencher: Bencher<'_, '_>, kind: HeaderKind) {
    let bytes = header(kind);
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let header = Header::decode(kind, black_box(&bytes)).expect("the header was captured");
        let request = SendRequest::decode(header.code, &header.ext);
        black_box((header.opaque, &request));
    });
}

/// The header alone; its fields are checked, but read by nobody.
#[divan::bench(args = [HeaderKind::Json, HeaderKind::Binary], sample_count = 500, sample_size = 200)]
fn ringmq_header(bencher: Bencher<'_, '_>, kind: HeaderKind) {
    let bytes = header(kind);
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let header = Header::decode(kind, black_box(&bytes)).expect("the header was captured");
        black_box(&header);
    });
}

/// The typed request, and the property string in the form that records store, in a reused buffer.
#[divan::bench(args = [HeaderKind::Json, HeaderKind::Binary], sample_count = 500, sample_size = 200)]
fn ringmq_request_and_properties(bencher: Bencher<'_, '_>, kind: HeaderKind) {
    let bytes = header(kind);
    let mut properties = Vec::with_capacity(1024);
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench_local(|| {
            let mut request = SendRequest::default();
            let decoded = SendRequest::decode_header(kind, black_box(&bytes), &mut request);
            assert!(decoded.is_ok());
            properties.clear();
            request.properties.append_to(&mut properties);
            black_box((&request, &properties));
        });
}

/// A response with its fields, into a reused buffer.
#[divan::bench(args = [HeaderKind::Json, HeaderKind::Binary], sample_count = 500, sample_size = 200)]
fn ringmq_encode_response(bencher: Bencher<'_, '_>, kind: HeaderKind) {
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        let encoded = Head::response(0, black_box(15)).encode(kind, &mut out, 0, |ext| {
            ext.put("msgId", "7F000001000049DF0000000000000316");
            ext.put("queueId", black_box(3));
            ext.put("queueOffset", black_box(1_234_567i64));
            ext.put("MSG_REGION", "DefaultRegion");
            ext.put("TRACE_ON", true);
        });
        black_box(encoded.is_ok())
    });
}

/// `serde_json` into owned maps.
#[divan::bench(sample_count = 500, sample_size = 200)]
fn serde_json_map(bencher: Bencher<'_, '_>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Owned {
        opaque: i32,
        ext_fields: HashMap<String, String>,
    }
    let bytes = header(HeaderKind::Json);
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let header: Owned = serde_json::from_slice(black_box(&bytes)).expect("captured");
        let queue_id: i32 = header.ext_fields["e"].parse().expect("captured");
        black_box((header.opaque, queue_id, &header.ext_fields));
    });
}

/// `serde_json` into a struct that borrows what it can.
#[divan::bench(sample_count = 500, sample_size = 200)]
fn serde_json_borrowed(bencher: Bencher<'_, '_>) {
    let bytes = header(HeaderKind::Json);
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let header: Borrowed<'_> = serde_json::from_slice(black_box(&bytes)).expect("captured");
        let numbers = [
            header.ext.d,
            header.ext.e,
            header.ext.f,
            header.ext.h,
            header.ext.j,
        ];
        let numbers = numbers.map(|number| number.parse::<i32>().expect("captured"));
        let born: i64 = header.ext.g.parse().expect("captured");
        black_box((header.opaque, numbers, born, &header.ext.b, &header.ext.i));
    });
}

#[derive(Deserialize)]
struct Borrowed<'a> {
    opaque: i32,
    #[serde(borrow, rename = "extFields")]
    ext: BorrowedFields<'a>,
}

#[derive(Deserialize)]
struct BorrowedFields<'a> {
    b: &'a str,
    d: &'a str,
    e: &'a str,
    f: &'a str,
    g: &'a str,
    h: &'a str,
    #[serde(borrow)]
    i: Cow<'a, str>,
    j: &'a str,
}

/// The captured header, in either serialisation.
fn header(kind: HeaderKind) -> Vec<u8> {
    let hex = CAPTURED
        .lines()
        .find_map(|line| line.strip_prefix("> "))
        .expect("a request");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    let frame: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let length = usize::from(frame[6]) << 8 | usize::from(frame[7]);
    let json = &frame[8..8 + length];
    if kind == HeaderKind::Json {
        return json.to_vec();
    }
    let decoded = Header::decode(HeaderKind::Json, json).expect("the header was captured");
    let head = Head::request(decoded.code, decoded.opaque);
    let mut out = Vec::new();
    head.encode_header(kind, &mut out, |ext| {
        decoded
            .ext
            .iter()
            .for_each(|(name, value)| ext.put(&name.to_cow(), value));
    });
    out
}

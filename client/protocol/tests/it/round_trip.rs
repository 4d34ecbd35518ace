//! What is encoded decodes to the same, for anything that can be encoded.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;

use ringmq_protocol::command::send::{BatchItem, BatchItems};
use ringmq_protocol::frame::{FrameError, HeaderKind, Split, split};
use ringmq_protocol::header::{Head, Header, Language};
use ringmq_protocol::limits::FRAME_BYTES_MAX;
use ringmq_protocol::message_id::{OffsetId, UniqueId};
use ringmq_protocol::properties::{self, Properties};
use ringmq_protocol::record::{RecordParts, RecordView, Records, Stamp};
use ringmq_protocol::tags::{java_hash, tags_code};

fn kind() -> impl Strategy<Value = HeaderKind> {
    prop_oneof![Just(HeaderKind::Json), Just(HeaderKind::Binary)]
}

fn host() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

/// A name or value of a property: anything without the two separators.
fn property_text() -> impl Strategy<Value = String> {
    "[^\u{1}\u{2}]{1,20}"
}

proptest! {
    #[test]
    fn frames_and_headers_read_back_in_both_serialisations(
        kind in kind(),
        (code, version) in (any::<i16>(), any::<i16>()),
        (opaque, flag) in (any::<i32>(), any::<i32>()),
        language in 0u8..14,
        remark in proptest::option::of(".{1,40}"),
        fields in vec((".{0,12}", ".{1,40}"), 0..40),
        body in vec(any::<u8>(), 0..200),
    ) {
        let head = Head {
            code: i32::from(code), language: Language::from_code(i64::from(language)),
            version: i32::from(version), opaque, flag, remark: remark.as_deref(),
        };
        let mut out = vec![0xAA; 5];
        head.encode_frame(kind, &mut out, &body, |ext| {
            for (name, value) in &fields {
                ext.put(name, value.as_str());
            }
        }).unwrap();
        let Ok(Split::Frame(frame)) = split(&out[5..], FRAME_BYTES_MAX) else { panic!() };
        prop_assert_eq!((frame.kind, frame.body, frame.total), (kind, &body[..], out.len() - 5));
        let header = Header::decode(kind, frame.header).unwrap();
        prop_assert_eq!(
            (header.code, header.language, header.version, header.opaque, header.flag),
            (head.code, head.language, head.version, head.opaque, head.flag)
        );
        prop_assert_eq!(header.remark.map(|text| text.to_cow().into_owned()), remark);
        let found: Vec<_> = header.ext.iter()
            .map(|(name, value)| (name.to_cow().into_owned(), value.to_cow().into_owned())).collect();
        prop_assert_eq!(&found, &fields);
        for (name, _) in &fields {
            let last = fields.iter().rfind(|(other, _)| other == name).unwrap();
            prop_assert_eq!(header.ext.get(name).unwrap().to_cow(), last.1.as_str());
        }
    }

    #[test]
    fn a_json_header_is_json_to_other_parsers_too(
        remark in ".{0,40}",
        fields in vec((".{0,12}", ".{0,40}"), 1..40),
    ) {
        let mut out = Vec::new();
        Head::response(-7, 3).with_remark(&remark).encode_header(HeaderKind::Json, &mut out, |ext| {
            for (name, value) in &fields {
                ext.put(name, value.as_str());
            }
        });
        let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(parsed["remark"].as_str(), Some(remark.as_str()));
        for (name, _) in &fields {
            let last = fields.iter().rfind(|(other, _)| other == name).unwrap();
            prop_assert_eq!(parsed["extFields"][name].as_str(), Some(last.1.as_str()));
        }
    }

    #[test]
    fn what_other_json_writers_escape_reads_the_same(name in ".{0,12}", value in "\\PC{0,40}|.{0,40}") {
        // Every character as a \u escape, as some writers do.
        let escaped: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let key = serde_json::to_string(&name).unwrap();
        let json = format!("{{\"extFields\":{{{key}:\"{escaped}\"}}}}");
        let header = Header::decode(HeaderKind::Json, json.as_bytes()).unwrap();
        prop_assert_eq!(header.ext.get(&name).unwrap().to_cow(), value);
    }

    #[test]
    fn every_cut_of_a_frame_is_incomplete_or_an_error(kind in kind(), body in vec(any::<u8>(), 0..50), limit in 8usize..200) {
        let mut out = Vec::new();
        Head::request(310, 1).encode_frame(kind, &mut out, &body, |ext| ext.put("a", "b")).unwrap();
        for len in 0..out.len() {
            match split(&out[..len], limit) {
                Ok(Split::Incomplete { needed }) => prop_assert!(needed > len && needed <= limit.max(8)),
                Err(FrameError::TooLarge { total, .. }) => prop_assert!(total == out.len() && total > limit),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn records_read_back(
        (topic, v2) in prop_oneof![("[a-zA-Z0-9_%|-]{1,127}", Just(false)), ("[a-zA-Z0-9_%|-]{128,255}", Just(true))],
        (queue_id, flag, sys_flag, reconsume_times) in any::<(i32, i32, i32, i32)>(),
        (born_timestamp, prepared_transaction_offset) in any::<(i64, i64)>(),
        (queue_offset, physical_offset, store_timestamp) in any::<(i64, i64, i64)>(),
        (born_host, store_host) in (host(), host()),
        body in vec(any::<u8>(), 0..300),
        pieces in vec(vec(any::<u8>(), 0..40), 0..4),
        after in vec(any::<u8>(), 0..20),
    ) {
        let properties: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        let parts = RecordParts {
            topic: &topic, queue_id, flag, sys_flag, born_timestamp, born_host, store_host,
            reconsume_times, prepared_transaction_offset, body: &body, properties: &properties,
        };
        prop_assert_eq!(parts.validate(), Ok(()));
        let stamp = Stamp { queue_offset, physical_offset, store_timestamp };
        let mut out = vec![0; parts.encoded_len()];
        prop_assert_eq!(parts.encode_into(&mut out, stamp), out.len());
        out.extend_from_slice(&after);
        let view = RecordView::parse(&out).unwrap();
        prop_assert_eq!(view.len() + after.len(), out.len());
        prop_assert_eq!((view.topic(), view.is_v2()), (topic.as_str(), v2));
        prop_assert_eq!((view.queue_id(), view.flag(), view.reconsume_times()), (queue_id, flag, reconsume_times));
        prop_assert_eq!(view.sys_flag() & !0x30, sys_flag & !0x30);
        prop_assert_eq!((view.born_timestamp(), view.prepared_transaction_offset()), (born_timestamp, prepared_transaction_offset));
        prop_assert_eq!((view.queue_offset(), view.physical_offset(), view.store_timestamp()), (queue_offset, physical_offset, store_timestamp));
        prop_assert_eq!((view.born_host(), view.store_host()), (born_host, store_host));
        prop_assert_eq!((view.body(), view.body_crc_matches()), (&body[..], true));
        prop_assert_eq!(view.properties().as_bytes(), pieces.concat());
        prop_assert_eq!(Records::new(view.as_bytes()).count(), 1);
    }

    #[test]
    fn properties_read_back_however_they_were_joined(
        pairs in vec((property_text(), property_text()), 0..12),
        closed in any::<bool>(),
    ) {
        let mut out = Vec::new();
        for (name, value) in &pairs {
            properties::append(&mut out, name, value).unwrap();
        }
        if !closed {
            out.pop();
        }
        let read = Properties::new(&out);
        let expected: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), expected);
        for (name, _) in &pairs {
            let last = pairs.iter().rfind(|(other, _)| other == name).unwrap();
            prop_assert_eq!(read.get_str(name), Some(last.1.as_str()));
        }
    }

    #[test]
    fn ids_read_back_in_either_case(host in host(), offset in any::<i64>(), unique in any::<(u16, u32, u32, u16)>()) {
        let id = OffsetId { host, offset };
        prop_assert_eq!(OffsetId::parse(&id.to_string()), Ok(id));
        let (process, loader, month_ms, counter) = unique;
        let id = UniqueId { ip: host.ip(), process, loader, month_ms, counter };
        prop_assert_eq!(UniqueId::parse(&id.to_string().to_lowercase()), Ok(id));
    }

    #[test]
    fn batches_read_back(items in vec((any::<i32>(), vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..60)), 0..8)) {
        let items: Vec<_> = items.iter()
            .map(|(flag, body, properties)| BatchItem { flag: *flag, body, properties }).collect();
        let mut body = Vec::new();
        for item in &items {
            let start = body.len();
            prop_assert!(item.encode(&mut body));
            prop_assert_eq!(body.len() - start, item.encoded_len());
        }
        let found: Vec<_> = BatchItems::new(&body).map(Result::unwrap).collect();
        prop_assert_eq!(found, items);
    }

    #[test]
    fn tag_codes_of_bytes_and_of_text_agree(tag in ".{0,30}") {
        prop_assert_eq!(tags_code(tag.as_bytes()), i64::from(java_hash(&tag)));
    }
}

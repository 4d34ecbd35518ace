//! What must hold for any bytes at all: nothing panics, and what decodes means the same when it is
//! encoded again. Run by `fuzz/` with coverage, and by a test on damaged captures.

use crate::command::heartbeat::HeartbeatData;
use crate::command::lock::LockRequest;
use crate::command::pull::PullRequest;
use crate::command::registration::RegisterBrokerBody;
use crate::command::route::{ClusterInfo, RouteRequest, TopicRouteData};
use crate::command::send::{BatchItems, SendRequest};
use crate::command::stats::TopicStats;
use crate::command::topic::{CreateTopic, SubscriptionGroupConfig};
use crate::frame::{self, HeaderKind, Split};
use crate::header::{Head, Header};
use crate::limits::{FRAME_BYTES_MAX, PROPERTIES_BYTES_MAX};
use crate::message_id::{OffsetId, UniqueId};
use crate::properties::{self, Properties};
use crate::record::{RecordParts, RecordView, Records, Stamp};

/// A stream is cut into frames until it ends or errs, and every header is decoded.
pub fn frame_decode(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        match frame::split(rest, FRAME_BYTES_MAX) {
            Ok(Split::Frame(frame)) => {
                assert_eq!(
                    frame.total,
                    frame::PREFIX_BYTES + frame.header.len() + frame.body.len()
                );
                header(frame.kind, frame.header);
                rest = &rest[frame.total..];
            }
            Ok(Split::Incomplete { needed }) => {
                assert!(needed > rest.len(), "{needed} bytes are needed and there");
                return;
            }
            Err(_) => return,
        }
    }
}

/// A JSON header; whatever another parser takes as one with plain fields, ours takes too.
pub fn header_json(bytes: &[u8]) {
    header(HeaderKind::Json, bytes);
}

/// A binary header.
pub fn header_rocketmq(bytes: &[u8]) {
    header(HeaderKind::Binary, bytes);
}

fn header(kind: HeaderKind, bytes: &[u8]) {
    let mut send = SendRequest::default();
    let in_one_pass = SendRequest::decode_header(kind, bytes, &mut send);
    let Ok(header) = Header::decode(kind, bytes) else {
        assert!(in_one_pass.is_err());
        return;
    };
    assert!(in_one_pass.is_ok());
    if in_one_pass.is_ok_and(|(_, is_send)| is_send) {
        assert_eq!(send, SendRequest::decode(header.code, &header.ext));
    }
    for code in [10, 310, header.code] {
        let send = SendRequest::decode(code, &header.ext);
        let _ = SendRequest::first_missing(code, &header.ext);
        let mut text = Vec::new();
        send.properties.append_to(&mut text);
        assert_eq!(text, send.properties.to_cow().as_bytes());
        assert!(text.len() <= send.properties.len_max());
    }
    let _ = (
        PullRequest::decode(&header.ext),
        RouteRequest::decode(&header.ext),
    );
    let _ = CreateTopic::decode(&header.ext);
    encode_again(&header);
}

fn encode_again(header: &Header<'_>) {
    let remark = header.remark.map(|remark| remark.to_cow());
    let (code, version, opaque, flag) = (header.code, header.version, header.opaque, header.flag);
    let head = Head {
        code,
        language: header.language,
        version,
        opaque,
        flag,
        remark: remark.as_deref(),
    };
    let mut out = Vec::new();
    head.encode_header(header.kind, &mut out, |ext| {
        header
            .ext
            .iter()
            .for_each(|(name, value)| ext.put(&name.to_cow(), value));
    });
    // A binary name that grows when its bytes are replaced may no longer fit its length.
    let fits = header
        .ext
        .iter()
        .all(|(name, _)| name.to_cow().len() <= i16::MAX as usize);
    let again = match Header::decode(header.kind, &out) {
        Ok(again) => again,
        Err(error) => panic!("{error} in what was encoded: {out:?}"),
    };
    assert_eq!(
        (again.code, again.version, again.opaque, again.flag),
        (code, version, opaque, flag)
    );
    assert_eq!(again.remark, header.remark);
    if fits {
        assert!(again.ext.iter().eq(header.ext.iter()), "fields differ");
    }
}

/// A body of records; each is encoded again from its fields.
pub fn record_view(bytes: &[u8]) {
    for record in Records::new(bytes) {
        let Ok(view) = record else { return };
        let _ = (view.tags_code(), view.unique_key(), view.keys().count());
        let id = view.offset_id();
        assert_eq!(
            OffsetId::parse(&id.to_string()).map(|id| id.offset),
            Ok(id.offset)
        );
        let properties = view.properties().as_bytes();
        let parts = RecordParts {
            topic: view.topic(),
            queue_id: view.queue_id(),
            flag: view.flag(),
            sys_flag: view.sys_flag(),
            born_timestamp: view.born_timestamp(),
            born_host: view.born_host(),
            store_host: view.store_host(),
            reconsume_times: view.reconsume_times(),
            prepared_transaction_offset: view.prepared_transaction_offset(),
            body: view.body(),
            properties: &[properties],
        };
        if parts.validate().is_err() {
            continue;
        }
        let stamp = Stamp {
            queue_offset: view.queue_offset(),
            physical_offset: view.physical_offset(),
            store_timestamp: view.store_timestamp(),
        };
        let mut out = vec![0; parts.encoded_len()];
        parts.encode_into(&mut out, stamp);
        let again = RecordView::parse(&out);
        let same =
            again.is_ok_and(|again| again.body_crc_matches() && again.topic() == view.topic());
        assert!(same, "a record did not survive: {bytes:?}");
    }
}

/// A property string; what is read is put together again.
pub fn message_properties(bytes: &[u8]) {
    let read = Properties::new(bytes);
    let mut again = Vec::new();
    for (name, value) in read.iter() {
        assert!(!name.is_empty() && !value.is_empty());
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            continue;
        };
        assert!(read.get(name).is_some());
        // A value may contain the byte that ends names; such a pair cannot be put.
        if properties::append(&mut again, name, value).is_ok() {
            assert_eq!(Properties::new(&again).get_str(name), Some(value));
        }
    }
    assert!(again.len() <= bytes.len() + 1 || bytes.len() > PROPERTIES_BYTES_MAX);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (OffsetId::parse(text), UniqueId::parse(text));
    }
}

/// A body, taken for each kind there is.
pub fn command_bodies(bytes: &[u8]) {
    let _ = HeartbeatData::parse(bytes).map(|data| HeartbeatData::parse(&data.to_json()));
    let _ =
        TopicRouteData::parse(bytes).map(|route| TopicRouteData::parse(&route.to_legacy_json()));
    let _ = ClusterInfo::parse(bytes);
    let _ = LockRequest::parse(bytes);
    let _ = SubscriptionGroupConfig::parse(bytes);
    let _ = TopicStats::parse(bytes);
    let _ = RegisterBrokerBody::parse(bytes, false, 409);
    let _ = RegisterBrokerBody::parse(bytes, true, 513);
    for item in BatchItems::new(bytes) {
        let _ = item.map(|item| item.encoded_len());
    }
}

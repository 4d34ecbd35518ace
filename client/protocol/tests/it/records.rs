//! Every captured record reads field by field as listed, and encodes to the same bytes.

use std::collections::BTreeSet;

use ringmq_protocol::code::{request, response};
use ringmq_protocol::header::Header;
use ringmq_protocol::message_id::{OffsetId, UniqueId};
use ringmq_protocol::record::{RecordParts, RecordView, Records, Stamp};
use ringmq_protocol::tags::tags_code;

use crate::fixture::{Fixture, exchanges, messages};

#[test]
fn every_record_reads_as_listed() {
    let mut records = 0;
    for fixture in messages() {
        let view = RecordView::parse(&fixture.frames[0].bytes).unwrap();
        assert_eq!(view.len(), fixture.frames[0].bytes.len());
        compare_fields(&view, &fixture);
        compare_properties(&view, &fixture);
        compare_computed(&view, &fixture);
        records += 1;
    }
    assert!(records > 60, "{records} records");
}

#[test]
fn every_record_encodes_to_the_same_bytes() {
    for fixture in messages() {
        let bytes = &fixture.frames[0].bytes;
        assert_eq!(
            &encode_again(&RecordView::parse(bytes).unwrap()),
            bytes,
            "{}",
            fixture.name
        );
    }
}

#[test]
fn every_body_of_records_is_walked_to_its_end() {
    let mut records = 0;
    for fixture in exchanges() {
        let code = Header::decode(
            fixture.frames[0].frame().kind,
            fixture.frames[0].frame().header,
        )
        .unwrap()
        .code;
        if !matches!(
            code,
            request::PULL_MESSAGE | request::LITE_PULL_MESSAGE | request::QUERY_MESSAGE
        ) {
            continue;
        }
        for captured in &fixture.frames[1..] {
            let frame = captured.frame();
            let header = Header::decode(frame.kind, frame.header).unwrap();
            if header.code != response::SUCCESS {
                assert!(frame.body.is_empty(), "{}", fixture.name);
                continue;
            }
            for record in Records::new(frame.body) {
                let record = record.unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
                assert!(record.body_crc_matches(), "{}", fixture.name);
                assert_eq!(encode_again(&record), record.as_bytes(), "{}", fixture.name);
                records += 1;
            }
        }
    }
    assert!(records > 100, "{records} records");
}

fn encode_again(view: &RecordView<'_>) -> Vec<u8> {
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
        properties: &[view.properties().as_bytes()],
    };
    parts.validate().unwrap();
    let mut out = vec![0; parts.encoded_len()];
    let stamp = Stamp {
        queue_offset: view.queue_offset(),
        physical_offset: view.physical_offset(),
        store_timestamp: view.store_timestamp(),
    };
    parts.encode_into(&mut out, stamp);
    out
}

fn compare_fields(view: &RecordView<'_>, fixture: &Fixture) {
    // `# NAME: offset value`; sysFlag and magic say more behind the value.
    let field = |name: &str| {
        let fact = fixture
            .fact(name)
            .unwrap_or_else(|| panic!("{}: no {name}", fixture.name));
        fact.split_once(' ')
            .map_or("", |(_, value)| value)
            .to_owned()
    };
    let first = |name: &str| field(name).split(' ').next().unwrap_or_default().to_owned();
    let check =
        |name: &str, value: String| assert_eq!(first(name), value, "{}: {name}", fixture.name);
    check("TOTALSIZE", view.len().to_string());
    check("BODYCRC", view.body_crc().to_string());
    check("QUEUEID", view.queue_id().to_string());
    check("FLAG", view.flag().to_string());
    check("QUEUEOFFSET", view.queue_offset().to_string());
    check("PHYSICALOFFSET", view.physical_offset().to_string());
    check("SYSFLAG", view.sys_flag().to_string());
    check("BORNTIMESTAMP", view.born_timestamp().to_string());
    check("BORNHOST", view.born_host().to_string());
    check("STORETIMESTAMP", view.store_timestamp().to_string());
    check("STOREHOST", view.store_host().to_string());
    check("RECONSUMETIMES", view.reconsume_times().to_string());
    check(
        "PREPAREDTRANSACTIONOFFSET",
        view.prepared_transaction_offset().to_string(),
    );
    check("BODYLEN", view.body().len().to_string());
    check("TOPICLEN", view.topic().len().to_string());
    check("PROPLEN", view.properties().as_bytes().len().to_string());
    assert_eq!(field("TOPIC"), view.topic(), "{}", fixture.name);
    assert_eq!(
        field("MAGIC").contains("V2"),
        view.is_v2(),
        "{}",
        fixture.name
    );
}

fn compare_properties(view: &RecordView<'_>, fixture: &Fixture) {
    let mut listed = 0;
    for (key, value) in &fixture.facts {
        if let Some(name) = key.strip_prefix("property ") {
            if value.is_empty() {
                // Listed as it stands; readers drop pairs without a value.
                assert_eq!(
                    view.properties().get(name),
                    None,
                    "{}: {name}",
                    fixture.name
                );
                continue;
            }
            assert_eq!(
                view.properties().get_str(name),
                Some(value.as_str()),
                "{}: {name}",
                fixture.name
            );
            listed += 1;
        }
    }
    // Of repeated names the last one is listed.
    let names: BTreeSet<_> = view.properties().iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), listed, "{}", fixture.name);
}

fn compare_computed(view: &RecordView<'_>, fixture: &Fixture) {
    let tag_hash = fixture
        .fact("computed tag hash")
        .map(|fact| fact.parse::<i64>().unwrap());
    if let Some(tag_hash) = tag_hash {
        assert_eq!(view.tags_code(), tag_hash, "{}", fixture.name);
    }
    let tags = view.properties().get("TAGS").unwrap_or_default();
    assert_eq!(view.tags_code(), tags_code(tags), "{}", fixture.name);
    if let Some(id) = fixture.fact("computed offset message id") {
        assert_eq!(view.offset_id().to_string(), id, "{}", fixture.name);
        assert_eq!(
            OffsetId::parse(id),
            Ok(view.offset_id()),
            "{}",
            fixture.name
        );
    }
    if fixture
        .fact("computed body CRC")
        .is_some_and(|fact| fact.contains("equals BODYCRC"))
    {
        assert!(view.body_crc_matches(), "{}", fixture.name);
    }
    if let (Some(parts), Some(key)) = (fixture.fact("unique id parts"), view.unique_key()) {
        let id = UniqueId::parse(key).unwrap();
        let ours = format!(
            "ip {} pid {} class-loader hash {:08x} time offset ms {} counter {}",
            id.ip, id.process, id.loader, id.month_ms, id.counter
        );
        assert_eq!(ours, parts, "{}", fixture.name);
        assert_eq!(id.to_string(), key.to_uppercase(), "{}", fixture.name);
    }
}

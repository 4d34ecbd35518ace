use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

const FIELDS: &[(&str, &str)] = &[
    ("brokerName", "broker-x"),
    ("brokerAddr", "127.0.0.1:18999"),
    ("clusterName", "DefaultCluster"),
    ("haServerAddr", "127.0.0.1:19000"),
    ("brokerId", "0"),
];

fn parse(
    more: &[(&str, &str)],
    version: i32,
    body: &[u8],
) -> Result<Registration, RegistrationError> {
    let all: Vec<_> = more.iter().chain(FIELDS).copied().collect();
    let find = |name: &str| {
        let found = all.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Registration::parse(&find, version, body)
}

fn block(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = i32::try_from(bytes.len()).unwrap();
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressed(topics: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    block(&mut out, br#"{"counter":3,"stateVersion":0,"timestamp":9}"#);
    out.extend_from_slice(&i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        block(&mut out, topic.as_bytes());
    }
    block(&mut out, b"[]");
    // The section that 5.x senders append.
    out.extend_from_slice(&0i32.to_be_bytes());
    out
}

const IS_COMPRESSED: &[(&str, &str)] = &[("compressed", "true")];

#[test]
fn a_5_5_0_body_with_members_we_do_not_need_is_read() {
    let body = br#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":1795159567221},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":1},"topicConfigTable":{"TBW102":{"attributes":{},"order":false,"perm":7,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"TBW102","topicSysFlag":0,"writeQueueNums":8}},"topicQueueMappingDetailMap":{"S":{"hostedQueues":{0:[{"gen":0}],1:[]}}},"topicQueueMappingInfoMap":{}}}"#;
    let registration = parse(&[("enableActingMaster", "false")], 513, body).unwrap();
    assert_eq!(registration.data_version.timestamp, 1_795_159_567_221);
    assert_eq!(registration.enable_acting_master, Some(false));
    let template = registration.topics["TBW102"];
    assert_eq!((template.perm.0, template.write_queue_nums), (7, 8));
}

#[test]
fn a_body_of_a_very_old_broker_is_the_topic_table_alone() {
    let body = br#"{"dataVersion":{"counter":1,"timestamp":5},"topicConfigTable":{"T":{"topicName":"T","perm":6,"readQueueNums":4,"writeQueueNums":4}}}"#;
    let registration = parse(&[], 36, body).unwrap();
    assert_eq!(registration.topics.len(), 1);
    assert!(parse(&[], 37, body).unwrap().topics.is_empty());
}

#[test]
fn a_wrong_checksum_is_refused_and_zero_is_not_checked() {
    let body = b"{}";
    assert_eq!(
        parse(&[("bodyCrc32", "12345")], 513, body),
        Err(RegistrationError::Crc)
    );
    let right = body_crc(body).to_string();
    assert!(parse(&[("bodyCrc32", &right)], 513, body).is_ok());
    assert!(parse(&[("bodyCrc32", "0")], 513, body).is_ok());
}

#[test]
fn missing_and_overlong_fields_are_named() {
    let find = |_: &str| None;
    assert_eq!(
        Registration::parse(&find, 513, b""),
        Err(RegistrationError::Field("clusterName"))
    );
    let long = "x".repeat(2000);
    assert_eq!(
        parse(&[("brokerName", &long)], 513, b""),
        Err(RegistrationError::Field("brokerName"))
    );
    assert_eq!(
        parse(&[("brokerId", "x")], 513, b""),
        Err(RegistrationError::Field("brokerId"))
    );
}

#[test]
fn a_compressed_body_is_read() {
    let body = deflate(&compressed(&[
        "T 4 8 6 SINGLE_TAG",
        "U 1 1 7 SINGLE_TAG {\"message.type\":\"FIFO NOT\"}",
    ]));
    let registration = parse(IS_COMPRESSED, 513, &body).unwrap();
    assert_eq!(registration.data_version.counter, 3);
    let topic = registration.topics["T"];
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums), (4, 8));
    assert_eq!(registration.topics["U"].perm, Permission(7));
}

#[test]
fn compressed_bodies_that_lie_are_refused() {
    let mut announces = Vec::new();
    block(&mut announces, b"{}");
    announces.extend_from_slice(&i32::MAX.to_be_bytes());
    let mut negative = Vec::new();
    negative.extend_from_slice(&(-1i32).to_be_bytes());
    let whole = compressed(&["T 4 8 6 SINGLE_TAG"]);
    for inflated in [
        announces,
        negative,
        whole[..whole.len() - 12].to_vec(),
        compressed(&["T 4"]),
        compressed(&["T a b c"]),
        compressed(&["T$ 4 4 6 SINGLE_TAG"]),
    ] {
        let result = parse(IS_COMPRESSED, 513, &deflate(&inflated));
        assert!(
            matches!(result, Err(RegistrationError::Body(_))),
            "{result:?}"
        );
    }
    let cut = deflate(&whole);
    assert!(parse(IS_COMPRESSED, 513, &cut[..cut.len() - 8]).is_err());
    assert!(parse(IS_COMPRESSED, 513, b"no zlib at all").is_err());
    assert!(parse(IS_COMPRESSED, 513, b"").is_err());
}

#[test]
fn a_bomb_is_not_inflated() {
    let bomb = deflate(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    assert_eq!(
        parse(IS_COMPRESSED, 513, &bomb),
        Err(RegistrationError::Inflation)
    );
}

#[test]
fn topic_names_that_no_client_could_use_are_refused() {
    let body =
        br#"{"topicConfigSerializeWrapper":{"topicConfigTable":{"a b":{"topicName":"a b"}}}}"#;
    let error = parse(&[], 513, body).unwrap_err().to_string();
    assert!(error.contains("topic name a b is not allowed"), "{error}");
}

#[test]
fn a_compressed_body_of_5_x_ends_with_topic_mappings() {
    let mut inflated = compressed(&["T 4 4 6 SINGLE_TAG"]);
    inflated.truncate(inflated.len() - 4);
    inflated.extend_from_slice(&1i32.to_be_bytes());
    let mapping =
        br#"{"bname":"broker-x","currIdMap":{0:3},"epoch":5,"topic":"T","totalQueues":1}"#;
    block(&mut inflated, mapping);
    let registration = parse(IS_COMPRESSED, 513, &deflate(&inflated)).unwrap();
    assert_eq!(registration.mappings["T"].curr_id_map[&0], 3);
    // Senders of 4.x end before them.
    let mut old = compressed(&["T 4 4 6 SINGLE_TAG"]);
    old.truncate(old.len() - 4);
    let registration = parse(IS_COMPRESSED, 407, &deflate(&old)).unwrap();
    assert!(registration.mappings.is_empty() && registration.topics.len() == 1);
}

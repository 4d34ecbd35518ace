//! What brokers tell name servers: 103, 104, 322, 904, 216, 217.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::topic::TopicConfig;
use super::{CommandError, from_json, json_body, lenient, put_json};
use crate::checksum::body_crc;
use crate::header::version;
use crate::limits::INFLATED_BYTES_MAX;

fields! {
    /// 103: a broker registers, or repeats that it is there.
    pub struct RegisterBroker<'a> {
        /// Broker name.
        required "brokerName" => broker_name: Cow<'a, str>,
        /// Address that clients connect to.
        required "brokerAddr" => broker_addr: Cow<'a, str>,
        /// Cluster.
        required "clusterName" => cluster_name: Cow<'a, str>,
        /// Address that slaves connect to.
        required "haServerAddr" => ha_server_addr: Cow<'a, str>,
        /// 0 is the master.
        required "brokerId" => broker_id: i64,
        /// How long the broker counts as alive without another word, in milliseconds.
        "heartbeatTimeoutMillis" => heartbeat_timeout_ms: Option<i64>,
        /// A slave may stand in for the master (5.x).
        "enableActingMaster" => enable_acting_master: Option<bool>,
        /// The body is compressed.
        "compressed" => compressed: bool,
        /// Checksum of the body as sent; 0 is none.
        "bodyCrc32" => body_crc: i32,
        /// Zone of the broker.
        "__ZONE_NAME" => zone_name: Option<Cow<'a, str>>,
    }
}

impl RegisterBroker<'_> {
    /// Whether `body` is the one the checksum was taken of; a mismatch is answered with code 1.
    pub fn body_matches(&self, body: &[u8]) -> bool {
        self.body_crc == 0 || self.body_crc.cast_unsigned() == body_crc(body)
    }
}

fields! {
    /// Answer to 103; the body is a [`KvTable`](super::kv::KvTable) of ordered topics, if any.
    pub struct RegisterBrokerResponse<'a> {
        /// Where a slave finds its master's log.
        "haServerAddr" => ha_server_addr: Option<Cow<'a, str>>,
        /// Where a slave finds its master.
        "masterAddr" => master_addr: Option<Cow<'a, str>>,
    }
}

/// Body of 103.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Addresses of filter servers.
    #[serde(deserialize_with = "lenient::or_default")]
    pub filter_server_list: Vec<String>,
    /// The broker's topics.
    #[serde(deserialize_with = "lenient::or_default")]
    pub topic_config_serialize_wrapper: TopicConfigTable,
}

/// Topics of a broker and their version; alone, the answer to 21.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigTable {
    /// Changes with every change of a topic.
    #[serde(deserialize_with = "lenient::or_default")]
    pub data_version: DataVersion,
    /// Version of the queue mappings (5.x); kept as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_data_version: Option<DataVersion>,
    /// Topics by name.
    #[serde(deserialize_with = "lenient::or_default")]
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

/// When and how often something changed. Two are equal if all their parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Changes so far.
    #[serde(deserialize_with = "lenient::number")]
    pub counter: i64,
    /// Term of the master (5.x); absent is 0.
    #[serde(
        deserialize_with = "lenient::some_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub state_version: Option<i64>,
    /// Milliseconds of the last change.
    #[serde(deserialize_with = "lenient::number")]
    pub timestamp: i64,
}

impl DataVersion {
    /// Whether both name the same state; an absent `state_version` is 0.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |v: &Self| (v.state_version.unwrap_or(0), v.timestamp, v.counter);
        key(self) == key(other)
    }
}

impl RegisterBrokerBody {
    /// Reads the body of a registration, `compressed` or not, from a sender with `sender_version`.
    /// Below 3.0.11 the body is the table of topics alone.
    pub fn parse(body: &[u8], compressed: bool, sender_version: i32) -> Result<Self, CommandError> {
        if compressed {
            return Inflated::parse(&inflate(body, INFLATED_BYTES_MAX)?);
        }
        if sender_version < version::V3_0_11 {
            let topic_config_serialize_wrapper = from_json("table of topics", body)?;
            return Ok(Self {
                topic_config_serialize_wrapper,
                ..Self::default()
            });
        }
        from_json("registration", body)
    }

    /// The body as JSON; new code never sends the compressed form.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_json(&mut out, self);
        out
    }
}

/// Inflates a zlib stream to at most `limit` bytes, growing with what really comes out.
fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, CommandError> {
    let mut out = Vec::new();
    let mut stream = flate2::read::ZlibDecoder::new(body).take(limit as u64 + 1);
    match stream.read_to_end(&mut out) {
        Ok(len) if len <= limit => Ok(out),
        _ => Err(CommandError::Compressed { limit }),
    }
}

/// What a compressed registration contains:
///
/// ```text
/// | length 4, data version | topics 4 | length 4, topic | ... | length 4, filter servers | ...
/// ```
///
/// What 5.x appends about queue mappings is not read.
struct Inflated<'a> {
    rest: &'a [u8],
}

impl<'a> Inflated<'a> {
    fn parse(inflated: &'a [u8]) -> Result<RegisterBrokerBody, CommandError> {
        let mut this = Self { rest: inflated };
        let mut body = RegisterBrokerBody::default();
        let table = &mut body.topic_config_serialize_wrapper;
        table.data_version = from_json("data version", this.sized("data version")?)?;
        for _ in 0..this.length("topic count")? {
            let topic = topic_from_text(this.sized("topic")?);
            let topic = topic.ok_or(CommandError::Registration { part: "topic" })?;
            table
                .topic_config_table
                .insert(topic.topic_name.clone(), topic);
        }
        body.filter_server_list =
            serde_json::from_slice(this.sized("filter servers")?).map_err(|_| {
                CommandError::Registration {
                    part: "filter servers",
                }
            })?;
        Ok(body)
    }

    fn length(&mut self, part: &'static str) -> Result<usize, CommandError> {
        let malformed = CommandError::Registration { part };
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(malformed);
        };
        self.rest = rest;
        usize::try_from(i32::from_be_bytes(*length)).map_err(|_| malformed)
    }

    fn sized(&mut self, part: &'static str) -> Result<&'a [u8], CommandError> {
        let length = self.length(part)?;
        let malformed = CommandError::Registration { part };
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// `name readQueueNums writeQueueNums perm topicFilterType [attributes]`.
fn topic_from_text(text: &[u8]) -> Option<TopicConfig> {
    let mut words = std::str::from_utf8(text).ok()?.splitn(6, ' ');
    let topic_name = words.next()?.to_owned();
    let mut number = || words.next()?.parse().ok();
    let (read_queue_nums, write_queue_nums, perm) = (number()?, number()?, number()?);
    let topic_filter_type = words.next()?.to_owned();
    let attributes = words
        .next()
        .and_then(|json| serde_json::from_str(json).ok());
    Some(TopicConfig {
        topic_name,
        read_queue_nums,
        write_queue_nums,
        perm,
        topic_filter_type,
        attributes,
        ..TopicConfig::default()
    })
}

fields! {
    /// 104 (a broker leaves) and 322 (did its topics change; the body is a [`DataVersion`]).
    pub struct BrokerIdentity<'a> {
        /// Broker name.
        required "brokerName" => broker_name: Cow<'a, str>,
        /// Address that clients connect to.
        required "brokerAddr" => broker_addr: Cow<'a, str>,
        /// Cluster.
        required "clusterName" => cluster_name: Cow<'a, str>,
        /// 0 is the master.
        required "brokerId" => broker_id: i64,
    }
}

fields! {
    /// Answer to 322; the body is the [`DataVersion`] known so far, if any.
    pub struct QueryDataVersionResponse {
        /// Whether the broker should register.
        required "changed" => changed: bool,
    }
}

fields! {
    /// 904: a broker is still there (5.x).
    pub struct BrokerHeartbeat<'a> {
        /// Cluster.
        required "clusterName" => cluster_name: Cow<'a, str>,
        /// Address that clients connect to.
        required "brokerAddr" => broker_addr: Cow<'a, str>,
        /// Broker name.
        required "brokerName" => broker_name: Cow<'a, str>,
        /// 0 is the master.
        "brokerId" => broker_id: Option<i64>,
        /// How long the broker counts as alive without another word, in milliseconds.
        "heartbeatTimeoutMills" => heartbeat_timeout_ms: Option<i64>,
    }
}

fields! {
    /// 216 (delete a topic's routes) and 217 (add them; the body is a route).
    pub struct TopicInNamesrv<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Only at brokers of this cluster (5.x).
        "clusterName" => cluster_name: Option<Cow<'a, str>>,
    }
}

json_body! {
    TopicConfigTable => "table of topics",
    DataVersion => "data version",
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sized(out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    fn compressed(inflated: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(inflated).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated() -> Vec<u8> {
        let mut out = Vec::new();
        sized(&mut out, r#"{"counter":3,"stateVersion":1,"timestamp":5}"#);
        out.extend_from_slice(&2u32.to_be_bytes());
        sized(&mut out, "TopicA 4 8 6 SINGLE_TAG");
        sized(
            &mut out,
            r#"TopicB 1 1 4 SINGLE_TAG {"message.type":"FIFO"}"#,
        );
        sized(&mut out, r#"["127.0.0.1:1"]"#);
        out.extend_from_slice(&0u32.to_be_bytes());
        out
    }

    #[test]
    fn a_compressed_registration_is_read() {
        let body = RegisterBrokerBody::parse(&compressed(&inflated()), true, 513).unwrap();
        let table = &body.topic_config_serialize_wrapper;
        assert_eq!(table.data_version.counter, 3);
        let topic = &table.topic_config_table["TopicA"];
        assert_eq!(
            (topic.read_queue_nums, topic.write_queue_nums, topic.perm),
            (4, 8, 6)
        );
        let attributes = table.topic_config_table["TopicB"]
            .attributes
            .as_ref()
            .unwrap();
        assert_eq!(attributes["message.type"], "FIFO");
        assert_eq!(body.filter_server_list, ["127.0.0.1:1"]);
    }

    #[test]
    fn damage_and_bombs_are_typed_errors() {
        let whole = inflated();
        for len in 0..whole.len() - 4 {
            assert!(Inflated::parse(&whole[..len]).is_err(), "cut at {len}");
        }
        assert!(RegisterBrokerBody::parse(b"no zlib", true, 513).is_err());
        let bomb = compressed(&vec![0; 100_000]);
        assert_eq!(
            inflate(&bomb, 99_999),
            Err(CommandError::Compressed { limit: 99_999 })
        );
        assert_eq!(inflate(&bomb, 100_000).unwrap().len(), 100_000);
        let mut huge = Vec::new();
        sized(&mut huge, "{}");
        huge.extend_from_slice(&i32::MAX.to_be_bytes());
        assert!(Inflated::parse(&huge).is_err());
    }

    #[test]
    fn old_brokers_send_the_table_alone() {
        let table = br#"{"dataVersion":{"counter":1,"timestamp":2},"topicConfigTable":{"T":{"topicName":"T","perm":6}}}"#;
        let body = RegisterBrokerBody::parse(table, false, 28).unwrap();
        assert_eq!(
            body.topic_config_serialize_wrapper.topic_config_table["T"].perm,
            6
        );
    }

    #[test]
    fn versions_with_and_without_a_term_compare() {
        let old = DataVersion {
            counter: 1,
            state_version: None,
            timestamp: 2,
        };
        assert!(old.is_same(&DataVersion {
            state_version: Some(0),
            ..old
        }));
        assert!(!old.is_same(&DataVersion {
            state_version: Some(1),
            ..old
        }));
    }
}

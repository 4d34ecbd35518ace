//! What a broker sends to register (103, name server page 2): header fields and a body, plain JSON
//! or a zlib stream of its own layout. The bytes come from anyone: inflation is bounded, counts are
//! checked against the bytes that are there before anything is allocated for them.

use std::collections::BTreeMap;

use flate2::{Decompress, FlushDecompress, Status};
use ringmq_protocol::checksum::body_crc;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::relaxed_json::quote_numeric_keys;
use super::routing_table::{BrokerKey, QueueData};
use super::topic_mapping::TopicMapping;
use crate::broker::{Permission, TopicConfig, names};
use crate::data_version::DataVersion;
use crate::limits::{
    FILTER_SERVERS_MAX, NAME_SERVER_NAME_BYTES_MAX, REGISTRATION_INFLATED_BYTES_MAX,
    REGISTRATION_INFLATION_RATIO_MAX,
};

/// Senders below this version send the topic table alone (V3_0_11).
const VERSION_WITH_BODY: i32 = 37;

/// A broker as it presents itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// `clusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub broker_name: String,
    /// `brokerAddr`: `ip:port` that clients connect to.
    pub address: String,
    /// `brokerId`: 0 is the master.
    pub broker_id: i64,
    /// `haServerAddr`.
    pub ha_server_address: String,
    /// `heartbeatTimeoutMillis`, when sent.
    pub heartbeat_timeout_ms: Option<u64>,
    /// `enableActingMaster`; absent marks a 4.x broker.
    pub enable_acting_master: Option<bool>,
    /// `__ZONE_NAME`.
    pub zone: Option<String>,
    /// Version of its topics.
    pub data_version: DataVersion,
    /// Its topics by name.
    pub topics: BTreeMap<String, QueueData>,
    /// Its part of static topics (5.x), by topic.
    pub mappings: BTreeMap<String, TopicMapping>,
    /// A 3.x feature: carried.
    pub filter_servers: Vec<String>,
}

/// Why a registration cannot be used (1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A required header field is missing or too long.
    #[error("register broker failed: field {0} is missing, too long or no number")]
    Field(&'static str),
    /// `bodyCrc32` and the body differ.
    #[error("crc32 not match")]
    Crc,
    /// The body is not what it should be.
    #[error("register broker failed: {0}")]
    Body(String),
    /// The compressed body inflates to more than is accepted.
    #[error(
        "register broker failed: the body inflates to more than {REGISTRATION_INFLATED_BYTES_MAX} bytes or {REGISTRATION_INFLATION_RATIO_MAX} times its size"
    )]
    Inflation,
}

/// Looks a header field up by name.
pub type Fields<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Registration {
    /// Reads a registration. `version` is the sender's.
    pub fn parse(field: Fields<'_>, version: i32, body: &[u8]) -> Result<Self, RegistrationError> {
        let mut registration = Self::from_fields(field)?;
        check_crc(field, body)?;
        if field("compressed").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            registration.read_compressed(&inflate(body)?)?;
        } else if !body.is_empty() {
            registration.read_json(body, version)?;
        }
        registration.check_content()?;
        Ok(registration)
    }

    /// Its place in the table of living brokers.
    pub fn key(&self) -> BrokerKey {
        BrokerKey {
            cluster: self.cluster.clone(),
            address: self.address.clone(),
        }
    }

    fn from_fields(field: Fields<'_>) -> Result<Self, RegistrationError> {
        Ok(Self {
            cluster: required(field, "clusterName")?,
            broker_name: required(field, "brokerName")?,
            address: required(field, "brokerAddr")?,
            broker_id: required(field, "brokerId")?
                .parse()
                .map_err(|_| RegistrationError::Field("brokerId"))?,
            ha_server_address: optional(field, "haServerAddr")?.unwrap_or_default(),
            heartbeat_timeout_ms: optional(field, "heartbeatTimeoutMillis")?
                .and_then(|text| text.parse().ok()),
            enable_acting_master: optional(field, "enableActingMaster")?
                .map(|text| text.eq_ignore_ascii_case("true")),
            zone: optional(field, "__ZONE_NAME")?,
            ..Self::default()
        })
    }

    fn read_json(&mut self, body: &[u8], version: i32) -> Result<(), RegistrationError> {
        let body = if version < VERSION_WITH_BODY {
            Body {
                topic_config_serialize_wrapper: Some(parse_json(body)?),
                filter_server_list: None,
            }
        } else {
            parse_json::<Body>(body)?
        };
        let wrapper = body.topic_config_serialize_wrapper.unwrap_or_default();
        self.data_version = wrapper.data_version.unwrap_or_default();
        self.filter_servers = body.filter_server_list.unwrap_or_default();
        for (name, config) in wrapper.topic_config_table.unwrap_or_default() {
            self.topics.insert(name, QueueData::of(&config));
        }
        self.mappings = wrapper.topic_queue_mapping_info_map.unwrap_or_default();
        Ok(())
    }

    /// The inflated layout: length and DataVersion JSON; topic count; per topic length and text;
    /// length and filter server JSON; from 5.x also the number of topic mappings and each one's length
    /// and JSON.
    fn read_compressed(&mut self, bytes: &[u8]) -> Result<(), RegistrationError> {
        let mut reader = Reader { bytes };
        self.data_version = parse_json(reader.block()?)?;
        let count = reader.int()?;
        if count > reader.bytes.len() / size_of::<u32>() {
            return Err(malformed("it announces more topics than it has bytes"));
        }
        for _ in 0..count {
            let text = std::str::from_utf8(reader.block()?).map_err(|_| malformed("no UTF-8"))?;
            let (name, data) = topic_of_text(text)?;
            self.topics.insert(name.to_owned(), data);
        }
        self.filter_servers = parse_json(reader.block()?)?;
        if reader.bytes.is_empty() {
            return Ok(());
        }
        let count = reader.int()?;
        if count > reader.bytes.len() / size_of::<u32>() {
            return Err(malformed("it announces more mappings than it has bytes"));
        }
        for _ in 0..count {
            let mapping: TopicMapping = parse_json(reader.block()?)?;
            let topic = mapping.topic.clone().unwrap_or_default();
            self.mappings.insert(topic, mapping);
        }
        Ok(())
    }

    /// Names that no broker may have are refused whole: a table with them could not be answered.
    fn check_content(&self) -> Result<(), RegistrationError> {
        if self.filter_servers.len() > FILTER_SERVERS_MAX {
            return Err(malformed("it has too many filter servers"));
        }
        let is_long = |name: &String| name.len() > NAME_SERVER_NAME_BYTES_MAX;
        if self.filter_servers.iter().any(is_long) {
            return Err(malformed("a name in it is too long"));
        }
        if !self.mappings.values().all(TopicMapping::is_acceptable) {
            return Err(malformed("a topic mapping in it is too large"));
        }
        let is_bad = |name: &&String| names::validate_topic(name).is_err();
        let mut all = self.topics.keys().chain(self.mappings.keys());
        if let Some(bad) = all.find(is_bad) {
            let bad: String = bad.chars().take(100).collect();
            return Err(malformed(&format!("topic name {bad} is not allowed")));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    topic_config_serialize_wrapper: Option<Wrapper>,
    #[serde(default)]
    filter_server_list: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapper {
    #[serde(default)]
    data_version: Option<DataVersion>,
    #[serde(default)]
    topic_config_table: Option<BTreeMap<String, TopicConfig>>,
    #[serde(default)]
    topic_queue_mapping_info_map: Option<BTreeMap<String, TopicMapping>>,
}

/// JSON, or fastjson's variant of it.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RegistrationError> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("no UTF-8"))?;
    serde_json::from_str(&quote_numeric_keys(text))
        .map_err(|error| RegistrationError::Body(error.to_string()))
}

fn required(field: Fields<'_>, name: &'static str) -> Result<String, RegistrationError> {
    optional(field, name)?
        .filter(|value| !value.is_empty())
        .ok_or(RegistrationError::Field(name))
}

fn optional(field: Fields<'_>, name: &'static str) -> Result<Option<String>, RegistrationError> {
    match field(name) {
        Some(value) if value.len() > NAME_SERVER_NAME_BYTES_MAX => {
            Err(RegistrationError::Field(name))
        }
        value => Ok(value),
    }
}

/// 0 and absent mean: do not check.
fn check_crc(field: Fields<'_>, body: &[u8]) -> Result<(), RegistrationError> {
    let announced = field("bodyCrc32").and_then(|text| text.parse::<u32>().ok());
    match announced {
        None | Some(0) => Ok(()),
        Some(crc) if crc == body_crc(body) => Ok(()),
        Some(_) => Err(RegistrationError::Crc),
    }
}

/// Inflates within both bounds; output grows with what has really come out.
fn inflate(body: &[u8]) -> Result<Vec<u8>, RegistrationError> {
    let bound = body
        .len()
        .saturating_mul(REGISTRATION_INFLATION_RATIO_MAX)
        .min(REGISTRATION_INFLATED_BYTES_MAX);
    let mut inflater = Decompress::new(true);
    let mut out = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let (taken, given) = (inflater.total_in(), inflater.total_out());
        let rest = &body[usize::try_from(taken).unwrap_or(body.len())..];
        let status = inflater
            .decompress(rest, &mut chunk, FlushDecompress::None)
            .map_err(|error| RegistrationError::Body(error.to_string()))?;
        let produced = usize::try_from(inflater.total_out() - given).unwrap_or(0);
        if out.len() + produced > bound {
            return Err(RegistrationError::Inflation);
        }
        out.extend_from_slice(&chunk[..produced]);
        match status {
            Status::StreamEnd => return Ok(out),
            _ if produced == 0 && inflater.total_in() == taken => {
                return Err(malformed("the compressed body is cut off"));
            }
            _ => {}
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn int(&mut self) -> Result<usize, RegistrationError> {
        let (head, rest) = self
            .bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| malformed("the inflated body is cut off"))?;
        self.bytes = rest;
        usize::try_from(i32::from_be_bytes(*head)).map_err(|_| malformed("a length is negative"))
    }

    fn block(&mut self) -> Result<&'a [u8], RegistrationError> {
        let len = self.int()?;
        if len > self.bytes.len() {
            return Err(malformed("the inflated body is cut off"));
        }
        let (block, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        Ok(block)
    }
}

/// `name readQueueNums writeQueueNums perm topicFilterType [attributes]`.
fn topic_of_text(text: &str) -> Result<(&str, QueueData), RegistrationError> {
    let cut = || malformed("a topic's text is cut off");
    let mut parts = text.splitn(6, ' ');
    let name = parts.next().ok_or_else(cut)?;
    let mut number = || -> Result<u32, RegistrationError> {
        let part = parts.next().ok_or_else(cut)?;
        part.parse()
            .map_err(|_| malformed("a topic's number is none"))
    };
    let data = QueueData {
        read_queue_nums: number()?,
        write_queue_nums: number()?,
        perm: Permission(number()?),
        topic_sys_flag: 0,
    };
    Ok((name, data))
}

fn malformed(what: &str) -> RegistrationError {
    RegistrationError::Body(what.to_owned())
}

#[cfg(test)]
mod tests;

//! What a topic is: its queues, permissions and attributes, as clients and name servers see it and
//! as the engine keeps it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of [`TopicConfig::to_payload`]'s bytes.
const PAYLOAD_VERSION: u8 = 1;

/// Permission bits (`PermName.java`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(pub u32);

impl Permission {
    /// New topics may inherit from this one.
    pub const INHERIT: u32 = 1;
    /// Producers may write.
    pub const WRITE: u32 = 2;
    /// Consumers may read.
    pub const READ: u32 = 4;
    /// Read and write.
    pub const READ_WRITE: Self = Self(Self::READ | Self::WRITE);

    /// Whether consumers may read.
    pub fn is_readable(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// Whether producers may write.
    pub fn is_writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Whether new topics may be created after this one.
    pub fn is_inherited(self) -> bool {
        self.0 & Self::INHERIT != 0
    }

    /// The same without the right to write.
    pub fn without_write(self) -> Self {
        Self(self.0 & !Self::WRITE)
    }

    /// The same without inheritance: what a created topic gets.
    pub fn without_inherit(self) -> Self {
        Self(self.0 & !Self::INHERIT)
    }
}

/// `RW-` as Apache prints it (`perm2String`): the third place is inheritance (`X`).
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = if self.is_readable() { 'R' } else { '-' };
        let write = if self.is_writable() { 'W' } else { '-' };
        let inherit = if self.is_inherited() { 'X' } else { '-' };
        write!(f, "{read}{write}{inherit}")
    }
}

/// One topic (`TopicConfig.java`). Its JSON is what 17, 21, 103 and 351 carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicConfig {
    /// Free-form settings such as `message.type`; without the `+` of the request. 4.9.x has none.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Whether clients must keep to the queues in a fixed order.
    #[serde(default)]
    pub order: bool,
    /// Who may do what.
    #[serde(default = "read_write")]
    pub perm: Permission,
    /// Queues consumers read: 0 to this, exclusive.
    #[serde(default = "default_queues")]
    pub read_queue_nums: u32,
    /// `SINGLE_TAG` or `MULTI_TAG`; carried, without effect.
    #[serde(default)]
    pub topic_filter_type: TopicFilterType,
    /// Its name.
    pub topic_name: String,
    /// Bit 0 unit, bit 1 unit subscription; carried, without effect.
    #[serde(default)]
    pub topic_sys_flag: i32,
    /// Queues producers write: 0 to this, exclusive.
    #[serde(default = "default_queues")]
    pub write_queue_nums: u32,
}

/// How many tags one message of a topic may have; carried, without effect (`TopicFilterType.java`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TopicFilterType {
    /// One tag.
    #[default]
    SingleTag,
    /// Several tags.
    MultiTag,
}

/// Why a stored topic cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Written by a newer release.
    #[error(
        "has format version {0}, which this release does not know: use the release that wrote it"
    )]
    Version(u8),
    /// Not what was written.
    #[error("cannot be read: {0}")]
    Malformed(String),
}

impl TopicConfig {
    /// A topic with equally many queues to read and to write, nothing else set.
    pub fn new(name: impl Into<String>, queues: u32, perm: Permission) -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm,
            read_queue_nums: queues,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: name.into(),
            topic_sys_flag: 0,
            write_queue_nums: queues,
        }
    }

    /// Queues that exist: a send may name any below this (broker page 2.4).
    pub fn queues(&self) -> u32 {
        self.read_queue_nums.max(self.write_queue_nums)
    }

    /// The bytes the engine keeps for the topic: one version byte (1), then the topic's JSON.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = vec![PAYLOAD_VERSION];
        payload.extend_from_slice(self.to_json().as_bytes());
        payload
    }

    /// Reads [`TopicConfig::to_payload`]'s bytes back.
    pub fn from_payload(payload: &[u8]) -> Result<Self, PayloadError> {
        serde_json::from_slice(versioned_body(payload, PAYLOAD_VERSION)?)
            .map_err(|error| PayloadError::Malformed(error.to_string()))
    }

    /// The JSON text RocketMQ writes: members in alphabetical order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Strips and checks the version byte of a payload.
pub(crate) fn versioned_body(payload: &[u8], version: u8) -> Result<&[u8], PayloadError> {
    match payload.split_first() {
        Some((found, body)) if *found == version => Ok(body),
        Some((found, _)) => Err(PayloadError::Version(*found)),
        None => Err(PayloadError::Malformed("it is empty".to_owned())),
    }
}

fn read_write() -> Permission {
    Permission::READ_WRITE
}

fn default_queues() -> u32 {
    16
}

/// As Apache prints a topic in remarks (`TopicConfig.toString`).
impl fmt::Display for TopicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = match self.topic_filter_type {
            TopicFilterType::SingleTag => "SINGLE_TAG",
            TopicFilterType::MultiTag => "MULTI_TAG",
        };
        write!(
            f,
            "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={filter}, topicSysFlag={}, order={}, attributes={{",
            self.topic_name,
            self.read_queue_nums,
            self.write_queue_nums,
            self.perm,
            self.topic_sys_flag,
            self.order
        )?;
        for (index, (key, value)) in self.attributes.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{key}={value}")?;
        }
        f.write_str("}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_apache_5_5_0_writes_it() {
        let config = TopicConfig::new("TopicTest", 4, Permission::READ_WRITE);
        assert_eq!(
            config.to_json(),
            r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"TopicTest","topicSysFlag":0,"writeQueueNums":4}"#
        );
        assert_eq!(
            config.to_string(),
            "TopicConfig [topicName=TopicTest, readQueueNums=4, writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, attributes={}]"
        );
    }

    #[test]
    fn a_4_9_topic_without_attributes_and_with_unknown_members_is_read() {
        let text = r#"{"order":true,"perm":7,"readQueueNums":1,"topicFilterType":"MULTI_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":2,"new":{}}"#;
        let config: TopicConfig = serde_json::from_str(text).unwrap();
        assert!(config.order && config.perm.is_inherited());
        assert_eq!(config.queues(), 2);
    }

    #[test]
    fn the_stored_form_comes_back_and_damage_is_an_error() {
        let mut config = TopicConfig::new("T", 4, Permission(7));
        config
            .attributes
            .insert("message.type".into(), "FIFO".into());
        let payload = config.to_payload();
        assert_eq!(TopicConfig::from_payload(&payload), Ok(config));
        assert_eq!(
            TopicConfig::from_payload(&[9, b'{']),
            Err(PayloadError::Version(9))
        );
        assert!(TopicConfig::from_payload(&payload[..payload.len() - 1]).is_err());
        assert!(TopicConfig::from_payload(&[]).is_err());
    }
}

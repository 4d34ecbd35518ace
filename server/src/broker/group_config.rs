//! What a consumer group may do, as `mqadmin` shows it and as the engine keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::topic_config::{PayloadError, versioned_body};

/// Version of [`GroupConfig::to_payload`]'s bytes.
const PAYLOAD_VERSION: u8 = 1;

/// One consumer group's settings (`SubscriptionGroupConfig.java`, broker page 8). Members that only
/// newer releases know keep their defaults when an older one sends its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfig {
    /// Free-form settings.
    pub attributes: BTreeMap<String, String>,
    /// Broker id consumers are sent to: 0, the master.
    pub broker_id: i64,
    /// Whether members may consume in broadcasting mode.
    pub consume_broadcast_enable: bool,
    /// Whether members may consume at all.
    pub consume_enable: bool,
    /// Carried, without effect.
    pub consume_from_min_enable: bool,
    /// Carried, without effect.
    pub consume_message_orderly: bool,
    /// Carried, without effect.
    pub consume_timeout_minute: i32,
    /// Its name.
    pub group_name: String,
    /// Carried as it came.
    pub group_retry_policy: Value,
    /// Carried, without effect.
    pub group_sys_flag: i32,
    /// Whether members are told at once when the group changes.
    pub notify_consumer_ids_changed_enable: bool,
    /// Deliveries after which a message goes to the dead-letter topic.
    pub retry_max_times: i32,
    /// Queues of the retry topic; 0 and less drops what is sent back.
    pub retry_queue_nums: i32,
    /// Broker id for members that are far behind.
    pub which_broker_when_consume_slowly: i64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: String::new(),
            group_retry_policy: serde_json::json!({"type": "CUSTOMIZED"}),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            which_broker_when_consume_slowly: 1,
        }
    }
}

impl GroupConfig {
    /// A group with Apache's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            group_name: name.into(),
            ..Self::default()
        }
    }

    /// The bytes the engine keeps for the group: one version byte (1), then the group's JSON.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = vec![PAYLOAD_VERSION];
        payload.extend_from_slice(self.to_json().as_bytes());
        payload
    }

    /// Reads [`GroupConfig::to_payload`]'s bytes back.
    pub fn from_payload(payload: &[u8]) -> Result<Self, PayloadError> {
        serde_json::from_slice(versioned_body(payload, PAYLOAD_VERSION)?)
            .map_err(|error| PayloadError::Malformed(error.to_string()))
    }

    /// The JSON text RocketMQ writes: members in alphabetical order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_apaches() {
        assert_eq!(
            GroupConfig::new("CG_push").to_json(),
            r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"CG_push","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#
        );
    }

    #[test]
    fn a_4_9_group_gets_the_defaults_of_what_it_lacks() {
        let text = r#"{"brokerId":0,"consumeEnable":false,"groupName":"G","retryMaxTimes":3}"#;
        let config: GroupConfig = serde_json::from_str(text).unwrap();
        assert!(!config.consume_enable && config.consume_broadcast_enable);
        assert_eq!((config.retry_max_times, config.retry_queue_nums), (3, 1));
    }

    #[test]
    fn the_stored_form_comes_back() {
        let mut config = GroupConfig::new("G");
        config.retry_queue_nums = 0;
        let payload = config.to_payload();
        assert_eq!(GroupConfig::from_payload(&payload), Ok(config));
        assert!(GroupConfig::from_payload(&payload[..20]).is_err());
    }
}

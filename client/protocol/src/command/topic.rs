//! Topics and groups of a broker: 17, 18, 21, 200, 201, 207, 215, 225, 343, 345, 351, 352, 353, 401.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::SubscriptionData;
use super::registration::DataVersion;
use super::{json_body, lenient};

/// The usual filter type of a topic.
pub const SINGLE_TAG: &str = "SINGLE_TAG";

fields! {
    /// 17: create a topic, or change it.
    pub struct CreateTopic<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Topic whose settings it takes; clients say `TBW102`.
        required "defaultTopic" => default_topic: Cow<'a, str>,
        /// Queues that can be read.
        required "readQueueNums" => read_queue_nums: i32,
        /// Queues that can be written.
        required "writeQueueNums" => write_queue_nums: i32,
        /// Permission bits.
        required "perm" => perm: i32,
        /// `SINGLE_TAG` or `MULTI_TAG`.
        required "topicFilterType" => topic_filter_type: Cow<'a, str>,
        /// Topic's flags.
        "topicSysFlag" => topic_sys_flag: Option<i32>,
        /// Ordered topic.
        "order" => order: bool,
        /// Changes of attributes: `+key=value,-key` (5.x).
        "attributes" => attributes: Option<Cow<'a, str>>,
        /// Do not check (5.x).
        "force" => force: Option<bool>,
    }
}

fields! {
    /// 215 (delete a topic), 351 (show it), 202 (its offsets), 300 (who consumes it).
    pub struct TopicName<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 207: delete a group.
    pub struct DeleteGroup<'a> {
        /// Group.
        required "groupName" => group_name: Cow<'a, str>,
        /// Its offsets too.
        "cleanOffset" => clean_offset: bool,
    }
}

fields! {
    /// 352 (show a group) and 343 (its topics).
    pub struct GroupName<'a> {
        /// Group.
        required "group" => group: Cow<'a, str>,
    }
}

/// A topic as brokers keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Attributes (5.x).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// Ordered topic.
    #[serde(deserialize_with = "lenient::flag")]
    pub order: bool,
    /// Permission bits.
    #[serde(deserialize_with = "lenient::number")]
    pub perm: i32,
    /// Queues that can be read.
    #[serde(deserialize_with = "lenient::number")]
    pub read_queue_nums: i32,
    /// `SINGLE_TAG` or `MULTI_TAG`.
    #[serde(deserialize_with = "lenient::text")]
    pub topic_filter_type: String,
    /// Name.
    #[serde(deserialize_with = "lenient::text")]
    pub topic_name: String,
    /// Topic's flags.
    #[serde(deserialize_with = "lenient::number")]
    pub topic_sys_flag: i32,
    /// Queues that can be written.
    #[serde(deserialize_with = "lenient::number")]
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: None,
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: SINGLE_TAG.to_owned(),
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

/// 18: several topics at once (5.x).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigList {
    /// The topics.
    #[serde(deserialize_with = "lenient::or_default")]
    pub topic_config_list: Vec<TopicConfig>,
}

/// A consumer group as brokers keep it: body of 200, and of the answer to 352.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Attributes (5.x).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// Broker id that the group pulls from.
    #[serde(deserialize_with = "lenient::number")]
    pub broker_id: i64,
    /// May broadcast.
    #[serde(deserialize_with = "lenient::flag")]
    pub consume_broadcast_enable: bool,
    /// May consume.
    #[serde(deserialize_with = "lenient::flag")]
    pub consume_enable: bool,
    /// May begin at the first offset.
    #[serde(deserialize_with = "lenient::flag")]
    pub consume_from_min_enable: bool,
    /// Consumes in order (5.x).
    #[serde(
        deserialize_with = "lenient::some_flag",
        skip_serializing_if = "Option::is_none"
    )]
    pub consume_message_orderly: Option<bool>,
    /// Minutes a message may take (5.x).
    #[serde(
        deserialize_with = "lenient::some_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub consume_timeout_minute: Option<i32>,
    /// Name.
    #[serde(deserialize_with = "lenient::text")]
    pub group_name: String,
    /// How long to wait between tries (5.x); kept as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_retry_policy: Option<serde_json::Value>,
    /// Group's flags (5.x).
    #[serde(
        deserialize_with = "lenient::some_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub group_sys_flag: Option<i32>,
    /// Tell members when others come and go.
    #[serde(deserialize_with = "lenient::flag")]
    pub notify_consumer_ids_changed_enable: bool,
    /// Tries after the first.
    #[serde(deserialize_with = "lenient::number")]
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    #[serde(deserialize_with = "lenient::number")]
    pub retry_queue_nums: i32,
    /// What the group may subscribe to (5.x); kept as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<serde_json::Value>,
    /// Broker id that the group pulls from when it lags.
    #[serde(deserialize_with = "lenient::number")]
    pub which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: None,
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: None,
            consume_timeout_minute: None,
            group_name: String::new(),
            group_retry_policy: None,
            group_sys_flag: None,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

/// Answer to 201: all groups of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupTable {
    /// Changes with every change of a group.
    #[serde(deserialize_with = "lenient::or_default")]
    pub data_version: DataVersion,
    /// Forbidden topics by group (5.x); kept as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forbidden_table: Option<serde_json::Value>,
    /// Groups by name.
    #[serde(deserialize_with = "lenient::or_default")]
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// 225: several groups at once (5.x).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupList {
    /// The groups.
    #[serde(deserialize_with = "lenient::or_default")]
    pub group_config_list: Vec<SubscriptionGroupConfig>,
}

fields! {
    /// 345 (what a group subscribes to of a topic) and 353 (may it read the topic; with `readable`
    /// it is changed), both 5.x.
    pub struct GroupOfTopic<'a> {
        /// Consumer group.
        required "group" => group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Whether the group may read the topic.
        "readable" => readable: Option<bool>,
    }
}

/// Answer to 345.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupSubscription {
    /// Consumer group.
    #[serde(deserialize_with = "lenient::text")]
    pub group: String,
    /// What it subscribes to; none while it is not online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// Topic.
    #[serde(deserialize_with = "lenient::text")]
    pub topic: String,
}

/// Answer to 353.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupForbidden {
    /// Consumer group.
    #[serde(deserialize_with = "lenient::text")]
    pub group: String,
    /// Whether the group may read the topic.
    #[serde(deserialize_with = "lenient::flag")]
    pub readable: bool,
    /// Topic.
    #[serde(deserialize_with = "lenient::text")]
    pub topic: String,
}

/// 401: whether a group pulls a topic or pops it (5.x).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMode {
    /// Consumer group.
    #[serde(deserialize_with = "lenient::text")]
    pub consumer_group: String,
    /// `PULL` or `POP`.
    #[serde(deserialize_with = "lenient::text")]
    pub mode: String,
    /// Queues that each consumer shares with others when popping; 0 is all.
    #[serde(deserialize_with = "lenient::number")]
    pub pop_share_queue_num: i32,
    /// Topic.
    #[serde(deserialize_with = "lenient::text")]
    pub topic: String,
}

json_body! {
    GroupSubscription => "subscription of a group",
    GroupForbidden => "permission of a group",
    RequestMode => "request mode",
    TopicConfig => "topic",
    TopicConfigList => "list of topics",
    SubscriptionGroupConfig => "consumer group",
    SubscriptionGroupTable => "table of groups",
    SubscriptionGroupList => "list of groups",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_the_reference_reads_and_writes_the_same_bytes() {
        let body = br#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":false,"consumeEnable":true,"consumeFromMinEnable":false,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"CG_admin","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":3,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#;
        let group = SubscriptionGroupConfig::parse(body).unwrap();
        assert_eq!(group.retry_max_times, 3);
        assert_eq!(
            String::from_utf8(group.to_json()).unwrap(),
            String::from_utf8_lossy(body)
        );
    }

    #[test]
    fn missing_members_of_a_group_are_the_references_defaults() {
        let group = SubscriptionGroupConfig::parse(br#"{"groupName":"g"}"#).unwrap();
        let expected = SubscriptionGroupConfig {
            group_name: "g".into(),
            ..Default::default()
        };
        assert_eq!(group, expected);
    }
}

//! What a client tells about itself through its broker: 307 (what a consumer is doing), 309 (hand it
//! one message), and 328 (every producer of a broker).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::SubscriptionData;
use super::{MessageQueue, by_queue, json_body, lenient};

fields! {
    /// 307: what a consumer is doing. The broker forwards it to that client.
    pub struct RunningInfoQuery<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// The client's id.
        required "clientId" => client_id: Cow<'a, str>,
        /// The stacks of its threads too.
        "jstackEnable" => stacks: bool,
    }
}

/// Answer to 307.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerRunningInfo {
    /// Stacks of its threads.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub jstack: Option<String>,
    /// Queues that it pops from (5.x); kept as it came.
    #[serde(with = "by_queue")]
    pub mq_pop_table: BTreeMap<MessageQueue, serde_json::Value>,
    /// Queues that it consumes.
    #[serde(with = "by_queue")]
    pub mq_table: BTreeMap<MessageQueue, ProcessQueueInfo>,
    /// Its settings, and facts whose names begin with `PROP_`.
    #[serde(deserialize_with = "lenient::texts")]
    pub properties: BTreeMap<String, String>,
    /// How fast it consumes, by topic.
    #[serde(deserialize_with = "lenient::or_default")]
    pub status_table: BTreeMap<String, ConsumeStatus>,
    /// What it subscribes to.
    #[serde(deserialize_with = "lenient::or_default")]
    pub subscription_set: Vec<SubscriptionData>,
    /// Whatever the application adds (5.x).
    #[serde(deserialize_with = "lenient::texts")]
    pub user_consumer_info: BTreeMap<String, String>,
}

/// A queue in a consumer's memory. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessQueueInfo {
    /// Messages in memory.
    #[serde(deserialize_with = "lenient::number")]
    pub cached_msg_count: i64,
    /// Their highest offset.
    #[serde(deserialize_with = "lenient::number")]
    pub cached_msg_max_offset: i64,
    /// Their lowest offset.
    #[serde(deserialize_with = "lenient::number")]
    pub cached_msg_min_offset: i64,
    /// Their bytes, in MiB.
    #[serde(deserialize_with = "lenient::number")]
    pub cached_msg_size_in_mi_b: i64,
    /// Offset that it has committed.
    #[serde(deserialize_with = "lenient::number")]
    pub commit_offset: i64,
    /// Given up (the reference's spelling).
    #[serde(deserialize_with = "lenient::flag")]
    pub droped: bool,
    /// When it last consumed.
    #[serde(deserialize_with = "lenient::number")]
    pub last_consume_timestamp: i64,
    /// When it last locked the queue.
    #[serde(deserialize_with = "lenient::number")]
    pub last_lock_timestamp: i64,
    /// When it last pulled.
    #[serde(deserialize_with = "lenient::number")]
    pub last_pull_timestamp: i64,
    /// Holds the lock.
    #[serde(deserialize_with = "lenient::flag")]
    pub locked: bool,
    /// Messages being consumed in order.
    #[serde(deserialize_with = "lenient::number")]
    pub transaction_msg_count: i64,
    /// Their highest offset.
    #[serde(deserialize_with = "lenient::number")]
    pub transaction_msg_max_offset: i64,
    /// Their lowest offset.
    #[serde(deserialize_with = "lenient::number")]
    pub transaction_msg_min_offset: i64,
    /// How often it tried to unlock.
    #[serde(deserialize_with = "lenient::number")]
    pub try_unlock_times: i64,
}

/// How fast a consumer consumes a topic. Rates are a second, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumeStatus {
    /// Messages that failed in the last hour.
    #[serde(rename = "consumeFailedMsgs", deserialize_with = "lenient::number")]
    pub failed_messages: i64,
    /// Rate of failures.
    #[serde(rename = "consumeFailedTPS", deserialize_with = "lenient::or_default")]
    pub failed_tps: f64,
    /// Rate of messages consumed.
    #[serde(rename = "consumeOKTPS", deserialize_with = "lenient::or_default")]
    pub ok_tps: f64,
    /// Time to consume.
    #[serde(rename = "consumeRT", deserialize_with = "lenient::or_default")]
    pub consume_ms: f64,
    /// Time of a pull.
    #[serde(rename = "pullRT", deserialize_with = "lenient::or_default")]
    pub pull_ms: f64,
    /// Rate of messages pulled.
    #[serde(rename = "pullTPS", deserialize_with = "lenient::or_default")]
    pub pull_tps: f64,
}

fields! {
    /// 309: hand a consumer one message. The broker adds the record as body when it forwards it.
    pub struct ConsumeDirectly<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// The client's id.
        "clientId" => client_id: Option<Cow<'a, str>>,
        /// Offset message id.
        "msgId" => message_id: Option<Cow<'a, str>>,
        /// Broker name, from broker to client.
        "brokerName" => broker_name: Option<Cow<'a, str>>,
        /// Topic.
        "topic" => topic: Option<Cow<'a, str>>,
        /// Topic's flags, from broker to client (5.x).
        "topicSysFlag" => topic_sys_flag: Option<i32>,
        /// Group's flags, from broker to client (5.x).
        "groupSysFlag" => group_sys_flag: Option<i32>,
    }
}

/// Answer to 309.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeDirectlyResult {
    /// Commits by itself.
    #[serde(deserialize_with = "lenient::flag")]
    pub auto_commit: bool,
    /// `CR_SUCCESS`, `CR_LATER`, `CR_ROLLBACK`, `CR_COMMIT`, `CR_THROW_EXCEPTION` or
    /// `CR_RETURN_NULL`; a number from Go.
    #[serde(deserialize_with = "lenient::text")]
    pub consume_result: String,
    /// Consumes in order.
    #[serde(deserialize_with = "lenient::flag")]
    pub order: bool,
    /// What the application said or threw.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub remark: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(rename = "spentTimeMills", deserialize_with = "lenient::number")]
    pub spent_ms: i64,
}

/// Answer to 328: producers by group.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerTable {
    /// Producers by group.
    #[serde(deserialize_with = "lenient::or_default")]
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}

/// A connected producer.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    /// Its id.
    #[serde(deserialize_with = "lenient::text")]
    pub client_id: String,
    /// Name of its language.
    #[serde(deserialize_with = "lenient::text")]
    pub language: String,
    /// When it was last heard of, in milliseconds.
    #[serde(deserialize_with = "lenient::number")]
    pub last_update_timestamp: i64,
    /// Address of its end of the connection, with a slash in front in the reference's answers.
    #[serde(rename = "remoteIP", deserialize_with = "lenient::text")]
    pub remote_ip: String,
    /// Version ordinal.
    #[serde(deserialize_with = "lenient::number")]
    pub version: i32,
}

json_body! {
    ConsumerRunningInfo => "consumer's running information",
    ConsumeDirectlyResult => "result of consuming",
    ProducerTable => "table of producers",
}

//! What tools ask: offsets of a topic (202) and of a group (208) or of all groups (317), who is
//! connected (203, 204), who consumes a topic (300) and how long ago (303), rates (315).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use super::{MessageQueue, by_queue, json_body, lenient};

/// Answer to 202: offsets of every queue of a topic.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// By queue.
    #[serde(with = "by_queue")]
    pub offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// Messages per second (5.x).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_put_tps: Option<f64>,
}

/// Offsets of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// When the last message was stored, in milliseconds; 0 where there is none.
    #[serde(deserialize_with = "lenient::number")]
    pub last_update_timestamp: i64,
    /// Offset after the last message.
    #[serde(deserialize_with = "lenient::number")]
    pub max_offset: i64,
    /// Offset of the first message.
    #[serde(deserialize_with = "lenient::number")]
    pub min_offset: i64,
}

fields! {
    /// 208: how far a group is.
    pub struct GetConsumeStats<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Only this topic.
        "topic" => topic: Option<Cow<'a, str>>,
    }
}

/// Answer to 208.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages per second.
    pub consume_tps: f64,
    /// By queue.
    #[serde(with = "by_queue")]
    pub offset_table: BTreeMap<MessageQueue, ConsumeOffset>,
}

/// How far a group is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeOffset {
    /// Offset after the queue's last message.
    #[serde(deserialize_with = "lenient::number")]
    pub broker_offset: i64,
    /// Offset the group has committed.
    #[serde(deserialize_with = "lenient::number")]
    pub consumer_offset: i64,
    /// Store time of the last message consumed.
    #[serde(deserialize_with = "lenient::number")]
    pub last_timestamp: i64,
    /// Offset the group pulls next (5.x).
    #[serde(
        deserialize_with = "lenient::some_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub pull_offset: Option<i64>,
}

fields! {
    /// 204: who produces in a group. (203, who consumes in one, is a
    /// [`GroupQuery`](super::heartbeat::GroupQuery).)
    pub struct ProducerQuery<'a> {
        /// Producer group.
        required "producerGroup" => producer_group: Cow<'a, str>,
    }
}

/// Answer to 203.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnections {
    /// Clients of the group.
    #[serde(deserialize_with = "lenient::or_default")]
    pub connection_set: Vec<Connection>,
    /// Where the group began.
    pub consume_from_where: ConsumeFromWhere,
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Shared or broadcast.
    pub message_model: MessageModel,
    /// What it consumes, by topic.
    #[serde(deserialize_with = "lenient::or_default")]
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// Answer to 204.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnections {
    /// Clients of the group.
    #[serde(deserialize_with = "lenient::or_default")]
    pub connection_set: Vec<Connection>,
}

/// A connected client.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Address of its end of the connection.
    #[serde(deserialize_with = "lenient::text")]
    pub client_addr: String,
    /// Its id.
    #[serde(deserialize_with = "lenient::text")]
    pub client_id: String,
    /// Name of its language.
    #[serde(deserialize_with = "lenient::text")]
    pub language: String,
    /// Version ordinal.
    #[serde(deserialize_with = "lenient::number")]
    pub version: i32,
}

/// Answer to 300.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// The groups.
    #[serde(deserialize_with = "lenient::or_default")]
    pub group_list: Vec<String>,
}

fields! {
    /// 303: what times a group's place in a topic stands for.
    pub struct TimeSpanQuery<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Consumer group.
        required "group" => group: Cow<'a, str>,
    }
}

/// Answer to 303.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeTimeSpans {
    /// One for each queue.
    #[serde(deserialize_with = "lenient::or_default")]
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// Store times of a queue, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    /// Of the last message that the group has consumed.
    #[serde(deserialize_with = "lenient::number")]
    pub consume_time_stamp: i64,
    /// How long the first message not consumed has waited; 0 where there is none.
    #[serde(deserialize_with = "lenient::number")]
    pub delay_time: i64,
    /// Of the last message.
    #[serde(deserialize_with = "lenient::number")]
    pub max_time_stamp: i64,
    /// The queue.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message_queue: MessageQueue,
    /// Of the first message.
    #[serde(deserialize_with = "lenient::number")]
    pub min_time_stamp: i64,
}

fields! {
    /// 317: how far every group of a broker is.
    pub struct BrokerConsumeStatsQuery {
        /// Only groups that consume in order.
        required "isOrder" => is_order: bool,
    }
}

/// Answer to 317.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerConsumeStats {
    /// Address of the broker.
    #[serde(deserialize_with = "lenient::text")]
    pub broker_addr: String,
    /// Maps of one group each, with the group's topics.
    #[serde(deserialize_with = "lenient::or_default")]
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages that are not consumed.
    #[serde(deserialize_with = "lenient::number")]
    pub total_diff: i64,
    /// Messages that were pulled and are not consumed (5.x).
    #[serde(
        deserialize_with = "lenient::some_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub total_inflight_diff: Option<i64>,
}

fields! {
    /// 315: a rate. Names are those of the reference: `TOPIC_PUT_NUMS` with a topic as key,
    /// `GROUP_GET_NUMS` with `topic@group`.
    pub struct BrokerStatsQuery<'a> {
        /// What is counted.
        required "statsName" => stats_name: Cow<'a, str>,
        /// Of what.
        required "statsKey" => stats_key: Cow<'a, str>,
    }
}

/// Answer to 315.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    /// Of the last day.
    pub stats_day: BrokerStatsItem,
    /// Of the last hour.
    pub stats_hour: BrokerStatsItem,
    /// Of the last minute.
    pub stats_minute: BrokerStatsItem,
}

/// A count over some time.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerStatsItem {
    /// Mean of one event.
    #[serde(deserialize_with = "lenient::or_default")]
    pub avgpt: f64,
    /// Sum.
    #[serde(deserialize_with = "lenient::number")]
    pub sum: i64,
    /// A second.
    #[serde(deserialize_with = "lenient::or_default")]
    pub tps: f64,
}

json_body! {
    ConsumeTimeSpans => "list of consume times",
    BrokerConsumeStats => "table of all groups' offsets",
    BrokerStatsData => "rate",
    TopicStats => "table of a topic's offsets",
    ConsumeStats => "table of a group's offsets",
    ConsumerConnections => "list of connections",
    ProducerConnections => "list of connections",
    GroupList => "list of groups",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_with_queues_as_keys_read_in_both_forms() {
        let body = br#"{"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:{"lastUpdateTimestamp":7,"maxOffset":5,"minOffset":1}}}"#;
        let stats = TopicStats::parse(body).unwrap();
        let queue = MessageQueue {
            broker_name: "b".into(),
            queue_id: 3,
            topic: "T".into(),
        };
        assert_eq!(stats.offset_table[&queue].max_offset, 5);
        assert_eq!(TopicStats::parse(&stats.to_json()).unwrap(), stats);
        assert!(TopicStats::parse(br#"{"offsetTable":{"x":{}}}"#).is_err());
    }
}

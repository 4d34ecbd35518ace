//! The entries of a queue: 321.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::heartbeat::SubscriptionData;
use super::{json_body, lenient};

fields! {
    /// 321: entries of a queue.
    pub struct QueryConsumeQueue<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// First offset wanted; below 0, so many before the end.
        required "index" => index: i64,
        /// Most entries wanted.
        required "count" => count: i32,
        /// Says of each entry whether this group's filter passes it.
        "consumerGroup" => consumer_group: Option<Cow<'a, str>>,
    }
}

/// Answer to 321.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueEntries {
    /// The group's filter as text, or that it is not online.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub filter_data: Option<String>,
    /// Offset after the queue's last entry.
    #[serde(deserialize_with = "lenient::number")]
    pub max_queue_index: i64,
    /// Offset of the queue's first entry.
    #[serde(deserialize_with = "lenient::number")]
    pub min_queue_index: i64,
    /// The entries.
    #[serde(deserialize_with = "lenient::or_default")]
    pub queue_data: Vec<ConsumeQueueEntry>,
    /// The group's subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

/// One entry of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueEntry {
    /// Filter's bit map.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub bit_map: Option<String>,
    /// Whether the group's filter passes it.
    #[serde(deserialize_with = "lenient::flag")]
    pub eval: bool,
    /// What else is known of it.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub extend_data_json: Option<String>,
    /// Properties of the message.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub msg: Option<String>,
    /// Physical offset of the record (the reference's spelling).
    #[serde(deserialize_with = "lenient::number")]
    pub physic_offset: i64,
    /// Its size in bytes.
    #[serde(deserialize_with = "lenient::number")]
    pub physic_size: i32,
    /// Hash of its tag.
    #[serde(deserialize_with = "lenient::number")]
    pub tags_code: i64,
}

json_body!(ConsumeQueueEntries => "list of queue entries");

//! Offsets: 14, 15, 29, 30, 31, 32; moved by an operator: 220, 222, 314; of many queues: 43, 221, 223,
//! 308.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::registration::DataVersion;
use super::{MessageQueue, by_queue, json_body, lenient};

fields! {
    /// 14: what offset a group has committed.
    pub struct QueryConsumerOffset<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// False: answer 22 rather than 0 where nothing is committed.
        "setZeroIfNotFound" => zero_if_not_found: Option<bool>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 15: commit an offset, usually one-way.
    pub struct UpdateConsumerOffset<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Offset after the last one consumed.
        required "commitOffset" => commit_offset: i64,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 29: the offset at a time.
    pub struct SearchOffset<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Milliseconds.
        required "timestamp" => timestamp: i64,
        /// `LOWER` (first at or after) or `UPPER` (last at or before); absent is `LOWER`.
        "boundaryType" => boundary_type: Option<Cow<'a, str>>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

impl SearchOffset<'_> {
    /// Whether the last offset at or before the time is wanted.
    pub fn is_upper(&self) -> bool {
        self.boundary_type
            .as_deref()
            .is_some_and(|bound| bound.eq_ignore_ascii_case("upper"))
    }
}

fields! {
    /// 30: the offset that the next message gets.
    pub struct GetMaxOffset<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Whether only what consumers can see counts.
        "committed" => committed: bool = true,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 31 and 32: the first offset of a queue, and when its message was stored.
    pub struct QueueQuery<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// Answer to 14, 29, 30 and 31.
    pub struct OffsetResponse {
        /// The offset.
        required "offset" => offset: i64,
    }
}

fields! {
    /// Answer to 32.
    pub struct TimestampResponse {
        /// Milliseconds; -1 where the queue is empty.
        required "timestamp" => timestamp: i64,
    }
}

fields! {
    /// 220 (broker to client, with an [`OffsetTable`]) and 222 (operator to broker): move a group's
    /// offsets.
    pub struct ResetOffset<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Consumer group.
        required "group" => group: Cow<'a, str>,
        /// To the first message at or after this time, in milliseconds; -1 is the end.
        required "timestamp" => timestamp: i64,
        /// Back as well as forth.
        required "isForce" => is_force: bool,
        /// Only this queue; -1 is all (5.x).
        "queueId" => queue_id: Option<i32>,
        /// To this offset rather than to a time; -1 is none (5.x).
        "offset" => offset: Option<i64>,
    }
}

/// Offsets by queue: body of 220, and of the answer to 222.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetTable {
    /// The offsets.
    #[serde(with = "by_queue")]
    pub offset_table: BTreeMap<MessageQueue, i64>,
}

impl OffsetTable {
    /// The body with whole objects as keys, which is not valid JSON: what 220 must carry, because
    /// the Go client takes a valid body for a list and Java's reads both.
    pub fn to_fastjson(&self) -> Vec<u8> {
        let mut out = b"{\"offsetTable\":{".to_vec();
        for (place, (queue, offset)) in self.offset_table.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            super::put_json(&mut out, queue);
            out.push(b':');
            super::put_json(&mut out, offset);
        }
        out.extend_from_slice(b"}}");
        out
    }
}

fields! {
    /// 221 (broker to client) and 223 (operator to broker): the offsets that clients stand at.
    pub struct ConsumerStatusQuery<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Consumer group.
        required "group" => group: Cow<'a, str>,
        /// Only this client.
        "clientAddr" => client_address: Option<Cow<'a, str>>,
    }
}

/// Answer to 221 and 223.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatusTable {
    /// By client, from a broker.
    #[serde(with = "by_queue::of_clients")]
    pub consumer_table: BTreeMap<String, BTreeMap<MessageQueue, i64>>,
    /// By queue, from a client.
    #[serde(with = "by_queue")]
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

fields! {
    /// 314: give a group the offsets of another.
    pub struct CloneGroupOffset<'a> {
        /// Group whose offsets are copied.
        required "srcGroup" => source_group: Cow<'a, str>,
        /// Group that gets them.
        required "destGroup" => target_group: Cow<'a, str>,
        /// Only of this topic.
        "topic" => topic: Option<Cow<'a, str>>,
        /// Topics that the source group does not consume at present too.
        "offline" => offline: bool,
    }
}

fields! {
    /// 308: the lowest offsets that groups other than some have committed.
    pub struct CorrectionQuery<'a> {
        /// Groups left out, separated by commas.
        "filterGroups" => filter_groups: Option<Cow<'a, str>>,
        /// Group to compare with.
        required "compareGroup" => compare_group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
    }
}

/// Answer to 308.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// By queue id.
    #[serde(deserialize_with = "lenient::or_default")]
    pub correction_offsets: BTreeMap<i32, i64>,
}

/// Answer to 43: everything that groups have committed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AllConsumerOffsets {
    /// Changes with the offsets (5.x).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_version: Option<DataVersion>,
    /// By `topic@group`, then by queue id.
    #[serde(deserialize_with = "lenient::or_default")]
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

json_body! {
    OffsetTable => "table of offsets",
    ConsumerStatusTable => "table of clients' offsets",
    CorrectionOffsets => "table of offsets",
    AllConsumerOffsets => "table of all offsets",
}

//! What clients ask name servers: routes (105), clusters (106), topics (206, 224, 304 ...).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{fastjson, json_body, lenient};
use crate::header::version;

fields! {
    /// 105: the route of a topic.
    pub struct RouteRequest<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// The body must be standard JSON.
        "acceptStandardJsonOnly" => standard_json_only: bool,
    }
}

impl RouteRequest<'_> {
    /// Whether the asker, with `sender_version` in its header, gets standard JSON from the
    /// reference; others get bare numbers as keys.
    pub fn wants_standard_json(&self, sender_version: i32) -> bool {
        self.standard_json_only || sender_version >= version::V4_9_4
    }
}

/// Answer to 105: brokers and queues of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRouteData {
    /// Brokers, each with its addresses.
    #[serde(deserialize_with = "lenient::or_default")]
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers by broker address.
    #[serde(deserialize_with = "lenient::or_default")]
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// Layout of an ordered topic: `brokerA:4;brokerB:4`.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub order_topic_conf: Option<String>,
    /// Queues, counted per broker.
    #[serde(deserialize_with = "lenient::or_default")]
    pub queue_datas: Vec<QueueData>,
}

impl TopicRouteData {
    /// The body with bare numbers as keys, as clients before 4.9.4 get it.
    pub fn to_legacy_json(&self) -> Vec<u8> {
        fastjson::to_legacy(self)
    }
}

/// A broker name and the addresses behind it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// Address by broker id; 0 is the master.
    #[serde(deserialize_with = "lenient::or_default")]
    pub broker_addrs: BTreeMap<i64, String>,
    /// Name.
    #[serde(deserialize_with = "lenient::text")]
    pub broker_name: String,
    /// Cluster.
    #[serde(deserialize_with = "lenient::text")]
    pub cluster: String,
    /// A slave may stand in for the master (5.x).
    #[serde(
        deserialize_with = "lenient::some_flag",
        skip_serializing_if = "Option::is_none"
    )]
    pub enable_acting_master: Option<bool>,
    /// Zone (5.x).
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub zone_name: Option<String>,
}

impl BrokerData {
    /// The master's address.
    pub fn master(&self) -> Option<&str> {
        self.broker_addrs.get(&0).map(String::as_str)
    }
}

/// Queues of a topic at one broker name.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// Broker name.
    #[serde(deserialize_with = "lenient::text")]
    pub broker_name: String,
    /// Permission bits.
    #[serde(deserialize_with = "lenient::number")]
    pub perm: i32,
    /// Queues that can be read, numbered from 0.
    #[serde(deserialize_with = "lenient::number")]
    pub read_queue_nums: i32,
    /// Topic's flags; Go names it `topicSynFlag`.
    #[serde(alias = "topicSynFlag", deserialize_with = "lenient::number")]
    pub topic_sys_flag: i32,
    /// Queues that can be written, numbered from 0.
    #[serde(deserialize_with = "lenient::number")]
    pub write_queue_nums: i32,
}

/// Answer to 106: clusters and their brokers.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Brokers by name.
    #[serde(deserialize_with = "lenient::or_default")]
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Broker names by cluster.
    #[serde(deserialize_with = "lenient::or_default")]
    pub cluster_addr_table: BTreeMap<String, Vec<String>>,
}

impl ClusterInfo {
    /// The body with bare numbers as keys, as the reference always sends it.
    pub fn to_legacy_json(&self) -> Vec<u8> {
        fastjson::to_legacy(self)
    }
}

/// A list of topics: answer to 206, 224, 304 and others.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// Address of one master, in the answer to 304.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub broker_addr: Option<String>,
    /// The topics, in no order.
    #[serde(deserialize_with = "lenient::or_default")]
    pub topic_list: Vec<String>,
}

fields! {
    /// 224: the topics of a cluster.
    pub struct ClusterQuery<'a> {
        /// Cluster.
        required "cluster" => cluster: Cow<'a, str>,
    }
}

fields! {
    /// 205 and 327: take a broker's write permission, or give it back.
    pub struct WritePermission<'a> {
        /// Broker name.
        required "brokerName" => broker_name: Cow<'a, str>,
    }
}

fields! {
    /// Answer to 205.
    pub struct WipeResponse {
        /// Topics changed.
        required "wipeTopicCount" => wipe_topic_count: i32,
    }
}

fields! {
    /// Answer to 327.
    pub struct AddResponse {
        /// Topics changed.
        required "addTopicCount" => add_topic_count: i32,
    }
}

json_body! {
    TopicRouteData => "route",
    ClusterInfo => "cluster table",
    TopicList => "list of topics",
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &str = r#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:10911","1":"127.0.0.1:11911"},"brokerName":"broker-a","cluster":"DefaultCluster"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;

    #[test]
    fn both_forms_of_a_route_read_alike_and_are_written_as_they_were() {
        let legacy = STANDARD.replace("\"0\":", "0:").replace("\"1\":", "1:");
        let route = TopicRouteData::parse(STANDARD.as_bytes()).unwrap();
        assert_eq!(TopicRouteData::parse(legacy.as_bytes()).unwrap(), route);
        assert_eq!(route.broker_datas[0].master(), Some("127.0.0.1:10911"));
        assert_eq!(String::from_utf8(route.to_json()).unwrap(), STANDARD);
        assert_eq!(String::from_utf8(route.to_legacy_json()).unwrap(), legacy);
    }

    #[test]
    fn who_gets_which_form_depends_on_version_and_wish() {
        let mut request = RouteRequest::default();
        assert!(request.wants_standard_json(401) && !request.wants_standard_json(317));
        request.standard_json_only = true;
        assert!(request.wants_standard_json(0));
    }
}

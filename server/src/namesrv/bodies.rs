//! The JSON bodies a name server answers with, members and keys sorted (name server pages 3 to 5).
//!
//! Java's name server writes maps with numeric keys bare, `{0:"a"}`, in 106 and 901 always and in 105
//! to older clients: [`Form::Legacy`]. Everything else is JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::routing_table::{BrokerData, QueueData, Route, RoutingTable};
use super::topic_mapping::TopicMapping;

/// How maps with numeric keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"0":"a"}`.
    Strict,
    /// `{0:"a"}`.
    Legacy,
}

/// The body of 105.
pub fn route(route: &Route<'_>, order_topic_conf: Option<&str>, form: Form) -> Vec<u8> {
    let mut out = String::from("{\"brokerDatas\":[");
    list(&mut out, route.brokers.iter(), |out, (name, data)| {
        broker_data(out, name, data, form);
    });
    out.push_str("],\"filterServerTable\":{");
    let servers = route.filter_servers.iter();
    list(&mut out, servers, |out, (address, servers)| {
        text(out, address);
        out.push_str(":[");
        list(out, servers.iter(), |out, server| text(out, server));
        out.push(']');
    });
    out.push('}');
    if let Some(conf) = order_topic_conf {
        out.push_str(",\"orderTopicConf\":");
        text(&mut out, conf);
    }
    out.push_str(",\"queueDatas\":[");
    list(&mut out, route.queues.iter(), |out, (name, data)| {
        queue_data(out, name, data);
    });
    out.push(']');
    if let Some(mappings) = route.mappings {
        out.push_str(",\"topicQueueMappingByBroker\":{");
        list(&mut out, mappings.iter(), |out, (name, mapping)| {
            text(out, name);
            out.push(':');
            topic_mapping(out, mapping, form);
        });
        out.push('}');
    }
    out.push('}');
    out.into_bytes()
}

/// The body of 106.
pub fn cluster_info(table: &RoutingTable) -> Vec<u8> {
    let mut out = String::from("{\"brokerAddrTable\":{");
    list(&mut out, table.brokers(), |out, (name, data)| {
        text(out, name);
        out.push(':');
        broker_data(out, name, data, Form::Legacy);
    });
    out.push_str("},\"clusterAddrTable\":{");
    list(&mut out, table.clusters(), |out, (cluster, names)| {
        text(out, cluster);
        out.push_str(":[");
        list(out, names.iter(), |out, name| text(out, name));
        out.push(']');
    });
    out.push_str("}}");
    out.into_bytes()
}

/// The body of 901.
pub fn member_group(cluster: &str, name: &str, data: Option<&BrokerData>) -> Vec<u8> {
    let empty = BTreeMap::new();
    let addresses = data.map_or(&empty, |data| &data.addresses);
    let mut out = String::from("{\"brokerMemberGroup\":{\"brokerAddrs\":");
    broker_addresses(&mut out, addresses, Form::Legacy);
    out.push_str(",\"brokerName\":");
    text(&mut out, name);
    out.push_str(",\"cluster\":");
    text(&mut out, cluster);
    out.push_str("}}");
    out.into_bytes()
}

/// A list of topics; 304 adds an address.
pub fn topic_list<'a>(topics: impl IntoIterator<Item = &'a str>, address: Option<&str>) -> Vec<u8> {
    let mut out = String::from("{");
    if let Some(address) = address {
        out.push_str("\"brokerAddr\":");
        text(&mut out, address);
        out.push(',');
    }
    out.push_str("\"topicList\":[");
    list(&mut out, topics.into_iter(), text);
    out.push_str("]}");
    out.into_bytes()
}

/// `{"table":{..}}`, the body of 219 and of an answered 103.
pub fn kv_table(table: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = String::from("{\"table\":{");
    list(&mut out, table.iter(), |out, (key, value)| {
        text(out, key);
        out.push(':');
        text(out, value);
    });
    out.push_str("}}");
    out.into_bytes()
}

fn broker_data(out: &mut String, name: &str, data: &BrokerData, form: Form) {
    out.push_str("{\"brokerAddrs\":");
    broker_addresses(out, &data.addresses, form);
    out.push_str(",\"brokerName\":");
    text(out, name);
    out.push_str(",\"cluster\":");
    text(out, &data.cluster);
    let acting = data.enable_acting_master;
    let _ = write!(out, ",\"enableActingMaster\":{acting}");
    if let Some(zone) = &data.zone {
        out.push_str(",\"zoneName\":");
        text(out, zone);
    }
    out.push('}');
}

fn broker_addresses(out: &mut String, addresses: &BTreeMap<i64, String>, form: Form) {
    out.push('{');
    list(out, addresses.iter(), |out, (id, address)| {
        let _ = match form {
            Form::Strict => write!(out, "\"{id}\":"),
            Form::Legacy => write!(out, "{id}:"),
        };
        text(out, address);
    });
    out.push('}');
}

fn queue_data(out: &mut String, name: &str, data: &QueueData) {
    out.push_str("{\"brokerName\":");
    text(out, name);
    let _ = write!(
        out,
        ",\"perm\":{},\"readQueueNums\":{},\"topicSysFlag\":{},\"writeQueueNums\":{}}}",
        data.perm.0, data.read_queue_nums, data.topic_sys_flag, data.write_queue_nums
    );
}

fn topic_mapping(out: &mut String, mapping: &TopicMapping, form: Form) {
    out.push_str("{\"bname\":");
    text(out, &mapping.broker_name);
    out.push_str(",\"currIdMap\":{");
    list(out, mapping.curr_id_map.iter(), |out, (logical, id)| {
        let _ = match form {
            Form::Strict => write!(out, "\"{logical}\":{id}"),
            Form::Legacy => write!(out, "{logical}:{id}"),
        };
    });
    let _ = write!(
        out,
        "}},\"dirty\":{},\"epoch\":{}",
        mapping.dirty, mapping.epoch
    );
    for (member, value) in [("scope", &mapping.scope), ("topic", &mapping.topic)] {
        if let Some(value) = value {
            let _ = write!(out, ",\"{member}\":");
            text(out, value);
        }
    }
    let _ = write!(out, ",\"totalQueues\":{}}}", mapping.total_queues);
}

/// Writes items with commas between them.
fn list<T>(out: &mut String, items: impl Iterator<Item = T>, mut one: impl FnMut(&mut String, T)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(out, item);
    }
}

/// Writes a JSON string.
fn text(out: &mut String, value: &str) {
    let _ = write!(out, "{}", Value::String(value.to_owned()));
}

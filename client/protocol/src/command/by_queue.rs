//! Tables with queues as keys. They are written with strings that hold JSON as keys, which is valid
//! JSON and which Java's readers take; fastjson's own form is read too.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MessageQueue;

pub(super) fn serialize<S: Serializer, T: Serialize>(
    table: &BTreeMap<MessageQueue, T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let key = |queue| serde_json::to_string(queue).unwrap_or_default();
    serializer.collect_map(table.iter().map(|(queue, value)| (key(queue), value)))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<MessageQueue, T>, D::Error> {
    let table = Option::<BTreeMap<String, T>>::deserialize(deserializer)?.unwrap_or_default();
    let queue = |key: &str| serde_json::from_str(key).map_err(D::Error::custom);
    table
        .into_iter()
        .map(|(key, value)| Ok((queue(&key)?, value)))
        .collect()
}

/// A table by client of tables by queue.
pub(super) mod of_clients {
    use super::*;

    /// The inner table, so that a map of it can be read and written.
    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Inner(#[serde(with = "super")] BTreeMap<MessageQueue, i64>);

    pub(in super::super) fn serialize<S: Serializer>(
        table: &BTreeMap<String, BTreeMap<MessageQueue, i64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let inner = |queues: &BTreeMap<_, _>| Inner(queues.clone());
        serializer.collect_map(table.iter().map(|(client, queues)| (client, inner(queues))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, BTreeMap<MessageQueue, i64>>, D::Error> {
        let table = Option::<BTreeMap<String, Inner>>::deserialize(deserializer)?;
        let table = table.unwrap_or_default().into_iter();
        Ok(table.map(|(client, queues)| (client, queues.0)).collect())
    }
}

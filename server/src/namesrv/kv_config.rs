//! The name server's KV configuration (100 to 102, 219; `KVConfigManager.java`): namespaces of keys
//! and values. One namespace has a meaning of its own, `ORDER_TOPIC_CONFIG`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::NAME_SERVER_KV_BYTES_MAX;

/// See the module. Its JSON is Apache's `kvConfig.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvConfig {
    #[serde(rename = "configTable")]
    table: BTreeMap<String, BTreeMap<String, String>>,
    /// Counts changes, so that a writer knows when the file is behind.
    #[serde(skip)]
    changes: u64,
    #[serde(skip)]
    bytes: usize,
}

/// The configuration is at its bound (1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the KV configuration would exceed {NAME_SERVER_KV_BYTES_MAX} bytes")]
pub struct KvFull;

impl KvConfig {
    /// Reads the text [`KvConfig::to_json`] writes.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut config: Self = serde_json::from_slice(text)?;
        config.bytes = config.count_bytes();
        Ok(config)
    }

    /// The text of `kvConfig.json`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Rises with every change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Looks a value up.
    pub fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        self.table.get(namespace)?.get(key).map(String::as_str)
    }

    /// All keys of a namespace.
    pub fn namespace(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.table.get(namespace)
    }

    /// Adds or replaces.
    pub fn put(&mut self, namespace: &str, key: &str, value: &str) -> Result<(), KvFull> {
        let current = self.get(namespace, key);
        let old = current.map_or(0, |current| key.len() + current.len());
        let is_new = !self.table.contains_key(namespace);
        let added = key.len() + value.len() + if is_new { namespace.len() } else { 0 };
        let bytes = self.bytes - old + added;
        if bytes > NAME_SERVER_KV_BYTES_MAX {
            return Err(KvFull);
        }
        self.bytes = bytes;
        self.changes += 1;
        self.table
            .entry(namespace.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Removes; nothing happens when it is not there. An empty namespace stays, as Apache's does.
    pub fn delete(&mut self, namespace: &str, key: &str) {
        let Some(keys) = self.table.get_mut(namespace) else {
            return;
        };
        if let Some(value) = keys.remove(key) {
            self.bytes -= key.len() + value.len();
            self.changes += 1;
        }
    }

    fn count_bytes(&self) -> usize {
        self.table
            .iter()
            .map(|(namespace, keys)| {
                let keys = keys.iter().map(|(key, value)| key.len() + value.len());
                namespace.len() + keys.sum::<usize>()
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_until_deleted() {
        let mut config = KvConfig::default();
        config.put("N", "k", "v1").unwrap();
        config.put("N", "k", "v2").unwrap();
        assert_eq!(config.get("N", "k"), Some("v2"));
        config.delete("N", "k");
        config.delete("N", "k");
        assert_eq!(config.get("N", "k"), None);
        assert_eq!(config.changes(), 3);
    }

    #[test]
    fn the_file_comes_back() {
        let mut config = KvConfig::default();
        config.put("ORDER_TOPIC_CONFIG", "T", "broker-a:4").unwrap();
        let text = config.to_json();
        assert_eq!(
            text,
            r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:4"}}}"#
        );
        let again = KvConfig::from_json(text.as_bytes()).unwrap();
        assert_eq!(again.get("ORDER_TOPIC_CONFIG", "T"), Some("broker-a:4"));
        assert_eq!(again.bytes, config.bytes);
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound() {
        let mut config = KvConfig::default();
        let big = "x".repeat(NAME_SERVER_KV_BYTES_MAX - 10);
        config.put("N", "k", &big).unwrap();
        assert_eq!(config.put("N", "k2", "0123456789"), Err(KvFull));
        config.put("N", "k", "small").unwrap();
        assert_eq!(config.put("N", "k2", "0123456789"), Ok(()));
    }
}

//! What an application sends.

use bytes::Bytes;
use ringmq_protocol::properties;

use crate::error::ClientError;

/// A message before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) topic: String,
    pub(crate) body: Bytes,
    pub(crate) flag: i32,
    properties: Vec<(String, String)>,
}

impl Message {
    /// A message to a topic.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            body: body.into(),
            flag: 0,
            properties: Vec::new(),
        }
    }

    /// Its tag, which consumers filter by.
    pub fn tags(self, tags: impl Into<String>) -> Self {
        self.property("TAGS", tags)
    }

    /// Its keys, separated by spaces, by which it can be looked up.
    pub fn keys(self, keys: impl Into<String>) -> Self {
        self.property("KEYS", keys)
    }

    /// A number that the broker only carries.
    pub fn flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// A property; the last value of a name holds. Neither may contain the bytes 1 and 2.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.properties.retain(|(known, _)| *known != name);
        self.properties.push((name, value.into()));
        self
    }

    /// The property string, with the unique id under its own name.
    pub(crate) fn encode_properties(&self, unique_id: &str) -> Result<Vec<u8>, ClientError> {
        let mut out = Vec::with_capacity(64);
        let own = [("UNIQ_KEY", unique_id), ("WAIT", "true")];
        let users = self
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in users.chain(own) {
            properties::append(&mut out, name, value)
                .map_err(|error| ClientError::Invalid(error.to_string()))?;
        }
        Ok(out)
    }
}

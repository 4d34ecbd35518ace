//! What is registered: the topics of a broker at one version, as bodies of 103 and 217.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::broker::{Permission, SharedMap, Topic};
use crate::data_version::DataVersion;
use crate::limits::REGISTRATION_TOPICS_MAX;

/// The topics at one version. Bodies are made once, by the first thread that needs them.
#[derive(Debug)]
pub struct State {
    topics: SharedMap<Topic>,
    version: DataVersion,
    /// `brokerPermission`: no topic is offered with more.
    permission: Permission,
    /// Topics of one registration.
    split: usize,
    full: OnceLock<Vec<Vec<u8>>>,
}

impl State {
    /// Topics at a version. `split` is the most topics of one registration; more go in several.
    pub fn new(topics: SharedMap<Topic>, version: DataVersion, split: usize) -> Self {
        Self {
            topics,
            version,
            permission: Permission::READ_WRITE,
            split: split.clamp(2, REGISTRATION_TOPICS_MAX),
            full: OnceLock::new(),
        }
    }

    /// Offers topics with no more than this permission.
    pub fn within(self, permission: Permission) -> Self {
        Self { permission, ..self }
    }

    /// Its version.
    pub fn version(&self) -> DataVersion {
        self.version
    }

    /// All topics: the bodies of one registration, or of several when there are very many.
    ///
    /// Each body has a version of its own, because name servers take topics only when the version
    /// has changed; the last one's is that of the state. Two states differ in their counters, two
    /// bodies of one state in their timestamps.
    pub fn bodies(&self) -> &[Vec<u8>] {
        self.full.get_or_init(|| {
            let mut sorted: Vec<&Topic> = self.topics.iter().map(|(_, topic)| &**topic).collect();
            sorted.sort_unstable_by(|a, b| a.config.topic_name.cmp(&b.config.topic_name));
            self.split_bodies(&sorted)
        })
    }

    /// The topics that are new or other than in an older state; nothing when everything must be
    /// registered: because topics have gone only, or because most have changed.
    pub fn changes_since(&self, older: &Self) -> Option<Vec<Arc<Topic>>> {
        let is_changed = |name: &str, topic: &Arc<Topic>| {
            let old = older.topics.get(name);
            !old.is_some_and(|old| Arc::ptr_eq(old, topic))
        };
        let changed: Vec<Arc<Topic>> = self
            .topics
            .iter()
            .filter(|(name, topic)| is_changed(name, topic))
            .map(|(_, topic)| Arc::clone(topic))
            .take(self.topics.len() / 2)
            .collect();
        let is_part = !changed.is_empty() && changed.len() < self.topics.len() / 2;
        is_part.then_some(changed)
    }

    /// The bodies of a registration of these topics alone, at this state's version.
    pub fn bodies_of(&self, topics: &[Arc<Topic>]) -> Vec<Vec<u8>> {
        let mut sorted: Vec<&Topic> = topics.iter().map(|topic| &**topic).collect();
        sorted.sort_unstable_by(|a, b| a.config.topic_name.cmp(&b.config.topic_name));
        self.split_bodies(&sorted)
    }

    /// The body of 217 for one topic of a broker name.
    pub fn single_body(&self, broker_name: &str, topic: &Topic) -> Vec<u8> {
        let config = &topic.config;
        let name = Value::from(broker_name);
        format!(
            r#"{{"brokerDatas":[],"filterServerTable":{{}},"queueDatas":[{{"brokerName":{name},"perm":{},"readQueueNums":{},"topicSysFlag":{},"writeQueueNums":{}}}]}}"#,
            self.offered(topic).0,
            config.read_queue_nums,
            config.topic_sys_flag,
            config.write_queue_nums
        )
        .into_bytes()
    }

    fn split_bodies(&self, sorted: &[&Topic]) -> Vec<Vec<u8>> {
        let parts: Vec<&[&Topic]> = sorted.chunks(self.split).collect();
        let before_last = parts.len().saturating_sub(1);
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for (part, behind) in parts.into_iter().zip((0..=before_last).rev()) {
            let behind = i64::try_from(behind).unwrap_or(i64::MAX);
            let timestamp = self.version.timestamp.saturating_sub(behind);
            let version = DataVersion {
                timestamp,
                ..self.version
            };
            bodies.push(self.body(part, version));
        }
        bodies
    }

    fn body(&self, topics: &[&Topic], version: DataVersion) -> Vec<u8> {
        let version = version.to_json();
        let mut out = String::from(r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"#);
        let _ = write!(out, r#""dataVersion":{version},"topicConfigTable":{{"#);
        for (index, topic) in topics.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let name = Value::from(topic.config.topic_name.as_str());
            let _ = write!(out, "{separator}{name}:{}", self.config_json(topic));
        }
        out.push_str("}}}");
        out.into_bytes()
    }

    fn config_json(&self, topic: &Topic) -> String {
        if self.permission == Permission::READ_WRITE {
            return topic.config.to_json();
        }
        let mut config = topic.config.clone();
        config.perm = self.offered(topic);
        config.to_json()
    }

    /// A broker that takes and gives everything offers a topic as it is, another less (`perm` and
    /// `brokerPermission`, as Apache's).
    fn offered(&self, topic: &Topic) -> Permission {
        if self.permission == Permission::READ_WRITE {
            return topic.config.perm;
        }
        Permission(topic.config.perm.0 & self.permission.0)
    }
}

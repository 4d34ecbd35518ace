//! What every shard knows of topics and groups: immutable copies of the home shard's tables.

use std::sync::Arc;

use ringmq_engine::TopicId;

use crate::broker::{GroupView, SharedMap, Topic};
use crate::metrics::MeterName;
use crate::shard::Settings;

/// One state of the tables, and what a shard has to do when it takes it over. Copying is cheap.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Topics by name.
    pub topics: SharedMap<Topic>,
    /// Groups by name: settings and subscriptions.
    pub groups: SharedMap<GroupView>,
    /// Topics deleted by this change: their queues go.
    pub dropped_topics: Vec<TopicId>,
    /// The settings, once they have changed since the start.
    pub settings: Option<Arc<Settings>>,
}

impl Tables {
    /// Empty tables; `seed` places the names.
    pub fn new(seed: u64) -> Self {
        Self {
            topics: SharedMap::new(seed),
            groups: SharedMap::new(seed),
            dropped_topics: Vec::new(),
            settings: None,
        }
    }

    /// Whether what a meter stands for is still there: this incarnation of its topic, and its group.
    pub fn knows(&self, topic: TopicId, name: &MeterName) -> bool {
        let is_topic = self
            .topics
            .get(&name.topic)
            .is_some_and(|known| known.id == topic);
        let group = name.group.as_deref();
        is_topic && group.is_none_or(|group| self.groups.get(group).is_some())
    }
}

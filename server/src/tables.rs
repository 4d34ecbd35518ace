//! What every shard knows of topics and groups: immutable copies of the home shard's tables.

use ringmq_engine::TopicId;

use crate::broker::{GroupView, SharedMap, Topic};

/// One state of the tables, and what a shard has to do when it takes it over. Copying is cheap.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Topics by name.
    pub topics: SharedMap<Topic>,
    /// Groups by name: settings and subscriptions.
    pub groups: SharedMap<GroupView>,
    /// Topics deleted by this change: their queues go.
    pub dropped_topics: Vec<TopicId>,
}

impl Tables {
    /// Empty tables; `seed` places the names.
    pub fn new(seed: u64) -> Self {
        Self {
            topics: SharedMap::new(seed),
            groups: SharedMap::new(seed),
            dropped_topics: Vec::new(),
        }
    }
}

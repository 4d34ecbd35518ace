//! Static topics of 5.x brokers: which of a topic's logical queues lie on which broker
//! (`TopicQueueMappingInfo.java`). Carried from registrations to routes; nothing here goes by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{NAME_SERVER_NAME_BYTES_MAX, TOPIC_QUEUES_MAX};

/// One broker's part of a static topic. Members are in the order Apache writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicMapping {
    /// The broker's name.
    #[serde(rename = "bname")]
    pub broker_name: String,
    /// Number of the queue on the broker by logical queue.
    pub curr_id_map: BTreeMap<i32, i32>,
    /// Whether it is being changed.
    pub dirty: bool,
    /// Rises with each change.
    pub epoch: i64,
    /// Who shares the topic; `__global__` when everybody does.
    pub scope: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// Logical queues of the topic.
    pub total_queues: i32,
}

impl TopicMapping {
    /// Whether it stays within the bounds of what is kept.
    pub fn is_acceptable(&self) -> bool {
        let texts = [
            Some(&self.broker_name),
            self.scope.as_ref(),
            self.topic.as_ref(),
        ];
        let is_short = |text: &String| text.len() <= NAME_SERVER_NAME_BYTES_MAX;
        self.curr_id_map.len() <= TOPIC_QUEUES_MAX as usize
            && texts.into_iter().flatten().all(is_short)
    }
}

//! One queue of a topic on one broker.

use std::fmt;
use std::sync::Arc;

/// A topic, a broker and a queue id (`MessageQueue`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageQueue {
    /// The topic.
    pub topic: Arc<str>,
    /// The broker's name.
    pub broker_name: Arc<str>,
    /// The queue's number on that broker.
    pub queue_id: u32,
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.broker_name, self.queue_id)
    }
}

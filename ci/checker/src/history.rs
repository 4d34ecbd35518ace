//! What clients saw: sends with their answers, and readings of the queues.

use serde::{Deserialize, Serialize};

/// A topic and a queue id on one broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueName {
    /// The topic.
    pub topic: String,
    /// The queue's number within it.
    pub queue_id: u32,
}

/// Who sent a message and the how-manieth of that client it was; carried in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// The sending client, unique in a history.
    pub client: u32,
    /// Counts that client's sends; never used twice.
    pub number: u64,
}

/// How a send was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// `SEND_OK` with this queue offset.
    Acknowledged {
        /// The queue offset of the answer.
        offset: u64,
    },
    /// Refused before it was appended (codes 2, 13, 14, 16, 17, ...): it must never appear.
    Refused,
    /// No answer, a lost connection, or codes 1, 10, 11, 12: it may appear any number of times.
    Unknown,
}

/// One send as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// What was sent.
    pub id: MessageId,
    /// A checksum over body and properties as sent.
    pub content: u64,
    /// Where it was sent to.
    pub queue: QueueName,
    /// When it was begun, nanoseconds on the history's clock.
    pub begun_ns: u64,
    /// When it was answered or given up.
    pub ended_ns: u64,
    /// The answer.
    pub outcome: Outcome,
}

/// A message as it was read from a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its queue offset.
    pub offset: u64,
    /// The id found in its body; `None` when the body is none of ours.
    pub id: Option<MessageId>,
    /// The checksum over body and properties as read.
    pub content: u64,
}

/// One reading of one queue: its bounds and what was found between two offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The queue.
    pub queue: QueueName,
    /// When the bounds were read.
    pub at_ns: u64,
    /// Its minimum offset.
    pub min: u64,
    /// Its maximum offset: the next one to be given.
    pub max: u64,
    /// What was read, in the order it was delivered. May be only a part (online readings).
    pub messages: Vec<Stored>,
    /// Whether everything from `min` to `max` was read.
    pub complete: bool,
}

/// Everything the clients of one run saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// All sends of all clients, in any order.
    pub sends: Vec<Send>,
    /// All readings, in any order; the last complete one of each queue is the final state.
    pub observations: Vec<Observation>,
}

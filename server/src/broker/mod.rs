//! RocketMQ's semantics as plain state machines: no sockets, no files, no clocks. Time comes in as
//! an argument (`now_ms` is wall time for what peers see, `monotonic_ms` for leases and silence),
//! and the same calls always give the same answers in the same order.
//!
//! All of it lives on the home shard. What the data path of the other shards needs (topics, group
//! views) is handed to them as [`SharedMap`] copies.

pub mod attributes;
pub mod filter;
pub mod group_config;
pub mod groups;
pub mod heartbeat;
pub mod locks;
pub mod names;
pub mod registry;
pub mod shared_map;
pub mod system_topics;
pub mod topic_config;
pub mod topics;

pub use filter::{FilterError, TagExpression};
pub use group_config::GroupConfig;
pub use groups::{GroupError, GroupTable};
pub use heartbeat::{Heartbeat, HeartbeatError};
pub use locks::{LockRequest, LockTable, QueueKey};
pub use registry::{Effect, GroupView, Registry, Subscription};
pub use shared_map::SharedMap;
pub use topic_config::{Permission, TopicConfig};
pub use topics::{Creation, Topic, TopicError, TopicTable};

/// One connection of this process, whichever shard it lives on. Chosen by the connection layer,
/// never reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

//! Shard-per-core durable log: commit blocks, queues, indexes, checkpoints, recovery.
//!
//! A [`Shard`] is a plain state machine over the ring's `Io`; nothing here knows a socket or a
//! request code, and of RocketMQ only the stored record.
#![forbid(unsafe_code)]

pub mod block;
mod checkpoint;
pub mod config;
pub mod control;
pub mod control_record;
pub mod embedded;
pub mod engine;
pub mod error;
mod hash;
pub mod index;
pub mod limits;
mod little_endian;
pub mod log;
pub mod manifest;
pub mod metrics;
pub mod placement;
pub mod pull;
pub mod queue;
pub mod recovery;
pub mod shard;
pub mod slot;
pub mod state;
pub mod store;
mod tickets;
mod token;
pub mod types;
mod waiters;
pub mod witness;

pub use config::{Config, Durability};
pub use embedded::Embedded;
pub use engine::{Engine, Running, ShardContext};
pub use error::{Error, Refused};
pub use log::retention::{Hours, Policy};
pub use metrics::{Refusing, ShardStatus};
pub use pull::{
    Boundary, Event, OffsetOutcome, PullOutcome, PullRequest, PullResult, PullStatus, TagFilter,
    Ticket, View, ViewOutcome,
};
pub use shard::{Appended, AppendedBatch, Shard, ShardPace};
pub use types::{
    Committed, CommittedPlace, LogOffset, Offsets, PhysicalOffset, QueueNumber, SegmentNumber,
    ShardIndex, TopicId,
};

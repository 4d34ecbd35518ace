//! Shard-per-core durable log: commit blocks, queues, indexes, checkpoints, recovery.
//!
//! A [`shard`] is a plain state machine over the ring's `Io`; nothing here knows a socket or a
//! request code, and of RocketMQ only the stored record.
#![forbid(unsafe_code)]

pub mod queue;
pub mod types;

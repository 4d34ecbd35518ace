//! Shard-per-core durable log: commit blocks, queues, indexes, checkpoints, recovery
#![forbid(unsafe_code)]

//! The commit log of one shard.

pub mod retention;

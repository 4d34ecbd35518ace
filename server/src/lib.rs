//! RingMQ's name server and broker.
//!
//! `broker` and `namesrv` hold RocketMQ's semantics as plain state machines; connections, dispatch
//! and handlers carry bytes to them and to the engine's shards; `control` starts, registers and
//! stops it all.
#![forbid(unsafe_code)]

pub mod broker;
pub mod config;
pub mod connection;
pub mod connections;
pub mod data_version;
pub mod flags;
pub mod limits;
pub mod mux;
pub mod namesrv;
pub mod properties_file;
pub mod waiters;

//! RingMQ's name server and broker.
//!
//! `broker` and `namesrv` hold RocketMQ's semantics as plain state machines; connections, dispatch
//! and handlers carry bytes to them and to the engine's shards; `control` starts, registers and
//! stops it all.
#![forbid(unsafe_code)]

pub mod broker;
pub mod calls;
pub mod config;
pub mod connection;
pub mod connections;
pub mod context;
pub mod control;
pub mod data_version;
pub mod desk;
pub mod dispatch;
pub mod doors;
pub mod error;
pub mod fastjson;
pub mod flags;
pub mod front;
pub mod gather;
pub mod handlers;
pub mod home;
pub mod limits;
pub mod link;
pub mod listener;
pub mod metrics;
pub mod mux;
pub mod namesrv;
pub mod progress;
pub mod properties_file;
pub mod reply;
pub mod routes;
pub mod sends;
pub mod service;
pub mod shard;
pub mod sparing;
pub mod statistics;
pub mod tables;
pub mod waiters;

pub use config::Config;
pub use control::start::{Running, start};

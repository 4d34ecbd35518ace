//! The control plane of the server: what starts it, registers it, logs for it and stops it. None of
//! it runs on a shard's thread.

pub mod boot_lines;
mod desk;
pub mod http;
mod kv_file;
pub mod listen;
mod live;
pub mod log;
mod min_brokers;
pub mod name_servers;
pub mod panics;
pub mod registration;
mod remoting;
mod runtime_info;
pub mod start;
mod store;
pub mod supervisor;
mod threads;

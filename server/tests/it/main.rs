//! The server over real sockets and rings, spoken to in raw bytes; and in the simulated world, where
//! minutes pass in no time.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod admin;
mod broker;
mod connections;
mod doors;
mod figures;
mod golden;
mod groups;
mod harness;
mod http;
mod live_config;
mod metrics;
mod names;
mod names_golden;
mod process;
mod progress;
mod pulls;
mod register_broker_body;
mod request_dispatch;
mod sends;
mod simulated;
mod simulated_admin;
mod simulated_broker;
mod steady;
mod wire;

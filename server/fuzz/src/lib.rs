//! The bodies of the fuzz targets. `server/tests/it/` runs the same ones over seeded inputs.
#![forbid(unsafe_code)]

#[path = "../../tests/it/harness.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod harness;
pub mod register_broker_body;
pub mod request_dispatch;

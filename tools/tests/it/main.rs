//! The `ringmq-admin` binary against a name server and a broker in this process.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cluster;
mod folder;
mod groups;
mod messages;
mod topics;
mod usage;

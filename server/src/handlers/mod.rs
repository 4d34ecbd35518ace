//! What each request code does, one file per family, under the names of the protocol's commands.
//! Every handler has three steps: decode, call the owner (or forward), answer.

pub mod client;
pub mod config;
pub mod entries;
pub mod group;
pub mod lock;
pub mod maintenance;
pub mod members;
pub mod names;
pub mod offset;
pub mod page;
pub mod progress;
pub mod pull;
pub mod query;
pub mod relay;
pub mod reset;
pub mod send;
pub mod stats;
pub mod topic;

//! The name server: which brokers live where and which topics they serve.
//!
//! Plain state machines, as [`crate::broker`]: a routing table kept alive by registrations, a small
//! KV configuration, and one function that answers every request.

pub mod bodies;
pub mod kv_config;
pub mod registration;
pub mod relaxed_json;
pub mod requests;
pub mod routing_table;

pub use kv_config::KvConfig;
pub use registration::{Registration, RegistrationError};
pub use requests::{Answer, NameServer, NameServerSettings, Request};
pub use routing_table::{
    BrokerData, BrokerKey, QueueData, RegisterError, Registered, RoutingTable,
};

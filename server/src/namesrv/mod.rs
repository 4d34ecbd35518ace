//! The name server: which brokers live where and which topics they serve.
//!
//! Plain state machines, as [`crate::broker`]: a routing table kept alive by registrations, a small
//! KV configuration, and one function that answers every request.

pub mod bodies;
pub mod kv_config;
pub mod min_broker;
pub mod registration;
pub mod relaxed_json;
pub mod requests;
pub mod routing_table;
pub mod topic_mapping;

pub use kv_config::KvConfig;
pub use min_broker::MinBrokerChange;
pub use registration::{Registration, RegistrationError};
pub use requests::{Answer, NameServer, NameServerSettings, Request};
pub use routing_table::{
    BrokerData, BrokerKey, Gone, QueueData, RegisterError, RegisterRules, Registered, RoutingTable,
};
pub use topic_mapping::TopicMapping;

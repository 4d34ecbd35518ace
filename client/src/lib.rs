//! Producers and consumers for RingMQ and Apache RocketMQ.
//!
//! One I/O thread per [`Client`]; callers on any async runtime or none. Every call exists as a
//! blocking method and as a future that needs no runtime of its own.
//!
//! ```no_run
//! use ringmq_client::{Client, ClientConfig, Message, Producer, PullConsumer};
//!
//! fn main() -> Result<(), ringmq_client::ClientError> {
//!     let client = Client::new(ClientConfig::new("127.0.0.1:9876"))?;
//!     let producer = Producer::new(&client, "my-producers");
//!     let sent = producer.send(&Message::new("greetings", "hello").tags("TagA"))?;
//!     println!("{} is durable at {}@{}", sent.message_id, sent.queue, sent.queue_offset);
//!
//!     let consumer = PullConsumer::new(&client, "my-consumers");
//!     for queue in consumer.queues("greetings")? {
//!         let batch = consumer.pull(&queue, 0, 32)?;
//!         for message in batch.messages() {
//!             println!("{}", String::from_utf8_lossy(message.body()));
//!         }
//!     }
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

pub mod admin;
mod call;
mod client;
mod config;
mod connection;
mod error;
mod in_parallel;
mod io_thread;
mod limits;
mod message;
mod producer;
mod pull;
mod queue;
mod route;

pub use admin::{Admin, wait};
pub use client::Client;
pub use config::ClientConfig;
pub use error::ClientError;
pub use in_parallel::in_parallel;
pub use message::Message;
pub use producer::{Producer, SendResult};
pub use pull::{PullBatch, PullConsumer, PullStatus};
pub use queue::MessageQueue;
/// The types of requests and answers.
pub use ringmq_protocol as protocol;

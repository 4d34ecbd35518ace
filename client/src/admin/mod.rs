//! Requests of operators, one noun a file. Every method is a future that needs no runtime; on a
//! thread that runs none, [`wait`] waits for it.
//!
//! ```no_run
//! use ringmq_client::{Admin, Client, ClientConfig, wait};
//!
//! fn main() -> Result<(), ringmq_client::ClientError> {
//!     let client = Client::new(ClientConfig::new("127.0.0.1:9876"))?;
//!     let admin = Admin::new(&client);
//!     for broker in wait(admin.brokers().masters("DefaultCluster"))? {
//!         let groups = wait(admin.groups().all(&broker))?;
//!         println!("{broker}: {} groups", groups.subscription_group_table.len());
//!     }
//!     Ok(())
//! }
//! ```

mod brokers;
mod clients;
mod groups;
mod messages;
mod name_servers;
mod offsets;
mod topics;

use std::future::Future;
use std::sync::Arc;

use ringmq_protocol::ExtWriter;
use ringmq_protocol::code::response;
use ringmq_protocol::command::CommandError;

pub use brokers::Brokers;
pub use clients::Clients;
pub use groups::Groups;
pub use messages::{Messages, StoredMessage};
pub use name_servers::NameServers;
pub use offsets::Offsets;
pub use topics::Topics;

use crate::call::Answered;
use crate::client::Client;
use crate::error::ClientError;

/// Waits for a future of this crate on a thread that runs no async runtime.
pub fn wait<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}

/// Administers a cluster of RingMQ or Apache RocketMQ servers.
///
/// Addresses are `host:port`. Errors are the same everywhere: [`ClientError::Refused`] with the
/// server's code and text, [`ClientError::Unreachable`], or [`ClientError::Unknown`] where a request
/// left and no answer came.
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// An administrator of the client's cluster.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
        }
    }

    /// Topics: their names, routes, settings and offsets.
    pub fn topics(&self) -> Topics<'_> {
        Topics { admin: self }
    }

    /// Consumer groups: their settings.
    pub fn groups(&self) -> Groups<'_> {
        Groups { admin: self }
    }

    /// Offsets of groups: how far they are, and moving them.
    pub fn offsets(&self) -> Offsets<'_> {
        Offsets { admin: self }
    }

    /// Brokers: where they are, their state, configuration and rates.
    pub fn brokers(&self) -> Brokers<'_> {
        Brokers { admin: self }
    }

    /// Name servers: their configuration, key-value pairs and write permissions.
    pub fn name_servers(&self) -> NameServers<'_> {
        NameServers { admin: self }
    }

    /// Stored messages: by id, by place, by key.
    pub fn messages(&self) -> Messages<'_> {
        Messages { admin: self }
    }

    /// Connected clients.
    pub fn clients(&self) -> Clients<'_> {
        Clients { admin: self }
    }

    /// Asks one server; a code other than 0 is a refusal.
    async fn ask(
        &self,
        address: &str,
        code: i32,
        body: &[u8],
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<Answered, ClientError> {
        let address: Arc<str> = address.into();
        let answer = self.client.call(&address, code, body, ext).await?;
        let header = answer.header()?;
        if header.code == response::SUCCESS {
            return Ok(answer);
        }
        let remark = header.remark.map(|text| text.to_cow().into_owned());
        Err(ClientError::Refused {
            code: header.code,
            remark: remark.unwrap_or_default(),
        })
    }

    /// Asks one name server after the other until one answers or refuses: all know the same.
    async fn ask_name_servers(
        &self,
        code: i32,
        ext: impl Fn(&mut ExtWriter<'_>),
    ) -> Result<Answered, ClientError> {
        let mut last = ClientError::Closed;
        for server in &self.client.config().name_servers {
            match self.ask(server, code, &[], &ext).await {
                Err(error @ (ClientError::Unreachable { .. } | ClientError::Unknown(_))) => {
                    last = error;
                }
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// Asks every name server, in their order, and ends at the first that does not do it: they do
    /// not tell each other.
    async fn ask_every_name_server(
        &self,
        code: i32,
        ext: impl Fn(&mut ExtWriter<'_>),
    ) -> Result<Vec<Answered>, ClientError> {
        let mut answers = Vec::new();
        for server in &self.client.config().name_servers {
            answers.push(self.ask(server, code, &[], &ext).await?);
        }
        Ok(answers)
    }
}

/// A body that does not parse is the server's mistake.
fn read<T>(parsed: Result<T, CommandError>) -> Result<T, ClientError> {
    parsed.map_err(|error| ClientError::Malformed(error.to_string()))
}

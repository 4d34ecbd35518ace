//! Registration with name servers (name server page 2.5): one thread each, so that a slow or dead
//! one delays no other. At the start, every period, at once when the topics change, anew as soon as
//! the connection is found broken; deregistration at the end.
//!
//! The name servers are a list that may change: an HTTP endpoint or a DNS name can say which they
//! are ([`super::name_servers`]).

pub mod state;
mod worker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flume::{Receiver, Sender};

pub use state::State;
use worker::{Order, Worker};

use super::name_servers::Finder;
use crate::limits::NAME_SERVERS_MAX;

/// How long a deregistration may take: the process is waiting to end.
pub(super) const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(1);

/// Who registers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub name: String,
    /// `brokerId`.
    pub id: i64,
    /// What clients connect to.
    pub address: SocketAddr,
    /// What slaves connect to.
    pub ha_address: SocketAddr,
}

/// How it registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// `registerNameServerPeriod`.
    pub period: Duration,
    /// `registerBrokerTimeoutMills`: how long one registration may take.
    pub timeout: Duration,
    /// Not `forceRegister`: a name server that says it knows the topics is not sent them again.
    pub asks_first: bool,
    /// `enableSingleTopicRegister`: changed topics are registered one by one (217, 5.x).
    pub single_topics: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(30),
            timeout: Duration::from_secs(24),
            asks_first: false,
            single_topics: false,
        }
    }
}

/// All registrations of this process.
#[derive(Debug)]
pub struct Registrar {
    identity: Identity,
    manner: Manner,
    /// The name server in this process: always among them.
    own: Option<String>,
    workers: BTreeMap<String, Handle>,
    /// Threads that have been told to deregister and end.
    ending: Vec<thread::JoinHandle<()>>,
    /// The newest topics.
    state: Option<Arc<State>>,
    finder: Option<Finder>,
    tell: Sender<String>,
    first_rounds: Receiver<String>,
}

#[derive(Debug)]
struct Handle {
    orders: Sender<Order>,
    thread: thread::JoinHandle<()>,
}

impl Registrar {
    /// Nobody to register with yet, but the name server in this process if there is one. Registration
    /// begins with [`Registrar::register`].
    pub fn new(identity: Identity, manner: Manner, own: Option<String>) -> std::io::Result<Self> {
        let (tell, first_rounds) = flume::unbounded();
        let mut registrar = Self {
            identity,
            manner,
            own,
            workers: BTreeMap::new(),
            ending: Vec::new(),
            state: None,
            finder: None,
            tell,
            first_rounds,
        };
        registrar.set_servers(&[])?;
        Ok(registrar)
    }

    /// Registers with these name servers from now on, and leaves the others.
    pub fn set_servers(&mut self, servers: &[String]) -> std::io::Result<()> {
        let wanted: Vec<&String> = servers
            .iter()
            .chain(&self.own)
            .take(NAME_SERVERS_MAX)
            .collect();
        let gone: Vec<String> = self
            .workers
            .keys()
            .filter(|server| !wanted.contains(server))
            .cloned()
            .collect();
        let new: Vec<String> = wanted
            .into_iter()
            .filter(|server| !self.workers.contains_key(*server))
            .cloned()
            .collect();
        for server in gone {
            if let Some(handle) = self.workers.remove(&server) {
                let _ = handle.orders.send(Order::Unregister);
                self.ending.push(handle.thread);
            }
        }
        for server in new {
            let handle = self.start_worker(&server)?;
            self.workers.insert(server, handle);
        }
        Ok(())
    }

    /// Follows what a finder finds.
    pub fn follow(&mut self, finder: Finder) {
        self.finder = Some(finder);
    }

    /// Takes over a list of name servers that has been found since the last call.
    pub fn poll(&mut self) {
        self.ending.retain(|thread| !thread.is_finished());
        let Some(servers) = self.finder.as_ref().and_then(Finder::newest) else {
            return;
        };
        tracing::info!(name_servers = %servers.join(";"), "name servers found");
        if let Err(error) = self.set_servers(&servers) {
            tracing::error!(%error, "cannot start a thread to register with a name server");
        }
    }

    /// Registers these topics with every name server, now and from now on.
    pub fn register(&mut self, state: State) {
        let state = Arc::new(state);
        for handle in self.workers.values() {
            // A thread that has gone has nothing left to register.
            let _ = handle.orders.send(Order::Register(Arc::clone(&state)));
        }
        self.state = Some(state);
    }

    /// Waits until every name server has been tried once, at most this long. Servers that have not
    /// taken the registration by then are tried on in the background, with a warning already given.
    pub fn wait_first_round(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        if let Some(finder) = &self.finder {
            finder.wait_first(deadline);
        }
        self.poll();
        for _ in 0..self.workers.len() {
            if self.first_rounds.recv_deadline(deadline).is_err() {
                return;
            }
        }
    }

    /// Deregisters everywhere in parallel and ends the threads.
    pub fn stop(mut self) {
        let workers = std::mem::take(&mut self.workers);
        for handle in workers.into_values() {
            let _ = handle.orders.send(Order::Unregister);
            self.ending.push(handle.thread);
        }
        let deadline = Instant::now() + UNREGISTER_TIMEOUT + UNREGISTER_TIMEOUT;
        for thread in self.ending {
            // A thread in the middle of a connection attempt is left behind: the process ends.
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }

    fn start_worker(&self, server: &str) -> std::io::Result<Handle> {
        let (orders, received) = flume::unbounded();
        let is_own = self.own.as_deref() == Some(server);
        let manner = Manner {
            // What this process knows it need not be told again every half minute.
            asks_first: self.manner.asks_first || is_own,
            ..self.manner
        };
        let worker = Worker::new(
            server.to_owned(),
            self.identity.clone(),
            manner,
            received,
            self.tell.clone(),
        );
        if let Some(state) = &self.state {
            let _ = orders.send(Order::Register(Arc::clone(state)));
        }
        let thread = thread::Builder::new()
            .name("registration".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || worker.run())?;
        Ok(Handle { orders, thread })
    }
}

#[cfg(test)]
mod tests;

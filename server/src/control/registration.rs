//! Registration with name servers (name server page 2.5): one thread each, so that a slow or dead
//! one delays no other. At the start, every period, at once when the topics change, anew as soon as
//! the connection is found broken; deregistration at the end.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError, Sender};
use ringmq_protocol::checksum::body_crc;
use ringmq_protocol::code;
use serde_json::Value;

use super::remoting::{CallError, Connection};
use crate::broker::{SharedMap, Topic};
use crate::data_version::DataVersion;
use crate::limits::{NAME_SERVERS_MAX, REGISTRATION_TOPICS_MAX};

/// How long a registration may take (Apache's brokers wait as long).
const REGISTER_TIMEOUT: Duration = Duration::from_secs(24);
/// How long a deregistration may take: the process is waiting to end.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(1);
/// First pause after a failure; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest pause after a failure: a name server that is back is told soon.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How often a quiet connection is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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

/// The bodies of one state of the topics: one, or several when there are very many topics.
#[derive(Debug, PartialEq, Eq)]
pub struct Bodies(Vec<Vec<u8>>);

impl Bodies {
    /// Every body but the first carries a later data version than the one before, because older name
    /// servers take topics only when the version has changed.
    pub fn new(topics: &SharedMap<Topic>, version: DataVersion) -> Self {
        let mut sorted: Vec<_> = topics.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| Arc::clone(name));
        let parts = sorted.chunks(REGISTRATION_TOPICS_MAX);
        let bodies = parts.zip(0..).map(|(part, index)| {
            let counter = version.counter.wrapping_add(index);
            let version = DataVersion { counter, ..version };
            body(part.iter().map(|(_, topic)| &***topic), version)
        });
        Self(bodies.collect())
    }
}

fn body<'a>(topics: impl Iterator<Item = &'a Topic>, version: DataVersion) -> Vec<u8> {
    let version = version.to_json();
    let mut out = String::from(r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"#);
    let _ = write!(out, r#""dataVersion":{version},"topicConfigTable":{{"#);
    for (index, topic) in topics.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let name = Value::from(topic.config.topic_name.as_str());
        let _ = write!(out, "{separator}{name}:{}", topic.config.to_json());
    }
    out.push_str("}}}");
    out.into_bytes()
}

/// What a thread is told.
enum Order {
    Register(Arc<Bodies>),
    Unregister,
}

/// All registrations of this process.
#[derive(Debug)]
pub struct Registrar {
    threads: Vec<(Sender<Order>, thread::JoinHandle<()>)>,
    first_rounds: Receiver<String>,
}

impl Registrar {
    /// Starts a thread for each name server; they register once [`Registrar::register`] is called.
    pub fn start(
        identity: &Identity,
        name_servers: &[String],
        period: Duration,
    ) -> std::io::Result<Self> {
        let (tell, first_rounds) = flume::unbounded();
        let mut threads = Vec::new();
        for server in name_servers.iter().take(NAME_SERVERS_MAX) {
            let (orders, received) = flume::unbounded();
            let worker = Worker {
                server: server.clone(),
                identity: identity.clone(),
                period,
                orders: received,
                tell: Some(tell.clone()),
                bodies: None,
                connection: None,
                backoff: BACKOFF_MIN,
                was_refused: false,
            };
            let thread = thread::Builder::new()
                .name("registration".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || worker.run())?;
            threads.push((orders, thread));
        }
        Ok(Self {
            threads,
            first_rounds,
        })
    }

    /// Registers these topics with every name server, now and from now on.
    pub fn register(&self, bodies: Bodies) {
        let bodies = Arc::new(bodies);
        for (orders, _) in &self.threads {
            // A thread that has gone has nothing left to register.
            let _ = orders.send(Order::Register(Arc::clone(&bodies)));
        }
    }

    /// Waits until every name server has been tried once, at most this long. Servers that have not
    /// taken the registration by then are tried on in the background, with a warning already given.
    pub fn wait_first_round(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        for _ in &self.threads {
            if self.first_rounds.recv_deadline(deadline).is_err() {
                return;
            }
        }
    }

    /// Deregisters everywhere in parallel and ends the threads.
    pub fn stop(self) {
        for (orders, _) in &self.threads {
            let _ = orders.send(Order::Unregister);
        }
        let deadline = Instant::now() + UNREGISTER_TIMEOUT + UNREGISTER_TIMEOUT;
        for (_, thread) in self.threads {
            // A thread in the middle of a connection attempt is left behind: the process ends.
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

struct Worker {
    server: String,
    identity: Identity,
    period: Duration,
    orders: Receiver<Order>,
    /// Told once, after the first attempt.
    tell: Option<Sender<String>>,
    bodies: Option<Arc<Bodies>>,
    connection: Option<Connection>,
    backoff: Duration,
    was_refused: bool,
}

impl Worker {
    fn run(mut self) {
        let mut due = Instant::now() + self.period;
        loop {
            let pause = due.saturating_duration_since(Instant::now());
            match self.orders.recv_timeout(pause.min(LOOK_INTERVAL)) {
                Ok(order) => {
                    if self.take(order) {
                        return self.unregister();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.unregister(),
                Err(RecvTimeoutError::Timeout) if Instant::now() < due && !self.is_lost() => {
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            due = Instant::now() + self.register();
        }
    }

    /// Takes this order and all that wait behind it, so that only the newest state is registered;
    /// returns whether it is time to end.
    fn take(&mut self, order: Order) -> bool {
        let mut next = Some(order);
        while let Some(order) = next {
            match order {
                Order::Register(bodies) => self.bodies = Some(bodies),
                Order::Unregister => return true,
            }
            next = self.orders.try_recv().ok();
        }
        false
    }

    fn is_lost(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_closed)
    }

    /// Registers once; returns how long to wait before the next time.
    fn register(&mut self) -> Duration {
        let Some(bodies) = self.bodies.clone() else {
            return self.period;
        };
        let outcome = self.try_register(&bodies);
        let pause = match &outcome {
            Ok(()) => {
                self.backoff = BACKOFF_MIN;
                self.period
            }
            Err(_) => {
                let pause = self.backoff;
                self.backoff = (pause * 2).min(BACKOFF_MAX);
                pause
            }
        };
        self.report(outcome);
        pause
    }

    fn try_register(&mut self, bodies: &Bodies) -> Result<(), CallError> {
        if self.is_lost() {
            self.connection = None;
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.server)?,
        };
        for body in &bodies.0 {
            connection.call(
                code::request::REGISTER_BROKER,
                body,
                REGISTER_TIMEOUT,
                |ext| {
                    self.put_identity(ext);
                    ext.put(
                        "haServerAddr",
                        self.identity.ha_address.to_string().as_str(),
                    );
                    ext.put("compressed", "false");
                    ext.put("bodyCrc32", body_crc(body).to_string().as_str());
                    ext.put("enableActingMaster", "false");
                },
            )?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    fn put_identity(&self, ext: &mut ringmq_protocol::header::ExtWriter<'_>) {
        ext.put("brokerName", self.identity.name.as_str());
        ext.put("brokerAddr", self.identity.address.to_string().as_str());
        ext.put("clusterName", self.identity.cluster.as_str());
        ext.put("brokerId", self.identity.id.to_string().as_str());
    }

    /// Says it when the state changes, not every time.
    fn report(&mut self, outcome: Result<(), CallError>) {
        match outcome {
            Ok(()) if self.was_refused || self.tell.is_some() => {
                tracing::info!(name_server = %self.server, "registered");
                self.was_refused = false;
            }
            Err(error) if !self.was_refused => {
                tracing::warn!(name_server = %self.server, %error, "cannot register; trying on");
                self.was_refused = true;
            }
            _ => {}
        }
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(self.server.clone());
        }
    }

    fn unregister(mut self) {
        // Without a connection there is no registration either: it ended with the connection.
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let call = connection.call(
            code::request::UNREGISTER_BROKER,
            b"",
            UNREGISTER_TIMEOUT,
            |ext| self.put_identity(ext),
        );
        if let Err(error) = call {
            tracing::warn!(name_server = %self.server, %error, "cannot deregister");
        }
    }
}

#[cfg(test)]
mod tests;

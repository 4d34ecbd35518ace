//! The thread that keeps one name server informed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError, Sender};
use ringmq_protocol::checksum::body_crc;
use ringmq_protocol::code;
use ringmq_protocol::header::ExtWriter;

use super::{Identity, Manner, State, UNREGISTER_TIMEOUT};
use crate::broker::Topic;
use crate::control::remoting::{CallError, Connection};

/// First pause after a failure; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest pause after a failure: a name server that is back is told soon.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How often a quiet connection is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the registration of one topic may take (Apache's brokers wait as long).
const SINGLE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a thread is told.
pub(super) enum Order {
    Register(Arc<State>),
    Unregister,
}

/// See the module.
pub(super) struct Worker {
    server: String,
    identity: Identity,
    manner: Manner,
    orders: Receiver<Order>,
    /// Told once, after the first attempt.
    tell: Option<Sender<String>>,
    state: Option<Arc<State>>,
    /// What the name server has been told through the connection that is open.
    told: Option<Arc<State>>,
    connection: Option<Connection>,
    backoff: Duration,
    was_refused: bool,
}

impl Worker {
    pub fn new(
        server: String,
        identity: Identity,
        manner: Manner,
        orders: Receiver<Order>,
        tell: Sender<String>,
    ) -> Self {
        Self {
            server,
            identity,
            manner,
            orders,
            tell: Some(tell),
            state: None,
            told: None,
            connection: None,
            backoff: BACKOFF_MIN,
            was_refused: false,
        }
    }

    pub fn run(mut self) {
        let mut due = Instant::now() + self.manner.period;
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

    /// Takes this order and all that wait behind it, so that many changes are one registration;
    /// returns whether it is time to end.
    fn take(&mut self, order: Order) -> bool {
        let mut next = Some(order);
        while let Some(order) = next {
            match order {
                Order::Register(state) => self.state = Some(state),
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
        let Some(state) = self.state.clone() else {
            return self.manner.period;
        };
        let outcome = self.try_register(&state);
        let pause = match &outcome {
            Ok(()) => {
                self.told = Some(state);
                self.backoff = BACKOFF_MIN;
                self.manner.period
            }
            Err(_) => {
                self.connection = None;
                self.told = None;
                let pause = self.backoff;
                self.backoff = (pause * 2).min(BACKOFF_MAX);
                pause
            }
        };
        self.report(outcome);
        pause
    }

    fn try_register(&mut self, state: &State) -> Result<(), CallError> {
        self.connect()?;
        if let Some(told) = self.told.clone() {
            if told.version() == state.version() {
                if self.manner.asks_first && self.is_known(state)? {
                    return Ok(());
                }
            } else if let Some(changed) = state.changes_since(&told) {
                return self.register_changes(state, &changed);
            }
        }
        for body in state.bodies() {
            self.send(body)?;
        }
        Ok(())
    }

    /// A connection to where the name is now: one that broke is made anew, and so is one to an
    /// address that the name no longer has.
    fn connect(&mut self) -> Result<(), CallError> {
        let is_usable = |connection: &Connection| {
            !connection.is_closed() && !connection.has_moved(&self.server)
        };
        if self.connection.as_ref().is_some_and(is_usable) {
            return Ok(());
        }
        self.told = None;
        self.connection = Some(Connection::open(&self.server)?);
        Ok(())
    }

    fn open(&mut self) -> Result<&mut Connection, CallError> {
        let lost = || CallError::Io(std::io::ErrorKind::NotConnected.into());
        self.connection.as_mut().ok_or_else(lost)
    }

    /// Asks whether the name server has the topics at this version already (322).
    fn is_known(&mut self, state: &State) -> Result<bool, CallError> {
        let (identity, timeout) = (self.identity.clone(), self.manner.timeout);
        let answer = self.open()?.call(
            code::request::QUERY_DATA_VERSION,
            state.version().to_json().as_bytes(),
            timeout,
            |ext| identity.put(ext),
        )?;
        let is_same = answer.field("changed") == Some("false");
        Ok(is_same)
    }

    fn register_changes(&mut self, state: &State, changed: &[Arc<Topic>]) -> Result<(), CallError> {
        if !self.manner.single_topics {
            for body in state.bodies_of(changed) {
                self.send(&body)?;
            }
            return Ok(());
        }
        for topic in changed {
            let body = state.single_body(&self.identity.name, topic);
            let name = topic.config.topic_name.as_str();
            let code = code::request::REGISTER_TOPIC_IN_NAMESRV;
            let put = |ext: &mut ExtWriter<'_>| ext.put("topic", name);
            self.open()?.call(code, &body, SINGLE_TIMEOUT, put)?;
        }
        Ok(())
    }

    fn send(&mut self, body: &[u8]) -> Result<(), CallError> {
        let (identity, timeout) = (self.identity.clone(), self.manner.timeout);
        let code = code::request::REGISTER_BROKER;
        self.open()?.call(code, body, timeout, |ext| {
            identity.put(ext);
            let ha_address = identity.ha_address.to_string();
            ext.put("haServerAddr", ha_address.as_str());
            ext.put("compressed", "false");
            ext.put("bodyCrc32", body_crc(body).to_string().as_str());
            ext.put("enableActingMaster", "false");
        })?;
        Ok(())
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
            |ext| self.identity.put(ext),
        );
        if let Err(error) = call {
            tracing::warn!(name_server = %self.server, %error, "cannot deregister");
        }
    }
}

impl Identity {
    fn put(&self, ext: &mut ExtWriter<'_>) {
        ext.put("brokerName", self.name.as_str());
        ext.put("brokerAddr", self.address.to_string().as_str());
        ext.put("clusterName", self.cluster.as_str());
        ext.put("brokerId", self.id.to_string().as_str());
    }
}

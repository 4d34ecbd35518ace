//! The side of a shard thread that faces the clients: its connections, and the way to those of the
//! other shards. Handlers answer through it and never know which it was.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use ringmq_protocol::code::response;
use ringmq_ring::{Io, Moment};

use crate::connection::{CloseReason, ConnectionId, Outbound, Port};
use crate::connections::Connections;
use crate::desk::{Ask, Question, WholeReply};
use crate::doors::{Doors, Guests};
use crate::limits;
use crate::metrics::{Metrics, Recorder};
use crate::mux::{Letter, Mux, Origin};
use crate::reply::{Refusal, ReplyTo};
use crate::sparing::Sparing;
use crate::statistics::Rates;
use crate::tables::Tables;

/// See the module.
pub struct Front<I: Io> {
    /// Connections of this thread.
    pub connections: Connections,
    /// Letters from and to the other shards.
    pub mux: Mux<I, Tables>,
    /// The clocks as of this turn.
    pub now: Moment,
    /// What is counted here.
    pub metrics: Recorder,
    /// Messages a second of topics and groups in the last minute, as of ten seconds ago at most.
    pub rates: Arc<Rates>,
    /// Questions for the control plane, not told yet.
    questions: VecDeque<Box<Question>>,
    why: WhyLog,
    /// Who may come in.
    pub doors: Doors,
    /// On the home shard: who is in, of all shards.
    pub guests: Guests,
}

impl<I: Io> Front<I> {
    /// A front without connections.
    pub fn new(mux: Mux<I, Tables>) -> Self {
        Self {
            connections: Connections::new(mux.me()),
            mux,
            now: Moment::default(),
            metrics: Recorder::new(Arc::new(Metrics::new(1)), 0, 0),
            rates: Arc::default(),
            questions: VecDeque::new(),
            why: WhyLog::default(),
            doors: Doors::default(),
            guests: Guests::default(),
        }
    }

    /// This shard.
    pub fn me(&self) -> u8 {
        self.mux.me()
    }

    /// Answers a request; `encode` writes the whole frame. A one-way request is only settled.
    pub fn answer(&mut self, to: &ReplyTo, encode: impl FnOnce(&mut Outbound)) {
        if to.oneway {
            self.settle(to.origin);
            return;
        }
        self.write(to.origin.connection, to.origin.charge, encode);
    }

    /// Answers with what the control plane says.
    pub fn answer_whole(&mut self, to: &ReplyTo, reply: &WholeReply) {
        self.answer(to, |out| {
            let remark = reply.remark.as_deref();
            to.whole(out, reply.code, remark, &reply.body, |ext| {
                for (name, value) in &reply.fields {
                    ext.put(name, value.as_str());
                }
            });
        });
    }

    /// Counts a request that is about to be refused, and says why in the log.
    pub fn refused(&mut self, to: &ReplyTo, code: i32, remark: &str) {
        self.metrics.refused(code);
        self.why.refused(to, code, remark, self.now);
    }

    /// Says how many connections were closed and requests refused without a line of their own.
    pub fn tell_others(&mut self) {
        self.why.tell_others(self.now);
    }

    /// When that is due.
    pub fn others_due_ns(&self) -> Option<u64> {
        let (closed, refused) = (self.why.closed.due_ns(), self.why.refused.due_ns());
        closed.into_iter().chain(refused).min()
    }

    /// A request that gets no answer is done: its bytes no longer count.
    pub fn settle(&mut self, origin: Origin) {
        if origin.connection.shard() == self.me() {
            self.connections.release(origin.connection, origin.charge);
        } else {
            self.mux.answer(origin.connection, origin.charge, |_| ());
        }
    }

    /// Sends a request of the broker's own to a client.
    pub fn push(&mut self, connection: ConnectionId, encode: impl FnOnce(&mut Outbound)) {
        self.write(connection, 0, encode);
    }

    /// Asks the control plane; the client is answered when it has replied.
    pub fn ask(&mut self, to: ReplyTo, ask: Ask) -> Result<(), Refusal> {
        if self.questions.len() >= limits::QUESTIONS_MAX {
            let remark = "too many administration requests wait for an answer: try again";
            return Err(Refusal::new(response::SYSTEM_BUSY, remark));
        }
        self.questions.push_back(Box::new(Question { to, ask }));
        Ok(())
    }

    /// The next question that the control plane has not been told.
    pub fn next_question(&mut self) -> Option<Box<Question>> {
        self.questions.pop_front()
    }

    /// Whether questions wait.
    pub fn has_questions(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Sends a request's frame to the shard that can handle it.
    pub fn forward(&mut self, shard: u8, origin: Origin, frame: &[u8]) {
        if let Some(connection) = self.connections.get_mut(origin.connection) {
            connection.known_to |= 1 << shard;
        }
        self.mux.forward(shard, origin, frame);
    }

    /// Notes that `shard` must learn of a connection's end.
    pub fn is_known_to(&mut self, connection: ConnectionId, shard: u8) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.known_to |= 1 << shard;
        }
    }

    /// Closes a connection of this shard and tells the shards that know it. Returns whether this
    /// shard itself is among them, or nothing when it was closed before.
    pub fn close(&mut self, io: &mut I, id: ConnectionId, reason: CloseReason) -> Option<bool> {
        let connection = self.connections.close(io, id)?;
        self.metrics.closed(reason);
        self.why.closed(reason, connection.peer, self.now);
        let me = self.me();
        for shard in (0..self.mux.shards()).filter(|&shard| shard != me) {
            if connection.known_to & (1 << shard) != 0 {
                self.mux.write(shard, Letter::Closed(id));
            }
        }
        let address = connection.peer.ip();
        if me == HOME {
            self.guests.leave(address);
        } else {
            self.mux.write(HOME, Letter::Released(Some(address)));
        }
        Some(connection.known_to & (1 << me) != 0)
    }

    /// Takes an accepted connection over; `false` when there is no room for it.
    pub fn open(&mut self, io: &mut I, stream: I::Stream, port: Port) -> bool {
        let opened = self
            .connections
            .add(io, stream, port, self.now.monotonic_ns);
        let reason = match opened {
            Ok(id) => {
                self.metrics.opened();
                return self.count(io, id);
            }
            Err(reason) => reason,
        };
        self.turned_away(reason);
        if self.me() != HOME {
            self.mux.write(HOME, Letter::Released(None));
        }
        false
    }

    /// A connection is closed before it was one.
    pub fn turned_away(&mut self, reason: CloseReason) {
        self.metrics.closed(reason);
        self.why.closed(reason, ([0, 0, 0, 0], 0).into(), self.now);
    }

    /// Counts a connection for its address; `false` when it had to be closed at once.
    fn count(&mut self, io: &mut I, id: ConnectionId) -> bool {
        let peer = self
            .connections
            .get_mut(id)
            .map(|connection| connection.peer);
        let Some(peer) = peer else {
            return false;
        };
        if self.me() != HOME {
            self.mux.write(HOME, Letter::Entered(id, peer.ip()));
            return true;
        }
        let is_welcome = self.guests.enter(peer.ip(), &self.doors);
        if !is_welcome {
            self.close(io, id, CloseReason::TooMany);
        }
        is_welcome
    }

    fn write(
        &mut self,
        connection: ConnectionId,
        charge: usize,
        encode: impl FnOnce(&mut Outbound),
    ) {
        if connection.shard() != self.me() {
            self.mux.answer(connection, charge, encode);
        } else if let Some(outbound) = self.connections.answer(connection, charge) {
            encode(outbound);
        }
    }
}

/// The shard that accepts connections and owns what is not per queue.
pub const HOME: u8 = 0;

/// Says why connections were closed and requests refused.
#[derive(Debug, Default)]
struct WhyLog {
    closed: Sparing<CloseReason>,
    refused: Sparing<i32>,
}

impl WhyLog {
    fn closed(&mut self, reason: CloseReason, peer: SocketAddr, now: Moment) {
        if reason == CloseReason::Peer {
            // What every client does in the end.
            tracing::debug!(%peer, %reason, "connection closed");
        } else if self.closed.is_worth_saying(reason, now.monotonic_ns) {
            tracing::info!(%peer, %reason, "connection closed");
        }
    }

    fn refused(&mut self, to: &ReplyTo, code: i32, remark: &str, now: Moment) {
        let peer = to.origin.peer;
        if code == response::QUERY_NOT_FOUND {
            // What every new consumer gets for its offsets.
            tracing::debug!(%peer, code, remark, "request refused");
        } else if self.refused.is_worth_saying(code, now.monotonic_ns) {
            let remark = shortened(remark);
            tracing::info!(%peer, request = to.code, code, remark, "request refused");
        }
    }

    fn tell_others(&mut self, now: Moment) {
        self.closed.take_over(now.monotonic_ns, |reason, others| {
            tracing::info!(%reason, others, "more connections closed in the last minute");
        });
        self.refused.take_over(now.monotonic_ns, |code, others| {
            tracing::info!(code, others, "more requests refused in the last minute");
        });
    }
}

/// A remark can hold what a client sent.
fn shortened(remark: &str) -> &str {
    let mut end = remark.len().min(limits::LOGGED_REMARK_BYTES_MAX);
    while !remark.is_char_boundary(end) {
        end -= 1;
    }
    &remark[..end]
}

//! Between the shards of a broker: who owns what, and the letters they write each other.
//!
//! ```text
//! request of a socket of shard A for a queue of shard B
//!   A: frame copied into the envelope of B ─ one letter a turn ─> B: decoded there, appended to B's log
//!   B: answer encoded into the envelope of A ─ one letter a turn ─> A: sent on the socket
//! ```
//! Every letter is acknowledged when it has been handled; so "all shards have applied a change" is
//! "all acknowledged the letter that carries it". Letters to one shard keep their order. When a
//! shard's mailbox is full its letters wait here, and the connections that write to it are read no
//! further ([`Mux::is_backed_up`]).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ringmq_ring::Io;
use ringmq_ring::mailbox::Mailboxes;

use crate::connection::{CloseReason, ConnectionId, Outbound, Port};
use crate::gather::{Found, Question};
use crate::limits;

/// Where a request came from: what its answer needs, and what its record keeps.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The connection; names the shard of its socket.
    pub connection: ConnectionId,
    /// The client's address.
    pub peer: SocketAddr,
    /// The door it came through.
    pub port: Port,
    /// Bytes it holds of its connection's bound until it is answered.
    pub charge: usize,
    /// When it was received, on the monotonic clock that all shards share.
    pub received_ns: u64,
}

/// Frames for one shard, back to back.
#[derive(Debug)]
pub struct Requests {
    bytes: Bytes,
    items: Vec<(Origin, usize)>,
}

impl Requests {
    /// The frames with their origins, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Origin, &[u8])> {
        let mut start = 0;
        self.items.iter().map(move |&(origin, end)| {
            let frame = &self.bytes[start..end];
            start = end;
            (origin, frame)
        })
    }
}

/// Answers for connections of one shard.
#[derive(Debug)]
pub struct Answers {
    items: Vec<Answer>,
    parts: Vec<Bytes>,
}

#[derive(Debug)]
struct Answer {
    connection: ConnectionId,
    charge: usize,
    parts_end: usize,
}

impl Answers {
    /// Each answer: its connection, what it takes off the bytes in flight, and its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, usize, &[Bytes])> {
        let mut start = 0;
        self.items.iter().map(move |answer| {
            let parts = &self.parts[start..answer.parts_end];
            start = answer.parts_end;
            (answer.connection, answer.charge, parts)
        })
    }
}

/// What one shard writes another. `T` is what the home shard tells all others (tables).
#[derive(Debug)]
pub enum Letter<S, T> {
    /// Requests for queues, or for the home shard.
    Requests(Requests),
    /// Answers and pushes for connections.
    Answers(Answers),
    /// An accepted connection, to be kept.
    Connection {
        /// The socket on its way.
        stream: S,
        /// The door it came through.
        port: Port,
    },
    /// A connection that the home shard knew is gone.
    Closed(ConnectionId),
    /// A connection that the home shard handed over is gone: the shard has room for one more, and its
    /// address too if it had been counted.
    Released(Option<IpAddr>),
    /// A connection that the home shard handed over is in: it counts for its address.
    Entered(ConnectionId, IpAddr),
    /// The home shard wants a connection closed.
    Close(ConnectionId, CloseReason),
    /// A change of the tables.
    Tables(T),
    /// A question of a gather, with the asker's number for it.
    Ask(u64, Arc<Question>),
    /// What a shard found for it.
    Told(u64, Found),
    /// Nobody waits for that any more.
    Unask(u64),
}

/// One shard's desk for letters.
pub struct Mux<I: Io, T> {
    me: u8,
    mailboxes: Mailboxes<Letter<I::Stream, T>, (), I::Waker>,
    desks: Vec<Desk<I::Stream, T>>,
}

struct Desk<S, T> {
    request_bytes: BytesMut,
    request_items: Vec<(Origin, usize)>,
    answers: Outbound,
    answer_items: Vec<Answer>,
    waiting: VecDeque<Letter<S, T>>,
    written: u64,
    acknowledged: u64,
}

impl<S, T> Default for Desk<S, T> {
    fn default() -> Self {
        Self {
            request_bytes: BytesMut::new(),
            request_items: Vec::new(),
            answers: Outbound::default(),
            answer_items: Vec::new(),
            waiting: VecDeque::new(),
            written: 0,
            acknowledged: 0,
        }
    }
}

impl<I: Io, T> Mux<I, T> {
    /// A desk on its mailboxes.
    pub fn new(mailboxes: Mailboxes<Letter<I::Stream, T>, (), I::Waker>) -> Self {
        let shards = mailboxes.shards();
        Self {
            me: mailboxes.me() as u8,
            mailboxes,
            desks: (0..shards).map(|_| Desk::default()).collect(),
        }
    }

    /// This shard.
    pub fn me(&self) -> u8 {
        self.me
    }

    /// All shards, this one included.
    pub fn shards(&self) -> u8 {
        self.desks.len() as u8
    }

    /// Lets the others wake this thread; before the first turn.
    pub fn publish(&self, waker: I::Waker) {
        self.mailboxes.publish(waker);
    }

    /// Copies a request's frame into the envelope of `shard`.
    pub fn forward(&mut self, shard: u8, origin: Origin, frame: &[u8]) {
        let desk = &mut self.desks[usize::from(shard)];
        desk.request_bytes.extend_from_slice(frame);
        desk.request_items.push((origin, desk.request_bytes.len()));
        if desk.request_bytes.len() >= limits::ENVELOPE_BYTES_MAX {
            desk.seal_requests();
        }
    }

    /// Encodes an answer (or a push) for a connection of another shard into its envelope.
    pub fn answer(
        &mut self,
        connection: ConnectionId,
        charge: usize,
        encode: impl FnOnce(&mut Outbound),
    ) {
        let desk = &mut self.desks[usize::from(connection.shard())];
        encode(&mut desk.answers);
        desk.answer_items.push(Answer {
            connection,
            charge,
            parts_end: desk.answers.cut(),
        });
    }

    /// Writes a letter of its own, after all requests and answers gathered for that shard so far.
    pub fn write(&mut self, shard: u8, letter: Letter<I::Stream, T>) {
        let desk = &mut self.desks[usize::from(shard)];
        desk.seal();
        desk.post(letter);
    }

    /// Whether requests for some shard wait because its mailbox is full.
    pub fn is_backed_up(&self) -> bool {
        self.desks.iter().any(|desk| !desk.waiting.is_empty())
    }

    /// Letters to `shard` that its mailbox has had no room for yet.
    pub fn waiting(&self, shard: u8) -> usize {
        self.desks[usize::from(shard)].waiting.len()
    }

    /// Letters written to `shard` so far: the number that its acknowledgements must reach.
    pub fn written(&self, shard: u8) -> u64 {
        self.desks[usize::from(shard)].written
    }

    /// Letters that `shard` has handled.
    pub fn acknowledged(&self, shard: u8) -> u64 {
        self.desks[usize::from(shard)].acknowledged
    }

    /// First call of a turn. Says whether any letter was acknowledged since the last one.
    pub fn begin(&mut self) -> bool {
        self.mailboxes.begin();
        let mut any = false;
        while let Some((shard, ())) = self.mailboxes.next_reply() {
            self.desks[shard].acknowledged += 1;
            any = true;
        }
        any
    }

    /// The next letter and its sender; to be acknowledged once it has been handled.
    pub fn next_letter(&mut self) -> Option<(u8, Letter<I::Stream, T>)> {
        let (shard, letter) = self.mailboxes.next_request()?;
        Some((shard as u8, letter))
    }

    /// Tells the sender of a letter that it has been handled.
    pub fn acknowledge(&mut self, shard: u8) {
        self.mailboxes.reply(usize::from(shard), ());
    }

    /// Last call of a turn: posts what was gathered and wakes who got something.
    pub fn flush(&mut self, io: &mut I) {
        for (shard, desk) in self.desks.iter_mut().enumerate() {
            desk.seal();
            while let Some(letter) = desk.waiting.pop_front() {
                if let Err(full) = self.mailboxes.request(shard, letter) {
                    desk.waiting.push_front(full.0);
                    break;
                }
            }
        }
        self.mailboxes.flush(io);
    }

    /// Whether letters are on their way or not acknowledged.
    pub fn has_work(&self) -> bool {
        self.mailboxes.unanswered() > 0 || self.is_backed_up()
    }
}

impl<S, T> Desk<S, T> {
    fn seal(&mut self) {
        self.seal_requests();
        if !self.answer_items.is_empty() {
            let items = std::mem::take(&mut self.answer_items);
            let parts = self.answers.take_parts();
            self.post(Letter::Answers(Answers { items, parts }));
        }
    }

    fn seal_requests(&mut self) {
        if !self.request_items.is_empty() {
            let bytes = self.request_bytes.split().freeze();
            let items = std::mem::take(&mut self.request_items);
            self.post(Letter::Requests(Requests { bytes, items }));
        }
    }

    fn post(&mut self, letter: Letter<S, T>) {
        self.written += 1;
        self.waiting.push_back(letter);
    }
}

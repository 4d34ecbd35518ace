//! One client connection, sans I/O: received bytes become whole frames, answers become gather sends.
//!
//! ```text
//! chunk ─┬─ whole frames: handed on where they lie, no copy
//!        └─ a started frame: kept in `Inbound`, which grows with the bytes received, never with the length announced
//! answers ─ copied into one tail, long slices as parts of their own ─ one gather send at a time, the next one gathering
//! ```
//! What is always true: at most one send is in flight; bytes in flight beyond the bound stop the
//! reading, not the answering; after `close` nothing of the connection is used again.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use ringmq_protocol::command::send_receipt::{Receipt, Receipts};
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::{ExtWriter, Head};
use ringmq_ring::{SocketId, Token};

use crate::limits;

/// Top byte of the tokens that belong to connections and listeners.
pub const TOKEN_OWNER: u64 = 1;

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 28;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// Which operation of a connection has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A listener accepted.
    Accept,
    /// Bytes came in.
    Receive,
    /// A gather send is done.
    Send,
}

impl Operation {
    const fn code(self) -> u64 {
        match self {
            Self::Accept => 0,
            Self::Receive => 1,
            Self::Send => 2,
        }
    }
}

/// A connection's name across the whole broker: shard (8 bits), slot (24), generation (28).
///
/// The generation tells a slot's present user from its former ones, so that a late completion or a
/// late answer never reaches a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// Builds a name; `slot` must be below `limits::CONNECTIONS_MAX`.
    pub const fn new(shard: u8, slot: usize, generation: u32) -> Self {
        Self(
            ((shard as u64) << 56)
                | ((slot as u64 & SLOT_MASK) << GENERATION_BITS)
                | (generation as u64 & GENERATION_MASK),
        )
    }

    /// The shard whose thread owns the socket.
    pub const fn shard(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// Its place in that shard's table.
    pub const fn slot(self) -> usize {
        ((self.0 >> GENERATION_BITS) & SLOT_MASK) as usize
    }

    /// Which user of the place it is.
    pub const fn generation(self) -> u32 {
        (self.0 & GENERATION_MASK) as u32
    }

    /// The number itself, for tables that do not care what a channel is.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Back from [`ConnectionId::to_u64`].
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The token of an operation of this connection.
    pub const fn token(self, operation: Operation) -> Token {
        (TOKEN_OWNER << 56) | (operation.code() << 52) | (self.0 & ((1 << 52) - 1))
    }

    /// Reads a token made by [`ConnectionId::token`] on `shard`.
    pub fn from_token(shard: u8, token: Token) -> Option<(Operation, Self)> {
        let operation = match (token >> 52) & 0xF {
            0 => Operation::Accept,
            1 => Operation::Receive,
            2 => Operation::Send,
            _ => return None,
        };
        let id = Self(((shard as u64) << 56) | (token & ((1 << 52) - 1)));
        Some((operation, id))
    }
}

/// Which door a connection came through; it decides which request codes it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// `listenPort`, or the VIP port two below it.
    Broker,
    /// The name server's port.
    NameServer,
}

/// Why a connection is closed by this side, or was by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// A receive or send failed.
    #[error("broken connection")]
    Broken,
    /// The announced length is not one a frame can have.
    #[error("frame length out of range (8 to 16777216 bytes)")]
    FrameLength,
    /// The header does not fit its frame or does not parse.
    #[error("malformed frame header")]
    Header,
    /// A started frame does not get on.
    #[error("frame started but not finished in time")]
    SlowFrame,
    /// The peer does not read its answers.
    #[error("answers not read for 30 s")]
    SlowReader,
    /// Nothing moved for two minutes.
    #[error("idle for 120 s")]
    Idle,
    /// The shard has as many connections, or as many bytes of started frames, as it takes.
    #[error("too many connections, or too much memory for started frames")]
    Crowded,
    /// A client that stopped sending heartbeats.
    #[error("no heartbeat for 120 s")]
    Expired,
    /// The server stops.
    #[error("server stops")]
    Stopping,
    /// It never asked anything.
    #[error("no request within the time for the first one")]
    Silent,
    /// Its address has as many connections as one may have.
    #[error("too many connections from this address (ringmq.connectionsPerAddressMax)")]
    TooMany,
}

impl CloseReason {
    /// Every reason, in the order of [`CloseReason::index`].
    pub const ALL: [Self; 12] = [
        Self::Peer,
        Self::Broken,
        Self::FrameLength,
        Self::Header,
        Self::SlowFrame,
        Self::SlowReader,
        Self::Idle,
        Self::Crowded,
        Self::Expired,
        Self::Stopping,
        Self::Silent,
        Self::TooMany,
    ];

    /// Its place in a table of all reasons.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// One word for it, as metrics name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::FrameLength => "frame_length",
            Self::Header => "header",
            Self::SlowFrame => "slow_frame",
            Self::SlowReader => "slow_reader",
            Self::Idle => "idle",
            Self::Crowded => "crowded",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
            Self::Silent => "silent",
            Self::TooMany => "too_many",
        }
    }
}

/// Whether to go on with the next frame of the same chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Next frame, please.
    Continue,
    /// Keep the rest: something downstream is full.
    Pause,
    /// The connection is gone.
    Stop,
}

/// Total length of the frame that starts `bytes`, its length word included; `None` while fewer than
/// four bytes are there.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, CloseReason> {
    let Some(word) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = (u32::from_be_bytes(*word) as usize).saturating_add(4);
    if !(limits::FRAME_BYTES_MIN..=limits::FRAME_BYTES_MAX).contains(&length) {
        return Err(CloseReason::FrameLength);
    }
    if let Some(word) = bytes.get(4..8).and_then(<[u8]>::first_chunk::<4>) {
        let word = u32::from_be_bytes(*word);
        if word >> 24 > 1 || (word & 0x00FF_FFFF) as usize > length - limits::FRAME_BYTES_MIN {
            return Err(CloseReason::Header);
        }
    }
    Ok(Some(length))
}

/// The read side: what was received and is not yet a frame handed on.
#[derive(Debug, Default)]
pub struct Inbound {
    held: Vec<u8>,
    start: usize,
    /// When the frame in `held` was begun; meaningless while `held` is empty.
    began_ns: u64,
}

impl Inbound {
    /// Splits `chunk` (after what is held) and hands each whole frame to `on_frame`, in place where
    /// possible. The rest is kept.
    pub fn feed(
        &mut self,
        mut chunk: &[u8],
        now_ns: u64,
        on_frame: &mut impl FnMut(&[u8]) -> Flow,
    ) -> Result<Flow, CloseReason> {
        while self.held_bytes() > 0 && !chunk.is_empty() {
            chunk = self.top_up(chunk)?;
            if frame_length(self.held_slice())? == Some(self.held_bytes()) {
                let flow = on_frame(self.held_slice());
                self.clear();
                if flow != Flow::Continue {
                    self.hold(chunk, now_ns);
                    return Ok(flow);
                }
            }
        }
        self.split(chunk, now_ns, on_frame)
    }

    /// Hands on the whole frames among what was held while the connection was paused.
    pub fn resume(
        &mut self,
        now_ns: u64,
        on_frame: &mut impl FnMut(&[u8]) -> Flow,
    ) -> Result<Flow, CloseReason> {
        self.began_ns = now_ns;
        while let Some(length) = frame_length(self.held_slice())? {
            let Some(frame) = self.held_slice().get(..length) else {
                break;
            };
            let flow = on_frame(frame);
            self.start += length;
            if flow != Flow::Continue {
                self.compact();
                return Ok(flow);
            }
        }
        self.compact();
        Ok(Flow::Continue)
    }

    /// Keeps bytes for later without looking at them.
    pub fn hold(&mut self, bytes: &[u8], now_ns: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.held_bytes() == 0 {
            self.began_ns = now_ns;
        }
        self.held.extend_from_slice(bytes);
    }

    /// Bytes kept.
    pub fn held_bytes(&self) -> usize {
        self.held.len() - self.start
    }

    /// Whether a frame has started and does not keep the pace of `limits`.
    pub fn is_stalled(&self, now_ns: u64) -> bool {
        if self.held_bytes() == 0 {
            return false;
        }
        let late_ns = now_ns
            .saturating_sub(self.began_ns)
            .saturating_sub(limits::FRAME_GRACE_NS);
        let due = u128::from(late_ns) * u128::from(limits::FRAME_BYTES_PER_SECOND_MIN)
            / u128::from(limits::SECOND_NS);
        late_ns > 0 && (self.held_bytes() as u128) <= due
    }

    /// Gives the (empty) buffer up for reuse.
    pub fn take_spare(&mut self) -> Option<Vec<u8>> {
        (self.held_bytes() == 0 && self.held.capacity() > 0).then(|| {
            self.start = 0;
            let mut buffer = std::mem::take(&mut self.held);
            buffer.clear();
            buffer
        })
    }

    /// Takes a spare buffer when it has none, else gives it back.
    pub fn give_spare(&mut self, spare: Option<Vec<u8>>) -> Option<Vec<u8>> {
        if self.held.capacity() > 0 {
            return spare;
        }
        self.held = spare.unwrap_or_default();
        self.start = 0;
        None
    }

    fn split(
        &mut self,
        mut chunk: &[u8],
        now_ns: u64,
        on_frame: &mut impl FnMut(&[u8]) -> Flow,
    ) -> Result<Flow, CloseReason> {
        while let Some(length) = frame_length(chunk)? {
            if chunk.len() < length {
                break;
            }
            let (frame, rest) = chunk.split_at(length);
            let flow = on_frame(frame);
            chunk = rest;
            if flow != Flow::Continue {
                self.hold(chunk, now_ns);
                return Ok(flow);
            }
        }
        self.hold(chunk, now_ns);
        Ok(Flow::Continue)
    }

    /// Moves from `chunk` what the held frame still lacks; returns the rest of the chunk.
    fn top_up<'a>(&mut self, chunk: &'a [u8]) -> Result<&'a [u8], CloseReason> {
        let target = match frame_length(self.held_slice())? {
            Some(length) if self.held_bytes() >= limits::FRAME_BYTES_MIN => length,
            _ => limits::FRAME_BYTES_MIN,
        };
        let take = (target - self.held_bytes()).min(chunk.len());
        let (now, rest) = chunk.split_at(take);
        self.held.extend_from_slice(now);
        Ok(rest)
    }

    fn held_slice(&self) -> &[u8] {
        &self.held[self.start..]
    }

    fn clear(&mut self) {
        self.held.clear();
        self.start = 0;
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.held.drain(..self.start);
            self.start = 0;
        }
    }
}

/// The memory an [`Outbound`] writes into; lent to it while it has something to send.
#[derive(Debug, Default)]
pub struct OutputBuffers {
    tail: BytesMut,
    /// Headers are encoded here and copied: a hundred bytes or two.
    scratch: Vec<u8>,
}

impl OutputBuffers {
    /// Bytes kept.
    pub fn capacity(&self) -> usize {
        self.tail.capacity() + self.scratch.capacity()
    }
}

/// The write side: answers gathered for the next send, and the one in flight.
#[derive(Debug, Default)]
pub struct Outbound {
    parts: Vec<Bytes>,
    part_bytes: usize,
    buffers: OutputBuffers,
    spare_parts: Vec<Bytes>,
    in_flight_bytes: usize,
    in_flight_since_ns: Option<u64>,
}

impl Outbound {
    /// Where frames are encoded; what is written here is sent after everything pushed before.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.buffers.tail
    }

    /// Appends prefix and header of a frame; `body_len` bytes of body must follow.
    ///
    /// A header too long for a frame (a remark of megabytes, which nothing here writes) is left out
    /// as a whole: the client runs into its own time limit.
    pub fn frame(
        &mut self,
        kind: HeaderKind,
        head: &Head<'_>,
        body_len: usize,
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) {
        let OutputBuffers { tail, scratch } = &mut self.buffers;
        scratch.clear();
        if head.encode(kind, scratch, body_len, ext).is_ok() {
            tail.extend_from_slice(scratch);
        }
    }

    /// Appends the answer to a stored message.
    pub fn receipt(&mut self, kind: HeaderKind, receipts: &Receipts, receipt: &Receipt<'_>) {
        let OutputBuffers { tail, scratch } = &mut self.buffers;
        scratch.clear();
        if receipts.encode(kind, receipt, scratch).is_ok() {
            tail.extend_from_slice(scratch);
        }
    }

    /// Appends body bytes: copied when short, as a part of the gather send when long.
    pub fn push(&mut self, slice: Bytes) {
        if slice.len() < limits::GATHER_SLICE_BYTES_MIN {
            self.buffers.tail.extend_from_slice(&slice);
            return;
        }
        self.cut_tail();
        self.part_bytes += slice.len();
        self.parts.push(slice);
    }

    /// Bytes gathered and not handed to the kernel, plus those of the send in flight.
    pub fn bytes(&self) -> usize {
        self.part_bytes + self.buffers.tail.len() + self.in_flight_bytes
    }

    /// Whether a send can start now.
    pub fn is_ready(&self) -> bool {
        self.in_flight_since_ns.is_none() && self.part_bytes + self.buffers.tail.len() > 0
    }

    /// Whether nothing is gathered or in flight.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The parts of the next gather send, when one can start.
    pub fn next_send(&mut self, now_ns: u64) -> Option<Vec<Bytes>> {
        if !self.is_ready() {
            return None;
        }
        self.cut_tail();
        let mut bytes = 0;
        let count = self
            .parts
            .iter()
            .take(limits::SEND_PARTS_MAX)
            .take_while(|part| {
                let fits = bytes < limits::SEND_BYTES_MAX;
                bytes += if fits { part.len() } else { 0 };
                fits
            })
            .count();
        let mut send = std::mem::take(&mut self.spare_parts);
        if count == self.parts.len() {
            std::mem::swap(&mut send, &mut self.parts);
        } else {
            send.extend(self.parts.drain(..count));
        }
        self.part_bytes -= bytes;
        self.in_flight_bytes = bytes;
        self.in_flight_since_ns = Some(now_ns);
        Some(send)
    }

    /// A send is done; `parts` is its emptied list. Returns the bytes it carried.
    pub fn sent(&mut self, mut parts: Vec<Bytes>) -> usize {
        parts.clear();
        if parts.capacity() > self.spare_parts.capacity() {
            self.spare_parts = parts;
        }
        self.in_flight_since_ns = None;
        std::mem::take(&mut self.in_flight_bytes)
    }

    /// Whether the send in flight takes too long.
    pub fn is_stalled(&self, now_ns: u64) -> bool {
        self.in_flight_since_ns
            .is_some_and(|since| now_ns.saturating_sub(since) > limits::SEND_STALL_NS)
    }

    /// Gives the output buffers up for reuse when they are not needed now.
    pub fn take_spare(&mut self) -> Option<OutputBuffers> {
        (self.is_empty() && self.buffers.capacity() > 0).then(|| std::mem::take(&mut self.buffers))
    }

    /// Takes spare output buffers when it has none.
    pub fn give_spare(&mut self, pool: &mut Vec<OutputBuffers>) {
        if self.buffers.capacity() == 0
            && let Some(buffers) = pool.pop()
        {
            self.buffers = buffers;
        }
    }

    /// Ends the present part; returns how many parts are gathered.
    pub fn cut(&mut self) -> usize {
        self.cut_tail();
        self.parts.len()
    }

    /// All gathered parts, for a letter instead of a send.
    pub fn take_parts(&mut self) -> Vec<Bytes> {
        self.cut_tail();
        self.part_bytes = 0;
        std::mem::take(&mut self.parts)
    }

    fn cut_tail(&mut self) {
        if !self.buffers.tail.is_empty() {
            self.part_bytes += self.buffers.tail.len();
            self.parts.push(self.buffers.tail.split().freeze());
        }
    }
}

/// One connection of a shard.
#[derive(Debug)]
pub struct Connection {
    /// Its name.
    pub id: ConnectionId,
    /// The socket in this shard's `Io`.
    pub socket: SocketId,
    /// The door it came through.
    pub port: Port,
    /// The peer's address: the born host of its messages.
    pub peer: SocketAddr,
    /// Read side.
    pub inbound: Inbound,
    /// Write side.
    pub outbound: Outbound,
    /// Bytes of requests accepted and not answered.
    pub charged: usize,
    /// Bytes in flight as last counted into the shard's total.
    pub accounted: usize,
    /// Bytes of its started frame as last counted.
    pub held_accounted: usize,
    /// A multishot receive is armed.
    pub receiving: bool,
    /// It has been asked to stop.
    pub stopping: bool,
    /// Nothing of it is decoded until room comes back.
    pub paused: bool,
    /// Shards that keep something for it (held pulls, groups, registrations) and must learn of its
    /// end, one bit each.
    pub known_to: u64,
    /// It is in the list of connections with something to send.
    pub dirty: bool,
    /// Monotonic time of the last byte in either direction.
    pub last_moved_ns: u64,
    /// Until when its first whole frame must have come; nothing once it has.
    pub first_frame_due_ns: Option<u64>,
}

impl Connection {
    /// A fresh connection.
    pub fn new(
        id: ConnectionId,
        socket: SocketId,
        port: Port,
        peer: SocketAddr,
        now_ns: u64,
    ) -> Self {
        Self {
            id,
            socket,
            port,
            peer,
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            charged: 0,
            accounted: 0,
            held_accounted: 0,
            receiving: false,
            stopping: false,
            paused: false,
            known_to: 0,
            dirty: false,
            last_moved_ns: now_ns,
            first_frame_due_ns: None,
        }
    }

    /// Requests not answered plus answers not sent, in bytes.
    pub fn in_flight_bytes(&self) -> usize {
        self.charged + self.outbound.bytes()
    }

    /// What the sweep finds wrong with it, if anything.
    pub fn overdue(&self, now_ns: u64) -> Option<CloseReason> {
        if self.outbound.is_stalled(now_ns) {
            return Some(CloseReason::SlowReader);
        }
        if !self.paused && self.inbound.is_stalled(now_ns) {
            return Some(CloseReason::SlowFrame);
        }
        if self
            .first_frame_due_ns
            .is_some_and(|due_ns| now_ns > due_ns)
        {
            return Some(CloseReason::Silent);
        }
        let waits_for_us = self.charged > 0 || !self.outbound.is_empty();
        let idle_ns = now_ns.saturating_sub(self.last_moved_ns);
        (!waits_for_us && idle_ns > limits::IDLE_CLOSE_NS).then_some(CloseReason::Idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_for_closing_has_its_place_in_the_table() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }

    fn frame(payload: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend_from_slice(&(payload as u32 + 4).to_be_bytes());
        frame.extend_from_slice(&(payload as u32).to_be_bytes());
        frame.extend((0..payload).map(|i| i as u8));
        frame
    }

    fn collect(
        inbound: &mut Inbound,
        chunk: &[u8],
        frames: &mut Vec<Vec<u8>>,
    ) -> Result<Flow, CloseReason> {
        inbound.feed(chunk, 0, &mut |frame| {
            frames.push(frame.to_vec());
            Flow::Continue
        })
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        let expected: Vec<_> = [0, 1, 7, 300, 5000].map(frame).to_vec();
        let stream: Vec<u8> = expected.concat();
        for step in [1, 2, 3, 5, 8, 64, 301, 4096, stream.len()] {
            let (mut inbound, mut frames) = (Inbound::default(), Vec::new());
            for chunk in stream.chunks(step) {
                collect(&mut inbound, chunk, &mut frames).expect("well formed");
            }
            assert_eq!(frames, expected, "chunks of {step}");
            assert_eq!(inbound.held_bytes(), 0);
        }
    }

    #[test]
    fn the_buffer_of_a_started_frame_grows_with_the_bytes_received() {
        let mut inbound = Inbound::default();
        let head = (limits::FRAME_BYTES_MAX as u32 - 4).to_be_bytes();
        collect(&mut inbound, &head, &mut Vec::new()).expect("longest frame");
        collect(&mut inbound, &[0; 100], &mut Vec::new()).expect("its beginning");
        assert_eq!(inbound.held_bytes(), 104);
        assert!(inbound.held.capacity() < 4096);
    }

    #[test]
    fn impossible_lengths_and_serializers_are_refused_at_once() {
        for head in [
            [0u8, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 3, 0, 0, 0, 0],
            [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0],
            [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0],
            [0x00, 0xFF, 0xFF, 0xFD, 0, 0, 0, 0],
        ] {
            assert_eq!(
                collect(&mut Inbound::default(), &head, &mut Vec::new()),
                Err(CloseReason::FrameLength),
                "{head:?}"
            );
        }
        for head in [[0u8, 0, 0, 4, 2, 0, 0, 0], [0, 0, 0, 4, 0, 0, 0, 1]] {
            let mut inbound = Inbound::default();
            let one_by_one = head
                .iter()
                .try_for_each(|&byte| collect(&mut inbound, &[byte], &mut Vec::new()).map(|_| ()));
            assert_eq!(one_by_one, Err(CloseReason::Header), "{head:?}");
        }
    }

    #[test]
    fn a_pause_keeps_the_rest_and_resume_hands_it_on_in_order() {
        let stream = [frame(1), frame(2), frame(3)].concat();
        let mut inbound = Inbound::default();
        let mut lengths = Vec::new();
        let flow = inbound.feed(&stream, 0, &mut |frame| {
            lengths.push(frame.len());
            Flow::Pause
        });
        assert_eq!(flow, Ok(Flow::Pause));
        inbound.hold(&frame(4)[..6], 0);
        let flow = inbound.resume(0, &mut |frame| {
            lengths.push(frame.len());
            Flow::Continue
        });
        assert_eq!(flow, Ok(Flow::Continue));
        assert_eq!(lengths, [9, 10, 11]);
        assert_eq!(inbound.held_bytes(), 6);
    }

    #[test]
    fn a_started_frame_must_keep_its_pace_after_the_grace() {
        let mut inbound = Inbound::default();
        inbound.hold(&frame(5000)[..1500], 0);
        assert!(!inbound.is_stalled(limits::FRAME_GRACE_NS));
        assert!(!inbound.is_stalled(limits::FRAME_GRACE_NS + limits::SECOND_NS));
        assert!(inbound.is_stalled(limits::FRAME_GRACE_NS + 2 * limits::SECOND_NS));
        assert!(!Inbound::default().is_stalled(u64::MAX));
    }

    #[test]
    fn one_send_is_in_flight_while_the_next_one_gathers() {
        let mut outbound = Outbound::default();
        outbound.tail().extend_from_slice(b"head");
        let long = Bytes::from(vec![7; limits::GATHER_SLICE_BYTES_MIN]);
        outbound.push(long.clone());
        outbound.push(Bytes::from_static(b"short"));
        let first = outbound.next_send(0).expect("something to send");
        assert_eq!(first, [&b"head"[..], &long, b"short"]);
        outbound.tail().extend_from_slice(b"more");
        assert!(outbound.next_send(0).is_none());
        assert_eq!(outbound.sent(first), long.len() + 9);
        assert_eq!(outbound.next_send(0).expect("the next"), [&b"more"[..]]);
        assert_eq!(outbound.bytes(), 4);
    }

    #[test]
    fn a_send_is_cut_at_the_bounds_of_parts_and_bytes() {
        let mut outbound = Outbound::default();
        let part = Bytes::from(vec![0; 4096]);
        let total = limits::SEND_PARTS_MAX + 100;
        (0..total).for_each(|_| outbound.push(part.clone()));
        let mut seen = 0;
        while let Some(parts) = outbound.next_send(0) {
            let bytes: usize = parts.iter().map(Bytes::len).sum();
            assert!(parts.len() <= limits::SEND_PARTS_MAX);
            assert!(bytes <= limits::SEND_BYTES_MAX + part.len());
            seen += parts.len();
            outbound.sent(parts);
        }
        assert_eq!(seen, total);
        assert!(outbound.is_empty());
    }

    #[test]
    fn tokens_name_the_operation_slot_and_generation() {
        let id = ConnectionId::new(3, 65535, 0x0ABC_DEF1);
        let token = id.token(Operation::Send);
        assert_eq!(token >> 56, TOKEN_OWNER);
        assert_eq!(
            ConnectionId::from_token(3, token),
            Some((Operation::Send, id))
        );
        assert_eq!(
            (id.shard(), id.slot(), id.generation()),
            (3, 65535, 0x0ABC_DEF1)
        );
    }
}

//! What a durable send costs the shard's thread, without the kernel: bytes received to bytes sent.
//!
//! A whole shard (frames, dispatch, handler, engine, log, answers) is turned by hand over an [`Io`] whose
//! writes and sends are done at the next turn. 64 connections with 16 sends of 1 KiB each in flight, as the
//! wire driver of `ringmq-bench` sends them. The fastest round is what the code costs on a machine that
//! does nothing else; it is the figure to compare on a busy one.
//!
//! `cargo bench -p ringmq-server --bench send_path`
#![forbid(unsafe_code)]

#[path = "../tests/it/harness.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "it is the tests': they need more of it, and may panic"
)]
mod harness;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::time::Instant;

use bytes::Bytes;
use ringmq_engine::Shard;
use ringmq_engine::config::Config;
use ringmq_engine::control::open::{StoreChance, open_store};
use ringmq_engine::control::worker::{Stepped, Worker};
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::Head;
use ringmq_ring::turn::Service;
use ringmq_ring::{
    AlignedBuf, BlockingDisk, Completion, FileId, Io, ListenerId, Mailboxes, Moment, Payload,
    SocketId, Token, Wait, Wake, block_on,
};
use ringmq_server::connection::Port;
use ringmq_server::limits;
use ringmq_server::link::{self, Notice};
use ringmq_server::mux::Mux;
use ringmq_server::service::ShardService;

const CONNECTIONS: usize = 64;
const IN_FLIGHT: usize = 16;
const QUEUES: usize = 4;
const BODY_BYTES: usize = 1024;
const ROUNDS: usize = 400;
/// Bytes of a segment; long enough for several rounds, short enough to be prepared between them.
const SEGMENT_BYTES: u64 = 64 << 20;

type Done = Completion<(), Bytes>;

/// Everything asked for is complete at the next turn; nothing is written anywhere.
#[derive(Default)]
struct Prompt {
    done: VecDeque<Done>,
    receives: Vec<Token>,
    accept: Option<Token>,
    handles: u32,
    sent_bytes: usize,
    now_ns: u64,
}

#[derive(Clone)]
struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

impl Prompt {
    fn done(&mut self, token: Token, len: usize, payload: Payload<(), Bytes>) {
        self.done.push_back(Completion {
            token,
            result: Ok(len),
            more: matches!(payload, Payload::Accepted(()) | Payload::Received(_)),
            payload,
        });
    }

    fn handle(&mut self) -> u32 {
        self.handles += 1;
        self.handles
    }
}

impl Io for Prompt {
    type File = File;
    type Stream = ();
    type Listener = ();
    type Received = Bytes;
    type Waker = Nobody;

    fn adopt_file(&mut self, _: File) -> io::Result<FileId> {
        Ok(FileId(self.handle()))
    }
    fn release_file(&mut self, _: FileId) {}
    fn read(&mut self, _: FileId, _: u64, buffer: AlignedBuf, token: Token) {
        self.done(token, buffer.len(), Payload::Buffer(buffer));
    }
    fn write(&mut self, _: FileId, _: u64, data: Bytes, token: Token) {
        self.done(token, data.len(), Payload::None);
    }
    fn write_durable(&mut self, _: FileId, _: u64, data: Bytes, token: Token) {
        self.done(token, data.len(), Payload::None);
    }
    fn flush(&mut self, _: FileId, token: Token) {
        self.done(token, 0, Payload::None);
    }
    fn adopt_listener(&mut self, (): ()) -> io::Result<ListenerId> {
        Ok(ListenerId(self.handle()))
    }
    fn accept(&mut self, _: ListenerId, token: Token) {
        self.accept = Some(token);
    }
    fn close_listener(&mut self, _: ListenerId) {}
    fn adopt_socket(&mut self, (): ()) -> io::Result<SocketId> {
        Ok(SocketId(self.handle()))
    }
    fn receive(&mut self, _: SocketId, token: Token) {
        self.receives.push(token);
    }
    fn stop_receiving(&mut self, _: SocketId) {}
    fn send(&mut self, _: SocketId, mut parts: Vec<Bytes>, token: Token) {
        let bytes = parts.drain(..).map(|part| part.len()).sum();
        self.sent_bytes += bytes;
        self.done(token, bytes, Payload::Sent(parts));
    }
    fn close_socket(&mut self, _: SocketId) {}
    fn waker(&self) -> Nobody {
        Nobody
    }
    fn wake(&mut self, _: &Nobody) {}
    fn turn(&mut self, _: Wait, completions: &mut Vec<Done>) -> io::Result<()> {
        self.now_ns += 100_000;
        completions.extend(self.done.drain(..));
        Ok(())
    }
    fn now(&self) -> Moment {
        Moment {
            monotonic_ns: self.now_ns,
            wall_ms: 1_700_000_000_000 + (self.now_ns / 1_000_000) as i64,
        }
    }
}

/// One shard and what it needs.
struct Hand {
    io: Prompt,
    service: ShardService<Prompt>,
    worker: Worker<BlockingDisk, Nobody>,
    completions: Vec<Done>,
}

impl Hand {
    fn turn(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            self.service.completion(&mut self.io, completion);
        }
        let now = self.io.now();
        self.service.turn(&mut self.io, now);
        // It never fails.
        let _ = self.io.turn(Wait::Poll, &mut completions);
        self.completions = completions;
    }

    /// Until nothing is in flight any more.
    fn settle(&mut self) {
        self.turn();
        while !self.completions.is_empty() {
            self.turn();
        }
    }

    fn work(&mut self) {
        while block_on(self.worker.step()) == Stepped::Busy {
            self.settle();
        }
    }

    /// Everybody sends what they may; how many nanoseconds until all are answered.
    fn round(&mut self, chunks: &[Bytes]) -> u64 {
        for (at, chunk) in chunks.iter().enumerate() {
            let token = self.io.receives[at];
            self.io
                .done(token, chunk.len(), Payload::Received(chunk.clone()));
        }
        let began = Instant::now();
        self.settle();
        began.elapsed().as_nanos() as u64
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hand = start(folder.path());
    for kind in [HeaderKind::Json, HeaderKind::Binary] {
        let chunks: Vec<Bytes> = (0..CONNECTIONS).map(|at| chunk(kind, at)).collect();
        let mut took: Vec<u64> = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            hand.work();
            let before = hand.io.sent_bytes;
            took.push(hand.round(&chunks));
            assert!(hand.io.sent_bytes > before, "somebody was answered");
        }
        took.sort_unstable();
        let messages = (CONNECTIONS * IN_FLIGHT) as f64;
        let per_message = |nanoseconds: u64| nanoseconds as f64 / messages;
        println!(
            "{kind:?}: {:.0} ns a send (fastest round), {:.0} ns (median)",
            per_message(took[0]),
            per_message(took[ROUNDS / 2])
        );
    }
}

fn start(folder: &std::path::Path) -> Hand {
    let mut config = Config::new(folder);
    config.shards = Some(1);
    config.segment_bytes = SEGMENT_BYTES;
    let chance = StoreChance {
        store_id: [7; 16],
        salt: [9; 16],
        table_seed: 1,
        shards: 1,
        wall_ms: 1_700_000_000_000,
    };
    let opened = block_on(open_store(&BlockingDisk, &config, chance)).expect("a store");
    let opened = opened.shards.into_iter().next().expect("a shard");
    let mut io = Prompt::default();
    let engine = Shard::new(opened.start, &mut io).expect("an engine");
    let settings = harness::settings(([127, 0, 0, 1], 10911).into());
    let broker = harness::broker_shard(engine, settings.into(), true);
    let mailboxes = Mailboxes::mesh(1, limits::MAILBOX_SLOTS)
        .pop()
        .expect("a mailbox");
    let (shard_link, mut control) = link::pair();
    let mut service = ShardService::new(Mux::new(mailboxes), Some(broker), None, shard_link);
    service.listen((), Port::Broker);
    let mut hand = Hand {
        io,
        service,
        worker: Worker::new(BlockingDisk, opened.worker, opened.link, Nobody),
        completions: Vec::new(),
    };
    loop {
        hand.turn();
        let _ = block_on(hand.worker.step());
        if let Some(Notice::Ready) = control.notice() {
            break;
        }
    }
    let accept = hand.io.accept.expect("the port is open");
    for _ in 0..CONNECTIONS {
        hand.io.done(accept, 0, Payload::Accepted(()));
    }
    hand.work();
    hand
}

/// The frames that a connection has in flight.
fn chunk(kind: HeaderKind, connection: usize) -> Bytes {
    let mut frames = Vec::new();
    let body = vec![b'x'; BODY_BYTES];
    for slot in 0..IN_FLIGHT {
        let queue_id = ((connection + slot) % QUEUES).to_string();
        let encoded =
            Head::request(310, slot as i32).encode_frame(kind, &mut frames, &body, |ext| {
                ext.put("a", "bench");
                ext.put("b", "bench");
                ext.put("c", "TBW102");
                ext.put("d", "4");
                ext.put("e", queue_id.as_str());
                ext.put("f", "0");
                ext.put("g", "1700000000000");
                ext.put("h", "0");
                ext.put(
                    "i",
                    "UNIQ_KEY\u{1}7F0000010BEE18B4AAC2000000000000\u{2}WAIT\u{1}true\u{2}",
                );
                ext.put("j", "0");
                ext.put("k", "false");
                ext.put("m", "false");
            });
        encoded.expect("a frame");
    }
    frames.into()
}

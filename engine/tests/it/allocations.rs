//! In steady state a shard allocates a few times per commit block and never per message.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use ringmq_engine::control::open::{StoreChance, open_store};
use ringmq_engine::control::worker::Worker;
use ringmq_engine::{Config, PullOutcome, PullRequest, QueueNumber, Shard, TagFilter, TopicId};
use ringmq_ring::blocking::{BlockingDisk, block_on};
use ringmq_ring::{
    AlignedBuf, Completion, FileId, Io, ListenerId, Moment, Payload, SocketId, Token, Wait, Wake,
};

/// Every write is complete at the next turn; nothing is written anywhere.
#[derive(Default)]
struct Instant {
    done: VecDeque<(Token, usize)>,
    files: u32,
    now_ns: u64,
}

#[derive(Clone)]
struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

impl Io for Instant {
    type File = File;
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Received = Bytes;
    type Waker = Nobody;

    fn adopt_file(&mut self, _: File) -> io::Result<FileId> {
        self.files += 1;
        Ok(FileId(self.files))
    }
    fn release_file(&mut self, _: FileId) {}
    fn read(&mut self, _: FileId, _: u64, _: AlignedBuf, _: Token) {
        unreachable!("everything is in memory")
    }
    fn write(&mut self, _: FileId, _: u64, data: Bytes, token: Token) {
        self.done.push_back((token, data.len()));
    }
    fn write_durable(&mut self, _: FileId, _: u64, data: Bytes, token: Token) {
        self.done.push_back((token, data.len()));
    }
    fn flush(&mut self, _: FileId, token: Token) {
        self.done.push_back((token, 0));
    }
    fn adopt_listener(&mut self, _: TcpListener) -> io::Result<ListenerId> {
        unreachable!("no sockets")
    }
    fn accept(&mut self, _: ListenerId, _: Token) {}
    fn close_listener(&mut self, _: ListenerId) {}
    fn adopt_socket(&mut self, _: TcpStream) -> io::Result<SocketId> {
        unreachable!("no sockets")
    }
    fn receive(&mut self, _: SocketId, _: Token) {}
    fn stop_receiving(&mut self, _: SocketId) {}
    fn send(&mut self, _: SocketId, _: Vec<Bytes>, _: Token) {}
    fn close_socket(&mut self, _: SocketId) {}
    fn waker(&self) -> Nobody {
        Nobody
    }
    fn wake(&mut self, _: &Nobody) {}
    fn turn(
        &mut self,
        _: Wait,
        completions: &mut Vec<Completion<TcpStream, Bytes>>,
    ) -> io::Result<()> {
        self.now_ns += 100_000;
        completions.extend(self.done.drain(..).map(|(token, len)| Completion {
            token,
            result: Ok(len),
            more: false,
            payload: Payload::None,
        }));
        Ok(())
    }
    fn now(&self) -> Moment {
        Moment {
            monotonic_ns: self.now_ns,
            wall_ms: 1_700_000_000_000 + (self.now_ns / 1_000_000) as i64,
        }
    }
}

struct Bench {
    shard: Shard<Instant>,
    io: Instant,
    completions: Vec<Completion<TcpStream, Bytes>>,
}

impl Bench {
    fn turn(&mut self) {
        let mut done = std::mem::take(&mut self.completions);
        for completion in done.drain(..) {
            self.shard.observe(self.io.now());
            self.shard.completion(&mut self.io, completion);
        }
        self.completions = done;
        let now = self.io.now();
        self.shard.turn(&mut self.io, now);
        while self.shard.next_event().is_some() {}
        self.io
            .turn(Wait::Poll, &mut self.completions)
            .expect("it never fails");
    }

    fn append(&mut self, queue: QueueNumber, messages: u32) {
        let body = [5; 1024];
        let properties: &[u8] = b"TAGS\x01TagA\x02KEYS\x01k\x02";
        let pieces = [properties];
        let parts = crate::store::parts("orders", 0, &body, &pieces);
        for ticket in 0..messages {
            self.shard
                .append(queue, &parts, u64::from(ticket))
                .expect("there is room");
        }
    }
}

#[test]
fn a_message_costs_no_allocation_neither_in_nor_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(folder.path());
    config.shards = Some(1);
    config.segment_bytes = 64 << 20;
    config.hot_tail_bytes = 16 << 20;
    let chance = StoreChance {
        store_id: [1; 16],
        salt: [2; 16],
        table_seed: 3,
        shards: 1,
        wall_ms: 0,
    };
    let opened = block_on(open_store(&BlockingDisk, &config, chance)).expect("it opens");
    let mut shards = opened.shards;
    let shard = shards.remove(0);
    let mut io = Instant::default();
    let mut worker = Worker::new(BlockingDisk, shard.worker, shard.link, Nobody);
    let mut bench = Bench {
        shard: Shard::new(shard.start, &mut io).expect("it starts"),
        io,
        completions: Vec::new(),
    };
    while bench.shard.status().segments_ahead < 2 {
        block_on(worker.step());
        bench.turn();
    }
    let queue = bench
        .shard
        .bind_queue(TopicId(1), 0)
        .expect("there is room");
    // Warm: arenas turn round, vectors have their size.
    for _ in 0..600 {
        bench.append(queue, 64);
        bench.turn();
    }
    let (blocks, messages) = (200, 64);
    let before = bench.shard.status();
    let counted = allocation_counter::measure(|| {
        for _ in 0..blocks {
            bench.append(queue, messages);
            bench.turn();
        }
    });
    let after = bench.shard.status();
    assert_eq!(after.records - before.records, u64::from(blocks * messages));
    let written = after.blocks - before.blocks;
    println!("{} allocations for {written} blocks", counted.count_total);
    assert!(
        counted.count_total <= 6 * written + 20,
        "{counted:?} for {written} blocks"
    );
    let end = bench.shard.offsets(queue).max;
    let pulls: u64 = 100;
    let counted = allocation_counter::measure(|| {
        for pull in 0..pulls {
            let request = PullRequest {
                queue,
                offset: end - 6_400 + pull * 64,
                max_messages: 64,
                max_bytes: u32::MAX,
                filter: TagFilter::All,
                wait_until_ns: None,
                ticket: 0,
            };
            match bench.shard.pull(&mut bench.io, request) {
                PullOutcome::Ready(result) => assert_eq!(result.count, 64),
                PullOutcome::Pending => panic!("it is in memory"),
            }
        }
    });
    println!(
        "{} allocations for {pulls} pulls of 64 messages",
        counted.count_total
    );
    assert!(counted.count_total <= 6 * pulls, "{counted:?}");
}

//! What the server does not do once it runs: allocate for a message.

use std::io::{Read, Write};
use std::net::TcpStream;

use ringmq_engine::Shard;
use ringmq_engine::control::worker::Worker;
use ringmq_ring::{BlockingDisk, Mailboxes, TurnLoop, Uring, UringConfig, Wake, block_on};
use ringmq_server::connection::Port;
use ringmq_server::limits;
use ringmq_server::link::{self, Command, ControlLink, Notice};
use ringmq_server::mux::Mux;
use ringmq_server::service::ShardService;

use crate::broker::send;
use crate::harness::{bind, broker_shard, open, settings};
use crate::wire::Ask;

/// One shard turned by the test itself, so that its thread's allocations can be counted.
struct Hand {
    io: Uring,
    service: ShardService<Uring>,
    turns: TurnLoop,
    completions: Vec<ringmq_ring::uring::UringCompletion>,
    link: ControlLink<ringmq_ring::uring::UringWaker>,
    allocations: u64,
}

impl Hand {
    fn turn(&mut self) {
        let counted = allocation_counter::measure(|| {
            self.turns
                .once(&mut self.io, &mut self.service, &mut self.completions)
                .unwrap();
        });
        self.allocations += counted.count_total;
    }

    fn turn_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            self.turn();
        }
    }

    /// Sends `frames`, turns until that many answers of this length are there.
    fn exchange(&mut self, client: &mut TcpStream, frames: &[u8], answers: usize) {
        client.write_all(frames).unwrap();
        let (mut received, mut chunk, mut found) = (Vec::new(), vec![0; 65536], 0);
        while found < answers {
            self.turn();
            match client.read(&mut chunk) {
                Ok(read) => received.extend_from_slice(&chunk[..read]),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => panic!("{error}"),
            }
            while let Some(word) = received.first_chunk::<4>() {
                let length = 4 + u32::from_be_bytes(*word) as usize;
                if received.len() < length {
                    break;
                }
                received.drain(..length);
                found += 1;
            }
        }
    }
}

/// Sends in flight at once.
const WINDOW: i32 = 64;
/// Windows of each serialisation, to warm up and to count.
const ROUNDS: u64 = 50;

#[test]
fn sends_in_steady_state_allocate_per_commit_and_not_per_message() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, address) = bind();
    let opened = open(folder.path(), 1).pop().unwrap();
    let mut io = Uring::new(&UringConfig::default()).unwrap();
    let engine = Shard::new(opened.start, &mut io).unwrap();
    let broker = broker_shard(engine, settings(address).into(), true);
    let mailboxes = Mailboxes::mesh(1, limits::MAILBOX_SLOTS).pop().unwrap();
    let (shard_link, link) = link::pair();
    let mut service = ShardService::new(Mux::new(mailboxes), Some(broker), None, shard_link);
    service.listen(listener, Port::Broker);
    let mut hand = Hand {
        io,
        service,
        turns: TurnLoop::sleeping(),
        completions: Vec::new(),
        link,
        allocations: 0,
    };
    hand.turn();
    let Some(Notice::Started(waker)) = hand.link.notice() else {
        panic!("the first notice is Started");
    };
    let (worker, worker_link) = (opened.worker, opened.link);
    let worker = std::thread::spawn(move || {
        block_on(Worker::new(BlockingDisk, worker, worker_link, waker).run());
    });
    hand.turn_until(|hand| matches!(hand.link.notice(), Some(Notice::Ready)));
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_nonblocking(true).unwrap();
    hand.exchange(&mut client, &send("TopicTest", 0, "first").frame(0), 1);

    let body = "b".repeat(1024);
    let window = |ask: Ask<'_>| -> Vec<u8> { (0..WINDOW).flat_map(|n| ask.frame(n)).collect() };
    let send = send("TopicTest", 0, &body);
    let frames = [window(send.clone()), window(send.binary())];
    let mut rounds = |hand: &mut Hand| {
        for _ in 0..ROUNDS {
            for frames in &frames {
                hand.exchange(&mut client, frames, WINDOW as usize);
            }
        }
    };
    rounds(&mut hand);
    let before = hand.allocations;
    rounds(&mut hand);
    let (allocations, windows) = (hand.allocations - before, ROUNDS * frames.len() as u64);
    // The engine allocates the owner of each commit block's shared bytes, whatever is in the block.
    assert!(
        allocations < 3 * windows,
        "{allocations} allocations for {} sends in {windows} windows",
        windows * WINDOW as u64
    );

    drop(client);
    hand.link.command(Command::Stop);
    hand.io_waker().wake();
    hand.turn_until(|hand| matches!(hand.link.notice(), Some(Notice::Stopped)));
    worker.join().unwrap();
}

impl Hand {
    fn io_waker(&self) -> ringmq_ring::uring::UringWaker {
        use ringmq_ring::Io;
        self.io.waker()
    }
}

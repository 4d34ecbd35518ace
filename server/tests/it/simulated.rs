//! Times and slow peers, in the simulated world: two minutes of silence pass in no time.

use ringmq_ring::Mailboxes;
use ringmq_ring::sim::{ClientState, Faults, SimClient, SimIo, SimThread, Step, World};
use ringmq_server::connection::Port;
use ringmq_server::handlers::names::NameService;
use ringmq_server::limits;
use ringmq_server::link;
use ringmq_server::mux::Mux;
use ringmq_server::namesrv::{KvConfig, NameServer, NameServerSettings};
use ringmq_server::service::ShardService;

use crate::wire::Ask;

const PORT: u16 = 9876;

/// A name server of some shards in a world of one seed.
struct Town {
    world: World,
    threads: Vec<SimThread<ShardService<SimIo>>>,
}

impl Town {
    fn new(seed: u64, shards: usize) -> Self {
        let world = World::new(seed, Faults::default());
        let process = world.process();
        let mut listener = Some(world.listen(process, PORT).unwrap());
        let mesh = Mailboxes::mesh(shards, limits::MAILBOX_SLOTS);
        let threads = mesh.into_iter().map(|mailboxes| {
            let listener = listener.take();
            let names = listener.is_some().then(|| {
                let settings = NameServerSettings::default();
                NameService::new(NameServer::new(settings, KvConfig::default()))
            });
            let (link, _control) = link::pair();
            let mut service = ShardService::new(Mux::new(mailboxes), None, names, link);
            if let Some(listener) = listener {
                service.listen(listener, Port::NameServer);
            }
            SimThread::new(world.io(process), service)
        });
        let threads = threads.collect();
        Self { world, threads }
    }

    /// Lets things happen until `done`, or until `seconds` of the world's time have passed.
    fn run(&mut self, seconds: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        let until_ns = self.world.now().monotonic_ns + seconds * limits::SECOND_NS;
        while self.world.now().monotonic_ns < until_ns {
            if done(&self.world) {
                return true;
            }
            match self.world.step() {
                Step::Turn(number) => {
                    let thread = self.threads.iter_mut().find(|t| t.number() == number);
                    thread.expect("a thread of the town").turn();
                }
                Step::Ran => {}
                Step::Idle => return done(&self.world),
                Step::Halted(halt) => panic!("{halt:?}"),
            }
        }
        done(&self.world)
    }

    /// How many seconds pass until the server closes the connection. The world is looked at when
    /// something runs in it, which an idle name server does every five seconds.
    fn seconds_until_closed(&mut self, client: &SimClient, limit: u64) -> Option<u64> {
        let start_ns = self.world.now().monotonic_ns;
        let is_closed = self.run(limit, |_| {
            matches!(client.state(), ClientState::Ended | ClientState::Reset)
        });
        let passed_ns = self.world.now().monotonic_ns - start_ns;
        is_closed.then_some(passed_ns / limits::SECOND_NS)
    }
}

#[test]
fn an_idle_connection_is_closed_after_two_minutes_and_not_before() {
    let mut town = Town::new(1, 2);
    let client = town.world.connect(PORT);
    client.send(Ask::new(106).frame(1));
    let seconds = town.seconds_until_closed(&client, 300);
    assert!(matches!(seconds, Some(120..=126)), "{seconds:?}");
}

#[test]
fn a_connection_that_never_asks_is_closed_after_a_minute_and_not_before() {
    let mut town = Town::new(1, 2);
    let client = town.world.connect(PORT);
    let seconds = town.seconds_until_closed(&client, 300);
    assert!(matches!(seconds, Some(60..=66)), "{seconds:?}");
}

#[test]
fn a_started_frame_that_does_not_get_on_is_closed_within_seconds() {
    let whole = Ask::new(106).frame(1);
    for (seed, sent) in [1, 3, 6, 20].into_iter().enumerate() {
        let mut town = Town::new(seed as u64, 1);
        let client = town.world.connect(PORT);
        client.send(whole[..sent].to_vec());
        let seconds = town.seconds_until_closed(&client, 60);
        assert!(matches!(seconds, Some(2..=5)), "{sent} bytes: {seconds:?}");
    }
}

#[test]
fn a_reader_that_never_reads_is_closed_and_others_are_served() {
    let mut town = Town::new(7, 1);
    let writer = town.world.connect(PORT);
    let put = Ask::new(100)
        .with("namespace", "n")
        .with("key", "k")
        .with("value", "v".repeat(1_000_000));
    writer.send(put.frame(1));
    assert!(town.run(10, |_| !writer.receive().is_empty()));
    let get = Ask::new(101).with("namespace", "n").with("key", "k");
    let slow = town.world.connect(PORT);
    for opaque in 0..100 {
        slow.send(get.frame(opaque));
    }
    let seconds = town.seconds_until_closed(&slow, 100);
    assert!(matches!(seconds, Some(30..=33)), "{seconds:?}");
    writer.send(get.frame(2));
    assert!(town.run(10, |_| !writer.receive().is_empty()));
}

#[test]
fn a_hundred_seeds_cut_the_stream_in_a_hundred_ways_and_all_requests_are_answered() {
    for seed in 0..100 {
        let shards = 1 + seed as usize % 3;
        let mut town = Town::new(seed, shards);
        let clients: Vec<_> = (0..4).map(|_| town.world.connect(PORT)).collect();
        for client in &clients {
            for opaque in 0..20 {
                let ask = Ask::new(105).with("topic", "T".repeat(opaque as usize * 50));
                client.send(ask.frame(opaque));
            }
        }
        let mut received = vec![Vec::new(); clients.len()];
        let all = town.run(30, |_| {
            for (client, bytes) in clients.iter().zip(&mut received) {
                bytes.extend(client.receive());
            }
            received.iter().all(|bytes| frames(bytes) == 20)
        });
        assert!(all, "seed {seed}");
    }
}

fn frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(word) = bytes.first_chunk::<4>() {
        let length = 4 + u32::from_be_bytes(*word) as usize;
        let Some(rest) = bytes.get(length..) else {
            break;
        };
        bytes = rest;
        count += 1;
    }
    count
}

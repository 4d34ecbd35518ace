//! A whole broker in the simulated world: shards, worker and clients on one thread, in an order that
//! the seed decides, with mailboxes of one slot so that every letter meets a full one.

use std::sync::Arc;

use ringmq_engine::Shard;
use ringmq_engine::config::Config;
use ringmq_engine::control::open::{OpenedShard, StoreChance, open_store};
use ringmq_engine::control::worker::Worker;
use ringmq_ring::sim::{Fault, Faults, Latency, SimClient, SimIo, SimThread, Step, World};
use ringmq_ring::{Io, Mailboxes};
use ringmq_server::connection::Port;
use ringmq_server::limits;
use ringmq_server::link;
use ringmq_server::mux::Mux;
use ringmq_server::service::ShardService;

use crate::broker::{bodies, pull, send};
use crate::harness::{broker_shard, settings};
use crate::wire::{Answer, Ask, decode};

const PORT: u16 = 10911;

pub struct Town {
    pub world: World,
    threads: Vec<SimThread<ShardService<SimIo>>>,
}

impl Town {
    pub fn new(seed: u64, shards: u8) -> Self {
        let world = World::new(seed, Faults::default());
        let process = world.process();
        let disk = world.disk(process);
        let mut config = Config::new("/data");
        config.shards = Some(shards);
        config.segment_bytes = 4 * 1024 * 1024;
        let chance = StoreChance {
            store_id: [1; 16],
            salt: [2; 16],
            table_seed: seed,
            shards,
            wall_ms: 1_700_000_000_000,
        };
        let opened = {
            let disk = disk.clone();
            world.block_on(
                process,
                async move { open_store(&disk, &config, chance).await },
            )
        };
        let mesh = Mailboxes::mesh(usize::from(shards), 1);
        let mut listener = Some(world.listen(process, PORT).unwrap());
        let settings = Arc::new(settings(([127, 0, 0, 1], PORT).into()));
        let mut threads = Vec::new();
        for (shard, mailboxes) in opened.unwrap().shards.into_iter().zip(mesh) {
            let OpenedShard {
                start,
                worker,
                link: worker_link,
                ..
            } = shard;
            let mut io = world.io(process);
            let engine = Shard::new(start, &mut io).unwrap();
            let waker = io.waker();
            world.spawn(
                process,
                Worker::new(disk.clone(), worker, worker_link, waker).run(),
            );
            let listener = listener.take();
            let broker = broker_shard(engine, Arc::clone(&settings), listener.is_some());
            let (link, _control) = link::pair();
            let mut service = ShardService::new(Mux::new(mailboxes), Some(broker), None, link);
            if let Some(listener) = listener {
                service.listen(listener, Port::Broker);
            }
            threads.push(SimThread::new(io, service));
        }
        Self { world, threads }
    }

    /// Lets this much time pass.
    fn pass(&mut self, nanoseconds: u64) {
        let until_ns = self.world.now().monotonic_ns + nanoseconds;
        while self.world.now().monotonic_ns < until_ns {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.world.step() {
            Step::Turn(number) => {
                let thread = self.threads.iter_mut().find(|t| t.number() == number);
                thread.expect("a thread of the town").turn();
            }
            Step::Ran => {}
            step => panic!("{step:?}, seed {}", self.world.seed()),
        }
    }

    /// Lets the world go on until the peers have as many answers as they want.
    pub fn run_until_answered(&mut self, peers: &mut [Peer]) {
        let until_ns = self.world.now().monotonic_ns + 60 * limits::SECOND_NS;
        while !peers.iter_mut().all(Peer::is_content) {
            let now_ns = self.world.now().monotonic_ns;
            assert!(
                now_ns < until_ns,
                "no answer within a minute, seed {}",
                self.world.seed()
            );
            self.step();
        }
    }
}

/// A client that sends everything at once and collects the answers.
pub struct Peer {
    client: SimClient,
    received: Vec<u8>,
    answers: Vec<Answer>,
    wanted: usize,
}

impl Peer {
    pub fn new(town: &Town) -> Self {
        Self {
            client: town.world.connect(PORT),
            received: Vec::new(),
            answers: Vec::new(),
            wanted: 0,
        }
    }

    pub fn ask(&mut self, opaque: i32, ask: &Ask<'_>) {
        self.client.send(ask.frame(opaque));
        self.wanted += usize::from(!ask.oneway);
    }

    fn is_content(&mut self) -> bool {
        self.received.extend(self.client.receive());
        while let Some((answer, length)) = decode(&self.received) {
            self.received.drain(..length);
            if answer.flag & 1 == 1 {
                self.answers.push(answer);
            }
        }
        self.answers.len() >= self.wanted
    }

    /// The answers since the last call, by their numbers.
    pub fn take(&mut self) -> Vec<Answer> {
        self.wanted = 0;
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|answer| answer.opaque);
        answers
    }
}

#[test]
fn a_send_that_the_disk_keeps_waiting_is_answered_10_in_time_and_stored_all_the_same() {
    let mut town = Town::new(3, 1);
    let mut peers = [Peer::new(&town)];
    peers[0].ask(1, &send("TopicSlow", 0, "quick"));
    town.run_until_answered(&mut peers);
    assert_eq!(peers[0].take()[0].code, 0);
    // The group is made, which takes a write.
    peers[0].ask(1, &pull("TopicSlow", 0, 0));
    town.run_until_answered(&mut peers);
    assert_eq!(bodies(&peers[0].take()[0]), ["quick"]);
    // Until the witness of that has been written.
    town.pass(3 * limits::SECOND_NS);
    let stall_ns = 9 * limits::SECOND_NS;
    town.world.set_faults(Faults {
        planned: [(town.world.operations() + 1, Fault::Stall)].into(),
        latency: Latency {
            stall_ns: (stall_ns, stall_ns),
            ..Latency::default()
        },
        ..Faults::default()
    });
    let asked_ns = town.world.now().monotonic_ns;
    peers[0].ask(2, &send("TopicSlow", 0, "slow"));
    town.run_until_answered(&mut peers);
    let answer = peers[0].take().remove(0);
    let took_ns = town.world.now().monotonic_ns - asked_ns;
    assert_eq!(answer.code, 10, "{answer:?}");
    assert_eq!(answer.number("queueOffset"), 1, "its place is told");
    // `syncFlushTimeout` of the settings of these tests.
    let timeout_ns = 5 * limits::SECOND_NS;
    assert!(
        (timeout_ns..timeout_ns + limits::SECOND_NS).contains(&took_ns),
        "{took_ns} ns"
    );
    // Nobody sees it before it is durable; then everybody does, and nobody is answered twice.
    peers[0].ask(3, &pull("TopicSlow", 0, 1));
    town.run_until_answered(&mut peers);
    assert_eq!(peers[0].take()[0].code, 19);
    town.pass(stall_ns);
    peers[0].ask(4, &pull("TopicSlow", 0, 1));
    town.run_until_answered(&mut peers);
    let answers = peers[0].take();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(bodies(&answers[0]), ["slow"]);
}

#[test]
fn a_message_after_a_quiet_time_is_stored_with_the_time_at_which_it_came_on_every_shard() {
    let mut town = Town::new(5, 3);
    let mut peers = [Peer::new(&town)];
    let send_to_each_queue = |town: &mut Town, peers: &mut [Peer; 1]| {
        for queue in 0..4 {
            peers[0].ask(queue, &send("TopicQuiet", queue, "message"));
        }
        town.run_until_answered(peers);
        assert!(peers[0].take().iter().all(|answer| answer.code == 0));
    };
    send_to_each_queue(&mut town, &mut peers);
    town.pass(30 * limits::SECOND_NS);
    let came_ms = town.world.now().wall_ms;
    send_to_each_queue(&mut town, &mut peers);
    for queue in 0..4 {
        let search = Ask::new(29)
            .with("topic", "TopicQuiet")
            .with("queueId", queue)
            .with("timestamp", came_ms);
        peers[0].ask(queue, &search);
    }
    town.run_until_answered(&mut peers);
    let offsets: Vec<_> = peers[0].take().iter().map(|a| a.number("offset")).collect();
    assert_eq!(
        offsets,
        [1, 1, 1, 1],
        "the first stored at or after the time"
    );
}

#[test]
fn every_request_is_answered_once_through_mailboxes_of_one_slot() {
    for seed in 0..12 {
        let shards = 1 + (seed % 3) as u8;
        let mut town = Town::new(seed, shards);
        let mut peers: Vec<_> = (0..4).map(|_| Peer::new(&town)).collect();
        for (number, peer) in (0..).zip(&mut peers) {
            for n in 0..40 {
                let body = format!("peer {number} message {n}");
                peer.ask(n, &send("TopicSim", n % 4, &body));
            }
        }
        town.run_until_answered(&mut peers);
        let mut offsets = [const { Vec::new() }; 4];
        for peer in &mut peers {
            let answers = peer.take();
            let opaques: Vec<_> = answers.iter().map(|answer| answer.opaque).collect();
            assert_eq!(opaques, (0..40).collect::<Vec<_>>(), "seed {seed}");
            for answer in answers {
                assert_eq!(answer.code, 0, "seed {seed}: {answer:?}");
                offsets[answer.number("queueId") as usize].push(answer.number("queueOffset"));
            }
        }
        for mut offsets in offsets {
            offsets.sort_unstable();
            assert_eq!(offsets, (0..40).collect::<Vec<_>>(), "seed {seed}");
        }
        check_contents(&mut town, &mut peers, seed);
    }
}

fn check_contents(town: &mut Town, peers: &mut [Peer], seed: u64) {
    for queue in 0..4 {
        let mut ask = pull("TopicSim", queue, 0);
        if let Some(field) = ask
            .fields
            .iter_mut()
            .find(|(name, _)| *name == "maxMsgNums")
        {
            field.1 = "100".into();
        }
        peers[0].ask(queue, &ask);
    }
    town.run_until_answered(peers);
    let mut all: Vec<String> = Vec::new();
    for answer in peers[0].take() {
        assert_eq!(answer.code, 0, "seed {seed}: {answer:?}");
        all.extend(bodies(&answer));
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((count, all.len()), (160, 160), "seed {seed}");
}

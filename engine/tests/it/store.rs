//! A store in a simulated world: real shards and their control plane on a simulated disk and clock, one
//! step at a time. Nothing sleeps; the same seed gives the same story.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use ringmq_engine::control::open::{OpenedStore, StoreChance, open_store};
use ringmq_engine::control::worker::Worker;
use ringmq_engine::placement::shard_of;
use ringmq_engine::recovery::RecoveryReport;
use ringmq_engine::{
    Appended, Config, Event, PullOutcome, PullRequest, PullResult, PullStatus, QueueNumber,
    Refused, Shard, ShardPace, TagFilter, Ticket, TopicId,
};
use ringmq_protocol::{RecordParts, RecordView};
use ringmq_ring::io::Wake;
use ringmq_ring::sim::{Faults, Process, SimIo, SimThread, Step, World};
use ringmq_ring::{Completion, Io, Moment, Pace, Service};

/// Steps of the world after which something that should have happened never will.
const STEPS_MAX: u64 = 3_000_000;

pub struct Store {
    pub world: World,
    pub config: Config,
    pub reports: Vec<RecoveryReport>,
    process: Process,
    threads: Vec<SimThread<Stepper>>,
    topics: HashMap<String, TopicId>,
    next_ticket: Ticket,
}

/// A shard that does nothing of itself: tests call it between its turns.
pub struct Stepper {
    pub shard: Shard<SimIo>,
    pub events: Vec<Event>,
    pub pace: ShardPace,
}

impl Service<SimIo> for Stepper {
    fn completion(
        &mut self,
        io: &mut SimIo,
        completion: Completion<<SimIo as Io>::Stream, <SimIo as Io>::Received>,
    ) {
        self.shard.observe(io.now());
        self.shard.completion(io, completion);
    }

    fn turn(&mut self, io: &mut SimIo, now: Moment) -> Pace {
        self.pace = self.shard.turn(io, now);
        while let Some(event) = self.shard.next_event() {
            self.events.push(event);
        }
        Pace {
            in_flight: self.pace.in_flight,
            deadline_ns: self.pace.deadline_ns,
            stop: self.pace.stopped || self.pace.failed,
        }
    }
}

/// Small enough that a few records fill a segment.
pub fn small_config() -> Config {
    let mut config = Config::new("data");
    config.shards = Some(1);
    config.segment_bytes = 512 << 10;
    config.block_bytes = 16 << 10;
    config.checkpoint_bytes = 128 << 10;
    config
}

impl Store {
    /// A new store, ready for appends.
    pub fn new(seed: u64, config: Config) -> Self {
        let world = World::new(seed, Faults::default());
        Self::open(world, config)
    }

    /// The store that is on the world's disk, ready for appends.
    pub fn open(world: World, config: Config) -> Self {
        let mut store = Self::begin(world, config);
        store.run_until("ready", |store| {
            store.threads.iter().all(|t| t.service.shard.is_ready())
        });
        store
    }

    /// The store that is on the world's disk, before its shards have had a turn.
    pub fn begin(world: World, config: Config) -> Self {
        println!("seed {}", world.seed());
        let process = world.process();
        let (disk, opening) = (world.disk(process), config.clone());
        let chance = StoreChance {
            store_id: [7; 16],
            salt: [9; 16],
            table_seed: world.seed(),
            shards: 1,
            wall_ms: world.now().wall_ms,
        };
        let opened = {
            let disk = disk.clone();
            world.block_on(
                process,
                async move { open_store(&disk, &opening, chance).await },
            )
        };
        let OpenedStore { shards, lock, .. } = opened.expect("the store opens");
        // Held for the life of the process.
        world.spawn(process, async move {
            let _held = lock;
            std::future::pending::<()>().await;
        });
        let mut store = Self {
            world,
            config,
            reports: Vec::new(),
            process,
            threads: Vec::new(),
            topics: HashMap::new(),
            next_ticket: 0,
        };
        for shard in shards {
            let mut io = store.world.io(process);
            let worker = Worker::new(disk.clone(), shard.worker, shard.link, io.waker());
            store.world.spawn(process, async move {
                worker.clean().await.expect("the folder is clean");
                worker.run().await;
            });
            let shard_itself =
                Shard::new(shard.start, &mut io).expect("a world has room for files");
            store.reports.push(shard.report);
            let stepper = Stepper {
                shard: shard_itself,
                events: Vec::new(),
                pace: ShardPace::default(),
            };
            store.threads.push(SimThread::new(io, stepper));
        }
        let topics = store.threads[0].service.shard.topics();
        store.topics = topics.map(|(id, name, _)| (name.to_owned(), id)).collect();
        store
    }

    /// Ends the process and opens the store again.
    pub fn kill_and_open(self) -> Self {
        self.world.kill(self.process);
        Self::open(self.world, self.config)
    }

    /// Ends the process and opens the store again; its shards have not had a turn.
    pub fn kill_and_begin(self) -> Self {
        self.world.kill(self.process);
        Self::begin(self.world, self.config)
    }

    /// The power goes; the store is opened again.
    pub fn cut_and_open(self) -> Self {
        self.world.power_cut();
        Self::open(self.world, self.config)
    }

    /// Ends the process, leaving the world.
    pub fn kill(self) -> World {
        self.world.kill(self.process);
        self.world
    }

    /// Asks all shards to stop.
    pub fn ask_to_stop(&mut self) {
        for thread in &mut self.threads {
            thread.service.shard.stop();
            thread.io.waker().wake();
        }
    }

    /// Stops in order, leaving the world.
    pub fn stop(mut self) -> (World, Config) {
        self.ask_to_stop();
        self.run_until("stopped", |store| {
            store.threads.iter().all(SimThread::is_stopped)
        });
        self.world.kill(self.process);
        (self.world, self.config)
    }

    /// Stops in order and opens the store again.
    pub fn stop_and_open(self) -> Self {
        let (world, config) = self.stop();
        Self::open(world, config)
    }

    /// Lets the world go on until `done`.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..STEPS_MAX {
            if done(self) {
                return;
            }
            match self.world.step() {
                Step::Turn(number) => {
                    for thread in &mut self.threads {
                        if thread.number() == number {
                            thread.turn();
                        }
                    }
                }
                Step::Ran => {}
                step => panic!("{what}: the world stands still: {step:?}"),
            }
        }
        let statuses: Vec<_> = self
            .threads
            .iter()
            .map(|t| t.service.shard.status())
            .collect();
        panic!(
            "{what}: not in {STEPS_MAX} steps, seed {}: {statuses:?}",
            self.world.seed()
        );
    }

    /// Lets this much time pass.
    pub fn pass_ms(&mut self, ms: u64) {
        let until = self.world.now().monotonic_ns + ms * 1_000_000;
        let world = self.world.clone();
        // Something must happen at that time, or the world would stand still before it.
        let disk = self.world.disk(Process::OUTSIDE);
        self.world.spawn(Process::OUTSIDE, async move {
            ringmq_ring::Disk::pause(&disk, std::time::Duration::from_millis(ms)).await;
        });
        self.run_until("time passes", |_| world.now().monotonic_ns >= until);
    }

    /// Works on a shard between its turns; it gets a turn afterwards.
    pub fn with<T>(
        &mut self,
        shard: usize,
        work: impl FnOnce(&mut Shard<SimIo>, &mut SimIo) -> T,
    ) -> T {
        let thread = &mut self.threads[shard];
        thread.service.shard.observe(self.world.now());
        let result = work(&mut thread.service.shard, &mut thread.io);
        thread.io.waker().wake();
        result
    }

    pub fn shard(&self, shard: usize) -> &Shard<SimIo> {
        &self.threads[shard].service.shard
    }

    pub fn pace(&self, shard: usize) -> ShardPace {
        self.threads[shard].service.pace
    }

    pub fn events(&self, shard: usize) -> &[Event] {
        &self.threads[shard].service.events
    }

    pub fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// The topic of this name, made durable when it is new.
    pub fn topic(&mut self, name: &str) -> TopicId {
        if let Some(&topic) = self.topics.get(name) {
            return topic;
        }
        let ticket = self.ticket();
        let topic = self.with(0, |shard, _| {
            let topic = shard.next_topic_id();
            shard
                .put_topic(topic, name, b"payload", ticket)
                .expect("there is room");
            topic
        });
        self.stored(0, ticket);
        self.topics.insert(name.to_owned(), topic);
        topic
    }

    /// The shard and number of a queue, bound when it is new.
    pub fn queue(&mut self, name: &str, queue_id: u32) -> (usize, QueueNumber) {
        let topic = self.topic(name);
        let count = self.threads.len() as u8;
        let shard = usize::from(shard_of(name, queue_id, count).0);
        let queue = self.with(shard, |shard, _| shard.bind_queue(topic, queue_id));
        (shard, queue.expect("there is room"))
    }

    /// Appends a record; it is not acknowledged yet.
    pub fn append(
        &mut self,
        name: &str,
        queue_id: u32,
        body: &[u8],
    ) -> Result<(Ticket, Appended), Refused> {
        let (shard, queue) = self.queue(name, queue_id);
        let ticket = self.ticket();
        let appended = self.with(shard, |shard, _| {
            shard.append(queue, &parts(name, queue_id, body, &[]), ticket)
        });
        appended.map(|appended| (ticket, appended))
    }

    /// Appends a record and waits until it is acknowledged; again while the shard is busy.
    pub fn send(&mut self, name: &str, queue_id: u32, body: &[u8]) -> Appended {
        let (shard, _) = self.queue(name, queue_id);
        loop {
            match self.append(name, queue_id, body) {
                Ok((ticket, appended)) => {
                    self.stored(shard, ticket);
                    return appended;
                }
                Err(Refused::Busy(_)) => self.pass_ms(1),
                Err(refused) => panic!("{refused}"),
            }
        }
    }

    /// Waits for an acknowledgement.
    pub fn stored(&mut self, shard: usize, ticket: Ticket) {
        let told = |event: &Event| matches!(event, Event::Stored { ticket: t } if *t == ticket);
        self.run_until("stored", |store| store.events(shard).iter().any(told));
        self.threads[shard]
            .service
            .events
            .retain(|event| !told(event));
    }

    /// Reads from a queue, without waiting for new records.
    pub fn pull(&mut self, name: &str, queue_id: u32, offset: u64, max: u32) -> PullResult {
        let (shard, request) = self.request(name, queue_id, offset, max);
        let ticket = request.ticket;
        match self.with(shard, |shard, io| shard.pull(io, request)) {
            PullOutcome::Ready(result) => result,
            PullOutcome::Pending => self.pulled(shard, ticket),
        }
    }

    pub fn request(
        &mut self,
        name: &str,
        queue_id: u32,
        offset: u64,
        max_messages: u32,
    ) -> (usize, PullRequest) {
        let (shard, queue) = self.queue(name, queue_id);
        let request = PullRequest {
            queue,
            offset,
            max_messages,
            max_bytes: u32::MAX,
            filter: TagFilter::All,
            wait_until_ns: None,
            ticket: self.ticket(),
        };
        (shard, request)
    }

    /// Waits for the answer to a pull.
    pub fn pulled(&mut self, shard: usize, ticket: Ticket) -> PullResult {
        let told = |event: &Event| matches!(event, Event::Pulled { ticket: t, .. } if *t == ticket);
        self.run_until("pulled", |store| store.events(shard).iter().any(told));
        let events = &mut self.threads[shard].service.events;
        let at = events.iter().position(told).expect("just seen");
        match events.remove(at) {
            Event::Pulled { result, .. } => result,
            _ => unreachable!("just matched"),
        }
    }

    /// Every body of a queue, from its oldest record on; offsets and positions are checked on the way.
    pub fn bodies(&mut self, name: &str, queue_id: u32) -> Vec<Vec<u8>> {
        let (shard, queue) = self.queue(name, queue_id);
        let mut offset = self.shard(shard).offsets(queue).min;
        let mut bodies = Vec::new();
        loop {
            let result = self.pull(name, queue_id, offset, 32);
            for (at, record) in result.each().enumerate() {
                let view = RecordView::parse(&record).expect("a stored record");
                assert_eq!(view.queue_offset() as u64, offset + at as u64);
                assert!(view.body_crc_matches() && view.topic() == name);
                bodies.push(view.body().to_vec());
            }
            if result.status == PullStatus::TooSmall {
                // Retention was faster.
                bodies.clear();
            } else if result.count == 0 {
                assert_eq!(offset, result.max, "{:?}", result.status);
                return bodies;
            }
            offset = result.next;
        }
    }

    /// File names in a folder of the data folder.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let disk = self.world.disk(Process::OUTSIDE);
        let path = self.config.folder.join(folder);
        self.world.block_on(Process::OUTSIDE, async move {
            ringmq_ring::Disk::list(&disk, Path::new(&path))
                .await
                .expect("the folder is there")
        })
    }
}

/// The parts of a record with this body.
pub fn parts<'a>(
    topic: &'a str,
    queue_id: u32,
    body: &'a [u8],
    properties: &'a [&'a [u8]],
) -> RecordParts<'a> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 10911));
    RecordParts {
        topic,
        queue_id: queue_id as i32,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: nowhere,
        store_host: nowhere,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

/// The bodies in an answer.
pub fn bodies_of(result: &PullResult) -> Vec<Vec<u8>> {
    let body = |record: Bytes| {
        RecordView::parse(&record)
            .expect("a stored record")
            .body()
            .to_vec()
    };
    result.each().map(body).collect()
}

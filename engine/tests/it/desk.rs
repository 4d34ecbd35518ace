//! One shard of a store in a simulated world, driven turn by turn.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use ringmq_engine::control::open::{StoreChance, open_store};
use ringmq_engine::control::worker::Worker;
use ringmq_engine::{
    Appended, Boundary, Config, Event, OffsetOutcome, PhysicalOffset, PullOutcome, PullRequest,
    PullResult, PullStatus, QueueNumber, Refused, Shard, ShardPace, TagFilter, TopicId, View,
    ViewOutcome,
};
use ringmq_protocol::{RecordParts, RecordView};
use ringmq_ring::sim::{Faults, Process, SimFile, SimIo, SimStream, SimThread, Step, World};
use ringmq_ring::{Completion, Io, Moment, Pace, Service, Wake};

pub const TOPIC: TopicId = TopicId(1);

/// A running shard and the world it is in.
pub struct Desk {
    pub world: World,
    pub config: Config,
    pub process: Process,
    pub thread: SimThread<Turns>,
    _lock: SimFile,
}

/// The service of a shard that has nothing else to do.
pub struct Turns {
    pub shard: Shard<SimIo>,
    pub events: Vec<Event>,
    pub pace: ShardPace,
}

impl Service<SimIo> for Turns {
    fn completion(&mut self, io: &mut SimIo, completion: Completion<SimStream, Bytes>) {
        self.shard.observe(io.now());
        self.shard.completion(io, completion);
    }

    fn turn(&mut self, io: &mut SimIo, now: Moment) -> Pace {
        self.pace = self.shard.turn(io, now);
        self.events
            .extend(std::iter::from_fn(|| self.shard.next_event()));
        Pace {
            in_flight: self.pace.in_flight,
            deadline_ns: self.pace.deadline_ns,
            stop: self.pace.stopped || self.pace.failed,
        }
    }
}

/// Small segments and blocks, so that a few hundred records make several of them.
pub fn small() -> Config {
    Config {
        shards: Some(1),
        segment_bytes: 1 << 20,
        block_bytes: 128 << 10,
        checkpoint_bytes: 1 << 20,
        lock_wait: Duration::from_secs(5),
        ..Config::new(PathBuf::from("data"))
    }
}

impl Desk {
    pub fn new(seed: u64, config: Config) -> Self {
        Self::open(World::new(seed, Faults::default()), config)
    }

    /// Opens the store in a world, as a process of its own.
    pub fn open(world: World, config: Config) -> Self {
        let process = world.process();
        let (disk, opening) = (world.disk(process), config.clone());
        let chance = StoreChance {
            store_id: [1; 16],
            salt: [2; 16],
            table_seed: 3,
            shards: 1,
            wall_ms: world.now().wall_ms,
        };
        let opened = world.block_on(
            process,
            async move { open_store(&disk, &opening, chance).await },
        );
        let opened = opened.expect("the store opens");
        let mut io = world.io(process);
        let one = opened.shards.into_iter().next().expect("one shard");
        let shard = Shard::new(one.start, &mut io).expect("the io takes every file");
        let worker = Worker::new(world.disk(process), one.worker, one.link, io.waker());
        world.spawn(process, async move {
            worker.clean().await.expect("a readable folder");
            worker.run().await;
        });
        let turns = Turns {
            shard,
            events: Vec::new(),
            pace: ShardPace::default(),
        };
        Self {
            world,
            config,
            process,
            thread: SimThread::new(io, turns),
            _lock: opened.lock,
        }
    }

    /// Kills the process and opens the store again; `change` happens to the files in between.
    pub fn restart(self, change: impl FnOnce(&World)) -> Self {
        let Self {
            world,
            config,
            process,
            ..
        } = self;
        world.kill(process);
        change(&world);
        Self::open(world, config)
    }

    pub fn shard(&mut self) -> &mut Shard<SimIo> {
        &mut self.thread.service.shard
    }

    /// A turn, as follows any call in a real service: what the shard wants to do later has its deadline.
    pub fn nudge(&mut self) {
        self.thread.turn();
    }

    /// One step of the world.
    pub fn step(&mut self) {
        match self.world.step() {
            Step::Turn(io) if io == self.thread.number() => {
                self.thread.turn();
            }
            Step::Halted(halt) => panic!("{halt:?}"),
            _ => {}
        }
    }

    /// Steps until something is there.
    pub fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        for _ in 0..400_000 {
            if let Some(found) = look(self) {
                return found;
            }
            self.step();
        }
        panic!(
            "never came: {what}; {:?}",
            self.thread.service.shard.status()
        );
    }

    /// Waits for an event that passes, and takes it.
    pub fn event(&mut self, what: &str, passes: impl Fn(&Event) -> bool) -> Event {
        // Its thread may sleep: what was asked of it between two turns is not known to it.
        self.thread.io.waker().wake();
        self.until(what, |desk| {
            let events = &mut desk.thread.service.events;
            let at = events.iter().position(&passes)?;
            Some(events.remove(at))
        })
    }

    /// Lets simulated time pass.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.world.now().monotonic_ns + milliseconds * 1_000_000;
        self.until("time", |desk| {
            (desk.world.now().monotonic_ns >= end).then_some(())
        });
    }

    pub fn queue(&mut self, queue_id: u32) -> QueueNumber {
        self.until("a segment to bind in", |desk| {
            desk.shard().bind_queue(TOPIC, queue_id).ok()
        })
    }

    /// Appends a record whose body is made of `mark`, as soon as there is room, and waits until it is
    /// stored.
    pub fn append(&mut self, queue: QueueNumber, mark: u64, len: usize) -> Appended {
        for _ in 0..100_000 {
            match self.try_append(queue, mark, len) {
                Ok(appended) => return appended,
                Err(Refused::Busy(_) | Refused::Full) => self.step(),
                Err(refused) => panic!("{refused}"),
            }
        }
        panic!("never any room");
    }

    /// Appends a record if it is taken, and waits until it is stored.
    pub fn try_append(
        &mut self,
        queue: QueueNumber,
        mark: u64,
        len: usize,
    ) -> Result<Appended, Refused> {
        let body = body(mark, len);
        let tags = format!("TAGS\u{1}{}\u{2}", mark % 5);
        let properties: [&[u8]; 1] = [tags.as_bytes()];
        let ticket = mark + 1_000_000;
        let parts = parts(&body, &properties);
        let appended = self.shard().append(queue, &parts, ticket)?;
        let stored = |event: &Event| matches!(event, Event::Stored { ticket: of } if *of == ticket);
        self.event("the ack", stored);
        Ok(appended)
    }

    /// Appends a record as [`Desk::append`] does, or says why not; waits for nothing.
    pub fn begin_append(
        &mut self,
        queue: QueueNumber,
        mark: u64,
        len: usize,
    ) -> Result<Appended, Refused> {
        let body = body(mark, len);
        let parts = parts(&body, &[]);
        self.shard().append(queue, &parts, mark + 1_000_000)
    }

    /// Pulls until the answer is not "busy".
    pub fn pull(&mut self, queue: QueueNumber, offset: u64, max_messages: u32) -> PullResult {
        for _ in 0..2000 {
            let result = self.pull_once(queue, offset, max_messages);
            if result.status != PullStatus::Busy {
                return result;
            }
            self.pass(5);
        }
        panic!("busy for ever at {offset}");
    }

    pub fn pull_once(&mut self, queue: QueueNumber, offset: u64, max_messages: u32) -> PullResult {
        let request = PullRequest {
            queue,
            offset,
            max_messages,
            max_bytes: 64 << 10,
            filter: TagFilter::All,
            wait_until_ns: None,
            ticket: 7,
        };
        let SimThread { io, service, .. } = &mut self.thread;
        match service.shard.pull(io, request) {
            PullOutcome::Ready(result) => result,
            PullOutcome::Pending => {
                match self.event("the pull", |event| matches!(event, Event::Pulled { .. })) {
                    Event::Pulled { result, .. } => result,
                    _ => unreachable!("it is a pull"),
                }
            }
        }
    }

    pub fn offset_by_time(&mut self, queue: QueueNumber, wall_ms: i64, boundary: Boundary) -> u64 {
        let SimThread { io, service, .. } = &mut self.thread;
        match service
            .shard
            .offset_by_time(io, queue, wall_ms, boundary, 8)
        {
            OffsetOutcome::Ready(offset) => offset,
            OffsetOutcome::Pending => match self.event("the offset", |event| {
                matches!(event, Event::OffsetFound { .. })
            }) {
                Event::OffsetFound { offset, .. } => offset,
                _ => unreachable!("it is an offset"),
            },
        }
    }

    /// The record at a physical offset, if one begins there.
    pub fn view(&mut self, physical: PhysicalOffset) -> Option<Bytes> {
        match self.look_at(physical) {
            View::Found(record) => Some(record),
            View::Absent => None,
            view => panic!("{view:?} at {physical:?}"),
        }
    }

    pub fn look_at(&mut self, physical: PhysicalOffset) -> View {
        let SimThread { io, service, .. } = &mut self.thread;
        match service.shard.view(io, physical, 9) {
            ViewOutcome::Ready(view) => view,
            ViewOutcome::Pending => {
                match self.event("the view", |event| matches!(event, Event::Viewed { .. })) {
                    Event::Viewed { view, .. } => view,
                    _ => unreachable!("it is a view"),
                }
            }
        }
    }

    /// Every record from `offset` to the end: queue offsets and marks.
    pub fn read_all(&mut self, queue: QueueNumber, mut offset: u64) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        loop {
            let result = self.pull(queue, offset, 16);
            match result.status {
                PullStatus::Found => {
                    all.extend(result.records.iter().flat_map(|slice| records(slice)))
                }
                PullStatus::NoNew => return all,
                status => panic!("{status:?} at {offset}"),
            }
            offset = result.next;
        }
    }
}

pub fn body(mark: u64, len: usize) -> Vec<u8> {
    let mut body = vec![mark as u8; len.max(8)];
    body[..8].copy_from_slice(&mark.to_be_bytes());
    body
}

/// Queue offset and mark of each record in a slice.
pub fn records(slice: &[u8]) -> Vec<(u64, u64)> {
    let mut rest = slice;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let view = RecordView::parse(rest).expect("a whole record");
        let mut mark = [0; 8];
        mark.copy_from_slice(&view.body()[..8]);
        records.push((view.queue_offset() as u64, u64::from_be_bytes(mark)));
        rest = &rest[view.as_bytes().len()..];
    }
    records
}

fn parts<'a>(body: &'a [u8], properties: &'a [&'a [u8]]) -> RecordParts<'a> {
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    RecordParts {
        topic: "T",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 0,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

//! A server in this process: real rings, real sockets, ports of the kernel's choice, a store in a
//! folder of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringmq_engine::config::Config;
use ringmq_engine::control::open::{OpenedShard, StoreChance, open_store};
use ringmq_engine::control::worker::Worker;
use ringmq_engine::{Policy, Shard};
use ringmq_protocol::message_id::UniqueIds;
use ringmq_ring::uring::UringWaker;
use ringmq_ring::{BlockingDisk, Io, Mailboxes, TurnLoop, Uring, UringConfig, Wake, block_on};
use ringmq_server::broker::system_topics::SystemTopicSettings;
use ringmq_server::broker::{GroupTable, TopicTable};
use ringmq_server::calls::Calls;
use ringmq_server::connection::Port;
use ringmq_server::doors::Doors;
use ringmq_server::gather::Gathers;
use ringmq_server::handlers::names::NameService;
use ringmq_server::home::Home;
use ringmq_server::limits;
use ringmq_server::link::{self, Command, ControlLink, Notice, ShardLink};
use ringmq_server::metrics::{Metrics, Recorder};
use ringmq_server::mux::Mux;
use ringmq_server::namesrv::{KvConfig, NameServer, NameServerSettings};
use ringmq_server::progress::Progress;
use ringmq_server::routes::Routes;
use ringmq_server::sends::Sends;
use ringmq_server::service::ShardService;
use ringmq_server::shard::{BrokerShard, Random, Scratch, Settings};
use ringmq_server::tables::Tables;
use ringmq_server::waiters::Waiters;

const SEED: u64 = 0x5EED;
const WAIT: Duration = Duration::from_secs(20);

/// A running server; stopped in order when dropped.
pub struct Server {
    pub names: SocketAddr,
    pub metrics: Arc<Metrics>,
    broker: Option<SocketAddr>,
    threads: Vec<Thread>,
    workers: Vec<JoinHandle<()>>,
    _folder: Option<tempfile::TempDir>,
}

struct Thread {
    link: ControlLink<UringWaker>,
    waker: UringWaker,
    handle: Option<JoinHandle<()>>,
}

impl Server {
    /// A name server whose connections are spread over `shards` threads.
    pub fn names(shards: usize) -> Self {
        Self::names_with(shards, Doors::default())
    }

    /// As [`Server::names`], for no more connections than that.
    pub fn names_with(shards: usize, doors: Doors) -> Self {
        let (listener, names) = bind();
        let mut listener = Some(listener);
        let mesh = Mailboxes::mesh(shards, limits::MAILBOX_SLOTS);
        let threads = mesh.into_iter().map(|mailboxes| {
            let listener = listener.take();
            start(move |_io, link| {
                let names = listener.is_some().then(name_service);
                let mut service = ShardService::new(Mux::new(mailboxes), None, names, link);
                service.set_doors(doors);
                if let Some(listener) = listener {
                    service.listen(listener, Port::NameServer);
                }
                service
            })
        });
        Self {
            names,
            metrics: Arc::new(Metrics::new(shards)),
            broker: None,
            threads: threads.collect(),
            workers: Vec::new(),
            _folder: None,
        }
    }

    /// A broker of that many shards in a folder that goes with it.
    pub fn broker(shards: u8) -> Self {
        Self::broker_with(shards, |_| ())
    }

    /// As [`Server::broker`], with other settings.
    pub fn broker_with(shards: u8, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::broker_in(folder.path(), shards, change);
        server._folder = Some(folder);
        server
    }

    /// A broker on a data folder.
    pub fn broker_in(folder: &Path, shards: u8, change: impl FnOnce(&mut Settings)) -> Self {
        let (listener, broker) = bind();
        let mut settings = settings(broker);
        change(&mut settings);
        let settings = Arc::new(settings);
        let mut server = Self {
            names: broker,
            metrics: Arc::new(Metrics::new(usize::from(shards))),
            broker: Some(broker),
            threads: Vec::new(),
            workers: Vec::new(),
            _folder: None,
        };
        let mesh = Mailboxes::mesh(usize::from(shards), limits::MAILBOX_SLOTS);
        let mut listener = Some(listener);
        for (shard, mailboxes) in open(folder, shards).into_iter().zip(mesh) {
            let listener = listener.take();
            let settings = Arc::clone(&settings);
            let index = server.threads.len();
            let metrics = Recorder::new(Arc::clone(&server.metrics), index, SEED);
            let OpenedShard {
                start: store,
                worker,
                link: worker_link,
                ..
            } = shard;
            let thread = start(move |io, link| {
                let engine = Shard::new(store, io).unwrap();
                let is_home = listener.is_some();
                let broker = broker_shard(engine, settings, is_home);
                let service = ShardService::new(Mux::new(mailboxes), Some(broker), None, link);
                let mut service = service.counting_in(metrics);
                if let Some(listener) = listener {
                    service.listen(listener, Port::Broker);
                }
                service
            });
            let waker = thread.waker.clone();
            server.workers.push(std::thread::spawn(move || {
                block_on(Worker::new(BlockingDisk, worker, worker_link, waker).run());
            }));
            server.threads.push(thread);
        }
        let home = &mut server.threads[0].link;
        while !matches!(wait_for(home), Notice::Ready) {}
        server
    }

    pub fn broker_address(&self) -> SocketAddr {
        self.broker.expect("a broker")
    }
}

pub fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn name_service() -> NameService {
    let settings = NameServerSettings::default();
    NameService::new(NameServer::new(settings, KvConfig::default()))
}

pub fn open(folder: &Path, shards: u8) -> Vec<OpenedShard<BlockingDisk>> {
    let mut config = Config::new(folder);
    config.shards = Some(shards);
    config.segment_bytes = 16 * 1024 * 1024;
    config.hot_tail_bytes = 16 * 1024 * 1024;
    let chance = StoreChance {
        store_id: [7; 16],
        salt: [9; 16],
        table_seed: SEED,
        shards,
        wall_ms: 1_700_000_000_000,
    };
    let opened = block_on(open_store(&BlockingDisk, &config, chance)).unwrap();
    opened.shards
}

pub fn settings(broker: SocketAddr) -> Settings {
    Settings {
        broker_name: "broker-a".into(),
        stored_properties: Settings::stored_properties("DefaultRegion", true, "DefaultCluster"),
        receipts: Settings::receipts(broker, "DefaultRegion", true),
        store_host: broker,
        message_bytes_max: 4 * 1024 * 1024,
        store_timeout_ns: 5 * limits::SECOND_NS,
        is_readable: true,
        is_writable: true,
        region: "DefaultRegion".into(),
        trace_on: true,
        long_polling: true,
        property_filter: false,
        auto_create_groups: true,
        server_side_reset: true,
        auto_create_topics: true,
        retention: Policy::default(),
    }
}

pub fn broker_shard<I: Io>(
    engine: Shard<I>,
    settings: Arc<Settings>,
    is_home: bool,
) -> BrokerShard<I> {
    let home = is_home.then(|| {
        let topics = SystemTopicSettings {
            cluster: "DefaultCluster".into(),
            broker: settings.broker_name.clone(),
            auto_create: true,
            default_queues: 8,
            trace: false,
        };
        let topics = TopicTable::restore(topics, engine.topics(), SEED, 0).unwrap();
        let groups = GroupTable::restore(settings.auto_create_groups, engine.groups(), 0).unwrap();
        Box::new(Home::new(topics, groups, SEED))
    });
    BrokerShard {
        unique_ids: UniqueIds::new(settings.store_host.ip(), 1, 2),
        settings,
        engine,
        tables: Tables::new(SEED),
        waiters: Waiters::default(),
        progress: Progress::default(),
        gathers: Gathers::default(),
        calls: Calls::default(),
        sends: Sends::default(),
        routes: Routes::default(),
        home,
        random: Random::new(SEED),
        scratch: Scratch::default(),
    }
}

/// Starts a thread that makes its service itself, and waits for its first notice.
fn start(
    make: impl FnOnce(&mut Uring, ShardLink<UringWaker>) -> ShardService<Uring> + Send + 'static,
) -> Thread {
    let (shard, mut link) = link::pair();
    let handle = std::thread::spawn(move || {
        let mut io = Uring::new(&UringConfig::default()).unwrap();
        let mut service = make(&mut io, shard);
        TurnLoop::default().run(&mut io, &mut service).unwrap();
    });
    let waker = match wait_for(&mut link) {
        Notice::Started(waker) => waker,
        other => panic!("{other:?} before it was started"),
    };
    Thread {
        link,
        waker,
        handle: Some(handle),
    }
}

fn wait_for(link: &mut ControlLink<UringWaker>) -> Notice<UringWaker> {
    let limit = Instant::now() + WAIT;
    loop {
        if let Some(notice) = link.notice() {
            return notice;
        }
        assert!(
            Instant::now() < limit,
            "no notice from the shard within {WAIT:?}"
        );
        std::thread::yield_now();
    }
}

impl Thread {
    fn tell(&mut self, command: Command) {
        self.link.command(command);
        self.waker.wake();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.threads.iter_mut().for_each(|t| t.tell(Command::Stop));
        for thread in &mut self.threads {
            while !matches!(wait_for(&mut thread.link), Notice::Stopped) {}
        }
        self.threads.iter_mut().for_each(|t| t.tell(Command::Exit));
        for thread in &mut self.threads {
            let ended = thread.handle.take().map(JoinHandle::join);
            assert!(matches!(ended, Some(Ok(()))), "a shard thread panicked");
        }
        for worker in self.workers.drain(..) {
            assert!(worker.join().is_ok(), "a worker panicked");
        }
    }
}

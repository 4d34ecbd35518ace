//! The threads that serve: those of the engine's shards, or one alone where there is only a name
//! server.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use flume::Sender;
use ringmq_engine::Shard;
use ringmq_engine::engine::Running;
use ringmq_protocol::message_id::UniqueIds;
use ringmq_ring::mailbox::Mailboxes;
use ringmq_ring::turn;
use ringmq_ring::uring::{Uring, UringConfig, UringWaker};

use super::log;
use crate::broker::system_topics::SystemTopicSettings;
use crate::broker::{GroupTable, TopicTable};
use crate::calls::Calls;
use crate::connection::Port;
use crate::doors::Doors;
use crate::error::StartError;
use crate::gather::Gathers;
use crate::handlers::names::NameService;
use crate::home::Home;
use crate::link::ShardLink;
use crate::metrics::Recorder;
use crate::mux::{Letter, Mux};
use crate::progress::Progress;
use crate::routes::Routes;
use crate::sends::Sends;
use crate::service::ShardService;
use crate::shard::{BrokerShard, Random, Scratch, Settings};
use crate::tables::Tables;
use crate::waiters::Waiters;

/// The mailboxes between the threads of one process.
pub(super) type ShardMailboxes = Mailboxes<Letter<std::net::TcpStream, Tables>, (), UringWaker>;

/// What the service of one thread is made from.
pub(super) struct ServicePlan {
    pub mailboxes: ShardMailboxes,
    pub link: ShardLink<UringWaker>,
    pub listeners: Vec<(TcpListener, Port)>,
    pub names: Option<NameService>,
    pub broker: Option<BrokerPlan>,
    pub metrics: Recorder,
    /// Who may come in.
    pub doors: Doors,
    /// Where it is told why a service cannot be made.
    pub failures: Sender<StartError>,
}

/// What the broker of one thread begins with.
pub(super) struct BrokerPlan {
    pub settings: Arc<Settings>,
    /// On the home shard.
    pub home: Option<HomePlan>,
    pub seed: u64,
    pub wall_ms: i64,
}

/// What the home shard's tables begin with.
pub(super) struct HomePlan {
    pub topics: SystemTopicSettings,
    pub auto_create_groups: bool,
}

/// The threads of a process.
pub(super) enum Threads {
    /// One for each shard of the store, and the engine's own.
    Engine(Running),
    /// A name server's.
    Alone(JoinHandle<io::Result<()>>),
}

impl Threads {
    /// Starts the thread of a name server without a broker.
    pub fn alone(plan: ServicePlan) -> Result<Self, StartError> {
        thread::Builder::new()
            .name("name-server".to_owned())
            .spawn(move || {
                let mut io = match Uring::new(&UringConfig::default()) {
                    Ok(io) => io,
                    Err(refused) => {
                        // Whoever started it listens until it serves.
                        let _ = plan.failures.send(refused.into());
                        return Ok(());
                    }
                };
                turn::run(&mut io, &mut plan.service(None))
            })
            .map(Self::Alone)
            .map_err(StartError::Thread)
    }

    /// Why the store cannot go on, if it cannot.
    pub fn failure(&self) -> Option<&ringmq_engine::Error> {
        match self {
            Self::Engine(running) => running.failure(),
            Self::Alone(_) => None,
        }
    }

    /// Waits for threads that have been told to leave; says why one did not end well.
    pub fn join(self) -> Result<(), String> {
        match self {
            Self::Engine(running) => running.join().map_err(|error| error.to_string()),
            Self::Alone(thread) => match thread.join() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(format!("the kernel's ring failed: {error}")),
                Err(_) => Err("the name server's thread has panicked".to_owned()),
            },
        }
    }
}

impl ServicePlan {
    /// Makes the service, on its thread. One that cannot be made says why, and waits to be told to
    /// leave.
    pub fn service(self, engine: Option<Shard<Uring>>) -> ShardService<Uring> {
        log::attach();
        let broker = match (self.broker, engine) {
            (Some(plan), Some(engine)) => match plan.broker_shard(engine) {
                Ok(broker) => Some(broker),
                Err(error) => {
                    // Whoever started it listens until it serves.
                    let _ = self.failures.send(error);
                    None
                }
            },
            _ => None,
        };
        let mux = Mux::new(self.mailboxes);
        let service = ShardService::new(mux, broker, self.names, self.link);
        let mut service = service.counting_in(self.metrics);
        service.set_doors(self.doors);
        for (listener, port) in self.listeners {
            service.listen(listener, port);
        }
        service
    }
}

impl BrokerPlan {
    fn broker_shard(self, engine: Shard<Uring>) -> Result<BrokerShard<Uring>, StartError> {
        let home = match &self.home {
            Some(home) => Some(Box::new(self.recovered(home, &engine)?)),
            None => None,
        };
        let ip = self.settings.store_host.ip();
        let process = (std::process::id() & 0xFFFF) as u16;
        Ok(BrokerShard {
            settings: self.settings,
            engine,
            tables: Tables::new(self.seed),
            waiters: Waiters::default(),
            sends: Sends::default(),
            routes: Routes::default(),
            home,
            random: Random::new(self.seed),
            unique_ids: UniqueIds::new(ip, process, self.seed as u32),
            progress: Progress::default(),
            gathers: Gathers::default(),
            calls: Calls::default(),
            scratch: Scratch::default(),
        })
    }

    fn recovered(&self, home: &HomePlan, engine: &Shard<Uring>) -> Result<Home, StartError> {
        let (seed, now) = (self.seed, self.wall_ms);
        let topics = TopicTable::restore(home.topics.clone(), engine.topics(), seed, now)?;
        let groups = GroupTable::restore(home.auto_create_groups, engine.groups(), now)?;
        Ok(Home::new(topics, groups, seed))
    }
}

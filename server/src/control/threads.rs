//! The threads of the shards: each makes its ring, takes its part of the store over, and turns until
//! it is told to leave.

use std::fs::File;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use flume::Sender;
use ringmq_engine::Shard;
use ringmq_engine::shard::ShardStart;
use ringmq_protocol::message_id::UniqueIds;
use ringmq_ring::affinity::{self, Place};
use ringmq_ring::mailbox::Mailboxes;
use ringmq_ring::turn;
use ringmq_ring::uring::{Uring, UringConfig, UringWaker};

use crate::broker::system_topics::SystemTopicSettings;
use crate::broker::{GroupTable, TopicTable};
use crate::connection::Port;
use crate::error::StartError;
use crate::handlers::names::NameService;
use crate::home::Home;
use crate::link::ShardLink;
use crate::mux::{Letter, Mux};
use crate::service::ShardService;
use crate::shard::{BrokerShard, Random, Scratch, Settings};
use crate::tables::Tables;
use crate::waiters::Waiters;

/// The mailboxes between the threads of one process.
pub(super) type ShardMailboxes = Mailboxes<Letter<std::net::TcpStream, Tables>, (), UringWaker>;

/// What one thread begins with.
pub(super) struct ThreadPlan {
    pub index: u8,
    pub place: Place,
    pub mailboxes: ShardMailboxes,
    pub link: ShardLink<UringWaker>,
    pub listeners: Vec<(TcpListener, Port)>,
    pub names: Option<NameService>,
    pub broker: Option<BrokerPlan>,
}

/// What the broker of one thread begins with.
pub(super) struct BrokerPlan {
    pub store: ShardStart<File>,
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

/// Starts the thread. Why it does not serve, if it does not, goes to `failures`.
pub(super) fn spawn(
    plan: ThreadPlan,
    failures: Sender<StartError>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    thread::Builder::new()
        .name(format!("shard-{}", plan.index))
        .spawn(move || match begin(plan) {
            Ok((mut io, mut service)) => turn::run(&mut io, &mut service),
            Err(error) => {
                // Nobody listening means that another thread has failed already.
                let _ = failures.send(error);
                Ok(())
            }
        })
}

fn begin(plan: ThreadPlan) -> Result<(Uring, ShardService<Uring>), StartError> {
    if let Err(error) = affinity::pin(plan.place) {
        tracing::warn!(%error, "cannot pin a shard's thread to its core; going on without");
    }
    let mut io = Uring::new(&UringConfig::default())?;
    let broker = match plan.broker {
        Some(broker) => Some(broker_shard(broker, &mut io)?),
        None => None,
    };
    let mux = Mux::new(plan.mailboxes);
    let mut service = ShardService::new(mux, broker, plan.names, plan.link);
    for (listener, port) in plan.listeners {
        service.listen(listener, port);
    }
    Ok((io, service))
}

fn broker_shard(plan: BrokerPlan, io: &mut Uring) -> Result<BrokerShard<Uring>, StartError> {
    let engine = Shard::new(plan.store, io).map_err(StartError::Thread)?;
    let home = match plan.home {
        Some(home) => Some(Box::new(recovered_home(
            &home,
            &engine,
            plan.seed,
            plan.wall_ms,
        )?)),
        None => None,
    };
    let ip: IpAddr = plan.settings.store_host.ip();
    let process = (std::process::id() & 0xFFFF) as u16;
    Ok(BrokerShard {
        settings: plan.settings,
        engine,
        tables: Tables::new(plan.seed),
        waiters: Waiters::default(),
        home,
        random: Random::new(plan.seed),
        unique_ids: UniqueIds::new(ip, process, plan.seed as u32),
        scratch: Scratch::default(),
    })
}

fn recovered_home(
    plan: &HomePlan,
    engine: &Shard<Uring>,
    seed: u64,
    wall_ms: i64,
) -> Result<Home, StartError> {
    let topics = TopicTable::restore(plan.topics.clone(), engine.topics(), seed, wall_ms)?;
    let groups = GroupTable::restore(plan.auto_create_groups, engine.groups(), wall_ms)?;
    Ok(Home::new(topics, groups, seed))
}

//! One life of the engine: a process with its shards and their control plane.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringmq_engine::control::open::{OpenedStore, StoreChance, open_store};
use ringmq_engine::control::worker;
use ringmq_engine::{Config, Error, Shard};
use ringmq_ring::Io;
use ringmq_ring::sim::{Outcome, Process, Rng, SimDisk, SimFile, SimThread, World};

use super::worker::{Shared, Worker};

/// A running engine.
pub struct Life {
    pub process: Process,
    pub threads: Vec<SimThread<Worker>>,
    control: Vec<Outcome<()>>,
    _lock: SimFile,
}

impl Life {
    /// Whether the control planes of all shards have ended, as they do after a stop.
    pub fn is_done(&self) -> bool {
        self.control.iter().all(Outcome::is_ready)
    }
}

/// Begins to open the store for a process.
pub fn open(
    world: &World,
    process: Process,
    config: &Config,
    chance: u64,
) -> Outcome<Result<OpenedStore<SimDisk>, Error>> {
    let mut rng = Rng::new(chance);
    let mut bytes = || {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&rng.bits().to_be_bytes());
        bytes[8..].copy_from_slice(&rng.bits().to_be_bytes());
        bytes
    };
    let chance = StoreChance {
        store_id: bytes(),
        salt: bytes(),
        table_seed: chance,
        shards: 1,
        wall_ms: world.now().wall_ms,
    };
    let disk = world.disk(process);
    let config = config.clone();
    world.spawn(
        process,
        async move { open_store(&disk, &config, chance).await },
    )
}

/// Starts the shards of an opened store, and their control planes.
pub fn start(
    world: &World,
    process: Process,
    opened: OpenedStore<SimDisk>,
    shared: &Rc<RefCell<Shared>>,
) -> Life {
    let mut threads = Vec::new();
    let mut control = Vec::new();
    for opened in opened.shards {
        world.note(6, &format!("recovered {:?}", opened.report));
        let mut io = world.io(process);
        let shard = Shard::new(opened.start, &mut io).expect("a simulated io takes every file");
        let disk = world.disk(process);
        let worker = worker::Worker::new(disk, opened.worker, opened.link, io.waker());
        control.push(world.spawn(process, async move {
            // What cannot be cleaned now is cleaned at the next start.
            let _ = worker.clean().await;
            worker.run().await;
        }));
        threads.push(SimThread::new(io, Worker::new(shard, Rc::clone(shared))));
    }
    Life {
        process,
        threads,
        control,
        _lock: opened.lock,
    }
}

/// Where a log segment lies.
pub fn segment_path(config: &Config, shard: usize, segment: u64) -> PathBuf {
    let folder = config.folder.join(format!("shard-{shard:02}/log"));
    folder.join(format!("{segment:016x}.log"))
}

/// The inverse of [`segment_path`].
pub fn segment_of(path: &Path) -> Option<(u8, u64)> {
    let segment = u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()?;
    let shard = path.parent()?.parent()?.file_name()?.to_str()?;
    let shard = shard.strip_prefix("shard-")?.parse().ok()?;
    let log = path.extension().is_some_and(|extension| extension == "log");
    log.then_some((shard, segment))
}

//! The control plane's thread: it opens the store, and then works for all its shards.
//!
//! On a glommio executor where that can be had, else (without its rings, or built for musl, where it
//! does not build) with calls that block: the work is the same.

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

#[cfg(not(target_env = "musl"))]
use glommio::{LocalExecutorBuilder, Placement};
use ringmq_ring::blocking::{BlockingDisk, block_on};
use ringmq_ring::uring::UringWaker;
use ringmq_ring::{Disk, io::Wake};

use crate::config::Config;
#[cfg(not(target_env = "musl"))]
use crate::control::glommio_disk::GlommioDisk;
use crate::control::open::{OpenedShard, OpenedStore, StoreChance, open_store};
use crate::control::worker::{IDLE_PAUSE, Stepped, Worker};
use crate::error::Error;
use crate::shard::ShardStart;
use crate::store::Store;

/// What the starter of the shards gets.
pub(crate) struct Opening {
    pub(crate) store: Store,
    pub(crate) shards: Vec<ShardStart<File>>,
    pub(crate) notices: Vec<String>,
}

/// Memory that glommio registers, three times over: small, so that it fits the usual limit on locked
/// memory. Larger I/O takes ordinary memory.
#[cfg(not(target_env = "musl"))]
const IO_MEMORY: usize = 256 << 10;
/// Operations in flight per ring of glommio's.
#[cfg(not(target_env = "musl"))]
const RING_DEPTH: usize = 32;
/// While the shards' threads start.
const START_PAUSE: Duration = Duration::from_millis(1);

/// Opens the store, tells `opened`, waits to be told whom to wake, and works until all shards have stopped.
pub(crate) fn run(
    config: &Config,
    chance: StoreChance,
    opened: &Sender<Result<Opening, Error>>,
    wakers: &Receiver<Vec<UringWaker>>,
) {
    if let Err(error) = open_and_work(config, chance, opened, wakers) {
        // Nobody listens any more when the store was opened already.
        let _ = opened.send(Err(error));
    }
}

#[cfg(not(target_env = "musl"))]
fn open_and_work(
    config: &Config,
    chance: StoreChance,
    opened: &Sender<Result<Opening, Error>>,
    wakers: &Receiver<Vec<UringWaker>>,
) -> Result<(), Error> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .name("control")
        .io_memory(IO_MEMORY)
        .ring_depth(RING_DEPTH)
        .make();
    match executor {
        Ok(executor) => executor.run(with_glommio(config, chance, opened, wakers)),
        Err(error) => {
            tracing::info!(%error, "the control plane works with blocking calls");
            block_on(work(BlockingDisk, config, chance, opened, wakers))
        }
    }
}

#[cfg(target_env = "musl")]
fn open_and_work(
    config: &Config,
    chance: StoreChance,
    opened: &Sender<Result<Opening, Error>>,
    wakers: &Receiver<Vec<UringWaker>>,
) -> Result<(), Error> {
    block_on(work(BlockingDisk, config, chance, opened, wakers))
}

#[cfg(not(target_env = "musl"))]
async fn with_glommio(
    config: &Config,
    chance: StoreChance,
    opened: &Sender<Result<Opening, Error>>,
    wakers: &Receiver<Vec<UringWaker>>,
) -> Result<(), Error> {
    let folder = &config.folder;
    let made = BlockingDisk.create_dir_all(folder).await;
    made.map_err(Error::io("create", folder))?;
    let disk = GlommioDisk::start(folder).await;
    let disk = disk.map_err(Error::io("write to", folder))?;
    work(disk, config, chance, opened, wakers).await
}

async fn work<D: Disk<Handle = File>>(
    disk: D,
    config: &Config,
    chance: StoreChance,
    opened: &Sender<Result<Opening, Error>>,
    wakers: &Receiver<Vec<UringWaker>>,
) -> Result<(), Error> {
    let OpenedStore {
        store,
        shards,
        lock,
    } = open_store(&disk, config, chance).await?;
    let notices = notices(config, &store, &shards, chance);
    let (mut starts, mut rests) = (Vec::new(), Vec::new());
    for shard in shards {
        starts.push(shard.start);
        rests.push((shard.worker, shard.link));
    }
    let opening = Opening {
        store,
        shards: starts,
        notices,
    };
    if opened.send(Ok(opening)).is_err() {
        return Ok(());
    }
    let Some(wakers) = told(&disk, wakers).await else {
        return Ok(());
    };
    let workers = rests.into_iter().zip(wakers);
    let workers = workers
        .map(|((start, link), waker)| Worker::new(disk.clone(), start, link, waker))
        .collect();
    serve(&disk, workers).await;
    drop(lock);
    Ok(())
}

async fn told<D: Disk>(disk: &D, wakers: &Receiver<Vec<UringWaker>>) -> Option<Vec<UringWaker>> {
    loop {
        match wakers.try_recv() {
            Ok(wakers) => return Some(wakers),
            Err(TryRecvError::Empty) => disk.pause(START_PAUSE).await,
            Err(TryRecvError::Disconnected) => return None,
        }
    }
}

/// A step for each shard in turn, so that none waits for another's segment.
async fn serve<D: Disk, W: Wake>(disk: &D, mut workers: Vec<Worker<D, W>>) {
    for worker in &workers {
        if let Err(error) = worker.clean().await {
            tracing::warn!(%error, "what a crash has left behind stays for now");
        }
    }
    while !workers.is_empty() {
        let mut idle = true;
        let mut at = 0;
        while at < workers.len() {
            match workers[at].step().await {
                Stepped::Busy => idle = false,
                Stepped::Idle => {}
                Stepped::Stopped => {
                    workers.swap_remove(at);
                    continue;
                }
            }
            at += 1;
        }
        if idle && !workers.is_empty() {
            disk.pause(IDLE_PAUSE).await;
        }
    }
}

fn notices<D: Disk>(
    config: &Config,
    store: &Store,
    shards: &[OpenedShard<D>],
    chance: StoreChance,
) -> Vec<String> {
    let mut notices = Vec::new();
    if config.shards.is_none() && store.shards != chance.shards {
        notices.push(format!(
            "the store has {} shards and keeps them; a new one here would have {}",
            store.shards, chance.shards
        ));
    }
    if store.segment_bytes != config.segment_bytes {
        notices.push(format!(
            "the store has segments of {} bytes and keeps them",
            store.segment_bytes
        ));
    }
    for shard in shards {
        let report = &shard.report;
        let index = shard.start.shard;
        notices.push(format!(
            "shard {index}: {} records in {} blocks read from {} bytes of log, {} stop before",
            report.records,
            report.blocks,
            report.bytes_read,
            if report.clean { "clean" } else { "no clean" },
        ));
        let lines = report.damage.iter().map(ToString::to_string);
        let lines = lines.chain(report.tail.map(|tail| tail.to_string()));
        let lines = lines.chain(report.warnings.iter().cloned());
        notices.extend(lines.map(|line| format!("shard {index}: {line}")));
    }
    notices
}

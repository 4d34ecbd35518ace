//! Opening a store: store file, locks, index segments, recovery; for every shard what its thread and its
//! control plane begin with. Only over [`Disk`]: no threads, no clock, no randomness of its own.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringmq_ring::{Disk, OpenMode};

use crate::config::Config;
use crate::control::index_files::IndexFiles;
use crate::control::link::{ControlLink, link};
use crate::control::worker::WorkerStart;
use crate::error::Error;
use crate::index::OpenSegment;
use crate::limits::SHARDS_MAX;
use crate::recovery::{
    LogHead, Recovered, RecoveredSegment, RecoveryReport, ShardFolder, create_shard, open_shard,
    recover,
};
use crate::shard::{Settings, ShardStart, StartSegment};
use crate::store::Store;
use crate::types::{SegmentNumber, ShardIndex, TopicId};

/// What chance and the machine decide for a store; given from outside so that a simulation repeats it.
#[derive(Clone, Copy, Debug)]
pub struct StoreChance {
    /// Id of a new store.
    pub store_id: [u8; 16],
    /// Secret salt of a new store.
    pub salt: [u8; 16],
    /// Seeds the tables of this run.
    pub table_seed: u64,
    /// Shards of a new store when the configuration names none.
    pub shards: u8,
    /// Now, ms since the epoch.
    pub wall_ms: i64,
}

/// A store whose files are locked and whose shards are recovered.
pub struct OpenedStore<D: Disk> {
    /// What the store file says.
    pub store: Store,
    /// Every shard, in order.
    pub shards: Vec<OpenedShard<D>>,
    /// Keeps a second process out of the folder; to be kept as long as the store is open.
    pub lock: D::File,
}

/// One shard, ready to be started.
pub struct OpenedShard<D: Disk> {
    /// For [`crate::Shard::new`], on the shard's thread.
    pub start: ShardStart<D::Handle>,
    /// For [`crate::control::worker::Worker::new`].
    pub worker: WorkerStart,
    /// The worker's end of the link.
    pub link: ControlLink<D::Handle>,
    /// What recovery found.
    pub report: RecoveryReport,
}

/// Opens the store in the configured folder, or makes a new one there.
///
/// # Errors
/// Why it must not be served; the text says what to do.
pub async fn open_store<D: Disk>(
    disk: &D,
    config: &Config,
    chance: StoreChance,
) -> Result<OpenedStore<D>, Error> {
    config.validate()?;
    let folder = &config.folder;
    let made = disk.create_dir_all(folder).await;
    made.map_err(Error::io("create", folder))?;
    let lock = lock_folder(disk, config).await?;
    let store = match Store::load(disk, folder).await? {
        Some(store) => {
            // Whoever made it may have died before its name was durable.
            let synced = disk.sync_dir(folder).await;
            synced.map_err(Error::io("flush the folder", folder))?;
            check_shards(store, config)?
        }
        None => create_store(disk, config, &chance).await?,
    };
    let mut shards = Vec::new();
    for number in 0..store.shards {
        let shard = ShardIndex(number);
        shards.push(open_one(disk, config, &store, shard, &chance).await?);
    }
    if config.reconcile_topics {
        reconcile(&mut shards);
    }
    Ok(OpenedStore {
        store,
        shards,
        lock,
    })
}

/// The home shard's log alone decides which topics exist. When it is damaged it does not: then nothing is
/// deleted, because a topic may be what was lost.
fn reconcile<D: Disk>(shards: &mut [OpenedShard<D>]) {
    let Some(home) = shards.first() else { return };
    if !home.report.damage.is_empty() || home.start.head.read_only {
        return;
    }
    let topics = home.start.state.topics.iter();
    let alive: BTreeSet<TopicId> = topics.map(|row| row.topic).collect();
    for shard in shards {
        let queues = shard.start.state.queues.iter();
        let topics: BTreeSet<TopicId> = queues.map(|row| row.topic).collect();
        shard.start.dead_topics = topics.difference(&alive).copied().collect();
    }
}

const LOCK_FILE: &str = "lock";
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A killed process may hold the lock until its writes are done.
async fn lock_folder<D: Disk>(disk: &D, config: &Config) -> Result<D::File, Error> {
    let path = config.folder.join(LOCK_FILE);
    let file = disk.open(&path, OpenMode::CreateOrTruncate).await;
    let file = file.map_err(Error::io("open", &path))?;
    lock(disk, &file, &path, config.lock_wait).await?;
    Ok(file)
}

async fn lock<D: Disk>(disk: &D, file: &D::File, path: &Path, wait: Duration) -> Result<(), Error> {
    let mut waited = Duration::ZERO;
    while !disk.try_lock(file).map_err(Error::io("lock", path))? {
        if waited >= wait {
            return Err(Error::Locked { path: path.into() });
        }
        disk.pause(LOCK_PAUSE).await;
        waited += LOCK_PAUSE;
    }
    Ok(())
}

fn check_shards(store: Store, config: &Config) -> Result<Store, Error> {
    match config.shards {
        Some(asked) if asked != store.shards => Err(Error::Config(format!(
            "the store in {} has {} shards and {asked} are asked for: leave the count out to use \
             what is there",
            config.folder.display(),
            store.shards
        ))),
        _ => Ok(store),
    }
}

async fn create_store<D: Disk>(
    disk: &D,
    config: &Config,
    chance: &StoreChance,
) -> Result<Store, Error> {
    let store = Store {
        id: chance.store_id,
        salt: chance.salt,
        shards: config.shards.unwrap_or(chance.shards),
        segment_bytes: config.segment_bytes,
        created_ms: chance.wall_ms,
    };
    refuse_orphans(disk, config).await?;
    for number in 0..store.shards {
        let folder = shard_folder(config, &store, ShardIndex(number));
        create_shard(disk, &folder).await?;
    }
    let folder = &config.folder;
    // Any of the folders above may have been made just now.
    for above in folder.ancestors() {
        match disk.sync_dir(above).await {
            // One that is not ours to read was there before.
            Err(error) if above != folder && error.kind() == ErrorKind::PermissionDenied => break,
            synced => synced.map_err(Error::io("flush the folder", above))?,
        }
    }
    store.create(disk, folder).await?;
    Ok(store)
}

/// A new store is never made over the segments of another one whose store file is gone.
async fn refuse_orphans<D: Disk>(disk: &D, config: &Config) -> Result<(), Error> {
    for number in 0..SHARDS_MAX {
        let log = config
            .folder
            .join(format!("shard-{}/log", ShardIndex(number)));
        match disk.list(&log).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("list", log)(error)),
            Ok(names) if names.is_empty() => {}
            Ok(_) => {
                return Err(Error::Corrupt(format!(
                    "{} holds a log, but the store file in {} is missing: restore it from a backup, \
                     or empty the folder for a new store",
                    log.display(),
                    config.folder.display()
                )));
            }
        }
    }
    Ok(())
}

fn shard_folder(config: &Config, store: &Store, shard: ShardIndex) -> ShardFolder {
    ShardFolder {
        identity: store.identity(shard),
        path: config.folder.join(format!("shard-{shard}")),
        lock_wait: config.lock_wait,
    }
}

async fn open_one<D: Disk>(
    disk: &D,
    config: &Config,
    store: &Store,
    shard: ShardIndex,
    chance: &StoreChance,
) -> Result<OpenedShard<D>, Error> {
    let folder = shard_folder(config, store, shard);
    let files = open_shard(disk, &folder).await?;
    let kept: Vec<SegmentNumber> = files.segments.iter().map(|(number, _)| *number).collect();
    let indexes = open_indexes(disk, &folder, store, shard, &kept).await?;
    let indexed: Vec<SegmentNumber> = indexes.iter().map(OpenSegment::number).collect();
    let recovered = recover(disk, &folder, files, &indexed).await?;
    let (head, _) = recovered.head.next.split(store.segment_bytes);
    let index_files = IndexFiles::new(disk.clone(), folder.index(), store.id, shard);
    index_files.remove_from(head).await?;
    let mut indexes = indexes;
    indexes.retain(|index| index.number() < head);
    assemble(disk, config, &folder, chance, recovered, indexes).await
}

/// The index segments that can be used. One that cannot is left out: recovery reads its log segment again.
async fn open_indexes<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    store: &Store,
    shard: ShardIndex,
    kept: &[SegmentNumber],
) -> Result<Vec<OpenSegment<D::File>>, Error> {
    let files = IndexFiles::new(disk.clone(), folder.index(), store.id, shard);
    let mut open = Vec::new();
    for segment in files.segments().await? {
        if kept.binary_search(&segment).is_err() {
            continue;
        }
        match files.open(segment).await {
            Ok(index) => open.push(index),
            Err(error) => {
                tracing::warn!(shard = shard.0, %segment, %error, "an index segment is rebuilt");
            }
        }
    }
    Ok(open)
}

async fn assemble<D: Disk>(
    disk: &D,
    config: &Config,
    folder: &ShardFolder,
    chance: &StoreChance,
    recovered: Recovered<D::File>,
    indexes: Vec<OpenSegment<D::File>>,
) -> Result<OpenedShard<D>, Error> {
    let size = folder.identity.segment_bytes;
    let (next, _) = recovered.head.next.split(size);
    let fresh = recovered.head.fresh_segment;
    // After a clean stop recovery may not have read a single block.
    let stored = indexes.iter().filter_map(|index| index.header.times);
    let newest_ms = stored.map(|(_, last)| last).max().unwrap_or(0);
    let head = LogHead {
        last_store_ms: recovered.head.last_store_ms.max(newest_ms),
        ..recovered.head
    };
    let mut segments = Vec::new();
    for segment in recovered.segments {
        // What lies at and after a fresh start is prepared, not part of the log.
        if segment.number < next || (segment.number == next && !fresh) {
            let times = known_times(segment.number, &recovered.indexes, &indexes);
            segments.push(start_segment(disk, folder, segment, times).await?);
        }
    }
    let handle = |file: &D::File, path: PathBuf| {
        let handle = disk.handle(file);
        handle.map_err(Error::io("share", path))
    };
    let mut index_segments = Vec::new();
    for index in indexes {
        let file = handle(&index.file, folder.index())?;
        index_segments.push(index.map_file(|_| file));
    }
    let (shard_link, control_link) = link();
    let worker = WorkerStart {
        folder: folder.path.clone(),
        identity: folder.identity,
        oldest: segments
            .first()
            .map_or(next, |first: &StartSegment<_>| first.number),
        next: if fresh { next } else { next.next() },
        fresh,
        spares: recovered.spares,
        generations: recovered
            .manifest
            .states
            .iter()
            .map(|s| s.generation)
            .collect(),
        runs: recovered.manifest.runs.clone(),
    };
    let start = ShardStart {
        shard: recovered.shard,
        settings: Settings::from(config),
        identity: folder.identity,
        seed: chance.table_seed.wrapping_add(u64::from(recovered.shard.0)),
        head,
        run: recovered.run,
        segments,
        retired: recovered.retired,
        indexes: recovered.indexes,
        index_segments,
        state: recovered.state,
        dead_topics: Vec::new(),
        next_generation: recovered.next_generation,
        manifest_file: handle(&recovered.manifest_file, folder.manifest())?,
        manifest: recovered.manifest,
        manifest_sequence: recovered.manifest_sequence,
        witness_file: handle(&recovered.witness_file, folder.witness())?,
        witness_sequence: recovered.witness_sequence,
        link: shard_link,
    };
    Ok(OpenedShard {
        start,
        worker,
        link: control_link,
        report: recovered.report,
    })
}

/// Whether the segment's index segment is on disk, and the store time of its newest record.
fn known_times<F>(
    number: SegmentNumber,
    recovered: &[crate::queue::ActiveIndex],
    indexes: &[OpenSegment<F>],
) -> (bool, Option<i64>) {
    let on_disk = indexes.iter().find(|index| index.number() == number);
    if let Some(index) = on_disk {
        return (true, index.header.times.map(|(_, last)| last));
    }
    let in_memory = recovered.iter().find(|index| index.segment() == number);
    (false, in_memory.and_then(|index| index.last_store_ms()))
}

async fn start_segment<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    segment: RecoveredSegment<D::File>,
    (indexed, last_store_ms): (bool, Option<i64>),
) -> Result<StartSegment<D::Handle>, Error> {
    let path = folder.segment(segment.number);
    let file = match segment.file {
        Some(file) => file,
        None => open_segment(disk, &path, folder.lock_wait).await?,
    };
    let size = folder.identity.segment_bytes;
    Ok(StartSegment {
        number: segment.number,
        file: disk.handle(&file).map_err(Error::io("share", path))?,
        used: segment.used.unwrap_or(size),
        last_store_ms,
        indexed,
    })
}

/// A killed process may hold its lock until its reads are done.
async fn open_segment<D: Disk>(
    disk: &D,
    path: &Path,
    lock_wait: Duration,
) -> Result<D::File, Error> {
    let file = disk.open(path, OpenMode::Existing).await;
    let file = file.map_err(Error::io("open", path))?;
    lock(disk, &file, path, lock_wait).await?;
    Ok(file)
}

//! Start of a shard: from the bytes on the disk to everything its memory must hold.
//!
//! What always holds, however often it is killed in the middle: nothing acknowledged is taken away,
//! nothing that was set aside comes back, and the same bytes give the same result. The rules are in
//! `FORMAT.md`, section 8; the walk along the log is in `scan.rs`.

mod error;
mod files;
mod look_ahead;
mod recovered;
mod replay;
mod runs;
mod scan;
mod segment_reader;

pub use error::RecoveryError;
pub(crate) use files::create_anew;
pub use files::{ShardFiles, ShardFolder, create_shard, open_shard};
pub use recovered::{
    Damage, DamageKind, LogHead, Recovered, RecoveredSegment, RecoveryReport, ShardState, TornTail,
};

use bytes::Bytes;
use ringmq_ring::planted::{self, planted};
use ringmq_ring::{Disk, OpenMode};

use crate::block::{BlockFault, BlockHeader, HEADER_BYTES};
use crate::control_record::RunStart;
use crate::manifest::{BlockMark, Manifest, StateGeneration};
use crate::queue::ActiveIndex;
use crate::state::{LoadedState, StateFault, StateReader};
use crate::types::{LogOffset, SegmentNumber};
use crate::witness::Witness;
use files::read;
use replay::Replay;
use scan::{Plan, Scan};
use segment_reader::WINDOW_BYTES;

/// Recovers a shard whose files are locked. `indexed` lists the segments whose index segments on
/// disk are valid: their entries are not read again.
///
/// When this returns, everything accepted is flushed and the new run is durable in the manifest: the
/// first append may follow. It must begin with a `RunStart` record, a copy of the manifest's last run.
///
/// # Errors
/// Why the shard must not be served. Nothing has been changed then, but possibly the witness file
/// made anew.
pub async fn recover<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    files: ShardFiles<D::File>,
    indexed: &[SegmentNumber],
) -> Result<Recovered<D::File>, RecoveryError> {
    let mut files = files;
    let mut warnings = strangers(&files);
    let state = load_state(disk, folder, &mut files.manifest, &mut warnings).await?;
    check_reach(folder, &files, state.start)?;
    let end = clean_end(&files);
    let plan = Plan {
        start: state.start,
        indexed,
        clean_end: end,
    };
    let replay = Replay::new(state.loaded, state.start.end);
    let runs = files.manifest.runs.clone();
    let mut scan = Scan::new(disk, folder, plan, &mut files.segments, &runs, replay);
    scan.durable = known_durable(&files.manifest, files.witness.as_ref());
    scan.run().await?;
    let walked = Walked::of(scan);
    flush_touched(disk, folder, &files).await?;
    let mut outcome = walked.outcome(disk, folder, &files, end).await?;
    publish_run(disk, folder, &mut files, &outcome.head).await?;
    outcome.warnings.splice(0..0, warnings);
    Ok(outcome.into_recovered(folder, files, indexed, state.next_generation))
}

// State files ----------------------------------------------------------------------------------

struct Start {
    loaded: LoadedState,
    start: BlockMark,
    next_generation: u64,
}

/// The newest state file that can be used. Those that cannot are dropped from the manifest in
/// memory, so that no later checkpoint counts on them.
async fn load_state<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    manifest: &mut Manifest,
    warnings: &mut Vec<String>,
) -> Result<Start, RecoveryError> {
    let next_generation = manifest.states.iter().map(|state| state.generation).max();
    let next_generation = next_generation.unwrap_or(0) + 1;
    let mut faults = Vec::new();
    for state in manifest.states.clone() {
        match load_generation(disk, folder, &state).await {
            Ok(loaded) => {
                return Ok(Start {
                    loaded,
                    start: state.start,
                    next_generation,
                });
            }
            Err(fault) => {
                let path = folder.state_file(state.generation);
                warnings.push(format!(
                    "state file {} is not used: {fault}",
                    path.display()
                ));
                manifest
                    .states
                    .retain(|kept| kept.generation != state.generation);
                faults.push(fault);
            }
        }
    }
    // Before the second checkpoint the log still reaches back to its beginning, and is the truth.
    if faults.len() > 1 || manifest.oldest_segment > 0 {
        return Err(RecoveryError::State {
            folder: folder.state(),
            newest: faults.first().cloned().unwrap_or(StateFault::Short),
            older: faults.last().cloned().unwrap_or(StateFault::Short),
        });
    }
    Ok(Start {
        loaded: LoadedState::default(),
        start: BlockMark::default(),
        next_generation,
    })
}

async fn load_generation<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    state: &StateGeneration,
) -> Result<LoadedState, StateFault> {
    let path = folder.state_file(state.generation);
    let opened = disk.open(&path, OpenMode::ReadOnly).await;
    let file = opened.map_err(|_| StateFault::Short)?;
    let len = disk.len(&file).await.map_err(|_| StateFault::Short)?;
    if len < state.bytes {
        return Err(StateFault::Short);
    }
    let mut reader = StateReader::new(folder.identity, state.generation);
    let mut at = 0;
    while at < state.bytes {
        let piece = (state.bytes - at).min(WINDOW_BYTES as u64) as usize;
        let bytes = read(disk, &file, &path, at, piece).await;
        let bytes = bytes.map_err(|_| StateFault::Unreadable)?;
        reader.push(&bytes[..piece])?;
        at += piece as u64;
    }
    let (loaded, chunks) = reader.finish()?;
    if chunks == state.chunks {
        Ok(loaded)
    } else {
        Err(StateFault::Short)
    }
}

// What must be there ---------------------------------------------------------------------------

fn strangers<F>(files: &ShardFiles<F>) -> Vec<String> {
    let ignored =
        |name: &String| format!("{name} in the log's folder is ignored: not one of its files");
    files.strangers.iter().map(ignored).collect()
}

fn known_durable(manifest: &Manifest, witness: Option<&Witness>) -> LogOffset {
    let states = manifest.states.iter().map(|state| state.highest);
    let cuts = manifest.runs.iter().map(|run| run.cut);
    let witness = witness.map(|witness| witness.durable);
    let known = states.chain(cuts).chain(witness).chain([manifest.durable]);
    known.max().unwrap_or_default()
}

/// The segments from the oldest one kept up to W must be there.
fn check_reach<F>(
    folder: &ShardFolder,
    files: &ShardFiles<F>,
    start: BlockMark,
) -> Result<(), RecoveryError> {
    let durable = known_durable(&files.manifest, files.witness.as_ref());
    let end = durable.max(start.end);
    let first = files.segments.first().map(|(number, _)| number.0);
    let last = files.segments.last().map(|(number, _)| number.0);
    let (needed_last, _) = folder.identity.split(LogOffset(end.0.saturating_sub(1)));
    let oldest = files.manifest.oldest_segment;
    let missing = match (first, last) {
        (None, _) => (end.0 > 0).then_some(oldest),
        (Some(first), _) if first > oldest => Some(oldest),
        (_, Some(last)) if end.0 > 0 && last < needed_last => Some(last + 1),
        _ => None,
    };
    match missing {
        None => Ok(()),
        Some(missing) => Err(RecoveryError::Gap {
            missing: SegmentNumber(missing),
            folder: folder.log(),
        }),
    }
}

/// Where the log ends for certain: the last run said so as its last act.
fn clean_end<F>(files: &ShardFiles<F>) -> Option<LogOffset> {
    let witness = files.witness.filter(|witness| witness.clean)?;
    (witness.epoch == files.manifest.epoch()).then_some(witness.durable)
}

// After the scan -------------------------------------------------------------------------------

/// What the scan leaves behind, without its borrows.
struct Walked {
    accepted: BlockMark,
    epoch: u64,
    report: RecoveryReport,
    replay: Replay,
    used: Vec<Option<u64>>,
}

struct Outcome {
    head: LogHead,
    run: RunStart,
    report: RecoveryReport,
    state: ShardState,
    indexes: Vec<ActiveIndex>,
    used: Vec<Option<u64>>,
    warnings: Vec<String>,
}

impl Walked {
    fn of<D: Disk>(scan: Scan<'_, D>) -> Self {
        Self {
            accepted: scan.accepted,
            epoch: scan.epoch,
            report: scan.report,
            replay: scan.replay,
            used: scan.used,
        }
    }

    async fn outcome<D: Disk>(
        self,
        disk: &D,
        folder: &ShardFolder,
        files: &ShardFiles<D::File>,
        clean_end: Option<LogOffset>,
    ) -> Result<Outcome, RecoveryError> {
        let mut report = self.report;
        report.scan_end = self.accepted.end;
        report.records = self.replay.records;
        report.clean = clean_end == Some(self.accepted.end);
        let (next, fresh_segment) = if report.clean {
            go_on(folder, files, self.accepted.end)
        } else {
            (fresh_start(disk, folder, files, &report).await?, true)
        };
        let seen = files.witness.map_or(0, |witness| witness.epoch);
        let epoch = 1 + files.manifest.epoch().max(seen).max(self.epoch);
        let head = LogHead {
            epoch,
            next,
            fresh_segment,
            next_sequence: self.accepted.next_sequence,
            previous_checksum: self.accepted.checksum,
            durable: self.accepted.end,
            last_store_ms: self.replay.last_store_ms(),
            read_only: self.replay.unknown_loss,
        };
        let run = RunStart {
            epoch,
            first: next,
            cut: self.accepted.end,
            first_sequence: head.next_sequence,
            previous_checksum: head.previous_checksum,
        };
        let (state, indexes, warnings) = self.replay.finish();
        Ok(Outcome {
            head,
            run,
            report,
            state,
            indexes,
            used: self.used,
            warnings,
        })
    }
}

/// After a clean stop: right behind the last block, or in the next segment when that one is full or
/// there is none.
fn go_on<F>(folder: &ShardFolder, files: &ShardFiles<F>, end: LogOffset) -> (LogOffset, bool) {
    let (segment, within) = folder.identity.split(end);
    let exists = files.segments.iter().any(|(number, _)| number.0 == segment);
    (end, !exists || within == 0)
}

/// After an unclean stop: the start of the first of the segments at the end to which nothing was ever
/// written (they are prepared ahead, two and more), else of one that does not exist yet.
async fn fresh_start<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    files: &ShardFiles<D::File>,
    report: &RecoveryReport,
) -> Result<LogOffset, RecoveryError> {
    let size = folder.identity.segment_bytes;
    let last = files.segments.last();
    let mut next = last.map_or(SegmentNumber(0), |(last, _)| last.next());
    for (number, file) in files.segments.iter().rev() {
        let start = LogOffset::of_segment(*number, size);
        let tail = report.tail;
        let set_aside = tail.is_some_and(|tail| tail.from >= start || tail.to > start);
        let Some(file) = file
            .as_ref()
            .filter(|_| report.scan_end <= start && !set_aside)
        else {
            break;
        };
        let head = read(disk, file, &folder.segment(*number), 0, HEADER_BYTES).await?;
        let fault = BlockHeader::parse(&head, &folder.identity, start).err();
        if !matches!(fault, Some(BlockFault::Blank | BlockFault::Foreign { .. })) {
            break;
        }
        next = *number;
    }
    Ok(LogOffset::of_segment(next, size))
}

/// Bytes accepted from the page cache of a device are served only once they are durable.
async fn flush_touched<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    files: &ShardFiles<D::File>,
) -> Result<(), RecoveryError> {
    if planted(planted::SERVED_WITHOUT_FLUSH) {
        return Ok(());
    }
    for (number, file) in &files.segments {
        if let Some(file) = file {
            let flushed = disk.flush(file).await;
            flushed.map_err(RecoveryError::io("flushing", folder.segment(*number)))?;
        }
    }
    // A killed process may have named a segment without making the name durable.
    let synced = disk.sync_dir(&folder.log()).await;
    synced.map_err(RecoveryError::io("flushing", folder.log()))
}

/// Makes the new run durable before its first append.
async fn publish_run<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    files: &mut ShardFiles<D::File>,
    head: &LogHead,
) -> Result<(), RecoveryError> {
    let path = folder.manifest();
    files.manifest.push_run(RunStart {
        epoch: head.epoch,
        first: head.next,
        cut: head.durable,
        first_sequence: head.next_sequence,
        previous_checksum: head.previous_checksum,
    });
    files.manifest.durable = head.durable;
    files.manifest_sequence += 1;
    let slot = files
        .manifest
        .encode(&folder.identity, files.manifest_sequence);
    let slot = slot.map_err(|too_large| {
        RecoveryError::io("encoding", &path)(std::io::Error::other(too_large))
    })?;
    let at = Manifest::position(files.manifest_sequence);
    let written = disk
        .write_at(&files.manifest_file, at, Bytes::from_owner(slot))
        .await;
    written.map_err(RecoveryError::io("writing", &path))?;
    if planted(planted::EPOCH_NOT_DURABLE) {
        return Ok(());
    }
    let flushed = disk.flush(&files.manifest_file).await;
    flushed.map_err(RecoveryError::io("flushing", &path))
}

impl Outcome {
    fn into_recovered<F>(
        self,
        folder: &ShardFolder,
        files: ShardFiles<F>,
        indexed: &[SegmentNumber],
        next_generation: u64,
    ) -> Recovered<F> {
        let mut report = self.report;
        report.warnings = self.warnings;
        let (head_segment, _) = folder.identity.split(self.head.next);
        let mut found = self.indexes.into_iter().peekable();
        let mut indexes = Vec::new();
        for (number, _) in &files.segments {
            let active =
                number.0 < head_segment || (number.0 == head_segment && !self.head.fresh_segment);
            match found.next_if(|index| index.segment() == *number) {
                Some(index) if active => indexes.push(index),
                None if active && !indexed.contains(number) => {
                    indexes.push(ActiveIndex::new(*number));
                }
                _ => {}
            }
        }
        let segments = files.segments.into_iter().zip(self.used);
        let segment = |((number, file), used): ((SegmentNumber, Option<F>), Option<u64>)| {
            RecoveredSegment { number, file, used }
        };
        Recovered {
            shard: folder.identity.shard,
            manifest: files.manifest,
            manifest_sequence: files.manifest_sequence,
            manifest_file: files.manifest_file,
            witness_sequence: files.witness_sequence,
            witness_file: files.witness_file,
            segments: segments.map(segment).collect(),
            retired: files.retired,
            spares: files.spares,
            state: self.state,
            indexes,
            head: self.head,
            next_generation,
            run: self.run,
            report,
        }
    }
}

#[cfg(test)]
mod tests;

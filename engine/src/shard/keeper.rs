//! What a shard keeps beside its log: the manifest, the witness, the run it is in, the checkpoint under
//! way and the segment that retires.

use std::io;

use bytes::Bytes;
use ringmq_ring::{FileId, Io, Moment};

use crate::block::LogIdentity;
use crate::checkpoint::Checkpoint;
use crate::control_record::RunStart;
use crate::limits::{WITNESS_DELAY_MAX_NS, WITNESS_DELAY_NS, WITNESS_SPARSE_BLOCKS};
use crate::manifest::{BlockMark, Manifest, StateGeneration};
use crate::token::Operation;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};
use crate::witness::Witness;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Keeper {
    manifest: ManifestFile,
    witness: WitnessFile,
    /// The run's first record, until it is in the log.
    run: Option<RunStart>,
    pub(super) checkpoint: Checkpoint,
    checkpoints: u64,
    pub(super) retiring: Option<Retiring>,
    /// Queues whose new minimums are in the log and not shown yet.
    pub(super) minimums: Vec<QueueNumber>,
    /// When changed group offsets go to the log.
    pub(super) offsets_due_ns: Option<u64>,
    /// They were many at their time and wait for a later one.
    pub(super) offsets_put_off: bool,
    pub(super) stop: StopStage,
    /// How long a stop waits for the log to take the last offsets; known from its first turn on.
    pub(super) offsets_until_ns: Option<u64>,
    /// How long a stop waits for the last state file; known once nothing else is in flight.
    pub(super) state_until_ns: u64,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopStage {
    /// Not asked for.
    No,
    /// Offsets go to the log as soon as it takes them, waiting pulls are answered.
    Asked,
    /// What is in flight is finished.
    Draining,
    /// The state file is written and published.
    Checkpointing,
    /// The witness is written.
    Witnessing,
}

/// A segment on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retiring {
    /// The control plane reads out which queues lose records.
    Listing(SegmentNumber),
    /// Reads of it end, and the records of the queues' new minimums become durable up to this position.
    Draining(SegmentNumber, LogOffset),
    /// The manifest that leaves it out is being written.
    Publishing(SegmentNumber),
}

#[derive(Debug)]
struct ManifestFile {
    content: Manifest,
    sequence: u64,
    file: FileId,
    writing: bool,
    /// Changed since the write in flight was submitted, or with none in flight.
    dirty: bool,
    /// The write that is due is followed by another one, into the other slot.
    twice: bool,
    /// State generations that the content no longer names.
    dropped: Vec<u64>,
    /// Those that the write in flight leaves out: no slot needs them once it is durable.
    dropping: Vec<u64>,
}

#[derive(Debug)]
struct WitnessFile {
    sequence: u64,
    file: FileId,
    /// The mark that the newest complete or submitted slot holds.
    told: LogOffset,
    writing: bool,
    /// Durable as of the last look, and when it got there.
    seen: LogOffset,
    since_ns: u64,
    delay_ns: u64,
    blocks_since: u64,
    clean: bool,
}

impl Keeper {
    pub(super) fn new(
        run: RunStart,
        next_generation: u64,
        (content, manifest_sequence, manifest_file): (Manifest, u64, FileId),
        (witness_sequence, witness_file): (u64, FileId),
    ) -> Self {
        let newest = content.states.first();
        Self {
            run: Some(run),
            checkpoint: Checkpoint::new(newest, next_generation),
            checkpoints: 0,
            manifest: ManifestFile {
                content,
                sequence: manifest_sequence,
                file: manifest_file,
                writing: false,
                dirty: false,
                twice: false,
                dropped: Vec::new(),
                dropping: Vec::new(),
            },
            witness: WitnessFile {
                sequence: witness_sequence,
                file: witness_file,
                told: LogOffset(0),
                writing: false,
                seen: LogOffset(0),
                since_ns: 0,
                delay_ns: WITNESS_DELAY_NS,
                blocks_since: 0,
                clean: false,
            },
            retiring: None,
            minimums: Vec::new(),
            offsets_due_ns: None,
            offsets_put_off: false,
            stop: StopStage::No,
            offsets_until_ns: None,
            state_until_ns: 0,
        }
    }

    /// The record that the run begins with, while it is not in the log.
    pub(super) fn run_to_begin(&self) -> Option<RunStart> {
        self.run
    }

    pub(super) fn run_begun(&mut self) {
        self.run = None;
    }

    pub(super) fn stop_asked(&mut self) {
        self.stop = StopStage::Asked;
    }

    pub(super) fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest.content
    }

    /// Puts a complete state file into the manifest, which is to be written.
    pub(super) fn publish(&mut self, state: StateGeneration, durable: LogOffset) {
        let dropped = self.manifest.content.push_state(state);
        let dropped = dropped.iter().map(|state| state.generation);
        self.manifest.dropped.extend(dropped);
        self.manifest.content.durable = durable;
        self.manifest.dirty = true;
        self.checkpoints += 1;
    }

    /// Leaves everything before a segment out of the manifest, which is to be written: into both slots,
    /// so that either of them alone does not miss a segment that has gone.
    pub(super) fn forget_before(&mut self, segment: SegmentNumber) {
        self.manifest.content.oldest_segment = segment.0;
        self.manifest.dirty = true;
        self.manifest.twice = true;
    }

    /// Writes the manifest if it has changed.
    pub(super) fn write_manifest<I: Io>(&mut self, io: &mut I, identity: &LogIdentity) {
        let manifest = &mut self.manifest;
        if manifest.writing || !manifest.dirty {
            return;
        }
        // What is prepared is told by the names of the files.
        manifest.content.prepared.clear();
        let sequence = manifest.sequence + 1;
        let Ok(slot) = manifest.content.encode(identity, sequence) else {
            unreachable!("runs and states are cut to their bounds where they are added")
        };
        manifest.sequence = sequence;
        manifest.dirty = std::mem::take(&mut manifest.twice);
        manifest.writing = true;
        manifest.dropping.append(&mut manifest.dropped);
        let position = Manifest::position(sequence);
        let token = Operation::Manifest.token(sequence);
        io.write_durable(manifest.file, position, Bytes::from_owner(slot), token);
    }

    /// The manifest is durable: the state generations that no slot needs any more.
    pub(super) fn manifest_written(&mut self, result: io::Result<usize>) -> io::Result<Vec<u64>> {
        self.manifest.writing = false;
        result.map(|_| std::mem::take(&mut self.manifest.dropping))
    }

    /// Whether the manifest on disk is the one in memory.
    pub(super) fn manifest_is_durable(&self) -> bool {
        !self.manifest.writing && !self.manifest.dirty
    }

    /// Writes the witness when durable has stayed where it is for long enough, or at once.
    pub(super) fn write_witness<I: Io>(
        &mut self,
        io: &mut I,
        identity: &LogIdentity,
        what: Witness,
        now: Moment,
        at_once: bool,
    ) {
        let witness = &mut self.witness;
        if witness.seen != what.durable {
            witness.seen = what.durable;
            witness.since_ns = now.monotonic_ns;
            witness.blocks_since += 1;
        }
        let news = what.durable > witness.told || (what.clean && !witness.clean);
        let due = at_once || witness.since_ns + witness.delay_ns <= now.monotonic_ns;
        if witness.writing || !news || !due {
            return;
        }
        witness.delay_ns = if witness.blocks_since > WITNESS_SPARSE_BLOCKS {
            WITNESS_DELAY_NS
        } else {
            (witness.delay_ns * 2).min(WITNESS_DELAY_MAX_NS)
        };
        witness.blocks_since = 0;
        witness.told = what.durable;
        witness.clean = what.clean;
        witness.writing = true;
        witness.sequence += 1;
        let slot = Bytes::from_owner(what.encode(identity, witness.sequence));
        let position = Witness::position(witness.sequence);
        let token = Operation::Witness.token(witness.sequence);
        io.write_durable(witness.file, position, slot, token);
    }

    pub(super) fn witness_written(&mut self, result: io::Result<usize>) -> io::Result<()> {
        self.witness.writing = false;
        result.map(drop)
    }

    /// Whether the witness on disk says all there is to say.
    pub(super) fn witness_is_durable(&self, mark: BlockMark) -> bool {
        !self.witness.writing && self.witness.told >= mark.end
    }

    /// At the start the log says W itself: recovery has made it durable.
    pub(super) fn nothing_to_witness(&mut self, durable: LogOffset) {
        self.witness.told = durable;
        self.witness.seen = durable;
    }

    /// Whether there are minimums whose records are durable.
    pub(super) fn has_minimums_to_show(&self, durable: LogOffset) -> bool {
        match self.retiring {
            Some(Retiring::Draining(_, told)) => told <= durable && !self.minimums.is_empty(),
            _ => false,
        }
    }

    pub(super) fn in_flight(&self) -> bool {
        self.manifest.writing || self.witness.writing
    }

    pub(super) fn deadline_ns(&self) -> Option<u64> {
        let witness = &self.witness;
        let told = witness.told >= witness.seen || witness.writing;
        let witness_due = (!told).then_some(witness.since_ns + witness.delay_ns);
        [witness_due, self.offsets_due_ns]
            .into_iter()
            .flatten()
            .min()
    }
}

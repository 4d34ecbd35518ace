//! The manifest of a shard: how its runs join, which state files count, which spare files are ready.
//! Two slots, written in turn; rkyv archives inside the slots' envelope. `FORMAT.md`, section 4.

use ringmq_ring::AlignedBuf;
use rkyv::rancor;

use crate::block::LogIdentity;
use crate::control_record::RunStart;
use crate::slot::{SlotFault, SlotKind};
use crate::types::LogOffset;

/// Length of the manifest file.
pub const MANIFEST_FILE_BYTES: u64 = 2 * SLOT_BYTES as u64;
/// Runs remembered; older ones are still told by the first blocks of their runs.
pub const RUNS_MAX: usize = 256;
/// Prepared spare files remembered.
pub const PREPARED_MAX: usize = 64;

const SLOT_BYTES: usize = 32 * 1024;
const KIND: SlotKind = SlotKind {
    magic: *b"RMQMANIF",
    version: 1,
    slot_bytes: SLOT_BYTES,
};

/// The end of a block: a place from which the log can be read on, and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockMark {
    /// The position after the block.
    pub end: LogOffset,
    /// The number of the block that follows.
    pub next_sequence: u64,
    /// The block's checksum, which the block that follows repeats.
    pub checksum: u32,
}

/// One published state file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateGeneration {
    /// Its number, and its file name in hexadecimal. Counted from 1.
    pub generation: u64,
    /// Replay begins here: the state in memory reflected all of this when the first chunk was made.
    pub start: BlockMark,
    /// The highest position that any chunk reflects; durable had passed it before this was published.
    pub highest: LogOffset,
    /// Chunks in the file.
    pub chunks: u32,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// A manifest as it is in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Runs of the broker, oldest first; the last is the current one.
    pub runs: Vec<RunStart>,
    /// The published state files, newest first; at most two. None before the first checkpoint:
    /// then replay begins with the first block of the log.
    pub states: Vec<StateGeneration>,
    /// Numbers of the spare files that are zeroed (or recycled), sized and flushed.
    pub prepared: Vec<u32>,
    /// W when this was written.
    pub durable: LogOffset,
    /// The oldest segment that still belongs to the log. Raised, durably, before the file of an older
    /// one is recycled: from then on a file that is missing is a loss, and an older one that is there
    /// is left over.
    pub oldest_segment: u64,
}

impl Manifest {
    /// Adds a run, forgetting the oldest beyond [`RUNS_MAX`].
    pub fn push_run(&mut self, run: RunStart) {
        self.runs.push(run);
        let excess = self.runs.len().saturating_sub(RUNS_MAX);
        self.runs.drain(..excess);
    }

    /// Puts a new state file before the others and returns those that no longer count.
    pub fn push_state(&mut self, state: StateGeneration) -> Vec<StateGeneration> {
        self.states.insert(0, state);
        self.states.split_off(self.states.len().min(2))
    }

    /// The newest run's epoch; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.epoch)
    }

    /// The slot with this sequence number, to be written at [`Manifest::position`] and flushed.
    ///
    /// # Errors
    /// More runs, states or prepared files than a slot is made for.
    pub fn encode(
        &self,
        identity: &LogIdentity,
        sequence: u64,
    ) -> Result<AlignedBuf, ManifestTooLarge> {
        if self.runs.len() > RUNS_MAX || self.states.len() > 2 || self.prepared.len() > PREPARED_MAX
        {
            return Err(ManifestTooLarge);
        }
        let payload = rkyv::to_bytes::<rancor::Error>(&ManifestArchive::of(self))
            .map_err(|_| ManifestTooLarge)?;
        KIND.encode(identity, sequence, &payload)
            .ok_or(ManifestTooLarge)
    }

    /// Where the slot with this sequence number lies in the file.
    pub fn position(sequence: u64) -> u64 {
        KIND.position(sequence)
    }

    /// One slot: its sequence number and content.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(identity: &LogIdentity, slot: &[u8]) -> Result<(u64, Self), SlotFault> {
        let (sequence, payload) = KIND.decode(identity, slot)?;
        let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(payload.len());
        aligned.extend_from_slice(payload);
        let archive = rkyv::from_bytes::<ManifestArchive, rancor::Error>(&aligned)
            .map_err(|_| SlotFault::Damaged)?;
        Ok((sequence, archive.into_manifest()))
    }

    /// The newest of both slots of a file, with its sequence number.
    ///
    /// # Errors
    /// The worse fault when neither can be used; at once when one is of a newer version or another
    /// store.
    pub fn newest(identity: &LogIdentity, file: &[u8]) -> Result<(u64, Self), SlotFault> {
        let mut newest: Result<(u64, Self), SlotFault> = Err(SlotFault::Blank);
        for slot in file.chunks_exact(SLOT_BYTES).take(2) {
            match Self::decode(identity, slot) {
                Ok(found) if newest.as_ref().map_or(true, |best| best.0 < found.0) => {
                    newest = Ok(found);
                }
                Ok(_) | Err(SlotFault::Blank) => {}
                Err(SlotFault::Damaged) => newest = newest.or(Err(SlotFault::Damaged)),
                Err(fault) => return Err(fault),
            }
        }
        newest
    }
}

/// A manifest that does not fit its slot; its bounds make that impossible for a correct caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest does not fit its slot")]
pub struct ManifestTooLarge;

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct RunRow {
    epoch: u64,
    first: u64,
    cut: u64,
    first_sequence: u64,
    previous_checksum: u32,
    zero: u32,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct StateRow {
    generation: u64,
    start: u64,
    start_next_sequence: u64,
    highest: u64,
    bytes: u64,
    start_checksum: u32,
    chunks: u32,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct ManifestArchive {
    durable: u64,
    oldest_segment: u64,
    runs: Vec<RunRow>,
    states: Vec<StateRow>,
    prepared: Vec<u32>,
}

// What `FORMAT.md` says of them.
const _: () = assert!(size_of::<ArchivedRunRow>() == 40);
const _: () = assert!(size_of::<ArchivedStateRow>() == 48);
const _: () = assert!(size_of::<ArchivedManifestArchive>() == 40);

impl ManifestArchive {
    fn of(manifest: &Manifest) -> Self {
        let run = |run: &RunStart| RunRow {
            epoch: run.epoch,
            first: run.first.0,
            cut: run.cut.0,
            first_sequence: run.first_sequence,
            previous_checksum: run.previous_checksum,
            zero: 0,
        };
        let state = |state: &StateGeneration| StateRow {
            generation: state.generation,
            start: state.start.end.0,
            start_next_sequence: state.start.next_sequence,
            highest: state.highest.0,
            bytes: state.bytes,
            start_checksum: state.start.checksum,
            chunks: state.chunks,
        };
        Self {
            durable: manifest.durable.0,
            oldest_segment: manifest.oldest_segment,
            runs: manifest.runs.iter().map(run).collect(),
            states: manifest.states.iter().map(state).collect(),
            prepared: manifest.prepared.clone(),
        }
    }

    fn into_manifest(self) -> Manifest {
        let run = |run: RunRow| RunStart {
            epoch: run.epoch,
            first: LogOffset(run.first),
            cut: LogOffset(run.cut),
            first_sequence: run.first_sequence,
            previous_checksum: run.previous_checksum,
        };
        let state = |state: StateRow| StateGeneration {
            generation: state.generation,
            start: BlockMark {
                end: LogOffset(state.start),
                next_sequence: state.start_next_sequence,
                checksum: state.start_checksum,
            },
            highest: LogOffset(state.highest),
            chunks: state.chunks,
            bytes: state.bytes,
        };
        Manifest {
            runs: self.runs.into_iter().map(run).collect(),
            states: self.states.into_iter().map(state).collect(),
            prepared: self.prepared,
            durable: LogOffset(self.durable),
            oldest_segment: self.oldest_segment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ShardIndex;

    fn identity() -> LogIdentity {
        LogIdentity::new([3; 16], &[4; 16], ShardIndex(1), 65536)
    }

    fn manifest(n: u64) -> Manifest {
        let mut manifest = Manifest {
            prepared: vec![1, 2, 3],
            durable: LogOffset(n),
            oldest_segment: 4,
            ..Manifest::default()
        };
        for epoch in 0..n {
            manifest.push_run(RunStart {
                epoch: epoch + 1,
                first: LogOffset(epoch * 65536),
                cut: LogOffset((epoch * 65536).saturating_sub(4096)),
                first_sequence: epoch * 3,
                previous_checksum: 7,
            });
            manifest.push_state(StateGeneration {
                generation: epoch,
                ..StateGeneration::default()
            });
        }
        manifest
    }

    #[test]
    fn the_largest_manifest_fits_its_slot_and_reads_back() {
        let mut largest = manifest(RUNS_MAX as u64 + 10);
        largest.prepared = (0..PREPARED_MAX as u32).collect();
        assert_eq!((largest.runs.len(), largest.states.len()), (RUNS_MAX, 2));
        assert_eq!(largest.runs[0].epoch, 11);
        let slot = largest.encode(&identity(), 5).unwrap();
        assert_eq!(Manifest::decode(&identity(), &slot), Ok((5, largest)));
    }

    #[test]
    fn the_newer_slot_counts_and_two_bad_ones_are_an_error() {
        let mut file = manifest(2).encode(&identity(), 4).unwrap().to_vec();
        assert_eq!(
            Manifest::newest(&identity(), &[0; 65536]),
            Err(SlotFault::Blank)
        );
        file.extend_from_slice(&manifest(3).encode(&identity(), 5).unwrap());
        let newest = |file: &[u8]| Manifest::newest(&identity(), file).map(|found| found.0);
        assert_eq!(newest(&file), Ok(5));
        file[SLOT_BYTES + 100] ^= 4;
        assert_eq!(newest(&file), Ok(4));
        file[100] ^= 4;
        assert_eq!(newest(&file), Err(SlotFault::Damaged));
    }

    #[test]
    fn a_slot_of_another_store_or_version_is_refused_at_once() {
        let other = LogIdentity {
            store_id: [9; 16],
            ..identity()
        };
        let file = manifest(1).encode(&other, 4).unwrap();
        assert_eq!(
            Manifest::newest(&identity(), &file),
            Err(SlotFault::Foreign)
        );
        let newer = SlotKind { version: 2, ..KIND };
        let file = newer.encode(&identity(), 9, b"?").unwrap();
        let found = Manifest::newest(&identity(), &file);
        assert_eq!(found, Err(SlotFault::Version { found: 2 }));
    }
}

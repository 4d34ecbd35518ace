//! The state file under way: when one is due, which rows come next, when it may be published.
//!
//! ```text
//! idle -> building (a chunk a turn) -> file being made durable -> waiting for the log -> published
//! ```
//!
//! Chunks reflect the memory at the moment each is made, with records that are not durable yet. So the file
//! counts only once durable has passed the highest position that any chunk reflects.

use ringmq_ring::planted::{self, planted};

use crate::block::LogIdentity;
use crate::manifest::{BlockMark, StateGeneration};
use crate::state::StateWriter;
use crate::types::{GroupNumber, LogOffset, QueueNumber, TopicId};

/// Where the next chunk goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    Counters,
    Queues(QueueNumber),
    GroupNames(GroupNumber),
    Offsets(Option<(QueueNumber, GroupNumber)>),
    Topics(TopicId),
    Groups(Option<String>),
}

/// A state file of which chunks are being made.
#[derive(Debug)]
pub(crate) struct Building {
    pub(crate) writer: StateWriter,
    pub(crate) cursor: Cursor,
    generation: u64,
    start: BlockMark,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Building(Box<Building>),
    /// All chunks are with the control plane.
    Writing(StateGeneration),
    /// The file is durable.
    Waiting(StateGeneration),
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    stage: Stage,
    next_generation: u64,
    /// Where the newest published state file starts, and its length.
    last_start: LogOffset,
    last_bytes: u64,
    /// Memory knows what the log does not.
    wanted: bool,
}

impl Checkpoint {
    /// After a start: `newest` is the newest published state file.
    pub(crate) fn new(newest: Option<&StateGeneration>, next_generation: u64) -> Self {
        Self {
            stage: Stage::Idle,
            next_generation,
            last_start: newest.map_or(LogOffset(0), |state| state.start.end),
            last_bytes: newest.map_or(0, |state| state.bytes),
            wanted: false,
        }
    }

    /// Whether one is due: after `every` bytes of log, or four times the state file if that is more.
    pub(crate) fn is_due(&self, appended: LogOffset, every: u64) -> bool {
        let since = appended.0.saturating_sub(self.last_start.0);
        matches!(self.stage, Stage::Idle) && since >= every.max(4 * self.last_bytes)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Whether there is anything that the newest state file does not tell.
    pub(crate) fn is_behind(&self, appended: LogOffset) -> bool {
        self.wanted || appended > self.last_start
    }

    /// There is something to tell that is not in the log: the next state file is due at a stop.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Begins a state file; a replay after it begins at `start`. Returns its generation.
    pub(crate) fn begin(&mut self, identity: LogIdentity, start: BlockMark) -> u64 {
        let generation = self.next_generation;
        self.next_generation += 1;
        self.wanted = false;
        self.stage = Stage::Building(Box::new(Building {
            writer: StateWriter::new(identity, generation),
            cursor: Cursor::Counters,
            generation,
            start,
        }));
        generation
    }

    /// Takes the file under construction out for one step.
    pub(crate) fn take_building(&mut self) -> Option<Box<Building>> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Building(building) => Some(building),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Whether there is a next step to take.
    pub(crate) fn is_building(&self) -> bool {
        matches!(self.stage, Stage::Building(_))
    }

    /// There are more chunks to make.
    pub(crate) fn go_on(&mut self, building: Box<Building>) {
        self.stage = Stage::Building(building);
    }

    /// That was the last chunk. Returns the generation.
    pub(crate) fn built(&mut self, building: &Building) -> u64 {
        self.stage = Stage::Writing(StateGeneration {
            generation: building.generation,
            start: building.start,
            highest: building.writer.highest(),
            chunks: building.writer.chunks(),
            bytes: building.writer.bytes(),
        });
        building.generation
    }

    /// The file of this generation is durable.
    pub(crate) fn written(&mut self, generation: u64) {
        if let Stage::Writing(state) = self.stage
            && state.generation == generation
        {
            self.stage = Stage::Waiting(state);
        }
    }

    /// The file of this generation could not be written. The next one is tried after as much log again.
    pub(crate) fn lost(&mut self, generation: u64, appended: LogOffset) {
        let lost = match &self.stage {
            Stage::Building(building) => building.generation == generation,
            Stage::Writing(state) => state.generation == generation,
            Stage::Idle | Stage::Waiting(_) => false,
        };
        if lost {
            self.stage = Stage::Idle;
            self.last_start = appended;
        }
    }

    /// The state file that may be published now: durable has passed all that it reflects.
    pub(crate) fn publishable(&mut self, durable: LogOffset) -> Option<StateGeneration> {
        match self.stage {
            Stage::Waiting(state)
                if state.highest <= durable || planted(planted::CHECKPOINT_TOO_EARLY) =>
            {
                self.stage = Stage::Idle;
                self.last_start = state.start.end;
                self.last_bytes = state.bytes;
                Some(state)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ShardIndex;

    fn mark(end: u64) -> BlockMark {
        BlockMark {
            end: LogOffset(end),
            ..BlockMark::default()
        }
    }

    #[test]
    fn a_state_file_is_published_only_once_durable_has_passed_it() {
        let identity = LogIdentity::new([1; 16], &[2; 16], ShardIndex(0), 1 << 20);
        let mut checkpoint = Checkpoint::new(None, 1);
        assert!(!checkpoint.is_due(LogOffset(99), 100));
        assert!(checkpoint.is_due(LogOffset(100), 100));
        assert_eq!(checkpoint.begin(identity, mark(90)), 1);
        let mut building = checkpoint.take_building().unwrap();
        building.writer.queues(LogOffset(120), std::iter::empty());
        checkpoint.built(&building);
        assert!(checkpoint.publishable(LogOffset(500)).is_none());
        checkpoint.written(1);
        assert!(checkpoint.publishable(LogOffset(119)).is_none());
        let state = checkpoint.publishable(LogOffset(120)).unwrap();
        assert_eq!(
            (state.generation, state.start.end, state.chunks),
            (1, LogOffset(90), 1)
        );
        // Four times the state file is more than the hundred bytes asked for.
        let next = 90 + 4 * state.bytes;
        assert!(!checkpoint.is_due(LogOffset(next - 1), 100));
        assert!(checkpoint.is_due(LogOffset(next), 100));
    }
}

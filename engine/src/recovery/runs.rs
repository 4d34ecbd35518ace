//! How the runs of the broker join: which parts of the log are void.

use ringmq_ring::planted::{self, planted};

use crate::control_record::RunStart;
use crate::types::LogOffset;

/// All runs known, from the manifest and from the first blocks of runs found in the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(Vec<RunStart>);

/// Where the scan stands and what must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub at: LogOffset,
    /// The run that is being read; unknown until the first block where no run is known.
    pub epoch: Option<u64>,
    /// The next block's number; unknown at the start of a segment that is read out of order.
    pub sequence: Option<u64>,
    /// The checksum that the next block repeats; unknown also behind a block whose footer is lost.
    pub checksum: Option<u32>,
}

impl Runs {
    pub fn new(runs: &[RunStart]) -> Self {
        Self(runs.to_vec())
    }

    /// Adds a run found in the log, unless the manifest knew it.
    pub fn learn(&mut self, run: RunStart) {
        if self.0.iter().all(|known| known.epoch != run.epoch) {
            self.0.push(run);
        }
    }

    /// Follows the newest run that has cut the log at or before the cursor: what lies between its
    /// cut and its first block is void, and from there on so are blocks of older runs.
    pub fn follow(&self, cursor: &mut Cursor) {
        if planted(planted::NO_EPOCH_CHECK) {
            return;
        }
        let cut = self.0.iter().filter(|run| run.cut <= cursor.at);
        let Some(run) = cut.max_by_key(|run| run.epoch) else {
            return;
        };
        if cursor.epoch.is_some_and(|epoch| epoch >= run.epoch) {
            return;
        }
        cursor.epoch = Some(run.epoch);
        if cursor.at < run.first || cursor.at == run.cut {
            cursor.at = run.first;
            cursor.sequence = Some(run.first_sequence);
            cursor.checksum = Some(run.previous_checksum);
        }
    }

    /// Where the run that is being read ends: the first cut of any later run behind the cursor.
    pub fn limit(&self, cursor: &Cursor) -> Option<LogOffset> {
        if planted(planted::NO_EPOCH_CHECK) {
            return None;
        }
        let later = |run: &&RunStart| cursor.epoch.is_none_or(|epoch| run.epoch > epoch);
        let cuts = self.0.iter().filter(later).map(|run| run.cut);
        cuts.filter(|cut| *cut > cursor.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(epoch: u64, cut: u64, first: u64) -> RunStart {
        RunStart {
            epoch,
            first: LogOffset(first),
            cut: LogOffset(cut),
            first_sequence: epoch * 10,
            previous_checksum: epoch as u32,
        }
    }

    fn followed(runs: &[RunStart], at: u64, epoch: Option<u64>) -> (u64, Option<u64>) {
        let mut cursor = Cursor {
            at: LogOffset(at),
            epoch,
            sequence: None,
            checksum: None,
        };
        Runs::new(runs).follow(&mut cursor);
        (cursor.at.0, cursor.epoch)
    }

    #[test]
    fn the_scan_leaves_a_run_where_the_next_one_cut_it() {
        let runs = [run(1, 0, 0), run(2, 500, 1000), run(3, 1200, 2000)];
        assert_eq!(followed(&runs, 0, None), (0, Some(1)));
        assert_eq!(followed(&runs, 400, Some(1)), (400, Some(1)));
        assert_eq!(followed(&runs, 500, Some(1)), (1000, Some(2)));
        assert_eq!(followed(&runs, 700, None), (1000, Some(2)));
        assert_eq!(followed(&runs, 1100, Some(2)), (1100, Some(2)));
        assert_eq!(followed(&runs, 1200, Some(2)), (2000, Some(3)));
    }

    #[test]
    fn a_run_that_left_nothing_is_passed_over() {
        let runs = [
            run(1, 0, 0),
            run(2, 500, 1000),
            run(3, 500, 1000),
            run(4, 500, 2000),
        ];
        assert_eq!(followed(&runs, 500, Some(1)), (2000, Some(4)));
        assert_eq!(followed(&runs, 1000, None), (2000, Some(4)));
    }
}

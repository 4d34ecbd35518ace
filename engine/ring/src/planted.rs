//! Defects that a test run can switch on, one at a time, to prove that the simulator finds them.
//!
//! Without `--cfg planted` [`planted`] is a constant `false` and the compiler removes every trace
//! of it. With it, [`choose`] names the one defect that this process has.

/// A defect: its number for [`choose`], its name for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defect {
    /// From 1; 0 means none.
    pub id: u32,
    /// What is wrong, in a few words.
    pub name: &'static str,
}

macro_rules! defects {
    ($($(#[$doc:meta])* $constant:ident = $id:literal, $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Defect = Defect { id: $id, name: $name };)*
        /// All of them.
        pub const ALL: &[Defect] = &[$($constant),*];
    };
}

defects! {
    /// Promise 1.
    ACK_BEFORE_FLUSH = 1, "ack before flush";
    /// Promise 4.
    CHECKSUM_WITHOUT_PROPERTIES = 2, "record checksum without properties";
    /// F-33.
    NO_EPOCH_CHECK = 3, "no epoch check";
    /// Recovery: the epoch is in the manifest before the first append.
    EPOCH_NOT_DURABLE = 4, "epoch not durable before the first append";
    /// Recovery: every touched segment gets one flush before anything of it is served.
    SERVED_WITHOUT_FLUSH = 5, "blocks above W served without flush";
    /// F-30.
    BAD_CHECKSUM_ENDS_LOG = 6, "any bad checksum taken as the end of the log";
    /// Checkpoints are published only once durable has passed every chunk.
    CHECKPOINT_TOO_EARLY = 7, "checkpoint published before durable reached it";
    /// Promise 6.
    FAILED_WRITE_RETRIED = 8, "failed write retried";
    /// F-21.
    SHORT_WRITE_IGNORED = 9, "short write ignored";
    /// I-13.
    REBUILD_ONE_LATE = 10, "rebuild one record late";
}

/// Whether this process has that defect.
#[cfg(not(planted))]
#[inline(always)]
pub const fn planted(_defect: Defect) -> bool {
    false
}

/// Whether this process has that defect.
#[cfg(planted)]
#[inline]
pub fn planted(defect: Defect) -> bool {
    chosen::CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == defect.id
}

/// Gives this process the defect of that number (0: none). `false` when there is no such defect
/// or the build has none.
#[cfg(not(planted))]
pub fn choose(id: u32) -> bool {
    id == 0
}

/// Gives this process the defect of that number (0: none). `false` when there is no such defect
/// or the build has none.
#[cfg(planted)]
pub fn choose(id: u32) -> bool {
    let known = id == 0 || ALL.iter().any(|defect| defect.id == id);
    if known {
        chosen::CHOSEN.store(id, std::sync::atomic::Ordering::Relaxed);
    }
    known
}

#[cfg(planted)]
mod chosen {
    pub(super) static CHOSEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_start_at_one() {
        for (index, defect) in ALL.iter().enumerate() {
            assert_eq!(defect.id as usize, index + 1);
        }
        assert!(!choose(9999));
    }
}

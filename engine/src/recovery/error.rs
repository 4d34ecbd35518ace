//! Why a shard cannot start.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::control_record::ControlFault;
use crate::slot::SlotFault;
use crate::state::StateFault;
use crate::types::{LogOffset, SegmentNumber};

/// Why a shard cannot start. Nothing has been changed on disk then.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// A file operation failed.
    #[error("{action} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A read failed three times. This is never taken for the end of the log.
    #[error("{path} cannot be read at offset {offset}: {source}; replace the device or restore the file", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// First byte of the read.
        offset: u64,
        /// How the last try failed.
        source: io::Error,
    },
    /// Another process holds the shard.
    #[error("{path} is in use by another broker: stop it, or give this one a data folder of its own", path = path.display())]
    Locked {
        /// The file whose lock is held.
        path: PathBuf,
    },
    /// A file that every shard has is not there.
    #[error("{path} is missing: restore it from a backup", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Both manifest slots, or a slot that must not be overwritten, cannot be used.
    #[error("{path} cannot be used: {fault}; restore it from a backup or rebuild it with `ringmq-admin`", path = path.display())]
    Slots {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: SlotFault,
    },
    /// Segments of the log are not there.
    #[error("log segment {missing} is missing in {folder}: restore {missing}.log from a backup", folder = folder.display())]
    Gap {
        /// The first segment that is missing.
        missing: SegmentNumber,
        /// Where it should be.
        folder: PathBuf,
    },
    /// No state file can be used, and the log does not reach back to its beginning.
    #[error("no state file in {folder} can be used ({newest}; {older}): restore one from a backup; without it topics, groups and offsets would be lost", folder = folder.display())]
    State {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong with the newer one.
        newest: StateFault,
        /// What is wrong with the older one.
        older: StateFault,
    },
    /// A block written by a newer RingMQ.
    #[error("{path}, offset {offset}: block format version {found} is not known to this build: use a newer one", path = path.display())]
    NewerBlock {
        /// The segment's file.
        path: PathBuf,
        /// Where the block begins.
        offset: u64,
        /// Its version.
        found: u16,
    },
    /// A control record that is whole and yet makes no sense to this build.
    #[error("control record at {position:#x}: {fault}", position = position.0)]
    Control {
        /// Where it lies.
        position: LogOffset,
        /// What is wrong with it.
        fault: ControlFault,
    },
}

impl RecoveryError {
    /// An [`RecoveryError::Io`] from its parts, for `map_err`.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

impl From<RecoveryError> for crate::Error {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path,
                source,
            },
            RecoveryError::Locked { path } => Self::Locked { path },
            other => Self::Corrupt(other.to_string()),
        }
    }
}

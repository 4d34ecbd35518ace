//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::types::LogOffset;

/// Why an append was turned down. Given only *before* a record has a place in the log: the record
/// will never appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A bound is reached that the disk will free by itself in a moment (RocketMQ: 2 SYSTEM_BUSY).
    #[error("the shard is busy: {0}; send again in a moment")]
    Busy(Bound),
    /// There is no room for another segment; appends go on when space returns (14).
    #[error("no space for another log segment: free disk space or shorten retention")]
    Full,
    /// The shard is being stopped (14).
    #[error("the shard is stopping")]
    Stopping,
    /// It fits into no commit block of this store (13).
    #[error("{bytes} bytes are more than the {limit} a commit of this store can hold")]
    TooLarge {
        /// Length of the record or batch.
        bytes: usize,
        /// What would fit.
        limit: usize,
    },
    /// The parts cannot be stored at all: empty batch, property or topic too long (13).
    #[error("the record is malformed: topic or properties are longer than its layout holds")]
    Malformed,
    /// The log below is damaged beyond its headers: reads go on, an operator must decide (14).
    #[error("the log is damaged; the shard serves reads only until it is repaired")]
    ReadOnly,
    /// A write or flush has failed: the shard has stopped for good (1).
    #[error("a write to the log has failed; the process stops and recovers at its next start")]
    Failed,
    /// The queue, topic or group does not exist in this shard.
    #[error("there is no such queue in this shard")]
    Unknown,
    /// A table is at its bound in `limits.rs` (14).
    #[error("the table of {0} is full")]
    TableFull(&'static str),
}

/// Which bound made a shard busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bound {
    /// Bytes appended and not yet written.
    #[error("too many bytes wait for the disk")]
    UnwrittenBytes,
    /// The next segment is still being prepared.
    #[error("the next log segment is being prepared")]
    Segment,
    /// Two index segments wait to be written.
    #[error("index segments wait to be written")]
    FrozenIndexes,
}

/// Why the engine could not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot be used.
    #[error("invalid configuration: {0}")]
    Config(String),
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
    /// Another process holds the data folder.
    #[error("{path} is in use by another broker: stop it, or give this one a data folder of its own", path = path.display())]
    Locked {
        /// The file whose lock is held.
        path: PathBuf,
    },
    /// Stored bytes contradict each other where no copy can decide.
    #[error("{0}")]
    Corrupt(String),
    /// The store file cannot be used.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The kernel's ring is missing or forbidden; the text says why and how to mend it.
    #[error("{0}")]
    Ring(String),
    /// A shard stopped after a failed write or flush at this position.
    #[error("shard {shard}: a write to the log failed at {offset:?}: {reason}")]
    Stopped {
        /// Which shard.
        shard: u8,
        /// The first byte whose fate is unknown.
        offset: LogOffset,
        /// The failure.
        reason: String,
    },
    /// A thread of the engine ended unexpectedly.
    #[error("the {0} thread ended unexpectedly")]
    ThreadLost(&'static str),
    /// The shards have stopped, and the control plane still waits for the disk.
    #[error(
        "the disk has not finished what the control plane asked of it; the next start does it again"
    )]
    Unfinished,
}

impl Error {
    /// An [`Error::Io`] from its parts, for `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether a file operation failed for want of space.
    pub fn is_out_of_space(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }

    /// Exit code for a process that ends with this error: 70 when the disk or a thread is no longer to be
    /// trusted, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Stopped { .. } | Self::ThreadLost(_) | Self::Unfinished => 70,
            _ => 1,
        }
    }
}

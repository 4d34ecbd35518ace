//! Why the server does not start, or stops, and the exit code that says so.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ringmq_ring::probe;

use crate::broker::groups::GroupRestoreError;
use crate::broker::topics::TopicRestoreError;
use crate::config::ConfigError;
use crate::control::listen::ListenError;

/// Exit codes of `ringmq`, listed in `server/README.md` (numbers of `sysexits.h` where one fits).
pub mod exit_code {
    /// Stopped as asked.
    pub const OK: u8 = 0;
    /// Wrong flags or configuration.
    pub const USAGE: u8 = 64;
    /// This machine does not offer what is needed (io_uring).
    pub const UNAVAILABLE: u8 = 69;
    /// A write or flush failed, or a thread ended: nothing more was acknowledged, recovery decides
    /// from the bytes.
    pub const FAIL_STOP: u8 = 70;
    /// An address cannot be listened on, or the system refused a thread.
    pub const SYSTEM: u8 = 71;
    /// Reading or writing the data folder failed at the start, or its content cannot be used.
    pub const IO: u8 = 74;
    /// Another broker holds the data folder.
    pub const LOCKED: u8 = 75;
    /// Not allowed: a privileged port, a folder of another user.
    pub const PERMISSION: u8 = 77;
    /// Ended by a second signal while stopping.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a process does not begin to serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no io_uring here; the text says why and what to do.
    #[error(transparent)]
    Ring(#[from] probe::Refused),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store cannot be opened.
    #[error(transparent)]
    Engine(#[from] ringmq_engine::Error),
    /// Stored topics cannot be read: an empty table would be worse.
    #[error("{0}: the store is from another release, or damaged; see `ringmq-admin verify`")]
    Topics(#[from] TopicRestoreError),
    /// Stored groups cannot be read.
    #[error("{0}: the store is from another release, or damaged; see `ringmq-admin verify`")]
    Groups(#[from] GroupRestoreError),
    /// The file of the KV configuration cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Kv {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log's folder cannot be made or written to.
    #[error("cannot log to {} (ringmq.logDir): {source}", folder.display())]
    Log {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The port chosen for metrics and health cannot be had.
    #[error(
        "cannot listen on {address} (metricsPromExporterPort) for metrics and health: {source}"
    )]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread could not be started, or its ring could not take a file over.
    #[error("cannot start a thread of the server: {0}")]
    Thread(io::Error),
    /// A thread ended before it served.
    #[error("a thread of the server ended before it served; the lines above say why")]
    Lost,
}

impl StartError {
    /// The process's exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit_code::USAGE,
            Self::Ring(_) => exit_code::UNAVAILABLE,
            Self::Listen(ListenError::Permission { .. }) => exit_code::PERMISSION,
            Self::Http { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                exit_code::PERMISSION
            }
            Self::Listen(_) | Self::Http { .. } | Self::Thread(_) => exit_code::SYSTEM,
            Self::Engine(error) => engine_exit_code(error),
            Self::Kv { source, .. } | Self::Log { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                exit_code::PERMISSION
            }
            Self::Topics(_) | Self::Groups(_) | Self::Kv { .. } | Self::Log { .. } => exit_code::IO,
            Self::Lost => exit_code::FAIL_STOP,
        }
    }
}

fn engine_exit_code(error: &ringmq_engine::Error) -> u8 {
    use ringmq_engine::Error;
    match error {
        Error::Config(_) => exit_code::USAGE,
        Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            exit_code::PERMISSION
        }
        Error::Locked { .. } => exit_code::LOCKED,
        Error::Ring(_) => exit_code::UNAVAILABLE,
        Error::Stopped { .. } | Error::ThreadLost(_) | Error::Unfinished => exit_code::FAIL_STOP,
        _ => exit_code::IO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_has_its_exit_code() {
        let locked = ringmq_engine::Error::Locked {
            path: PathBuf::from("/d"),
        };
        assert_eq!(StartError::from(locked).exit_code(), 75);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = ringmq_engine::Error::io("opening", "/d")(denied);
        assert_eq!(StartError::from(denied).exit_code(), 77);
        let broken = io::Error::from(io::ErrorKind::InvalidData);
        let broken = ringmq_engine::Error::io("reading", "/d")(broken);
        assert_eq!(StartError::from(broken).exit_code(), 74);
        let no_ring = ringmq_engine::Error::Ring("io_uring is forbidden".into());
        assert_eq!(StartError::from(no_ring).exit_code(), 69);
        for lost in [
            ringmq_engine::Error::ThreadLost("control"),
            ringmq_engine::Error::Unfinished,
        ] {
            assert_eq!(StartError::from(lost).exit_code(), 70);
        }
    }
}

//! Why a command did not do what was asked.

use std::io;

use ringmq_client::ClientError;

/// The failure of a command; each kind has an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A server did not do it.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The options do not go together.
    #[error("{0}")]
    Usage(String),
    /// A data folder cannot be read.
    #[error("{0}")]
    Store(String),
    /// A data folder was read and is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Input or output failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Done, or why not.
pub type Result<T> = std::result::Result<T, ToolError>;

impl ToolError {
    /// The exit code: 1 a server refused or did not answer, 2 usage, 3 unreadable, 4 damaged.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(_) | Self::Io(_) => 1,
            Self::Usage(_) => 2,
            Self::Store(_) => 3,
            Self::Damaged(_) => 4,
        }
    }
}

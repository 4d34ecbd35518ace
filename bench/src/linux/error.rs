//! What keeps a measurement from being made.

use std::io;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The server cannot be reached, or a connection broke.
    #[error("the connection to {target} failed: {source}; is a server running there?")]
    Connection {
        /// The server's address.
        target: String,
        /// What the socket said.
        source: io::Error,
    },
    /// The server refused a request of the preparation.
    #[error("{what} was answered with code {code}: {remark}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The response code.
        code: i32,
        /// The response's remark.
        remark: String,
    },
    /// The server sent what the protocol does not allow.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(String),
    /// The engine cannot be opened, or has stopped.
    #[error(transparent)]
    Engine(#[from] ringmq_engine::Error),
    /// The options do not go together.
    #[error("{0}")]
    Usage(String),
    /// The machine refused something.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A measurement or the reason why there is none.
pub type Result<T> = std::result::Result<T, BenchError>;

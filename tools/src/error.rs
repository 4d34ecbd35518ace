//! Why a command did not do what was asked.

use std::io;

use ringmq_client::ClientError;

/// The failure of a command; each kind has an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A server refused, could not be reached or did not answer.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The same, of one of several servers.
    #[error("{server}: {error}")]
    At {
        /// Its address.
        server: String,
        /// What happened.
        error: ClientError,
    },
    /// A name that nobody knows, with the nearest one that somebody does.
    #[error("there is no {what} {name}{}", suggestion(nearest.as_deref()))]
    NoSuch {
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
        /// A known one that looks like it.
        nearest: Option<String>,
    },
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

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// Done, or why not.
pub type Result<T> = std::result::Result<T, ToolError>;

impl ToolError {
    /// A failure of one server of several.
    pub fn at(server: &str, error: ClientError) -> Self {
        Self::At {
            server: server.to_owned(),
            error,
        }
    }

    /// The exit code: 1 a server refused, 2 usage, 3 a folder cannot be read, 4 it is damaged, 5 a
    /// server cannot be reached or did not answer.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) | Self::At { error, .. } => match error {
                ClientError::Unreachable { .. } | ClientError::Unknown(_) => 5,
                ClientError::Invalid(_) => 2,
                _ => 1,
            },
            Self::Io(_) | Self::NoSuch { .. } => 1,
            Self::Usage(_) => 2,
            Self::Store(_) => 3,
            Self::Damaged(_) => 4,
        }
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        let (Self::Client(error) | Self::At { error, .. }) = self else {
            return None;
        };
        match error {
            ClientError::Refused { code: 206, .. } => Some(
                "the group has no connected consumer; `consumerProgress -g GROUP` shows its offsets",
            ),
            ClientError::Refused { code: 3, .. } => {
                Some("this server does not have the request; see its version with `clusterList`")
            }
            ClientError::Unreachable { .. } => {
                Some("name the name servers with -n host:port or in NAMESRV_ADDR")
            }
            ClientError::Unknown(_) => {
                Some("a longer --timeout may help; look before doing it again")
            }
            _ => None,
        }
    }
}

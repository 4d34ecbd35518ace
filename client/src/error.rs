//! Errors by what the caller can do about them.

use std::fmt;

use ringmq_protocol::code::response;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused the request; nothing was stored.
    #[error("refused with code {code} ({}): {remark}", Named(*code))]
    Refused {
        /// The response code.
        code: i32,
        /// The server's text.
        remark: String,
    },
    /// The request was sent and its answer did not come, or says that the outcome is not known: it
    /// may have been carried out.
    #[error("outcome unknown: {0}; the request may have been carried out")]
    Unknown(String),
    /// The request did not leave: trying again is safe.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// The server's address.
        address: String,
        /// What the socket said.
        reason: String,
    },
    /// No name server knows the topic, and it cannot be created automatically.
    #[error("topic {0} has no route: create it, or allow automatic topics on a broker")]
    NoRoute(String),
    /// Too many calls are in flight already.
    #[error("too many calls are in flight: wait for answers")]
    Busy,
    /// The call cannot be made as it is.
    #[error("{0}")]
    Invalid(String),
    /// The server's answer breaks the protocol.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(String),
    /// The client's I/O thread has ended.
    #[error("the client is closed")]
    Closed,
}

struct Named(i32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(response::name(self.0).unwrap_or("an unknown code"))
    }
}

impl ClientError {
    /// The error that a response code stands for; `None` for success.
    pub(crate) fn of_response(code: i32, remark: impl FnOnce() -> String) -> Option<Self> {
        match code {
            response::SUCCESS => None,
            response::SYSTEM_ERROR
            | response::FLUSH_DISK_TIMEOUT
            | response::SLAVE_NOT_AVAILABLE
            | response::FLUSH_SLAVE_TIMEOUT => {
                Some(Self::Unknown(format!("code {code}: {}", remark())))
            }
            code => Some(Self::Refused {
                code,
                remark: remark(),
            }),
        }
    }

    /// Whether a server refused with this code.
    pub fn has_code(&self, wanted: i32) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether a send may be tried again on another queue (`DefaultMQProducer`'s list of codes).
    pub(crate) fn is_worth_another_queue(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                const AGAIN: [i32; 5] = [
                    response::TOPIC_NOT_EXIST,
                    response::SERVICE_NOT_AVAILABLE,
                    response::SYSTEM_BUSY,
                    response::NO_PERMISSION,
                    response::GO_AWAY,
                ];
                AGAIN.contains(code)
            }
            Self::Unknown(_) | Self::Unreachable { .. } => true,
            _ => false,
        }
    }
}

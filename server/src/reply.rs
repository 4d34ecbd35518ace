//! Answers: response frames, and the one table from what went wrong to RocketMQ's codes.
//!
//! Every response says version 5.5.0 (513): the release whose answers this server gives; consumers
//! with SQL filters want at least 232 of their broker, and every known client accepts 513. The
//! language is RUST, which clients of 4.9 and later know and older ones read as none. A request is
//! answered in its own serialisation.

use ringmq_engine::Refused;
use ringmq_protocol::code::response;
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::{
    ExtWriter, FLAG_ONEWAY, FLAG_RESPONSE, Head, Header, Language, version,
};

use crate::broker::groups::GroupError;
use crate::broker::names::NameError;
use crate::broker::topics::TopicError;
use crate::connection::Outbound;
use crate::mux::Origin;

/// What an answer needs to know of its request.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo {
    /// Connection and charge.
    pub origin: Origin,
    /// The request's code.
    pub code: i32,
    /// The request's number on its connection.
    pub opaque: i32,
    /// The client's version ordinal.
    pub version: i32,
    /// How the request's header was written.
    pub kind: HeaderKind,
    /// The client wants no answer.
    pub oneway: bool,
}

impl ReplyTo {
    /// Whom to answer, from a request's header.
    pub fn new(origin: Origin, header: &Header<'_>) -> Self {
        Self {
            origin,
            code: header.code,
            opaque: header.opaque,
            version: header.version,
            kind: header.kind,
            oneway: header.is_oneway(),
        }
    }

    /// Whether the client is of 5.0 or later, whose brokers answer some errors with other codes.
    pub fn is_v5(&self) -> bool {
        self.version >= version::V5_0_0
    }

    /// The code for a parameter that makes no sense: 29 since 5.0, 1 before.
    pub fn invalid_parameter(&self) -> i32 {
        if self.is_v5() {
            response::INVALID_PARAMETER
        } else {
            response::SYSTEM_ERROR
        }
    }

    /// Writes a response's prefix and header; `body_len` bytes of body must be pushed after it.
    pub fn head(
        &self,
        out: &mut Outbound,
        code: i32,
        remark: Option<&str>,
        body_len: usize,
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) {
        let head = Head {
            code,
            opaque: self.opaque,
            remark,
            ..success()
        };
        out.frame(self.kind, &head, body_len, ext);
    }

    /// Writes a whole response whose body is copied.
    pub fn whole(
        &self,
        out: &mut Outbound,
        code: i32,
        remark: Option<&str>,
        body: &[u8],
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) {
        self.head(out, code, remark, body.len(), ext);
        out.tail().extend_from_slice(body);
    }
}

/// The head of an answer that all went well, to be numbered.
pub fn success() -> Head<'static> {
    Head {
        code: response::SUCCESS,
        language: Language::Rust,
        version: version::V5_5_0,
        opaque: 0,
        flag: FLAG_RESPONSE,
        remark: None,
    }
}

/// Writes a one-way request of the broker's own.
pub fn oneway(
    out: &mut Outbound,
    code: i32,
    opaque: i32,
    body: &[u8],
    ext: impl FnOnce(&mut ExtWriter<'_>),
) {
    request(out, code, opaque, FLAG_ONEWAY, body, ext);
}

/// Writes a request of the broker's own that is to be answered.
pub fn call(
    out: &mut Outbound,
    code: i32,
    opaque: i32,
    body: &[u8],
    ext: impl FnOnce(&mut ExtWriter<'_>),
) {
    request(out, code, opaque, 0, body, ext);
}

fn request(
    out: &mut Outbound,
    code: i32,
    opaque: i32,
    flag: i32,
    body: &[u8],
    ext: impl FnOnce(&mut ExtWriter<'_>),
) {
    let head = Head {
        code,
        language: Language::Rust,
        version: version::V5_5_0,
        opaque,
        flag,
        remark: None,
    };
    out.frame(HeaderKind::Json, &head, body.len(), ext);
    out.tail().extend_from_slice(body);
}

/// A refusal: the code and the words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {remark}")]
pub struct Refusal {
    /// Response code.
    pub code: i32,
    /// What the client's exception says.
    pub remark: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: i32, remark: impl Into<String>) -> Self {
        let remark = remark.into();
        Self { code, remark }
    }

    /// A parameter that makes no sense, in the client's generation of codes.
    pub fn parameter(to: &ReplyTo, remark: impl Into<String>) -> Self {
        Self::new(to.invalid_parameter(), remark)
    }

    /// A name that is not allowed.
    pub fn name(to: &ReplyTo, error: &NameError) -> Self {
        Self::parameter(to, error.to_string())
    }

    /// A topic that cannot be created or changed.
    pub fn topic(to: &ReplyTo, error: &TopicError) -> Self {
        let code = match error {
            TopicError::Name(_) | TopicError::System(_) | TopicError::Queues { .. } => {
                to.invalid_parameter()
            }
            TopicError::NotCreatable(_) => response::TOPIC_NOT_EXIST,
            TopicError::Full { .. } => response::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }

    /// A group that cannot be created or changed.
    pub fn group(to: &ReplyTo, error: &GroupError) -> Self {
        let code = match error {
            GroupError::Name(_) => to.invalid_parameter(),
            GroupError::NotCreatable(_) => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            GroupError::Full { .. } => response::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }

    /// Something the engine refused before it had a place in the log: it will never appear.
    pub fn engine(refused: Refused) -> Self {
        let code = match refused {
            Refused::Busy(_) => response::SYSTEM_BUSY,
            Refused::Full | Refused::Stopping | Refused::ReadOnly | Refused::TableFull(_) => {
                response::SERVICE_NOT_AVAILABLE
            }
            Refused::TooLarge { .. } | Refused::Malformed => response::MESSAGE_ILLEGAL,
            Refused::Failed | Refused::Unknown => response::SYSTEM_ERROR,
        };
        Self::new(code, refused.to_string())
    }

    /// A write of unknown outcome: the message may or may not be there after the restart.
    pub fn unknown_outcome() -> Self {
        Self::new(
            response::SYSTEM_ERROR,
            "a write to the log failed, the outcome is unknown: the broker restarts and decides from what is on the disk",
        )
    }
}

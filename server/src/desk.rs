//! What shards ask the control plane on behalf of clients, and what it answers: everything that needs
//! a file, the file system or figures of the whole process, none of which a shard thread may wait for.
//!
//! ```text
//! handler ─ Front::ask ─> link ─ Notice::Ask ─> control/desk.rs ─ Command::Reply ─> the shard that asked
//! ```

use std::sync::Arc;

use ringmq_engine::ShardStatus;

use crate::config::Process;
use crate::namesrv::NameServerSettings;
use crate::reply::ReplyTo;
use crate::shard::Settings;
use crate::statistics::Rates;

/// A client's request, as far as the control plane answers it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whom to answer.
    pub to: ReplyTo,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All settings of a process as properties (26, 319).
    ShowSettings(Process),
    /// A change of settings, as properties (25, 318). For the broker from its home shard only.
    ChangeSettings(Process, String),
    /// What `mqadmin brokerStatus` shows (28); how each shard's engine stands comes along.
    RuntimeInfo(Vec<(u8, ShardStatus)>),
    /// One figure of the statistics (315).
    Statistics {
        /// Which figure, as `TOPIC_PUT_NUMS`.
        name: String,
        /// Of what, as `topic` or `topic@group`.
        key: String,
    },
}

/// The control plane's answer, for the shard that asked.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To be sent as it is.
    Whole(ReplyTo, WholeReply),
    /// The broker's settings have changed, for good: every shard takes them, then the client is
    /// answered.
    BrokerSettings(ReplyTo, Arc<Settings>),
    /// The same for the name server.
    NameServerSettings(ReplyTo, NameServerSettings),
    /// Messages a second of topics and groups, to every shard, unasked.
    Rates(Arc<Rates>),
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeReply {
    /// Response code.
    pub code: i32,
    /// What a client's exception says.
    pub remark: Option<String>,
    /// Fields of the header.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl WholeReply {
    /// Success with a body.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            body,
            ..Self::default()
        }
    }

    /// A refusal.
    pub fn refusal(code: i32, remark: impl Into<String>) -> Self {
        Self {
            code,
            remark: Some(remark.into()),
            ..Self::default()
        }
    }
}

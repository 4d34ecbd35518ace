//! The counters of one shard, as everybody may read them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ringmq_engine::ShardStatus;

use super::backlog::Backlog;
use super::counter::Counter;
use super::histogram::Histogram;
use super::meters::Meters;
use crate::connection::CloseReason;
use crate::tables::Tables;

/// Request and response codes up to this one have a counter each; higher ones share the last.
pub const CODES: usize = 512;

/// Written by the shard's thread alone, read by any. Everything counts from the start of the process.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    /// Messages stored (as visible as their acknowledgement).
    pub messages_in: Counter,
    /// Their bytes as stored records.
    pub bytes_in: Counter,
    /// Sends answered with success, a batch counting once.
    pub sends: Counter,
    /// Messages delivered.
    pub messages_out: Counter,
    /// Their bytes as stored records.
    pub bytes_out: Counter,
    /// Pulls that found at least one message.
    pub pulls_found: Counter,
    /// Pulls that found none.
    pub pulls_missed: Counter,
    /// Messages sent back.
    pub send_backs: Counter,
    /// Times of sends and pulls.
    pub times: Times,
    /// Requests by code.
    pub requests: Codes,
    /// Refusals by response code.
    pub refusals: Codes,
    /// Connections.
    pub connections: ConnectionCounters,
    /// Topics and groups.
    pub meters: Arc<Meters>,
    /// What changes slowly, as of the shard's last look, at most a second before its last turn.
    pub state: ArcSwap<ShardState>,
    /// Topics and groups as of the last walk, at most some seconds before the last request.
    pub backlog: ArcSwap<Backlog>,
}

/// How long the stages of a send take, and pulls.
#[derive(Debug, Default)]
pub struct Times {
    /// Received to appended: what waits for a letter to another shard, for a topic to be created, or for
    /// a full mailbox. 0 for a queue of the connection's own shard.
    pub append: Histogram,
    /// Appended to stored: the wait for the block in flight, and the write of its own block.
    pub store: Histogram,
    /// Stored to replied: from the turn that saw it to its answer in the hands of the kernel.
    pub reply: Histogram,
    /// Received to stored.
    pub send: Histogram,
    /// Pulls answered at once, from memory: from the turn that received them to their answers in the
    /// hands of the kernel.
    pub pull_at_once: Histogram,
    /// Pulls that waited, for the disk or for a message: received to answered.
    pub pull_waited: Histogram,
}

/// Counters by code.
#[derive(Debug)]
pub struct Codes(Box<[Counter; CODES]>);

impl Default for Codes {
    fn default() -> Self {
        Self(Box::new([const { Counter::new() }; CODES]))
    }
}

impl Codes {
    /// Counts one. The writing thread only.
    pub fn add(&self, code: i32) {
        let at = usize::try_from(code).unwrap_or(CODES);
        self.0[at.min(CODES - 1)].add(1);
    }

    /// Codes that were counted, and how often. The last of [`CODES`] stands for all beyond it.
    pub fn counted(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let all = self.0.iter().enumerate();
        all.map(|(code, counter)| (code, counter.get()))
            .filter(|(_, count)| *count > 0)
    }
}

/// Connections of one shard.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Taken over since the start.
    pub opened: Counter,
    /// Ended since the start, by [`CloseReason::index`].
    pub closed: [Counter; CloseReason::ALL.len()],
}

/// How much a name server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamesState {
    /// Broker names.
    pub brokers: usize,
    /// Clusters.
    pub clusters: usize,
    /// Topics.
    pub topics: usize,
}

/// What changes slowly.
#[derive(Clone, Debug, Default)]
pub struct ShardState {
    /// When it was read, on the monotonic clock of this machine.
    pub read_ns: u64,
    /// Connections open.
    pub connections: usize,
    /// Connections held back because too much of theirs is in flight.
    pub paused: usize,
    /// Bytes of requests not answered and of answers not sent.
    pub in_flight_bytes: usize,
    /// Bytes of started frames.
    pub held_bytes: usize,
    /// Requests that wait for the engine.
    pub waiting: usize,
    /// The engine's watermarks and counters; a name server's shard has none.
    pub engine: Option<ShardStatus>,
    /// Topics and groups, of the home shard only.
    pub tables: Option<Tables>,
    /// What the name server knows, on the shard that has it.
    pub names: Option<NamesState>,
}

//! What a process counts and measures.
//!
//! ```text
//! shard thread: handlers -> Recorder (runs) -> ShardMetrics (counters with one writer)
//! anyone:       Metrics::totals, Metrics::meters: sums over the shards, at any time
//! ```
//! No lock, no system call and no allocation for a message. Whatever is counted is as visible as the
//! acknowledgement or answer it stands for: never a message that a crash could take back.

mod backlog;
mod counter;
mod histogram;
mod meters;
mod recorder;
mod shard;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use backlog::{Backlog, BacklogWalk, GroupBacklog, TopicBacklog};
pub use counter::Counter;
pub use histogram::{Histogram, HistogramReading};
pub use meters::{Meter, MeterId, MeterName, MeterRow, MeterTable, Meters};
pub use recorder::{Pulled, Recorder, StoredSend};
pub use shard::{CODES, Codes, ConnectionCounters, NamesState, ShardMetrics, ShardState, Times};

use crate::connection::CloseReason;

/// The metrics of a process: those of each of its shards.
#[derive(Debug)]
pub struct Metrics {
    shards: Vec<Arc<ShardMetrics>>,
}

/// Sums over all shards since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages stored.
    pub messages_in: u64,
    /// Their bytes as stored records.
    pub bytes_in: u64,
    /// Sends answered with success, a batch counting once.
    pub sends: u64,
    /// Messages delivered.
    pub messages_out: u64,
    /// Their bytes as stored records.
    pub bytes_out: u64,
    /// Pulls that found at least one message.
    pub pulls_found: u64,
    /// Pulls that found none.
    pub pulls_missed: u64,
    /// Messages sent back.
    pub send_backs: u64,
    /// Times of sends and pulls.
    pub times: TimesReading,
    /// Requests by code.
    pub requests: BTreeMap<usize, u64>,
    /// Refusals by response code.
    pub refusals: BTreeMap<usize, u64>,
    /// Connections taken over.
    pub connections_opened: u64,
    /// Connections ended, by reason.
    pub connections_closed: [u64; CloseReason::ALL.len()],
}

/// A reading of [`Times`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimesReading {
    /// Received to appended.
    pub append: HistogramReading,
    /// Appended to stored.
    pub store: HistogramReading,
    /// Stored to replied.
    pub reply: HistogramReading,
    /// Received to stored.
    pub send: HistogramReading,
    /// Pulls answered at once.
    pub pull_at_once: HistogramReading,
    /// Pulls that waited.
    pub pull_waited: HistogramReading,
}

/// A meter's counters, over all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterSum {
    /// Messages stored, or delivered.
    pub messages: u64,
    /// Their bytes as stored records.
    pub bytes: u64,
    /// Messages sent back.
    pub send_backs: u64,
}

impl Metrics {
    /// Metrics of that many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Arc::default()).collect(),
        }
    }

    /// The metrics of one shard, which must exist.
    pub fn shard(&self, index: usize) -> Arc<ShardMetrics> {
        Arc::clone(&self.shards[index])
    }

    /// The metrics of each shard.
    pub fn shards(&self) -> &[Arc<ShardMetrics>] {
        &self.shards
    }

    /// Sums over all shards.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals.add(shard);
        }
        totals
    }

    /// All meters, summed over the shards, sorted by topic and group; a topic's own comes first. Walks
    /// every meter there is: with a hundred thousand of them this takes tens of milliseconds, so it is
    /// for the control plane.
    pub fn meters(&self) -> BTreeMap<Arc<MeterName>, MeterSum> {
        let mut sums: BTreeMap<Arc<MeterName>, MeterSum> = BTreeMap::new();
        for row in self.shards.iter().flat_map(|shard| shard.meters.rows()) {
            let sum = sums.entry(row.name).or_default();
            sum.messages += row.messages;
            sum.bytes += row.bytes;
            sum.send_backs += row.send_backs;
        }
        sums
    }
}

impl Metrics {
    /// How much topics hold and how far behind groups are, over all shards, as of their last walks.
    pub fn backlog(&self) -> Backlog {
        let mut sum = Backlog::default();
        for shard in &self.shards {
            sum.merge(&shard.backlog.load());
        }
        sum
    }
}

impl Totals {
    fn add(&mut self, shard: &ShardMetrics) {
        self.messages_in += shard.messages_in.get();
        self.bytes_in += shard.bytes_in.get();
        self.sends += shard.sends.get();
        self.messages_out += shard.messages_out.get();
        self.bytes_out += shard.bytes_out.get();
        self.pulls_found += shard.pulls_found.get();
        self.pulls_missed += shard.pulls_missed.get();
        self.send_backs += shard.send_backs.get();
        self.times.add(&shard.times);
        for (code, count) in shard.requests.counted() {
            *self.requests.entry(code).or_default() += count;
        }
        for (code, count) in shard.refusals.counted() {
            *self.refusals.entry(code).or_default() += count;
        }
        self.connections_opened += shard.connections.opened.get();
        let closed = self.connections_closed.iter_mut();
        for (sum, counter) in closed.zip(&shard.connections.closed) {
            *sum += counter.get();
        }
    }
}

impl TimesReading {
    /// What was counted since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            append: self.append.since(&earlier.append),
            store: self.store.since(&earlier.store),
            reply: self.reply.since(&earlier.reply),
            send: self.send.since(&earlier.send),
            pull_at_once: self.pull_at_once.since(&earlier.pull_at_once),
            pull_waited: self.pull_waited.since(&earlier.pull_waited),
        }
    }

    fn add(&mut self, times: &Times) {
        times.append.read_into(&mut self.append);
        times.store.read_into(&mut self.store);
        times.reply.read_into(&mut self.reply);
        times.send.read_into(&mut self.send);
        times.pull_at_once.read_into(&mut self.pull_at_once);
        times.pull_waited.read_into(&mut self.pull_waited);
    }
}

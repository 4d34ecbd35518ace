//! A broker's state on one shard: the engine's shard, the tables, and who waits for what.

use std::net::SocketAddr;
use std::sync::Arc;

use ringmq_engine::{Policy, QueueNumber, Refused, Shard, TagFilter};
use ringmq_protocol::command::send_receipt::Receipts;
use ringmq_protocol::message_id::UniqueIds;
use ringmq_protocol::properties;
use ringmq_ring::Io;

use crate::broker::Topic;
use crate::calls::Calls;
use crate::config::BrokerConfig;
use crate::gather::{Gathers, Probe};
use crate::handlers::entries::EntriesWaiter;
use crate::handlers::send::put_property;
use crate::home::Home;
use crate::metrics::MeterId;
use crate::progress::{Progress, Seat};
use crate::reply::{self, ReplyTo};
use crate::routes::Routes;
use crate::sends::Sends;
use crate::tables::Tables;
use crate::waiters::Waiters;

/// What the handlers need to know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `brokerName`.
    pub broker_name: String,
    /// Properties that every single message gets: region, trace switch and cluster
    /// (messages page 8), as [`Settings::stored_properties`] makes them.
    pub stored_properties: Vec<u8>,
    /// The answers to single sends, as [`Settings::receipts`] makes them.
    pub receipts: Receipts,
    /// `brokerIP1:listenPort`: the store host of every record, and in every offset id.
    pub store_host: SocketAddr,
    /// `maxMessageSize`, in bytes of the stored body.
    pub message_bytes_max: usize,
    /// `syncFlushTimeout`: after this a send is answered with 10.
    pub store_timeout_ns: u64,
    /// `brokerPermission` allows reading.
    pub is_readable: bool,
    /// `brokerPermission` allows writing.
    pub is_writable: bool,
    /// `regionId`.
    pub region: String,
    /// `traceOn`.
    pub trace_on: bool,
    /// `longPollingEnable`; without it a pull is held for a second at most.
    pub long_polling: bool,
    /// `enablePropertyFilter`.
    pub property_filter: bool,
    /// `autoCreateSubscriptionGroup`.
    pub auto_create_groups: bool,
    /// `useServerSideResetOffset`.
    pub server_side_reset: bool,
    /// `autoCreateTopicEnable`.
    pub auto_create_topics: bool,
    /// `fileReservedTime`, `deleteWhen`, `ringmq.retentionBytes`.
    pub retention: Policy,
}

impl Settings {
    /// What the handlers need of a broker's configuration; clients know it as `store_host`.
    pub fn new(config: &BrokerConfig, store_host: SocketAddr) -> Self {
        let (region, cluster) = (&config.region, &config.cluster);
        let nanoseconds = config.store_timeout.as_nanos();
        Self {
            broker_name: config.name.clone(),
            stored_properties: Self::stored_properties(region, config.trace_on, cluster),
            receipts: Self::receipts(store_host, region, config.trace_on),
            store_host,
            message_bytes_max: config.message_bytes_max,
            store_timeout_ns: u64::try_from(nanoseconds).unwrap_or(u64::MAX),
            is_readable: config.is_readable,
            is_writable: config.is_writable,
            region: config.region.clone(),
            trace_on: config.trace_on,
            long_polling: config.long_polling,
            property_filter: false,
            auto_create_groups: config.auto_create_groups,
            server_side_reset: config.server_side_reset,
            auto_create_topics: config.auto_create_topics,
            retention: config.store.retention(),
        }
    }

    /// The properties that every single message gets.
    pub fn stored_properties(region: &str, trace_on: bool, cluster: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_property(&mut out, properties::MSG_REGION, region);
        put_property(
            &mut out,
            properties::TRACE_ON,
            if trace_on { "true" } else { "false" },
        );
        put_property(&mut out, properties::CLUSTER, cluster);
        out
    }

    /// The answers to single sends, prepared.
    pub fn receipts(store_host: SocketAddr, region: &str, trace_on: bool) -> Receipts {
        Receipts::new(&reply::success(), store_host, region, trace_on)
    }
}

/// See the module.
pub struct BrokerShard<I: Io> {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// Log and queues.
    pub engine: Shard<I>,
    /// Topics and groups as the home shard published them last.
    pub tables: Tables,
    /// Who waits for the engine, but for sends.
    pub waiters: Waiters<Waiter>,
    /// What groups have pulled from this shard's queues.
    pub progress: Progress,
    /// Questions to all shards, and theirs.
    pub gathers: Gathers<I>,
    /// Requests to clients that wait for their answers; on the home shard.
    pub calls: Calls<I>,
    /// Sends that wait for the engine.
    pub sends: Sends,
    /// Topics that sends went to lately; of the present tables.
    pub routes: Routes,
    /// What only the home shard has.
    pub home: Option<Box<Home>>,
    /// Chooses queues for clients that leave the choice to the broker.
    pub random: Random,
    /// Ids for messages that come without one.
    pub unique_ids: UniqueIds,
    /// Reused memory of the handlers.
    pub scratch: Scratch,
}

/// Memory that handlers reuse from request to request.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A message's properties, decoded.
    pub properties: Vec<u8>,
    /// What the broker adds to them.
    pub added: Vec<u8>,
}

/// Who waits beside sends, and what is to be done for it.
#[derive(Debug)]
pub enum Waiter {
    /// A change of topics or groups (home shard).
    Change(usize),
    /// A pull that is held or reads from the disk.
    Pull(PullWaiter),
    /// A view by offset id that reads from the disk.
    View {
        /// Whom to answer.
        to: ReplyTo,
        /// The offset asked for.
        offset: i64,
    },
    /// Entries of a queue, shown to an operator.
    Entries(Box<EntriesWaiter>),
    /// A search by time that reads from the disk.
    OffsetByTime(ReplyTo),
    /// A read of a gather.
    Probe(Probe),
}

/// What the answer of a pull needs.
#[derive(Debug)]
pub struct PullWaiter {
    /// Whom to answer.
    pub to: ReplyTo,
    /// Where its group's progress is noted.
    pub seat: Option<Seat>,
    /// The meter of its group in the topic.
    pub meter: MeterId,
}

/// A small generator (xorshift64*), seeded from outside so that the simulator repeats itself.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; any seed will do.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32;
        ((u64::from(high) * u64::from(bound)) >> 32) as u32
    }
}

impl<I: Io> BrokerShard<I> {
    /// Takes the home shard's tables over.
    pub fn take_tables(&mut self, tables: Tables) {
        for &topic in &tables.dropped_topics {
            for queue in self.engine.drop_topic_queues(topic) {
                self.progress.forget_queue(queue);
            }
        }
        if let Some(settings) = &tables.settings {
            self.engine.set_retention(settings.retention);
            self.settings = Arc::clone(settings);
        }
        self.tables = tables;
        self.routes.clear();
    }

    /// A queue of this shard, bound if it was not yet.
    pub fn queue(&mut self, topic: &Topic, queue_id: u32) -> Result<QueueNumber, Refused> {
        bound_queue(&mut self.engine, topic, queue_id)
    }
}

/// A queue of the engine's shard, bound if it was not yet.
pub fn bound_queue<I: Io>(
    engine: &mut Shard<I>,
    topic: &Topic,
    queue_id: u32,
) -> Result<QueueNumber, Refused> {
    match engine.queue(topic.id, queue_id) {
        Some(queue) => Ok(queue),
        None => engine.bind_queue(topic.id, queue_id),
    }
}

/// The engine's filter for a tag expression.
pub fn tag_filter(tags: &crate::broker::TagExpression) -> TagFilter {
    match tags.codes() {
        None => TagFilter::All,
        Some(codes) => TagFilter::codes(codes.into_iter().map(|code| code as i32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_queues_are_all_reached_and_repeat_with_the_seed() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.below(4)).collect::<Vec<_>>()
        };
        assert_eq!(draw(42), draw(42));
        assert!((0..4).all(|queue| draw(42).contains(&queue)));
    }
}

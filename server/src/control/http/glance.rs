//! One reading of everything, arranged by topic, group and shard.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringmq_engine::TopicId;

use super::health::State;
use super::source::{Facts, Sample, Source};
use crate::broker::names::{self, DLQ_PREFIX, RETRY_PREFIX};
use crate::metrics::{GroupBacklog, MeterName, MeterSum, ShardState, Totals};
use crate::tables::Tables;

/// See the module.
#[derive(Debug)]
pub(super) struct Glance {
    pub facts: Facts,
    pub uptime: Duration,
    pub state: State,
    /// Whether it serves and takes sends; else why not.
    pub readiness: Result<(), String>,
    pub totals: Totals,
    /// Messages stored, delivered, and their bytes a second.
    pub rates: Rates,
    /// Totals of the last ten to twenty seconds, for what percentiles are now.
    pub recent: Totals,
    pub topics: Vec<TopicRow>,
    pub groups: Vec<GroupRow>,
    /// Groups there are, whether they have consumed or not.
    pub group_count: usize,
    pub shards: Vec<Arc<ShardState>>,
    pub disk: Option<Disk>,
}

/// Of a second, over the last ten to twenty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub messages_in: f64,
    pub bytes_in: f64,
    pub messages_out: f64,
    pub bytes_out: f64,
}

/// A topic.
#[derive(Debug)]
pub(super) struct TopicRow {
    pub name: Arc<str>,
    pub is_system: bool,
    /// Of messages to be tried again, or given up.
    pub is_retry: bool,
    pub queues: u32,
    /// `rw`, `r-`, …
    pub permission: String,
    /// Messages kept.
    pub messages: u64,
    pub sum: MeterSum,
    pub rate: f64,
    pub bytes_rate: f64,
}

/// A group in a topic.
#[derive(Debug)]
pub(super) struct GroupRow {
    pub topic: Arc<str>,
    pub group: Arc<str>,
    pub is_system: bool,
    pub is_retry: bool,
    pub is_online: bool,
    /// Where it has committed offsets.
    pub backlog: Option<GroupBacklog>,
    pub sum: MeterSum,
    pub rate: f64,
}

/// The file system of the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub bytes: u64,
    pub free: u64,
}

impl Glance {
    /// Reads everything.
    pub fn of(source: &Source) -> Self {
        let (now, metrics) = (source.read(), source.metrics());
        let earlier = source.earlier();
        let since = Since::new(&now, earlier.as_deref());
        let shards = metrics.shards().iter().map(|shard| shard.state.load_full());
        let shards: Vec<_> = shards.collect();
        let tables = shards.iter().find_map(|shard| shard.tables.clone());
        let backlog = metrics.backlog();
        let facts = source.facts();
        let (mut topics, mut groups) = (Vec::new(), Vec::new());
        if let Some(tables) = &tables {
            topics = topic_rows(facts, tables, &backlog.topics, &now, &since);
            groups = group_rows(facts, tables, &backlog.topics, &now, &since);
        }
        Self {
            uptime: source.uptime(),
            state: source.health().state(),
            readiness: source.is_ready(),
            rates: since.totals(&now.totals),
            recent: recent(&now.totals, earlier.as_deref()),
            totals: now.totals,
            topics,
            groups,
            group_count: tables.map_or(0, |tables| tables.groups.len()),
            shards,
            disk: facts.folder.as_deref().and_then(Disk::of),
            facts: facts.clone(),
        }
    }
}

impl Glance {
    /// Bytes of log kept, of all shards.
    pub fn log_bytes(&self) -> u64 {
        let engines = self.shards.iter().filter_map(|shard| shard.engine);
        engines
            .map(|engine| engine.appended.saturating_sub(engine.oldest))
            .sum()
    }
}

type Topics = BTreeMap<TopicId, crate::metrics::TopicBacklog>;

/// All topics by name.
fn topic_rows(
    facts: &Facts,
    tables: &Tables,
    backlog: &Topics,
    now: &Sample,
    since: &Since<'_>,
) -> Vec<TopicRow> {
    let row = |(name, topic): (&Arc<str>, &Arc<crate::broker::Topic>)| {
        let meter = MeterName {
            topic: Arc::clone(name),
            group: None,
        };
        let sum = now.meters.get(&meter).copied().unwrap_or_default();
        let (rate, bytes_rate) = since.meter(&meter, sum);
        let config = &topic.config;
        TopicRow {
            name: Arc::clone(name),
            is_system: is_system(facts, name),
            is_retry: name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX),
            queues: config.queues(),
            permission: permission(config.perm.is_readable(), config.perm.is_writable()),
            messages: backlog.get(&topic.id).map_or(0, |found| found.messages),
            sum,
            rate,
            bytes_rate,
        }
    };
    let mut rows: Vec<_> = tables.topics.iter().map(row).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// All pairs of topic and group in which anything was consumed or committed, by group and topic.
fn group_rows(
    facts: &Facts,
    tables: &Tables,
    backlog: &Topics,
    now: &Sample,
    since: &Since<'_>,
) -> Vec<GroupRow> {
    let mut pairs: BTreeMap<(Arc<str>, Arc<str>), Option<GroupBacklog>> = BTreeMap::new();
    for (name, topic) in tables.topics.iter() {
        let groups = backlog
            .get(&topic.id)
            .into_iter()
            .flat_map(|topic| &topic.groups);
        for (group, progress) in groups {
            let pair = (Arc::from(&**group), Arc::clone(name));
            pairs.insert(pair, Some(*progress));
        }
    }
    for name in now.meters.keys() {
        if let Some(group) = &name.group {
            pairs
                .entry((Arc::clone(group), Arc::clone(&name.topic)))
                .or_default();
        }
    }
    let row = |((group, topic), backlog): ((Arc<str>, Arc<str>), Option<GroupBacklog>)| {
        let meter = MeterName {
            topic: Arc::clone(&topic),
            group: Some(Arc::clone(&group)),
        };
        let sum = now.meters.get(&meter).copied().unwrap_or_default();
        let view = tables.groups.get(&group);
        GroupRow {
            is_system: is_system(facts, &topic),
            is_retry: topic.starts_with(RETRY_PREFIX),
            is_online: view.is_some_and(|view| view.is_online),
            backlog,
            rate: since.meter(&meter, sum).0,
            sum,
            topic,
            group,
        }
    };
    pairs.into_iter().map(row).collect()
}

/// Reserved by every broker, or by this one.
fn is_system(facts: &Facts, topic: &str) -> bool {
    let reply = topic.strip_suffix("_REPLY_TOPIC");
    let is_own = topic == facts.node || topic == facts.cluster;
    is_own || reply == Some(&facts.cluster) || names::is_system_topic(topic)
}

fn permission(is_readable: bool, is_writable: bool) -> String {
    let letter = |is_so, letter| if is_so { letter } else { '-' };
    [letter(is_readable, 'r'), letter(is_writable, 'w')]
        .iter()
        .collect()
}

fn recent(now: &Totals, earlier: Option<&Sample>) -> Totals {
    let mut recent = now.clone();
    if let Some(earlier) = earlier {
        recent.times = now.times.since(&earlier.totals.times);
    }
    recent
}

/// What was counted since a sample, by the second.
struct Since<'s> {
    earlier: Option<&'s Sample>,
    seconds: f64,
}

impl<'s> Since<'s> {
    fn new(now: &Sample, earlier: Option<&'s Sample>) -> Self {
        let passed = earlier.map(|earlier| now.at.saturating_duration_since(earlier.at));
        Self {
            earlier,
            seconds: passed.unwrap_or_default().as_secs_f64().max(0.001),
        }
    }

    fn totals(&self, now: &Totals) -> Rates {
        let Some(earlier) = self.earlier.map(|sample| &sample.totals) else {
            return Rates::default();
        };
        Rates {
            messages_in: self.rate(now.messages_in, earlier.messages_in),
            bytes_in: self.rate(now.bytes_in, earlier.bytes_in),
            messages_out: self.rate(now.messages_out, earlier.messages_out),
            bytes_out: self.rate(now.bytes_out, earlier.bytes_out),
        }
    }

    /// Messages and bytes a second of one meter.
    fn meter(&self, name: &MeterName, now: MeterSum) -> (f64, f64) {
        let Some(sample) = self.earlier else {
            return (0.0, 0.0);
        };
        let earlier = sample.meters.get(name).copied().unwrap_or_default();
        (
            self.rate(now.messages, earlier.messages),
            self.rate(now.bytes, earlier.bytes),
        )
    }

    /// A counter below its earlier reading has begun anew.
    fn rate(&self, now: u64, earlier: u64) -> f64 {
        now.checked_sub(earlier).unwrap_or(now) as f64 / self.seconds
    }
}

impl Disk {
    fn of(folder: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(folder).ok()?;
        Some(Self {
            bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

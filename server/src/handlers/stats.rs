//! Figures of the whole broker: 28, 315, 317 and 907.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringmq_engine::TopicId;
use ringmq_protocol::code::response;
use ringmq_protocol::command::ha::HaStatus;
use ringmq_protocol::command::stats::{
    BrokerConsumeStats, BrokerConsumeStatsQuery, BrokerStatsQuery, ConsumeOffset, ConsumeStats,
};
use ringmq_ring::Io;

use crate::broker::Topic;
use crate::context::{Context, Handled, Request};
use crate::desk::Ask;
use crate::fastjson::Bare;
use crate::gather::{Asked, Found, Question, Times};
use crate::handlers::progress::{answer, consume_offsets, is_subscribed};
use crate::limits::GATHER_ROWS_MAX;
use crate::reply::{Refusal, ReplyTo};

/// GET_BROKER_RUNTIME_INFO.
pub fn runtime_info<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let to = &request.to;
    ctx.gather(to, Asked::All, Question::Status, |ctx, to, found| {
        ctx.front.ask(*to, Ask::RuntimeInfo(found.statuses))
    })
}

/// VIEW_BROKER_STATS_DATA.
pub fn view<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = BrokerStatsQuery::decode(&request.header.ext);
    let ask = Ask::Statistics {
        name: asked.stats_name.into_owned(),
        key: asked.stats_key.into_owned(),
    };
    ctx.front.ask(request.to, ask)
}

/// GET_BROKER_HA_STATUS: a master without slaves.
pub fn ha_status<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let to = &request.to;
    ctx.gather(to, Asked::All, Question::Status, |ctx, to, found| {
        let ends = found.statuses.iter().map(|(_, status)| status.visible);
        let end: u64 = ends.sum();
        let status = HaStatus {
            master: true,
            master_commit_log_max_offset: i64::try_from(end).unwrap_or(i64::MAX),
            ..HaStatus::default()
        };
        ctx.answer_body(to, &status.to_json());
        Ok(())
    })
}

/// What is asked of each group in turn.
struct Tour {
    /// Groups that are left, last first, with the topics that they have offsets in.
    left: Vec<(Box<str>, Vec<Arc<Topic>>)>,
    body: BrokerConsumeStats,
    in_flight: i64,
    rows: usize,
}

/// GET_BROKER_CONSUME_STATS: how far every group is in every topic that it has an offset in, and
/// consumes if it is online; in ordered topics only when asked so.
pub fn consume_stats<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let is_order = BrokerConsumeStatsQuery::decode(&request.header.ext).is_order;
    let question = Question::Pairs {
        group: None,
        topic: None,
    };
    ctx.gather(&request.to, Asked::All, question, move |ctx, to, found| {
        let tour = Tour {
            left: groups(ctx, &found, is_order),
            body: BrokerConsumeStats {
                broker_addr: ctx.broker.settings.store_host.to_string(),
                ..BrokerConsumeStats::default()
            },
            in_flight: 0,
            rows: 0,
        };
        next_group(ctx, to, tour)
    })
}

/// All groups, those without offsets too, sorted from the last to the first.
fn groups<I: Io>(
    ctx: &Context<'_, I>,
    found: &Found,
    is_order: bool,
) -> Vec<(Box<str>, Vec<Arc<Topic>>)> {
    let tables = &ctx.broker.tables;
    let topics: BTreeMap<TopicId, &Arc<Topic>> = tables
        .topics
        .iter()
        .map(|(_, topic)| (topic.id, topic))
        .collect();
    let mut groups: BTreeMap<&str, Vec<Arc<Topic>>> = BTreeMap::new();
    for (name, _) in tables.groups.iter() {
        groups.entry(name).or_default();
    }
    let pairs: BTreeSet<_> = found.offsets.iter().map(|r| (&*r.group, r.topic)).collect();
    for (group, topic) in pairs {
        if let (Some(list), Some(&topic)) = (groups.get_mut(group), topics.get(&topic))
            && (topic.config.order || !is_order)
            && is_subscribed(ctx, group, &topic.config.topic_name)
        {
            list.push(Arc::clone(topic));
        }
    }
    let groups = groups.into_iter().rev();
    groups.map(|(name, topics)| (name.into(), topics)).collect()
}

/// One gather after the other, each of one group.
fn next_group<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, mut tour: Tour) -> Handled {
    while let Some((group, topics)) = tour.left.pop() {
        if topics.is_empty() {
            tour.add(&group, Vec::new());
            continue;
        }
        let question = Question::Queues {
            topics: topics.clone(),
            group: Some(group.clone()),
            times: Times {
                consumed: true,
                ..Times::default()
            },
        };
        return ctx.gather(to, Asked::All, question, move |ctx, to, found| {
            let stats = stats_by_topic(ctx, &group, &topics, &found);
            tour.rows += found.queues.len();
            if tour.rows > GATHER_ROWS_MAX {
                let remark = "too many groups and queues for one answer: ask for single groups";
                return Err(Refusal::new(response::SYSTEM_ERROR, remark));
            }
            tour.add(&group, stats);
            next_group(ctx, to, tour)
        });
    }
    tour.body.total_inflight_diff = Some(tour.in_flight);
    answer(ctx, to, &tour.body.to_json(), Bare::Objects)
}

/// The queues of each topic that can be written to, as Apache's broker walks them.
fn stats_by_topic<I: Io>(
    ctx: &Context<'_, I>,
    group: &str,
    topics: &[Arc<Topic>],
    found: &Found,
) -> Vec<ConsumeStats> {
    let mut all = consume_offsets(ctx, topics, found);
    let stats = topics.iter().map(|topic| {
        let name = &topic.config.topic_name;
        let writable = i64::from(topic.config.write_queue_nums);
        let mine = |queue: &ringmq_protocol::command::MessageQueue| queue.topic == *name;
        let mut offset_table: BTreeMap<_, ConsumeOffset> = BTreeMap::new();
        all.retain(|queue, offset| {
            if mine(queue) && i64::from(queue.queue_id) < writable {
                offset_table.insert(queue.clone(), *offset);
            }
            !mine(queue)
        });
        ConsumeStats {
            consume_tps: ctx.front.rates.per_second(name, Some(group)),
            offset_table,
        }
    });
    stats.collect()
}

impl Tour {
    fn add(&mut self, group: &str, stats: Vec<ConsumeStats>) {
        for offset in stats.iter().flat_map(|stats| stats.offset_table.values()) {
            self.body.total_diff += offset.broker_offset - offset.consumer_offset;
            let pulled = offset.pull_offset.unwrap_or(offset.consumer_offset);
            self.in_flight += pulled - offset.consumer_offset;
        }
        let entry = BTreeMap::from([(group.to_owned(), stats)]);
        self.body.consume_stats_list.push(entry);
    }
}

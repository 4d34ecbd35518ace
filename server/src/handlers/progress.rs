//! How far topics and groups are: offsets of a topic's queues (202), a group's progress (208) and
//! times (303), who consumes what (300, 343), offsets of all groups (43, 308). Gathered from the
//! shards that own the queues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringmq_engine::TopicId;
use ringmq_protocol::code::response;
use ringmq_protocol::command::MessageQueue;
use ringmq_protocol::command::offset::{AllConsumerOffsets, CorrectionOffsets, CorrectionQuery};
use ringmq_protocol::command::stats::{
    ConsumeOffset, ConsumeStats, ConsumeTimeSpans, GetConsumeStats, GroupList, QueueTimeSpan,
    TimeSpanQuery, TopicOffset, TopicStats,
};
use ringmq_protocol::command::topic::{GroupName, TopicName};
use ringmq_ring::Io;

use crate::broker::Topic;
use crate::context::{Context, Handled, Request};
use crate::fastjson::{Bare, relaxed};
use crate::gather::{Asked, Found, GroupOffset, Question, QueueFigures, Times};
use crate::reply::{Refusal, ReplyTo};

/// GET_TOPIC_STATS_INFO.
pub fn topic_stats<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = TopicName::decode(&request.header.ext);
    let topic = topic(ctx, &asked.topic)?;
    let question = Question::Queues {
        topics: vec![Arc::clone(&topic)],
        group: None,
        times: Times {
            last: true,
            ..Times::default()
        },
    };
    ctx.gather(&request.to, Asked::All, question, move |ctx, to, found| {
        let offsets = found.queues.iter().map(|queue| {
            let offset = TopicOffset {
                last_update_timestamp: queue.last_ms,
                max_offset: queue.max as i64,
                min_offset: queue.min as i64,
            };
            (queue_of(ctx, &topic, queue), offset)
        });
        let stats = TopicStats {
            offset_table: offsets.collect(),
            topic_put_tps: Some(ctx.front.rates.per_second(&topic.config.topic_name, None)),
        };
        answer(ctx, to, &stats.to_json(), Bare::Objects)
    })
}

/// The topic of a question, which must exist.
pub fn topic<I: Io>(ctx: &Context<'_, I>, name: &str) -> Result<Arc<Topic>, Refusal> {
    let topic = ctx.broker.tables.topics.get(name).cloned();
    topic.ok_or_else(|| {
        let remark = format!("topic[{name}] not exist");
        Refusal::new(response::TOPIC_NOT_EXIST, remark)
    })
}

/// A row's queue as bodies name it.
fn queue_of<I: Io>(ctx: &Context<'_, I>, topic: &Topic, figures: &QueueFigures) -> MessageQueue {
    queue(ctx, topic, figures.queue_id)
}

/// A queue of this broker as bodies name it.
pub fn queue<I: Io>(ctx: &Context<'_, I>, topic: &Topic, queue_id: u32) -> MessageQueue {
    MessageQueue {
        broker_name: ctx.broker.settings.broker_name.clone(),
        queue_id: queue_id as i32,
        topic: topic.config.topic_name.clone(),
    }
}

/// Answers with strict JSON in fastjson's form.
pub fn answer<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, json: &[u8], bare: Bare) -> Handled {
    ctx.answer_body(to, &relaxed(json, bare));
    Ok(())
}

/// GET_CONSUME_STATS. Without a topic: every topic that the group has an offset in, but for those
/// that it does not subscribe to (any more) while it is online.
pub fn consume_stats<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = GetConsumeStats::decode(&request.header.ext);
    let group: Box<str> = (*asked.consumer_group).into();
    let listed = request.header.ext.get("topicList");
    let listed = listed.map(|text| text.to_cow().into_owned());
    let listed: Vec<&str> = listed.iter().flat_map(|list| list.split(';')).collect();
    let listed = listed.into_iter().map(str::trim).filter(|n| !n.is_empty());
    let listed: BTreeSet<&str> = listed.collect();
    let topic = asked.topic.as_deref().map(str::trim).unwrap_or_default();
    if !listed.is_empty() {
        return stats_of(ctx, &request.to, &group, listed);
    }
    if !topic.is_empty() {
        let topics = [topic].into_iter();
        let topics = topics.filter(|topic| is_subscribed(ctx, &group, topic));
        let topics: BTreeSet<&str> = topics.collect();
        return stats_of(ctx, &request.to, &group, topics);
    }
    topics_of(ctx, &request.to, group, |ctx, to, group, topics| {
        let topics = topics.iter().map(|topic| &*topic.config.topic_name);
        let topics = topics.filter(|topic| is_subscribed(ctx, group, topic));
        let topics: BTreeSet<&str> = topics.collect();
        stats_of(ctx, to, group, topics)
    })
}

/// Whether a topic counts for a group: whatever it has an offset in while it is offline, what it
/// subscribes to while it is online.
pub fn is_subscribed<I: Io>(ctx: &Context<'_, I>, group: &str, topic: &str) -> bool {
    let view = ctx.broker.tables.groups.get(group);
    view.is_none_or(|view| view.subscriptions.is_empty() || view.subscriptions.contains_key(topic))
}

/// Finds the topics that a group has an offset in, sorted by name.
pub fn topics_of<I: Io>(
    ctx: &mut Context<'_, I>,
    to: &ReplyTo,
    group: Box<str>,
    then: impl FnOnce(&mut Context<'_, I>, &ReplyTo, &str, Vec<Arc<Topic>>) -> Handled + Send + 'static,
) -> Handled {
    let question = Question::Pairs {
        group: Some(group.clone()),
        topic: None,
    };
    ctx.gather(to, Asked::All, question, move |ctx, to, found| {
        let ids: BTreeSet<_> = found.offsets.iter().map(|row| row.topic).collect();
        let all = ctx.broker.tables.topics.iter();
        let mut topics: Vec<_> = all
            .filter(|(_, topic)| ids.contains(&topic.id))
            .map(|(_, topic)| Arc::clone(topic))
            .collect();
        topics.sort_by(|a, b| a.config.topic_name.cmp(&b.config.topic_name));
        then(ctx, to, &group, topics)
    })
}

fn stats_of<I: Io>(
    ctx: &mut Context<'_, I>,
    to: &ReplyTo,
    group: &str,
    topics: BTreeSet<&str>,
) -> Handled {
    let table = &ctx.broker.tables.topics;
    let topics = topics.into_iter().filter_map(|name| table.get(name));
    let topics: Vec<Arc<Topic>> = topics.cloned().collect();
    let question = Question::Queues {
        topics: topics.clone(),
        group: Some(group.into()),
        times: Times {
            consumed: true,
            ..Times::default()
        },
    };
    let group: Box<str> = group.into();
    ctx.gather(to, Asked::All, question, move |ctx, to, found| {
        let rates = topics
            .iter()
            .map(|topic| &*topic.config.topic_name)
            .map(|topic| ctx.front.rates.per_second(topic, Some(&group)));
        let stats = ConsumeStats {
            consume_tps: rates.sum(),
            offset_table: consume_offsets(ctx, &topics, &found),
        };
        answer(ctx, to, &stats.to_json(), Bare::Objects)
    })
}

/// Where a group is in each queue that it can read.
pub fn consume_offsets<I: Io>(
    ctx: &Context<'_, I>,
    topics: &[Arc<Topic>],
    found: &Found,
) -> BTreeMap<MessageQueue, ConsumeOffset> {
    let rows = found.queues.iter().filter_map(|row| {
        let topic = topics.get(row.topic as usize)?;
        let is_read = row.queue_id < topic.config.read_queue_nums;
        let committed = row.committed.unwrap_or(0) as i64;
        let pulled = row.pulled.map_or(committed, |pulled| pulled as i64);
        let offset = ConsumeOffset {
            broker_offset: row.max as i64,
            consumer_offset: committed,
            last_timestamp: row.consumed_ms,
            pull_offset: Some(pulled.max(committed)),
        };
        is_read.then(|| (queue_of(ctx, topic, row), offset))
    });
    rows.collect()
}

/// QUERY_TOPIC_CONSUME_BY_WHO: groups that subscribe to it now, and groups with an offset in it.
pub fn groups_of_topic<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let name = TopicName::decode(&request.header.ext).topic.into_owned();
    let topic = ctx.broker.tables.topics.get(&name).map(|topic| topic.id);
    let subscribed = move |ctx: &Context<'_, I>| {
        let home = ctx.broker.home.as_ref();
        let groups = home.into_iter().flat_map(|h| h.registry.consumer_groups());
        let groups = groups.filter(|(_, group)| group.subscriptions().contains_key(&*name));
        groups
            .map(|(name, _)| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    let Some(topic) = topic else {
        let groups = subscribed(ctx);
        return answer_groups(ctx, &request.to, groups);
    };
    let question = Question::Pairs {
        group: None,
        topic: Some(topic),
    };
    ctx.gather(&request.to, Asked::All, question, move |ctx, to, found| {
        let mut groups = subscribed(ctx);
        groups.extend(found.offsets.iter().map(|row| row.group.to_string()));
        answer_groups(ctx, to, groups)
    })
}

fn answer_groups<I: Io>(
    ctx: &mut Context<'_, I>,
    to: &ReplyTo,
    groups: BTreeSet<String>,
) -> Handled {
    let group_list = groups.into_iter().collect();
    ctx.answer_body(to, &GroupList { group_list }.to_json());
    Ok(())
}

/// QUERY_TOPICS_BY_CONSUMER: topics that a group has an offset in.
pub fn topics_of_group<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let group = GroupName::decode(&request.header.ext).group;
    topics_of(ctx, &request.to, (*group).into(), |ctx, to, _, topics| {
        let names = topics.iter().map(|topic| &topic.config.topic_name);
        let body = serde_json::json!({
            "brokerAddr": ctx.broker.settings.store_host.to_string(),
            "topicList": names.collect::<Vec<_>>(),
        });
        ctx.answer_body(to, body.to_string().as_bytes());
        Ok(())
    })
}

/// QUERY_CONSUME_TIME_SPAN: when the messages were stored that a group stands at.
pub fn time_spans<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = TimeSpanQuery::decode(&request.header.ext);
    let topic = topic(ctx, &asked.topic)?;
    let question = Question::Queues {
        topics: vec![Arc::clone(&topic)],
        group: Some((*asked.group).into()),
        times: Times {
            first: true,
            last: true,
            consumed: true,
            next: true,
        },
    };
    ctx.gather(&request.to, Asked::All, question, move |ctx, to, found| {
        let now_ms = ctx.front.now.wall_ms;
        let rows = found.queues.iter();
        let rows = rows.filter(|row| row.queue_id < topic.config.write_queue_nums);
        let spans = rows.map(|row| QueueTimeSpan {
            message_queue: queue_of(ctx, &topic, row),
            ..time_span(row, now_ms)
        });
        let body = ConsumeTimeSpans {
            consume_time_span_set: spans.collect(),
        };
        ctx.answer_body(to, &body.to_json());
        Ok(())
    })
}

/// Times of a queue without messages are -1, as Apache's store gives them.
fn time_span(row: &QueueFigures, now_ms: i64) -> QueueTimeSpan {
    let is_empty = row.min == row.max;
    let known = |store_ms| if is_empty { -1 } else { store_ms };
    let committed = row.committed.unwrap_or(0);
    let is_behind = committed < row.max && row.next_ms > 0;
    QueueTimeSpan {
        consume_time_stamp: if committed > row.min {
            row.consumed_ms
        } else {
            known(row.first_ms)
        },
        delay_time: if is_behind { now_ms - row.next_ms } else { 0 },
        max_time_stamp: known(row.last_ms),
        min_time_stamp: known(row.first_ms),
        ..QueueTimeSpan::default()
    }
}

/// GET_ALL_CONSUMER_OFFSET: what every group has committed.
pub fn all_offsets<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let question = Question::Offsets {
        group: None,
        topic: None,
    };
    ctx.gather(&request.to, Asked::All, question, |ctx, to, found| {
        let topics = ctx.broker.tables.topics.iter();
        let names: BTreeMap<TopicId, &str> =
            topics.map(|(name, topic)| (topic.id, &**name)).collect();
        let mut table = AllConsumerOffsets::default();
        for row in &found.offsets {
            if let Some(topic) = names.get(&row.topic) {
                let key = format!("{topic}@{}", row.group);
                let queues = table.offset_table.entry(key).or_default();
                queues.insert(row.queue_id as i32, row.offset as i64);
            }
        }
        answer(ctx, to, &table.to_json(), Bare::ObjectsAndNumbers)
    })
}

/// GET_ALL_DELAY_OFFSET: how far the delay levels are. There are none yet, so none has moved.
pub fn delay_offsets<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    ctx.answer_body(&request.to, br#"{"offsetTable":{}}"#);
    Ok(())
}

/// QUERY_CORRECTION_OFFSET: in each queue the lowest offset that any group has committed, without
/// those below what is kept; the largest number where the group to compare with is behind it.
pub fn correction_offsets<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = CorrectionQuery::decode(&request.header.ext);
    let left_out = asked.filter_groups.unwrap_or_default();
    let left_out: BTreeSet<String> = left_out.split(',').map(str::to_owned).collect();
    let group: Box<str> = (*asked.compare_group).into();
    let Some(topic) = ctx.broker.tables.topics.get(&asked.topic).cloned() else {
        let body = CorrectionOffsets::default();
        ctx.answer_body(&request.to, &body.to_json());
        return Ok(());
    };
    let question = Question::Offsets {
        group: None,
        topic: Some(topic.id),
    };
    ctx.gather(
        &request.to,
        Asked::All,
        question,
        move |ctx, to, offsets| {
            let question = Question::Queues {
                topics: vec![topic],
                group: Some(group),
                times: Times::default(),
            };
            ctx.gather(to, Asked::All, question, move |ctx, to, figures| {
                let rows = offsets.offsets.iter();
                let rows = rows.filter(|row| !left_out.contains(&*row.group));
                let body = corrections(rows, &figures.queues);
                answer(ctx, to, &body.to_json(), Bare::ObjectsAndNumbers)
            })
        },
    )
}

fn corrections<'r>(
    offsets: impl Iterator<Item = &'r GroupOffset>,
    queues: &[QueueFigures],
) -> CorrectionOffsets {
    let queues: BTreeMap<u32, &QueueFigures> =
        queues.iter().map(|row| (row.queue_id, row)).collect();
    let mut lowest = BTreeMap::new();
    for row in offsets {
        if queues
            .get(&row.queue_id)
            .is_some_and(|queue| row.offset >= queue.min)
        {
            let lowest = lowest.entry(row.queue_id).or_insert(row.offset);
            *lowest = (*lowest).min(row.offset);
        }
    }
    let corrected = lowest.into_iter().map(|(queue_id, lowest)| {
        let compared = queues.get(&queue_id).and_then(|queue| queue.committed);
        let is_behind = compared.is_some_and(|compared| compared < lowest);
        let offset = if is_behind { i64::MAX } else { lowest as i64 };
        (queue_id as i32, offset)
    });
    CorrectionOffsets {
        correction_offsets: corrected.collect(),
    }
}

//! Where groups go on, changed by an administrator: set to a time or an offset (222), copied from
//! another group (314).

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmq_protocol::code::{request as code, response};
use ringmq_protocol::command::MessageQueue;
use ringmq_protocol::command::offset::{CloneGroupOffset, OffsetTable, ResetOffset};
use ringmq_protocol::header::Language;
use ringmq_ring::Io;

use crate::broker::Topic;
use crate::connection::ConnectionId;
use crate::context::{Context, Handled, Request};
use crate::gather::{Asked, Question, Reset, ResetMode, ResetTarget};
use crate::handlers::progress;
use crate::reply::{self, Refusal, ReplyTo};

/// INVOKE_BROKER_TO_RESET_OFFSET. The broker sets the offsets and tells the group with its next pulls
/// (`useServerSideResetOffset`, the default since 5.0); or the online members are told to do it.
pub fn reset<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = ResetOffset::decode(&request.header.ext);
    let Some(topic) = ctx.broker.tables.topics.get(&asked.topic).cloned() else {
        let remark = format!("Topic {} does not exist", asked.topic);
        let is_v5 = request.to.is_v5();
        let code = if is_v5 {
            response::TOPIC_NOT_EXIST
        } else {
            response::SYSTEM_ERROR
        };
        return Err(Refusal::new(code, remark));
    };
    if ctx.broker.settings.server_side_reset {
        by_broker(ctx, request, &asked, topic)
    } else {
        by_clients(ctx, request, &asked, topic)
    }
}

fn by_broker<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    asked: &ResetOffset<'_>,
    topic: Arc<Topic>,
) -> Handled {
    let group = &*asked.group;
    if ctx.broker.tables.groups.get(group).is_none() {
        let remark = format!("Group {group} does not exist");
        return Err(Refusal::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    }
    let queue_id = asked.queue_id.and_then(|id| u32::try_from(id).ok());
    if let Some(id) = queue_id.filter(|&id| id >= topic.config.queues()) {
        let remark = format!("queue {id} does not exist in topic {}", asked.topic);
        return Err(Refusal::parameter(&request.to, remark));
    }
    let offset = asked.offset.filter(|&offset| offset != -1);
    let target = match (queue_id, offset) {
        (Some(_), Some(offset)) => {
            let offset = u64::try_from(offset).map_err(|_| {
                let remark = format!("offset must not be negative, it is {offset}");
                Refusal::parameter(&request.to, remark)
            })?;
            ResetTarget::Offset(offset)
        }
        _ => by_time(asked.timestamp),
    };
    let queues = match queue_id {
        Some(id) => (id, id + 1),
        None => (0, topic.config.read_queue_nums),
    };
    let question = Question::Reset(Reset {
        topic: Arc::clone(&topic),
        group: group.into(),
        queues,
        target,
        mode: ResetMode::Broker,
    });
    ctx.gather(&request.to, Asked::All, question, move |ctx, to, found| {
        let table = table(ctx, &topic, &found.resets);
        ctx.answer_body(to, &table.to_fastjson());
        Ok(())
    })
}

fn by_time(timestamp: i64) -> ResetTarget {
    if timestamp < 0 {
        ResetTarget::End
    } else {
        ResetTarget::Time(timestamp)
    }
}

fn table<I: Io>(ctx: &Context<'_, I>, topic: &Topic, resets: &[(u32, u64)]) -> OffsetTable {
    let rows = resets.iter().map(|&(queue_id, offset)| {
        let queue = progress::queue(ctx, topic, queue_id);
        (queue, offset as i64)
    });
    let offset_table: BTreeMap<MessageQueue, i64> = rows.collect();
    OffsetTable { offset_table }
}

fn by_clients<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    asked: &ResetOffset<'_>,
    topic: Arc<Topic>,
) -> Handled {
    let group = asked.group.clone().into_owned();
    let (timestamp, is_forced) = (asked.timestamp, asked.is_force);
    let is_cpp = request.header.language == Language::Cpp;
    let question = Question::Reset(Reset {
        queues: (0, topic.config.write_queue_nums),
        topic: Arc::clone(&topic),
        group: group.as_str().into(),
        target: by_time(timestamp),
        mode: ResetMode::Clients { is_forced },
    });
    ctx.gather(&request.to, Asked::All, question, move |ctx, to, found| {
        let table = table(ctx, &topic, &found.resets);
        let body = if is_cpp {
            list_for_cpp(&table)
        } else {
            table.to_fastjson()
        };
        let name = &topic.config.topic_name;
        tell_members(ctx, &group, name, timestamp, &body)?;
        ctx.answer_body(to, &table.to_fastjson());
        Ok(())
    })
}

/// The form that an administrator who uses the C++ client wants its group to get
/// (`ResetOffsetBodyForC`).
fn list_for_cpp(table: &OffsetTable) -> Vec<u8> {
    let rows = table.offset_table.iter().map(|(queue, offset)| {
        serde_json::json!({
            "brokerName": queue.broker_name,
            "offset": offset,
            "queueId": queue.queue_id,
            "topic": queue.topic,
        })
    });
    let rows: Vec<_> = rows.collect();
    let body = serde_json::json!({ "offsetTable": rows });
    body.to_string().into_bytes()
}

/// RESET_CONSUMER_CLIENT_OFFSET to every member.
fn tell_members<I: Io>(
    ctx: &mut Context<'_, I>,
    group: &str,
    topic: &str,
    timestamp: i64,
    body: &[u8],
) -> Handled {
    let home = ctx.broker.home.as_ref();
    let online = home.and_then(|home| home.registry.consumer_group(group));
    let members = online.into_iter().flat_map(|online| online.members());
    let members: Vec<_> = members
        .map(|(id, _)| ConnectionId::from_u64(id.0))
        .collect();
    if members.is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {timestamp}"
        );
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    }
    let code = code::RESET_CONSUMER_CLIENT_OFFSET;
    for connection in members {
        ctx.front.push(connection, |out| {
            reply::oneway(out, code, 0, body, |ext| {
                ext.put("topic", topic);
                ext.put("group", group);
                ext.put("timestamp", timestamp);
                ext.put("isForce", false);
                ext.put("queueId", -1);
            });
        });
    }
    Ok(())
}

/// CLONE_GROUP_OFFSET: of one topic, or of all that the group has an offset in. While the group is
/// online, topics that it does not subscribe to are left out unless `offline` is set.
pub fn clone<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = CloneGroupOffset::decode(&request.header.ext);
    let (from, to) = (asked.source_group, asked.target_group.into_owned());
    let is_offline = asked.offline;
    let name = asked.topic.as_deref().map(str::trim).unwrap_or_default();
    if !name.is_empty() {
        let topic = ctx.broker.tables.topics.get(name).cloned();
        let topics = topic.into_iter().collect();
        return clone_topics(ctx, &request.to, &from, to, topics, is_offline);
    }
    let from: Box<str> = (*from).into();
    progress::topics_of(ctx, &request.to, from, move |ctx, reply, from, topics| {
        clone_topics(ctx, reply, from, to, topics, is_offline)
    })
}

fn clone_topics<I: Io>(
    ctx: &mut Context<'_, I>,
    reply: &ReplyTo,
    from: &str,
    to: String,
    mut topics: Vec<Arc<Topic>>,
    is_offline: bool,
) -> Handled {
    topics
        .retain(|topic| is_offline || progress::is_subscribed(ctx, from, &topic.config.topic_name));
    let question = Question::Clone {
        topics,
        from: from.into(),
        to: to.into(),
    };
    ctx.gather(reply, Asked::All, question, |ctx, to, _| {
        ctx.answer_code(to, response::SUCCESS, None);
        Ok(())
    })
}

//! Offsets of queues and groups: 14, 15, 29 to 32, on the shard of the queue.

use std::sync::Arc;

use ringmq_engine::{Boundary, OffsetOutcome, Offsets, QueueNumber};
use ringmq_protocol::code::response;
use ringmq_protocol::command::offset::{
    GetMaxOffset, QueryConsumerOffset, QueueQuery, SearchOffset, TimestampResponse,
    UpdateConsumerOffset,
};
use ringmq_ring::Io;

use crate::broker::Topic;
use crate::context::{Context, Handled, Request};
use crate::reply::{Refusal, ReplyTo};
use crate::shard::Waiter;

/// A queue as the six requests name it.
struct Named {
    queue_id: u32,
    /// The topic, if it exists and has such a queue.
    topic: Option<Arc<Topic>>,
}

/// The queue of a request; `None` when the request is on its way to the shard that owns it.
fn named<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    topic_name: &str,
    queue_id: i32,
) -> Option<Named> {
    let topic = ctx.broker.tables.topics.get(topic_name).cloned();
    let queue_id = u32::try_from(queue_id).ok();
    let topic = topic.filter(|t| queue_id.is_some_and(|id| id < t.config.queues()));
    let queue_id = queue_id.unwrap_or(0);
    if topic.is_some() && !ctx.owns(topic_name, queue_id, request) {
        return None;
    }
    Some(Named { queue_id, topic })
}

/// The engine's number of a queue that has one.
fn number<I: Io>(ctx: &Context<'_, I>, named: &Named) -> Option<QueueNumber> {
    let topic = named.topic.as_ref()?;
    ctx.broker.engine.queue(topic.id, named.queue_id)
}

/// The visible offsets of a queue; both 0 when there is none.
fn offsets<I: Io>(ctx: &Context<'_, I>, named: &Named) -> Offsets {
    let queue = number(ctx, named);
    queue
        .map(|queue| ctx.broker.engine.offsets(queue))
        .unwrap_or_default()
}

/// QUERY_CONSUMER_OFFSET. A group without an offset begins at 0 on a queue that still has its first
/// message, whatever its client would have preferred (broker page 4).
pub fn query<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = QueryConsumerOffset::decode(&request.header.ext);
    let Some(named) = named(ctx, request, &asked.topic, asked.queue_id) else {
        return Ok(());
    };
    let queue = number(ctx, &named);
    let group = &asked.consumer_group;
    if let Some(offset) = queue.and_then(|q| ctx.broker.engine.committed_offset(group, q)) {
        answer_offset(ctx, &request.to, offset);
        return Ok(());
    }
    let is_v5 = request.to.is_v5();
    if is_v5 && asked.zero_if_not_found == Some(false) {
        return Err(Refusal::new(
            response::QUERY_NOT_FOUND,
            "Not found, do not set to zero, maybe this group boot first",
        ));
    }
    let Offsets { min, max } = offsets(ctx, &named);
    if min == 0 && (max > 0 || !is_v5) {
        answer_offset(ctx, &request.to, 0);
        return Ok(());
    }
    Err(Refusal::new(
        response::QUERY_NOT_FOUND,
        "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first",
    ))
}

/// UPDATE_CONSUMER_OFFSET. Clients of 4.9 get 0 for unknown groups and topics too; nothing is kept
/// for those.
pub fn update<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = UpdateConsumerOffset::decode(&request.header.ext);
    let Some(named) = named(ctx, request, &asked.topic, asked.queue_id) else {
        return Ok(());
    };
    let group = &asked.consumer_group;
    let is_known = ctx.broker.tables.groups.get(group).is_some();
    if request.to.is_v5() {
        check_known(ctx, &asked, is_known)?;
    }
    let offset = u64::try_from(asked.commit_offset).ok();
    if let (true, Some(topic), Some(offset)) = (is_known, &named.topic, offset) {
        let queue = ctx
            .broker
            .queue(topic, named.queue_id)
            .map_err(Refusal::engine)?;
        if ctx.broker.progress.is_reset(queue, group) {
            let remark = "Offset has been previously reset";
            ctx.answer_code(&request.to, response::SUCCESS, Some(remark));
            return Ok(());
        }
        ctx.broker.engine.commit_offset(group, queue, offset);
    }
    ctx.answer_code(&request.to, response::SUCCESS, None);
    Ok(())
}

fn check_known<I: Io>(
    ctx: &Context<'_, I>,
    asked: &UpdateConsumerOffset<'_>,
    is_group_known: bool,
) -> Handled {
    if !is_group_known {
        let remark = format!("Group {} not exist!", asked.consumer_group);
        return Err(Refusal::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    }
    if ctx.broker.tables.topics.get(&asked.topic).is_none() {
        let remark = format!("Topic {} not exist!", asked.topic);
        return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
    }
    Ok(())
}

/// GET_MAX_OFFSET: what may be shown, never more.
pub fn max<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = GetMaxOffset::decode(&request.header.ext);
    if let Some(named) = named(ctx, request, &asked.topic, asked.queue_id) {
        let offset = offsets(ctx, &named).max;
        answer_offset(ctx, &request.to, offset);
    }
    Ok(())
}

/// GET_MIN_OFFSET.
pub fn min<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = QueueQuery::decode(&request.header.ext);
    if let Some(named) = named(ctx, request, &asked.topic, asked.queue_id) {
        let offset = offsets(ctx, &named).min;
        answer_offset(ctx, &request.to, offset);
    }
    Ok(())
}

/// GET_EARLIEST_MSG_STORETIME.
pub fn earliest_time<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = QueueQuery::decode(&request.header.ext);
    let Some(named) = named(ctx, request, &asked.topic, asked.queue_id) else {
        return Ok(());
    };
    let queue = number(ctx, &named);
    let time = queue.and_then(|queue| ctx.broker.engine.earliest_store_time(queue));
    let response = TimestampResponse {
        timestamp: time.unwrap_or(-1),
    };
    let to = &request.to;
    ctx.front.answer(to, |out| {
        to.whole(out, response::SUCCESS, None, &[], |ext| response.put(ext));
    });
    Ok(())
}

/// SEARCH_OFFSET_BY_TIMESTAMP, with the meaning it has since 5.0.
pub fn search<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = SearchOffset::decode(&request.header.ext);
    let Some(named) = named(ctx, request, &asked.topic, asked.queue_id) else {
        return Ok(());
    };
    let boundary = if asked.is_upper() {
        Boundary::Upper
    } else {
        Boundary::Lower
    };
    let Some(queue) = number(ctx, &named) else {
        answer_offset(ctx, &request.to, 0);
        return Ok(());
    };
    let ticket = ctx.broker.waiters.insert(Waiter::OffsetByTime(request.to));
    let engine = &mut ctx.broker.engine;
    let found = engine.offset_by_time(ctx.io, queue, asked.timestamp, boundary, ticket);
    if let OffsetOutcome::Ready(offset) = found {
        ctx.broker.waiters.take(ticket);
        answer_offset(ctx, &request.to, offset);
    }
    Ok(())
}

/// Answers with an offset.
pub fn answer_offset<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, offset: u64) {
    ctx.front.answer(to, |out| {
        to.whole(out, response::SUCCESS, None, &[], |ext| {
            ext.put("offset", offset)
        });
    });
}

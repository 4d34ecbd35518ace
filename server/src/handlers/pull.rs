//! Pulling: 11 and 361, on the shard of the queue. When nothing is there the engine holds the pull
//! and answers it in the turn that makes the next record visible.

use std::sync::Arc;

use ringmq_engine::{Offsets, PullOutcome, PullRequest, PullResult, PullStatus, TagFilter};
use ringmq_protocol::code::response;
use ringmq_protocol::command::pull::{self, sys_flag};
use ringmq_ring::Io;

use crate::broker::heartbeat::MessageModel;
use crate::broker::{GroupView, Subscription, TagExpression, Topic};
use crate::context::{Context, Handled, Request};
use crate::handlers::send;
use crate::limits;
use crate::metrics::Pulled;
use crate::reply::{Refusal, ReplyTo};
use crate::shard::{PullWaiter, Waiter, tag_filter};

/// How long a pull is held when long polling is off (`shortPollingTimeMills`).
const SHORT_HOLD_MS: u64 = 1000;

/// PULL_MESSAGE, LITE_PULL_MESSAGE.
pub fn pull<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let wanted = pull::PullRequest::decode(&request.header.ext);
    if let Err(refusal) = check_and_pull(ctx, request, &wanted) {
        let Refusal { code, remark } = &refusal;
        ctx.front.refused(&request.to, *code, remark);
        ctx.front.answer(&request.to, |out| {
            let to = &request.to;
            to.whole(out, refusal.code, Some(&refusal.remark), &[], |ext| {
                ext.open()
            });
        });
    }
    Ok(())
}

fn check_and_pull<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    wanted: &pull::PullRequest<'_>,
) -> Handled {
    if !ctx.broker.settings.is_readable {
        return Err(forbidden("the broker does not permit reading"));
    }
    let Some(group) = ctx
        .broker
        .tables
        .groups
        .get(&wanted.consumer_group)
        .cloned()
    else {
        return send::create_group(ctx, request, &wanted.consumer_group);
    };
    if !group.config.consume_enable {
        let group = &wanted.consumer_group;
        return Err(forbidden(&format!(
            "subscription group no permission, {group}"
        )));
    }
    let Some(topic) = ctx.broker.tables.topics.get(&wanted.topic).cloned() else {
        return Err(Refusal::new(
            response::TOPIC_NOT_EXIST,
            unknown_topic(&wanted.topic),
        ));
    };
    let queue_id = check_topic(&request.to, wanted, &topic)?;
    let filter = filter(wanted, &group)?;
    if ctx.owns(&topic.config.topic_name, queue_id, request) {
        read(ctx, request, wanted, &topic, queue_id, filter)?;
    }
    Ok(())
}

fn check_topic(
    to: &ReplyTo,
    wanted: &pull::PullRequest<'_>,
    topic: &Topic,
) -> Result<u32, Refusal> {
    let config = &topic.config;
    if !config.perm.is_readable() {
        let topic = &wanted.topic;
        return Err(forbidden(&format!(
            "the topic[{topic}] pulling message is forbidden"
        )));
    }
    let queue_id = u32::try_from(wanted.queue_id).ok();
    queue_id
        .filter(|&id| id < config.read_queue_nums)
        .ok_or_else(|| {
            let remark = format!(
                "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
                wanted.queue_id, wanted.topic, config.read_queue_nums, to.origin.peer
            );
            Refusal::parameter(to, remark)
        })
}

/// Which records the consumer wants: as the request says, or as its group has registered.
fn filter(wanted: &pull::PullRequest<'_>, group: &GroupView) -> Result<TagFilter, Refusal> {
    if wanted.has(sys_flag::SUBSCRIPTION) {
        let kind = wanted.expression_type.as_deref().unwrap_or_default();
        let expression = wanted.subscription.as_deref();
        if !is_tag(kind) {
            return Err(match expression {
                None | Some("") => not_parsed(),
                Some(_) => unsupported_filter(kind),
            });
        }
        let tags = TagExpression::parse(expression).map_err(|_| not_parsed())?;
        return Ok(tag_filter(&tags));
    }
    let subscription = registered(wanted, group)?;
    if !is_tag(&subscription.expression_type) {
        return Err(unsupported_filter(&subscription.expression_type));
    }
    // The client has a newer subscription than its group has registered. Clients of 5.x raise the
    // version at each rebalance and now and then miss to send it for half a minute; Apache's broker
    // answers 25 all that time. Everything is a superset of whatever the newer one wants, and every
    // client compares the tags itself, because hash codes are not unique.
    if subscription.version < wanted.subscription_version {
        return Ok(TagFilter::All);
    }
    Ok(tag_filter(&subscription.tags))
}

fn registered<'g>(
    wanted: &pull::PullRequest<'_>,
    group: &'g GroupView,
) -> Result<&'g Arc<Subscription>, Refusal> {
    let missing = |what: &str| {
        let remark = format!(
            "the consumer's {what} not exist\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
        );
        Refusal::new(response::SUBSCRIPTION_NOT_EXIST, remark)
    };
    if !group.is_online {
        return Err(missing("group info"));
    }
    let is_broadcast = group.message_model == MessageModel::Broadcasting;
    if is_broadcast && !group.config.consume_broadcast_enable {
        let group = &wanted.consumer_group;
        return Err(forbidden(&format!(
            "the consumer group[{group}] can not consume by broadcast way"
        )));
    }
    let subscription = group.subscriptions.get(&*wanted.topic);
    subscription.ok_or_else(|| missing("subscription"))
}

/// Whether an expression type means tags; clients that leave it out mean them too.
pub fn is_tag(kind: &str) -> bool {
    kind.is_empty() || kind == "TAG"
}

/// The broker cannot filter by anything but tags.
pub fn unsupported_filter(kind: &str) -> Refusal {
    let remark = format!("The broker does not support consumer to filter message by {kind}");
    Refusal::new(response::SYSTEM_ERROR, remark)
}

fn not_parsed() -> Refusal {
    let remark = "parse the consumer's subscription failed";
    Refusal::new(response::SUBSCRIPTION_PARSE_FAILED, remark)
}

fn forbidden(remark: &str) -> Refusal {
    Refusal::new(response::NO_PERMISSION, remark)
}

fn unknown_topic(topic: &str) -> String {
    format!(
        "topic[{topic}] not exist, apply first please! \nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )
}

fn read<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    wanted: &pull::PullRequest<'_>,
    topic: &Topic,
    queue_id: u32,
    filter: TagFilter,
) -> Handled {
    let queue = ctx.broker.queue(topic, queue_id).map_err(Refusal::engine)?;
    let seat = ctx.broker.progress.seat(queue, &wanted.consumer_group);
    if let Some(offset) = ctx.broker.progress.take_reset(seat) {
        let offsets = ctx.broker.engine.offsets(queue);
        answer_reset(ctx, &request.to, offset, offsets);
        return Ok(());
    }
    if wanted.has(sys_flag::COMMIT_OFFSET)
        && let Ok(offset) = u64::try_from(wanted.commit_offset)
    {
        let group = &wanted.consumer_group;
        ctx.broker.engine.commit_offset(group, queue, offset);
    }
    let Ok(offset) = u64::try_from(wanted.queue_offset) else {
        let offsets = ctx.broker.engine.offsets(queue);
        ctx.front.metrics.missed();
        answer_negative(ctx, &request.to, offsets);
        return Ok(());
    };
    let to = request.to;
    let group = &wanted.consumer_group;
    let metrics = &mut ctx.front.metrics;
    let meter = metrics.group(topic.id, &topic.config.topic_name, group);
    let waiter = PullWaiter { to, seat, meter };
    let ticket = ctx.broker.waiters.insert(Waiter::Pull(waiter));
    let pull = PullRequest {
        queue,
        offset,
        max_messages: messages(wanted),
        max_bytes: bytes(wanted),
        filter,
        wait_until_ns: hold_until_ns(ctx, wanted),
        ticket,
    };
    match ctx.broker.engine.pull(ctx.io, pull) {
        PullOutcome::Ready(result) => {
            if let Some(Waiter::Pull(pull)) = ctx.broker.waiters.take(ticket) {
                count(ctx, &pull, &result, false);
                answer(ctx, &pull, result);
            }
        }
        PullOutcome::Pending => {
            let connection = request.to.origin.connection;
            ctx.broker.waiters.hold(connection, ticket);
            let me = ctx.front.me();
            ctx.front.is_known_to(connection, me);
        }
    }
    Ok(())
}

fn messages(wanted: &pull::PullRequest<'_>) -> u32 {
    let asked = u32::try_from(wanted.max_messages).unwrap_or(0);
    asked.clamp(1, limits::PULL_MESSAGES_MAX)
}

fn bytes(wanted: &pull::PullRequest<'_>) -> u32 {
    let asked = wanted.max_bytes.and_then(|bytes| u32::try_from(bytes).ok());
    let asked = asked.filter(|&bytes| bytes > 0);
    asked.map_or(limits::PULL_BYTES_MAX, |bytes| {
        bytes.min(limits::PULL_BYTES_MAX)
    })
}

fn hold_until_ns<I: Io>(ctx: &Context<'_, I>, wanted: &pull::PullRequest<'_>) -> Option<u64> {
    if !wanted.has(sys_flag::SUSPEND) {
        return None;
    }
    let asked_ms = u64::try_from(wanted.suspend_timeout_ms).unwrap_or(0);
    let hold_ms = if ctx.broker.settings.long_polling {
        asked_ms.min(limits::PULL_HOLD_MS_MAX)
    } else {
        SHORT_HOLD_MS
    };
    Some(ctx.front.now.monotonic_ns + hold_ms * 1_000_000)
}

/// Answers a pull that was pending.
pub fn answer_waited<I: Io>(ctx: &mut Context<'_, I>, pull: &PullWaiter, result: PullResult) {
    count(ctx, pull, &result, true);
    answer(ctx, pull, result);
}

fn count<I: Io>(ctx: &mut Context<'_, I>, pull: &PullWaiter, result: &PullResult, waited: bool) {
    let pulled = Pulled {
        meter: pull.meter,
        messages: result.count,
        bytes: result.bytes,
        received_ns: pull.to.origin.received_ns,
        waited,
    };
    ctx.front
        .metrics
        .pulled(&pulled, ctx.front.now.monotonic_ns);
}

/// Answers a pull with what the engine found.
fn answer<I: Io>(ctx: &mut Context<'_, I>, pull: &PullWaiter, result: PullResult) {
    let to = &pull.to;
    let Some((code, remark)) = status(&result) else {
        return refuse_damaged(ctx, to, &result);
    };
    let next = next_offset(&result);
    ctx.broker.progress.pulled(pull.seat, next);
    let (min, max) = (result.min, result.max);
    let bytes = result.records.iter().map(|slice| slice.len()).sum();
    ctx.front.answer(to, |out| {
        to.head(out, code, Some(remark), bytes, |ext| {
            put_offsets(ext, next, min, max)
        });
        for slice in result.records {
            out.push(slice);
        }
    });
}

/// An offset below 0 is too small for any queue.
fn answer_negative<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, offsets: Offsets) {
    let Offsets { min, max } = offsets;
    let remark = if max == 0 {
        "NO_MESSAGE_IN_QUEUE"
    } else {
        "OFFSET_TOO_SMALL"
    };
    ctx.front.answer(to, |out| {
        to.whole(out, response::PULL_OFFSET_MOVED, Some(remark), &[], |ext| {
            put_offsets(ext, min, min, max);
        });
    });
}

/// The group has been reset in this queue (broker page 3.3, `OFFSET_RESET`).
fn answer_reset<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, offset: u64, offsets: Offsets) {
    let Offsets { min, max } = offsets;
    let code = response::PULL_OFFSET_MOVED;
    ctx.front.answer(to, |out| {
        to.whole(out, code, Some("OFFSET_RESET"), &[], |ext| {
            put_offsets(ext, offset, min, max);
        });
    });
}

fn put_offsets(ext: &mut ringmq_protocol::header::ExtWriter<'_>, next: u64, min: u64, max: u64) {
    ext.put("suggestWhichBrokerId", 0);
    ext.put("nextBeginOffset", next);
    ext.put("minOffset", min);
    ext.put("maxOffset", max);
    ext.put("topicSysFlag", 0);
    ext.put("groupSysFlag", 0);
}

/// The response code of a status and the words of Apache's store (broker page 3.3); `None` for
/// what is no regular answer.
fn status(result: &PullResult) -> Option<(i32, &'static str)> {
    let is_empty = result.max == 0;
    Some(match result.status {
        PullStatus::Found => (response::SUCCESS, "FOUND"),
        PullStatus::NoMatched => (response::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE"),
        PullStatus::NoNew if is_empty => (response::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE"),
        PullStatus::NoNew => (response::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"),
        PullStatus::TooSmall => (response::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL"),
        PullStatus::BeyondMax if is_empty => (response::PULL_OFFSET_MOVED, "NO_MESSAGE_IN_QUEUE"),
        PullStatus::BeyondMax => (response::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY"),
        PullStatus::Empty => (response::PULL_OFFSET_MOVED, "NO_MESSAGE_IN_QUEUE"),
        PullStatus::NoQueue => (response::PULL_OFFSET_MOVED, "NO_MATCHED_LOGIC_QUEUE"),
        PullStatus::Busy => (response::FLOW_CONTROL, "too many reads wait for the disk"),
        PullStatus::Damaged { .. } => return None,
    })
}

fn next_offset(result: &PullResult) -> u64 {
    match result.status {
        PullStatus::TooSmall => result.min,
        PullStatus::BeyondMax => result.max,
        PullStatus::Empty | PullStatus::NoQueue => 0,
        _ => result.next,
    }
}

/// A record that fails its checksum is not delivered, and the consumer does not move past it.
fn refuse_damaged<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, result: &PullResult) {
    let remark = format!(
        "the record at offset {} of this queue is damaged and is not delivered: repair the broker's data, or move the group past it",
        result.next
    );
    ctx.refuse(to, &Refusal::new(response::SYSTEM_ERROR, remark));
}

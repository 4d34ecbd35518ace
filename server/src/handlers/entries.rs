//! The entries of a queue's index as an operator sees them (321), on the shard of the queue.

use ringmq_engine::{
    Offsets, PullOutcome, PullRequest, PullResult, PullStatus, QueueNumber, TagFilter,
};
use ringmq_protocol::Records;
use ringmq_protocol::code::response;
use ringmq_protocol::command::queue::{ConsumeQueueEntries, ConsumeQueueEntry, QueryConsumeQueue};
use ringmq_ring::Io;

use crate::context::{Context, Handled, Request};
use crate::handlers::members::subscription_data;
use crate::limits;
use crate::reply::{Refusal, ReplyTo};
use crate::shard::Waiter;

/// Who waits for the entries of a queue.
#[derive(Debug)]
pub struct EntriesWaiter {
    to: ReplyTo,
    queue: QueueNumber,
    /// Where to go on.
    next: u64,
    /// Entries that are still wanted.
    wanted: usize,
    body: ConsumeQueueEntries,
}

/// QUERY_CONSUME_QUEUE.
pub fn query<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = QueryConsumeQueue::decode(&request.header.ext);
    let unknown = || {
        let remark = format!("{}@{} is not exist!", asked.queue_id, asked.topic);
        Refusal::new(response::SYSTEM_ERROR, remark)
    };
    let topic = ctx.broker.tables.topics.get(&asked.topic).cloned();
    let (Some(topic), Ok(queue_id)) = (topic, u32::try_from(asked.queue_id)) else {
        return Err(unknown());
    };
    if queue_id >= topic.config.queues() {
        return Err(unknown());
    }
    if !ctx.owns(&asked.topic, queue_id, request) {
        return Ok(());
    }
    let mut body = ConsumeQueueEntries::default();
    if let Some(group) = asked.consumer_group.as_deref() {
        put_subscription(ctx, &mut body, group, &asked.topic);
    }
    let Some(queue) = ctx.broker.engine.queue(topic.id, queue_id) else {
        // Nothing was ever stored in it.
        ctx.answer_body(&request.to, &body.to_json());
        return Ok(());
    };
    let Offsets { min, max } = ctx.broker.engine.offsets(queue);
    body.min_queue_index = min as i64;
    body.max_queue_index = max as i64;
    let count = usize::try_from(asked.count).unwrap_or(0);
    let next = u64::try_from(asked.index).unwrap_or(max);
    let is_there = (min..max).contains(&next);
    let waiter = EntriesWaiter {
        to: request.to,
        queue,
        next,
        wanted: if is_there {
            count.min(limits::ENTRIES_MAX)
        } else {
            0
        },
        body,
    };
    go_on(ctx, waiter);
    Ok(())
}

fn put_subscription<I: Io>(
    ctx: &Context<'_, I>,
    body: &mut ConsumeQueueEntries,
    group: &str,
    topic: &str,
) {
    let view = ctx.broker.tables.groups.get(group);
    let view = view.filter(|view| view.is_online);
    let subscription = view.and_then(|view| view.subscriptions.get(topic));
    body.subscription_data = subscription.map(|found| subscription_data(found));
    // Apache writes the filter of SQL92 subscriptions here; tags have none.
    body.filter_data = Some(match subscription {
        Some(_) => "null".to_owned(),
        None => format!("{group}@{topic} is not online!"),
    });
}

/// Reads on until all wanted entries are there, or the queue ends, or a read has to be waited for.
fn go_on<I: Io>(ctx: &mut Context<'_, I>, mut waiter: EntriesWaiter) {
    while waiter.wanted > 0 {
        let mut pull = PullRequest {
            queue: waiter.queue,
            offset: waiter.next,
            max_messages: waiter.wanted as u32,
            max_bytes: limits::PULL_BYTES_MAX,
            filter: TagFilter::All,
            wait_until_ns: None,
            ticket: 0,
        };
        pull.ticket = ctx.broker.waiters.insert(Waiter::Entries(Box::new(waiter)));
        let ticket = pull.ticket;
        let PullOutcome::Ready(result) = ctx.broker.engine.pull(ctx.io, pull) else {
            return;
        };
        let Some(Waiter::Entries(mut back)) = ctx.broker.waiters.take(ticket) else {
            return;
        };
        back.take(&result);
        waiter = *back;
    }
    ctx.answer_body(&waiter.to, &waiter.body.to_json());
}

/// A read has come.
pub fn pulled<I: Io>(
    ctx: &mut Context<'_, I>,
    mut waiter: Box<EntriesWaiter>,
    result: &PullResult,
) {
    waiter.take(result);
    go_on(ctx, *waiter);
}

impl EntriesWaiter {
    fn take(&mut self, result: &PullResult) {
        if result.status != PullStatus::Found {
            // The end, damage, or a crowded disk: what is there is shown.
            self.wanted = 0;
            return;
        }
        let records = result.records.iter().flat_map(|slice| Records::new(slice));
        let entries = records
            .map_while(Result::ok)
            .map(|record| ConsumeQueueEntry {
                physic_offset: record.physical_offset(),
                physic_size: i32::try_from(record.len()).unwrap_or(i32::MAX),
                tags_code: record.tags_code(),
                ..ConsumeQueueEntry::default()
            });
        self.body.queue_data.extend(entries);
        self.wanted = self.wanted.saturating_sub(result.count as usize);
        self.next = result.next;
    }
}

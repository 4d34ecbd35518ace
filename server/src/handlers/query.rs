//! One record by its offset id (33), read on the shard that the offset names.

use ringmq_engine::{PhysicalOffset, View, ViewOutcome};
use ringmq_protocol::code::response;
use ringmq_protocol::command::query::ViewMessage;
use ringmq_ring::Io;

use crate::context::{Context, Handled, Request};
use crate::reply::{Refusal, ReplyTo};
use crate::shard::Waiter;

/// VIEW_MESSAGE_BY_ID.
pub fn view<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let offset = ViewMessage::decode(&request.header.ext).offset;
    let physical = u64::try_from(offset).ok().map(PhysicalOffset);
    let shards = ctx.front.mux.shards();
    let Some(physical) = physical.filter(|physical| physical.shard().0 < shards) else {
        return Err(not_found(offset));
    };
    if !ctx.is_here(physical.shard().0, request) {
        return Ok(());
    }
    let ticket = ctx.broker.waiters.insert(Waiter::View {
        to: request.to,
        offset,
    });
    match ctx.broker.engine.view(ctx.io, physical, ticket) {
        ViewOutcome::Pending => {}
        ViewOutcome::Ready(view) => {
            ctx.broker.waiters.take(ticket);
            answer_view(ctx, &request.to, offset, view);
        }
    }
    Ok(())
}

/// Answers a view with the record, or says why not.
pub fn answer_view<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, offset: i64, view: View) {
    let refusal = match view {
        View::Found(record) => {
            return ctx.front.answer(to, |out| {
                to.head(out, response::SUCCESS, None, record.len(), |_| ());
                out.push(record);
            });
        }
        View::Absent => not_found(offset),
        View::Busy => {
            let remark = "too many old messages are being read; ask again in a moment";
            Refusal::new(response::SYSTEM_BUSY, remark)
        }
        View::Damaged => {
            let remark = format!("the message at the offset {offset} cannot be read or is damaged");
            Refusal::new(response::SYSTEM_ERROR, remark)
        }
    };
    ctx.refuse(to, &refusal);
}

fn not_found(offset: i64) -> Refusal {
    let remark = format!("can not find message by the offset, {offset}");
    Refusal::new(response::SYSTEM_ERROR, remark)
}

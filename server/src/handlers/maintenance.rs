//! Tidying that operators ask for: 306, 316 and 329.

use ringmq_protocol::code::response;
use ringmq_ring::Io;

use crate::context::{Context, Handled, Request};
use crate::gather::{Asked, Question};

/// DELETE_EXPIRED_COMMITLOG: expired segments go now, whatever the hour.
pub fn delete_expired_log<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let to = &request.to;
    ctx.gather(to, Asked::All, Question::ExpireNow, |ctx, to, _| {
        ctx.answer_code(to, response::SUCCESS, None);
        Ok(())
    })
}

/// CLEAN_EXPIRED_CONSUMEQUEUE and CLEAN_UNUSED_TOPIC: Apache's brokers keep files of queues whose
/// messages have gone, and of topics that were deleted. Here an index goes with its log segment and
/// queues go with their topic, so there is never anything left to clean.
pub fn nothing_to_clean<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    ctx.answer_code(&request.to, response::SUCCESS, None);
    Ok(())
}

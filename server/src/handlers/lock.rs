//! Queue locks of orderly consumers: 41 and 42, at home.

use ringmq_protocol::code::response;
use ringmq_ring::Io;

use crate::broker::LockRequest;
use crate::broker::locks::lock_answer;
use crate::context::{Context, Handled, Request};
use crate::reply::Refusal;

/// LOCK_BATCH_MQ.
pub fn lock<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = parse(request)?;
    let now_ms = ctx.front.now.monotonic_ns / 1_000_000;
    let home = ctx.broker.home.as_mut();
    let granted = home.map(|home| home.locks.lock(&asked, now_ms));
    ctx.answer_body(&request.to, &lock_answer(&granted.unwrap_or_default()));
    Ok(())
}

/// UNLOCK_BATCH_MQ.
pub fn unlock<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = parse(request)?;
    if let Some(home) = &mut ctx.broker.home {
        home.locks.unlock(&asked);
    }
    ctx.answer_code(&request.to, response::SUCCESS, None);
    Ok(())
}

fn parse(request: &Request<'_>) -> Result<LockRequest, Refusal> {
    LockRequest::parse(request.body)
        .map_err(|error| Refusal::parameter(&request.to, error.to_string()))
}

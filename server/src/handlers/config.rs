//! The broker's settings: shown (26) and changed (25). The control plane has them.

use ringmq_ring::Io;

use crate::config::Process;
use crate::context::{Context, Handled, Request};
use crate::desk::Ask;

/// GET_BROKER_CONFIG.
pub fn show<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    ctx.front
        .ask(request.to, Ask::ShowSettings(Process::Broker))
}

/// UPDATE_BROKER_CONFIG. The home shard asks, because it is the one that tells the others.
pub fn update<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let lines = String::from_utf8_lossy(request.body).into_owned();
    ctx.front
        .ask(request.to, Ask::ChangeSettings(Process::Broker, lines))
}

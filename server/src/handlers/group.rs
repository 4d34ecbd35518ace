//! Settings of consumer groups: create or change (200), show (201, 352). At home.

use ringmq_protocol::code::response;
use ringmq_protocol::command::topic::GroupName;
use ringmq_ring::Io;

use crate::broker::GroupConfig;
use crate::context::{Context, Handled, Request};
use crate::handlers::send;
use crate::home::{Action, Subject, Then};
use crate::reply::Refusal;

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP.
pub fn update<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let config: GroupConfig = serde_json::from_slice(request.body)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    if let Some(change) = home.pending(&Subject::Group(config.group_name.clone())) {
        return ctx.park(request, &[change]);
    }
    let planned = home.groups.plan_update(config);
    match planned.map_err(|error| Refusal::group(&request.to, &error))? {
        None => ctx.answer_code(&request.to, response::SUCCESS, None),
        Some(config) => {
            let change = ctx
                .change(Action::PutGroup(config))
                .map_err(Refusal::engine)?;
            ctx.follow(change, Then::Answer(request.to));
        }
    }
    Ok(())
}

/// GET_SUBSCRIPTIONGROUP_CONFIG: creates the group when groups are created automatically.
pub fn show<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = GroupName::decode(&request.header.ext);
    let Some(view) = ctx.broker.tables.groups.get(&asked.group).cloned() else {
        return send::create_group(ctx, request, &asked.group);
    };
    ctx.answer_body(&request.to, view.config.to_json().as_bytes());
    Ok(())
}

/// GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
pub fn show_all<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let groups = home.groups.iter();
    let table: serde_json::Map<_, _> = groups
        .filter_map(|config| {
            let value = serde_json::to_value(&**config).ok()?;
            Some((config.group_name.clone(), value))
        })
        .collect();
    let body = serde_json::json!({
        "dataVersion": home.groups.data_version(),
        "subscriptionGroupTable": table,
    });
    ctx.answer_body(&request.to, body.to_string().as_bytes());
    Ok(())
}

//! Settings of consumer groups: create or change (200, 225), delete (207), show (201, 352). At home.

use ringmq_protocol::code::response;
use ringmq_protocol::command::topic::{DeleteGroup, GroupName};
use ringmq_ring::Io;
use serde::Deserialize;

use crate::broker::{GroupConfig, attributes};
use crate::context::{Context, Handled, Request};
use crate::gather::{Asked, Question};
use crate::handlers::page::Page;
use crate::handlers::{client, send};
use crate::home::{Action, Home, Subject, Then};
use crate::reply::{Refusal, ReplyTo};

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
    let config = with_attributes(home, config)?;
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

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: all of them or none, as far as their names go.
pub fn update_list<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let list: GroupConfigList = serde_json::from_slice(request.body)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let mut planned = Vec::new();
    for config in list.group_config_list {
        let config = with_attributes(home, config)?;
        let plan = home.groups.plan_update(config);
        planned.extend(plan.map_err(|error| Refusal::group(&request.to, &error))?);
    }
    let mut changes = Vec::new();
    for config in planned {
        match client::ensure(ctx, Action::PutGroup(config)) {
            Ok(change) => changes.push(change),
            Err(refused) if changes.is_empty() => return Err(Refusal::engine(refused)),
            // The rest follows when these are done.
            Err(_) => break,
        }
    }
    answer_or_park(ctx, request, &changes)
}

/// A request's group with the attributes that it has and gets: those of a request have signs.
fn with_attributes(home: &Home, config: GroupConfig) -> Result<GroupConfig, Refusal> {
    let known = home.groups.get(&config.group_name);
    let known = known.map(|known| &known.attributes);
    let attributes = attributes::alter(attributes::Of::Groups, known, &config.attributes)
        .map_err(|remark| Refusal::new(response::SYSTEM_ERROR, remark))?;
    Ok(GroupConfig {
        attributes,
        ..config
    })
}

/// A list of groups (225).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupConfigList {
    group_config_list: Vec<GroupConfig>,
}

/// Answers when there is nothing to wait for; otherwise the request comes again, and finds that it
/// changes nothing any more.
pub fn answer_or_park<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    changes: &[usize],
) -> Handled {
    if !changes.is_empty() {
        return ctx.park(request, changes);
    }
    ctx.answer_code(&request.to, response::SUCCESS, None);
    Ok(())
}

/// DELETE_SUBSCRIPTIONGROUP, with the group's offsets if that is asked. An unknown group is fine.
pub fn delete<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = DeleteGroup::decode(&request.header.ext);
    let group = asked.group_name.into_owned();
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    if let Some(change) = home.pending(&Subject::Group(group.clone())) {
        return ctx.park(request, &[change]);
    }
    if home.groups.get(&group).is_some() {
        let change = ctx.change(Action::DropGroup(group.clone()));
        let change = change.map_err(Refusal::engine)?;
        let then = if asked.clean_offset {
            Then::Forget(request.to, group)
        } else {
            Then::Answer(request.to)
        };
        ctx.follow(change, then);
        return Ok(());
    }
    if asked.clean_offset {
        return forget_offsets(ctx, &request.to, &group);
    }
    ctx.answer_code(&request.to, response::SUCCESS, None);
    Ok(())
}

/// Drops a group's offsets on all shards, then answers.
pub fn forget_offsets<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, group: &str) -> Handled {
    let question = Question::Forget(group.into());
    ctx.gather(to, Asked::All, question, |ctx, to, _| {
        ctx.answer_code(to, response::SUCCESS, None);
        Ok(())
    })
}

/// GET_ALL_SUBSCRIPTIONGROUP_CONFIG; page by page for clients of 5.4 and later.
pub fn show_all<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let version = home.groups.data_version();
    let page = Page::asked(&request.header.ext, "groupSeq", "maxGroupNum", version);
    let groups = home.groups.iter().skip(page.first).take(page.most);
    let table: serde_json::Map<_, _> = groups
        .filter_map(|config| {
            let value = serde_json::to_value(&**config).ok()?;
            Some((config.group_name.clone(), value))
        })
        .collect();
    let total = home.groups.len();
    let body = serde_json::json!({
        "dataVersion": version,
        "forbiddenTable": {},
        "subscriptionGroupTable": table,
    });
    let to = &request.to;
    ctx.front.answer(to, |out| {
        let body = body.to_string();
        to.whole(out, response::SUCCESS, None, body.as_bytes(), |ext| {
            ext.put("totalGroupNum", total as i64);
        });
    });
    Ok(())
}

//! Clients: heartbeats (34), leaving (35), members of a group (38), filter checks (46), and telling
//! members that their group has changed (40). All of it at home.

use ringmq_engine::Refused;
use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::heartbeat::{
    CheckClientConfig, ConsumerList, GroupQuery, UnregisterClient,
};
use ringmq_ring::Io;

use crate::broker::groups::GroupCreation;
use crate::broker::registry::ClientInfo;
use crate::broker::{Creation, Heartbeat, names};
use crate::connection::ConnectionId;
use crate::context::{Context, Handled, Request};
use crate::front::HOME;
use crate::home::{Action, Home, Subject, Then};
use crate::reply::{self, Refusal, ReplyTo};

/// HEART_BEAT: missing groups and their retry topics are created first, then the client joins.
pub fn heartbeat<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let heartbeat = Heartbeat::parse(request.body)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    let missing = create_missing(ctx, &heartbeat).map_err(Refusal::engine)?;
    if !missing.is_empty() {
        return ctx.park(request, &missing);
    }
    join(ctx, request, &heartbeat);
    Ok(())
}

fn join<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>, heartbeat: &Heartbeat) {
    let connection = request.to.origin.connection;
    ctx.front.is_known_to(connection, HOME);
    let info = ClientInfo {
        address: request.to.origin.peer.to_string(),
        language: request.header.language.name().to_owned(),
        version: request.header.version,
    };
    let now_ms = ctx.front.now.monotonic_ns / 1_000_000;
    let Some(home) = &mut ctx.broker.home else {
        return;
    };
    let Home {
        registry, groups, ..
    } = &mut **home;
    let id = crate::broker::ConnectionId(connection.to_u64());
    let effect = registry.heartbeat(id, &info, heartbeat, |group| groups.get(group), now_ms);
    let is_changed = !effect.notify.is_empty();
    ctx.take_effect(effect, Some(Then::Heartbeat(request.to, is_changed)));
}

/// Starts creating the groups and retry topics that a heartbeat needs; the changes to wait for.
fn create_missing<I: Io>(
    ctx: &mut Context<'_, I>,
    heartbeat: &Heartbeat,
) -> Result<Vec<usize>, Refused> {
    let mut changes = Vec::new();
    for consumer in &heartbeat.consumers {
        let group = &consumer.group_name;
        let Some(home) = &ctx.broker.home else {
            break;
        };
        let retry_queues = match home.groups.plan_use(group) {
            Ok(GroupCreation::Exists(config)) => config.retry_queue_nums,
            Ok(GroupCreation::Create(config)) => {
                let queues = config.retry_queue_nums;
                changes.push(ensure(ctx, Action::PutGroup(config))?);
                queues
            }
            // Unknown and not to be created, or no group's name: passed over silently, as in Java.
            Err(_) => continue,
        };
        if let Ok(queues) = u32::try_from(retry_queues)
            && queues > 0
        {
            changes.extend(ensure_topic(ctx, &names::retry_topic(group), queues)?);
        }
    }
    Ok(changes)
}

/// Starts creating a topic that the broker itself needs, unless it is there; the change to wait for.
pub fn ensure_topic<I: Io>(
    ctx: &mut Context<'_, I>,
    name: &str,
    queues: u32,
) -> Result<Option<usize>, Refused> {
    let Some(home) = &ctx.broker.home else {
        return Ok(None);
    };
    if let Some(change) = home.pending(&Subject::Topic(name.to_owned())) {
        return Ok(Some(change));
    }
    match home.topics.plan_internal(name, queues) {
        Ok(Creation::Create(config)) => {
            let id = ctx.topic_id(name);
            ctx.change(Action::PutTopic(id, config)).map(Some)
        }
        Ok(Creation::Exists(_)) | Err(_) => Ok(None),
    }
}

/// Starts a change, or finds the one of the same subject that is on its way.
pub fn ensure<I: Io>(ctx: &mut Context<'_, I>, action: Action) -> Result<usize, Refused> {
    let home = ctx.broker.home.as_ref();
    match home.and_then(|home| home.pending(&action.subject())) {
        Some(change) => Ok(change),
        None => ctx.change(action),
    }
}

/// Answers a heartbeat that every shard has taken in.
pub fn answer_heartbeat<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, is_changed: bool) {
    ctx.front.answer(to, |out| {
        to.whole(out, response::SUCCESS, None, &[], |ext| {
            ext.put("IS_SUPPORT_HEART_BEAT_V2", true);
            ext.put("IS_SUB_CHANGE", is_changed);
        });
    });
}

/// NOTIFY_CONSUMER_IDS_CHANGED to each of these members.
pub fn notify<I: Io>(ctx: &mut Context<'_, I>, members: &[(String, ConnectionId)]) {
    for (group, connection) in members {
        ctx.front.push(*connection, |out| {
            reply::oneway(out, request::NOTIFY_CONSUMER_IDS_CHANGED, 0, &[], |ext| {
                ext.put("consumerGroup", group.as_str());
            });
        });
    }
}

/// UNREGISTER_CLIENT.
pub fn unregister<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = UnregisterClient::decode(&request.header.ext);
    let producer = asked.producer_group.as_deref();
    let consumer = asked.consumer_group.as_deref();
    let Some(home) = &mut ctx.broker.home else {
        return Ok(());
    };
    let Home {
        registry, groups, ..
    } = &mut **home;
    let id = crate::broker::ConnectionId(request.to.origin.connection.to_u64());
    let effect = registry.unregister(id, producer, consumer, |group| groups.get(group));
    ctx.take_effect(effect, Some(Then::Answer(request.to)));
    Ok(())
}

/// GET_CONSUMER_LIST_BY_GROUP.
pub fn consumer_list<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let group = GroupQuery::decode(&request.header.ext).consumer_group;
    let home = ctx.broker.home.as_ref();
    let Some(ids) = home.and_then(|home| home.registry.consumer_ids(&group)) else {
        let remark = format!("no consumer for this group, {group}");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    };
    let consumer_id_list = ids.into_iter().map(str::to_owned).collect();
    let body = ConsumerList { consumer_id_list }.to_json();
    ctx.answer_body(&request.to, &body);
    Ok(())
}

/// CHECK_CLIENT_CONFIG: whether this broker can filter as the client wants.
pub fn check_config<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let check = CheckClientConfig::parse(request.body)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    let kind = check.subscription_data.expression_type.unwrap_or_default();
    if !super::pull::is_tag(&kind) {
        return Err(super::pull::unsupported_filter(&kind));
    }
    ctx.answer_code(&request.to, response::SUCCESS, None);
    Ok(())
}

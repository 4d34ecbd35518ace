//! Topics of this broker: create or change (17, 18), delete (215), show (21, 305, 351). Changes at home.

use ringmq_protocol::code::response;
use ringmq_protocol::command::topic::{self, CreateTopic, TopicConfigList, TopicName};
use ringmq_ring::Io;

use crate::broker::attributes;
use crate::broker::topic_config::TopicFilterType;
use crate::broker::{Permission, TopicConfig};
use crate::context::{Context, Handled, Request};
use crate::handlers::page::Page;
use crate::handlers::{client, group};
use crate::home::{Action, Subject, Then};
use crate::reply::Refusal;

/// UPDATE_AND_CREATE_TOPIC.
pub fn create<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = CreateTopic::decode(&request.header.ext);
    if park_if_busy(ctx, request, &asked.topic)? {
        return Ok(());
    }
    let config = config(ctx, request, &asked)?;
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let planned = home.topics.plan_update(config);
    match planned.map_err(|error| Refusal::topic(&request.to, &error))? {
        None => ctx.answer_code(&request.to, response::SUCCESS, None),
        Some(config) => {
            let id = ctx.topic_id(&config.topic_name);
            let change = ctx
                .change(Action::PutTopic(id, config))
                .map_err(Refusal::engine)?;
            ctx.follow(change, Then::Answer(request.to));
        }
    }
    Ok(())
}

fn config<I: Io>(
    ctx: &Context<'_, I>,
    request: &Request<'_>,
    asked: &CreateTopic<'_>,
) -> Result<TopicConfig, Refusal> {
    let number = |value: i32, what: &str| {
        u32::try_from(value).map_err(|_| {
            Refusal::parameter(
                &request.to,
                format!("{what} must not be negative, it is {value}"),
            )
        })
    };
    let topic_filter_type = match &*asked.topic_filter_type {
        "SINGLE_TAG" => TopicFilterType::SingleTag,
        "MULTI_TAG" => TopicFilterType::MultiTag,
        other => {
            let remark = format!("topicFilterType = [{other}] value invalid");
            return Err(Refusal::new(response::SYSTEM_ERROR, remark));
        }
    };
    let home = ctx.broker.home.as_ref();
    let known = home.and_then(|home| home.topics.get(&asked.topic));
    let known = known.map(|topic| &topic.config.attributes);
    let changes = attributes::parse(asked.attributes.as_deref().unwrap_or_default());
    let changes = changes.map_err(|remark| Refusal::new(response::SYSTEM_ERROR, remark))?;
    // `enableMixedMessageType` is off.
    if changes
        .get("+message.type")
        .is_some_and(|kind| kind == "MIXED")
    {
        let remark = "MIXED message type is not supported.";
        return Err(Refusal::parameter(&request.to, remark));
    }
    let attributes = attributes::alter(attributes::Of::Topics, known, &changes)
        .map_err(|remark| Refusal::new(response::SYSTEM_ERROR, remark))?;
    Ok(TopicConfig {
        attributes,
        order: asked.order,
        perm: Permission(number(asked.perm, "perm")?),
        read_queue_nums: number(asked.read_queue_nums, "readQueueNums")?,
        topic_filter_type,
        topic_name: asked.topic.clone().into_owned(),
        topic_sys_flag: asked.topic_sys_flag.unwrap_or(0),
        write_queue_nums: number(asked.write_queue_nums, "writeQueueNums")?,
    })
}

/// DELETE_TOPIC_IN_BROKER.
pub fn delete<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = TopicName::decode(&request.header.ext);
    if park_if_busy(ctx, request, &asked.topic)? {
        return Ok(());
    }
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let planned = home.topics.plan_delete(&asked.topic);
    match planned.map_err(|error| Refusal::topic(&request.to, &error))? {
        None => ctx.answer_code(&request.to, response::SUCCESS, None),
        Some(id) => {
            let action = Action::DropTopic(id, asked.topic.into_owned());
            let change = ctx.change(action).map_err(Refusal::engine)?;
            ctx.follow(change, Then::Answer(request.to));
        }
    }
    Ok(())
}

/// Two changes of one topic follow each other.
fn park_if_busy<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    topic: &str,
) -> Result<bool, Refusal> {
    let home = ctx.broker.home.as_ref();
    let busy = home.and_then(|home| home.pending(&Subject::Topic(topic.to_owned())));
    match busy {
        None => Ok(false),
        Some(change) => ctx.park(request, &[change]).map(|()| true),
    }
}

/// GET_TOPIC_CONFIG.
pub fn show<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let asked = TopicName::decode(&request.header.ext);
    let Some(topic) = ctx.broker.tables.topics.get(&asked.topic).cloned() else {
        let remark = format!("No topic in this broker. topic: {}", asked.topic);
        return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
    };
    ctx.answer_body(&request.to, topic.config.to_json().as_bytes());
    Ok(())
}

/// GET_ALL_TOPIC_CONFIG; page by page for clients of 5.4 and later.
pub fn show_all<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let version = home.topics.data_version();
    let page = Page::asked(&request.header.ext, "topicSeq", "maxTopicNum", version);
    let topics = home.topics.iter().skip(page.first).take(page.most);
    let table: serde_json::Map<_, _> = topics
        .filter_map(|topic| {
            let config = serde_json::to_value(&topic.config).ok()?;
            Some((topic.config.topic_name.clone(), config))
        })
        .collect();
    let total = home.topics.len();
    let body = serde_json::json!({
        "dataVersion": version,
        "topicConfigTable": table,
    });
    let to = &request.to;
    ctx.front.answer(to, |out| {
        let body = body.to_string();
        to.whole(out, response::SUCCESS, None, body.as_bytes(), |ext| {
            ext.put("totalTopicNum", total as i64);
        });
    });
    Ok(())
}

/// UPDATE_AND_CREATE_TOPIC_LIST: all of them or none, as far as names and settings go.
pub fn create_list<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let list = TopicConfigList::parse(request.body)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let mut planned = Vec::new();
    let mut changes = Vec::new();
    for listed in &list.topic_config_list {
        let subject = Subject::Topic(listed.topic_name.clone());
        match home.pending(&subject) {
            Some(change) => changes.push(change),
            None => {
                let config = config(ctx, request, &as_request(listed))?;
                let plan = home.topics.plan_update(config);
                planned.extend(plan.map_err(|error| Refusal::topic(&request.to, &error))?);
            }
        }
    }
    for config in planned {
        let id = ctx.topic_id(&config.topic_name);
        match client::ensure(ctx, Action::PutTopic(id, config)) {
            Ok(change) => changes.push(change),
            Err(refused) if changes.is_empty() => return Err(Refusal::engine(refused)),
            // The rest follows when these are done.
            Err(_) => break,
        }
    }
    group::answer_or_park(ctx, request, &changes)
}

/// A topic of a list, in the form of a request for it alone. Attributes there have the sign in the
/// key: `+message.type`.
fn as_request(listed: &topic::TopicConfig) -> CreateTopic<'_> {
    let attributes = listed.attributes.iter().flatten();
    let attributes = attributes.map(|(key, value)| {
        if key.starts_with('-') {
            key.clone()
        } else {
            format!("{key}={value}")
        }
    });
    let attributes: Vec<String> = attributes.collect();
    CreateTopic {
        topic: listed.topic_name.as_str().into(),
        default_topic: "".into(),
        read_queue_nums: listed.read_queue_nums,
        write_queue_nums: listed.write_queue_nums,
        perm: listed.perm,
        topic_filter_type: listed.topic_filter_type.as_str().into(),
        topic_sys_flag: Some(listed.topic_sys_flag),
        order: listed.order,
        attributes: (!attributes.is_empty()).then(|| attributes.join(",").into()),
        force: None,
    }
}

/// GET_SYSTEM_TOPIC_LIST_FROM_BROKER: topics that are the broker's own.
pub fn show_system<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let body = serde_json::json!({ "topicList": home.topics.system_names() });
    ctx.answer_body(&request.to, body.to_string().as_bytes());
    Ok(())
}

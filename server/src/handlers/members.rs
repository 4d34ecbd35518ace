//! Who is connected: members of a consumer group (203) and of a producer group (204), all producers
//! (328), and what a group subscribes to (345). At home.

use ringmq_protocol::code::response;
use ringmq_protocol::command::heartbeat::{self as wire, GroupQuery, SubscriptionData};
use ringmq_protocol::command::stats::{
    Connection, ConsumerConnections, ProducerConnections, ProducerQuery,
};
use ringmq_ring::Io;

use crate::broker::Subscription;
use crate::broker::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel};
use crate::broker::registry::Member;
use crate::context::{Context, Handled, Request};
use crate::reply::Refusal;

/// GET_CONSUMER_CONNECTION_LIST.
pub fn consumers<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let name = GroupQuery::decode(&request.header.ext).consumer_group;
    let home = ctx.broker.home.as_ref();
    let Some(group) = home.and_then(|home| home.registry.consumer_group(&name)) else {
        let remark = format!("the consumer group[{name}] not online");
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    };
    let subscriptions = group.subscriptions().iter();
    let body = ConsumerConnections {
        connection_set: group.members().map(|(_, m)| connection(m)).collect(),
        consume_from_where: consume_from_where(group.consume_from_where),
        consume_type: consume_type(group.consume_type),
        message_model: message_model(group.message_model),
        subscription_table: subscriptions
            .map(|(topic, subscription)| (topic.to_string(), subscription_data(subscription)))
            .collect(),
    };
    ctx.answer_body(&request.to, &body.to_json());
    Ok(())
}

fn connection(member: &Member) -> Connection {
    Connection {
        client_addr: member.info.address.clone(),
        client_id: member.client_id.clone(),
        language: member.info.language.clone(),
        version: member.info.version,
    }
}

fn consume_from_where(known: ConsumeFromWhere) -> wire::ConsumeFromWhere {
    use ConsumeFromWhere as Known;
    use wire::ConsumeFromWhere as Wire;
    match known {
        Known::LastOffset => Wire::LastOffset,
        Known::LastOffsetAndFromMinWhenBootFirst => Wire::LastOffsetAndMinWhenFirst,
        Known::MinOffset => Wire::MinOffset,
        Known::MaxOffset => Wire::MaxOffset,
        Known::FirstOffset => Wire::FirstOffset,
        Known::Timestamp => Wire::Timestamp,
    }
}

fn consume_type(known: ConsumeType) -> wire::ConsumeType {
    match known {
        ConsumeType::Actively => wire::ConsumeType::Actively,
        ConsumeType::Passively => wire::ConsumeType::Passively,
        ConsumeType::Pop => wire::ConsumeType::Pop,
    }
}

fn message_model(known: MessageModel) -> wire::MessageModel {
    match known {
        MessageModel::Broadcasting => wire::MessageModel::Broadcasting,
        MessageModel::Clustering => wire::MessageModel::Clustering,
    }
}

/// A subscription as clients sent it, with the tags and codes that we computed.
pub fn subscription_data(subscription: &Subscription) -> SubscriptionData {
    let codes = subscription.tags.codes().unwrap_or_default();
    let tags = subscription.tags.tags().unwrap_or_default();
    SubscriptionData {
        class_filter_mode: subscription.class_filter_mode,
        code_set: codes.into_iter().map(|code| code as i32).collect(),
        expression_type: Some(subscription.expression_type.clone()),
        sub_string: subscription.expression.clone(),
        sub_version: subscription.version,
        tags_set: tags.to_vec(),
        topic: subscription.topic.to_string(),
    }
}

/// GET_PRODUCER_CONNECTION_LIST.
pub fn producers<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let name = ProducerQuery::decode(&request.header.ext).producer_group;
    let home = ctx.broker.home.as_ref();
    let Some(members) = home.and_then(|home| home.registry.producers(&name)) else {
        let remark = format!("the producer group[{name}] not exist");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    };
    let connection_set = members.map(|(_, member)| connection(member)).collect();
    let body = ProducerConnections { connection_set };
    ctx.answer_body(&request.to, &body.to_json());
    Ok(())
}

/// GET_ALL_PRODUCER_INFO.
pub fn all_producers<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let now = ctx.front.now;
    let heard_ms = |member: &Member| {
        let silent_ms = (now.monotonic_ns / 1_000_000).saturating_sub(member.heard_ms);
        now.wall_ms.saturating_sub_unsigned(silent_ms)
    };
    let home = ctx.broker.home.as_ref();
    let groups = home.into_iter().flat_map(|h| h.registry.producer_groups());
    let data = groups.map(|(name, members)| {
        let members = members.map(|member| {
            serde_json::json!({
                "clientId": member.client_id,
                "language": member.info.language,
                "lastUpdateTimestamp": heard_ms(member),
                "remoteIP": format!("/{}", member.info.address),
                "version": member.info.version,
            })
        });
        (name.to_owned(), members.collect())
    });
    let data: serde_json::Map<_, _> = data.collect();
    let body = serde_json::json!({ "data": data });
    ctx.answer_body(&request.to, body.to_string().as_bytes());
    Ok(())
}

/// QUERY_SUBSCRIPTION_BY_CONSUMER; without the subscription when there is none.
pub fn subscription<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let field = |name| request.header.ext.get(name).map(|text| text.to_cow());
    let (group, topic) = (field("group"), field("topic"));
    let (group, topic) = (group.unwrap_or_default(), topic.unwrap_or_default());
    let view = ctx.broker.tables.groups.get(&group);
    let subscription = view.and_then(|view| view.subscriptions.get(&*topic));
    let mut body = serde_json::json!({ "group": group, "topic": topic });
    if let Some(subscription) = subscription {
        let data = serde_json::to_value(subscription_data(subscription));
        body["subscriptionData"] = data.unwrap_or_default();
    }
    ctx.answer_body(&request.to, body.to_string().as_bytes());
    Ok(())
}

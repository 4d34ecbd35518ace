//! What the world may ask: one match for the broker's port, one for the name server's.

use ringmq_protocol::code::{request, response};
use ringmq_ring::Io;

use crate::context::{Context, Handled, Request};
use crate::handlers::{
    client, config, entries, group, lock, maintenance, members, offset, progress, pull, query,
    relay, reset, send, stats, topic,
};
use crate::reply::Refusal;

/// A request that came through a broker's port.
pub fn broker<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) {
    if let Err(refusal) = handle_broker(ctx, request) {
        ctx.refuse(&request.to, &refusal);
    }
}

fn handle_broker<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    match request.header.code {
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
            send::send(ctx, request)
        }
        request::PULL_MESSAGE | request::LITE_PULL_MESSAGE => pull::pull(ctx, request),
        request::QUERY_CONSUMER_OFFSET => offset::query(ctx, request),
        request::UPDATE_CONSUMER_OFFSET => offset::update(ctx, request),
        request::SEARCH_OFFSET_BY_TIMESTAMP => offset::search(ctx, request),
        request::GET_MAX_OFFSET => offset::max(ctx, request),
        request::GET_MIN_OFFSET => offset::min(ctx, request),
        request::GET_EARLIEST_MSG_STORETIME => offset::earliest_time(ctx, request),
        request::VIEW_MESSAGE_BY_ID => query::view(ctx, request),
        request::GET_BROKER_CONFIG => config::show(ctx, request),
        request::UPDATE_BROKER_CONFIG => config::update(ctx, request),
        request::GET_BROKER_RUNTIME_INFO => stats::runtime_info(ctx, request),
        request::VIEW_BROKER_STATS_DATA => stats::view(ctx, request),
        request::GET_BROKER_CONSUME_STATS => stats::consume_stats(ctx, request),
        request::GET_BROKER_HA_STATUS => stats::ha_status(ctx, request),
        request::QUERY_CONSUME_QUEUE => entries::query(ctx, request),
        request::DELETE_EXPIRED_COMMITLOG => maintenance::delete_expired_log(ctx, request),
        request::CLEAN_EXPIRED_CONSUMEQUEUE | request::CLEAN_UNUSED_TOPIC => {
            maintenance::nothing_to_clean(ctx, request)
        }
        request::HEART_BEAT => client::heartbeat(ctx, request),
        request::UNREGISTER_CLIENT => client::unregister(ctx, request),
        request::GET_CONSUMER_LIST_BY_GROUP => client::consumer_list(ctx, request),
        request::CHECK_CLIENT_CONFIG => client::check_config(ctx, request),
        request::LOCK_BATCH_MQ => lock::lock(ctx, request),
        request::UNLOCK_BATCH_MQ => lock::unlock(ctx, request),
        request::UPDATE_AND_CREATE_TOPIC => topic::create(ctx, request),
        request::DELETE_TOPIC_IN_BROKER => topic::delete(ctx, request),
        request::GET_ALL_TOPIC_CONFIG => topic::show_all(ctx, request),
        request::GET_TOPIC_CONFIG => topic::show(ctx, request),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => group::update(ctx, request),
        request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => group::show_all(ctx, request),
        request::GET_SUBSCRIPTIONGROUP_CONFIG => group::show(ctx, request),
        request::GET_TOPIC_STATS_INFO => progress::topic_stats(ctx, request),
        request::GET_CONSUME_STATS => progress::consume_stats(ctx, request),
        request::QUERY_TOPIC_CONSUME_BY_WHO => progress::groups_of_topic(ctx, request),
        request::QUERY_TOPICS_BY_CONSUMER => progress::topics_of_group(ctx, request),
        request::GET_CONSUMER_CONNECTION_LIST => members::consumers(ctx, request),
        request::GET_PRODUCER_CONNECTION_LIST => members::producers(ctx, request),
        request::GET_ALL_PRODUCER_INFO => members::all_producers(ctx, request),
        request::QUERY_SUBSCRIPTION_BY_CONSUMER => members::subscription(ctx, request),
        request::INVOKE_BROKER_TO_RESET_OFFSET => reset::reset(ctx, request),
        request::CLONE_GROUP_OFFSET => reset::clone(ctx, request),
        request::GET_CONSUMER_RUNNING_INFO => relay::running_info(ctx, request),
        request::CONSUME_MESSAGE_DIRECTLY => relay::consume_directly(ctx, request),
        request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => relay::group_status(ctx, request),
        request::QUERY_CONSUME_TIME_SPAN => progress::time_spans(ctx, request),
        request::GET_ALL_CONSUMER_OFFSET => progress::all_offsets(ctx, request),
        request::GET_ALL_DELAY_OFFSET => progress::delay_offsets(ctx, request),
        request::QUERY_CORRECTION_OFFSET => progress::correction_offsets(ctx, request),
        request::UPDATE_AND_CREATE_TOPIC_LIST => topic::create_list(ctx, request),
        request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => topic::show_system(ctx, request),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => group::update_list(ctx, request),
        request::DELETE_SUBSCRIPTIONGROUP => group::delete(ctx, request),
        code => Err(unsupported(code)),
    }
}

fn unsupported(code: i32) -> Refusal {
    let remark = format!(" request type {code} not supported");
    Refusal::new(response::REQUEST_CODE_NOT_SUPPORTED, remark)
}

//! Sending: 10, 310 and 320. Two stages: the order is fixed when the shard has appended the record,
//! the answer follows when it is stored.
//!
//! The checks come in the order of Apache's broker (broker page 2.4), so that a request with two
//! faults gets the same code from both.

use std::sync::Arc;

use ringmq_engine::placement::shard_of;
use ringmq_engine::{PhysicalOffset, QueueNumber, Refused, Shard, Ticket};
use ringmq_protocol::RecordParts;
use ringmq_protocol::code::response;
use ringmq_protocol::command::send::{BatchItem, BatchItems, SendRequest};
use ringmq_protocol::command::send_receipt::Receipt;
use ringmq_protocol::header::{ExtWriter, version};
use ringmq_protocol::message_id::OffsetId;
use ringmq_protocol::properties::{self, NAME_END, PAIR_END, Properties};
use ringmq_protocol::record::sys_flag;
use ringmq_protocol::tags::tags_code;
use ringmq_ring::{Io, Moment};

use crate::broker::groups::GroupCreation;
use crate::broker::topic_config::TopicFilterType;
use crate::broker::{Creation, Topic, names};
use crate::context::{Context, Handled, Request};
use crate::front::Front;
use crate::handlers::client;
use crate::home::{Action, Subject};
use crate::limits;
use crate::metrics::{MeterId, StoredSend};
use crate::reply::{Refusal, ReplyTo};
use crate::routes::Route;
use crate::sends::{Places, SendWaiter, SmallText};
use crate::shard::{BrokerShard, Settings, bound_queue};

/// SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE.
pub fn send<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if let Err(refusal) = check_and_append(ctx, request) {
        refuse(ctx, &request.to, &refusal);
    }
    Ok(())
}

fn check_and_append<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    let Some(message) = request.send else {
        return Err(Refusal::new(
            response::SYSTEM_ERROR,
            "the request is no send",
        ));
    };
    check_fields(request, message)?;
    let mut routes = std::mem::take(&mut ctx.broker.routes);
    let known = routes.get(&message.topic);
    let handled = known.map(|route| send_along(ctx, request, message, route));
    ctx.broker.routes = routes;
    match handled {
        Some(handled) => handled,
        None => send_to_topic(ctx, request, message),
    }
}

/// To a topic that no send went to lately.
fn send_to_topic<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
) -> Handled {
    check_name(request, message)?;
    let Some(topic) = ctx.broker.tables.topics.get(&message.topic).cloned() else {
        return create_topic(ctx, request, message);
    };
    if message.topic.starts_with(names::RETRY_PREFIX) {
        check_place(ctx, request, message, &topic)?;
        return send_to_retry(ctx, request, message, topic);
    }
    let meter = ctx.front.metrics.topic(topic.id, &topic.config.topic_name);
    let mut route = Route::new(topic, meter);
    let handled = send_along(ctx, request, message, &mut route);
    ctx.broker.routes.insert(route);
    handled
}

/// To a topic whose name is known to be in order. Nothing in here changes the tables.
fn send_along<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    route: &mut Route,
) -> Handled {
    check_place(ctx, request, message, route.topic())?;
    if let Some((queue_id, number)) = route.queue(message.queue_id) {
        let target = Target::new(ctx, route.topic(), queue_id, route.meter());
        let known = Some(number);
        return append(ctx, request, message, &Target { known, ..target }).map(drop);
    }
    let Some(queue_id) = choose_queue(ctx, request, message, route.topic()) else {
        return Ok(());
    };
    let target = Target::new(ctx, route.topic(), queue_id, route.meter());
    let number = append(ctx, request, message, &target)?;
    route.bound(queue_id, number);
    Ok(())
}

/// What can be judged from the request alone, but for its topic's name.
fn check_fields(request: &Request<'_>, message: &SendRequest<'_>) -> Handled {
    // Apache's broker of 4.9 stores a message without a body, the one of 5.5 fails on it.
    if request.body.is_empty() && request.to.is_v5() {
        return Err(Refusal::new(
            response::SYSTEM_ERROR,
            "the message has no body",
        ));
    }
    let header = request.header;
    // Looking for each required field costs more than all other checks: only where one is missed.
    let is_complete = message.born_timestamp != 0 && !message.producer_group.is_empty();
    if !is_complete && let Some(field) = SendRequest::first_missing(header.code, &header.ext) {
        let remark = format!("the required field {field} is missing");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    Ok(())
}

fn check_name(request: &Request<'_>, message: &SendRequest<'_>) -> Handled {
    names::validate_topic(&message.topic).map_err(|e| Refusal::name(&request.to, &e))?;
    if names::is_forbidden_to_send(&message.topic) {
        let remark = format!("Sending message to topic[{}] is forbidden.", message.topic);
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    Ok(())
}

/// Whether the topic takes this message in the queue that it names.
fn check_place<I: Io>(
    ctx: &Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    topic: &Topic,
) -> Handled {
    if topic.config.order && !ctx.broker.settings.is_writable {
        let remark = "the broker does not permit sending to ordered topics";
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    if i64::from(message.queue_id) < i64::from(topic.config.queues()) {
        return Ok(());
    }
    let remark = format!(
        "request queueId[{}] is illegal, {} Producer: {}",
        message.queue_id, topic.config, request.to.origin.peer
    );
    Err(Refusal::parameter(&request.to, remark))
}

/// A topic that does not exist yet: at home it is created if the request may, and the request is
/// handled again when every shard knows it.
fn create_topic<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let subject = Subject::Topic(message.topic.clone().into_owned());
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    if let Some(change) = home.pending(&subject) {
        return ctx.park(request, &[change]);
    }
    let template = message.default_topic.to_cow();
    let queues = message.default_topic_queue_nums;
    let planned = home.topics.plan_send(&message.topic, &template, queues);
    match planned.map_err(|error| Refusal::topic(&request.to, &error))? {
        Creation::Create(config) => {
            let id = ctx.topic_id(&message.topic);
            let change = ctx
                .change(Action::PutTopic(id, config))
                .map_err(Refusal::engine)?;
            ctx.park(request, &[change])
        }
        // The home shard's own copy of the table is never behind.
        Creation::Exists(_) => Err(Refusal::engine(Refused::Unknown)),
    }
}

/// The queue of a message, when this shard owns it; otherwise the request is on its way. A client
/// that leaves the choice gets a random queue, of this shard's own if the request came from another.
fn choose_queue<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    topic: &Topic,
) -> Option<u32> {
    let name = &topic.config.topic_name;
    let queue_id = match u32::try_from(message.queue_id) {
        Ok(queue_id) => queue_id,
        Err(_) => {
            let queues = topic.config.write_queue_nums.max(1);
            let first = ctx.broker.random.below(queues);
            let (me, shards) = (ctx.front.me(), ctx.front.mux.shards());
            let came_from_here = request.to.origin.connection.shard() == me;
            let own = (0..queues)
                .map(|step| (first + step) % queues)
                .find(|&queue| shard_of(name, queue, shards).0 == me);
            own.filter(|_| !came_from_here || shards == 1)
                .unwrap_or(first)
        }
    };
    ctx.owns(name, queue_id, request).then_some(queue_id)
}

/// A consumer's own sending back: to the retry topic, or to the dead letters when it was tried often
/// enough (broker page 2.6).
fn send_to_retry<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    retry: Arc<Topic>,
) -> Handled {
    if message.batch {
        let remark = "batch request does not support retry group";
        return Err(Refusal::new(response::MESSAGE_ILLEGAL, remark));
    }
    let group = &message.topic[names::RETRY_PREFIX.len()..];
    let Some(view) = ctx.broker.tables.groups.get(group) else {
        return create_group(ctx, request, group);
    };
    let own_limit = message.max_reconsume_times;
    let own_limit = own_limit.filter(|_| request.to.version >= version::V3_4_9);
    let limit = own_limit.unwrap_or(view.config.retry_max_times);
    let tries = message.reconsume_times;
    let is_dead = tries > limit || (tries == limit && !request.to.is_v5());
    let topic = if is_dead {
        let name = names::dlq_topic(group);
        match ctx.broker.tables.topics.get(&name) {
            Some(topic) => Arc::clone(topic),
            None => return create_internal_topic(ctx, request, &name),
        }
    } else {
        retry
    };
    let queue_id = if is_dead {
        Some(0)
    } else {
        choose_queue(ctx, request, message, &topic)
    };
    match queue_id {
        Some(queue_id) if ctx.owns(&topic.config.topic_name, queue_id, request) => {
            let meter = ctx.front.metrics.topic(topic.id, &topic.config.topic_name);
            let target = Target::new(ctx, &topic, queue_id, meter);
            append(ctx, request, message, &target).map(drop)
        }
        _ => Ok(()),
    }
}

/// A group that does not exist yet: created at home when that is automatic, else 26.
pub fn create_group<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    group: &str,
) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let Some(home) = &ctx.broker.home else {
        return Ok(());
    };
    let planned = home.groups.plan_use(group);
    match planned.map_err(|error| Refusal::group(&request.to, &error))? {
        GroupCreation::Create(config) => {
            let change = client::ensure(ctx, Action::PutGroup(config)).map_err(Refusal::engine)?;
            ctx.park(request, &[change])
        }
        GroupCreation::Exists(_) => Err(Refusal::engine(Refused::Unknown)),
    }
}

fn create_internal_topic<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    name: &str,
) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    match client::ensure_topic(ctx, name, 1).map_err(Refusal::engine)? {
        Some(change) => ctx.park(request, &[change]),
        None => Err(Refusal::new(
            response::SYSTEM_ERROR,
            format!("topic {name} cannot be created"),
        )),
    }
}

/// First stage: the record or batch gets its place; whoever waits for it is noted. Returns the queue.
fn append<I: Io>(
    ctx: &mut Context<'_, I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    target: &Target<'_>,
) -> Result<QueueNumber, Refusal> {
    let queue = if message.batch {
        append_batch(ctx.broker, request, message, target)?
    } else {
        append_single(ctx.broker, request, message, target)?
    };
    let received_ns = request.to.origin.received_ns;
    ctx.front
        .metrics
        .appended(received_ns, target.now.monotonic_ns);
    Ok(queue)
}

/// Where and when a send is appended.
struct Target<'a> {
    topic: &'a Topic,
    queue_id: u32,
    /// The queue's number, if it was looked up before.
    known: Option<QueueNumber>,
    meter: MeterId,
    now: Moment,
    /// How long it is waited for.
    wait_ns: u64,
}

impl<'a> Target<'a> {
    fn new<I: Io>(ctx: &Context<'_, I>, topic: &'a Topic, queue_id: u32, meter: MeterId) -> Self {
        Self {
            topic,
            queue_id,
            known: None,
            meter,
            now: ctx.front.now,
            wait_ns: ctx.broker.settings.store_timeout_ns,
        }
    }

    fn queue<I: Io>(&self, engine: &mut Shard<I>) -> Result<QueueNumber, Refusal> {
        match self.known {
            Some(queue) => Ok(queue),
            None => bound_queue(engine, self.topic, self.queue_id).map_err(Refusal::engine),
        }
    }

    fn waiter(&self, to: ReplyTo, queue_offset: u64, places: Places) -> SendWaiter {
        SendWaiter {
            to,
            due_ns: self.now.monotonic_ns + self.wait_ns,
            queue_id: self.queue_id,
            queue_offset,
            places,
            unique_key: SmallText::default(),
            bytes: 0,
            meter: self.meter,
            appended_ns: self.now.monotonic_ns,
        }
    }
}

fn append_single<I: Io>(
    broker: &mut BrokerShard<I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    target: &Target<'_>,
) -> Result<QueueNumber, Refusal> {
    let (settings, scratch) = (&*broker.settings, &mut broker.scratch);
    scratch.properties.clear();
    message.properties.append_to(&mut scratch.properties);
    let mut marks = Marks::of(&scratch.properties);
    if marks.has_dropped {
        remove_dropped(&mut scratch.properties);
        marks = Marks::of(&scratch.properties);
    }
    check_features(message, &marks)?;
    scratch.added.clear();
    let new_key;
    let key = match marks.unique_key {
        Some(key) => std::str::from_utf8(key).unwrap_or_default(),
        None => {
            new_key = broker.unique_ids.issue(target.now.wall_ms).to_hex();
            put_property(&mut scratch.added, properties::UNIQUE_KEY, new_key.as_str());
            new_key.as_str()
        }
    };
    let pieces = [
        &scratch.properties,
        properties::separator_after(&scratch.properties),
        &scratch.added,
        &settings.stored_properties,
    ];
    let parts = RecordParts {
        body: request.body,
        properties: &pieces,
        ..parts_of(request, message, target, settings)
    };
    check_size(settings, &parts)?;
    let queue = target.queue(&mut broker.engine)?;
    let ticket = broker.sends.next_ticket();
    let tags_code = marks.tags.map_or(0, tags_code);
    let appended = broker
        .engine
        .append_tagged(queue, &parts, tags_code, ticket);
    let appended = appended.map_err(Refusal::engine)?;
    let place = Places::One(appended.physical);
    broker.sends.push(SendWaiter {
        unique_key: SmallText::new(key),
        bytes: appended.len,
        ..target.waiter(request.to, appended.queue_offset, place)
    });
    Ok(queue)
}

fn append_batch<I: Io>(
    broker: &mut BrokerShard<I>,
    request: &Request<'_>,
    message: &SendRequest<'_>,
    target: &Target<'_>,
) -> Result<QueueNumber, Refusal> {
    let (settings, scratch) = (&*broker.settings, &mut broker.scratch);
    scratch.properties.clear();
    message.properties.append_to(&mut scratch.properties);
    check_features(message, &Marks::of(&scratch.properties))?;
    check_batch(request, message, settings)?;
    let items = batch_items(request.body)?;
    let pieces: Vec<[&[u8]; 1]> = items.iter().map(|item| [item.properties]).collect();
    let mut records = Vec::with_capacity(items.len());
    for (item, properties) in items.iter().zip(&pieces) {
        check_features(message, &Marks::of(item.properties))?;
        let parts = RecordParts {
            flag: item.flag,
            body: item.body,
            properties,
            ..parts_of(request, message, target, settings)
        };
        check_size(settings, &parts)?;
        records.push(parts);
    }
    let queue = target.queue(&mut broker.engine)?;
    let ticket = broker.sends.next_ticket();
    let appended = broker.engine.append_batch(queue, &records, ticket);
    let appended = appended.map_err(Refusal::engine)?;
    let places = Places::Many(appended.physical.into());
    let bytes = records.iter().map(|record| record.encoded_len() as u32);
    broker.sends.push(SendWaiter {
        bytes: bytes.sum(),
        ..target.waiter(request.to, appended.first.queue_offset, places)
    });
    Ok(queue)
}

/// What the broker must know of a message's properties, found in one pass; the last of repeated
/// names counts.
#[derive(Debug, Default)]
struct Marks<'a> {
    unique_key: Option<&'a [u8]>,
    tags: Option<&'a [u8]>,
    /// A property that [`is_dropped`].
    has_dropped: bool,
    /// A property that delays the message.
    timer: Option<&'a [u8]>,
    is_half: bool,
}

impl<'a> Marks<'a> {
    fn of(properties: &'a [u8]) -> Self {
        let mut marks = Self::default();
        for (name, value) in Properties::new(properties).iter() {
            match name {
                b"UNIQ_KEY" => marks.unique_key = Some(value),
                b"TAGS" => marks.tags = Some(value),
                name if is_dropped(name) => marks.has_dropped = true,
                b"TRAN_MSG" => marks.is_half = value == b"true",
                b"DELAY" | b"TIMER_DELAY_SEC" | b"TIMER_DELAY_MS" | b"TIMER_DELIVER_MS"
                    if value != b"0" =>
                {
                    marks.timer = Some(name);
                }
                _ => {}
            }
        }
        marks
    }
}

/// Appends one pair; `name` and `value` are ours and contain no separator.
pub fn put_property(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_END);
    out.extend_from_slice(value.as_bytes());
    out.push(PAIR_END);
}

/// Not stored as it was sent: the receipt of a popped message, and what every message gets from the
/// broker (a message that was received and is sent again has it already).
fn is_dropped(name: &[u8]) -> bool {
    matches!(name, b"POP_CK" | b"MSG_REGION" | b"TRACE_ON" | b"CLUSTER")
}

fn remove_dropped(bytes: &mut Vec<u8>) {
    let mut kept = Vec::with_capacity(bytes.len());
    for (name, value) in Properties::new(bytes).iter() {
        if !is_dropped(name) {
            kept.extend_from_slice(name);
            kept.push(NAME_END);
            kept.extend_from_slice(value);
            kept.push(PAIR_END);
        }
    }
    *bytes = kept;
}

/// Delayed, timed and transactional messages are refused by name: stored as ordinary ones they would
/// be delivered at once.
fn check_features(message: &SendRequest<'_>, marks: &Marks<'_>) -> Handled {
    if let Some(name) = marks.timer {
        return Err(unsupported(
            "delayed messages",
            &String::from_utf8_lossy(name),
        ));
    }
    if marks.is_half || message.sys_flag & sys_flag::TRANSACTION != 0 {
        return Err(unsupported(
            "transactional messages",
            properties::TRANSACTION_PREPARED,
        ));
    }
    Ok(())
}

fn unsupported(what: &str, property: &str) -> Refusal {
    let remark = format!(
        "{what} are not supported by this broker yet (property {property}): the message was not stored"
    );
    Refusal::new(response::MESSAGE_ILLEGAL, remark)
}

fn check_batch(request: &Request<'_>, message: &SendRequest<'_>, settings: &Settings) -> Handled {
    if message.topic.len() > limits::TOPIC_NAME_BYTES_MAX {
        let remark = format!(
            "message topic length over {}: use a shorter topic for batches",
            limits::TOPIC_NAME_BYTES_MAX
        );
        return Err(Refusal::new(response::MESSAGE_ILLEGAL, remark));
    }
    if request.body.len() > settings.message_bytes_max {
        return Err(illegal_size(settings));
    }
    Ok(())
}

fn batch_items(body: &[u8]) -> Result<Vec<BatchItem<'_>>, Refusal> {
    let mut items = Vec::new();
    for item in BatchItems::new(body) {
        items.push(item.map_err(|e| Refusal::new(response::MESSAGE_ILLEGAL, e.to_string()))?);
        if items.len() > limits::BATCH_MESSAGES_MAX {
            let remark = format!(
                "a batch has at most {} messages",
                limits::BATCH_MESSAGES_MAX
            );
            return Err(Refusal::new(response::MESSAGE_ILLEGAL, remark));
        }
    }
    Ok(items)
}

fn check_size(settings: &Settings, parts: &RecordParts<'_>) -> Handled {
    if parts.body.len() > settings.message_bytes_max || parts.validate().is_err() {
        return Err(illegal_size(settings));
    }
    Ok(())
}

fn illegal_size(settings: &Settings) -> Refusal {
    let remark = format!(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit {}B, msg properties length limit 32KB.",
        settings.message_bytes_max
    );
    Refusal::new(response::MESSAGE_ILLEGAL, remark)
}

/// What all records of a request have in common.
fn parts_of<'a>(
    request: &Request<'a>,
    message: &SendRequest<'_>,
    target: &Target<'a>,
    settings: &Settings,
) -> RecordParts<'a> {
    let topic = target.topic;
    let many_tags = topic.config.topic_filter_type == TopicFilterType::MultiTag;
    let many_tags = if many_tags { sys_flag::MULTI_TAGS } else { 0 };
    RecordParts {
        topic: &topic.config.topic_name,
        queue_id: target.queue_id as i32,
        flag: message.flag,
        sys_flag: message.sys_flag | many_tags,
        born_timestamp: message.born_timestamp,
        born_host: request.to.origin.peer,
        store_host: settings.store_host,
        reconsume_times: message.reconsume_times,
        prepared_transaction_offset: 0,
        body: &[],
        properties: &[],
    }
}

/// Second stage: the record is stored.
pub fn stored<I: Io>(ctx: &mut Context<'_, I>, ticket: Ticket) {
    let (front, settings) = (&mut *ctx.front, &*ctx.broker.settings);
    let Some(send) = ctx.broker.sends.told(ticket) else {
        return;
    };
    count(front, send);
    match &send.places {
        Places::One(place) => {
            let receipt = Receipt {
                opaque: send.to.opaque,
                queue_id: send.queue_id,
                queue_offset: send.queue_offset,
                physical_offset: place.0 as i64,
                unique_key: send.unique_key.as_str(),
            };
            front.answer(&send.to, |out| {
                out.receipt(send.to.kind, &settings.receipts, &receipt);
            });
        }
        Places::Many(_) => answer(front, settings, send, response::SUCCESS, None),
    }
    ctx.broker.sends.done();
}

fn count<I: Io>(front: &mut Front<I>, send: &SendWaiter) {
    let messages = match &send.places {
        Places::One(_) => 1,
        Places::Many(places) => places.len() as u32,
    };
    let stored = StoredSend {
        meter: send.meter,
        messages,
        bytes: send.bytes,
        received_ns: send.to.origin.received_ns,
        appended_ns: send.appended_ns,
    };
    front.metrics.stored(&stored, front.now.monotonic_ns);
}

/// Answers one send whose time is up, if there is one: the disk took longer than `syncFlushTimeout`, and
/// the record may still become durable.
pub fn time_out<I: Io>(ctx: &mut Context<'_, I>, now_ns: u64) -> bool {
    let (front, settings) = (&mut *ctx.front, &*ctx.broker.settings);
    let Some(send) = ctx.broker.sends.due(now_ns) else {
        return false;
    };
    let code = response::FLUSH_DISK_TIMEOUT;
    let remark = "the message is written but not yet known to be on the disk";
    front.refused(&send.to, code, remark);
    answer(front, settings, send, code, Some(remark));
    ctx.broker.sends.done();
    true
}

/// A write failed: the outcome is unknown.
pub fn failed<I: Io>(ctx: &mut Context<'_, I>, ticket: Ticket) {
    let Some(send) = ctx.broker.sends.told(ticket) else {
        return;
    };
    let to = send.to;
    ctx.broker.sends.done();
    refuse(ctx, &to, &Refusal::unknown_outcome());
}

fn answer<I: Io>(
    front: &mut Front<I>,
    settings: &Settings,
    send: &SendWaiter,
    code: i32,
    remark: Option<&str>,
) {
    front.answer(&send.to, |out| {
        send.to.whole(out, code, remark, &[], |ext| {
            match &send.places {
                Places::One(place) => {
                    ext.put("msgId", offset_id(settings, *place).to_hex().as_str());
                }
                Places::Many(places) => ext.put("msgId", joined(settings, places).as_str()),
            }
            ext.put("queueId", send.queue_id);
            ext.put("queueOffset", send.queue_offset);
            if !send.unique_key.as_str().is_empty() {
                ext.put("transactionId", send.unique_key.as_str());
            }
            put_region(settings, ext);
        });
    });
}

fn offset_id(settings: &Settings, place: PhysicalOffset) -> OffsetId {
    OffsetId {
        host: settings.store_host,
        offset: place.0 as i64,
    }
}

fn joined(settings: &Settings, places: &[PhysicalOffset]) -> String {
    let mut ids = String::with_capacity(places.len() * 33);
    for (index, place) in places.iter().enumerate() {
        if index > 0 {
            ids.push(',');
        }
        ids.push_str(offset_id(settings, *place).to_hex().as_str());
    }
    ids
}

/// Java's clients read these two of every answer to a send, refusals too.
fn put_region(settings: &Settings, ext: &mut ExtWriter<'_>) {
    ext.put("MSG_REGION", settings.region.as_str());
    ext.put("TRACE_ON", settings.trace_on);
}

fn refuse<I: Io>(ctx: &mut Context<'_, I>, to: &ReplyTo, refusal: &Refusal) {
    ctx.front.refused(to, refusal.code, &refusal.remark);
    let settings = &ctx.broker.settings;
    ctx.front.answer(to, |out| {
        to.whole(out, refusal.code, Some(&refusal.remark), &[], |ext| {
            put_region(settings, ext);
        });
    });
}

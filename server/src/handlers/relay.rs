//! What only a client knows, asked through its broker: what a consumer is doing (307), how it takes
//! one message (309), where the members of a group are (223). At home, which knows their connections.

use std::collections::{BTreeMap, VecDeque};

use ringmq_engine::PhysicalOffset;
use ringmq_protocol::code::{request as code, response};
use ringmq_protocol::command::clients::{ConsumeDirectly, RunningInfoQuery};
use ringmq_protocol::command::offset::{ConsumerStatusQuery, ConsumerStatusTable};
use ringmq_protocol::message_id::OffsetId;
use ringmq_ring::Io;

use crate::calls::{Asking, Outcome};
use crate::connection::ConnectionId;
use crate::context::{Context, Handled, Request};
use crate::fastjson::Bare;
use crate::gather::{Asked, Question};
use crate::handlers::progress;
use crate::limits::SECOND_NS;
use crate::reply::{Refusal, ReplyTo};

/// A client may take this long for 307 and 309 (`Broker2Client.callClient`).
const CALL_NS: u64 = 10 * SECOND_NS;
/// And this long for 221.
const STATUS_NS: u64 = 5 * SECOND_NS;

/// A request's fields, to be sent on.
type Fields = Vec<(String, String)>;

fn fields(request: &Request<'_>) -> Fields {
    let fields = request.header.ext.iter();
    fields
        .map(|(name, value)| (name.to_cow().into_owned(), value.to_cow().into_owned()))
        .collect()
}

/// GET_CONSUMER_RUNNING_INFO.
pub fn running_info<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = RunningInfoQuery::decode(&request.header.ext);
    let client = Client::find(ctx, &asked.consumer_group, &asked.client_id)?;
    let code = code::GET_CONSUMER_RUNNING_INFO;
    client.relay(ctx, &request.to, code, &fields(request), &[])
}

/// CONSUME_MESSAGE_DIRECTLY: the client gets the record that the message id names.
pub fn consume_directly<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = ConsumeDirectly::decode(&request.header.ext);
    let client_id = asked.client_id.as_deref().unwrap_or_default();
    let client = Client::find(ctx, &asked.consumer_group, client_id)?;
    let id = asked.message_id.as_deref().unwrap_or_default();
    let not_found = format!("can not find message by the id, {id}");
    let offset = OffsetId::parse(id).ok();
    let offset = offset.and_then(|id| u64::try_from(id.offset).ok());
    let offset = offset.map(PhysicalOffset);
    let shards = ctx.front.mux.shards();
    let Some(offset) = offset.filter(|offset| offset.shard().0 < shards) else {
        return Err(Refusal::new(response::SYSTEM_ERROR, not_found));
    };
    let fields = fields_for_client(ctx, request, &asked);
    let asked = Asked::One(offset.shard().0);
    let question = Question::Record(offset);
    ctx.gather(&request.to, asked, question, move |ctx, to, found| {
        let Some(record) = found.record else {
            return Err(Refusal::new(response::SYSTEM_ERROR, not_found));
        };
        let code = code::CONSUME_MESSAGE_DIRECTLY;
        client.relay(ctx, to, code, &fields, &record)
    })
}

/// The request's fields and those that the broker adds.
fn fields_for_client<I: Io>(
    ctx: &Context<'_, I>,
    request: &Request<'_>,
    asked: &ConsumeDirectly<'_>,
) -> Fields {
    let tables = &ctx.broker.tables;
    let topic = asked.topic.as_deref().and_then(|t| tables.topics.get(t));
    let group = tables.groups.get(&asked.consumer_group);
    let added = [
        ("brokerName", Some(ctx.broker.settings.broker_name.clone())),
        (
            "topicSysFlag",
            topic.map(|topic| topic.config.topic_sys_flag.to_string()),
        ),
        (
            "groupSysFlag",
            group.map(|group| group.config.group_sys_flag.to_string()),
        ),
    ];
    let mut fields = fields(request);
    fields.retain(|(name, _)| added.iter().all(|(added, _)| added != name));
    for (name, value) in added {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    fields
}

/// A member of a group, to be asked something.
struct Client {
    connection: ConnectionId,
    group: String,
    id: String,
}

impl Client {
    fn find<I: Io>(ctx: &Context<'_, I>, group: &str, id: &str) -> Result<Self, Refusal> {
        let home = ctx.broker.home.as_ref();
        let members = home.and_then(|home| home.registry.consumer_group(group));
        let mut members = members.into_iter().flat_map(|group| group.members());
        let member = members.find(|(_, member)| member.client_id == id);
        let Some((connection, _)) = member else {
            let remark = format!("The Consumer <{group}> <{id}> not online");
            return Err(Refusal::new(response::SYSTEM_ERROR, remark));
        };
        Ok(Self {
            connection: ConnectionId::from_u64(connection.0),
            group: group.to_owned(),
            id: id.to_owned(),
        })
    }

    /// Sends a request on, and its answer back.
    fn relay<I: Io>(
        self,
        ctx: &mut Context<'_, I>,
        to: &ReplyTo,
        code: i32,
        fields: &Fields,
        body: &[u8],
    ) -> Handled {
        let asking = Asking {
            code,
            ext: |ext: &mut ringmq_protocol::header::ExtWriter<'_>| {
                for (name, value) in fields {
                    ext.put(name, value.as_str());
                }
            },
            body,
            timeout_ns: CALL_NS,
        };
        let Self {
            connection,
            group,
            id,
        } = self;
        ctx.call(to, connection, asking, move |ctx, to, outcome| {
            let (code, remark) = match outcome {
                Outcome::Answer(header, body) => {
                    let remark = header.remark.map(|remark| remark.to_cow());
                    let code = header.code;
                    ctx.front.answer(to, |out| {
                        to.whole(out, code, remark.as_deref(), body, |ext| {
                            for (name, value) in header.ext.iter() {
                                ext.put(&name.to_cow(), &*value.to_cow());
                            }
                        });
                    });
                    return Ok(());
                }
                Outcome::Late => {
                    let remark = format!(
                        "consumer <{group}> <{id}> Timeout: no answer within {} ms",
                        CALL_NS / 1_000_000
                    );
                    (response::CONSUME_MSG_TIMEOUT, remark)
                }
                Outcome::Gone => {
                    let remark = format!("The Consumer <{group}> <{id}> not online");
                    (response::SYSTEM_ERROR, remark)
                }
            };
            Err(Refusal::new(code, remark))
        })
    }
}

/// INVOKE_BROKER_TO_GET_CONSUMER_STATUS: each member is asked where it is, one after the other.
pub fn group_status<I: Io>(ctx: &mut Context<'_, I>, request: &Request<'_>) -> Handled {
    if !ctx.is_home(request) {
        return Ok(());
    }
    let asked = ConsumerStatusQuery::decode(&request.header.ext);
    let only = asked.client_address.as_deref().unwrap_or_default().trim();
    let home = ctx.broker.home.as_ref();
    let Some(group) = home.and_then(|home| home.registry.consumer_group(&asked.group)) else {
        let group = &asked.group;
        let remark = format!("No Any Consumer online in the consumer group: [{group}]");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    };
    let members = group.members();
    let members = members.filter(|(_, member)| only.is_empty() || member.client_id == only);
    let to_ask = members
        .map(|(id, member)| (ConnectionId::from_u64(id.0), member.client_id.clone()))
        .collect();
    let statuses = Statuses {
        topic: asked.topic.into_owned(),
        group: asked.group.into_owned(),
        to_ask,
        table: BTreeMap::new(),
    };
    statuses.ask_next(ctx, &request.to)
}

/// Where the members of a group are, as far as they have been asked.
struct Statuses {
    topic: String,
    group: String,
    to_ask: VecDeque<(ConnectionId, String)>,
    table: BTreeMap<String, BTreeMap<ringmq_protocol::command::MessageQueue, i64>>,
}

impl Statuses {
    /// A member that does not answer is left out.
    fn ask_next<I: Io>(mut self, ctx: &mut Context<'_, I>, to: &ReplyTo) -> Handled {
        let Some((connection, client_id)) = self.to_ask.pop_front() else {
            let body = ConsumerStatusTable {
                consumer_table: self.table,
                message_queue_table: BTreeMap::new(),
            };
            return progress::answer(ctx, to, &body.to_json(), Bare::Objects);
        };
        let (topic, group) = (self.topic.clone(), self.group.clone());
        let asking = Asking {
            code: code::GET_CONSUMER_STATUS_FROM_CLIENT,
            ext: |ext: &mut ringmq_protocol::header::ExtWriter<'_>| {
                ext.put("topic", topic.as_str());
                ext.put("group", group.as_str());
            },
            body: &[],
            timeout_ns: STATUS_NS,
        };
        ctx.call(to, connection, asking, move |ctx, to, outcome| {
            if let Outcome::Answer(header, body) = outcome
                && header.code == response::SUCCESS
                && let Ok(status) = ConsumerStatusTable::parse(body)
            {
                self.table.insert(client_id, status.message_queue_table);
            }
            self.ask_next(ctx, to)
        })
    }
}

//! Looking messages up.

use clap::Args;
use ringmq_client::admin::StoredMessage;
use ringmq_client::protocol::command::clients::ConsumeDirectly;
use ringmq_client::protocol::command::query::QueryMessage;
use ringmq_client::protocol::message_id::OffsetId;
use ringmq_client::{in_parallel, wait};

use super::Verb;
use crate::clock;
use crate::context::{AT_A_TIME, Context};
use crate::error::{Result, ToolError};
use crate::message_text::{body_text, pairs};
use crate::report::{Cell, Report, Table};

/// Most messages that a broker gives for a key.
const KEY_MATCHES_MAX: i32 = 64;

/// Shows a message by the id that its broker gave it, or its producer.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin queryMsgById -n 127.0.0.1:9876 -t TopicTest -i 7F00000100002A9F0000000000000112"
)]
pub struct QueryMsgById {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The id: 32 hexadecimal digits (56 with an IPv6 address); several separated by commas.
    #[arg(short = 'i', long, value_name = "ID", value_delimiter = ',')]
    msg_id: Vec<String>,
    /// Hand the message to a consumer of this group (with -d).
    #[arg(short = 'g', long, value_name = "GROUP", requires = "client_id")]
    consumer_group: Option<String>,
    /// The consumer that gets the message.
    #[arg(short = 'd', long, value_name = "CLIENT", requires = "consumer_group")]
    client_id: Option<String>,
}

impl Verb for QueryMsgById {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        if let (Some(group), Some(client)) = (&self.consumer_group, &self.client_id) {
            return hand_over(context, &self.topic, &self.msg_id, group, client);
        }
        let mut report = Report::new();
        for id in &self.msg_id {
            report = report.then(detail(&find(context, &self.topic, id)?));
        }
        Ok(report)
    }
}

/// A broker's id is looked up in its log, any other in the index of unique keys.
fn find(context: &Context<'_>, topic: &str, id: &str) -> Result<StoredMessage> {
    let known = context.masters_with(topic)?;
    if let Ok(place) = OffsetId::parse(id) {
        let host = place.host.to_string();
        if known.iter().any(|broker| broker.address == host) {
            let message = wait(
                context
                    .admin
                    .messages()
                    .by_physical_offset(&host, place.offset),
            );
            return message.map_err(|error| ToolError::at(&host, error));
        }
    }
    let query = unique(topic, id);
    by_key(context, &query)?
        .into_iter()
        .next()
        .ok_or_else(|| ToolError::NoSuch {
            what: "message",
            name: id.to_owned(),
            nearest: None,
        })
}

fn unique<'a>(topic: &'a str, id: &'a str) -> QueryMessage<'a> {
    QueryMessage {
        topic: topic.into(),
        key: id.into(),
        max_messages: 32,
        end_timestamp: i64::MAX,
        unique_key: true,
        ..QueryMessage::default()
    }
}

/// What all brokers of the topic find.
fn by_key(context: &Context<'_>, query: &QueryMessage<'_>) -> Result<Vec<StoredMessage>> {
    let places = context.masters_with(&query.topic)?;
    let asked = places.iter().map(|place| async move {
        let found = context.admin.messages().by_key(&place.address, query).await;
        found.map_err(|error| ToolError::at(&place.address, error))
    });
    let mut messages = Vec::new();
    for found in wait(in_parallel(asked, AT_A_TIME)) {
        messages.extend(found?);
    }
    messages.sort_by_key(|message| message.store_ms);
    Ok(messages)
}

fn hand_over(
    context: &Context<'_>,
    topic: &str,
    ids: &[String],
    group: &str,
    client: &str,
) -> Result<Report> {
    let mut table = Table::new("results", &["id", "consumeResult", "spentMs", "remark"]);
    for id in ids {
        let message = find(context, topic, id)?;
        let broker = message.store_host.to_string();
        let request = ConsumeDirectly {
            consumer_group: group.into(),
            client_id: Some(client.into()),
            message_id: Some(message.offset_id.as_str().into()),
            topic: Some(topic.into()),
            ..ConsumeDirectly::default()
        };
        let result = wait(context.admin.clients().consume_directly(&broker, &request));
        let result = result.map_err(|error| ToolError::at(&broker, error))?;
        table.row([
            id.into(),
            result.consume_result.into(),
            result.spent_ms.into(),
            result.remark.into(),
        ]);
    }
    Ok(Report::new().table(table))
}

/// Everything about one message.
fn detail(message: &StoredMessage) -> Report {
    let properties = message
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), value.into()));
    Report::new()
        .pairs(message.id(), pairs(message))
        .pairs("properties", properties.collect::<Vec<(String, Cell)>>())
        .fact("body", body_text(message))
}

/// Shows a message by the id that its producer gave it.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin queryMsgByUniqueKey -n 127.0.0.1:9876 -t TopicTest -i FD00000000000000000000000000000279A15FFD2B27637FF2480000"
)]
pub struct QueryMsgByUniqueKey {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The id.
    #[arg(short = 'i', long, value_name = "ID")]
    msg_id: String,
    /// All messages with the id (a message that was sent again has it several times), at most 32.
    #[arg(short = 'a', long)]
    show_all: bool,
}

impl Verb for QueryMsgByUniqueKey {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        if !self.show_all {
            return Ok(detail(&find(context, &self.topic, &self.msg_id)?));
        }
        let messages = by_key(context, &unique(&self.topic, &self.msg_id))?;
        Ok(messages.iter().fold(Report::new(), |report, message| {
            report.then(detail(message))
        }))
    }
}

/// Lists the messages with a key.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin queryMsgByKey -n 127.0.0.1:9876 -t TopicTest -k order-4711"
)]
pub struct QueryMsgByKey {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The key.
    #[arg(short = 'k', long, value_name = "KEY")]
    msg_key: String,
    /// Stored at or after this time: `now`, milliseconds since 1970, or yyyy-MM-dd#HH:mm:ss:SSS.
    #[arg(short = 'b', long, value_name = "TIME", value_parser = clock::parse)]
    begin_timestamp: Option<i64>,
    /// Stored at or before this time, in the same forms.
    #[arg(short = 'e', long, value_name = "TIME", value_parser = clock::parse)]
    end_timestamp: Option<i64>,
    /// The most messages that each broker gives.
    #[arg(short = 'm', long, value_name = "COUNT", default_value_t = KEY_MATCHES_MAX)]
    max_num: i32,
}

impl Verb for QueryMsgByKey {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let query = QueryMessage {
            topic: self.topic.as_str().into(),
            key: self.msg_key.as_str().into(),
            max_messages: self.max_num,
            begin_timestamp: self.begin_timestamp.unwrap_or_default(),
            end_timestamp: self.end_timestamp.unwrap_or(i64::MAX),
            ..QueryMessage::default()
        };
        let mut table = Table::new(
            "messages",
            &["messageId", "qid", "offset", "storeTime", "tags"],
        );
        for message in by_key(context, &query)? {
            table.row([
                message.id().into(),
                message.queue_id.into(),
                message.queue_offset.into(),
                Cell::Time(message.store_ms),
                message.tag().into(),
            ]);
        }
        Ok(Report::new().table(table))
    }
}

/// Shows the message at an offset of a queue.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin queryMsgByOffset -n 127.0.0.1:9876 -t TopicTest -b broker-a -i 0 -o 42"
)]
pub struct QueryMsgByOffset {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The broker: its name, or `host:port`.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_name: String,
    /// The queue.
    #[arg(short = 'i', long, value_name = "QUEUE")]
    queue_id: i32,
    /// The offset.
    #[arg(short = 'o', long, value_name = "OFFSET")]
    offset: i64,
}

impl Verb for QueryMsgByOffset {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let broker = context.broker_address(&self.broker_name)?;
        let messages = context.admin.messages();
        let found = wait(messages.at(&broker, &self.topic, self.queue_id, self.offset))
            .map_err(|error| ToolError::at(&broker, error))?;
        if let Some(message) = found {
            return Ok(detail(&message));
        }
        let bounds = wait(
            context
                .admin
                .offsets()
                .bounds(&broker, &self.topic, self.queue_id),
        )?;
        Err(ToolError::NoSuch {
            what: "message at offset",
            name: format!(
                "{}: the queue has {} to {}",
                self.offset,
                bounds.0,
                bounds.1 - 1
            ),
            nearest: None,
        })
    }
}

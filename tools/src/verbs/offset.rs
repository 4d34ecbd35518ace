//! Moving offsets of groups.

use clap::Args;
use ringmq_client::protocol::code::response;
use ringmq_client::protocol::command::offset::{
    CloneGroupOffset as Clone, OffsetTable, ResetOffset,
};
use ringmq_client::{ClientError, wait};

use super::Verb;
use crate::clock;
use crate::context::{Context, Place};
use crate::error::{Result, ToolError};
use crate::report::{Report, Table};

/// The end of a queue, as a time.
const END: i64 = -1;

/// Moves a consumer group to the messages of a time. Consumers need not be restarted.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin resetOffsetByTime -n 127.0.0.1:9876 -g orders -t TopicTest -s 2026-11-20#07:29:02:000"
)]
pub struct ResetOffsetByTime {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group: String,
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The time: `now`, milliseconds since 1970, or a local time as yyyy-MM-dd#HH:mm:ss:SSS; -1 is the
    /// end.
    #[arg(short = 's', long, value_name = "TIME", value_parser = clock::parse, allow_hyphen_values = true)]
    timestamp: i64,
    /// Back as well as forth.
    #[arg(short = 'f', long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set)]
    force: bool,
    /// Only at this broker: `host:port`, or its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker: Option<String>,
    /// Only this queue (5.x).
    #[arg(short = 'q', long, value_name = "QUEUE", requires = "broker")]
    queue: Option<i32>,
    /// To this offset rather than to a time (5.x).
    #[arg(short = 'o', long, value_name = "OFFSET", requires = "queue")]
    offset: Option<i64>,
}

impl Verb for ResetOffsetByTime {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut masters = context.masters_with(&self.topic)?;
        if let Some(broker) = &self.broker {
            let address = context.broker_address(broker)?;
            masters.retain(|place| place.address == address);
        }
        let fields = ResetOffset {
            topic: self.topic.as_str().into(),
            group: self.group.as_str().into(),
            timestamp: self.timestamp,
            is_force: self.force,
            queue_id: Some(self.queue.unwrap_or(-1)),
            offset: Some(self.offset.unwrap_or(-1)),
        };
        if self.queue.is_some() {
            refuse_old(context, &masters)?;
        }
        reset(context, &masters, &fields)
    }
}

/// Brokers before 5.x do not know of single queues and would move all.
fn refuse_old(context: &Context<'_>, masters: &[Place]) -> Result<()> {
    for place in masters {
        let status = wait(context.admin.brokers().status(&place.address));
        let status = status.map_err(|error| ToolError::at(&place.address, error))?;
        let version = status.get("brokerVersionDesc").map_or("", String::as_str);
        if version.starts_with("V4") || version.starts_with("V3") {
            return Err(ToolError::Usage(format!(
                "{} is {version}: it can move all queues of the topic only, so leave -q and -o out",
                place.address
            )));
        }
    }
    Ok(())
}

fn reset(context: &Context<'_>, masters: &[Place], fields: &ResetOffset<'_>) -> Result<Report> {
    let mut table = Table::new("queues", &["brokerName", "queueId", "offset"]);
    for place in masters {
        let outcome = match wait(context.admin.offsets().reset(&place.address, fields)) {
            // Brokers before 5.x have connected members move themselves, and refuse a group that has
            // none, or that has not committed every queue yet.
            Err(error)
                if error.has_code(response::CONSUMER_NOT_ONLINE)
                    || error.has_code(response::SYSTEM_ERROR)
                        && wait(is_offline(context, place, fields)) =>
            {
                wait(reset_offline(context, place, fields))
            }
            outcome => outcome,
        };
        let moved = outcome.map_err(|error| ToolError::at(&place.address, error))?;
        for (queue, offset) in &moved.offset_table {
            table.row([
                (&queue.broker_name).into(),
                queue.queue_id.into(),
                (*offset).into(),
            ]);
        }
    }
    Ok(Report::new()
        .fact("group", fields.group.as_ref())
        .fact("topic", fields.topic.as_ref())
        .fact("timestamp", fields.timestamp)
        .table(table))
}

async fn is_offline(context: &Context<'_>, place: &Place, fields: &ResetOffset<'_>) -> bool {
    let found = context
        .admin
        .clients()
        .consumers(&place.address, &fields.group)
        .await;
    matches!(found, Err(error) if error.has_code(response::CONSUMER_NOT_ONLINE))
}

/// Commits the offset of the time for each queue that the group has an offset of.
async fn reset_offline(
    context: &Context<'_>,
    place: &Place,
    fields: &ResetOffset<'_>,
) -> std::result::Result<OffsetTable, ClientError> {
    let offsets = context.admin.offsets();
    let (topic, group) = (fields.topic.as_ref(), fields.group.as_ref());
    let progress = offsets.progress(&place.address, group, Some(topic)).await?;
    let mut moved = OffsetTable::default();
    for (queue, now) in progress.offset_table {
        let wanted = match fields.timestamp {
            END => now.broker_offset,
            time_ms => {
                offsets
                    .at_time(&place.address, topic, queue.queue_id, time_ms)
                    .await?
            }
        };
        if fields.is_force || wanted <= now.consumer_offset {
            let queue = (topic, queue.queue_id);
            offsets.commit(&place.address, group, queue, wanted).await?;
        }
        moved.offset_table.insert(queue, wanted);
    }
    Ok(moved)
}

/// Moves a consumer group to the end of a topic: what waits is never consumed by it.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin skipAccumulatedMessage -n 127.0.0.1:9876 -g orders -t TopicTest"
)]
pub struct SkipAccumulatedMessage {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group: String,
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// Back as well as forth.
    #[arg(short = 'f', long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set)]
    force: bool,
}

impl Verb for SkipAccumulatedMessage {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let masters = context.masters_with(&self.topic)?;
        let fields = ResetOffset {
            topic: self.topic.as_str().into(),
            group: self.group.as_str().into(),
            timestamp: END,
            is_force: self.force,
            queue_id: Some(-1),
            offset: Some(-1),
        };
        reset(context, &masters, &fields)
    }
}

/// Gives a consumer group the offsets of another.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin cloneGroupOffset -n 127.0.0.1:9876 -s orders -d orders-copy -t TopicTest -o true"
)]
pub struct CloneGroupOffset {
    /// The group whose offsets are copied.
    #[arg(short = 's', long, value_name = "GROUP")]
    src_group: String,
    /// The group that gets them.
    #[arg(short = 'd', long, value_name = "GROUP")]
    dest_group: String,
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// Also where the source group does not consume the topic at present.
    #[arg(short = 'o', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    offline: bool,
}

impl Verb for CloneGroupOffset {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let servers = crate::context::addresses(context.masters_with(&self.topic)?);
        let done = format!("offsets of {} for {}", self.src_group, self.dest_group);
        Ok(context.at_each(&done, &servers, |broker| async move {
            let fields = Clone {
                source_group: self.src_group.as_str().into(),
                target_group: self.dest_group.as_str().into(),
                topic: Some(self.topic.as_str().into()),
                offline: self.offline,
            };
            context.admin.offsets().clone_group(&broker, &fields).await
        }))
    }
}

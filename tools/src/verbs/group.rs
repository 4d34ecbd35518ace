//! Consumer groups.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ringmq_client::protocol::command::topic::{
    RequestMode, SubscriptionGroupConfig, SubscriptionGroupList,
};
use ringmq_client::protocol::types::{DLQ_PREFIX, RETRY_PREFIX};
use ringmq_client::{ClientError, wait};
use serde_json::Value;

use super::Verb;
use super::topic::read_list;
use crate::context::{Context, Target, no_such};
use crate::error::{Result, ToolError};
use crate::report::{Cell, Report};

/// Creates a consumer group, or changes it: what is not given is set to its default, as mqadmin does.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateSubGroup -n 127.0.0.1:9876 -c DefaultCluster -g orders -r 5"
)]
pub struct UpdateSubGroup {
    #[command(flatten)]
    target: Target,
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group_name: String,
    /// May consume.
    #[arg(short = 's', long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set)]
    consume_enable: bool,
    /// May begin at the first offset.
    #[arg(short = 'm', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    consume_from_min_enable: bool,
    /// May broadcast.
    #[arg(short = 'd', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    consume_broadcast_enable: bool,
    /// Consumes in order (5.x).
    #[arg(short = 'o', long, value_name = "true|false", action = clap::ArgAction::Set)]
    consume_message_orderly: Option<bool>,
    /// Queues of its retry topic.
    #[arg(short = 'q', long, value_name = "COUNT", default_value_t = 1)]
    retry_queue_nums: u16,
    /// Tries after the first.
    #[arg(short = 'r', long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(i32).range(-1..))]
    retry_max_times: i32,
    /// How long to wait between tries (5.x), as JSON:
    /// `{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000,5000]}}`, times in milliseconds.
    #[arg(short = 'p', long, value_name = "JSON")]
    group_retry_policy: Option<String>,
    /// Broker id that it pulls from; 0 is the master.
    #[arg(short = 'i', long, value_name = "ID", default_value_t = 0)]
    broker_id: i64,
    /// Broker id that it pulls from when it lags.
    #[arg(short = 'w', long, value_name = "ID", default_value_t = 1)]
    which_broker_when_consume_slowly: i64,
    /// Tell members when others come and go.
    #[arg(short = 'a', long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set)]
    notify_consumer_ids_changed: bool,
}

impl Verb for UpdateSubGroup {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let policy = self
            .group_retry_policy
            .as_deref()
            .map(serde_json::from_str::<Value>);
        let policy = policy
            .transpose()
            .map_err(|error| ToolError::Usage(format!("the retry policy is no JSON: {error}")))?;
        let group = SubscriptionGroupConfig {
            broker_id: self.broker_id,
            consume_broadcast_enable: self.consume_broadcast_enable,
            consume_enable: self.consume_enable,
            consume_from_min_enable: self.consume_from_min_enable,
            consume_message_orderly: self.consume_message_orderly,
            group_name: self.group_name.clone(),
            group_retry_policy: policy,
            notify_consumer_ids_changed_enable: self.notify_consumer_ids_changed,
            retry_max_times: self.retry_max_times,
            retry_queue_nums: self.retry_queue_nums.into(),
            which_broker_when_consume_slowly: self.which_broker_when_consume_slowly,
            ..SubscriptionGroupConfig::default()
        };
        let servers = context.targets(&self.target)?;
        Ok(
            context.at_each(&format!("group {}", self.group_name), &servers, |broker| {
                let group = &group;
                async move { context.admin.groups().create(&broker, group).await }
            }),
        )
    }
}

/// Creates or changes the consumer groups that a JSON file lists.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateSubGroupList -n 127.0.0.1:9876 -c DefaultCluster -f groups.json\nThe file: [{\"groupName\":\"a\",\"retryMaxTimes\":5}, ...]"
)]
pub struct UpdateSubGroupList {
    #[command(flatten)]
    target: Target,
    /// The file.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: PathBuf,
}

impl Verb for UpdateSubGroupList {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let groups: Vec<SubscriptionGroupConfig> = read_list(&self.filename)?;
        if let Some(place) = groups.iter().position(|group| group.group_name.is_empty()) {
            return Err(ToolError::Usage(format!(
                "entry {} has no groupName",
                place + 1
            )));
        }
        let list = SubscriptionGroupList {
            group_config_list: groups,
        };
        let servers = context.targets(&self.target)?;
        let done = format!("{} groups", list.group_config_list.len());
        Ok(context.at_each(&done, &servers, |broker| {
            let list = &list;
            async move { create_all(context, &broker, list).await }
        }))
    }
}

/// In one request; one by one where the broker is too old for that.
async fn create_all(
    context: &Context<'_>,
    broker: &str,
    list: &SubscriptionGroupList,
) -> std::result::Result<(), ClientError> {
    let groups = context.admin.groups();
    match groups.create_many(broker, list).await {
        Err(error) if error.has_code(3) => {}
        outcome => return outcome,
    }
    for group in &list.group_config_list {
        groups.create(broker, group).await?;
    }
    Ok(())
}

/// Deletes a consumer group; from a cluster (-c) with its retry and dead letter topics, as mqadmin
/// does.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin deleteSubGroup -n 127.0.0.1:9876 -c DefaultCluster -g orders -r true"
)]
pub struct DeleteSubGroup {
    #[command(flatten)]
    target: Target,
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group_name: String,
    /// Its offsets too.
    #[arg(short = 'r', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    remove_offset: bool,
}

impl Verb for DeleteSubGroup {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let servers = context.targets(&self.target)?;
        let derived =
            [RETRY_PREFIX, DLQ_PREFIX].map(|prefix| format!("{prefix}{}", self.group_name));
        let of_cluster = self.target.cluster_name.as_deref();
        let done = format!("deleting group {}", self.group_name);
        let report = context.at_each(&done, &servers, |broker| {
            let derived = &derived;
            async move {
                let groups = context.admin.groups();
                groups
                    .delete(&broker, &self.group_name, self.remove_offset)
                    .await?;
                for topic in derived.iter().filter(|_| of_cluster.is_some()) {
                    context.admin.topics().delete(&broker, topic).await?;
                }
                Ok(())
            }
        });
        if of_cluster.is_some() && report.failure.is_none() {
            for topic in &derived {
                wait(context.admin.topics().delete_routes(topic, of_cluster))?;
            }
        }
        Ok(report)
    }
}

/// Shows the settings of a consumer group at each broker that has it.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin getConsumerConfig -n 127.0.0.1:9876 -g orders"
)]
pub struct GetConsumerConfig {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group_name: String,
}

impl Verb for GetConsumerConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let (mut report, mut known, mut found) = (Report::new(), Vec::new(), false);
        for place in context.masters()? {
            let table = wait(context.admin.groups().all(&place.address));
            let table = table.map_err(|error| ToolError::at(&place.address, error))?;
            let groups = table.subscription_group_table;
            if let Some(group) = groups.get(&self.group_name) {
                found = true;
                let title = format!("{}:{}", place.cluster, place.name);
                report = report.pairs(&title, members(group));
            }
            known.extend(groups.into_keys());
        }
        if found {
            return Ok(report);
        }
        Err(no_such(
            "group",
            &self.group_name,
            known.iter().map(String::as_str),
        ))
    }
}

/// The members of a group's settings as names and values.
fn members(group: &SubscriptionGroupConfig) -> Vec<(String, Cell)> {
    let Ok(Value::Object(members)) = serde_json::to_value(group) else {
        return Vec::new();
    };
    let cell = |value: Value| match value {
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => number.as_i64().into(),
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    };
    members
        .into_iter()
        .map(|(name, value)| (name, cell(value)))
        .collect()
}

/// Makes a group pull a topic, or pop it (5.x).
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin setConsumeMode -n 127.0.0.1:9876 -c DefaultCluster -t TopicTest -g orders -m POP -q 0"
)]
pub struct SetConsumeMode {
    #[command(flatten)]
    target: Target,
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic_name: String,
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group_name: String,
    /// How it consumes.
    #[arg(short = 'm', long, value_name = "MODE", ignore_case = true)]
    mode: Mode,
    /// Queues that each consumer shares with others when popping; 0 is all.
    #[arg(short = 'q', long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    pop_share_queue_num: i32,
}

/// How a group consumes.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Mode {
    /// Queues are allocated to consumers, which pull them.
    Pull,
    /// The broker hands messages of any queue out.
    Pop,
}

impl Verb for SetConsumeMode {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mode = RequestMode {
            consumer_group: self.group_name.clone(),
            mode: match self.mode {
                Mode::Pull => "PULL".to_owned(),
                Mode::Pop => "POP".to_owned(),
            },
            pop_share_queue_num: self.pop_share_queue_num,
            topic: self.topic_name.clone(),
        };
        let servers = context.targets(&self.target)?;
        Ok(context.at_each("consume mode", &servers, |broker| {
            let mode = &mode;
            async move { context.admin.groups().set_mode(&broker, mode).await }
        }))
    }
}

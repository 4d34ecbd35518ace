//! How far consumer groups are.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use ringmq_client::protocol::command::MessageQueue;
use ringmq_client::protocol::command::heartbeat::ConsumeType;
use ringmq_client::protocol::command::stats::{ConsumeOffset, ConsumerConnections};
use ringmq_client::protocol::types::RETRY_PREFIX;
use ringmq_client::{ClientError, in_parallel, wait};

use super::Verb;
use crate::context::{AT_A_TIME, Context, addresses, no_such};
use crate::error::{Result, ToolError};
use crate::report::{Cell, Report, Table};

/// Groups of the system: shown only by name.
const SYSTEM_GROUPS: [&str; 9] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
    "CID_SYS_RMQ_TRANS",
];

/// Shows how far a consumer group is, queue by queue; without a group, every group on one line.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin consumerProgress -n 127.0.0.1:9876 -g orders --watch=1"
)]
pub struct ConsumerProgress {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    group_name: Option<String>,
    /// Only this topic.
    #[arg(short = 't', long, value_name = "TOPIC", requires = "group_name")]
    topic_name: Option<String>,
    /// With the client that consumes each queue.
    #[arg(short = 's', long = "showClientIP", value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    show_client_ip: bool,
    /// Only the brokers of this cluster.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

impl Verb for ConsumerProgress {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        match &self.group_name {
            Some(group) => self.of_group(context, group),
            None => self.of_all(context),
        }
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// A group's offsets of several brokers.
#[derive(Default)]
pub struct Progress {
    /// By queue.
    pub queues: BTreeMap<MessageQueue, ConsumeOffset>,
    /// Messages consumed a second.
    pub tps: f64,
}

impl Progress {
    /// Messages that wait.
    pub fn diff(&self) -> i64 {
        self.queues
            .values()
            .map(|offset| offset.broker_offset - offset.consumer_offset)
            .sum()
    }
}

/// Asks each broker for a group's offsets.
pub async fn progress_of(
    context: &Context<'_>,
    brokers: &[String],
    group: &str,
    topic: Option<&str>,
) -> std::result::Result<Progress, (String, ClientError)> {
    let mut progress = Progress::default();
    for broker in brokers {
        let stats = context.admin.offsets().progress(broker, group, topic).await;
        let stats = stats.map_err(|error| (broker.clone(), error))?;
        progress.tps += stats.consume_tps;
        progress.queues.extend(stats.offset_table);
    }
    Ok(progress)
}

impl ConsumerProgress {
    fn brokers(&self, context: &Context<'_>, group: &str) -> Result<Vec<String>> {
        match &self.cluster {
            Some(cluster) => Ok(addresses(context.masters_of(cluster)?)),
            None => context.brokers_of_group(group),
        }
    }

    fn of_group(&self, context: &Context<'_>, group: &str) -> Result<Report> {
        let brokers = self.brokers(context, group)?;
        let topic = self.topic_name.as_deref();
        let progress = wait(progress_of(context, &brokers, group, topic))
            .map_err(|(broker, error)| ToolError::at(&broker, error))?;
        if progress.queues.is_empty() {
            refuse_unknown(context, &brokers, group)?;
        }
        let owners = match self.show_client_ip {
            true => owners(context, &brokers, group),
            false => BTreeMap::new(),
        };
        let mut table = Table::new(
            "queues",
            &[
                "topic",
                "brokerName",
                "qid",
                "brokerOffset",
                "consumerOffset",
                "client",
                "diff",
                "inflight",
                "lastTime",
            ],
        );
        for (queue, offset) in &progress.queues {
            let in_flight = offset
                .pull_offset
                .map(|pull| (pull - offset.consumer_offset).max(0));
            table.row([
                (&queue.topic).into(),
                (&queue.broker_name).into(),
                queue.queue_id.into(),
                offset.broker_offset.into(),
                offset.consumer_offset.into(),
                owners.get(queue).into(),
                (offset.broker_offset - offset.consumer_offset).into(),
                in_flight.into(),
                Cell::Time(offset.last_timestamp),
            ]);
        }
        let report = Report::new().table(table);
        Ok(report
            .fact("consumeTps", progress.tps)
            .fact("consumeDiffTotal", progress.diff()))
    }

    fn of_all(&self, context: &Context<'_>) -> Result<Report> {
        let masters = match &self.cluster {
            Some(cluster) => context.masters_of(cluster)?,
            None => context.masters()?,
        };
        let brokers = addresses(masters);
        let groups = all_groups(context, &brokers)?;
        let brokers = &brokers;
        let rows = groups.iter().map(|group| async move {
            let members = members(context, brokers, group).await;
            let progress = progress_of(context, brokers, group, None).await;
            (group, members, progress.unwrap_or_default())
        });
        let mut table = Table::new(
            "groups",
            &[
                "group",
                "count",
                "version",
                "type",
                "model",
                "tps",
                "diffTotal",
            ],
        );
        for (group, members, progress) in wait(in_parallel(rows, AT_A_TIME)) {
            let oldest = members
                .connection_set
                .iter()
                .map(|client| client.version)
                .min();
            let online = oldest.is_some();
            table.row([
                group.into(),
                members.connection_set.len().into(),
                oldest
                    .map_or_else(|| "OFFLINE".to_owned(), version_name)
                    .into(),
                online.then(|| consume_type(members.consume_type)).into(),
                online.then(|| members.message_model.name()).into(),
                progress.tps.into(),
                progress.diff().into(),
            ]);
        }
        Ok(Report::new().table(table))
    }
}

/// A group that no broker has is refused with the nearest name.
fn refuse_unknown(context: &Context<'_>, brokers: &[String], group: &str) -> Result<()> {
    let known = all_groups(context, brokers)?;
    if known.contains(group) || SYSTEM_GROUPS.contains(&group) {
        return Ok(());
    }
    Err(no_such("group", group, known.iter().map(String::as_str)))
}

/// The groups of some brokers, those of the system left out.
pub fn all_groups(context: &Context<'_>, brokers: &[String]) -> Result<BTreeSet<String>> {
    let mut groups = BTreeSet::new();
    for broker in brokers {
        let table = wait(context.admin.groups().all(broker));
        let table = table.map_err(|error| ToolError::at(broker, error))?;
        groups.extend(table.subscription_group_table.into_keys());
    }
    for topic in wait(context.admin.topics().list()).unwrap_or_default() {
        groups.extend(topic.strip_prefix(RETRY_PREFIX).map(str::to_owned));
    }
    groups.retain(|group| !SYSTEM_GROUPS.contains(&group.as_str()));
    Ok(groups)
}

/// The members of a group at any of some brokers; none where it is offline. A client is connected to
/// every broker, so it is counted once.
pub async fn members(
    context: &Context<'_>,
    brokers: &[String],
    group: &str,
) -> ConsumerConnections {
    let mut all = ConsumerConnections::default();
    for broker in brokers {
        let Ok(found) = context.admin.clients().consumers(broker, group).await else {
            continue;
        };
        let known: BTreeSet<_> = all
            .connection_set
            .iter()
            .map(|client| client.client_id.clone())
            .collect();
        let more = found
            .connection_set
            .iter()
            .filter(|client| !known.contains(&client.client_id));
        let mut connections = all.connection_set.clone();
        connections.extend(more.cloned());
        let mut subscriptions = all.subscription_table;
        subscriptions.extend(found.subscription_table.clone());
        all = ConsumerConnections {
            connection_set: connections,
            subscription_table: subscriptions,
            ..found
        };
    }
    all
}

/// Which client consumes which queue: the clients are asked through their brokers.
fn owners(
    context: &Context<'_>,
    brokers: &[String],
    group: &str,
) -> BTreeMap<MessageQueue, String> {
    wait(async {
        let mut owners = BTreeMap::new();
        for client in members(context, brokers, group).await.connection_set {
            for broker in brokers {
                let clients = context.admin.clients();
                let info = clients.running_info(broker, group, &client.client_id, false);
                if let Ok(info) = info.await {
                    let queues = info.mq_table.into_keys();
                    owners.extend(queues.map(|queue| (queue, client.client_id.clone())));
                    break;
                }
            }
        }
        owners
    })
}

/// What mqadmin calls a way of consuming.
fn consume_type(consume_type: ConsumeType) -> &'static str {
    match consume_type {
        ConsumeType::Actively => "PULL",
        ConsumeType::Passively => "PUSH",
        ConsumeType::Pop => "POP",
    }
}

/// The number of version 4.0.0 (`MQVersion`): every patch from there on has two, its snapshot's first,
/// and every minor version ten patches.
const V4_0_0: i32 = 213;

/// `V5_5_0` for a version's number; the number itself below 4.0.0.
pub fn version_name(ordinal: i32) -> String {
    if ordinal < V4_0_0 {
        return ordinal.to_string();
    }
    let (after, snapshot) = (ordinal - V4_0_0, ordinal % 2 == 0);
    let patch = (after + 1) / 2;
    let (major, minor) = (4 + patch / 100, patch / 10 % 10);
    let end = if snapshot { "_SNAPSHOT" } else { "" };
    format!("V{major}_{minor}_{}{end}", patch % 10)
}

/// Shows how far every group of a broker is.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin brokerConsumeStats -n 127.0.0.1:9876 -b 127.0.0.1:10911 -l 100"
)]
pub struct BrokerConsumeStats {
    /// The broker: `host:port`, or its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_addr: String,
    /// Only queues with at least so many messages that wait.
    #[arg(short = 'l', long, value_name = "MESSAGES", default_value_t = 0)]
    level: i64,
    /// Only groups that consume in order.
    #[arg(short = 'o', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    order: bool,
}

impl Verb for BrokerConsumeStats {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let broker = context.broker_address(&self.broker_addr)?;
        let stats = wait(context.admin.offsets().progress_of_all(&broker, self.order))?;
        let mut table = Table::new(
            "queues",
            &[
                "topic",
                "group",
                "brokerName",
                "qid",
                "brokerOffset",
                "consumerOffset",
                "diff",
                "lastTime",
            ],
        );
        for (group, topics) in stats.consume_stats_list.iter().flatten() {
            for (queue, offset) in topics.iter().flat_map(|topic| &topic.offset_table) {
                let diff = offset.broker_offset - offset.consumer_offset;
                if diff < self.level {
                    continue;
                }
                table.row([
                    (&queue.topic).into(),
                    group.into(),
                    (&queue.broker_name).into(),
                    queue.queue_id.into(),
                    offset.broker_offset.into(),
                    offset.consumer_offset.into(),
                    diff.into(),
                    Cell::Time(offset.last_timestamp),
                ]);
            }
        }
        Ok(Report::new()
            .table(table)
            .fact("diffTotal", stats.total_diff))
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_names_of_the_reference() {
        let names = [407, 408, 409, 513, 37].map(version_name);
        assert_eq!(
            names,
            ["V4_9_7", "V4_9_8_SNAPSHOT", "V4_9_8", "V5_5_0", "37"]
        );
    }
}

//! Writing a cluster's state to files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ringmq_client::wait;
use serde_json::{Map, Value, json};

use super::Verb;
use super::progress::version_name;
use crate::clock;
use crate::context::{Context, Target};
use crate::error::{Result, ToolError};
use crate::report::Report;

/// Where mqadmin writes.
const FOLDER: &str = "/tmp/rocketmq/export";

/// Writes a JSON file and tells where.
fn write(folder: &Path, name: &str, value: &Value) -> Result<Report> {
    let file = folder.join(name);
    let done = fs::create_dir_all(folder).and_then(|()| fs::write(&file, format!("{value:#}\n")));
    done.map_err(|error| ToolError::Store(format!("{}: {error}", file.display())))?;
    Ok(Report::new().fact("file", file.display().to_string()))
}

/// Writes the topics and groups of a cluster or a broker to a file.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin exportMetadata -n 127.0.0.1:9876 -c DefaultCluster -f /tmp/rocketmq/export"
)]
pub struct ExportMetadata {
    #[command(flatten)]
    target: Target,
    /// The folder.
    #[arg(short = 'f', long, value_name = "FOLDER", default_value = FOLDER)]
    file_path: PathBuf,
    /// Only topics.
    #[arg(short = 't', long, conflicts_with = "subscription_group")]
    topic: bool,
    /// Only groups.
    #[arg(short = 'g', long)]
    subscription_group: bool,
    /// Retry and dead letter topics too.
    #[arg(short = 's', long)]
    special_topic: bool,
}

impl Verb for ExportMetadata {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let (mut topics, mut groups) = (BTreeMap::new(), BTreeMap::new());
        for broker in context.targets(&self.target)? {
            let found = wait(context.admin.topics().all(&broker))
                .map_err(|error| ToolError::at(&broker, error))?;
            topics.extend(found.topic_config_table);
            let found = wait(context.admin.groups().all(&broker))
                .map_err(|error| ToolError::at(&broker, error))?;
            groups.extend(found.subscription_group_table);
        }
        let special = |name: &String| name.starts_with("%RETRY%") || name.starts_with("%DLQ%");
        topics.retain(|name, _| self.special_topic || !special(name));
        let mut members = Map::new();
        if !self.subscription_group {
            members.insert("topicConfigTable".into(), json!(topics));
        }
        if !self.topic {
            members.insert("subscriptionGroupTable".into(), json!(groups));
        }
        members.insert("exportTime".into(), clock::now_ms().into());
        let name = match (self.topic, self.subscription_group) {
            (true, _) => "topic.json",
            (_, true) => "subscriptionGroup.json",
            _ => "metadata.json",
        };
        let report = write(&self.file_path, name, &Value::Object(members))?;
        Ok(report
            .fact("topics", topics.len())
            .fact("groups", groups.len()))
    }
}

/// Writes the configuration of a cluster's name servers and brokers to a file.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin exportConfigs -n 127.0.0.1:9876 -c DefaultCluster -f /tmp/rocketmq/export"
)]
pub struct ExportConfigs {
    /// The cluster.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    cluster_name: String,
    /// The folder.
    #[arg(short = 'f', long, value_name = "FOLDER", default_value = FOLDER)]
    file_path: PathBuf,
}

impl Verb for ExportConfigs {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let masters = context.masters_of(&self.cluster_name)?;
        let all = context.brokers()?;
        let slaves = all
            .iter()
            .filter(|place| place.cluster == self.cluster_name && place.id != 0)
            .count();
        let mut configs = Map::new();
        for place in &masters {
            let config = wait(context.admin.brokers().config(&place.address));
            let config = config.map_err(|error| ToolError::at(&place.address, error))?;
            configs.insert(place.name.clone(), json!(config));
        }
        let servers = context.admin.name_servers().addresses();
        let value = json!({
            "clusterScale": {
                "namesrvSize": servers.len(),
                "masterBrokerSize": masters.len(),
                "slaveBrokerSize": slaves,
            },
            "brokerConfigs": configs,
            "exportTime": clock::now_ms(),
        });
        write(&self.file_path, "configs.json", &value)
    }
}

/// Writes versions, load and clients of a cluster's brokers to a file.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin exportMetrics -n 127.0.0.1:9876 -c DefaultCluster -f /tmp/rocketmq/export"
)]
pub struct ExportMetrics {
    /// The cluster.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    cluster_name: String,
    /// The folder.
    #[arg(short = 'f', long, value_name = "FOLDER", default_value = FOLDER)]
    file_path: PathBuf,
}

impl Verb for ExportMetrics {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut reports = Map::new();
        let (mut in_tps, mut out_tps, mut in_day, mut out_day) = (0.0, 0.0, 0, 0);
        for place in context.masters_of(&self.cluster_name)? {
            let load = Load::of(context, &place.address)?;
            in_tps += load.in_tps;
            out_tps += load.out_tps;
            in_day += load.in_day;
            out_day += load.out_day;
            reports.insert(place.name, load.value);
        }
        let value = json!({
            "evaluateReport": reports,
            "totalData": {
                "totalTps": { "totalNormalInTps": in_tps, "totalNormalOutTps": out_tps },
                "totalOneDayNum": { "normalOneDayInNum": in_day, "normalOneDayOutNum": out_day },
            },
            "exportTime": clock::now_ms(),
        });
        write(&self.file_path, "metrics.json", &value)
    }
}

/// One broker's part of the metrics.
struct Load {
    value: Value,
    in_tps: f64,
    out_tps: f64,
    in_day: i64,
    out_day: i64,
}

impl Load {
    fn of(context: &Context<'_>, broker: &str) -> Result<Self> {
        let failed = |error| ToolError::at(broker, error);
        let status = wait(context.admin.brokers().status(broker)).map_err(failed)?;
        let topics = wait(context.admin.topics().all(broker)).map_err(failed)?;
        let groups = wait(context.admin.groups().all(broker)).map_err(failed)?;
        let text = |name: &str| status.get(name).map(String::as_str);
        let rate = |name: &str| -> f64 {
            let first = text(name).and_then(|text| text.split_whitespace().next());
            first.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let number = |name: &str| -> i64 {
            text(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default()
        };
        let (in_tps, out_tps) = (
            rate("putTps"),
            rate("getTransferredTps") + rate("getTransferedTps"),
        );
        let in_day = number("msgPutTotalTodayMorning") - number("msgPutTotalYesterdayMorning");
        let out_day = number("msgGetTotalTodayMorning") - number("msgGetTotalYesterdayMorning");
        let value = json!({
            "runtimeQuota": {
                "commitLogDiskRatio": text("commitLogDiskRatio"),
                "consumeQueueDiskRatio": text("consumeQueueDiskRatio"),
                "inTps": { "normalInTps": in_tps },
                "outTps": { "normalOutTps": out_tps },
                "messageAverageSize": text("putMessageAverageSize"),
                "oneDayNum": { "normalOneDayInNum": in_day, "normalOneDayOutNum": out_day },
                "topicSize": topics.topic_config_table.len(),
                "groupSize": groups.subscription_group_table.len(),
            },
            "runtimeVersion": {
                "rocketmqVersion": text("brokerVersionDesc"),
                "clientInfo": clients(context, broker, groups.subscription_group_table.keys()),
            },
        });
        Ok(Self {
            value,
            in_tps,
            out_tps,
            in_day,
            out_day,
        })
    }
}

/// `JAVA%V5_5_0` for each kind of client that is connected.
fn clients<'g>(
    context: &Context<'_>,
    broker: &str,
    groups: impl Iterator<Item = &'g String>,
) -> Vec<String> {
    let clients = context.admin.clients();
    let mut kinds = std::collections::BTreeSet::new();
    for producer in wait(clients.all_producers(broker))
        .unwrap_or_default()
        .data
        .into_values()
        .flatten()
    {
        kinds.insert(format!(
            "{}%{}",
            producer.language,
            version_name(producer.version)
        ));
    }
    let asked = groups.map(|group| clients.consumers(broker, group));
    let found = wait(ringmq_client::in_parallel(asked, crate::context::AT_A_TIME));
    for client in found
        .into_iter()
        .flatten()
        .flat_map(|found| found.connection_set)
    {
        kinds.insert(format!(
            "{}%{}",
            client.language,
            version_name(client.version)
        ));
    }
    kinds.into_iter().collect()
}

//! Looking at topics.

use std::collections::BTreeSet;

use clap::Args;
use ringmq_client::{in_parallel, wait};
use serde_json::json;

use super::Verb;
use crate::context::{AT_A_TIME, Context};
use crate::error::{Result, ToolError};
use crate::report::{Cell, Report, Table};

/// Lists the topics that the name servers know.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin topicList -n 127.0.0.1:9876"
)]
pub struct TopicList {
    /// With the cluster and the consumer groups of each topic; retry and dead letter topics are left
    /// out.
    #[arg(short = 'c', long)]
    cluster_model: bool,
}

impl Verb for TopicList {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        if self.cluster_model {
            return with_groups(context);
        }
        let topics = wait(context.admin.topics().list())?;
        let mut report = Report::new();
        if !context.global.json {
            return Ok(topics.into_iter().fold(report, Report::line));
        }
        report = report.json_value("topics", json!(topics));
        Ok(report)
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

fn with_groups(context: &Context<'_>) -> Result<Report> {
    let topics = wait(context.admin.topics().list())?;
    let plain = topics
        .iter()
        .filter(|topic| !topic.starts_with("%RETRY%") && !topic.starts_with("%DLQ%"));
    let rows = plain.map(|topic| async move {
        let topics = context.admin.topics();
        let Ok(route) = topics.route(topic).await else {
            return (topic, BTreeSet::new(), BTreeSet::new());
        };
        let clusters: BTreeSet<String> = route
            .broker_datas
            .iter()
            .map(|broker| broker.cluster.clone())
            .collect();
        let mut groups = BTreeSet::new();
        for master in route
            .broker_datas
            .iter()
            .filter_map(|broker| broker.master())
        {
            groups.extend(topics.groups(master, topic).await.unwrap_or_default());
        }
        (topic, clusters, groups)
    });
    let mut table = Table::new("topics", &["clusterName", "topic", "consumerGroup"]);
    for (topic, clusters, groups) in wait(in_parallel(rows, AT_A_TIME)) {
        let cluster = Cell::from(clusters.into_iter().collect::<Vec<_>>().join(","));
        if groups.is_empty() {
            table.row([cluster.clone(), topic.into(), Cell::None]);
        }
        for group in groups {
            table.row([cluster.clone(), topic.into(), group.into()]);
        }
    }
    Ok(Report::new().table(table))
}

/// Shows the brokers and queues of a topic, as the name servers route it.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin topicRoute -n 127.0.0.1:9876 -t TopicTest -l"
)]
pub struct TopicRoute {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// As a table rather than as the route itself.
    #[arg(short = 'l', long)]
    list: bool,
}

impl Verb for TopicRoute {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let route = context.route(&self.topic)?;
        if !self.list {
            let value = serde_json::to_value(&route)
                .map_err(|error| ToolError::Store(error.to_string()))?;
            return Ok(Report::new().json_value("route", value));
        }
        let mut table = Table::new(
            "brokers",
            &[
                "clusterName",
                "brokerName",
                "brokerAddrs",
                "readQueue",
                "writeQueue",
                "perm",
            ],
        );
        let (mut read, mut write) = (0, 0);
        for queues in &route.queue_datas {
            let broker = route
                .broker_datas
                .iter()
                .find(|broker| broker.broker_name == queues.broker_name);
            let addresses = broker.iter().flat_map(|broker| &broker.broker_addrs);
            let addresses: Vec<_> = addresses
                .map(|(id, address)| format!("{id}={address}"))
                .collect();
            table.row([
                broker.map(|broker| broker.cluster.as_str()).into(),
                (&queues.broker_name).into(),
                addresses.join(",").into(),
                queues.read_queue_nums.into(),
                queues.write_queue_nums.into(),
                queues.perm.into(),
            ]);
            read += queues.read_queue_nums;
            write += queues.write_queue_nums;
        }
        let report = Report::new().table(table);
        Ok(report
            .fact("readQueueTotal", read)
            .fact("writeQueueTotal", write))
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// Shows the offsets of a topic's queues.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin topicStatus -n 127.0.0.1:9876 -t TopicTest --watch=1"
)]
pub struct TopicStatus {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    pub topic: String,
    /// Only the brokers of this cluster.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    pub cluster: Option<String>,
}

impl Verb for TopicStatus {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut masters = context.masters_with(&self.topic)?;
        masters.retain(|place| {
            self.cluster
                .as_ref()
                .is_none_or(|cluster| *cluster == place.cluster)
        });
        let mut table = Table::new(
            "queues",
            &[
                "brokerName",
                "qid",
                "minOffset",
                "maxOffset",
                "messages",
                "lastUpdated",
            ],
        );
        let mut rate: Option<f64> = None;
        let mut messages = 0;
        for place in masters {
            let stats = wait(context.admin.topics().stats(&place.address, &self.topic));
            let stats = stats.map_err(|error| ToolError::at(&place.address, error))?;
            for (queue, offsets) in &stats.offset_table {
                let stored = offsets.max_offset - offsets.min_offset;
                messages += stored;
                table.row([
                    (&queue.broker_name).into(),
                    queue.queue_id.into(),
                    offsets.min_offset.into(),
                    offsets.max_offset.into(),
                    stored.into(),
                    Cell::Time(offsets.last_update_timestamp),
                ]);
            }
            rate = stats
                .topic_put_tps
                .map(|more| rate.unwrap_or_default() + more)
                .or(rate);
        }
        let report = Report::new().table(table).fact("messageTotal", messages);
        Ok(match rate {
            Some(rate) => report.fact("topicPutTps", rate),
            None => report,
        })
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// Lists the clusters that have a topic.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin topicClusterList -n 127.0.0.1:9876 -t TopicTest"
)]
pub struct TopicClusterList {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
}

impl Verb for TopicClusterList {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let route = context.route(&self.topic)?;
        let clusters: BTreeSet<&str> = route
            .broker_datas
            .iter()
            .map(|broker| broker.cluster.as_str())
            .collect();
        let report = clusters
            .iter()
            .fold(Report::new(), |report, cluster| report.line(*cluster));
        Ok(match context.global.json {
            true => Report::new().json_value("clusters", json!(clusters)),
            false => report,
        })
    }
}

/// Shows which queues of a topic each of some consumers would get (averaged, in the order given).
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin allocateMQ -n 127.0.0.1:9876 -t TopicTest -i 10.0.0.1,10.0.0.2"
)]
pub struct AllocateMq {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The consumers, separated by commas.
    #[arg(short = 'i', long, value_name = "CONSUMERS", value_delimiter = ',')]
    ip_list: Vec<String>,
}

impl Verb for AllocateMq {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let route = context.route(&self.topic)?;
        let mut queues = Vec::new();
        for data in &route.queue_datas {
            let numbers = 0..data.read_queue_nums.clamp(0, 1 << 16);
            queues.extend(numbers.map(|queue_id| (data.broker_name.as_str(), queue_id)));
        }
        queues.sort_unstable();
        let mut table = Table::new("queues", &["consumer", "brokerName", "qid"]);
        for (place, consumer) in self.ip_list.iter().enumerate() {
            for (broker, queue_id) in &queues[share(queues.len(), self.ip_list.len(), place)] {
                table.row([consumer.into(), (*broker).into(), (*queue_id).into()]);
            }
        }
        Ok(Report::new().table(table))
    }
}

/// The queues of the consumer at `place`: equal shares, the first ones get one more.
fn share(queues: usize, consumers: usize, place: usize) -> std::ops::Range<usize> {
    let (each, more) = (queues / consumers, queues % consumers);
    let start = place * each + place.min(more);
    start..start + each + usize::from(place < more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_the_first_ones_get_what_is_left_over() {
        assert_eq!(
            [0, 1, 2].map(|place| share(8, 3, place)),
            [0..3, 3..6, 6..8]
        );
        assert_eq!([0, 1].map(|place| share(1, 2, place)), [0..1, 1..1]);
    }
}

//! Changing topics.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ringmq_client::protocol::command::topic::{TopicConfig, TopicConfigList};
use ringmq_client::{ClientError, wait};

use super::Verb;
use crate::context::{Context, Target, no_such};
use crate::error::{Result, ToolError};
use crate::report::Report;

/// Bit of a topic's flags: of a unit.
const UNIT: i32 = 1;
/// Bit of a topic's flags: subscribed to by a unit.
const UNIT_SUBSCRIBED: i32 = 2;

/// Creates a topic, or changes it: what is not given is set to its default, as mqadmin does.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateTopic -n 127.0.0.1:9876 -c DefaultCluster -t TopicTest -r 8 -w 8"
)]
pub struct UpdateTopic {
    #[command(flatten)]
    target: Target,
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// Queues of each broker that can be read.
    #[arg(short = 'r', long, value_name = "COUNT", default_value_t = 8)]
    read_queue_nums: u16,
    /// Queues of each broker that can be written.
    #[arg(short = 'w', long, value_name = "COUNT", default_value_t = 8)]
    write_queue_nums: u16,
    /// Permission: 2 write, 4 read, 6 both.
    #[arg(short = 'p', long, value_name = "2|4|6", default_value_t = 6, value_parser = clap::value_parser!(i32).range(0..=7))]
    perm: i32,
    /// Ordered; its layout goes to the name servers.
    #[arg(short = 'o', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    order: bool,
    /// Of a unit.
    #[arg(short = 'u', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    unit: bool,
    /// Subscribed to by a unit.
    #[arg(short = 's', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    has_unit_sub: bool,
    /// Changes of attributes (5.x): `+name=value,-name`.
    #[arg(short = 'a', long, value_name = "CHANGES", allow_hyphen_values = true)]
    attributes: Option<String>,
}

impl UpdateTopic {
    fn config(&self) -> Result<TopicConfig> {
        let attributes = self.attributes.as_deref().map(attributes).transpose()?;
        Ok(TopicConfig {
            attributes,
            order: self.order,
            perm: self.perm,
            read_queue_nums: self.read_queue_nums.into(),
            topic_name: self.topic.clone(),
            topic_sys_flag: i32::from(self.unit) * UNIT
                + i32::from(self.has_unit_sub) * UNIT_SUBSCRIBED,
            write_queue_nums: self.write_queue_nums.into(),
            ..TopicConfig::default()
        })
    }
}

/// `+name=value,-name` as the client has it.
fn attributes(changes: &str) -> Result<BTreeMap<String, String>> {
    let change = |text: &str| {
        if let Some((name, value)) = text.strip_prefix('+').and_then(|text| text.split_once('=')) {
            return Ok((name.to_owned(), value.to_owned()));
        }
        match text.strip_prefix('-') {
            Some(name) if !name.is_empty() => Ok((text.to_owned(), String::new())),
            _ => Err(ToolError::Usage(format!(
                "{text:?} is no change of an attribute: write +name=value or -name"
            ))),
        }
    };
    changes.split(',').map(str::trim).map(change).collect()
}

impl Verb for UpdateTopic {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let config = self.config()?;
        let servers = context.targets(&self.target)?;
        let report = context.at_each(&format!("topic {}", self.topic), &servers, |broker| {
            let config = &config;
            async move { context.admin.topics().create(&broker, config).await }
        });
        if self.order && report.failure.is_none() {
            self.tell_layout(context, &servers)?;
        }
        Ok(report)
    }
}

impl UpdateTopic {
    /// The layout of an ordered topic: all of it for a cluster, one broker's part for a broker.
    fn tell_layout(&self, context: &Context<'_>, servers: &[String]) -> Result<()> {
        let masters = context.masters()?;
        let named = masters
            .iter()
            .filter(|place| servers.contains(&place.address));
        let mut layout: BTreeMap<String, String> = BTreeMap::new();
        if self.target.broker_addr.is_some() {
            let known = wait(context.admin.topics().order(&self.topic))?.unwrap_or_default();
            let parts = known.split(';').filter_map(|part| part.split_once(':'));
            layout.extend(parts.map(|(name, count)| (name.to_owned(), count.to_owned())));
        }
        layout.extend(named.map(|place| (place.name.clone(), self.write_queue_nums.to_string())));
        let parts: Vec<_> = layout
            .iter()
            .map(|(name, count)| format!("{name}:{count}"))
            .collect();
        Ok(wait(
            context
                .admin
                .topics()
                .set_order(&self.topic, &parts.join(";")),
        )?)
    }
}

/// Creates or changes the topics that a JSON file lists.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateTopicList -n 127.0.0.1:9876 -c DefaultCluster -f topics.json\nThe file: [{\"topicName\":\"a\",\"readQueueNums\":8,\"writeQueueNums\":8,\"perm\":6}, ...]"
)]
pub struct UpdateTopicList {
    #[command(flatten)]
    target: Target,
    /// The file.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: PathBuf,
}

impl Verb for UpdateTopicList {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let topics: Vec<TopicConfig> = read_list(&self.filename)?;
        if let Some(place) = topics.iter().position(|topic| topic.topic_name.is_empty()) {
            return Err(ToolError::Usage(format!(
                "entry {} has no topicName",
                place + 1
            )));
        }
        let list = TopicConfigList {
            topic_config_list: topics,
        };
        let servers = context.targets(&self.target)?;
        let done = format!("{} topics", list.topic_config_list.len());
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
    list: &TopicConfigList,
) -> std::result::Result<(), ClientError> {
    let topics = context.admin.topics();
    match topics.create_many(broker, list).await {
        Err(error) if error.has_code(3) => {}
        outcome => return outcome,
    }
    for topic in &list.topic_config_list {
        topics.create(broker, topic).await?;
    }
    Ok(())
}

/// A JSON list of a file.
pub fn read_list<T: serde::de::DeserializeOwned>(file: &PathBuf) -> Result<Vec<T>> {
    let text = fs::read_to_string(file)
        .map_err(|error| ToolError::Usage(format!("{}: {error}", file.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| ToolError::Usage(format!("{} is no such list: {error}", file.display())))
}

/// Deletes a topic with all its messages from a cluster and its name servers.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin deleteTopic -n 127.0.0.1:9876 -c DefaultCluster -t TopicTest"
)]
pub struct DeleteTopic {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The cluster.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    cluster_name: String,
}

impl Verb for DeleteTopic {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let all = context.brokers()?;
        let places: Vec<_> = all
            .iter()
            .filter(|place| place.cluster == self.cluster_name)
            .collect();
        if places.is_empty() {
            let known = all.iter().map(|place| place.cluster.as_str());
            return Err(no_such("cluster", &self.cluster_name, known));
        }
        let servers: Vec<_> = places.iter().map(|place| place.address.clone()).collect();
        let done = format!("deleting topic {}", self.topic);
        let report = context.at_each(&done, &servers, |broker| async move {
            context.admin.topics().delete(&broker, &self.topic).await
        });
        if report.failure.is_none() {
            wait(
                context
                    .admin
                    .topics()
                    .delete_routes(&self.topic, Some(&self.cluster_name)),
            )?;
        }
        Ok(report)
    }
}

/// Changes the permission of a topic and nothing else.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateTopicPerm -n 127.0.0.1:9876 -c DefaultCluster -t TopicTest -p 4"
)]
pub struct UpdateTopicPerm {
    #[command(flatten)]
    target: Target,
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// Permission: 2 write, 4 read, 6 both.
    #[arg(short = 'p', long, value_name = "2|4|6", value_parser = clap::value_parser!(i32).range(0..=7))]
    perm: i32,
}

impl Verb for UpdateTopicPerm {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let masters = context.masters_with(&self.topic)?;
        let wanted = context.targets(&self.target)?;
        let places = masters.iter().map(|place| place.address.clone());
        let servers: Vec<_> = places.filter(|address| wanted.contains(address)).collect();
        if servers.is_empty() {
            return Err(ToolError::Usage(format!(
                "topic {} is not on {}",
                self.topic,
                wanted.join(", ")
            )));
        }
        let done = format!("permission {} of topic {}", self.perm, self.topic);
        Ok(context.at_each(&done, &servers, |broker| async move {
            let topics = context.admin.topics();
            let Some(mut config) = topics.settings(&broker, &self.topic).await? else {
                return Err(ClientError::NoRoute(self.topic.clone()));
            };
            config.perm = self.perm;
            // Attributes stay as they are unless a change is named.
            config.attributes = None;
            topics.create(&broker, &config).await
        }))
    }
}

/// Reads or changes the layout of an ordered topic at the name servers.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateOrderConf -n 127.0.0.1:9876 -t Orders -m put -v broker-a:4;broker-b:4"
)]
pub struct UpdateOrderConf {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// What to do.
    #[arg(short = 'm', long, value_name = "METHOD")]
    method: Method,
    /// The layout, for `put`: `broker-a:4;broker-b:4`.
    #[arg(
        short = 'v',
        long,
        value_name = "LAYOUT",
        required_if_eq("method", "put")
    )]
    order_conf: Option<String>,
}

/// What to do with the layout of an ordered topic.
#[derive(Clone, Copy, ValueEnum)]
enum Method {
    /// Set it.
    Put,
    /// Show it.
    Get,
    /// Remove it.
    Delete,
}

impl Verb for UpdateOrderConf {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let topics = context.admin.topics();
        let report = Report::new().fact("topic", &self.topic);
        match self.method {
            Method::Get => {
                let layout = wait(topics.order(&self.topic))?;
                Ok(report.fact("orderConf", layout))
            }
            Method::Put => {
                let layout = self.order_conf.as_deref().unwrap_or_default();
                wait(topics.set_order(&self.topic, layout))?;
                Ok(report.fact("orderConf", layout))
            }
            Method::Delete => {
                wait(topics.delete_order(&self.topic))?;
                Ok(report.fact("orderConf", crate::report::Cell::None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_attributes_are_read_and_nonsense_is_refused() {
        let changes = attributes("+message.type=FIFO, -queue.type").expect("changes");
        assert_eq!(changes["message.type"], "FIFO");
        assert!(changes.contains_key("-queue.type"));
        for wrong in ["message.type=FIFO", "+x", "-", ""] {
            assert!(attributes(wrong).is_err(), "{wrong}");
        }
    }
}

//! Connected clients.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use ringmq_client::protocol::command::clients::ConsumerRunningInfo;
use ringmq_client::protocol::command::stats::Connection;
use ringmq_client::wait;

use super::Verb;
use super::progress::{members, version_name};
use crate::context::Context;
use crate::error::{Result, ToolError};
use crate::report::{Cell, Report, Table};

const CONNECTION: &[&str] = &["clientId", "clientAddr", "language", "version"];

fn connections<'c>(clients: impl IntoIterator<Item = &'c Connection>) -> Table {
    let mut table = Table::new("clients", CONNECTION);
    for client in clients {
        table.row([
            (&client.client_id).into(),
            (&client.client_addr).into(),
            (&client.language).into(),
            version_name(client.version).into(),
        ]);
    }
    table
}

/// Shows the connected members of a consumer group and what they subscribe to.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin consumerConnection -n 127.0.0.1:9876 -g orders"
)]
pub struct ConsumerConnection {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    consumer_group: String,
    /// Ask only this broker: `host:port`, or its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_addr: Option<String>,
}

/// The brokers to ask about a group.
fn brokers(context: &Context<'_>, group: &str, broker: Option<&str>) -> Result<Vec<String>> {
    match broker {
        Some(broker) => Ok(vec![context.broker_address(broker)?]),
        None => context.brokers_of_group(group),
    }
}

impl Verb for ConsumerConnection {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let group = &self.consumer_group;
        let brokers = brokers(context, group, self.broker_addr.as_deref())?;
        let found = wait(members(context, &brokers, group));
        if found.connection_set.is_empty() {
            refuse_offline(context, &brokers, group)?;
        }
        let mut subscriptions = Table::new(
            "subscriptions",
            &["topic", "expressionType", "subExpression"],
        );
        for (topic, subscription) in &found.subscription_table {
            let kind = subscription.expression_type.as_deref().unwrap_or("TAG");
            subscriptions.row([topic.into(), kind.into(), (&subscription.sub_string).into()]);
        }
        Ok(Report::new()
            .table(connections(&found.connection_set))
            .line("")
            .table(subscriptions)
            .line("")
            .fact("consumeType", found.consume_type.name())
            .fact("messageModel", found.message_model.name())
            .fact("consumeFromWhere", found.consume_from_where.name()))
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// The refusal of the first broker that gives one.
fn refuse_offline(context: &Context<'_>, brokers: &[String], group: &str) -> Result<()> {
    for broker in brokers {
        wait(context.admin.clients().consumers(broker, group))
            .map_err(|error| ToolError::at(broker, error))?;
    }
    Ok(())
}

/// Shows the connected members of a producer group.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin producerConnection -n 127.0.0.1:9876 -g order-producers -t TopicTest"
)]
pub struct ProducerConnection {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    producer_group: String,
    /// A topic that it produces to: the brokers of it are asked.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
}

impl Verb for ProducerConnection {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let (mut found, mut last) = (BTreeMap::new(), None);
        for place in context.masters_with(&self.topic)? {
            match wait(
                context
                    .admin
                    .clients()
                    .producers(&place.address, &self.producer_group),
            ) {
                Ok(answer) => found.extend(
                    answer
                        .connection_set
                        .into_iter()
                        .map(|client| (client.client_id.clone(), client)),
                ),
                Err(error) => last = Some(ToolError::at(&place.address, error)),
            }
        }
        match last {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(Report::new().table(connections(found.values()))),
        }
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// Lists every producer connected to a broker.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin producer -n 127.0.0.1:9876 -b 127.0.0.1:10911"
)]
pub struct Producer {
    /// The broker: `host:port`, or its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker: String,
}

impl Verb for Producer {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let broker = context.broker_address(&self.broker)?;
        let found = wait(context.admin.clients().all_producers(&broker))?;
        let columns = &[
            "group",
            "clientId",
            "remoteIp",
            "language",
            "version",
            "lastUpdate",
        ];
        let mut table = Table::new("producers", columns);
        for (group, producers) in &found.data {
            for producer in producers {
                table.row([
                    group.into(),
                    (&producer.client_id).into(),
                    producer.remote_ip.trim_start_matches('/').into(),
                    (&producer.language).into(),
                    version_name(producer.version).into(),
                    Cell::Time(producer.last_update_timestamp),
                ]);
            }
        }
        Ok(Report::new().table(table))
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// Shows what the consumers of a group are doing: the brokers ask them.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin consumerStatus -n 127.0.0.1:9876 -g orders -i 10.0.0.1@4711"
)]
pub struct ConsumerStatus {
    /// The group.
    #[arg(short = 'g', long, value_name = "GROUP")]
    consumer_group: String,
    /// Only this client, with its queues and settings.
    #[arg(short = 'i', long, value_name = "CLIENT")]
    client_id: Option<String>,
    /// Ask only this broker: `host:port`, or its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_addr: Option<String>,
    /// With the stacks of the client's threads.
    #[arg(short = 's', long, requires = "client_id")]
    jstack: bool,
}

impl Verb for ConsumerStatus {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let brokers = brokers(context, &self.consumer_group, self.broker_addr.as_deref())?;
        match &self.client_id {
            Some(client) => Ok(of_client(&self.ask(context, &brokers, client)?)),
            None => self.of_all(context, &brokers),
        }
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

impl ConsumerStatus {
    fn ask(
        &self,
        context: &Context<'_>,
        brokers: &[String],
        client: &str,
    ) -> Result<ConsumerRunningInfo> {
        let mut last = ToolError::Usage("the group has no broker".into());
        for broker in brokers {
            let clients = context.admin.clients();
            match wait(clients.running_info(broker, &self.consumer_group, client, self.jstack)) {
                Ok(info) => return Ok(info),
                Err(error) => last = ToolError::at(broker, error),
            }
        }
        Err(last)
    }

    fn of_all(&self, context: &Context<'_>, brokers: &[String]) -> Result<Report> {
        let group = &self.consumer_group;
        let found = wait(members(context, brokers, group));
        if found.connection_set.is_empty() {
            refuse_offline(context, brokers, group)?;
        }
        let mut table = Table::new(
            "clients",
            &[
                "clientId",
                "version",
                "queues",
                "cachedMessages",
                "consumeOkTps",
                "consumeFailedTps",
                "startTime",
            ],
        );
        let (mut subscriptions, mut owned, mut twice) = (BTreeSet::new(), BTreeSet::new(), false);
        for client in &found.connection_set {
            let info = self.ask(context, brokers, &client.client_id)?;
            let start = info.properties.get("PROP_CONSUMER_START_TIMESTAMP");
            table.row([
                (&client.client_id).into(),
                version_name(client.version).into(),
                info.mq_table.len().into(),
                info.mq_table
                    .values()
                    .map(|queue| queue.cached_msg_count)
                    .sum::<i64>()
                    .into(),
                info.status_table
                    .values()
                    .map(|status| status.ok_tps)
                    .sum::<f64>()
                    .into(),
                info.status_table
                    .values()
                    .map(|status| status.failed_tps)
                    .sum::<f64>()
                    .into(),
                Cell::Time(start.and_then(|text| text.parse().ok()).unwrap_or_default()),
            ]);
            let subscribed = info.subscription_set.iter();
            let mut subscribed: Vec<_> = subscribed
                .map(|one| (one.topic.clone(), one.sub_string.clone()))
                .collect();
            subscribed.sort();
            subscriptions.insert(subscribed);
            for queue in info
                .mq_table
                .into_keys()
                .filter(|queue| !queue.topic.starts_with("%RETRY%"))
            {
                twice |= !owned.insert(queue);
            }
        }
        Ok(Report::new()
            .table(table)
            .fact("sameSubscription", subscriptions.len() <= 1)
            .fact("noQueueTwice", !twice))
    }
}

fn of_client(info: &ConsumerRunningInfo) -> Report {
    let mut subscriptions = Table::new("subscriptions", &["topic", "subExpression", "classFilter"]);
    for one in &info.subscription_set {
        subscriptions.row([
            (&one.topic).into(),
            (&one.sub_string).into(),
            one.class_filter_mode.into(),
        ]);
    }
    let mut queues = Table::new(
        "queues",
        &[
            "topic",
            "brokerName",
            "qid",
            "commitOffset",
            "cachedMessages",
            "cachedMib",
            "locked",
            "dropped",
            "lastPull",
            "lastConsume",
        ],
    );
    for (queue, state) in &info.mq_table {
        queues.row([
            (&queue.topic).into(),
            (&queue.broker_name).into(),
            queue.queue_id.into(),
            state.commit_offset.into(),
            state.cached_msg_count.into(),
            state.cached_msg_size_in_mi_b.into(),
            state.locked.into(),
            state.droped.into(),
            Cell::Time(state.last_pull_timestamp),
            Cell::Time(state.last_consume_timestamp),
        ]);
    }
    let mut rates = Table::new(
        "rates",
        &[
            "topic",
            "pullMs",
            "pullTps",
            "consumeMs",
            "consumeOkTps",
            "consumeFailedTps",
            "failedInHour",
        ],
    );
    for (topic, status) in &info.status_table {
        rates.row([
            topic.into(),
            status.pull_ms.into(),
            status.pull_tps.into(),
            status.consume_ms.into(),
            status.ok_tps.into(),
            status.failed_tps.into(),
            status.failed_messages.into(),
        ]);
    }
    let settings = info
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), value.into()));
    let own = info
        .user_consumer_info
        .iter()
        .map(|(name, value)| (name.clone(), value.into()));
    let report = Report::new()
        .pairs("settings", settings)
        .pairs("userInfo", own)
        .table(subscriptions)
        .table(queues)
        .table(rates);
    match &info.jstack {
        Some(stacks) => report.fact("jstack", stacks),
        None => report,
    }
}

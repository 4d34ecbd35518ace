//! Rates of topics and groups.

use clap::Args;
use ringmq_client::protocol::command::stats::BrokerStatsData;
use ringmq_client::{in_parallel, wait};

use super::Verb;
use super::progress::progress_of;
use crate::context::{AT_A_TIME, Context};
use crate::error::Result;
use crate::report::{Cell, Report, Table};

/// Shows of every topic and every group that consumes it how much waits, comes in and goes out.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin statsAll -n 127.0.0.1:9876 -a --watch=10"
)]
pub struct StatsAll {
    /// Only topics with messages in the last 24 hours.
    #[arg(short = 'a', long)]
    active_topic: bool,
    /// Only this topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: Option<String>,
}

/// What one row tells.
struct Row {
    topic: String,
    group: Option<String>,
    waiting: i64,
    incoming: Flow,
    outgoing: Flow,
}

/// Messages a second, and in 24 hours.
#[derive(Clone, Copy, Default)]
struct Flow {
    tps: f64,
    day: i64,
}

impl Flow {
    fn add(&mut self, data: Option<BrokerStatsData>) {
        let Some(data) = data else {
            return;
        };
        self.tps += data.stats_minute.tps;
        // A broker that has not run for a day has counted less.
        let sums = [
            data.stats_day.sum,
            data.stats_hour.sum,
            data.stats_minute.sum,
        ];
        self.day += sums.into_iter().find(|sum| *sum != 0).unwrap_or_default();
    }
}

impl Verb for StatsAll {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut topics = match &self.topic {
            Some(topic) => {
                context.route(topic)?;
                vec![topic.clone()]
            }
            None => wait(context.admin.topics().list())?,
        };
        topics.retain(|topic| !topic.starts_with("%RETRY%") && !topic.starts_with("%DLQ%"));
        let rows = topics.iter().map(|topic| of_topic(context, topic));
        let mut table = Table::new(
            "topics",
            &[
                "topic",
                "consumerGroup",
                "accumulation",
                "inTps",
                "outTps",
                "inMsg24Hour",
                "outMsg24Hour",
            ],
        );
        for row in wait(in_parallel(rows, AT_A_TIME)).into_iter().flatten() {
            if self.active_topic && row.incoming.day == 0 && row.outgoing.day == 0 {
                continue;
            }
            let consumed = row.group.is_some();
            table.row([
                row.topic.into(),
                row.group.into(),
                row.waiting.into(),
                row.incoming.tps.into(),
                consumed.then_some(row.outgoing.tps).into(),
                row.incoming.day.into(),
                match consumed {
                    true => row.outgoing.day.into(),
                    false => Cell::Text("NO_CONSUMER".into()),
                },
            ]);
        }
        Ok(Report::new().table(table))
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// The rows of one topic; none where it has gone meanwhile.
async fn of_topic(context: &Context<'_>, topic: &str) -> Vec<Row> {
    let (topics, brokers) = (context.admin.topics(), context.admin.brokers());
    let Ok(masters) = topics.masters(topic).await else {
        return Vec::new();
    };
    let mut incoming = Flow::default();
    let mut groups = std::collections::BTreeSet::new();
    for master in &masters {
        incoming.add(
            brokers
                .rate(master, "TOPIC_PUT_NUMS", topic)
                .await
                .ok()
                .flatten(),
        );
        groups.extend(topics.groups(master, topic).await.unwrap_or_default());
    }
    let row = |group, waiting, outgoing| Row {
        topic: topic.to_owned(),
        group,
        waiting,
        incoming,
        outgoing,
    };
    if groups.is_empty() {
        return vec![row(None, 0, Flow::default())];
    }
    let mut rows = Vec::new();
    for group in groups {
        let progress = progress_of(context, &masters, &group, Some(topic)).await;
        let waiting = progress.map(|progress| progress.diff()).unwrap_or_default();
        let mut outgoing = Flow::default();
        let key = format!("{topic}@{group}");
        for master in &masters {
            outgoing.add(
                brokers
                    .rate(master, "GROUP_GET_NUMS", &key)
                    .await
                    .ok()
                    .flatten(),
            );
        }
        rows.push(row(Some(group), waiting, outgoing));
    }
    rows
}

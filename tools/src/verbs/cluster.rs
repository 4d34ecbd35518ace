//! Clusters and their brokers.

use std::collections::BTreeMap;

use clap::Args;
use ringmq_client::{ClientError, in_parallel, wait};

use super::Verb;
use crate::clock;
use crate::context::{AT_A_TIME, Context, Place, no_such};
use crate::error::Result;
use crate::report::{Cell, Report, Table};

/// Lists the brokers of all clusters, with their versions and load.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin clusterList -n 127.0.0.1:9876 --watch=1"
)]
pub struct ClusterList {
    /// How many messages came in and went out today and yesterday, instead.
    #[arg(short = 'm', long)]
    more_stats: bool,
    /// Again every so many seconds; the same as --watch=SECONDS.
    #[arg(short = 'i', long, value_name = "SECONDS")]
    interval: Option<u64>,
    /// Only this cluster.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    cluster_name: Option<String>,
}

impl ClusterList {
    /// All clusters.
    pub fn all() -> Self {
        Self {
            more_stats: false,
            interval: None,
            cluster_name: None,
        }
    }
}

/// Facts about a running broker.
type Status = std::result::Result<BTreeMap<String, String>, ClientError>;

impl Verb for ClusterList {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut places = context.brokers()?;
        if let Some(cluster) = &self.cluster_name {
            let clusters = places.iter().map(|place| place.cluster.as_str());
            let no_such = no_such("cluster", cluster, clusters);
            places.retain(|place| place.cluster == *cluster);
            if places.is_empty() {
                return Err(no_such);
            }
        }
        let statuses = places
            .iter()
            .map(|place| async move { context.admin.brokers().status(&place.address).await });
        let statuses = wait(in_parallel(statuses, AT_A_TIME));
        let rows = places.iter().zip(&statuses);
        Ok(Report::new().table(match self.more_stats {
            true => totals(rows),
            false => load(rows),
        }))
    }

    fn interval(&self) -> Option<u64> {
        self.interval
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

fn load<'p>(rows: impl Iterator<Item = (&'p Place, &'p Status)>) -> Table {
    let mut table = Table::new(
        "brokers",
        &[
            "clusterName",
            "brokerName",
            "bid",
            "addr",
            "version",
            "inTps",
            "outTps",
            "sendQueue",
            "pullQueue",
            "pcWaitMs",
            "hour",
            "space",
            "activated",
        ],
    );
    for (place, status) in rows {
        let text = |name: &str| {
            status
                .as_ref()
                .ok()
                .and_then(|status| status.get(name))
                .cloned()
        };
        let number = |name: &str| text(name).and_then(|text| text.trim().parse::<f64>().ok());
        let rate = |name: &str| {
            text(name).and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        };
        let version = match status {
            Ok(_) => text("brokerVersionDesc"),
            Err(error) => Some(format!("({error})")),
        };
        let earliest = number("earliestMessageTimeStamp").filter(|time_ms| *time_ms > 0.0);
        let hours = earliest.map(|time_ms| (clock::now_ms() as f64 - time_ms) / 3_600_000.0);
        table.row([
            (&place.cluster).into(),
            (&place.name).into(),
            place.id.into(),
            (&place.address).into(),
            version.into(),
            rate("putTps").into(),
            rate("getTransferredTps")
                .or_else(|| rate("getTransferedTps"))
                .into(),
            whole(number("sendThreadPoolQueueSize")),
            whole(number("pullThreadPoolQueueSize")),
            whole(number("pageCacheLockTimeMills")),
            hours.into(),
            number("commitLogDiskRatio").into(),
            text("brokerActive").map(|text| text == "true").into(),
        ]);
    }
    table
}

fn whole(number: Option<f64>) -> Cell {
    number.map(|number| number as i64).into()
}

fn totals<'p>(rows: impl Iterator<Item = (&'p Place, &'p Status)>) -> Table {
    let mut table = Table::new(
        "brokers",
        &[
            "clusterName",
            "brokerName",
            "bid",
            "inTotalYesterday",
            "outTotalYesterday",
            "inTotalToday",
            "outTotalToday",
        ],
    );
    for (place, status) in rows {
        let number =
            |name: &str| -> Option<i64> { status.as_ref().ok()?.get(name)?.trim().parse().ok() };
        let between =
            |from: &str, to: &str| number(to).zip(number(from)).map(|(to, from)| to - from);
        table.row([
            (&place.cluster).into(),
            (&place.name).into(),
            place.id.into(),
            between("msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning").into(),
            between("msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning").into(),
            between("msgPutTotalTodayMorning", "msgPutTotalTodayNow").into(),
            between("msgGetTotalTodayMorning", "msgGetTotalTodayNow").into(),
        ]);
    }
    table
}

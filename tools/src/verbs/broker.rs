//! Brokers.

use clap::Args;
use ringmq_client::wait;

use super::Verb;
use crate::context::{Context, Target};
use crate::error::{Result, ToolError};
use crate::report::{Cell, Report, Table};

/// Shows facts about running brokers.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin brokerStatus -n 127.0.0.1:9876 -b 127.0.0.1:10911"
)]
pub struct BrokerStatus {
    #[command(flatten)]
    target: Target,
}

impl Verb for BrokerStatus {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut report = Report::new();
        for broker in context.targets(&self.target)? {
            let status = wait(context.admin.brokers().status(&broker));
            let status = status.map_err(|error| ToolError::at(&broker, error))?;
            report = report.pairs(
                &broker,
                status.into_iter().map(|(name, value)| (name, value.into())),
            );
        }
        Ok(report)
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// Shows how replication stands (5.x).
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin haStatus -n 127.0.0.1:9876 -c DefaultCluster"
)]
pub struct HaStatus {
    #[command(flatten)]
    target: Target,
    /// Again every so many seconds; the same as --watch=SECONDS.
    #[arg(short = 'i', long, value_name = "SECONDS")]
    interval: Option<u64>,
}

impl Verb for HaStatus {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut brokers = Table::new(
            "brokers",
            &["addr", "master", "logMaxOffset", "slaves", "inSyncSlaves"],
        );
        let mut slaves = Table::new(
            "slaves",
            &[
                "masterAddr",
                "slaveAddr",
                "ackOffset",
                "diffBytes",
                "bytesPerSecond",
                "inSync",
                "transferFrom",
            ],
        );
        for broker in context.targets(&self.target)? {
            let status = wait(context.admin.brokers().ha_status(&broker));
            let status = status.map_err(|error| ToolError::at(&broker, error))?;
            let end = match status.master {
                true => status.master_commit_log_max_offset,
                false => status.ha_client_runtime_info.max_offset,
            };
            brokers.row([
                (&broker).into(),
                status.master.into(),
                end.into(),
                status.ha_connection_info.len().into(),
                status.in_sync_slave_nums.into(),
            ]);
            for slave in &status.ha_connection_info {
                slaves.row([
                    (&broker).into(),
                    (&slave.addr).into(),
                    slave.slave_ack_offset.into(),
                    slave.diff.into(),
                    slave.transferred_byte_in_second.into(),
                    slave.in_sync.into(),
                    slave.transfer_from_where.into(),
                ]);
            }
        }
        Ok(Report::new().table(brokers).line("").table(slaves))
    }

    fn interval(&self) -> Option<u64> {
        self.interval
    }

    fn is_watchable(&self) -> bool {
        true
    }
}

/// Whom to tell: one broker, the masters of a cluster, or everyone.
#[derive(Args)]
struct Whom {
    /// This broker: `host:port`, or its name.
    #[arg(
        short = 'b',
        long = "brokerAddr",
        value_name = "BROKER",
        conflicts_with = "cluster"
    )]
    broker_addr: Option<String>,
    /// Every master of this cluster; of all clusters where neither is given.
    #[arg(short = 'c', long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

impl Whom {
    fn servers(&self, context: &Context<'_>) -> Result<Vec<String>> {
        Ok(match (&self.broker_addr, &self.cluster) {
            (Some(broker), _) => vec![context.broker_address(broker)?],
            (None, Some(cluster)) => crate::context::addresses(context.masters_of(cluster)?),
            (None, None) => crate::context::addresses(context.masters()?),
        })
    }
}

macro_rules! maintenance {
    ($($(#[$doc:meta])* $name:ident($method:ident, $done:literal, $example:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Args)]
        #[command(rename_all = "camelCase", after_help = $example)]
        pub struct $name {
            #[command(flatten)]
            whom: Whom,
        }

        impl Verb for $name {
            fn run(&self, context: &Context<'_>) -> Result<Report> {
                let servers = self.whom.servers(context)?;
                Ok(context.at_each($done, &servers, |broker| async move {
                    context.admin.brokers().$method(&broker).await
                }))
            }
        }
    )*};
}

maintenance! {
    /// Removes what queues keep of messages that are gone.
    CleanExpiredCq(clean_expired_queues, "cleaning queues",
        "Example:\n  ringmq-admin cleanExpiredCQ -n 127.0.0.1:9876 -b 127.0.0.1:10911");
    /// Removes what is kept of topics that no longer exist.
    CleanUnusedTopic(clean_unused_topics, "cleaning unused topics",
        "Example:\n  ringmq-admin cleanUnusedTopic -n 127.0.0.1:9876 -c DefaultCluster");
    /// Deletes messages beyond their retention now.
    DeleteExpiredCommitLog(delete_expired_log, "deleting expired messages",
        "Example:\n  ringmq-admin deleteExpiredCommitLog -n 127.0.0.1:9876 -b 127.0.0.1:10911");
}

/// Cells of a configuration.
pub fn cells(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<(String, Cell)> {
    pairs
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

//! What name servers keep.

use clap::Args;
use ringmq_client::wait;

use super::Verb;
use crate::context::{Context, no_such};
use crate::error::{Result, ToolError};
use crate::report::{Report, Table};

/// Puts a value into the key-value configuration of every name server.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateKvConfig -n 127.0.0.1:9876 -s ORDER_TOPIC_CONFIG -k Orders -v broker-a:4"
)]
pub struct UpdateKvConfig {
    /// The namespace.
    #[arg(short = 's', long, value_name = "NAMESPACE")]
    namespace: String,
    /// The key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: String,
    /// The value.
    #[arg(short = 'v', long, value_name = "VALUE")]
    value: String,
}

impl Verb for UpdateKvConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        wait(
            context
                .admin
                .name_servers()
                .put_value(&self.namespace, &self.key, &self.value),
        )?;
        Ok(Report::new()
            .fact("namespace", &self.namespace)
            .fact("key", &self.key)
            .fact("value", &self.value))
    }
}

/// Deletes a value from the key-value configuration of every name server.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin deleteKvConfig -n 127.0.0.1:9876 -s ORDER_TOPIC_CONFIG -k Orders"
)]
pub struct DeleteKvConfig {
    /// The namespace.
    #[arg(short = 's', long, value_name = "NAMESPACE")]
    namespace: String,
    /// The key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: String,
}

impl Verb for DeleteKvConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        wait(
            context
                .admin
                .name_servers()
                .delete_value(&self.namespace, &self.key),
        )?;
        Ok(Report::new()
            .fact("namespace", &self.namespace)
            .fact("deleted", &self.key))
    }
}

/// Makes every name server route no producer to a broker: before it is stopped, so that nobody
/// notices.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin wipeWritePerm -n 127.0.0.1:9876 -b broker-a"
)]
pub struct WipeWritePerm {
    /// The broker's name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_name: String,
}

impl Verb for WipeWritePerm {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        change(context, &self.broker_name, false)
    }
}

/// Makes every name server route producers to a broker again.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin addWritePerm -n 127.0.0.1:9876 -b broker-a"
)]
pub struct AddWritePerm {
    /// The broker's name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_name: String,
}

impl Verb for AddWritePerm {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        change(context, &self.broker_name, true)
    }
}

/// Name servers answer "0 topics changed" for a broker that they do not know, so it is looked up first.
fn change(context: &Context<'_>, broker: &str, give: bool) -> Result<Report> {
    let known = context.brokers()?;
    if !known.iter().any(|place| place.name == broker) {
        return Err(no_such(
            "broker",
            broker,
            known.iter().map(|place| place.name.as_str()),
        ));
    }
    let name_servers = context.admin.name_servers();
    let mut table = Table::new("servers", &["server", "brokerName", "topicsChanged"]);
    for server in name_servers.addresses() {
        let changed = match give {
            true => wait(name_servers.add_write_permission(server, broker)),
            false => wait(name_servers.wipe_write_permission(server, broker)),
        };
        let changed = changed.map_err(|error| ToolError::at(server, error))?;
        table.row([server.into(), broker.into(), changed.into()]);
    }
    Ok(Report::new().table(table))
}

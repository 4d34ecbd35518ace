//! Configuration of brokers and name servers.

use clap::Args;
use ringmq_client::wait;

use super::Verb;
use super::broker::cells;
use crate::context::{Context, Target};
use crate::error::{Result, ToolError};
use crate::report::Report;

/// Shows the configuration of brokers.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin getBrokerConfig -n 127.0.0.1:9876 -b 127.0.0.1:10911 -k flushDiskType"
)]
pub struct GetBrokerConfig {
    #[command(flatten)]
    target: Target,
    /// Only this key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: Option<String>,
}

impl Verb for GetBrokerConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut report = Report::new();
        for broker in context.targets(&self.target)? {
            let config = wait(context.admin.brokers().config(&broker));
            let mut config = config.map_err(|error| ToolError::at(&broker, error))?;
            if let Some(key) = &self.key {
                let no_such =
                    crate::context::no_such("key", key, config.keys().map(String::as_str));
                config.retain(|known, _| known == key);
                if config.is_empty() {
                    return Err(no_such);
                }
            }
            report = report.pairs(&broker, cells(config));
        }
        Ok(report)
    }
}

/// Changes one key of the configuration of running brokers.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateBrokerConfig -n 127.0.0.1:9876 -b 127.0.0.1:10911 -k fileReservedTime -v 48"
)]
pub struct UpdateBrokerConfig {
    #[command(flatten)]
    target: Target,
    /// The key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: String,
    /// The value.
    #[arg(short = 'v', long, value_name = "VALUE", allow_hyphen_values = true)]
    value: String,
    /// Slaves too (with -c).
    #[arg(short = 'a', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    update_all_broker: bool,
}

impl Verb for UpdateBrokerConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut servers = context.targets(&self.target)?;
        if let (true, Some(cluster)) = (self.update_all_broker, &self.target.cluster_name) {
            let mut places = context.brokers()?;
            places.retain(|place| place.cluster == *cluster);
            servers = crate::context::addresses(places);
        }
        let done = format!("{}={}", self.key, self.value);
        Ok(context.at_each(&done, &servers, |broker| async move {
            let pair = [(self.key.as_str(), self.value.as_str())];
            context.admin.brokers().set_config(&broker, &pair).await
        }))
    }
}

/// Shows the configuration of every name server.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin getNamesrvConfig -n 127.0.0.1:9876"
)]
pub struct GetNamesrvConfig {}

impl Verb for GetNamesrvConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut report = Report::new();
        for server in context.admin.name_servers().addresses() {
            let config = wait(context.admin.name_servers().config(server));
            let config = config.map_err(|error| ToolError::at(server, error))?;
            report = report.pairs(server, cells(config));
        }
        Ok(report)
    }
}

/// Changes one key of the configuration of every name server.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin updateNamesrvConfig -n 127.0.0.1:9876 -k orderMessageEnable -v true"
)]
pub struct UpdateNamesrvConfig {
    /// The key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: String,
    /// The value.
    #[arg(short = 'v', long, value_name = "VALUE", allow_hyphen_values = true)]
    value: String,
}

impl Verb for UpdateNamesrvConfig {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let servers = context.admin.name_servers().addresses().to_vec();
        let done = format!("{}={}", self.key, self.value);
        Ok(context.at_each(&done, &servers, |server| async move {
            let pair = [(self.key.as_str(), self.value.as_str())];
            context
                .admin
                .name_servers()
                .set_config(&server, &pair)
                .await
        }))
    }
}

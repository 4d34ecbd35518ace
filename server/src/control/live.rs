//! The settings of this process as they are now: shown, and changed while it runs.
//!
//! A change is in the configuration file, on the disk, before anything goes by it: what was answered
//! with success is so after the next start too, however this one ends.

use std::net::SocketAddr;
use std::sync::Arc;

use ringmq_protocol::code::response;

use super::log;
use crate::broker::Permission;
use crate::config::{
    BrokerConfig, Change, ChangeError, Config, ConfigError, ConfigFile, NameServerConfig, Process,
    Values,
};
use crate::data_version::DataVersion;
use crate::desk::{Reply, WholeReply};
use crate::reply::ReplyTo;
use crate::shard::Settings;

/// See the module.
#[derive(Debug)]
pub(super) struct LiveSettings {
    broker: Option<Live>,
    name_server: Option<Live>,
    /// In every record, and so never changed.
    store_host: Option<SocketAddr>,
    /// `namesrvAddr`, when it has changed.
    name_servers: Option<Vec<String>>,
}

/// The settings of one process.
#[derive(Debug)]
struct Live {
    values: Values,
    file: ConfigFile,
    version: DataVersion,
}

impl LiveSettings {
    /// The settings of the start. `store_host` is what the broker is known by.
    pub fn new(config: &Config, store_host: Option<SocketAddr>, now_ms: i64) -> Self {
        let live = |values: &Values, file: &ConfigFile| Live {
            values: values.clone(),
            file: file.clone(),
            version: DataVersion::starting_at(now_ms),
        };
        let broker = config.broker.as_ref();
        let name_server = config.name_server.as_ref();
        Self {
            broker: broker.map(|config| live(&config.values, &config.file)),
            name_server: name_server.map(|config| live(&config.values, &config.file)),
            store_host,
            name_servers: None,
        }
    }

    /// `brokerPermission`.
    pub fn broker_permission(&self) -> Permission {
        let live = self.broker.as_ref();
        live.map_or(Permission::READ_WRITE, |live| {
            Permission(live.values.number("brokerPermission"))
        })
    }

    /// `namesrvAddr`, if it has changed since the last call.
    pub fn take_name_servers(&mut self) -> Option<Vec<String>> {
        self.name_servers.take()
    }

    /// All settings as properties (26, 319).
    pub fn show(&self, process: Process) -> WholeReply {
        let live = match process {
            Process::Broker => &self.broker,
            Process::NameServer => &self.name_server,
        };
        let Some(live) = live else {
            return WholeReply::refusal(response::SYSTEM_ERROR, "this process is not one");
        };
        let fields = match process {
            Process::Broker => vec![("version", live.version.to_json())],
            Process::NameServer => Vec::new(),
        };
        WholeReply {
            fields,
            ..WholeReply::body(live.values.to_properties(false))
        }
    }

    /// Makes a change and says what the shards have to go by, or why it is not made (25, 318).
    pub fn change(&mut self, to: ReplyTo, process: Process, lines: &str, now_ms: i64) -> Reply {
        let changed = match process {
            Process::Broker => self.change_broker(to, lines, now_ms),
            Process::NameServer => self.change_name_server(to, lines, now_ms),
        };
        changed.unwrap_or_else(|refused| Reply::Whole(to, refused))
    }

    fn change_broker(
        &mut self,
        to: ReplyTo,
        lines: &str,
        now_ms: i64,
    ) -> Result<Reply, WholeReply> {
        let (Some(live), Some(store_host)) = (&mut self.broker, self.store_host) else {
            return Err(no_such_process());
        };
        let change = live.plan(lines).map_err(|error| refusal(&to, &error))?;
        let config = BrokerConfig::of(change.values.clone()).map_err(|error| cannot(&error))?;
        let is_moved = live.values.text("namesrvAddr") != change.values.text("namesrvAddr");
        live.make(change, now_ms)?;
        // Where an address server names them, its word counts.
        if is_moved && config.name_server_source.is_none() {
            self.name_servers = Some(config.name_servers.clone());
        }
        let settings = Arc::new(Settings::new(&config, store_host));
        Ok(Reply::BrokerSettings(to, settings))
    }

    fn change_name_server(
        &mut self,
        to: ReplyTo,
        lines: &str,
        now_ms: i64,
    ) -> Result<Reply, WholeReply> {
        let Some(live) = &mut self.name_server else {
            return Err(no_such_process());
        };
        let change = live.plan(lines).map_err(|error| refusal(&to, &error))?;
        let config =
            NameServerConfig::new(change.values.clone()).map_err(|error| cannot(&error))?;
        live.make(change, now_ms)?;
        Ok(Reply::NameServerSettings(to, config.settings))
    }
}

impl Live {
    fn plan(&self, lines: &str) -> Result<Change, ChangeError> {
        let file = self.file.path().display().to_string();
        Change::plan(&self.values, lines, &file)
    }

    fn make(&mut self, change: Change, now_ms: i64) -> Result<(), WholeReply> {
        if !change.differences.is_empty() {
            let written = self.file.change(change.values.table(), &change.differences);
            written.map_err(|error| {
                let file = self.file.path().display();
                let remark = format!("cannot write {file}: {error}; nothing was changed");
                WholeReply::refusal(response::SYSTEM_ERROR, remark)
            })?;
        }
        for (name, value) in &change.differences {
            if *name == "ringmq.logLevel" {
                log::set_levels(value);
            }
            let before = self.values.text(name);
            tracing::info!(
                setting = name,
                before,
                after = value.as_str(),
                "setting changed"
            );
        }
        self.values = change.values;
        self.version.advance(now_ms);
        Ok(())
    }
}

fn refusal(to: &ReplyTo, error: &ChangeError) -> WholeReply {
    let code = match error {
        ChangeError::NotLive { .. } | ChangeError::Nothing(_) => response::NO_PERMISSION,
        ChangeError::Value(_) => to.invalid_parameter(),
        ChangeError::Syntax(_) => response::SYSTEM_ERROR,
    };
    WholeReply::refusal(code, error.to_string())
}

fn cannot(error: &ConfigError) -> WholeReply {
    WholeReply::refusal(response::SYSTEM_ERROR, error.to_string())
}

fn no_such_process() -> WholeReply {
    WholeReply::refusal(response::SYSTEM_ERROR, "this process has no such settings")
}

//! The command line, and what it makes of the configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::broker::{self, Place};
use crate::config::{
    self, BrokerConfig, Config, ConfigError, ConfigFile, NameServerConfig, Values, Warning,
    name_server,
};

/// Apache RocketMQ's messaging, rebuilt: every acknowledged message is on the disk.
#[derive(Debug, Parser)]
#[command(name = "ringmq", version)]
pub struct Flags {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// What to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A name server and a broker in one process, on this machine only: the quickstart.
    Standalone(StandaloneFlags),
    /// A name server (the flags of mqnamesrv).
    Namesrv(NamesrvFlags),
    /// A broker (the flags of mqbroker).
    Broker(BrokerFlags),
    /// Print the reference of all settings, as Markdown.
    Config,
}

/// Flags of `ringmq standalone`.
#[derive(Debug, Args)]
pub struct StandaloneFlags {
    /// Folder that keeps the messages; created when missing.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Port of the name server.
    #[arg(long, value_name = "PORT", default_value_t = 9876)]
    pub namesrv_port: u16,
    /// Port of the broker; the port two below is served too.
    #[arg(long, value_name = "PORT")]
    pub broker_port: Option<u16>,
    /// Shards of a new store; half of the cores when not given.
    #[arg(long, value_name = "N")]
    pub shards: Option<u8>,
    /// Configuration file of the broker.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
}

/// Flags of `ringmq namesrv`.
#[derive(Debug, Args)]
pub struct NamesrvFlags {
    /// Taken as mqnamesrv takes it, without effect.
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRESSES")]
    pub namesrv_addr: Option<String>,
    /// Configuration file.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Print all settings and end.
    #[arg(short = 'p', long = "printConfigItem")]
    pub print: bool,
}

/// Flags of `ringmq broker`.
#[derive(Debug, Args)]
pub struct BrokerFlags {
    /// Name servers, `host:port`, several separated by `;`. NAMESRV_ADDR says it too.
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRESSES")]
    pub namesrv_addr: Option<String>,
    /// Configuration file.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Print all settings and end.
    #[arg(short = 'p', long = "printConfigItem")]
    pub print: bool,
    /// Print the important settings and end.
    #[arg(short = 'm', long = "printImportantConfig")]
    pub print_important: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Plan {
    /// Run this; mention what in the files has no effect.
    Run(Box<Config>, Vec<Warning>),
    /// Print this and end.
    Print(String),
}

impl Flags {
    /// Reads the files and works out the plan. `namesrv_addr` is the environment's `NAMESRV_ADDR`.
    pub fn plan(self, namesrv_addr: Option<OsString>) -> Result<Plan, ConfigError> {
        match self.command {
            Command::Standalone(flags) => flags.plan(),
            Command::Namesrv(flags) => flags.plan(),
            Command::Broker(flags) => flags.plan(namesrv_addr),
            Command::Config => Ok(Plan::Print(config::reference::markdown())),
        }
    }
}

impl StandaloneFlags {
    fn plan(self) -> Result<Plan, ConfigError> {
        let place = Place::Loopback;
        let (file, folder) = broker_file(self.config_file, self.data.clone(), place)?;
        let (mut values, mut warnings) = read(BrokerConfig::values(), &file)?;
        if let Some(folder) = &self.data {
            values.set("storePathRootDir", &folder.to_string_lossy())?;
        }
        if let Some(port) = self.broker_port {
            values.set("listenPort", &port.to_string())?;
        }
        if let Some(shards) = self.shards {
            values.set("ringmq.shards", &shards.to_string())?;
        }
        let mut broker = BrokerConfig::new(values, place)?;
        broker.file = file;
        let folder = self.data.unwrap_or(folder);
        let file = ConfigFile::own(name_server::own_file(Some(&folder)));
        let (mut values, of_names) = read(NameServerConfig::values(), &file)?;
        warnings.extend(of_names);
        values.set("listenPort", &self.namesrv_port.to_string())?;
        values.set("bindAddress", &broker.bind_address.to_string())?;
        let kv_file = name_server::own_kv_file(Some(&folder));
        values.fill("kvConfigPath", kv_file.to_string_lossy());
        let mut name_server = NameServerConfig::new(values)?;
        name_server.file = file;
        let config = Config {
            name_server: Some(name_server),
            broker: Some(broker),
            is_quickstart: true,
        };
        Ok(Plan::Run(Box::new(config), warnings))
    }
}

impl NamesrvFlags {
    fn plan(self) -> Result<Plan, ConfigError> {
        let file = match self.config_file {
            Some(path) => ConfigFile::named(path),
            None => ConfigFile::own(name_server::own_file(None)),
        };
        let (mut values, warnings) = read(NameServerConfig::values(), &file)?;
        let kv_file = name_server::own_kv_file(None);
        values.fill("kvConfigPath", kv_file.to_string_lossy());
        if self.print {
            return Ok(Plan::Print(values.to_properties(false)));
        }
        let mut name_server = NameServerConfig::new(values)?;
        name_server.file = file;
        let config = Config {
            name_server: Some(name_server),
            broker: None,
            is_quickstart: false,
        };
        Ok(Plan::Run(Box::new(config), warnings))
    }
}

impl BrokerFlags {
    fn plan(self, environment: Option<OsString>) -> Result<Plan, ConfigError> {
        let mut values = BrokerConfig::values();
        if let Some(addresses) = environment {
            values.set("namesrvAddr", &addresses.to_string_lossy())?;
        }
        let place = Place::Network;
        let (file, _) = broker_file(self.config_file, None, place)?;
        let (mut values, warnings) = read(values, &file)?;
        if let Some(addresses) = &self.namesrv_addr {
            values.set("namesrvAddr", addresses)?;
        }
        let mut broker = BrokerConfig::new(values, place)?;
        broker.file = file;
        if self.print || self.print_important {
            let only_important = !self.print;
            return Ok(Plan::Print(broker.values.to_properties(only_important)));
        }
        let config = Config {
            name_server: None,
            broker: Some(broker),
            is_quickstart: false,
        };
        Ok(Plan::Run(Box::new(config), warnings))
    }
}

/// The file that `-c` names, or the one in the data folder; and that folder, as far as it is known
/// before any file is read.
fn broker_file(
    given: Option<PathBuf>,
    data: Option<PathBuf>,
    place: Place,
) -> Result<(ConfigFile, PathBuf), ConfigError> {
    let folder = match data {
        Some(folder) => folder,
        None => broker::default_folder(place)?,
    };
    let file = match given {
        Some(path) => ConfigFile::named(path),
        None => ConfigFile::own(broker::own_file(&folder)),
    };
    Ok((file, folder))
}

fn read(mut values: Values, file: &ConfigFile) -> Result<(Values, Vec<Warning>), ConfigError> {
    let folder = values.text("storePathRootDir").to_owned();
    let warnings = config::read_file(&mut values, file)?;
    if !file.is_named() && values.text("storePathRootDir") != folder {
        let path = file.path().to_owned();
        return Err(ConfigError::Moved { path });
    }
    Ok((values, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str, environment: Option<&str>) -> Plan {
        let flags = Flags::try_parse_from(line.split(' ')).unwrap();
        flags.plan(environment.map(OsString::from)).unwrap()
    }

    fn config(line: &str, environment: Option<&str>) -> Config {
        match plan(line, environment) {
            Plan::Run(config, _) => *config,
            Plan::Print(text) => panic!("prints {text}"),
        }
    }

    #[test]
    fn standalone_is_a_name_server_and_a_broker_on_loopback() {
        let config = config(
            "ringmq standalone --data /d --namesrv-port 1 --broker-port 2222 --shards 3",
            None,
        );
        let broker = config.broker.unwrap();
        let name_server = config.name_server.unwrap();
        assert_eq!(name_server.bind().to_string(), "127.0.0.1:1");
        assert_eq!(broker.port, 2222);
        assert_eq!(broker.store.folder, PathBuf::from("/d"));
        assert_eq!(broker.store.shards, Some(3));
        assert!(config.is_quickstart);
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let name_servers =
            |line, environment| config(line, environment).broker.unwrap().name_servers;
        assert_eq!(
            name_servers("ringmq broker", Some("a:1;b:2")),
            ["a:1", "b:2"]
        );
        assert_eq!(name_servers("ringmq broker -n c:3", Some("a:1")), ["c:3"]);
        assert!(name_servers("ringmq broker", None).is_empty());
    }

    #[test]
    fn printing_shows_the_settings_and_runs_nothing() {
        let Plan::Print(all) = plan("ringmq broker -p -n a:1", None) else {
            panic!("runs");
        };
        assert!(all.contains("namesrvAddr=a:1\n") && all.contains("traceOn=true\n"));
        let Plan::Print(important) = plan("ringmq broker -m", None) else {
            panic!("runs");
        };
        assert!(!important.contains("traceOn"));
        assert!(matches!(plan("ringmq namesrv -p", None), Plan::Print(_)));
    }

    #[test]
    fn without_a_named_file_the_one_in_the_data_folder_is_read_beneath_the_flags() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("ringmq standalone --data {}", folder.path().display());
        let own = folder.path().join("broker.conf");
        let broker = |line: &str| config(line, None).broker.unwrap();
        assert_eq!(broker(&line).file, ConfigFile::own(&own));
        std::fs::write(&own, "traceOn=false\nlistenPort=1\n").unwrap();
        assert!(!broker(&line).trace_on);
        assert_eq!(broker(&format!("{line} --broker-port 7")).port, 7);
        let other = folder.path().join("other.conf");
        std::fs::write(&other, "maxMessageSize=9\n").unwrap();
        let named = broker(&format!("{line} -c {}", other.display()));
        assert_eq!(named.file, ConfigFile::named(&other));
        assert!(named.trace_on, "one file counts");
        assert_eq!(named.message_bytes_max, 9);
        std::fs::write(&own, "storePathRootDir=/elsewhere\n").unwrap();
        let flags = Flags::try_parse_from(line.split(' ')).unwrap();
        assert!(matches!(flags.plan(None), Err(ConfigError::Moved { .. })));
    }

    #[test]
    fn a_wrong_flag_is_a_usage_error() {
        assert!(Flags::try_parse_from(["ringmq", "standalone", "--shards", "x"]).is_err());
        assert!(Flags::try_parse_from(["ringmq"]).is_err());
        let flags = Flags::try_parse_from(["ringmq", "standalone", "--shards", "99"]).unwrap();
        let error = flags.plan(None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ringmq.shards=99: a whole number from 0 to 16 is allowed"
        );
    }
}

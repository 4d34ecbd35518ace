//! What the operator says: flags over file over environment over defaults, checked before anything
//! is opened. Names are those of RocketMQ's properties; ours begin with `ringmq.`.

pub mod apache_keys;
pub mod broker;
pub mod change;
pub mod file;
pub mod interfaces;
pub mod keys;
pub mod machine;
pub mod name_server;
pub mod nearest;
pub mod observation;
pub mod reference;
pub mod values;

use std::io;
use std::path::PathBuf;

pub use broker::BrokerConfig;
pub use change::{Change, ChangeError};
pub use file::ConfigFile;
pub use keys::{Key, Process, keys};
pub use name_server::NameServerConfig;
pub use observation::{HttpConfig, LogConfig};
pub use values::{ValueError, Values, Warning};

use crate::doors::Doors;
use crate::limits::MILLISECOND_NS;
use crate::properties_file::{self, PropertiesError};

/// What one process does.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name server in it, if any.
    pub name_server: Option<NameServerConfig>,
    /// The broker in it, if any.
    pub broker: Option<BrokerConfig>,
    /// Whether to print what to try next once it is ready.
    pub is_quickstart: bool,
}

impl Config {
    /// Who may come in: the broker's settings where there is one, the ports being one process's.
    pub fn doors(&self) -> Doors {
        let broker = self.broker.as_ref().map(|config| &config.values);
        let names = self.name_server.as_ref().map(|config| &config.values);
        broker.or(names).map_or_else(Doors::default, doors)
    }

    /// Where the log goes: the broker's settings decide where there are both.
    pub fn log(&self) -> LogConfig {
        self.values()
            .map_or_else(LogConfig::default, LogConfig::new)
    }

    /// Where metrics and health are served, if they are.
    pub fn http(&self) -> Result<Option<HttpConfig>, ConfigError> {
        self.values().map_or(Ok(None), HttpConfig::new)
    }

    fn values(&self) -> Option<&Values> {
        let broker = self.broker.as_ref().map(|broker| &broker.values);
        broker.or(self.name_server.as_ref().map(|names| &names.values))
    }
}

fn doors(values: &Values) -> Doors {
    let first_frame_ms: u64 = values.number("ringmq.firstFrameMillis");
    Doors {
        connections: values.number("ringmq.connectionsMax"),
        per_address: values.number("ringmq.connectionsPerAddressMax"),
        first_frame_ns: first_frame_ms * MILLISECOND_NS,
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A wrong value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A wrong value in a file.
    #[error("{}, line {line}: {source}", path.display())]
    FileValue {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong.
        source: ValueError,
    },
    /// The file is not one of properties.
    #[error("{}, {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PropertiesError,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file in the data folder says that the data is elsewhere.
    #[error(
        "{}: storePathRootDir cannot be set here, where it is read only once the folder is known: use --data, or -c with another file",
        path.display()
    )]
    Moved {
        /// The file.
        path: PathBuf,
    },
    /// A setting that depends on the machine has no value there.
    #[error("{key} cannot be found out on this machine: set it")]
    Unset {
        /// Which.
        key: &'static str,
    },
}

/// Lays a file over values; returns what in it has no effect. A file of one's own that is not there
/// says nothing.
pub fn read_file(values: &mut Values, file: &ConfigFile) -> Result<Vec<Warning>, ConfigError> {
    let path = file.path();
    let text = file.read().map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = text.unwrap_or_default();
    let properties = properties_file::parse(&text).map_err(|source| ConfigError::Syntax {
        path: path.to_owned(),
        source,
    })?;
    let mut warnings = Vec::new();
    for property in properties {
        let set = values.set_named(&property.key, &property.value);
        warnings.extend(set.map_err(|source| ConfigError::FileValue {
            path: path.to_owned(),
            line: property.line,
            source,
        })?);
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Values, Vec<Warning>), ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.conf");
        std::fs::write(&path, text).unwrap();
        let mut values = Values::new(keys::BROKER, apache_keys::BROKER);
        let warnings = read_file(&mut values, &ConfigFile::named(&path))?;
        Ok((values, warnings))
    }

    #[test]
    fn apaches_sample_file_is_taken() {
        let (values, warnings) = read(
            "brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\nfileReservedTime = 48\nbrokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\n",
        )
        .unwrap();
        assert!(warnings.is_empty());
        assert_eq!(values.text("flushDiskType"), "ASYNC_FLUSH");
        assert_eq!(values.number::<u32>("fileReservedTime"), 48);
    }

    #[test]
    fn a_wrong_value_in_a_file_is_named_with_its_line() {
        let error = read("brokerName=a\n\nlistenPort=x\n").unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with(
                "broker.conf, line 3: listenPort=x: a whole number from 0 to 65535 is allowed"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let mut values = Values::new(keys::BROKER, apache_keys::BROKER);
        let error = read_file(&mut values, &ConfigFile::named("/nowhere/broker.conf")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read /nowhere/broker.conf")
        );
    }
}

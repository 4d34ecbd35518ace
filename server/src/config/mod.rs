//! What the operator says: flags over file over environment over defaults, checked before anything
//! is opened. Names are those of RocketMQ's properties; ours begin with `ringmq.`.

pub mod apache_keys;
pub mod broker;
pub mod keys;
pub mod machine;
pub mod name_server;
pub mod nearest;
pub mod values;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use broker::BrokerConfig;
pub use name_server::NameServerConfig;
pub use values::{ValueError, Values, Warning};

use crate::limits::CONFIG_FILE_BYTES_MAX;
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
    /// A setting that depends on the machine has no value there.
    #[error("{key} cannot be found out on this machine: set it")]
    Unset {
        /// Which.
        key: &'static str,
    },
}

/// Lays a file over values; returns what in it has no effect.
pub fn read_file(values: &mut Values, path: &Path) -> Result<Vec<Warning>, ConfigError> {
    let text = read_text(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
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

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(CONFIG_FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Values, Vec<Warning>), ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.conf");
        std::fs::write(&path, text).unwrap();
        let mut values = Values::new(keys::BROKER, apache_keys::BROKER);
        let warnings = read_file(&mut values, &path)?;
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
        let error = read_file(&mut values, Path::new("/nowhere/broker.conf")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read /nowhere/broker.conf")
        );
    }
}

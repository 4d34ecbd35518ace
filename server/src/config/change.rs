//! A change of settings while the process runs: all of it or nothing (`mqadmin updateBrokerConfig`,
//! `updateNamesrvConfig`).

use super::keys::find;
use super::values::{ValueError, Values, Warning};
use crate::properties_file::{self, PropertiesError};

/// A change that can be made.
#[derive(Clone, Debug)]
pub struct Change {
    /// All settings as they will be.
    pub values: Values,
    /// What differs, for the file: names and values.
    pub differences: Vec<(&'static str, String)>,
}

/// Why a change is not made. Nothing of it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The request's body is not one of properties.
    #[error(transparent)]
    Syntax(#[from] PropertiesError),
    /// A wrong value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// There is no such setting, or it has no effect here.
    #[error("{0}; nothing was changed")]
    Nothing(Warning),
    /// Settings that only a start can change.
    #[error(
        "{keys} cannot be changed while the process runs: set it in {file} and start again; nothing was changed"
    )]
    NotLive {
        /// Which, separated by commas.
        keys: String,
        /// The configuration file.
        file: String,
    },
}

impl Change {
    /// Checks lines of `key=value` against the present settings. `file` is named where only a start
    /// can make the change. A setting that is named with the value it has anyway is no change.
    pub fn plan(present: &Values, lines: &str, file: &str) -> Result<Self, ChangeError> {
        let mut values = present.clone();
        for property in properties_file::parse(lines)? {
            if let Some(warning) = values.set_named(&property.key, &property.value)? {
                return Err(ChangeError::Nothing(warning));
            }
        }
        let changed = |name: &&'static str| values.text(name) != present.text(name);
        let names = present.table().iter().map(|key| key.name);
        let names: Vec<&'static str> = names.filter(changed).collect();
        let is_live = |name: &str| find(present.table(), name).is_some_and(|key| key.is_live);
        let rigid: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| !is_live(name))
            .collect();
        if !rigid.is_empty() {
            return Err(ChangeError::NotLive {
                keys: rigid.join(", "),
                file: file.to_owned(),
            });
        }
        let differences = names
            .iter()
            .map(|&name| (name, values.text(name).to_owned()));
        let differences = differences.collect();
        Ok(Self {
            values,
            differences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{apache_keys, keys};
    use super::*;

    fn plan(lines: &str) -> Result<Change, ChangeError> {
        let present = Values::new(keys::BROKER, apache_keys::BROKER);
        Change::plan(&present, lines, "/etc/broker.conf")
    }

    #[test]
    fn live_settings_change_together() {
        let change = plan("fileReservedTime=48\ntraceOn=false\n").unwrap();
        let expected = [("fileReservedTime", "48"), ("traceOn", "false")];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(change.differences, expected);
        assert_eq!(change.values.number::<u32>("fileReservedTime"), 48);
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let same = plan("listenPort=10911\nfileReservedTime=72\nuseTLS=false\n").unwrap();
        assert!(same.differences.is_empty());
        assert!(plan("").unwrap().differences.is_empty());
    }

    #[test]
    fn what_cannot_be_changed_is_refused_by_name() {
        let cases = [
            (
                "fileReservedTime=48\nlistenPort=1\nbrokerName=x\n",
                "brokerName, listenPort cannot be changed while the process runs: set it in /etc/broker.conf and start again; nothing was changed",
            ),
            (
                "fileReservedTime=x\n",
                "fileReservedTime=x: a whole number from 1 to 87600 is allowed",
            ),
            (
                "fileReservedTim=1\n",
                "fileReservedTim is no setting; the nearest is fileReservedTime; nothing was changed",
            ),
            (
                "useTLS=true\n",
                "useTLS cannot be set here: what it is about does not exist, or has no choice; nothing was changed",
            ),
            (
                "sendMessageThreadPoolNums=8\n",
                "sendMessageThreadPoolNums is a setting of Apache RocketMQ that has no effect here; nothing was changed",
            ),
            (
                "a=\\u12\n",
                "line 1: \\u must be followed by four hexadecimal digits",
            ),
        ];
        for (lines, text) in cases {
            assert_eq!(plan(lines).unwrap_err().to_string(), text);
        }
    }
}

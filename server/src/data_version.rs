//! The version that RocketMQ attaches to a broker's tables, so that a name server can tell that
//! they have changed.

use serde::{Deserialize, Serialize};

/// Three numbers; two tables are the same exactly when all three are equal
/// (`DataVersion.java`, name server page 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataVersion {
    /// Counts the changes since `timestamp`.
    pub counter: i64,
    /// Rises with a change of the broker's role; 0 here, absent in 4.9.x.
    pub state_version: i64,
    /// Milliseconds since the Unix epoch of the last change (or of the start).
    pub timestamp: i64,
}

impl DataVersion {
    /// The version of a table that has just been loaded.
    pub fn starting_at(now_ms: i64) -> Self {
        Self {
            counter: 0,
            state_version: 0,
            timestamp: now_ms,
        }
    }

    /// Marks one change.
    pub fn advance(&mut self, now_ms: i64) {
        self.counter = self.counter.wrapping_add(1);
        self.timestamp = now_ms;
    }

    /// The JSON text RocketMQ writes.
    pub fn to_json(self) -> String {
        format!(
            r#"{{"counter":{},"stateVersion":{},"timestamp":{}}}"#,
            self.counter, self.state_version, self.timestamp
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_brokers_version_without_a_state_version_is_read() {
        let version: DataVersion =
            serde_json::from_str(r#"{"counter":1,"timestamp":1795161230718}"#).unwrap();
        assert_eq!(version.counter, 1);
        assert_eq!(version.state_version, 0);
    }

    #[test]
    fn it_is_written_as_rocketmq_writes_it() {
        let mut version = DataVersion::starting_at(5);
        version.advance(7);
        assert_eq!(
            version.to_json(),
            r#"{"counter":1,"stateVersion":0,"timestamp":7}"#
        );
    }
}

//! How replication stands: 907 (5.x).

use serde::{Deserialize, Serialize};

use super::{json_body, lenient};

/// Answer to 907. Offsets are physical, rates bytes a second.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaStatus {
    /// How a slave stands.
    #[serde(deserialize_with = "lenient::or_default")]
    pub ha_client_runtime_info: HaClientStatus,
    /// A master's slaves.
    #[serde(deserialize_with = "lenient::or_default")]
    pub ha_connection_info: Vec<HaConnectionStatus>,
    /// Slaves that keep up.
    #[serde(deserialize_with = "lenient::number")]
    pub in_sync_slave_nums: i32,
    /// Whether this is a master.
    #[serde(deserialize_with = "lenient::flag")]
    pub master: bool,
    /// Where the master's log ends.
    #[serde(deserialize_with = "lenient::number")]
    pub master_commit_log_max_offset: i64,
}

/// How a slave stands with its master.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaClientStatus {
    /// When it last read, in milliseconds.
    #[serde(deserialize_with = "lenient::number")]
    pub last_read_timestamp: i64,
    /// When it last wrote, in milliseconds.
    #[serde(deserialize_with = "lenient::number")]
    pub last_write_timestamp: i64,
    /// Master's address.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub master_addr: Option<String>,
    /// What the master has flushed.
    #[serde(deserialize_with = "lenient::number")]
    pub master_flush_offset: i64,
    /// Where its own log ends.
    #[serde(deserialize_with = "lenient::number")]
    pub max_offset: i64,
    /// What it receives.
    #[serde(deserialize_with = "lenient::number")]
    pub transferred_byte_in_second: i64,
}

/// One slave of a master.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaConnectionStatus {
    /// Its address.
    #[serde(deserialize_with = "lenient::text")]
    pub addr: String,
    /// How far it is behind, in bytes.
    #[serde(deserialize_with = "lenient::number")]
    pub diff: i64,
    /// Whether it keeps up.
    #[serde(deserialize_with = "lenient::flag")]
    pub in_sync: bool,
    /// What it has acknowledged.
    #[serde(deserialize_with = "lenient::number")]
    pub slave_ack_offset: i64,
    /// What it is being sent.
    #[serde(deserialize_with = "lenient::number")]
    pub transfer_from_where: i64,
    /// What it receives.
    #[serde(deserialize_with = "lenient::number")]
    pub transferred_byte_in_second: i64,
}

json_body!(HaStatus => "replication status");

//! Opening the engine's store as a broker's settings say.

use std::fs::File;

use ringmq_engine::Error;
use ringmq_engine::config::{Config, Durability};
use ringmq_engine::shard::ShardStart;

use crate::config::broker::StoreConfig;

/// An opened and recovered store.
pub(super) struct Store {
    /// What each shard's thread takes over.
    pub shards: Vec<ShardStart<File>>,
}

/// Locks, recovers and opens; takes as long as recovery takes.
pub(super) fn open(settings: &StoreConfig) -> Result<Store, Error> {
    let config = engine_config(settings);
    config.validate()?;
    Err(Error::Config("no engine".to_owned()))
}

fn engine_config(settings: &StoreConfig) -> Config {
    let mut config = Config::new(&settings.folder);
    config.shards = settings.shards;
    config.segment_bytes = settings.segment_bytes;
    config.durability = if settings.is_sync_flush {
        Durability::Sync
    } else {
        Durability::Async
    };
    config.retention.age_ms = i64::try_from(settings.kept_for.as_millis()).unwrap_or(i64::MAX);
    config.retention.bytes = settings.kept_bytes;
    config.retention.delete_when = settings.delete_when;
    if let Some(bytes) = settings.hot_tail_bytes {
        config.hot_tail_bytes = bytes;
    }
    if let Some(bytes) = settings.cold_bytes {
        config.cold_bytes = bytes;
    }
    config.blocks_in_flight = settings.blocks_in_flight;
    config.lock_wait = settings.lock_wait;
    config.pin_threads = settings.pin_threads;
    config
}

//! Opening the engine's store as a broker's settings say.

use ringmq_engine::Error;
use ringmq_engine::config::{Config, Durability};
use ringmq_engine::engine::Engine;

use crate::config::broker::StoreConfig;

/// Locks, recovers and opens; takes as long as recovery takes.
pub(super) fn open(settings: &StoreConfig) -> Result<Engine, Error> {
    let engine = Engine::open(&engine_config(settings))?;
    for notice in engine.notices() {
        tracing::info!("{notice}");
    }
    Ok(engine)
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
    config.retention = settings.retention();
    if let Some(bytes) = settings.hot_tail_bytes {
        config.hot_tail_bytes = bytes;
    }
    if let Some(bytes) = settings.cold_bytes {
        config.cold_bytes = bytes;
    }
    config.blocks_in_flight = settings.blocks_in_flight;
    config.lock_wait = settings.lock_wait;
    config.pin_threads = settings.pin_threads;
    config.reconcile_topics = true;
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;
    use crate::config::broker::Place;

    #[test]
    fn the_default_settings_are_ones_the_engine_takes() {
        let broker = BrokerConfig::new(BrokerConfig::values(), Place::Loopback).unwrap();
        let config = engine_config(&broker.store);
        assert!(config.validate().is_ok());
        assert_eq!(config.durability, Durability::Sync);
        assert_eq!(config.retention.age_ms, 72 * 3_600_000);
    }
}

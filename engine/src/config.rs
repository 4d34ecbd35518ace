//! What the operator says about a store, checked once before anything is opened.

use std::path::PathBuf;
use std::time::Duration;

use ringmq_ring::ALIGNMENT;

use crate::error::Error;
use crate::limits::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, CHECKPOINT_LOG_BYTES, COLD_BYTES_DEFAULT,
    HOT_TAIL_BYTES_DEFAULT, READ_AHEAD_BYTES, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, SHARDS_MAX,
};
use crate::log::retention::Policy;

/// When a record is acknowledged and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it survives a power cut (SYNC_FLUSH).
    #[default]
    Sync,
    /// When the device has taken it; it is flushed within 500 ms (ASYNC_FLUSH). Survives the death of the
    /// process, not of the power.
    Async,
}

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder; created when missing.
    pub folder: PathBuf,
    /// Shards. `None`: what the store has, or half of the cores for a new one. A count that differs
    /// from the store's is refused.
    pub shards: Option<u8>,
    /// Segment size of a new store in bytes; a stored size wins.
    pub segment_bytes: u64,
    /// When records are acknowledged.
    pub durability: Durability,
    /// How long records are kept.
    pub retention: Policy,
    /// Memory for written blocks, per shard.
    pub hot_tail_bytes: usize,
    /// Memory for cold reads, per shard.
    pub cold_bytes: usize,
    /// Commit blocks in flight at once.
    pub blocks_in_flight: usize,
    /// Longest commit block gathered from several appends.
    pub block_bytes: usize,
    /// Log bytes after which a checkpoint is due (four times the state file if that is more).
    pub checkpoint_bytes: u64,
    /// At start, queues of topics that the home shard does not know are deleted. For users who keep their
    /// topics with [`crate::Shard::put_topic`].
    pub reconcile_topics: bool,
    /// How long to wait for a data folder that another process holds.
    pub lock_wait: Duration,
    /// Whether shard threads are pinned to cores.
    pub pin_threads: bool,
}

impl Config {
    /// The defaults for a data folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            shards: None,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            durability: Durability::Sync,
            retention: Policy::default(),
            hot_tail_bytes: HOT_TAIL_BYTES_DEFAULT,
            cold_bytes: COLD_BYTES_DEFAULT,
            blocks_in_flight: 1,
            block_bytes: BLOCK_BYTES_MAX,
            checkpoint_bytes: CHECKPOINT_LOG_BYTES,
            reconcile_topics: false,
            lock_wait: Duration::from_secs(30),
            pin_threads: true,
        }
    }

    /// Refuses what cannot work, saying what would.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Config(text));
        if self.shards.is_some_and(|n| n == 0 || n > SHARDS_MAX) {
            return refuse(format!("the shard count must be 1 to {SHARDS_MAX}"));
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(ALIGNMENT as u64)
        {
            return refuse(format!(
                "the segment size must be a multiple of {ALIGNMENT} from {SEGMENT_BYTES_MIN} to \
                 {SEGMENT_BYTES_MAX} bytes"
            ));
        }
        if self.cold_bytes < 2 * READ_AHEAD_BYTES {
            return refuse(format!(
                "the memory for cold reads must be at least {} bytes",
                2 * READ_AHEAD_BYTES
            ));
        }
        if !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&self.block_bytes) {
            return refuse(format!(
                "commit blocks must be {BLOCK_BYTES_MIN} to {BLOCK_BYTES_MAX} bytes"
            ));
        }
        if !(1..=64).contains(&self.blocks_in_flight) {
            return refuse("commit blocks in flight must be 1 to 64".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_bad_settings_are_named() {
        let config = Config::new("/tmp/x");
        assert!(config.validate().is_ok());
        let bad = [
            Config {
                shards: Some(17),
                ..config.clone()
            },
            Config {
                segment_bytes: 4097,
                ..config.clone()
            },
            Config {
                blocks_in_flight: 0,
                ..config.clone()
            },
            Config {
                cold_bytes: 0,
                ..config
            },
        ];
        for config in bad {
            assert!(matches!(config.validate(), Err(Error::Config(_))));
        }
    }
}

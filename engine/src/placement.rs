//! Which shard a queue belongs to, and how many shards a store has.

use crate::limits::SHARDS_MAX;
use crate::types::ShardIndex;

/// The shard of a queue: one pure function of the topic's name, the queue id and the store's shard
/// count, the same for the life of the store. Queues of one topic spread over all shards, and the
/// topic's hash keeps the first queues of all topics from meeting on shard 0.
pub fn shard_of(topic: &str, queue_id: u32, shard_count: u8) -> ShardIndex {
    let spread = u64::from(crc32c::crc32c(topic.as_bytes())) + u64::from(queue_id);
    // The remainder is below the count, which is a u8.
    ShardIndex((spread % u64::from(shard_count.max(1))) as u8)
}

/// The shard of a queue of a *system* topic that shows `n x shards` queues (parked records): each
/// shard owns `n` consecutive ones.
pub fn shard_of_parked(queue_id: u32, queues_per_shard: u32, shard_count: u8) -> ShardIndex {
    let shard = queue_id / queues_per_shard.max(1);
    ShardIndex((shard % u32::from(shard_count.max(1))) as u8)
}

/// Shards of a new store when none are asked for: half of the cores, at least 1, at most 16.
pub fn default_shard_count(cores: usize) -> u8 {
    u8::try_from((cores / 2).clamp(1, usize::from(SHARDS_MAX))).unwrap_or(SHARDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_of_a_topic_spread_over_all_shards() {
        for topic in ["TopicTest", "%RETRY%group", "x"] {
            let mut seen = [false; 3];
            for queue_id in 0..3 {
                seen[usize::from(shard_of(topic, queue_id, 3).0)] = true;
            }
            assert_eq!(seen, [true; 3], "{topic}");
        }
    }

    #[test]
    fn placement_never_changes() {
        assert_eq!(shard_of("TopicTest", 0, 16), ShardIndex(7));
        assert_eq!(shard_of("TopicTest", 3, 16), ShardIndex(10));
    }

    #[test]
    fn a_new_store_takes_half_of_the_cores() {
        assert_eq!([1, 2, 8, 96].map(default_shard_count), [1, 1, 4, 16]);
    }
}

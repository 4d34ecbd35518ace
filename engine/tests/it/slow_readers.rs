//! Readers that never let go of what they were given.

use ringmq_engine::Config;
use ringmq_engine::limits::{ARENA_BYTES, PINNED_BYTES_MAX, UNWRITTEN_BYTES_MAX};

use super::desk::{Desk, small};

#[test]
fn slices_that_readers_keep_pin_a_bounded_number_of_arenas() {
    let config = Config {
        segment_bytes: 16 << 20,
        block_bytes: 1 << 20,
        hot_tail_bytes: 1 << 20,
        ..small()
    };
    let mut desk = Desk::new(51, config);
    let queue = desk.queue(0);
    let bound = PINNED_BYTES_MAX + UNWRITTEN_BYTES_MAX as usize + (2 << 20);
    let arenas = (bound / ARENA_BYTES) as u64;
    let mut kept = Vec::new();
    // Each takes a quarter of an arena and is read while it is hot, by a reader that keeps it.
    for mark in 0..(arenas + 12) * 4 {
        desk.append(queue, mark, 900_000);
        let result = desk.pull(queue, mark, 1);
        assert_eq!(result.count, 1);
        // Only of one in each arena.
        if mark % 4 == 0 {
            kept.extend(result.records);
        }
    }
    let held = desk.shard().status().block_memory;
    assert!(
        held <= (bound + 4 * ARENA_BYTES) as u64,
        "{held} bytes of blocks for {} slices that are kept",
        kept.len()
    );
    drop(kept);
    // What they have let go of is used again.
    for mark in 0..8 {
        desk.append(queue, 10_000 + mark, 900_000);
    }
    assert!(desk.shard().status().block_memory <= held);
}

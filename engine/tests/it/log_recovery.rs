//! The body of the fuzz target `log_recovery` over seeded inputs, in every test run.

#[path = "../../fuzz/src/log_recovery.rs"]
mod body;

use std::ops::Range;

/// More by hand: `RINGMQ_MUTATIONS=100000 cargo test -p ringmq-engine --test it log_recovery`.
const ROUNDS: u64 = 1_200;

#[test]
fn recovery_of_a_damaged_shard_keeps_its_word() {
    let rounds = std::env::var("RINGMQ_MUTATIONS")
        .ok()
        .and_then(|text| text.parse().ok());
    let rounds: u64 = rounds.unwrap_or(ROUNDS);
    for seed in 0..rounds {
        let input = input(seed);
        let checked = std::panic::catch_unwind(|| body::check(&input));
        assert!(checked.is_ok(), "seed {seed}: {input:02x?}");
    }
}

#[test]
fn an_untouched_shard_recovers_whole() {
    body::check(&[]);
}

/// One to four edits, anywhere.
fn input(seed: u64) -> Vec<u8> {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut roll = |range: Range<u64>| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        range.start + random % (range.end - range.start)
    };
    let mut input = Vec::new();
    for _ in 0..roll(1..5) {
        let len = roll(0..40);
        let place = roll(0..32_768) as u16;
        input.push(roll(0..256) as u8);
        input.extend_from_slice(&place.to_le_bytes());
        input.push(len as u8);
        (0..len).for_each(|_| input.push(roll(0..256) as u8));
    }
    input
}

//! The body of the fuzz target `request_dispatch` over its corpus and seeded inputs, in every test run.

#[path = "../../fuzz/src/request_dispatch.rs"]
mod body;

use std::path::Path;

/// More by hand: `RINGMQ_MUTATIONS=100000 cargo test -p ringmq-server --test it request_dispatch`.
const ROUNDS: u64 = 60;

#[test]
fn a_broker_that_is_asked_anything_answers_and_serves_on() {
    let rounds = std::env::var("RINGMQ_MUTATIONS").ok();
    let rounds: u64 = rounds.and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    for seed in 0..rounds {
        check(&format!("seed {seed}"), &input(seed));
    }
}

#[test]
fn a_broker_keeps_its_word_on_the_whole_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/request_dispatch");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        // What fuzzing has added here is not part of it.
        if !path.to_string_lossy().contains("seed-") {
            continue;
        }
        check(&path.display().to_string(), &std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus is empty");
}

#[test]
fn every_code_there_is_gets_an_answer() {
    for first in (0..1024u16).step_by(16) {
        let mut input = vec![0];
        for code in first..first + 16 {
            input.push(0);
            input.extend(code.to_le_bytes());
            input.extend([0, 0]);
        }
        check(&format!("codes from {first}"), &input);
    }
}

fn check(what: &str, input: &[u8]) {
    let checked = std::panic::catch_unwind(|| body::check(input));
    assert!(checked.is_ok(), "{what}: {input:02x?}");
}

/// Requests with codes near those there are, fields and bodies at random.
fn input(seed: u64) -> Vec<u8> {
    let mut random = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut roll = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 24) as u8
    };
    let mut input = vec![roll()];
    for _ in 0..1 + roll() % 12 {
        let code = u16::from(roll()) + 256 * u16::from(roll() % 2);
        // Raw bytes end a connection at once: seldom.
        input.push(roll() & if roll() < 20 { 0xFF } else { 0xAF });
        input.extend(code.to_le_bytes());
        let fields = roll() % 16;
        input.push(fields);
        for _ in 0..fields {
            input.extend([roll(), roll() % 192]);
        }
        input.push(roll());
    }
    input
}

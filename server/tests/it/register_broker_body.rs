//! The body of the fuzz target `register_broker_body` over its corpus and damaged copies of it, from a
//! seed, in every test run.

use std::path::Path;

#[path = "../../fuzz/src/register_broker_body.rs"]
mod body;

const SEED: u64 = 0x5EED_F022;
const DAMAGED: usize = 300;

/// SplitMix64: the same bytes from the same seed everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/register_broker_body");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // What fuzzing has added here is not part of it.
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("seed-"))
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// A copy with some bytes changed, cut off, or taken from another input.
fn damaged(input: &[u8], others: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut copy = input.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(copy.len());
        match chance.below(4) {
            0 => copy[at] = chance.next() as u8,
            1 => copy[at] ^= 1 << chance.below(8),
            2 => copy.truncate(at.max(1)),
            _ => {
                let other = &others[chance.below(others.len())];
                let from = chance.below(other.len());
                copy.truncate(at.max(1));
                copy.extend_from_slice(&other[from..]);
            }
        }
    }
    copy
}

#[test]
fn registrations_of_any_bytes_are_taken_in_whole_or_not_at_all() {
    let inputs = corpus();
    assert!(inputs.len() >= 8);
    println!("seed {SEED:#x}");
    let mut chance = Chance(SEED);
    for input in &inputs {
        body::check(input);
        for _ in 0..DAMAGED {
            body::check(&damaged(input, &inputs, &mut chance));
        }
    }
}

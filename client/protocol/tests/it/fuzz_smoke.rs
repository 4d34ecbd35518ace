//! The fuzz targets on random and damaged inputs, for as long as a test may take. What they check
//! is in `ringmq_protocol::fuzzing`; `fuzz/` runs the same with coverage.

use ringmq_protocol::fuzzing;

use crate::fixture::{exchanges, messages};

/// Inputs per target.
const ROUNDS: usize = 100_000;

#[test]
fn frames_survive_random_and_damaged_bytes() {
    let corpus = exchanges()
        .flat_map(|fixture| fixture.frames)
        .map(|frame| frame.bytes)
        .collect();
    run("frame_decode", corpus, fuzzing::frame_decode);
}

#[test]
fn json_headers_survive_random_and_damaged_bytes() {
    run("header_json", headers(0), fuzzing::header_json);
}

#[test]
fn binary_headers_survive_random_and_damaged_bytes() {
    run("header_rocketmq", headers(1), fuzzing::header_rocketmq);
}

#[test]
fn records_survive_random_and_damaged_bytes() {
    let corpus = messages()
        .flat_map(|fixture| fixture.frames)
        .map(|record| record.bytes)
        .collect();
    run("record_view", corpus, fuzzing::record_view);
}

#[test]
fn properties_survive_random_and_damaged_bytes() {
    let corpus = messages()
        .flat_map(|fixture| fixture.frames)
        .map(|record| record.bytes[80..].to_vec())
        .collect();
    run("message_properties", corpus, fuzzing::message_properties);
}

#[test]
fn bodies_survive_random_and_damaged_bytes() {
    let requests = exchanges().flat_map(|fixture| fixture.frames);
    let bodies = requests.map(|frame| frame.frame().body.to_vec());
    // Damaged JSON is slow to judge; long bodies teach nothing that short ones do not.
    let corpus = bodies
        .filter(|body| !body.is_empty() && body.len() < 600)
        .collect();
    run("command_bodies", corpus, fuzzing::command_bodies);
}

fn headers(kind: u8) -> Vec<Vec<u8>> {
    let frames = exchanges().flat_map(|fixture| fixture.frames);
    frames
        .filter(|frame| frame.bytes[4] == kind)
        .map(|frame| frame.frame().header.to_vec())
        .collect()
}

/// Feeds `target` the corpus and then mutations of it; prints the seed, which
/// `RINGMQ_FUZZ_SEED` sets.
fn run(name: &str, corpus: Vec<Vec<u8>>, target: fn(&[u8])) {
    let seed = std::env::var("RINGMQ_FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(0x5EED_0001_u64);
    println!("{name}: RINGMQ_FUZZ_SEED={seed}");
    assert!(!corpus.is_empty());
    let mut random = XorShift(seed | 1);
    corpus.iter().for_each(|input| target(input));
    let mut input = Vec::new();
    for _ in 0..ROUNDS {
        mutate(&mut random, &corpus, &mut input);
        target(&input);
    }
}

fn mutate(random: &mut XorShift, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
    input.clear();
    if random.below(10) == 0 {
        let len = random.below(64);
        input.extend((0..len).map(|_| random.byte()));
        return;
    }
    input.extend_from_slice(&corpus[random.below(corpus.len())]);
    for _ in 0..=random.below(4) {
        if input.is_empty() {
            return;
        }
        let at = random.below(input.len());
        match random.below(7) {
            0 => input[at] ^= 1 << random.below(8),
            1 => input[at] = random.byte(),
            2 => input[at] = b"\"\\{}[],:0-\x00\x01\x02\x7F\x80\xFF"[random.below(16)],
            3 => input.truncate(at),
            4 => drop(input.remove(at)),
            5 => input.insert(at, random.byte()),
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let cut = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[cut..]);
            }
        }
    }
}

/// Marsaglia's xorshift: enough randomness to damage bytes with.
struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }
}

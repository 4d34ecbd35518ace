//! The hasher of the engine's tables: fast, and seeded by the caller, so that a simulation gives the
//! same trace twice and a stranger cannot choose colliding keys.

use std::hash::{BuildHasher, Hasher};

/// A table with the engine's hasher.
pub type Table<K, V> = hashbrown::HashMap<K, V, Seed>;

/// Seeds the tables of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

impl BuildHasher for Seed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded {
            state: self.0 ^ MULTIPLE,
        }
    }
}

/// Any odd number without a pattern does.
const MULTIPLE: u64 = 0x9E6C_63D0_76CC_4297;

/// Mixes eight bytes a step with one widening multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Folded {
    state: u64,
}

impl Folded {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word) * u128::from(MULTIPLE);
        // Both halves matter: the low one alone would lose the high bits of the word.
        self.state = (wide as u64) ^ ((wide >> 64) as u64);
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut array = [0; 8];
            array.copy_from_slice(word);
            self.mix(u64::from_le_bytes(array));
        }
        let rest = words.remainder();
        let mut array = [0; 8];
        array[..rest.len()].copy_from_slice(rest);
        // The length tells "a" from "a\0".
        self.mix(u64::from_le_bytes(array) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits and its tag from the high ones.
        let wide = u128::from(self.state) * u128::from(MULTIPLE);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_numbers_spread_over_the_low_bits() {
        let mut seen = vec![false; 4096];
        for number in 0u32..4096 {
            seen[(Seed(7).hash_one(number) % 4096) as usize] = true;
        }
        let hit = seen.iter().filter(|&&hit| hit).count();
        assert!(hit > 2300, "{hit} of 4096 buckets");
    }

    #[test]
    fn the_seed_decides_the_order() {
        assert_eq!(Seed(1).hash_one("abc"), Seed(1).hash_one("abc"));
        assert_ne!(Seed(1).hash_one("abc"), Seed(2).hash_one("abc"));
    }
}

//! Finds the bytes at which a JSON string can end, a block of 64 at a time.

/// Bytes looked at together.
const BLOCK: usize = 64;

/// Quotes and backslashes of some bytes, found block by block. Asking for ascending positions looks
/// at every byte once.
#[derive(Clone, Copy)]
pub(super) struct Stops<'a> {
    bytes: &'a [u8],
    /// Where the block starts that `found` speaks of; a multiple of [`BLOCK`].
    block_at: usize,
    /// One bit per byte of the block, the lowest for its first.
    found: u64,
}

impl<'a> Stops<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut stops = Self {
            bytes,
            block_at: 0,
            found: 0,
        };
        stops.enter(0);
        stops
    }

    #[inline(always)]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Position of the first quote or backslash at or after `at`; a position beyond the end if
    /// there is none.
    #[inline(always)]
    pub(super) fn find(&mut self, at: usize) -> usize {
        let mut from = at;
        loop {
            let offset = from.wrapping_sub(self.block_at);
            if offset < BLOCK {
                let found = self.found >> offset;
                if found != 0 {
                    return from.wrapping_add(found.trailing_zeros() as usize);
                }
                from = self.block_at.wrapping_add(BLOCK);
            }
            if from >= self.bytes.len() {
                return from;
            }
            self.enter(from & !(BLOCK - 1));
        }
    }

    #[inline(always)]
    fn enter(&mut self, block_at: usize) {
        self.block_at = block_at;
        self.found = mask_at(self.bytes, block_at);
    }
}

/// As [`mask`], of the block at `at`; what is missing of the last one counts as zeros.
fn mask_at(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<BLOCK>() {
        Some(block) => mask(block),
        None => {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            mask(&block)
        }
    }
}

/// One bit for every quote or backslash. The first loop becomes vector instructions; the second
/// gathers a bit from each byte, eight at a time: the multiplication adds up bytes of which each
/// holds another bit.
#[inline(always)]
fn mask(block: &[u8; BLOCK]) -> u64 {
    let mut hits = [0; BLOCK];
    for (hit, byte) in hits.iter_mut().zip(block) {
        *hit = (u8::from(*byte == b'"') | u8::from(*byte == b'\\')).wrapping_neg();
    }
    let mut found = 0;
    for (lane, hits) in hits.as_chunks::<8>().0.iter().enumerate() {
        let bits = u64::from_le_bytes(*hits) & 0x8040_2010_0804_0201;
        found |= (bits.wrapping_mul(0x0101_0101_0101_0101) >> 56) << (8 * lane);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_by_byte(block: &[u8; BLOCK]) -> u64 {
        let hits = block
            .iter()
            .map(|byte| u64::from(matches!(byte, b'"' | b'\\')));
        hits.enumerate()
            .fold(0, |found, (at, hit)| found | hit << at)
    }

    #[test]
    fn a_block_is_looked_at_as_if_byte_by_byte() {
        let mut block = [0; BLOCK];
        let mut value = 1u8;
        for _ in 0..1000 {
            for byte in &mut block {
                value = value.wrapping_mul(181).wrapping_add(101);
                *byte = match value % 35 {
                    0 | 7 => b'"',
                    5 | 10 => b'\\',
                    _ => value,
                };
            }
            assert_eq!(mask(&block), mask_by_byte(&block));
        }
        assert_eq!(mask(&[b'a'; BLOCK]), 0);
        assert_eq!(mask(&[b'"'; BLOCK]), u64::MAX);
    }

    #[test]
    fn stops_are_found_from_any_position_in_bytes_of_any_length() {
        for len in [0, 1, 63, 64, 65, 130, 200] {
            let mut bytes = vec![b'x'; len];
            for at in (0..len).step_by(13) {
                bytes[at] = if at % 2 == 0 { b'"' } else { b'\\' };
            }
            for from in 0..len + 3 {
                let found = Stops::new(&bytes).find(from);
                let expected = (from..len).find(|at| at % 13 == 0);
                match expected {
                    Some(at) => assert_eq!(found, at, "length {len} from {from}"),
                    None => assert!(found >= len, "length {len} from {from}"),
                }
            }
        }
    }
}

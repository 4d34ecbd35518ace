//! Finds the bytes at which a piece of text can end (quotes and backslashes in JSON, separators in a
//! property string), a block of 64 at a time.

use wide::u8x16;

/// Bytes looked at together.
const BLOCK: usize = 64;

/// The bytes `A` and `B` (neither is 0) among some bytes, found block by block. Asking for ascending
/// positions looks at every byte once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stops<'a, const A: u8, const B: u8> {
    bytes: &'a [u8],
    /// Where the block starts that `found` speaks of; a multiple of [`BLOCK`].
    block_at: usize,
    /// One bit per byte of the block, the lowest for its first.
    found: u64,
}

impl<'a, const A: u8, const B: u8> Stops<'a, A, B> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut stops = Self {
            bytes,
            block_at: 0,
            found: 0,
        };
        stops.enter(0);
        stops
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Position of the first `A` or `B` at or after `at`; a position beyond the end if there is
    /// none.
    #[inline(always)]
    pub(crate) fn find(&mut self, at: usize) -> usize {
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
        self.found = mask_at::<A, B>(self.bytes, block_at);
    }
}

/// As [`mask`], of the block at `at`; what is missing of the last one counts as zeros.
#[inline(always)]
fn mask_at<const A: u8, const B: u8>(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<BLOCK>() {
        Some(block) => mask::<A, B>(block),
        None => mask_of_end::<A, B>(bytes, rest),
    }
}

/// As [`mask`], of the fewer than 64 bytes that are left of `bytes`.
fn mask_of_end<const A: u8, const B: u8>(bytes: &[u8], rest: &[u8]) -> u64 {
    if rest.is_empty() {
        return 0;
    }
    if let Some(last) = bytes.last_chunk::<BLOCK>() {
        return mask::<A, B>(last) >> (BLOCK - rest.len());
    }
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    mask::<A, B>(&block)
}

/// One bit for every `A` or `B`: sixteen bytes are compared together, and one instruction gathers a
/// bit from each.
#[inline(always)]
fn mask<const A: u8, const B: u8>(block: &[u8; BLOCK]) -> u64 {
    let (first, second) = (u8x16::splat(A), u8x16::splat(B));
    let mut found = 0;
    for (lane, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*bytes);
        let hits = bytes.simd_eq(first) | bytes.simd_eq(second);
        found |= u64::from(hits.to_bitmask()) << (16 * lane);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_of_text(block: &[u8; BLOCK]) -> u64 {
        mask::<b'"', b'\\'>(block)
    }

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
            assert_eq!(mask_of_text(&block), mask_by_byte(&block));
        }
        assert_eq!(mask_of_text(&[b'a'; BLOCK]), 0);
        assert_eq!(mask_of_text(&[b'"'; BLOCK]), u64::MAX);
    }

    #[test]
    fn stops_are_found_from_any_position_in_bytes_of_any_length() {
        for len in [0, 1, 63, 64, 65, 130, 200] {
            let mut bytes = vec![b'x'; len];
            for at in (0..len).step_by(13) {
                bytes[at] = if at % 2 == 0 { b'"' } else { b'\\' };
            }
            for from in 0..len + 3 {
                let found = Stops::<b'"', b'\\'>::new(&bytes).find(from);
                let expected = (from..len).find(|at| at % 13 == 0);
                match expected {
                    Some(at) => assert_eq!(found, at, "length {len} from {from}"),
                    None => assert!(found >= len, "length {len} from {from}"),
                }
            }
        }
    }
}

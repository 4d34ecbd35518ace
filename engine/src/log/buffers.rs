//! Memory for commit blocks: large arenas, cut front to back, used again when every block cut from
//! one is gone. In steady state no memory is asked of the system.

use ringmq_ring::{AlignedBuf, Reclaim};

use crate::limits::{ARENA_BYTES, BLOCK_BYTES_MAX};

/// The arenas of one shard.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The uncut end of the current arena.
    rest: Option<AlignedBuf>,
    /// Claims on arenas that are cut up, oldest first.
    used: std::collections::VecDeque<Reclaim>,
    /// Claim on the current arena.
    current: Option<Reclaim>,
}

impl Buffers {
    /// A buffer of at least `needed` bytes, its content unspecified. What a block does not use of it is
    /// to be given back with [`Buffers::give_back`].
    pub(crate) fn take(&mut self, needed: usize) -> AlignedBuf {
        if needed > BLOCK_BYTES_MAX {
            return AlignedBuf::zeroed(needed);
        }
        match self.rest.take() {
            Some(rest) if rest.len() >= needed => rest,
            _ => self.next_arena(),
        }
    }

    /// The uncut rest of a buffer from [`Buffers::take`].
    pub(crate) fn give_back(&mut self, rest: AlignedBuf) {
        // With several closed blocks the longest rest is the one worth keeping.
        if self
            .rest
            .as_ref()
            .is_none_or(|kept| kept.len() < rest.len())
        {
            self.rest = Some(rest);
        }
    }

    /// Bytes of the arenas that are cut up and not used again yet: something still holds a part of each, or
    /// did when it was last looked at.
    pub(crate) fn held_bytes(&self) -> usize {
        self.used.len() * ARENA_BYTES
    }

    fn next_arena(&mut self) -> AlignedBuf {
        self.used.extend(self.current.take());
        let arena = self
            .reclaimed()
            .unwrap_or_else(|| AlignedBuf::zeroed(ARENA_BYTES));
        self.current = Some(arena.reclaim());
        arena
    }

    /// Blocks leave the hot tail in order, so the oldest arena is the first to be free; a slow reader
    /// may pin it, then the next ones are tried.
    fn reclaimed(&mut self) -> Option<AlignedBuf> {
        for _ in 0..self.used.len() {
            match self.used.pop_front()?.try_take() {
                Ok(arena) => return Some(arena),
                Err(claim) => self.used.push_back(claim),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_is_used_again_when_its_blocks_are_gone() {
        let mut buffers = Buffers::default();
        let mut first = buffers.take(4096);
        let address = first.as_ptr();
        let block = first.split_to(8192);
        buffers.give_back(first);
        // Too large for the rest: the arena is left behind.
        let mut rest = buffers.take(4096);
        let most = rest.len() - 4096;
        let big = rest.split_to(most);
        buffers.give_back(rest);
        drop((block, big));
        let second = buffers.take(BLOCK_BYTES_MAX);
        assert_ne!(second.as_ptr(), address);
        drop(second);
        // The second arena was never given back, so both are free; the older one comes first.
        assert_eq!(buffers.take(BLOCK_BYTES_MAX).as_ptr(), address);
    }
}

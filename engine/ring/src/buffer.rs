//! Memory that direct I/O accepts: aligned, zeroed at birth, freed with its own layout.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags};

/// Alignment in bytes of every buffer, file position and length given to direct I/O. The format on
/// disk uses the same figure whatever the device reports.
pub const ALIGNMENT: usize = 4096;
/// Bytes that the processor fetches at once.
const CACHE_LINE: usize = 64;
/// Buffers of at least this size are mappings of their own.
const MAPPED_BYTES_MIN: usize = 2 << 20;

/// An owned, zero-initialised byte buffer whose address and length are multiples of [`ALIGNMENT`].
///
/// `bytes::Bytes::from_owner(buffer)` turns it into shared, immutable slices. A large buffer can be
/// cut into smaller ones with [`AlignedBuf::split_to`]; the memory behind all parts is freed, or
/// given back by [`Reclaim`], when the last of them is gone.
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
    memory: Arc<Memory>,
}

// SAFETY: the buffer has exclusive access to its range of the allocation (parts never overlap);
// nothing in it is tied to a thread.
unsafe impl Send for AlignedBuf {}
// SAFETY: shared access only reads plain bytes.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// A zeroed buffer of `len` bytes, rounded up to a multiple of [`ALIGNMENT`], at least one.
    pub fn zeroed(len: usize) -> Self {
        let len = len.max(1).next_multiple_of(ALIGNMENT);
        Self::whole(Arc::new(Memory::zeroed(len)))
    }

    /// Cuts the first `at` bytes (a multiple of [`ALIGNMENT`], within the buffer, not all of it) off
    /// into a buffer of their own; `self` keeps the rest. Nothing is copied.
    pub fn split_to(&mut self, at: usize) -> Self {
        assert!(
            at > 0 && at < self.len && at.is_multiple_of(ALIGNMENT),
            "split at {at} of {}",
            self.len
        );
        let front = Self {
            start: self.start,
            len: at,
            memory: Arc::clone(&self.memory),
        };
        // SAFETY: `at < len`, so the new start stays inside the allocation.
        self.start = unsafe { self.start.add(at) };
        self.len -= at;
        front
    }

    /// Tells the processor that `len` bytes from `at` on will be written soon, as far as there are so
    /// many: the memory of written blocks has long left its caches, and a write that waits for it holds
    /// up everything behind it.
    #[inline]
    pub fn prefetch(&self, at: usize, len: usize) {
        let end = at.saturating_add(len).min(self.len);
        for line in (at..end).step_by(CACHE_LINE) {
            prefetch_line(self.start.as_ptr().wrapping_add(line));
        }
    }

    /// A claim on the memory behind this buffer, to use it again once every part of it is gone.
    pub fn reclaim(&self) -> Reclaim {
        Reclaim(Arc::clone(&self.memory))
    }

    fn whole(memory: Arc<Memory>) -> Self {
        Self {
            start: memory.start,
            len: memory.len,
            memory,
        }
    }
}

/// A claim on the memory of an [`AlignedBuf`] that may still be in use.
pub struct Reclaim(Arc<Memory>);

impl Reclaim {
    /// The whole buffer again, with whatever bytes it held, when no part of it is left; the claim
    /// back otherwise.
    pub fn try_take(mut self) -> Result<AlignedBuf, Self> {
        // Every part holds a reference, so a unique one means that no part is left.
        match Arc::get_mut(&mut self.0) {
            Some(_) => Ok(AlignedBuf::whole(self.0)),
            None => Err(self),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: a hint; it neither reads nor writes, and takes any address.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_line(_: *const u8) {}

/// The memory that one or more buffers share, each its own range of it.
struct Memory {
    start: NonNull<u8>,
    len: usize,
    source: Source,
}

/// Where memory goes back to.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Heap,
    /// A mapping of its own.
    Mapping,
}

// SAFETY: only addresses; access to the bytes goes through buffers that never overlap.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn zeroed(len: usize) -> Self {
        let mapped = (len >= MAPPED_BYTES_MIN).then(|| Self::mapped(len));
        mapped.flatten().unwrap_or_else(|| Self::on_heap(len))
    }

    fn on_heap(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        let source = Source::Heap;
        Self { start, len, source }
    }

    /// Fresh pages of the kernel, which are zero when they are first touched and cost nothing before: a
    /// large buffer is not made resident at one go, while somebody waits. Nothing where the kernel has
    /// none. (Huge pages were tried: now and then one takes the kernel six milliseconds to find.)
    fn mapped(len: usize) -> Option<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let start = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE)
        };
        let start = NonNull::new(start.ok()?.cast::<u8>())?;
        let source = Source::Mapping;
        // A page has 4096 bytes or a multiple of them.
        Some(Self { start, len, source })
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, ALIGNMENT).expect("buffer length overflows an address")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let start = self.start.as_ptr();
        match self.source {
            // SAFETY: allocated in `on_heap` with this very layout and not freed since.
            Source::Heap => unsafe { dealloc(start, Self::layout(self.len)) },
            // SAFETY: mapped in `mapped` with this length, and nothing refers to it any more. A failure
            // would only leave the pages in place.
            Source::Mapping => unsafe {
                let _ = rustix::mm::munmap(start.cast(), self.len);
            },
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised bytes for the life of `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuf({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_zeroed_and_rounded_up() {
        let buffer = AlignedBuf::zeroed(4097);
        assert_eq!(buffer.len(), 8192);
        assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
        assert!(buffer.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_large_buffer_is_aligned_zeroed_and_writable_to_its_end() {
        for len in [MAPPED_BYTES_MIN, 2 * MAPPED_BYTES_MIN + ALIGNMENT] {
            let mut buffer = AlignedBuf::zeroed(len);
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            assert!(buffer.iter().all(|&byte| byte == 0) && buffer.len() == len);
            buffer.fill(7);
            let rest = buffer.split_to(len - ALIGNMENT);
            assert!(rest.iter().chain(buffer.iter()).all(|&byte| byte == 7));
        }
    }

    #[test]
    fn parts_are_separate_and_the_memory_comes_back_with_the_last_of_them() {
        let mut rest = AlignedBuf::zeroed(3 * ALIGNMENT);
        let claim = rest.reclaim();
        let mut front = rest.split_to(ALIGNMENT);
        front.fill(1);
        rest.fill(2);
        assert!(front.iter().all(|&byte| byte == 1) && front.len() == ALIGNMENT);
        drop(rest);
        let Err(claim) = claim.try_take() else {
            panic!("a part is still in use");
        };
        drop(front);
        let Ok(whole) = claim.try_take() else {
            panic!("no part is left");
        };
        assert_eq!(
            (whole.len(), whole[0], whole[ALIGNMENT]),
            (3 * ALIGNMENT, 1, 2)
        );
    }
}

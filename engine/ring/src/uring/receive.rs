//! Receive buffers: one ring of them for all sockets, so that an idle connection holds none.
//!
//! The kernel takes a buffer when bytes arrive; dropping [`Received`] puts it on a list of this
//! thread, and the next turn shows the list to the kernel. No system call is involved.

use std::cell::RefCell;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, types::BufRingEntry};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// Bytes received, in the ring's own memory until dropped.
#[derive(Debug)]
pub struct Received {
    /// `None`: the peer has closed, there are no bytes.
    pool: Option<Rc<Pool>>,
    buffer: u16,
    len: usize,
}

impl Received {
    pub(super) fn nothing() -> Self {
        Self {
            pool: None,
            buffer: 0,
            len: 0,
        }
    }
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        let Some(pool) = &self.pool else { return &[] };
        let start = usize::from(self.buffer) * pool.buffer_bytes;
        assert!(
            start + self.len <= pool.memory.len,
            "a buffer beyond its pool"
        );
        // SAFETY: inside the mapping (checked above), which `pool` keeps alive; the kernel has
        // filled these bytes and does not write to a buffer before it is given back, which happens
        // after this value is dropped.
        unsafe { std::slice::from_raw_parts(pool.memory.start.as_ptr().add(start), self.len) }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.returned.borrow_mut().push(self.buffer);
        }
    }
}

/// The memory of all buffers, and which of them wait to be given back.
#[derive(Debug)]
struct Pool {
    memory: Mapping,
    buffer_bytes: usize,
    returned: RefCell<Vec<u16>>,
}

/// The ring of free buffers that the kernel takes from.
pub(super) struct BufferRing {
    entries: Mapping,
    count: u16,
    tail: u16,
    pool: Rc<Pool>,
}

impl BufferRing {
    /// `count` (a power of two) buffers of `buffer_bytes` each.
    pub(super) fn new(count: u16, buffer_bytes: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "{count} receive buffers");
        let pool = Pool {
            memory: Mapping::anonymous(usize::from(count) * buffer_bytes)?,
            buffer_bytes,
            returned: RefCell::new((0..count).collect()),
        };
        let entry_bytes = std::mem::size_of::<BufRingEntry>();
        Ok(Self {
            entries: Mapping::anonymous(usize::from(count) * entry_bytes)?,
            count,
            tail: 0,
            pool: Rc::new(pool),
        })
    }

    /// Makes the ring known to the kernel.
    pub(super) fn register(&self, ring: &IoUring) -> io::Result<()> {
        let address = self.entries.start.as_ptr() as u64;
        // SAFETY: the mapping has room for `count` entries; `Uring` drops it only after the kernel
        // has forgotten the group.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, self.count, GROUP, 0)
        }
    }

    /// Shows every dropped buffer to the kernel.
    pub(super) fn give_back(&mut self) {
        let pool = Rc::clone(&self.pool);
        let mut returned = pool.returned.borrow_mut();
        if returned.is_empty() {
            return;
        }
        for buffer in returned.drain(..) {
            self.put(buffer);
        }
        self.publish();
    }

    /// Takes a buffer that the kernel has filled with `len` bytes.
    pub(super) fn take(&self, buffer: u16, len: usize) -> Received {
        Received {
            pool: Some(Rc::clone(&self.pool)),
            buffer,
            len,
        }
    }

    /// Never frees the memory: for a kernel that cannot be waited for.
    pub(super) fn leak(&mut self) {
        std::mem::forget(Rc::clone(&self.pool));
        let leaked = Mapping {
            start: self.entries.start,
            len: 0,
        };
        std::mem::forget(std::mem::replace(&mut self.entries, leaked));
    }

    fn put(&mut self, buffer: u16) {
        let at = usize::from(self.tail & (self.count - 1));
        let offset = usize::from(buffer) * self.pool.buffer_bytes;
        let entries = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: `at` is below `count`, so the entry is inside the mapping; the kernel reads
        // entries only below the published tail, and this one is above it.
        let entry = unsafe { &mut *entries.add(at) };
        entry.set_addr(self.pool.memory.start.as_ptr() as u64 + offset as u64);
        entry.set_len(self.pool.buffer_bytes as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        let entries = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the tail lies in the first entry of the mapping, aligned for a `u16`; this
        // thread is its only writer, and the kernel reads it atomically.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Anonymous memory, zero and not resident until touched.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn anonymous(len: usize) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: mapped by `anonymous` with this length, and nothing refers to it any more. A
        // failure would only leave the pages in place.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

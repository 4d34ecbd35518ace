//! Ending a ring's sleep: from another ring by a message between rings, from any other thread by
//! an event descriptor that the ring always has a read armed on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use io_uring::{opcode, squeue, types};

use crate::io::Wake;

/// Wakes one [`super::Uring`] from any thread. It keeps the ring's descriptor number from being
/// given to something else, even when the ring is gone.
#[derive(Clone, Debug)]
pub struct UringWaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The event descriptor has been written and the ring has not seen it yet.
    rung: AtomicBool,
    event: OwnedFd,
    ring: OwnedFd,
    /// Where the kernel puts what it reads from the event descriptor.
    count: AtomicU64,
}

/// What is written to an event descriptor: any number but zero will do.
static ONE: [u8; 8] = 1u64.to_le_bytes();

impl Wake for UringWaker {
    fn wake(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // It cannot fail: the counter is far from its end, as every wake but the first before
            // the ring has looked is left out.
            let _ = rustix::io::write(&self.0.event, &ONE);
        }
    }
}

impl UringWaker {
    pub(super) fn new(ring: BorrowedFd<'_>) -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self(Arc::new(Shared {
            rung: AtomicBool::new(false),
            // Blocking on purpose: the ring waits for it; a non-blocking read would fail at once.
            event: eventfd(0, EventfdFlags::CLOEXEC)?,
            ring: ring.try_clone_to_owned()?,
            count: AtomicU64::new(0),
        })))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The event was seen: the next wake writes again. Whatever was done before a wake that was
    /// left out is visible after this.
    pub(super) fn answered(&self) {
        self.0.rung.swap(false, Ordering::AcqRel);
    }

    /// Reads the event descriptor into memory that lives as long as this waker.
    pub(super) fn listen(&self) -> squeue::Entry {
        let event = types::Fd(self.0.event.as_fd().as_raw_fd());
        opcode::Read::new(event, self.0.count.as_ptr().cast(), 8).build()
    }

    /// Puts a completion with this user data into the other ring.
    pub(super) fn message(&self, user_data: u64) -> squeue::Entry {
        let ring = types::Fd(self.0.ring.as_raw_fd());
        opcode::MsgRingData::new(ring, 0, user_data, None).build()
    }

    /// Writes the event descriptor from a ring; `None` when it is written already.
    pub(super) fn ring_bell(&self) -> Option<squeue::Entry> {
        if self.0.rung.swap(true, Ordering::AcqRel) {
            return None;
        }
        let event = types::Fd(self.0.event.as_raw_fd());
        Some(opcode::Write::new(event, ONE.as_ptr(), 8).build())
    }
}

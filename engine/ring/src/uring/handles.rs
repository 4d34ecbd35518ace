//! The registered file table: which slot holds which file or socket, and until when.
//!
//! A slot is given out again only when the last operation on it has completed, and its identity
//! carries a generation: a stale [`crate::SocketId`] never reaches the slot's next tenant.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use io_uring::types;

/// Bits of an identity that are the slot; the rest is the generation.
const SLOT_BITS: u32 = 20;
/// Most slots that identities can tell apart.
pub(super) const SLOTS_MAX: u32 = 1 << SLOT_BITS;

/// An identity: what [`crate::FileId`], [`crate::SocketId`] and [`crate::ListenerId`] hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(pub(super) u32);

impl Handle {
    pub(super) fn new(slot: u32, generation: u32) -> Self {
        Self((generation << SLOT_BITS) | slot)
    }

    pub(super) fn slot(self) -> usize {
        (self.0 & (SLOTS_MAX - 1)) as usize
    }

    pub(super) fn fixed(self) -> types::Fixed {
        types::Fixed(self.slot() as u32)
    }

    /// The identity of the slot's next tenant.
    fn successor(self) -> Self {
        Self::new(self.slot() as u32, (self.0 >> SLOT_BITS).wrapping_add(1))
    }
}

/// The address of an end that is not known.
pub(super) const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tenant {
    File,
    Socket,
    Listener,
}

/// One registered file or socket.
pub(super) struct Slot {
    handle: Handle,
    tenant: Tenant,
    /// The other end of a socket.
    pub(super) peer: SocketAddr,
    /// `None` when nobody lives here.
    fd: Option<OwnedFd>,
    pub(super) in_flight: u32,
    pub(super) closing: bool,
    pub(super) sending: bool,
    /// User data of the armed receive or accept.
    pub(super) armed: Option<u64>,
}

/// All slots, in use and free.
pub(super) struct Handles {
    slots: Vec<Slot>,
    free: Vec<Handle>,
    /// Descriptors by slot, where the kernel reads them when a registration is submitted; never
    /// moved.
    descriptors: Box<[RawFd]>,
}

impl Handles {
    /// A table for at most `max` files and sockets.
    pub(super) fn new(max: u32) -> Self {
        assert!(max <= SLOTS_MAX, "{max} registered files are too many");
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            descriptors: vec![-1; max as usize].into_boxed_slice(),
        }
    }

    /// Finds a slot for `fd`; `EMFILE` when all are in use.
    pub(super) fn adopt(&mut self, fd: OwnedFd, tenant: Tenant) -> io::Result<Handle> {
        let handle = self.vacant()?;
        self.descriptors[handle.slot()] = fd.as_raw_fd();
        let slot = Slot {
            handle,
            tenant,
            peer: UNKNOWN,
            fd: Some(fd),
            in_flight: 0,
            closing: false,
            sending: false,
            armed: None,
        };
        if handle.slot() == self.slots.len() {
            self.slots.push(slot);
        } else {
            self.slots[handle.slot()] = slot;
        }
        Ok(handle)
    }

    fn vacant(&mut self) -> io::Result<Handle> {
        if let Some(handle) = self.free.pop() {
            return Ok(handle);
        }
        if self.slots.len() == self.descriptors.len() {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        Ok(Handle::new(self.slots.len() as u32, 0))
    }

    /// Where the kernel reads the descriptor of `handle` while it registers it.
    pub(super) fn descriptor(&self, handle: Handle) -> *const RawFd {
        &raw const self.descriptors[handle.slot()]
    }

    /// The slot of an identity that the caller may still use.
    pub(super) fn open(&mut self, handle: Handle, tenant: Tenant) -> Option<&mut Slot> {
        let slot = self.get(handle)?;
        (slot.tenant == tenant && !slot.closing).then_some(slot)
    }

    /// The slot of an identity that is not given back yet.
    pub(super) fn get(&mut self, handle: Handle) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(handle.slot())?;
        (slot.handle == handle && slot.fd.is_some()).then_some(slot)
    }

    /// The other end of an open socket.
    pub(super) fn peer(&self, handle: Handle) -> SocketAddr {
        let slot = self.slots.get(handle.slot());
        let slot = slot.filter(|slot| slot.handle == handle && slot.fd.is_some());
        slot.map_or(UNKNOWN, |slot| slot.peer)
    }

    /// Frees the slot; the descriptor is the caller's to close.
    pub(super) fn vacate(&mut self, handle: Handle) -> Option<OwnedFd> {
        let slot = self.get(handle)?;
        debug_assert_eq!(slot.in_flight, 0, "a slot is vacated in use");
        let fd = slot.fd.take();
        self.free.push(handle.successor());
        fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_stale_identity_does_not_reach_the_next_tenant() {
        let mut handles = Handles::new(4);
        let first = handles.adopt(fd(), Tenant::Socket).unwrap();
        assert!(handles.vacate(first).is_some());
        let second = handles.adopt(fd(), Tenant::Socket).unwrap();
        assert_eq!(first.slot(), second.slot());
        assert!(handles.open(first, Tenant::Socket).is_none());
        assert!(handles.vacate(first).is_none());
        assert!(handles.open(second, Tenant::Socket).is_some());
    }

    #[test]
    fn a_full_table_refuses() {
        let mut handles = Handles::new(2);
        for _ in 0..2 {
            handles.adopt(fd(), Tenant::File).unwrap();
        }
        let error = handles.adopt(fd(), Tenant::File).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }

    #[test]
    fn an_identity_works_only_for_what_it_names() {
        let mut handles = Handles::new(2);
        let file = handles.adopt(fd(), Tenant::File).unwrap();
        assert!(handles.open(file, Tenant::Socket).is_none());
    }
}

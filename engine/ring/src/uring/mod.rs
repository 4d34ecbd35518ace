//! [`Io`] on io_uring: one ring per thread.
//!
//! What always holds:
//! * Memory, files and sockets belong to the ring from submission to the last completion
//!   (`operation`, `handles`), whatever the caller gives up meanwhile; dropping the ring cancels
//!   and waits first.
//! * [`Io::turn`] makes exactly one system call (`kernel`), and nothing else makes any, but
//!   setting up, tearing down, and one question per adopted connection (its peer's address).
//! * In steady state no operation allocates: tables keep their size, send lists are reused,
//!   receive buffers are shared.
//!
//! Internal work that nobody waits for (registering a descriptor, closing one, waking another
//! ring) leaves no completion when it succeeds.

mod clock;
mod gather;
mod handles;
mod kernel;
mod operation;
mod receive;
mod wake;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use bytes::Bytes;
use io_uring::{cqueue, opcode, squeue, types};

use self::gather::Gathers;
use self::handles::{Handle, Handles, Tenant};
use self::kernel::Kernel;
use self::operation::{Kind, Operation, Operations, Step};
use self::receive::BufferRing;
pub use self::receive::Received;
pub use self::wake::UringWaker;
use crate::buffer::AlignedBuf;
use crate::io::{
    Completion, FileId, Glance, Io, ListenerId, Moment, Payload, SocketId, Token, Wait,
};
use crate::limits::{
    COMPLETIONS, DRAIN_STEP_NS, FILES_MAX, OPERATIONS_START, RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS,
    SUBMISSIONS,
};
use crate::probe::{self, Refused};

/// Sizes of one ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UringConfig {
    /// Entries of the submission queue.
    pub submissions: u32,
    /// Entries of the completion queue.
    pub completions: u32,
    /// Files and sockets at once (less where the process may not open as many).
    pub files: u32,
    /// Receive buffers; a power of two.
    pub receive_buffers: u16,
    /// Bytes of each.
    pub receive_buffer_bytes: u32,
}

impl Default for UringConfig {
    fn default() -> Self {
        Self {
            submissions: SUBMISSIONS,
            completions: COMPLETIONS,
            files: FILES_MAX,
            receive_buffers: RECEIVE_BUFFERS,
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
        }
    }
}

/// What a completion of this ring looks like.
pub type UringCompletion = Completion<TcpStream, Received>;

/// A thread's ring. Make it on the thread that will turn it; it cannot leave it.
///
/// Streams given to [`Io::adopt_socket`] must be blocking (as std and [`Payload::Accepted`] make
/// them): on a non-blocking one the kernel would refuse instead of waiting.
pub struct Uring {
    kernel: Kernel,
    handles: Handles,
    operations: Operations,
    gathers: Gathers,
    buffers: BufferRing,
    waker: UringWaker,
    /// Wakers of other rings that were used here, by the index that a failed message reports.
    others: Vec<UringWaker>,
    /// Completions of operations that never went to the kernel.
    ready: Vec<UringCompletion>,
    now: Moment,
    /// A read of the event descriptor is in flight.
    listening: bool,
    /// Being dropped: nothing is armed again.
    draining: bool,
}

/// User data with this bit is not an operation's.
const INTERNAL: u64 = 1 << 63;
/// Nobody waits for it.
const IGNORED: u64 = INTERNAL;
/// A message of another ring: the sleep is over.
const WOKEN: u64 = INTERNAL | 1 << 32;
/// Our event descriptor was written: the sleep is over.
const RUNG: u64 = INTERNAL | 2 << 32;
/// A message to the ring with this index (low half) failed.
const NOT_WOKEN: u64 = INTERNAL | 3 << 32;
const INDEX: u64 = u32::MAX as u64;

/// What a slot of the registered table is set to when it is given up.
static NO_DESCRIPTOR: RawFd = -1;
/// The value of `TCP_NODELAY`.
static ENABLED: i32 = 1;

impl Uring {
    /// Sets a ring up, or says why there cannot be one here.
    pub fn new(config: &UringConfig) -> Result<Self, Refused> {
        let kernel = Kernel::new(config)?;
        probe::operations(kernel.ring())?;
        let files = probe::registered_files(kernel.ring(), config.files)?;
        let bytes = config.receive_buffer_bytes as usize;
        let buffers = BufferRing::new(config.receive_buffers, bytes)
            .and_then(|buffers| buffers.register(kernel.ring()).map(|()| buffers))
            .map_err(|error| Refused::because(probe::Step::ReceiveBuffers, error))?;
        // SAFETY: the descriptor belongs to `kernel`, which outlives this borrow.
        let ring = unsafe { BorrowedFd::borrow_raw(kernel.ring().as_raw_fd()) };
        let waker =
            UringWaker::new(ring).map_err(|error| Refused::because(probe::Step::Waker, error))?;
        let mut this = Self {
            kernel,
            handles: Handles::new(files),
            operations: Operations::with_capacity(OPERATIONS_START),
            gathers: Gathers::default(),
            buffers,
            waker,
            others: Vec::new(),
            ready: Vec::new(),
            now: clock::now(),
            listening: false,
            draining: false,
        };
        this.listen_for_wakes();
        Ok(this)
    }

    /// System calls made to enter the kernel so far: one per turn.
    pub fn enters(&self) -> u64 {
        self.kernel.enters()
    }

    /// Operations that have not completed.
    pub fn in_flight(&self) -> usize {
        self.operations.len()
    }

    // --- submission -----------------------------------------------------------------------------

    /// Files an operation on an open handle and queues it; gives `kind` back when the handle is
    /// not open.
    fn start(&mut self, on: Handle, tenant: Tenant, token: Token, kind: Kind) -> Result<u64, Kind> {
        let Some(slot) = self.handles.open(on, tenant) else {
            return Err(kind);
        };
        slot.in_flight += 1;
        let user_data = self.operations.insert(on, token, kind);
        self.submit(user_data);
        Ok(user_data)
    }

    /// Queues what is left of an operation.
    fn submit(&mut self, user_data: u64) {
        let Some(operation) = self.operations.get_mut(user_data) else {
            return;
        };
        let entry = operation.entry().user_data(user_data);
        // SAFETY: all memory that the entry points to is owned by the operation on the heap
        // (`AlignedBuf`, `Bytes`, boxed `Gather`), where it neither moves nor is touched until the
        // operation is removed at its last completion; dropping the ring waits for that.
        unsafe { self.kernel.push(entry) };
    }

    /// Queues work that leaves no completion unless it fails.
    ///
    /// # Safety
    /// As [`Kernel::push`].
    unsafe fn submit_silently(&mut self, entry: squeue::Entry, user_data: u64) {
        let entry = entry
            .user_data(user_data)
            .flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: the caller's promise.
        unsafe { self.kernel.push(entry) };
    }

    /// An operation on something that is closed, or not ours: it fails in the next turn.
    fn refuse(&mut self, token: Token, errno: i32, payload: Payload<TcpStream, Received>) {
        self.ready.push(Completion {
            token,
            result: Err(io::Error::from_raw_os_error(errno)),
            more: false,
            payload,
        });
    }

    fn start_file(&mut self, file: FileId, token: Token, kind: Kind) {
        if let Err(kind) = self.start(Handle(file.0), Tenant::File, token, kind) {
            let payload = self.payload(kind);
            self.refuse(token, libc::EBADF, payload);
        }
    }

    /// Arms a multishot operation and remembers it, so that it can be stopped by itself.
    fn arm(&mut self, on: Handle, tenant: Tenant, token: Token, kind: Kind) {
        let armed = self
            .handles
            .open(on, tenant)
            .is_some_and(|slot| slot.armed.is_some());
        if armed {
            return self.refuse(token, libc::EALREADY, Payload::None);
        }
        match self.start(on, tenant, token, kind) {
            Ok(user_data) => {
                if let Some(slot) = self.handles.get(on) {
                    slot.armed = Some(user_data);
                }
            }
            Err(_) => self.refuse(token, libc::EBADF, Payload::None),
        }
    }

    fn adopt(&mut self, fd: OwnedFd, tenant: Tenant) -> io::Result<Handle> {
        let handle = self.handles.adopt(fd, tenant)?;
        let descriptor = self.handles.descriptor(handle);
        let entry = opcode::FilesUpdate::new(descriptor, 1).offset(handle.slot() as i32);
        // SAFETY: the table of descriptors is never moved and lives as long as the ring.
        unsafe { self.submit_silently(entry.build(), IGNORED) };
        Ok(handle)
    }

    /// The slot's last operation is over: unregisters and closes. Both are carried out in the
    /// order of submission, so the slot can have its next tenant at once.
    fn retire(&mut self, handle: Handle) {
        let Some(fd) = self.handles.vacate(handle) else {
            return;
        };
        let unregister =
            opcode::FilesUpdate::new(&raw const NO_DESCRIPTOR, 1).offset(handle.slot() as i32);
        let close = opcode::Close::new(types::Fd(fd.into_raw_fd()));
        // SAFETY: the one points to a static, the other to nothing; the descriptor was ours alone
        // and is closed by this entry alone.
        unsafe {
            self.submit_silently(unregister.build(), IGNORED);
            self.submit_silently(close.build(), IGNORED);
        }
    }

    fn close(&mut self, handle: Handle, tenant: Tenant) {
        let Some(slot) = self.handles.open(handle, tenant) else {
            return;
        };
        slot.closing = true;
        if slot.in_flight == 0 {
            self.retire(handle);
        } else if tenant != Tenant::File {
            let user_data = self.operations.insert(handle, 0, Kind::Cancel);
            self.submit(user_data);
        }
    }

    fn listen_for_wakes(&mut self) {
        let entry = self.waker.listen().user_data(RUNG);
        // SAFETY: the memory that is read into belongs to the waker; dropping the ring waits until
        // this read is over.
        unsafe { self.kernel.push(entry) };
        self.listening = true;
    }

    // --- completion -----------------------------------------------------------------------------

    fn reap(&mut self, completions: &mut Vec<UringCompletion>) {
        for _ in 0..self.kernel.completed() {
            let Some(entry) = self.kernel.next() else {
                return;
            };
            if entry.user_data() & INTERNAL == 0 {
                self.complete(&entry, completions);
            } else {
                self.internal(&entry);
            }
        }
    }

    fn complete(&mut self, entry: &cqueue::Entry, completions: &mut Vec<UringCompletion>) {
        let user_data = entry.user_data();
        let Some(operation) = self.operations.get_mut(user_data) else {
            return;
        };
        match operation.kind {
            Kind::Accept | Kind::Receive => self.shot(entry, completions),
            Kind::Cancel => self.cancelled(entry),
            Kind::Shutdown => drop(self.end(user_data)),
            _ => match operation.advance(entry.result()) {
                Step::Again => self.again(user_data, completions),
                Step::Done(result) => self.finish(user_data, result, completions),
            },
        }
    }

    /// Goes on with an operation, unless its socket is being closed.
    fn again(&mut self, user_data: u64, completions: &mut Vec<UringCompletion>) {
        let Some(operation) = self.operations.get_mut(user_data) else {
            return;
        };
        let on = operation.on;
        let send = matches!(operation.kind, Kind::Send(_));
        if send && self.handles.get(on).is_some_and(|slot| slot.closing) {
            let cancelled = Err(io::Error::from_raw_os_error(libc::ECANCELED));
            return self.finish(user_data, cancelled, completions);
        }
        self.submit(user_data);
    }

    /// One item, or the end, of a multishot operation.
    fn shot(&mut self, entry: &cqueue::Entry, completions: &mut Vec<UringCompletion>) {
        let user_data = entry.user_data();
        let Some(operation) = self.operations.get_mut(user_data) else {
            return;
        };
        let (token, accept) = (operation.token, matches!(operation.kind, Kind::Accept));
        let more = cqueue::more(entry.flags());
        let (result, payload) = if accept {
            Self::accepted(entry.result())
        } else {
            self.received(entry)
        };
        if !more {
            self.end(user_data);
        }
        completions.push(Completion {
            token,
            result,
            more,
            payload,
        });
    }

    fn accepted(result: i32) -> (io::Result<usize>, Payload<TcpStream, Received>) {
        if result < 0 {
            return (Err(io::Error::from_raw_os_error(-result)), Payload::None);
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let stream = unsafe { TcpStream::from_raw_fd(result) };
        (Ok(0), Payload::Accepted(stream))
    }

    fn received(
        &mut self,
        entry: &cqueue::Entry,
    ) -> (io::Result<usize>, Payload<TcpStream, Received>) {
        let len = usize::try_from(entry.result()).unwrap_or(0);
        let received = match cqueue::buffer_select(entry.flags()) {
            Some(buffer) => self.buffers.take(buffer, len),
            None => Received::nothing(),
        };
        if entry.result() < 0 {
            let error = io::Error::from_raw_os_error(-entry.result());
            return (Err(error), Payload::None);
        }
        (Ok(len), Payload::Received(received))
    }

    fn finish(
        &mut self,
        user_data: u64,
        result: io::Result<usize>,
        completions: &mut Vec<UringCompletion>,
    ) {
        let Some(operation) = self.end(user_data) else {
            return;
        };
        let payload = self.payload(operation.kind);
        completions.push(Completion {
            token: operation.token,
            result,
            more: false,
            payload,
        });
    }

    /// What the caller gets back of a finished operation's memory.
    fn payload(&mut self, kind: Kind) -> Payload<TcpStream, Received> {
        match kind {
            Kind::Read { buffer, .. } => Payload::Buffer(buffer),
            Kind::Send(gather) => Payload::Sent(self.gathers.give_back(gather)),
            _ => Payload::None,
        }
    }

    /// The kernel is done with an operation.
    fn end(&mut self, user_data: u64) -> Option<Operation> {
        let operation = self.operations.remove(user_data)?;
        let on = operation.on;
        if let Some(slot) = self.handles.get(on) {
            slot.in_flight -= 1;
            match operation.kind {
                Kind::Send(_) => slot.sending = false,
                Kind::Accept | Kind::Receive => slot.armed = None,
                _ => {}
            }
            if slot.closing && slot.in_flight == 0 {
                self.retire(on);
            }
        }
        Some(operation)
    }

    /// A closing socket's operations were looked for. If some were not found (they were between
    /// two states of the kernel), shutting the connection down ends them.
    fn cancelled(&mut self, entry: &cqueue::Entry) {
        let Some(operation) = self.operations.remove(entry.user_data()) else {
            return;
        };
        let on = operation.on;
        let Some(slot) = self.handles.get(on) else {
            return;
        };
        let found = u32::try_from(entry.result()).unwrap_or(0);
        if slot.closing && found < slot.in_flight {
            slot.in_flight += 1;
            let user_data = self.operations.insert(on, 0, Kind::Shutdown);
            self.submit(user_data);
        }
    }

    fn internal(&mut self, entry: &cqueue::Entry) {
        let user_data = entry.user_data();
        match user_data & !INDEX {
            RUNG => {
                self.listening = false;
                self.waker.answered();
                if !self.draining {
                    self.listen_for_wakes();
                }
            }
            NOT_WOKEN => self.ring_bell((user_data & INDEX) as usize),
            // `WOKEN` has done its work by ending the sleep; the rest failed, and what depends on
            // it will say so.
            _ => {}
        }
    }

    /// A message to another ring got lost: its event descriptor wakes it just as well.
    fn ring_bell(&mut self, other: usize) {
        let bell = self.others.get(other).and_then(UringWaker::ring_bell);
        if let Some(entry) = bell {
            // SAFETY: it points to a static.
            unsafe { self.submit_silently(entry, IGNORED) };
        }
    }

    fn index_of(&mut self, other: &UringWaker) -> usize {
        let known = self.others.iter().position(|waker| waker.is(other));
        known.unwrap_or_else(|| {
            self.others.push(other.clone());
            self.others.len() - 1
        })
    }
}

impl Io for Uring {
    type File = File;
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Received = Received;
    type Waker = UringWaker;

    fn adopt_file(&mut self, file: File) -> io::Result<FileId> {
        let handle = self.adopt(file.into(), Tenant::File)?;
        Ok(FileId(handle.0))
    }

    fn release_file(&mut self, file: FileId) {
        self.close(Handle(file.0), Tenant::File);
    }

    fn read(&mut self, file: FileId, position: u64, buffer: AlignedBuf, token: Token) {
        let kind = Kind::Read {
            position,
            buffer,
            filled: 0,
        };
        self.start_file(file, token, kind);
    }

    fn write(&mut self, file: FileId, position: u64, data: Bytes, token: Token) {
        let kind = Kind::Write {
            position,
            data,
            written: 0,
            durable: false,
        };
        self.start_file(file, token, kind);
    }

    fn write_durable(&mut self, file: FileId, position: u64, data: Bytes, token: Token) {
        let kind = Kind::Write {
            position,
            data,
            written: 0,
            durable: true,
        };
        self.start_file(file, token, kind);
    }

    fn flush(&mut self, file: FileId, token: Token) {
        self.start_file(file, token, Kind::Flush);
    }

    fn adopt_listener(&mut self, listener: TcpListener) -> io::Result<ListenerId> {
        listener.set_nonblocking(false)?;
        // Accepted connections inherit it, also where the ring cannot set it by itself.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        let handle = self.adopt(listener.into(), Tenant::Listener)?;
        Ok(ListenerId(handle.0))
    }

    fn accept(&mut self, listener: ListenerId, token: Token) {
        self.arm(Handle(listener.0), Tenant::Listener, token, Kind::Accept);
    }

    fn close_listener(&mut self, listener: ListenerId) {
        self.close(Handle(listener.0), Tenant::Listener);
    }

    fn adopt_socket(&mut self, stream: TcpStream) -> io::Result<SocketId> {
        let peer = stream.peer_addr().unwrap_or(handles::UNKNOWN);
        let handle = self.adopt(stream.into(), Tenant::Socket)?;
        if let Some(slot) = self.handles.get(handle) {
            slot.peer = peer;
        }
        let no_delay = opcode::SetSockOpt::new(
            handle.fixed(),
            libc::IPPROTO_TCP as u32,
            libc::TCP_NODELAY as u32,
            (&raw const ENABLED).cast(),
            std::mem::size_of_val(&ENABLED) as u32,
        );
        // SAFETY: it points to a static.
        unsafe { self.submit_silently(no_delay.build(), IGNORED) };
        Ok(SocketId(handle.0))
    }

    fn peer_address(&self, socket: SocketId) -> SocketAddr {
        self.handles.peer(Handle(socket.0))
    }

    fn receive(&mut self, socket: SocketId, token: Token) {
        self.arm(Handle(socket.0), Tenant::Socket, token, Kind::Receive);
    }

    fn stop_receiving(&mut self, socket: SocketId) {
        let slot = self.handles.open(Handle(socket.0), Tenant::Socket);
        if let Some(armed) = slot.and_then(|slot| slot.armed) {
            let cancel = opcode::AsyncCancel::new(armed).build();
            // SAFETY: it points to no memory.
            unsafe { self.submit_silently(cancel, IGNORED) };
        }
    }

    fn send(&mut self, socket: SocketId, parts: Vec<Bytes>, token: Token) {
        let handle = Handle(socket.0);
        let gather = Kind::Send(self.gathers.take(parts));
        let slot = self.handles.open(handle, Tenant::Socket);
        let busy = slot.is_some_and(|slot| std::mem::replace(&mut slot.sending, true));
        let refused = if busy {
            Err((gather, libc::EALREADY))
        } else {
            let started = self.start(handle, Tenant::Socket, token, gather);
            started.map_err(|gather| (gather, libc::EBADF))
        };
        if let Err((gather, errno)) = refused {
            let payload = self.payload(gather);
            self.refuse(token, errno, payload);
        }
    }

    fn close_socket(&mut self, socket: SocketId) {
        self.close(Handle(socket.0), Tenant::Socket);
    }

    fn waker(&self) -> UringWaker {
        self.waker.clone()
    }

    fn wake(&mut self, other: &UringWaker) {
        let index = self.index_of(other) as u64;
        let message = other.message(WOKEN);
        // SAFETY: it points to no memory; the waker in `others` keeps the ring's descriptor open.
        unsafe { self.submit_silently(message, NOT_WOKEN | index) };
    }

    fn turn(&mut self, wait: Wait, completions: &mut Vec<UringCompletion>) -> io::Result<()> {
        self.buffers.give_back();
        let wait = if self.ready.is_empty() {
            wait
        } else {
            Wait::Poll
        };
        self.kernel.enter(wait)?;
        completions.append(&mut self.ready);
        self.reap(completions);
        self.now = clock::now();
        Ok(())
    }

    fn glance(&mut self) -> Option<Glance> {
        let mut glance = self.kernel.glance();
        glance.queued |= !self.ready.is_empty();
        Some(glance)
    }

    fn now(&self) -> Moment {
        self.now
    }
}

impl Drop for Uring {
    /// Cancels and waits until the kernel has let go of all memory.
    fn drop(&mut self) {
        let mut completions = Vec::new();
        self.draining = true;
        while self.listening || !self.operations.is_empty() || !self.kernel.is_submitted() {
            let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any());
            // SAFETY: it points to no memory.
            unsafe { self.submit_silently(cancel.build(), IGNORED) };
            let until = clock::monotonic_ns() + DRAIN_STEP_NS;
            if self.kernel.enter(Wait::Until(until)).is_err() {
                // The kernel refuses to let us wait: memory that it may still write to is better
                // lost than used again.
                return self.abandon();
            }
            self.reap(&mut completions);
            completions.clear();
        }
        self.forget_memory();
    }
}

impl Uring {
    /// Wakers may keep the ring itself alive, so what is registered with it is taken back here.
    fn forget_memory(&mut self) {
        let submitter = self.kernel.ring().submitter();
        // Failing only means that nothing was registered, or that the ring is going anyway.
        let _ = submitter.unregister_buf_ring(receive::GROUP);
        let _ = submitter.unregister_files();
    }

    fn abandon(&mut self) {
        let operations = Operations::with_capacity(0);
        std::mem::forget(std::mem::replace(&mut self.operations, operations));
        self.buffers.leak();
        std::mem::forget(self.waker.clone());
    }
}

//! The data plane's trait: submit by token, reap completions.
//!
//! Nothing here blocks and nothing here allocates per operation in steady state. Operations are
//! only *queued* by the submitting methods; [`Io::turn`] enters the kernel exactly once, submits
//! all of them, and returns what has completed. Buffers and files belong to the implementation
//! from submission to completion, whatever the caller does meanwhile.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::buffer::AlignedBuf;

/// Chosen by the caller, returned with the completion. The top byte tells components apart:
/// `0` engine, `1` server connections, `2` server's own timers and mailboxes.
pub type Token = u64;

/// A file adopted by an [`Io`]; meaningless to any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A connected socket adopted by an [`Io`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// A listening socket adopted by an [`Io`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// One reading of both clocks, taken once a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds on the monotonic clock, from an arbitrary start.
    pub monotonic_ns: u64,
    /// Milliseconds since the Unix epoch; may jump either way.
    pub wall_ms: i64,
}

/// How long [`Io::turn`] may sleep when nothing has completed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Submit, reap what is there, return.
    Poll,
    /// Sleep until a completion or until the monotonic clock shows this many nanoseconds.
    Until(u64),
    /// Sleep until a completion.
    Forever,
}

/// What [`Io::glance`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Operations wait for the next turn to be submitted.
    pub queued: bool,
    /// A turn would have something to reap (or a wake-up) without sleeping.
    pub ready: bool,
    /// The monotonic clock now, not as of the last turn.
    pub monotonic_ns: u64,
}

/// What an operation gave back.
#[derive(Debug)]
pub enum Payload<Stream, Received> {
    /// Writes, flushes, wakes, closes.
    None,
    /// The buffer of a read; the count says how many of its bytes were filled.
    Buffer(AlignedBuf),
    /// A connection accepted by a listener; hand it to any [`Io`] with `adopt_socket`.
    Accepted(Stream),
    /// Bytes received; empty means the peer has closed. Dropping it gives the memory back to the ring.
    Received(Received),
    /// The (emptied) list of parts of a finished gather send, returned for reuse.
    Sent(Vec<Bytes>),
}

/// The end of one operation, or one item of a multishot one.
#[derive(Debug)]
pub struct Completion<Stream, Received> {
    /// The token given at submission.
    pub token: Token,
    /// Bytes moved, or the error. Short writes and short sends are resubmitted by the
    /// implementation; a write that makes no progress is an error. A read is short only at the end
    /// of the file.
    pub result: io::Result<usize>,
    /// `false` on the last completion of a multishot accept or receive: it must be armed again.
    pub more: bool,
    /// What came with it.
    pub payload: Payload<Stream, Received>,
}

/// One thread's door to the kernel: files, sockets, clocks, and the other threads' wake-ups.
///
/// Implementations: `uring::Uring` (io_uring), `sim::SimIo` (one seed), and later epoll with
/// `pwritev2` where io_uring is forbidden. The signatures were drawn up for all three: no method
/// presumes a ring, and every file operation can be carried out by a helper thread.
pub trait Io {
    /// An opened file as the control plane hands it over ([`crate::Disk::Handle`]).
    type File: Send + 'static;
    /// An accepted connection on its way from one thread to another.
    type Stream: Send + 'static;
    /// A bound listening socket.
    type Listener: Send + 'static;
    /// Received bytes in the ring's own memory.
    type Received: AsRef<[u8]>;
    /// Wakes this `Io` from any thread.
    type Waker: Wake;

    /// Takes a file over. The implementation keeps it open until [`Io::release_file`].
    fn adopt_file(&mut self, file: Self::File) -> io::Result<FileId>;
    /// Gives a file up; it is closed once no operation on it is in flight.
    fn release_file(&mut self, file: FileId);

    /// Reads `buffer.len()` bytes at `position` (both multiples of the alignment).
    fn read(&mut self, file: FileId, position: u64, buffer: AlignedBuf, token: Token);
    /// Writes aligned `data` at `position`. Complete means handed to the device, not durable.
    fn write(&mut self, file: FileId, position: u64, data: Bytes, token: Token);
    /// As [`Io::write`], and complete means that these bytes (and only they are promised) survive a power cut.
    fn write_durable(&mut self, file: FileId, position: u64, data: Bytes, token: Token);
    /// Complete means every write to this file that had completed before is durable.
    fn flush(&mut self, file: FileId, token: Token);

    /// Takes a bound and listening socket over.
    fn adopt_listener(&mut self, listener: Self::Listener) -> io::Result<ListenerId>;
    /// Accepts for good: each completion carries [`Payload::Accepted`].
    fn accept(&mut self, listener: ListenerId, token: Token);
    /// Stops accepting and closes the listener.
    fn close_listener(&mut self, listener: ListenerId);
    /// Takes a connection over, its token-less state set (no delay).
    fn adopt_socket(&mut self, stream: Self::Stream) -> io::Result<SocketId>;
    /// The other end's address, read once when the socket was adopted; `0.0.0.0:0` where it is not known.
    fn peer_address(&self, _socket: SocketId) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }
    /// Receives until stopped: each completion carries [`Payload::Received`]. When the receive
    /// buffers run out it ends with `ENOBUFS` and `more == false`; arm it again.
    fn receive(&mut self, socket: SocketId, token: Token);
    /// Stops a receive; a last completion with `more == false` follows (bytes may come with or before it).
    fn stop_receiving(&mut self, socket: SocketId);
    /// Sends all parts in order. One send per socket at a time; completes when all bytes are taken
    /// by the kernel or with an error, and gives the list back empty.
    fn send(&mut self, socket: SocketId, parts: Vec<Bytes>, token: Token);
    /// Closes a connection; operations in flight on it complete with an error first.
    fn close_socket(&mut self, socket: SocketId);

    /// A handle with which other threads end this one's sleep.
    fn waker(&self) -> Self::Waker;
    /// Ends another thread's sleep without a system call of its own (rides in the next turn).
    fn wake(&mut self, other: &Self::Waker);

    /// Submits everything queued, sleeps as told if nothing is complete, appends what completed.
    fn turn(
        &mut self,
        wait: Wait,
        completions: &mut Vec<Completion<Self::Stream, Self::Received>>,
    ) -> io::Result<()>;
    /// A look without entering the kernel, for a thread that spins before it sleeps. `None` where
    /// that cannot be told: such a thread sleeps at once.
    fn glance(&mut self) -> Option<Glance> {
        None
    }
    /// The clocks as of the end of the last turn.
    fn now(&self) -> Moment;
}

/// Ends the sleep of one `Io` from any thread; several wakes before it wakes count once.
pub trait Wake: Clone + Send + 'static {
    /// Wakes it (a system call: for threads without a ring).
    fn wake(&self);
}

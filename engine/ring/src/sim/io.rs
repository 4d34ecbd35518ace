//! The data plane of a world.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::device::{DescriptionNumber, Holder, Request};
use super::net::{Side, SimListener, SimStream};
use super::state::{Done, Listening, Socket};
use super::world::World;
use crate::buffer::AlignedBuf;
use crate::io::{FileId, Glance, Io, ListenerId, Moment, SocketId, Token, Wait, Wake};

/// Which [`SimIo`] of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IoNumber(pub usize);

/// One simulated shard thread's door; made by [`World::io`].
///
/// It never sleeps: [`Io::turn`] notes how long the caller wants to wait and returns. The world
/// then says when the turn comes ([`super::Step::Turn`]); [`SimIo::begin`] gives what has completed
/// since.
#[derive(Debug)]
pub struct SimIo {
    world: World,
    number: usize,
    queued: Vec<(Token, Request)>,
    now: Moment,
}

/// An open file for [`Io::adopt_file`].
#[derive(Clone, Debug)]
pub struct SimHandle {
    pub(super) description: DescriptionNumber,
    pub(super) holder: Holder,
}

/// Ends the wait of a [`SimIo`].
#[derive(Clone, Debug)]
pub struct SimWaker(Arc<AtomicBool>);

impl Wake for SimWaker {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl SimIo {
    pub(super) fn new(world: World, number: usize) -> Self {
        let now = world.now();
        Self {
            world,
            number,
            queued: Vec::new(),
            now,
        }
    }

    /// Which one it is, as [`super::Step::Turn`] names it.
    pub fn number(&self) -> IoNumber {
        IoNumber(self.number)
    }

    /// Begins a turn: reads the clocks and appends what has completed.
    pub fn begin(&mut self, completions: &mut Vec<Done>) {
        self.now = self.world.now();
        self.world.with(|state| {
            state.ios[self.number].woken.store(false, Ordering::Release);
            state.reap(self.number, completions);
        });
    }

    /// Whether a waiting thread has another turn before anything completes.
    pub(super) fn spins(&self) -> bool {
        self.world.choose_below(4) == 0
    }

    fn queue(&mut self, file: FileId, token: Token, request: impl FnOnce(u32) -> Request) {
        let description = self.world.with(|state| {
            let files = &state.ios[self.number].files;
            files
                .get(file.0 as usize)
                .and_then(|entry| entry.as_ref().map(|(description, _)| *description))
        });
        // An unknown file gets a description that does not exist: the operation ends with `EBADF`.
        self.queued
            .push((token, request(description.unwrap_or(u32::MAX))));
    }
}

impl Io for SimIo {
    type File = SimHandle;
    type Stream = SimStream;
    type Listener = SimListener;
    type Received = Bytes;
    type Waker = SimWaker;

    fn adopt_file(&mut self, file: SimHandle) -> io::Result<FileId> {
        Ok(self.world.with(|state| {
            let files = &mut state.ios[self.number].files;
            files.push(Some((file.description, file.holder)));
            FileId((files.len() - 1) as u32)
        }))
    }

    fn release_file(&mut self, file: FileId) {
        self.world.with(|state| {
            if let Some(entry) = state.ios[self.number].files.get_mut(file.0 as usize) {
                *entry = None;
            }
        });
    }

    fn read(&mut self, file: FileId, position: u64, buffer: AlignedBuf, token: Token) {
        self.queue(file, token, |description| Request::Read {
            description,
            position,
            buffer,
            done: 0,
        });
    }

    fn write(&mut self, file: FileId, position: u64, data: Bytes, token: Token) {
        self.queue(file, token, |description| Request::Write {
            description,
            position,
            data,
            done: 0,
            durable: false,
        });
    }

    fn write_durable(&mut self, file: FileId, position: u64, data: Bytes, token: Token) {
        self.queue(file, token, |description| Request::Write {
            description,
            position,
            data,
            done: 0,
            durable: true,
        });
    }

    fn flush(&mut self, file: FileId, token: Token) {
        self.queue(file, token, |description| Request::Flush {
            description,
            covers: 0,
        });
    }

    fn adopt_listener(&mut self, listener: SimListener) -> io::Result<ListenerId> {
        Ok(self.world.with(|state| {
            let number = self.number;
            let listeners = &mut state.ios[number].listeners;
            let id = listeners.len() as u32;
            if let Some(port) = state.network.ports.get_mut(&listener.port) {
                port.adopted = Some((number, id));
            }
            listeners.push(Some(Listening {
                listener,
                accepting: None,
            }));
            ListenerId(id)
        }))
    }

    fn accept(&mut self, listener: ListenerId, token: Token) {
        self.world.with(|state| {
            let slot = state.ios[self.number]
                .listeners
                .get_mut(listener.0 as usize);
            if let Some(Some(listening)) = slot {
                listening.accepting = Some(token);
                let port = listening.listener.port;
                state.run_accepts(port);
            }
        });
    }

    fn close_listener(&mut self, listener: ListenerId) {
        self.world.with(|state| {
            let slot = state.ios[self.number]
                .listeners
                .get_mut(listener.0 as usize);
            if let Some(listening) = slot.and_then(Option::take) {
                state.network.ports.remove(&listening.listener.port);
            }
        });
    }

    fn adopt_socket(&mut self, stream: SimStream) -> io::Result<SocketId> {
        Ok(self.world.with(|state| {
            let number = self.number;
            let sockets = &mut state.ios[number].sockets;
            let id = sockets.len() as u32;
            if let Some(connection) = state.network.connections.get_mut(&stream.connection) {
                connection.adopted = Some((number, id));
                connection.was_adopted = true;
            }
            sockets.push(Some(Socket {
                stream,
                receiving: None,
                sending: None,
            }));
            SocketId(id)
        }))
    }

    fn peer_address(&self, socket: SocketId) -> SocketAddr {
        let connection = self.world.with(|state| {
            let entry = state.socket(self.number, socket.0);
            entry.map_or(0, |socket| socket.stream.connection)
        });
        SocketAddr::from((
            Ipv4Addr::from(0x7f00_0000 | (connection & 0xff_ffff)),
            40_000,
        ))
    }

    fn receive(&mut self, socket: SocketId, token: Token) {
        self.world.with(|state| {
            let connection = state.socket(self.number, socket.0).map(|socket| {
                socket.receiving = Some(token);
                socket.stream.connection
            });
            if let Some(connection) = connection {
                state.offer(connection);
            }
        });
    }

    fn stop_receiving(&mut self, socket: SocketId) {
        self.world
            .with(|state| state.stop_receiving(self.number, socket.0));
    }

    fn send(&mut self, socket: SocketId, mut parts: Vec<Bytes>, token: Token) {
        self.world.with(|state| {
            let Some(entry) = state.socket(self.number, socket.0) else {
                return;
            };
            assert!(entry.sending.is_none(), "one send per socket at a time");
            let number = entry.stream.connection;
            let bytes: Vec<Bytes> = std::mem::take(&mut parts);
            let len = bytes.iter().map(Bytes::len).sum();
            entry.sending = Some((token, parts, len));
            if let Some(connection) = state.network.connections.get_mut(&number) {
                connection.to_client.waiting.extend(bytes);
            }
            state.pump(number, Side::Client);
            state.offer(number);
        });
    }

    fn close_socket(&mut self, socket: SocketId) {
        self.world
            .with(|state| state.close_socket(self.number, socket.0));
    }

    fn waker(&self) -> SimWaker {
        SimWaker(
            self.world
                .with(|state| Arc::clone(&state.ios[self.number].woken)),
        )
    }

    fn wake(&mut self, other: &SimWaker) {
        other.wake();
    }

    fn turn(&mut self, wait: Wait, completions: &mut Vec<Done>) -> io::Result<()> {
        let queued = std::mem::take(&mut self.queued);
        self.world.with(|state| {
            for (token, request) in queued {
                state.submit_io(self.number, token, request);
            }
            state.reap(self.number, completions);
            state.ios[self.number].wait = if completions.is_empty() {
                wait
            } else {
                Wait::Poll
            };
        });
        self.now = self.world.now();
        Ok(())
    }

    fn now(&self) -> Moment {
        self.now
    }

    fn glance(&mut self) -> Option<Glance> {
        let queued = !self.queued.is_empty();
        Some(self.world.with(|state| Glance {
            queued,
            ready: !state.ios[self.number].ready.is_empty(),
            monotonic_ns: state.now_ns,
        }))
    }
}

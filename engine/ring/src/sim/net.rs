//! The world's network: listening ports, connections, and bytes on their way.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};

use bytes::{Buf, Bytes};

use super::rng::Rng;

/// A connection's number; never reused in a world.
pub(super) type ConnectionNumber = u32;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    /// Who connected.
    Client,
    /// Who accepted.
    Server,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What reaches an end.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Bytes(Bytes),
    End,
    Reset,
}

/// Bytes towards one end.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Arrived and not yet taken.
    pub(super) arrived: VecDeque<u8>,
    /// Sent and on the way, in bytes.
    pub(super) travelling: usize,
    /// Accepted for sending and not yet on the way.
    pub(super) waiting: VecDeque<Bytes>,
    /// The sender closes behind what is waiting.
    pub(super) ending: bool,
    /// The end has arrived.
    pub(super) ended: bool,
    /// The connection is gone for the reader.
    pub(super) reset: bool,
    /// Bytes that may be arrived or travelling.
    pub(super) window: usize,
    /// Nothing arrives before this: segments keep their order.
    pub(super) last_arrival_ns: u64,
}

impl Pipe {
    fn new(rng: &mut Rng) -> Self {
        Self {
            arrived: VecDeque::new(),
            travelling: 0,
            waiting: VecDeque::new(),
            ending: false,
            ended: false,
            reset: false,
            window: rng.between(2 * 1024, 128 * 1024) as usize,
            last_arrival_ns: 0,
        }
    }

    /// The next piece that the window lets through.
    pub(super) fn next_piece(&mut self, rng: &mut Rng) -> Option<Segment> {
        while self.waiting.front().is_some_and(Bytes::is_empty) {
            self.waiting.pop_front();
        }
        let room = self
            .window
            .saturating_sub(self.arrived.len() + self.travelling);
        let Some(front) = self.waiting.front_mut() else {
            return std::mem::take(&mut self.ending).then_some(Segment::End);
        };
        if room == 0 {
            return None;
        }
        let most = front.len().min(room);
        let count = if rng.chance(300_000) {
            rng.between(1, most as u64) as usize
        } else {
            most
        };
        let piece = front.copy_to_bytes(count);
        self.travelling += count;
        Some(Segment::Bytes(piece))
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) to_client: Pipe,
    pub(super) to_server: Pipe,
    pub(super) accepted: bool,
    /// The client has closed: what is sent to it from now on is answered with a reset.
    pub(super) client_closed: bool,
    pub(super) refused: bool,
    /// Which io has adopted the accepted end, as which socket.
    pub(super) adopted: Option<(usize, u32)>,
    pub(super) was_adopted: bool,
    /// The accepted end as long as it is carried about; gone without adoption means closed.
    pub(super) stream: Weak<()>,
    pub(super) server_process: u32,
}

impl Connection {
    /// The accepted end was dropped before any io had it.
    pub(super) fn is_dropped(&self) -> bool {
        self.accepted && !self.was_adopted && self.stream.strong_count() == 0
    }

    pub(super) fn towards(&mut self, side: Side) -> &mut Pipe {
        match side {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }
}

/// A listening port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) process: u32,
    pub(super) adopted: Option<(usize, u32)>,
    pub(super) holder: Weak<()>,
    pub(super) backlog: VecDeque<ConnectionNumber>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) connections: BTreeMap<ConnectionNumber, Connection>,
    pub(super) ports: BTreeMap<u16, Port>,
    next: ConnectionNumber,
    pub(super) rng: Rng,
}

impl Network {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            connections: BTreeMap::new(),
            ports: BTreeMap::new(),
            next: 1,
            rng,
        }
    }

    pub(super) fn listen(&mut self, process: u32, port: u16) -> io::Result<SimListener> {
        let bound = |port: &Port| port.holder.strong_count() > 0;
        if self.ports.get(&port).is_some_and(bound) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let holder = Arc::new(());
        self.ports.insert(
            port,
            Port {
                process,
                adopted: None,
                holder: Arc::downgrade(&holder),
                backlog: VecDeque::new(),
            },
        );
        Ok(SimListener {
            port,
            _holder: holder,
        })
    }

    pub(super) fn connect(&mut self) -> ConnectionNumber {
        let number = self.next;
        self.next += 1;
        let connection = Connection {
            to_client: Pipe::new(&mut self.rng),
            to_server: Pipe::new(&mut self.rng),
            accepted: false,
            client_closed: false,
            refused: false,
            adopted: None,
            was_adopted: false,
            stream: Weak::new(),
            server_process: 0,
        };
        self.connections.insert(number, connection);
        number
    }

    /// The connection request arrives; `false` when nobody listens.
    pub(super) fn arrive(&mut self, number: ConnectionNumber, port: u16) -> bool {
        let Some(connection) = self.connections.get_mut(&number) else {
            return true;
        };
        match self.ports.get_mut(&port) {
            Some(listening) => {
                connection.server_process = listening.process;
                listening.backlog.push_back(number);
                true
            }
            None => {
                connection.refused = true;
                false
            }
        }
    }

    /// Takes a waiting connection for an accept.
    pub(super) fn accept(&mut self, port: u16) -> Option<SimStream> {
        let number = self.ports.get_mut(&port)?.backlog.pop_front()?;
        let connection = self.connections.get_mut(&number)?;
        let holder = Arc::new(());
        connection.accepted = true;
        connection.stream = Arc::downgrade(&holder);
        Some(SimStream {
            connection: number,
            _holder: holder,
        })
    }

    /// Everything of a dead process is reset for its peers. Returns the connections.
    pub(super) fn kill(&mut self, process: u32) -> Vec<ConnectionNumber> {
        self.ports.retain(|_, port| port.process != process);
        self.connections
            .iter()
            .filter(|(_, c)| c.server_process == process)
            .map(|(number, _)| *number)
            .collect()
    }
}

/// A bound port for [`crate::Io::adopt_listener`].
#[derive(Debug)]
pub struct SimListener {
    pub(super) port: u16,
    pub(super) _holder: Arc<()>,
}

/// An accepted connection for [`crate::Io::adopt_socket`].
#[derive(Debug)]
pub struct SimStream {
    pub(super) connection: ConnectionNumber,
    pub(super) _holder: Arc<()>,
}

//! The listening sockets, on the home shard: no port is shared, so a busy one is an error at start.
//! An accepted connection goes to the shard with the fewest and stays there.

use ringmq_ring::{Io, ListenerId};

use crate::connection::{ConnectionId, Operation, Port};
use crate::front::HOME;
use crate::limits;

/// See the module.
pub struct Listeners<I: Io> {
    waiting: Vec<(I::Listener, Port)>,
    open: Vec<(ListenerId, Port)>,
    /// Connections of each shard, as far as the home shard knows.
    loads: Vec<usize>,
    /// Listeners whose accept has ended.
    ended: Vec<usize>,
    rearm_due_ns: u64,
}

impl<I: Io> Listeners<I> {
    /// No listeners; `shards` share the connections.
    pub fn new(shards: u8) -> Self {
        Self {
            waiting: Vec::new(),
            open: Vec::new(),
            loads: vec![0; usize::from(shards)],
            ended: Vec::new(),
            rearm_due_ns: 0,
        }
    }

    /// Keeps a bound and listening socket until [`Listeners::open`].
    pub fn add(&mut self, listener: I::Listener, port: Port) {
        self.waiting.push((listener, port));
    }

    /// Begins to accept on the sockets of one kind of port.
    pub fn open(&mut self, io: &mut I, which: Port) -> std::io::Result<()> {
        let mut rest = Vec::new();
        for (listener, port) in std::mem::take(&mut self.waiting) {
            if port != which {
                rest.push((listener, port));
                continue;
            }
            let id = io.adopt_listener(listener)?;
            self.open.push((id, port));
            io.accept(id, token(self.open.len() - 1));
        }
        self.waiting = rest;
        Ok(())
    }

    /// An accept has ended, as it does when file descriptors run out: it is armed again in a moment.
    pub fn ended(&mut self, index: usize, now_ns: u64) {
        self.ended.push(index);
        self.rearm_due_ns = now_ns + limits::ACCEPT_PAUSE_NS;
    }

    /// Arms the accepts that ended, when it is time.
    pub fn rearm(&mut self, io: &mut I, now_ns: u64) {
        if self.ended.is_empty() || now_ns < self.rearm_due_ns {
            return;
        }
        for index in self.ended.drain(..) {
            if let Some(&(listener, _)) = self.open.get(index) {
                io.accept(listener, token(index));
            }
        }
    }

    /// When [`Listeners::rearm`] has something to do.
    pub fn rearm_due_ns(&self) -> Option<u64> {
        (!self.ended.is_empty()).then_some(self.rearm_due_ns)
    }

    /// The port of a listener, and the shard its newest connection goes to.
    pub fn assign(&mut self, index: usize) -> Option<(Port, u8)> {
        let &(_, port) = self.open.get(index)?;
        let fewest = self.loads.iter().enumerate().min_by_key(|(_, load)| **load);
        let shard = fewest.map_or(usize::from(HOME), |(shard, _)| shard);
        self.loads[shard] += 1;
        Some((port, shard as u8))
    }

    /// Connections of all shards.
    pub fn load(&self) -> usize {
        self.loads.iter().sum()
    }

    /// A connection of `shard` is gone.
    pub fn released(&mut self, shard: u8) {
        if let Some(load) = self.loads.get_mut(usize::from(shard)) {
            *load = load.saturating_sub(1);
        }
    }

    /// Stops accepting.
    pub fn close(&mut self, io: &mut I) {
        self.waiting.clear();
        for (listener, _) in self.open.drain(..) {
            io.close_listener(listener);
        }
    }
}

fn token(index: usize) -> ringmq_ring::Token {
    ConnectionId::new(HOME, index, 0).token(Operation::Accept)
}

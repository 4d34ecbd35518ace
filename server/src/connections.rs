//! The connections of one shard thread: who is open, who has something to send, who is held back.
//!
//! Nothing here knows what a request means. Sends leave once a turn ([`Connections::flush`]); the
//! times of `limits` are enforced by a sweep that looks at a quarter of the table each quarter second.

use bytes::Bytes;
use ringmq_ring::Io;
use slab::Slab;

use crate::connection::{
    CloseReason, Connection, ConnectionId, Inbound, Operation, Outbound, OutputBuffers, Port,
};
use crate::limits;

/// See the module.
#[derive(Debug)]
pub struct Connections {
    shard: u8,
    slots: Slab<Connection>,
    generation: u32,
    dirty: Vec<ConnectionId>,
    paused: Vec<ConnectionId>,
    spare_inputs: Vec<Vec<u8>>,
    spare_outputs: Vec<OutputBuffers>,
    in_flight_bytes: usize,
    /// Bytes of frames that have started, of all connections.
    held_bytes: usize,
    sweep_due_ns: u64,
    sweep_from: usize,
    /// How long the first whole frame of a connection may take; 0 for no bound.
    first_frame_ns: u64,
}

impl Connections {
    /// An empty table of `shard`.
    pub fn new(shard: u8) -> Self {
        Self {
            shard,
            slots: Slab::new(),
            generation: 0,
            dirty: Vec::new(),
            paused: Vec::new(),
            spare_inputs: Vec::new(),
            spare_outputs: Vec::new(),
            in_flight_bytes: 0,
            held_bytes: 0,
            sweep_due_ns: 0,
            sweep_from: 0,
            first_frame_ns: limits::FIRST_FRAME_NS,
        }
    }

    /// Sets how long the first whole frame of a connection may take; 0 for no bound.
    pub fn set_first_frame_ns(&mut self, first_frame_ns: u64) {
        self.first_frame_ns = first_frame_ns;
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many are held back.
    pub fn paused(&self) -> usize {
        self.paused.len()
    }

    /// Bytes of requests not answered and answers not sent, of all connections.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Bytes of started frames, of all connections.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes an accepted connection over and begins to receive from it.
    pub fn add<I: Io>(
        &mut self,
        io: &mut I,
        stream: I::Stream,
        port: Port,
        now_ns: u64,
    ) -> Result<ConnectionId, CloseReason> {
        if self.slots.len() >= limits::CONNECTIONS_MAX {
            return Err(CloseReason::Crowded);
        }
        let socket = io.adopt_socket(stream).map_err(|_| CloseReason::Broken)?;
        let peer = io.peer_address(socket);
        self.generation = self.generation.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        let id = ConnectionId::new(self.shard, entry.key(), self.generation);
        let connection = entry.insert(Connection::new(id, socket, port, peer, now_ns));
        connection.receiving = true;
        connection.first_frame_due_ns =
            (self.first_frame_ns > 0).then(|| now_ns.saturating_add(self.first_frame_ns));
        io.receive(socket, id.token(Operation::Receive));
        Ok(id)
    }

    /// The connection of that name, if it is still the same one.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots
            .get_mut(id.slot())
            .filter(|connection| connection.id == id)
    }

    /// Where an answer of a connection is encoded; takes `charge` off its requests in flight.
    pub fn answer(&mut self, id: ConnectionId, charge: usize) -> Option<&mut Outbound> {
        let connection = self
            .slots
            .get_mut(id.slot())
            .filter(|connection| connection.id == id)?;
        connection.charged = connection.charged.saturating_sub(charge);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(id);
        }
        connection.outbound.give_spare(&mut self.spare_outputs);
        Some(&mut connection.outbound)
    }

    /// Takes `charge` off a connection whose request needs no answer.
    pub fn release(&mut self, id: ConnectionId, charge: usize) {
        if let Some(connection) = self.get_mut(id) {
            connection.charged = connection.charged.saturating_sub(charge);
            self.account(id);
        }
    }

    /// Starts what can be sent. Once a turn, after the last answer.
    pub fn flush<I: Io>(&mut self, io: &mut I, now_ns: u64) {
        while let Some(id) = self.dirty.pop() {
            let Some(connection) = self.get_mut(id) else {
                continue;
            };
            connection.dirty = false;
            if let Some(parts) = connection.outbound.next_send(now_ns) {
                io.send(connection.socket, parts, id.token(Operation::Send));
            }
            self.account(id);
        }
    }

    /// A send is done; starts the next one. `false` when the connection is broken.
    pub fn sent<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnectionId,
        parts: Vec<Bytes>,
        is_ok: bool,
        now_ns: u64,
    ) -> bool {
        let Some(connection) = self.get_mut(id) else {
            return true;
        };
        connection.outbound.sent(parts);
        connection.last_moved_ns = now_ns;
        if !is_ok {
            return false;
        }
        if let Some(parts) = connection.outbound.next_send(now_ns) {
            io.send(connection.socket, parts, id.token(Operation::Send));
        }
        self.reuse_output(id);
        self.account(id);
        true
    }

    /// Counts a connection's bytes in flight anew and says whether it must be read no further.
    pub fn account(&mut self, id: ConnectionId) -> bool {
        let crowded = self.in_flight_bytes > limits::SHARD_IN_FLIGHT_BYTES_MAX;
        let Some(connection) = self.get_mut(id) else {
            return false;
        };
        let (before, now) = (connection.accounted, connection.in_flight_bytes());
        connection.accounted = now;
        self.in_flight_bytes = self.in_flight_bytes - before + now;
        now > bound(crowded)
    }

    /// Reads a connection no further until [`Connections::resumable`] names it.
    pub fn pause<I: Io>(&mut self, io: &mut I, id: ConnectionId) {
        let Some(connection) = self.get_mut(id) else {
            return;
        };
        if connection.receiving && !connection.stopping {
            connection.stopping = true;
            io.stop_receiving(connection.socket);
        }
        if !std::mem::replace(&mut connection.paused, true) {
            self.paused.push(id);
        }
    }

    /// Whether any connection is held back.
    pub fn any_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Takes the next held-back connection that has room again, from `index` on; the caller feeds
    /// what it holds and calls [`Connections::receive`].
    pub fn resumable(&mut self, index: &mut usize) -> Option<ConnectionId> {
        let crowded = self.in_flight_bytes > limits::SHARD_IN_FLIGHT_BYTES_MAX;
        let room = bound(crowded) / 2;
        while let Some(&id) = self.paused.get(*index) {
            let Some(connection) = self.get_mut(id) else {
                self.paused.swap_remove(*index);
                continue;
            };
            if connection.in_flight_bytes() <= room {
                connection.paused = false;
                self.paused.swap_remove(*index);
                return Some(id);
            }
            *index += 1;
        }
        None
    }

    /// Receives (again), unless it does so already or is held back.
    pub fn receive<I: Io>(&mut self, io: &mut I, id: ConnectionId) {
        if let Some(connection) = self.get_mut(id)
            && !connection.receiving
            && !connection.paused
        {
            connection.receiving = true;
            io.receive(connection.socket, id.token(Operation::Receive));
        }
    }

    /// Whether a held-back connection has room again.
    pub fn has_resumable(&mut self) -> bool {
        let crowded = self.in_flight_bytes > limits::SHARD_IN_FLIGHT_BYTES_MAX;
        let room = bound(crowded) / 2;
        self.paused.iter().any(|id| {
            let connection = self.slots.get(id.slot()).filter(|c| c.id == *id);
            connection.is_none_or(|connection| connection.in_flight_bytes() <= room)
        })
    }

    /// Takes a connection's read side out while its bytes are cut into frames; says too whether it
    /// is held back.
    pub fn lend_inbound(&mut self, id: ConnectionId) -> Option<(Inbound, bool)> {
        let spare = self.spare_inputs.pop();
        let Some(connection) = self.get_mut(id) else {
            self.spare_inputs.extend(spare);
            return None;
        };
        let mut inbound = std::mem::take(&mut connection.inbound);
        let is_paused = connection.paused;
        self.spare_inputs.extend(inbound.give_spare(spare));
        Some((inbound, is_paused))
    }

    /// Puts a connection's read side back. `false` when the started frames of this shard take too
    /// much memory and this one has a good part of it: it must be closed.
    pub fn return_inbound(&mut self, id: ConnectionId, mut inbound: Inbound, now_ns: u64) -> bool {
        if let Some(buffer) = inbound.take_spare() {
            let fits = buffer.capacity() <= limits::SPARE_BUFFER_BYTES_MAX;
            if fits && self.spare_inputs.len() < limits::SPARE_BUFFERS_MAX {
                self.spare_inputs.push(buffer);
            }
        }
        let held = inbound.held_bytes();
        let Some(connection) = self.get_mut(id) else {
            return true;
        };
        let before = std::mem::replace(&mut connection.held_accounted, held);
        connection.inbound = inbound;
        connection.last_moved_ns = now_ns;
        self.held_bytes = self.held_bytes - before + held;
        self.held_bytes <= limits::SHARD_HELD_BYTES_MAX || held < limits::SPARE_BUFFER_BYTES_MAX
    }

    /// Whether nothing is gathered or being sent.
    pub fn is_sent(&self) -> bool {
        self.slots.iter().all(|(_, c)| c.outbound.is_empty())
    }

    /// Closes a connection and forgets it.
    pub fn close<I: Io>(&mut self, io: &mut I, id: ConnectionId) -> Option<Connection> {
        self.get_mut(id)?;
        let connection = self.slots.remove(id.slot());
        self.in_flight_bytes -= connection.accounted;
        self.held_bytes -= connection.held_accounted;
        io.close_socket(connection.socket);
        Some(connection)
    }

    /// When the next sweep is due; `None` when there is nothing to sweep.
    pub fn sweep_due_ns(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.sweep_due_ns)
    }

    /// Looks over a part of the table when it is time; appends who must be closed, and why.
    pub fn sweep(&mut self, now_ns: u64, overdue: &mut Vec<(ConnectionId, CloseReason)>) {
        if now_ns < self.sweep_due_ns {
            return;
        }
        self.sweep_due_ns = now_ns + limits::SWEEP_INTERVAL_NS;
        let slots = self.slots.capacity();
        let step = slots / limits::SWEEP_STEPS + 1;
        let end = self.sweep_from + step;
        for index in self.sweep_from..end {
            if let Some(connection) = self.slots.get(index)
                && let Some(reason) = connection.overdue(now_ns)
            {
                overdue.push((connection.id, reason));
            }
        }
        self.sweep_from = if end >= slots { 0 } else { end };
    }

    /// Names of all connections.
    pub fn ids(&self) -> Vec<ConnectionId> {
        self.slots
            .iter()
            .map(|(_, connection)| connection.id)
            .collect()
    }

    fn reuse_output(&mut self, id: ConnectionId) {
        if self.spare_outputs.len() >= limits::SPARE_BUFFERS_MAX {
            return;
        }
        if let Some(connection) = self.get_mut(id)
            && let Some(buffer) = connection.outbound.take_spare()
            && buffer.capacity() <= limits::SPARE_BUFFER_BYTES_MAX
        {
            self.spare_outputs.push(buffer);
        }
    }
}

fn bound(crowded: bool) -> usize {
    if crowded {
        limits::CONNECTION_IN_FLIGHT_BYTES_CROWDED
    } else {
        limits::CONNECTION_IN_FLIGHT_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ringmq_ring::SocketId;

    use super::*;

    fn insert(connections: &mut Connections) -> ConnectionId {
        let entry = connections.slots.vacant_entry();
        let id = ConnectionId::new(0, entry.key(), 1);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        entry.insert(Connection::new(id, SocketId(0), Port::Broker, peer, 0));
        id
    }

    fn hold(connections: &mut Connections, id: ConnectionId, bytes: usize) -> bool {
        let (mut inbound, _) = connections.lend_inbound(id).expect("an open connection");
        inbound.hold(&vec![0; bytes], 0);
        connections.return_inbound(id, inbound, 0)
    }

    #[test]
    fn started_frames_of_all_connections_together_have_a_bound() {
        let mut connections = Connections::new(0);
        // As if others held all that is allowed.
        connections.held_bytes = limits::SHARD_HELD_BYTES_MAX - 1000;
        let small = insert(&mut connections);
        assert!(hold(&mut connections, small, 100), "small ones go on");
        let large = insert(&mut connections);
        assert!(!hold(&mut connections, large, 1024 * 1024));
    }

    #[test]
    fn a_connection_is_accounted_for_and_forgotten_with_its_bytes() {
        let mut connections = Connections::new(0);
        let id = insert(&mut connections);
        if let Some(connection) = connections.get_mut(id) {
            connection.charged = limits::CONNECTION_IN_FLIGHT_BYTES_MAX + 1;
        }
        assert!(connections.account(id), "beyond its bound");
        connections.release(id, limits::CONNECTION_IN_FLIGHT_BYTES_MAX);
        assert!(!connections.account(id));
        assert_eq!(connections.in_flight_bytes, 1);
        let stale = ConnectionId::new(0, id.slot(), 2);
        assert!(connections.get_mut(stale).is_none());
        assert!(connections.answer(stale, 1).is_none());
    }
}

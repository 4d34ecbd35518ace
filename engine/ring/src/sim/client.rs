//! The far end of a simulated connection, in the hands of a test.

use bytes::Bytes;

use super::net::{ConnectionNumber, Segment, Side};
use super::world::World;

/// How a connection looks from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// Not accepted yet.
    Connecting,
    /// Nobody listened.
    Refused,
    /// Both ways are open.
    Open,
    /// The server has closed its way.
    Ended,
    /// The connection is gone.
    Reset,
}

/// A client's connection; made by [`World::connect`]. Dropping it leaves it half open, as a
/// client does that vanishes.
#[derive(Debug)]
pub struct SimClient {
    world: World,
    connection: ConnectionNumber,
}

impl SimClient {
    pub(super) fn new(world: World, connection: ConnectionNumber) -> Self {
        Self { world, connection }
    }

    /// How it stands.
    pub fn state(&self) -> ClientState {
        self.world.with(|state| {
            let Some(connection) = state.network.connections.get(&self.connection) else {
                return ClientState::Reset;
            };
            if connection.refused {
                ClientState::Refused
            } else if connection.to_client.reset || connection.is_dropped() {
                ClientState::Reset
            } else if connection.to_client.ended {
                ClientState::Ended
            } else if connection.accepted {
                ClientState::Open
            } else {
                ClientState::Connecting
            }
        })
    }

    /// Sends bytes; they arrive in order, in pieces, as the server's window allows.
    pub fn send(&self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.world.with(|state| {
            if let Some(connection) = state.network.connections.get_mut(&self.connection) {
                connection.to_server.waiting.push_back(bytes);
            }
            state.pump(self.connection, Side::Server);
        });
    }

    /// Takes all bytes that have arrived. Who does not call it is a slow reader: the server's sends
    /// stop when the window is full.
    pub fn receive(&self) -> Vec<u8> {
        self.world.with(|state| {
            let Some(connection) = state.network.connections.get_mut(&self.connection) else {
                return Vec::new();
            };
            let bytes = connection.to_client.arrived.drain(..).collect();
            state.pump(self.connection, Side::Client);
            bytes
        })
    }

    /// Closes its own way; the server's bytes still arrive.
    pub fn finish(&self) {
        self.world.with(|state| {
            if let Some(connection) = state.network.connections.get_mut(&self.connection) {
                connection.to_server.ending = true;
            }
            state.pump(self.connection, Side::Server);
        });
    }

    /// Closes both ways.
    pub fn close(&self) {
        self.world.with(|state| {
            if let Some(connection) = state.network.connections.get_mut(&self.connection) {
                connection.client_closed = true;
            }
        });
        self.finish();
    }

    /// Resets the connection; bytes on the way to the server may still arrive before that.
    pub fn reset(&self) {
        self.world.with(|state| {
            if let Some(connection) = state.network.connections.get_mut(&self.connection) {
                connection.client_closed = true;
            }
            state.send_segment(self.connection, Side::Server, Segment::Reset);
        });
    }
}

//! Who waits for the engine, by ticket.
//!
//! A ticket names a slot and its present user, so that an event that comes late meets nobody. Its top bit
//! is 0: tickets of sends ([`Sends`](crate::sends::Sends)) have it. Held pulls are also known by their
//! connection, because they end with it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use ringmq_engine::Ticket;
use slab::Slab;

use crate::connection::ConnectionId;

/// Held pulls of a connection are tidied when their list reaches this length.
const TIDY_AT: usize = 64;

/// Keeps the top bit of a ticket at 0.
const GENERATION_MASK: u32 = u32::MAX >> 1;

/// See the module; `W` says what to do for whom.
#[derive(Debug)]
pub struct Waiters<W> {
    slots: Slab<(u32, W)>,
    generation: u32,
    held: HashMap<ConnectionId, Held, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug, Default)]
struct Held {
    tickets: Vec<Ticket>,
    tidy_at: usize,
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            generation: 0,
            held: HashMap::default(),
        }
    }
}

impl<W> Waiters<W> {
    /// A ticket for someone who waits.
    pub fn insert(&mut self, waiter: W) -> Ticket {
        self.generation = (self.generation + 1) & GENERATION_MASK;
        let slot = self.slots.insert((self.generation, waiter));
        ticket(slot, self.generation)
    }

    /// The ticket's waiter, who then waits no longer.
    pub fn take(&mut self, ticket: Ticket) -> Option<W> {
        self.get(ticket)?;
        Some(self.slots.remove(slot(ticket)).1)
    }

    /// The ticket's waiter, if it still waits.
    pub fn get(&self, ticket: Ticket) -> Option<&W> {
        let (generation, waiter) = self.slots.get(slot(ticket))?;
        (u64::from(*generation) == ticket >> 32).then_some(waiter)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Ties a ticket to a connection.
    pub fn hold(&mut self, connection: ConnectionId, ticket: Ticket) {
        let slots = &self.slots;
        let held = self.held.entry(connection).or_default();
        if held.tickets.len() >= held.tidy_at.max(TIDY_AT) {
            held.tickets.retain(|&ticket| is_waiting(slots, ticket));
            held.tidy_at = held.tickets.len() * 2;
        }
        held.tickets.push(ticket);
    }

    /// Takes out all who were tied to a connection and still wait.
    pub fn take_held(&mut self, connection: ConnectionId) -> Vec<(Ticket, W)> {
        let Some(held) = self.held.remove(&connection) else {
            return Vec::new();
        };
        let tickets = held.tickets.into_iter();
        tickets
            .filter_map(|ticket| Some((ticket, self.take(ticket)?)))
            .collect()
    }

    /// Takes everybody out.
    pub fn drain(&mut self) -> impl Iterator<Item = W> {
        self.held.clear();
        self.slots.drain().map(|(_, waiter)| waiter)
    }
}

fn is_waiting<W>(slots: &Slab<(u32, W)>, ticket: Ticket) -> bool {
    slots
        .get(slot(ticket))
        .is_some_and(|(generation, _)| u64::from(*generation) == ticket >> 32)
}

fn ticket(slot: usize, generation: u32) -> Ticket {
    (u64::from(generation) << 32) | slot as u64
}

fn slot(ticket: Ticket) -> usize {
    (ticket & 0xFFFF_FFFF) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_event_meets_nobody() {
        let mut waiters = Waiters::default();
        let first = waiters.insert("first");
        assert_eq!(waiters.take(first), Some("first"));
        let second = waiters.insert("second");
        assert_eq!(waiters.take(first), None);
        assert_eq!(waiters.get(second), Some(&"second"));
    }

    #[test]
    fn held_tickets_end_with_their_connection_and_their_list_stays_short() {
        let mut waiters = Waiters::default();
        let connection = ConnectionId::new(0, 1, 1);
        for round in 0..10_000 {
            let ticket = waiters.insert(round);
            waiters.hold(connection, ticket);
            waiters.take(ticket);
        }
        assert!(waiters.held[&connection].tickets.len() <= TIDY_AT);
        let last = waiters.insert(7);
        waiters.hold(connection, last);
        assert_eq!(waiters.take_held(connection), [(last, 7)]);
        assert!(waiters.is_empty() && waiters.held.is_empty());
    }
}

//! Tickets that are told the same thing, and what a shard has to tell, in order. A service that numbers
//! its tickets upwards has one entry for all appends of a commit block here, not one for each.

use std::collections::VecDeque;

use crate::pull::{Event, Ticket};

/// Consecutive tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    first: Ticket,
    count: u64,
}

/// Tickets in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tickets(Vec<Run>);

impl Tickets {
    pub(crate) fn push(&mut self, ticket: Ticket) {
        match self.0.last_mut() {
            Some(run) if ticket.wrapping_sub(run.first) == run.count => run.count += 1,
            _ => self.0.push(Run {
                first: ticket,
                count: 1,
            }),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|run| run.count).sum()
    }

    /// Every ticket by itself.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Ticket> {
        self.0
            .iter()
            .flat_map(|run| (0..run.count).map(|step| run.first.wrapping_add(step)))
    }
}

/// What a service is told, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Entry>);

#[derive(Debug)]
enum Entry {
    /// All of them are stored.
    Stored(Run),
    One(Event),
}

impl Events {
    pub(crate) fn push_back(&mut self, event: Event) {
        self.0.push_back(Entry::One(event));
    }

    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        self.0.extend(events.into_iter().map(Entry::One));
    }

    /// Everybody is told that what they wait for is stored.
    pub(crate) fn stored(&mut self, tickets: &Tickets) {
        self.0
            .extend(tickets.0.iter().map(|&run| Entry::Stored(run)));
    }

    pub(crate) fn pop_front(&mut self) -> Option<Event> {
        if let Some(Entry::Stored(run)) = self.0.front_mut()
            && run.count > 1
        {
            let ticket = run.first;
            run.first = run.first.wrapping_add(1);
            run.count -= 1;
            return Some(Event::Stored { ticket });
        }
        match self.0.pop_front()? {
            Entry::Stored(run) => Some(Event::Stored { ticket: run.first }),
            Entry::One(event) => Some(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_told_once_and_in_order() {
        let added = [7, 8, 9, 3, u64::MAX, 0, 1, 1];
        let mut tickets = Tickets::default();
        added.into_iter().for_each(|ticket| tickets.push(ticket));
        assert_eq!(tickets.0.len(), 4);
        assert!(tickets.iter().eq(added));
        let mut events = Events::default();
        events.stored(&tickets);
        events.push_back(Event::Failed { ticket: 5 });
        let mut told = Vec::new();
        while let Some(event) = events.pop_front() {
            match event {
                Event::Stored { ticket } => told.push(ticket),
                other => assert!(matches!(other, Event::Failed { ticket: 5 })),
            }
        }
        assert_eq!(told, added);
    }
}

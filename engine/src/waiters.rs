//! Pulls that wait for the next record of their queue.

use std::collections::BTreeSet;

use slab::Slab;

use crate::hash::{Seed, Table};
use crate::pull::{PullRequest, Ticket};
use crate::types::QueueNumber;

/// Waiting pulls by queue, by deadline and by ticket.
#[derive(Debug)]
pub(crate) struct Waiters {
    waiting: Slab<Waiting>,
    /// The first waiter of each queue; the others are linked from it.
    first: Table<QueueNumber, u32>,
    deadlines: BTreeSet<(u64, u32)>,
    tickets: Table<Ticket, u32>,
    max: usize,
}

#[derive(Debug)]
struct Waiting {
    wait: Wait,
    deadline_ns: u64,
    next: Option<u32>,
}

/// A pull that waits.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) request: PullRequest,
    /// The offset it asked for at first.
    pub(crate) asked: u64,
}

impl Waiters {
    pub(crate) fn new(seed: Seed, max: usize) -> Self {
        Self {
            waiting: Slab::new(),
            first: Table::with_hasher(seed),
            deadlines: BTreeSet::new(),
            tickets: Table::with_hasher(seed),
            max,
        }
    }

    /// Adds a pull that waits until `deadline_ns`; gives it back when too many wait already.
    pub(crate) fn add(
        &mut self,
        request: PullRequest,
        asked: u64,
        deadline_ns: u64,
    ) -> Result<(), PullRequest> {
        if self.waiting.len() >= self.max {
            return Err(request);
        }
        let (queue, ticket) = (request.queue, request.ticket);
        let next = self.first.get(&queue).copied();
        // The bound on waiters keeps keys within 32 bits.
        let key = self.waiting.insert(Waiting {
            wait: Wait { request, asked },
            deadline_ns,
            next,
        }) as u32;
        self.first.insert(queue, key);
        self.deadlines.insert((deadline_ns, key));
        self.tickets.insert(ticket, key);
        Ok(())
    }

    /// Whether anyone waits for this queue.
    pub(crate) fn any(&self, queue: QueueNumber) -> bool {
        !self.first.is_empty() && self.first.contains_key(&queue)
    }

    /// Takes everyone who waits for this queue, with their deadlines, the newest first.
    pub(crate) fn take_queue(&mut self, queue: QueueNumber, into: &mut Vec<(Wait, u64)>) {
        let mut key = self.first.remove(&queue);
        while let Some(at) = key {
            let waiting = self.waiting.remove(at as usize);
            self.deadlines.remove(&(waiting.deadline_ns, at));
            self.tickets.remove(&waiting.wait.request.ticket);
            key = waiting.next;
            into.push((waiting.wait, waiting.deadline_ns));
        }
    }

    /// Takes the next pull whose time is up.
    pub(crate) fn pop_expired(&mut self, now_ns: u64) -> Option<Wait> {
        let &(deadline_ns, key) = self.deadlines.first()?;
        (deadline_ns <= now_ns).then(|| self.remove(key))?
    }

    /// Takes any pull: when the shard stops.
    pub(crate) fn pop_any(&mut self) -> Option<Wait> {
        let &(_, key) = self.deadlines.first()?;
        self.remove(key)
    }

    /// Forgets the pull with this ticket; `false` when none waits.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> bool {
        match self.tickets.get(&ticket).copied() {
            Some(key) => self.remove(key).is_some(),
            None => false,
        }
    }

    /// When the first of them has to be answered.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.deadlines.first().map(|&(deadline_ns, _)| deadline_ns)
    }

    fn remove(&mut self, key: u32) -> Option<Wait> {
        let waiting = self.waiting.try_remove(key as usize)?;
        self.deadlines.remove(&(waiting.deadline_ns, key));
        self.tickets.remove(&waiting.wait.request.ticket);
        self.unlink(waiting.wait.request.queue, key, waiting.next);
        Some(waiting.wait)
    }

    fn unlink(&mut self, queue: QueueNumber, key: u32, next: Option<u32>) {
        let Some(&first) = self.first.get(&queue) else {
            return;
        };
        if first == key {
            match next {
                Some(next) => self.first.insert(queue, next),
                None => self.first.remove(&queue),
            };
            return;
        }
        let mut at = first;
        while let Some(waiting) = self.waiting.get_mut(at as usize) {
            match waiting.next {
                Some(after) if after == key => {
                    waiting.next = next;
                    return;
                }
                Some(after) => at = after,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::TagFilter;

    fn request(queue: u32, ticket: Ticket) -> PullRequest {
        PullRequest {
            queue: QueueNumber(queue),
            offset: 0,
            max_messages: 1,
            max_bytes: 1,
            filter: TagFilter::All,
            wait_until_ns: None,
            ticket,
        }
    }

    #[test]
    fn waiters_leave_by_queue_by_time_and_by_ticket() {
        let mut waiters = Waiters::new(Seed(1), 10);
        for (ticket, deadline) in [(1, 50), (2, 30), (3, 40), (4, 20)] {
            assert!(waiters.add(request(7, ticket), 0, deadline).is_ok());
        }
        assert!(waiters.cancel(2) && !waiters.cancel(2));
        assert_eq!(waiters.deadline_ns(), Some(20));
        assert_eq!(waiters.pop_expired(20).map(|w| w.request.ticket), Some(4));
        assert!(waiters.pop_expired(20).is_none());
        let mut taken = Vec::new();
        waiters.take_queue(QueueNumber(7), &mut taken);
        let tickets: Vec<_> = taken.iter().map(|(w, _)| w.request.ticket).collect();
        assert_eq!(tickets, [3, 1]);
        assert!(!waiters.any(QueueNumber(7)) && waiters.deadline_ns().is_none());
    }

    #[test]
    fn too_many_waiters_are_given_back() {
        let mut waiters = Waiters::new(Seed(1), 1);
        assert!(waiters.add(request(1, 1), 0, 5).is_ok());
        assert!(waiters.add(request(1, 2), 0, 5).is_err());
    }
}

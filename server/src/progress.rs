//! How far groups have pulled in the queues of a shard, and resets that their next pull is told of.
//! In memory only: after a restart a group has pulled as far as it has committed, and a reset is its
//! committed offset.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use ringmq_engine::QueueNumber;
use slab::Slab;

use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub struct Progress {
    rows: Slab<Row>,
    by_queue: HashMap<QueueNumber, Vec<Seat>, BuildHasherDefault<DefaultHasher>>,
}

/// A group's place in this table for one queue, found once for a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat(u32);

#[derive(Debug)]
struct Row {
    queue: QueueNumber,
    group: Box<str>,
    pulled: Option<u64>,
    reset: Option<u64>,
}

impl Progress {
    /// The group's seat for a queue, made if need be; nothing when the table is full.
    pub fn seat(&mut self, queue: QueueNumber, group: &str) -> Option<Seat> {
        let seat = self.find(queue, group);
        if seat.is_some() || self.rows.len() >= limits::PROGRESS_ROWS_MAX {
            return seat;
        }
        let row = Row {
            queue,
            group: group.into(),
            pulled: None,
            reset: None,
        };
        let seat = Seat(u32::try_from(self.rows.insert(row)).ok()?);
        self.by_queue.entry(queue).or_default().push(seat);
        Some(seat)
    }

    /// The group has been given everything below `offset`.
    pub fn pulled(&mut self, seat: Option<Seat>, offset: u64) {
        if let Some(row) = seat.and_then(|seat| self.rows.get_mut(seat.0 as usize)) {
            row.pulled = Some(offset);
        }
    }

    /// Up to where the group has been given a queue, if it was since the start.
    pub fn pulled_by(&self, queue: QueueNumber, group: &str) -> Option<u64> {
        let seat = self.find(queue, group)?;
        self.rows.get(seat.0 as usize)?.pulled
    }

    /// The group's next pull of the queue is told to go on at `offset`.
    pub fn reset(&mut self, queue: QueueNumber, group: &str, offset: u64) {
        let seat = self.seat(queue, group);
        if let Some(row) = seat.and_then(|seat| self.rows.get_mut(seat.0 as usize)) {
            row.reset = Some(offset);
        }
    }

    /// Where the group is to be told to go on; it is told once.
    pub fn take_reset(&mut self, seat: Option<Seat>) -> Option<u64> {
        self.rows.get_mut(seat?.0 as usize)?.reset.take()
    }

    /// Whether the group has not been told yet: what it commits meanwhile is of before the reset.
    pub fn is_reset(&self, queue: QueueNumber, group: &str) -> bool {
        let seat = self.find(queue, group);
        let row = seat.and_then(|seat| self.rows.get(seat.0 as usize));
        row.is_some_and(|row| row.reset.is_some())
    }

    /// A group is deleted with its offsets.
    pub fn forget_group(&mut self, group: &str) {
        let rows = &mut self.rows;
        self.by_queue.retain(|_, seats| {
            seats.retain(|seat| {
                let slot = seat.0 as usize;
                let is_gone = rows.get(slot).is_none_or(|row| *row.group == *group);
                if is_gone {
                    rows.try_remove(slot);
                }
                !is_gone
            });
            !seats.is_empty()
        });
    }

    /// A queue is deleted.
    pub fn forget_queue(&mut self, queue: QueueNumber) {
        for seat in self.by_queue.remove(&queue).unwrap_or_default() {
            self.rows.try_remove(seat.0 as usize);
        }
    }

    fn find(&self, queue: QueueNumber, group: &str) -> Option<Seat> {
        let seats = self.by_queue.get(&queue)?;
        let is_it = |seat: &&Seat| {
            let row = self.rows.get(seat.0 as usize);
            row.is_some_and(|row| row.queue == queue && *row.group == *group)
        };
        seats.iter().find(is_it).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueNumber = QueueNumber(3);

    #[test]
    fn a_group_is_told_of_a_reset_once() {
        let mut progress = Progress::default();
        let seat = progress.seat(QUEUE, "g");
        progress.pulled(seat, 9);
        assert_eq!(progress.pulled_by(QUEUE, "g"), Some(9));
        progress.reset(QUEUE, "g", 4);
        assert!(progress.is_reset(QUEUE, "g") && !progress.is_reset(QUEUE, "h"));
        assert_eq!(progress.pulled_by(QUEUE, "g"), Some(9));
        assert_eq!(progress.take_reset(seat), Some(4));
        assert_eq!(progress.take_reset(seat), None);
    }

    #[test]
    fn deleted_groups_and_queues_leave_nothing_behind() {
        let mut progress = Progress::default();
        for group in ["g", "h"] {
            let seat = progress.seat(QUEUE, group);
            progress.pulled(seat, 1);
        }
        progress.forget_group("g");
        assert_eq!(progress.pulled_by(QUEUE, "g"), None);
        assert_eq!(progress.pulled_by(QUEUE, "h"), Some(1));
        progress.forget_queue(QUEUE);
        assert!(progress.rows.is_empty() && progress.by_queue.is_empty());
    }
}

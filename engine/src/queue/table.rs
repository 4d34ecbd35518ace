//! The queues of one shard: their numbers, and how far each has come.

use crate::hash::{Seed, Table};
use crate::types::{Offsets, QueueNumber, SegmentNumber, TopicId};

/// One queue: under a hundred bytes, whether it has records or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) topic: TopicId,
    pub(crate) queue_id: u32,
    /// Oldest offset kept, as it may be shown: the record that says so is durable.
    pub(crate) min: u64,
    /// Oldest offset kept, as the log says. `min <= logged_min`.
    pub(crate) logged_min: u64,
    /// One past the newest offset that may be shown. `min <= visible <= next`.
    pub(crate) visible: u64,
    /// The offset of the next record.
    pub(crate) next: u64,
    /// The segment of its newest record, or a newer one.
    pub(crate) newest: Option<SegmentNumber>,
    /// Its slot in the active index, valid while that is the index of `slot_segment`.
    pub(crate) slot: u32,
    pub(crate) slot_segment: Option<SegmentNumber>,
}

impl Queue {
    pub(crate) fn offsets(&self) -> Offsets {
        Offsets {
            min: self.min,
            max: self.visible,
        }
    }
}

/// All queues of a shard.
#[derive(Debug)]
pub(crate) struct Queues {
    numbers: Table<(TopicId, u32), QueueNumber>,
    /// By number, so that a checkpoint walks them in order, a step at a time.
    pages: Vec<Option<Box<Page>>>,
    next_number: u32,
}

const PAGE_ROWS: usize = 256;

/// Queues with neighbouring numbers; freed when the last of them is deleted.
#[derive(Debug)]
struct Page {
    rows: [Option<Queue>; PAGE_ROWS],
    used: usize,
}

impl Queues {
    /// No queues; the first one gets `next_number`.
    pub(crate) fn new(seed: Seed, next_number: u32) -> Self {
        Self {
            numbers: Table::with_hasher(seed),
            pages: Vec::new(),
            next_number: next_number.max(1),
        }
    }

    /// Restores a queue as it was recovered.
    pub(crate) fn restore(&mut self, number: QueueNumber, queue: Queue) {
        self.next_number = self.next_number.max(number.0 + 1);
        self.numbers.insert((queue.topic, queue.queue_id), number);
        let (page, row) = place(number);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| {
            Box::new(Page {
                rows: [const { None }; PAGE_ROWS],
                used: 0,
            })
        });
        page.used += usize::from(page.rows[row].replace(queue).is_none());
    }

    /// The number that the next new queue would get; `None` when there are none left.
    pub(crate) fn next_number(&self) -> Option<QueueNumber> {
        (self.next_number < u32::MAX).then_some(QueueNumber(self.next_number))
    }

    /// Binds a new, empty queue to [`Queues::next_number`].
    pub(crate) fn bind(&mut self, topic: TopicId, queue_id: u32) -> QueueNumber {
        let number = QueueNumber(self.next_number);
        let queue = Queue {
            topic,
            queue_id,
            min: 0,
            logged_min: 0,
            visible: 0,
            next: 0,
            newest: None,
            slot: 0,
            slot_segment: None,
        };
        self.restore(number, queue);
        number
    }

    pub(crate) fn number(&self, topic: TopicId, queue_id: u32) -> Option<QueueNumber> {
        self.numbers.get(&(topic, queue_id)).copied()
    }

    pub(crate) fn get(&self, number: QueueNumber) -> Option<&Queue> {
        let (page, row) = place(number);
        self.pages.get(page)?.as_ref()?.rows[row].as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: QueueNumber) -> Option<&mut Queue> {
        let (page, row) = place(number);
        self.pages.get_mut(page)?.as_mut()?.rows[row].as_mut()
    }

    /// Forgets a queue; its number is not used again.
    pub(crate) fn remove(&mut self, number: QueueNumber) -> Option<Queue> {
        let (at, row) = place(number);
        let page = self.pages.get_mut(at)?.as_mut()?;
        let queue = page.rows[row].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages[at] = None;
        }
        self.numbers.remove(&(queue.topic, queue.queue_id));
        Some(queue)
    }

    /// Numbers of all queues for which `wanted` holds, in ascending order.
    pub(crate) fn select(&self, mut wanted: impl FnMut(&Queue) -> bool) -> Vec<QueueNumber> {
        self.from(QueueNumber(0))
            .filter(|(_, queue)| wanted(queue))
            .map(|(number, _)| number)
            .collect()
    }

    /// All queues from a number on, in ascending order.
    pub(crate) fn from(&self, from: QueueNumber) -> impl Iterator<Item = (QueueNumber, &Queue)> {
        let (first, _) = place(from);
        let pages = self.pages.iter().enumerate().skip(first);
        let rows = pages.filter_map(|(at, page)| Some((at, page.as_ref()?)));
        rows.flat_map(|(at, page)| {
            let number = move |row| QueueNumber((at * PAGE_ROWS + row) as u32);
            let rows = page.rows.iter().enumerate();
            rows.filter_map(move |(row, queue)| Some((number(row), queue.as_ref()?)))
        })
        .filter(move |(number, _)| *number >= from)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

fn place(number: QueueNumber) -> (usize, usize) {
    let number = number.0 as usize;
    (number / PAGE_ROWS, number % PAGE_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_used_again() {
        let mut queues = Queues::new(Seed(1), 0);
        let first = queues.bind(TopicId(1), 0);
        assert_eq!(queues.number(TopicId(1), 0), Some(first));
        queues.remove(first);
        let second = queues.bind(TopicId(1), 0);
        assert!(second > first);
        assert_eq!(queues.select(|queue| queue.topic == TopicId(1)), [second]);
    }

    #[test]
    fn queues_are_walked_in_order_from_any_number() {
        let mut queues = Queues::new(Seed(1), 0);
        for id in 0..600 {
            queues.bind(TopicId(1), id);
        }
        for number in 1..400 {
            queues.remove(QueueNumber(number));
        }
        let numbers: Vec<_> = queues.from(QueueNumber(0)).map(|(n, _)| n.0).collect();
        assert_eq!(numbers, (400..=600).collect::<Vec<_>>());
        assert_eq!(queues.from(QueueNumber(599)).count(), 2);
        assert_eq!(queues.len(), 201);
    }
}

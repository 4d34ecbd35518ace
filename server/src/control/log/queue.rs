//! A bounded ring for each thread that logs, all emptied by the writer.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::{Consumer, Producer, RingBuffer};

use super::event::Event;
use crate::limits::LOG_EVENTS_MAX;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queues {
    ends: Mutex<Vec<End>>,
}

#[derive(Debug)]
struct End {
    events: Consumer<Event>,
    dropped: Arc<AtomicU64>,
}

struct Start {
    events: Producer<Event>,
    dropped: Arc<AtomicU64>,
}

thread_local! {
    static START: RefCell<Option<Start>> = const { RefCell::new(None) };
}

impl Queues {
    /// Gives this thread its ring, if it has none yet.
    pub fn attach(&self) {
        START.with_borrow_mut(|start| {
            start.get_or_insert_with(|| self.open());
        });
    }

    /// Puts an event into this thread's ring, or counts it as dropped.
    pub fn put(&self, event: Event) {
        // A thread that is ending has no ring any more, and an event within an event no second one.
        let _ = START.try_with(|start| {
            if let Ok(mut start) = start.try_borrow_mut() {
                start.get_or_insert_with(|| self.open()).put(event);
            }
        });
    }

    /// Takes everything out, in order of time, with the number of those dropped since the last call.
    pub fn take(&self) -> (Vec<Event>, u64) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut events, mut dropped) = (Vec::new(), 0);
        ends.retain_mut(|end| {
            // Looked at first: what was put in before the thread ended is taken below.
            let is_abandoned = end.events.is_abandoned();
            while let Ok(event) = end.events.pop() {
                events.push(event);
            }
            dropped += end.dropped.swap(0, Ordering::Relaxed);
            !is_abandoned
        });
        events.sort_by_key(|event| event.time);
        (events, dropped)
    }

    fn open(&self) -> Start {
        let (producer, consumer) = RingBuffer::new(LOG_EVENTS_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.push(End {
            events: consumer,
            dropped: Arc::clone(&dropped),
        });
        Start {
            events: producer,
            dropped,
        }
    }
}

impl Start {
    fn put(&mut self, event: Event) {
        if self.events.push(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::log::event;

    #[test]
    fn a_full_ring_drops_and_counts_and_a_thread_that_ended_loses_nothing() {
        let queues = Queues::default();
        let more = LOG_EVENTS_MAX as u64 + 5;
        std::thread::scope(|scope| {
            let put_all = || (0..more).for_each(|count| queues.put(event::dropped(count)));
            // Joined, not only left by the scope: the ring goes with the thread's own variables.
            scope.spawn(put_all).join().unwrap();
        });
        let (events, dropped) = queues.take();
        assert_eq!((events.len(), dropped), (LOG_EVENTS_MAX, 5));
        assert!(events.is_sorted_by_key(|event| event.time));
        assert_eq!(queues.take().0.len(), 0);
        assert!(queues.ends.lock().unwrap().is_empty());
    }
}

//! When sends are due in an open loop.
//!
//! The times are fixed in advance, so a stall of the server is charged to every send that it
//! delayed, not only to the one that happened to be in flight (no coordinated omission).

/// Evenly spaced times from a start.
#[derive(Clone, Debug)]
pub struct Schedule {
    start_ns: u64,
    gap_ns: f64,
    next: u64,
}

impl Schedule {
    /// `rate` sends a second from `start_ns` on.
    pub fn new(start_ns: u64, rate: f64) -> Self {
        Self {
            start_ns,
            gap_ns: 1e9 / rate,
            next: 0,
        }
    }

    /// The time at which the next send is due.
    pub fn due_ns(&self) -> u64 {
        self.start_ns + (self.next as f64 * self.gap_ns) as u64
    }

    /// Takes the next send if it is due by now.
    pub fn take(&mut self, now_ns: u64) -> Option<u64> {
        let due = self.due_ns();
        (due <= now_ns).then(|| {
            self.next += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_leaves_all_delayed_sends_due_at_their_own_times() {
        let mut schedule = Schedule::new(1_000, 1e9 / 100.0);
        assert_eq!(schedule.take(999), None);
        let taken: Vec<u64> = std::iter::from_fn(|| schedule.take(1_250)).collect();
        assert_eq!(taken, [1_000, 1_100, 1_200]);
        assert_eq!(schedule.due_ns(), 1_300);
    }
}

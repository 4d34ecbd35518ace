//! One shard thread without a thread: its io and its service, stepped turn by turn.

use super::io::{IoNumber, SimIo};
use super::state::Done;
use crate::io::{Io, Wait};
use crate::turn::{Pace, Service};

/// What [`crate::run`] is on a thread of its own: here each call of [`SimThread::turn`] is one turn.
#[derive(Debug)]
pub struct SimThread<S> {
    /// Its door.
    pub io: SimIo,
    /// What it does.
    pub service: S,
    completions: Vec<Done>,
    stopped: bool,
    /// Turns in a row that found nothing complete and asked for the next at a time that is not to
    /// come: many of them mean that it spins.
    pub late_turns: u64,
}

impl<S: Service<SimIo>> SimThread<S> {
    /// A thread that has not had a turn yet.
    pub fn new(io: SimIo, service: S) -> Self {
        Self {
            io,
            service,
            completions: Vec::new(),
            stopped: false,
            late_turns: 0,
        }
    }

    /// The number that [`super::Step::Turn`] calls it by.
    pub fn number(&self) -> IoNumber {
        self.io.number()
    }

    /// One turn. After a pace with `stop` it has no more turns.
    pub fn turn(&mut self) -> Pace {
        if self.stopped {
            return self.rest();
        }
        self.io.begin(&mut self.completions);
        let idle = self.completions.is_empty();
        for completion in self.completions.drain(..) {
            self.service.completion(&mut self.io, completion);
        }
        let now = self.io.now();
        let pace = self.service.turn(&mut self.io, now);
        self.stopped = pace.stop;
        let late = pace.deadline_ns.is_some_and(|at| at <= now.monotonic_ns);
        self.late_turns = match idle && late {
            true => self.late_turns + 1,
            false => 0,
        };
        let wait = match pace {
            Pace { stop: true, .. } => Wait::Forever,
            Pace {
                in_flight: true, ..
            } if self.io.spins() => Wait::Poll,
            _ => pace.sleep(),
        };
        // A simulated turn has no failure.
        let _ = self.io.turn(wait, &mut self.completions);
        pace
    }

    /// What still completes, or wakes a thread that has ended, is for nobody: time may pass.
    fn rest(&mut self) -> Pace {
        self.io.begin(&mut self.completions);
        self.completions.clear();
        // A simulated turn has no failure.
        let _ = self.io.turn(Wait::Forever, &mut self.completions);
        Pace {
            stop: true,
            ..Pace::default()
        }
    }

    /// Whether it has stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }
}

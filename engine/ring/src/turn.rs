//! The loop of one thread: completions, service, one entry to the kernel; again.
//!
//! ```text
//!   completions of the last turn -> Service::completion (each)
//!                                -> Service::turn       (once)  -> Pace
//!   spin without entering the kernel, if the pace and the policy say so
//!   Io::turn (once: submit everything, sleep or not, reap)
//! ```
//!
//! A turn is one pass through this picture and enters the kernel exactly once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::io::{Completion, Io, Moment, Wait};
use crate::limits::SPIN_LINGER_NS;
use crate::spin::{Spin, Verdict};

/// What a thread does: the meaning of its completions.
pub trait Service<I: Io> {
    /// One completion; called for each before [`Service::turn`].
    fn completion(&mut self, io: &mut I, completion: Completion<I::Stream, I::Received>);
    /// Once a turn, after all completions: timers, mailboxes, and what was gathered by them.
    fn turn(&mut self, io: &mut I, now: Moment) -> Pace;
}

/// How the thread goes on after a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// A completion is expected soon: worth spinning for a little.
    pub in_flight: bool,
    /// The next timer, on the monotonic clock.
    pub deadline_ns: Option<u64>,
    /// What is queued is submitted in one last turn, then the loop ends.
    pub stop: bool,
}

impl Pace {
    /// How to wait when spinning is over.
    pub fn sleep(self) -> Wait {
        self.deadline_ns.map_or(Wait::Forever, Wait::Until)
    }
}

/// Runs `service` on `io` until it stops or the kernel refuses a turn.
pub fn run<I: Io, S: Service<I>>(io: &mut I, service: &mut S) -> io::Result<()> {
    TurnLoop::default().run(io, service)
}

/// The loop with its spin policies and its counters.
#[derive(Debug)]
pub struct TurnLoop {
    /// While work is in flight.
    flight: Spin,
    /// After something has completed and nothing is in flight: the next request may be near.
    linger: Spin,
    /// Something has completed since the thread slept last.
    progressed: bool,
    counters: Arc<TurnCounters>,
}

impl Default for TurnLoop {
    fn default() -> Self {
        Self::new(Spin::default(), Spin::with_budget(SPIN_LINGER_NS))
    }
}

impl TurnLoop {
    /// A loop with spin policies of one's own: for work in flight, and for the time after it.
    pub fn new(flight: Spin, linger: Spin) -> Self {
        Self {
            flight,
            linger,
            progressed: false,
            counters: Arc::default(),
        }
    }

    /// A loop that never spins: one turn per commit.
    pub fn sleeping() -> Self {
        Self::new(Spin::never(), Spin::never())
    }

    /// The counters, readable from any thread while the loop runs.
    pub fn counters(&self) -> Arc<TurnCounters> {
        Arc::clone(&self.counters)
    }

    /// Runs `service` on `io` until it stops or the kernel refuses a turn.
    pub fn run<I: Io, S: Service<I>>(&mut self, io: &mut I, service: &mut S) -> io::Result<()> {
        let mut completions = Vec::new();
        while !self.once(io, service, &mut completions)?.stop {}
        Ok(())
    }

    /// One turn: hands out what completed in the last one, and leaves in `completions` what did in
    /// this one. After a pace with `stop` there is nothing more to be done.
    pub fn once<I: Io, S: Service<I>>(
        &mut self,
        io: &mut I,
        service: &mut S,
        completions: &mut Vec<Completion<I::Stream, I::Received>>,
    ) -> io::Result<Pace> {
        for completion in completions.drain(..) {
            service.completion(io, completion);
        }
        let pace = service.turn(io, io.now());
        self.counters.add(|c| &c.turns, 1);
        let wait = if pace.stop {
            Wait::Poll
        } else {
            self.wait(io, pace)
        };
        io.turn(wait, completions)?;
        if wait != Wait::Poll {
            self.counters.add(|c| &c.sleeps, 1);
        }
        if completions.is_empty() {
            self.progressed &= wait == Wait::Poll;
        } else {
            self.progressed = true;
            self.flight.end();
            self.linger.end();
        }
        Ok(pace)
    }

    /// Spins as the policies allow; says how the turn is to wait in the kernel.
    fn wait<I: Io>(&mut self, io: &mut I, pace: Pace) -> Wait {
        if !pace.in_flight && !self.progressed {
            return pace.sleep();
        }
        let Some(glance) = io.glance() else {
            return pace.sleep();
        };
        let spin = self.spin(pace);
        if !spin.may_spin(glance.monotonic_ns) {
            return pace.sleep();
        }
        if glance.queued || glance.ready {
            return Wait::Poll;
        }
        self.counters.add(|c| &c.spins, 1);
        self.spin_until_ready(io, pace)
    }

    fn spin(&mut self, pace: Pace) -> &mut Spin {
        if pace.in_flight {
            &mut self.flight
        } else {
            &mut self.linger
        }
    }

    fn spin_until_ready<I: Io>(&mut self, io: &mut I, pace: Pace) -> Wait {
        loop {
            std::hint::spin_loop();
            let Some(glance) = io.glance() else {
                return pace.sleep();
            };
            if glance.ready {
                self.spin(pace).hit();
                self.counters.add(|c| &c.hits, 1);
                return Wait::Poll;
            }
            if pace.deadline_ns.is_some_and(|at| at <= glance.monotonic_ns) {
                self.spin(pace).end();
                return Wait::Poll;
            }
            match self.spin(pace).look(glance.monotonic_ns) {
                Verdict::Again => {}
                Verdict::Missed => return pace.sleep(),
                Verdict::Preempted => {
                    self.counters.add(|c| &c.preemptions, 1);
                    return pace.sleep();
                }
            }
        }
    }
}

/// What a loop has done since it was made. Written by its thread alone, read by any.
#[derive(Debug, Default)]
pub struct TurnCounters {
    turns: AtomicU64,
    sleeps: AtomicU64,
    spins: AtomicU64,
    hits: AtomicU64,
    preemptions: AtomicU64,
}

/// One reading of [`TurnCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnCounts {
    /// Turns: each is one entry to the kernel.
    pub turns: u64,
    /// Turns that were allowed to sleep.
    pub sleeps: u64,
    /// Times the thread spun.
    pub spins: u64,
    /// Spins that ended with something to do.
    pub hits: u64,
    /// Spins that ended because another thread had the core.
    pub preemptions: u64,
}

impl TurnCounters {
    /// Reads all counters; each by itself is exact, together they may be a turn apart.
    pub fn read(&self) -> TurnCounts {
        TurnCounts {
            turns: self.turns.load(Ordering::Relaxed),
            sleeps: self.sleeps.load(Ordering::Relaxed),
            spins: self.spins.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            preemptions: self.preemptions.load(Ordering::Relaxed),
        }
    }

    /// There is one writer, so a load and a store do (no locked instruction on the hot path).
    fn add(&self, counter: impl Fn(&Self) -> &AtomicU64, more: u64) {
        let counter = counter(self);
        counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }
}

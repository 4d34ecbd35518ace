//! The loop: one entry a turn, little time when idle, spinning when it pays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringmq_ring::affinity::{self, Place};
use ringmq_ring::uring::UringCompletion;
use ringmq_ring::{FileId, Io, Moment, Pace, Service, Spin, TurnLoop, Uring, UringConfig, Wait};

use crate::driver::{Driver, direct_file, pattern};

/// Writes one block durably after the other.
struct Commits {
    file: FileId,
    data: Bytes,
    left: u64,
    writing: bool,
}

impl Service<Uring> for Commits {
    fn completion(&mut self, _: &mut Uring, completion: UringCompletion) {
        assert_eq!(completion.result.unwrap(), self.data.len());
        self.writing = false;
    }

    fn turn(&mut self, io: &mut Uring, _: Moment) -> Pace {
        let stop = !self.writing && self.left == 0;
        if !self.writing && self.left > 0 {
            self.left -= 1;
            self.writing = true;
            io.write_durable(self.file, 0, self.data.clone(), self.left);
        }
        Pace {
            in_flight: self.writing,
            deadline_ns: None,
            stop,
        }
    }
}

fn commit(mut turns: TurnLoop, count: u64) -> ringmq_ring::turn::TurnCounts {
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    let file = ring.adopt_file(direct_file(4096)).unwrap();
    let mut service = Commits {
        file,
        data: pattern(4096, 1),
        left: count,
        writing: false,
    };
    turns.run(&mut ring, &mut service).unwrap();
    let counts = turns.counters().read();
    assert_eq!(ring.enters(), counts.turns, "one entry a turn");
    counts
}

#[test]
fn a_sleeping_loop_needs_one_turn_and_one_entry_per_commit() {
    let counts = commit(TurnLoop::sleeping(), 500);
    assert!(counts.turns <= 550, "{counts:?}");
    assert_eq!(counts.spins, 0);
}

#[test]
fn a_spinning_loop_needs_at_most_two_turns_per_commit() {
    let counts = commit(
        TurnLoop::new(Spin::with_budget(5_000_000), Spin::never()),
        500,
    );
    assert!(counts.turns <= 1_100, "{counts:?}");
    assert!(counts.spins > 0, "{counts:?}");
}

#[test]
fn a_spinning_loop_that_shares_its_core_notices_it() {
    let core = affinity::cores().unwrap()[0];
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            affinity::pin(Place::Core(core)).unwrap();
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        scope.spawn(|| {
            affinity::pin(Place::Core(core)).unwrap();
            let preempted = commit_until_preempted();
            over.store(true, Ordering::Relaxed);
            assert!(preempted, "in all that time nobody else had the core");
        });
    });
}

/// Commits, spinning, until the policy has seen a preemption, for 20 s at most.
fn commit_until_preempted() -> bool {
    let mut driver = Driver::new();
    let mut service = Commits {
        file: driver.file(4096),
        data: pattern(4096, 1),
        left: u64::MAX,
        writing: false,
    };
    let mut turns = TurnLoop::default();
    let counters = turns.counters();
    let started = std::time::Instant::now();
    while counters.read().preemptions == 0 && started.elapsed() < Duration::from_secs(20) {
        turns
            .once(&mut driver.ring, &mut service, &mut driver.completions)
            .unwrap();
    }
    counters.read().preemptions > 0
}

/// Has a timer every 10 ms and nothing else to do.
struct Idle {
    until_ns: u64,
}

impl Service<Uring> for Idle {
    fn completion(&mut self, _: &mut Uring, completion: UringCompletion) {
        panic!("nothing was asked for: {completion:?}");
    }

    fn turn(&mut self, _: &mut Uring, now: Moment) -> Pace {
        Pace {
            in_flight: false,
            deadline_ns: Some(now.monotonic_ns + 10_000_000),
            stop: now.monotonic_ns >= self.until_ns,
        }
    }
}

#[test]
fn an_idle_loop_takes_less_than_a_hundredth_of_a_core() {
    let mut driver = Driver::new();
    let (socket, _peer) = driver.connection();
    driver.ring.receive(socket, 1);
    driver.ring.turn(Wait::Poll, &mut Vec::new()).unwrap();
    let until_ns = driver.ring.now().monotonic_ns + 1_000_000_000;
    let before = thread_time();
    TurnLoop::default()
        .run(&mut driver.ring, &mut Idle { until_ns })
        .unwrap();
    let used = thread_time() - before;
    assert!(used < Duration::from_millis(10), "{used:?} of 1 s");
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

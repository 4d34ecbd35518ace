//! Ending a ring's sleep from other rings and other threads.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use ringmq_ring::{Io, Uring, UringConfig, Wait, Wake};

/// A thread that sleeps in its ring `times` times and says after each sleep how long it took.
fn sleeper(times: usize) -> (ringmq_ring::uring::UringWaker, mpsc::Receiver<Duration>) {
    let (ready, waker) = mpsc::channel();
    let (slept, sleeps) = mpsc::channel();
    std::thread::spawn(move || {
        let mut ring = Uring::new(&UringConfig::default()).unwrap();
        ready.send(ring.waker()).unwrap();
        for _ in 0..times {
            let started = Instant::now();
            ring.turn(Wait::Forever, &mut Vec::new()).unwrap();
            slept.send(started.elapsed()).unwrap();
        }
    });
    (waker.recv().unwrap(), sleeps)
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_plain_thread_wakes_a_ring_again_and_again() {
    let (waker, sleeps) = sleeper(200);
    for _ in 0..200 {
        waker.wake();
        sleeps.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn one_ring_wakes_another_again_and_again() {
    let (waker, sleeps) = sleeper(200);
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    for _ in 0..200 {
        ring.wake(&waker);
        ring.turn(Wait::Poll, &mut Vec::new()).unwrap();
        sleeps.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(ring.enters(), 200, "a wake costs no system call of its own");
}

#[test]
fn two_rings_wake_each_other() {
    let (to_there, here_waker) = mpsc::channel::<ringmq_ring::uring::UringWaker>();
    let (to_here, there_waker) = mpsc::channel();
    let there = std::thread::spawn(move || {
        let mut ring = Uring::new(&UringConfig::default()).unwrap();
        to_here.send(ring.waker()).unwrap();
        let other = here_waker.recv().unwrap();
        for _ in 0..500 {
            ring.turn(Wait::Forever, &mut Vec::new()).unwrap();
            ring.wake(&other);
        }
        ring.turn(Wait::Poll, &mut Vec::new()).unwrap();
    });
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    to_there.send(ring.waker()).unwrap();
    let other = there_waker.recv().unwrap();
    for _ in 0..500 {
        ring.wake(&other);
        ring.turn(Wait::Forever, &mut Vec::new()).unwrap();
    }
    there.join().unwrap();
}

#[test]
fn waking_a_ring_that_is_gone_does_nothing() {
    let gone = {
        let ring = Uring::new(&UringConfig::default()).unwrap();
        ring.waker()
    };
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    gone.wake();
    ring.wake(&gone);
    ring.turn(Wait::Poll, &mut Vec::new()).unwrap();
}

#[test]
fn a_sleep_ends_at_its_deadline() {
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    for _ in 0..3 {
        let before = ring.now().monotonic_ns;
        ring.turn(Wait::Until(before + 20_000_000), &mut Vec::new())
            .unwrap();
        let slept = ring.now().monotonic_ns - before;
        assert!(slept >= 20_000_000, "{slept} ns");
    }
    ring.turn(Wait::Until(1), &mut Vec::new()).unwrap();
    assert_eq!(ring.enters(), 4);
}

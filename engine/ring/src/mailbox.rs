//! Mailboxes: what two threads that share nothing send each other.
//!
//! Between each pair of threads there are four bounded rings, each with one producer and one
//! consumer: requests and replies, both ways. A request reserves the slot of its reply, so a
//! reply always has room and two threads never wait for each other. A request that finds no room
//! is handed back ([`Full`]): the caller stops reading the connection that it came from, and
//! tries again in a later turn; order is kept because nothing overtakes it.
//!
//! ```text
//!            requests ->            one Peer at each end; a thread has one Peer per other thread
//!   thread A <- replies    thread B
//!            <- requests
//!            replies ->
//! ```
//!
//! Per turn: [`Mailboxes::begin`], take what has come, handle it, and [`Mailboxes::flush`], which
//! wakes every thread that got something and has not been told yet.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::io::{Io, Wake};
use crate::limits::SHARDS_MAX;

/// No room for a request (or for its reply): the request comes back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox is full: read no more from this connection until replies have come")]
pub struct Full<Q>(pub Q);

/// One end of the four rings between two threads.
#[derive(Debug)]
pub struct Peer<Q, R> {
    requests_out: Producer<Q>,
    replies_in: Consumer<R>,
    requests_in: Consumer<Q>,
    replies_out: Producer<R>,
    /// Requests of ours that have no reply yet; at most the capacity of `replies_in`.
    unanswered: usize,
    /// Requests of theirs that we have taken and not answered.
    owed: usize,
}

impl<Q, R> Peer<Q, R> {
    /// Both ends, for at most `capacity` unanswered requests each way.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let (requests_out, requests_in_there) = RingBuffer::new(capacity);
        let (requests_out_there, requests_in) = RingBuffer::new(capacity);
        let (replies_out, replies_in_there) = RingBuffer::new(capacity);
        let (replies_out_there, replies_in) = RingBuffer::new(capacity);
        (
            Self::new(requests_out, replies_in, requests_in, replies_out),
            Self::new(
                requests_out_there,
                replies_in_there,
                requests_in_there,
                replies_out_there,
            ),
        )
    }

    fn new(
        requests_out: Producer<Q>,
        replies_in: Consumer<R>,
        requests_in: Consumer<Q>,
        replies_out: Producer<R>,
    ) -> Self {
        Self {
            requests_out,
            replies_in,
            requests_in,
            replies_out,
            unanswered: 0,
            owed: 0,
        }
    }

    /// Puts a request, and reserves the slot of its one reply.
    pub fn request(&mut self, request: Q) -> Result<(), Full<Q>> {
        if self.unanswered == self.replies_in.buffer().capacity() {
            return Err(Full(request));
        }
        match self.requests_out.push(request) {
            Ok(()) => {
                self.unanswered += 1;
                Ok(())
            }
            Err(PushError::Full(request)) => Err(Full(request)),
        }
    }

    /// How many requests there is room for.
    pub fn room(&self) -> usize {
        let unreserved = self.replies_in.buffer().capacity() - self.unanswered;
        unreserved.min(self.requests_out.slots())
    }

    /// The next request of the other side. Each must be answered once, in any order.
    pub fn next_request(&mut self) -> Option<Q> {
        let request = self.requests_in.pop().ok()?;
        self.owed += 1;
        Some(request)
    }

    /// Answers one request.
    ///
    /// # Panics
    /// When more replies are given than requests were taken: a defect of the caller, which would
    /// break the reservation.
    pub fn reply(&mut self, reply: R) {
        assert!(self.owed > 0, "a reply without a request");
        self.owed -= 1;
        let pushed = self.replies_out.push(reply);
        assert!(pushed.is_ok(), "a reply without its reserved slot");
    }

    /// The next reply of the other side.
    pub fn next_reply(&mut self) -> Option<R> {
        let reply = self.replies_in.pop().ok()?;
        self.unanswered -= 1;
        Some(reply)
    }

    /// Requests of ours without a reply so far.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Whether the other end is gone; what it had put in can still be taken.
    pub fn is_closed(&self) -> bool {
        self.requests_in.is_abandoned()
    }

    fn waiting_requests(&self) -> usize {
        self.requests_in.slots()
    }

    fn waiting_replies(&self) -> usize {
        self.replies_in.slots()
    }
}

/// How a thread is told that something is in its mailboxes.
#[derive(Debug)]
struct Bell<W> {
    /// Set by the sender that rings, cleared by the owner before it looks.
    rung: AtomicBool,
    waker: OnceLock<W>,
}

/// A [`Peer`] with what this turn has done to it.
#[derive(Debug)]
struct Link<Q, R, W> {
    peer: Peer<Q, R>,
    bell: Arc<Bell<W>>,
    /// Something was put in since the last flush.
    touched: bool,
    /// What may still be taken in this turn: what came later waits for the next one, so that a
    /// busy peer cannot hold the turn.
    requests_left: usize,
    replies_left: usize,
}

/// The mailboxes of one thread with all others of its group.
///
/// Every thread must call [`Mailboxes::publish`] before its first turn.
#[derive(Debug)]
pub struct Mailboxes<Q, R, W> {
    me: usize,
    links: Vec<Option<Link<Q, R, W>>>,
    bell: Arc<Bell<W>>,
    next_from: usize,
}

impl<Q, R, W: Wake> Mailboxes<Q, R, W> {
    /// The mailboxes of `shards` threads, each with room for `capacity` unanswered requests to each other.
    ///
    /// # Panics
    /// When there are more threads than [`SHARDS_MAX`], or the capacity is zero.
    pub fn mesh(shards: usize, capacity: usize) -> Vec<Self> {
        assert!(shards <= SHARDS_MAX, "{shards} shards are too many");
        assert!(capacity > 0, "a mailbox needs room");
        let mut all: Vec<Self> = (0..shards).map(|me| Self::alone(me, shards)).collect();
        for a in 0..shards {
            for b in a + 1..shards {
                let (at_a, at_b) = Peer::pair(capacity);
                let (bell_a, bell_b) = (Arc::clone(&all[a].bell), Arc::clone(&all[b].bell));
                all[a].links[b] = Some(Link::new(at_a, bell_b));
                all[b].links[a] = Some(Link::new(at_b, bell_a));
            }
        }
        all
    }

    fn alone(me: usize, shards: usize) -> Self {
        let bell = Bell {
            rung: AtomicBool::new(false),
            waker: OnceLock::new(),
        };
        Self {
            me,
            links: (0..shards).map(|_| None).collect(),
            bell: Arc::new(bell),
            next_from: 0,
        }
    }

    /// Which thread this is.
    pub fn me(&self) -> usize {
        self.me
    }

    /// How many threads there are, this one included.
    pub fn shards(&self) -> usize {
        self.links.len()
    }

    /// Tells the others how to wake this thread. What they sent before is found in its first turn.
    pub fn publish(&self, waker: W) {
        // A second call finds the waker of the same thread in place and changes nothing.
        let _ = self.bell.waker.set(waker);
        // Pairs with the fence in `flush`: either the sender sees the waker, or the first turn sees
        // what it put in.
        fence(Ordering::SeqCst);
    }

    /// Puts a request for `shard` and reserves the slot of its reply.
    ///
    /// # Panics
    /// When `shard` is this thread or none: a defect of the caller.
    pub fn request(&mut self, shard: usize, request: Q) -> Result<(), Full<Q>> {
        let link = self.link(shard);
        link.peer.request(request)?;
        link.touched = true;
        Ok(())
    }

    /// How many requests for `shard` there is room for.
    ///
    /// # Panics
    /// As [`Mailboxes::request`].
    pub fn room(&mut self, shard: usize) -> usize {
        self.link(shard).peer.room()
    }

    /// Answers one request of `shard`.
    ///
    /// # Panics
    /// As [`Peer::reply`] and [`Mailboxes::request`].
    pub fn reply(&mut self, shard: usize, reply: R) {
        let link = self.link(shard);
        link.peer.reply(reply);
        link.touched = true;
    }

    /// First call of a turn: sees what has come until now.
    pub fn begin(&mut self) {
        if self.bell.rung.load(Ordering::Relaxed) {
            // The swap, not a store: it reads the sender's ring and so sees what was put in before.
            self.bell.rung.swap(false, Ordering::AcqRel);
        }
        for link in self.links.iter_mut().flatten() {
            link.requests_left = link.peer.waiting_requests();
            link.replies_left = link.peer.waiting_replies();
        }
    }

    /// The next reply that had come when the turn began, with its sender.
    pub fn next_reply(&mut self) -> Option<(usize, R)> {
        for (shard, link) in self.links.iter_mut().enumerate() {
            let Some(link) = link else { continue };
            if link.replies_left > 0 {
                link.replies_left -= 1;
                return link.peer.next_reply().map(|reply| (shard, reply));
            }
        }
        None
    }

    /// The next request that had come when the turn began, with its sender; senders take turns.
    pub fn next_request(&mut self) -> Option<(usize, Q)> {
        for step in 0..self.links.len() {
            let shard = (self.next_from + step) % self.links.len();
            let Some(link) = &mut self.links[shard] else {
                continue;
            };
            if link.requests_left > 0 {
                link.requests_left -= 1;
                self.next_from = shard + 1;
                return link.peer.next_request().map(|request| (shard, request));
            }
        }
        None
    }

    /// Last call of a turn: wakes the threads that got something and have not been told yet.
    pub fn flush<I: Io<Waker = W>>(&mut self, io: &mut I) {
        self.ring_bells(|waker| io.wake(waker));
    }

    fn ring_bells(&mut self, mut wake: impl FnMut(&W)) {
        for link in self.links.iter_mut().flatten() {
            if std::mem::take(&mut link.touched) && !link.bell.rung.swap(true, Ordering::AcqRel) {
                fence(Ordering::SeqCst);
                match link.bell.waker.get() {
                    Some(waker) => wake(waker),
                    // Not at its first turn yet: tell it in a later flush.
                    None => {
                        link.bell.rung.store(false, Ordering::Release);
                        link.touched = true;
                    }
                }
            }
        }
    }

    /// Requests of ours without a reply so far: work in flight.
    pub fn unanswered(&self) -> usize {
        let links = self.links.iter().flatten();
        links.map(|link| link.peer.unanswered()).sum()
    }

    fn link(&mut self, shard: usize) -> &mut Link<Q, R, W> {
        let link = self.links.get_mut(shard).and_then(Option::as_mut);
        link.expect("no mailbox between this thread and that one")
    }
}

impl<Q, R, W> Link<Q, R, W> {
    fn new(peer: Peer<Q, R>, bell: Arc<Bell<W>>) -> Self {
        Self {
            peer,
            bell,
            touched: false,
            requests_left: 0,
            replies_left: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reserves_the_slot_of_its_reply() {
        let (mut a, mut b) = Peer::<u32, u32>::pair(2);
        assert_eq!(a.request(1), Ok(()));
        assert_eq!(a.request(2), Ok(()));
        assert_eq!(b.next_request(), Some(1));
        assert_eq!(b.next_request(), Some(2));
        assert_eq!(a.room(), 0);
        assert_eq!(a.request(3), Err(Full(3)), "no slot for its reply");
        b.reply(10);
        b.reply(20);
        assert_eq!(a.next_reply(), Some(10));
        assert_eq!(a.request(3), Ok(()));
        assert_eq!(a.unanswered(), 2);
    }

    #[test]
    fn two_full_mailboxes_still_take_each_others_replies() {
        let (mut a, mut b) = Peer::<u32, u32>::pair(1);
        assert_eq!(a.request(1), Ok(()));
        assert_eq!(b.request(2), Ok(()));
        assert_eq!(a.next_request(), Some(2));
        assert_eq!(b.next_request(), Some(1));
        a.reply(20);
        b.reply(10);
        assert_eq!(a.next_reply(), Some(10));
        assert_eq!(b.next_reply(), Some(20));
    }

    #[test]
    #[should_panic(expected = "a reply without a request")]
    fn a_reply_without_a_request_is_a_defect() {
        Peer::<u32, u32>::pair(1).0.reply(1);
    }

    #[test]
    fn a_closed_peer_is_seen_and_its_last_words_are_kept() {
        let (mut a, b) = Peer::<u32, u32>::pair(1);
        let mut b = b;
        assert_eq!(b.request(7), Ok(()));
        drop(b);
        assert!(a.is_closed());
        assert_eq!(a.next_request(), Some(7));
    }

    #[derive(Clone)]
    struct NoWake;
    impl Wake for NoWake {
        fn wake(&self) {}
    }

    #[test]
    fn a_turn_takes_what_had_come_when_it_began_and_senders_take_turns() {
        let mut all = Mailboxes::<u32, u32, NoWake>::mesh(3, 4);
        for shard in [1, 2] {
            let base = shard as u32 * 10;
            for request in base..base + 2 {
                assert_eq!(all[shard].request(0, request), Ok(()));
            }
        }
        assert_eq!(all[0].next_request(), None, "the turn has not begun");
        all[0].begin();
        assert_eq!(all[1].request(0, 12), Ok(()));
        let taken: Vec<_> = std::iter::from_fn(|| all[0].next_request()).collect();
        assert_eq!(taken, [(1, 10), (2, 20), (1, 11), (2, 21)]);
        all[0].reply(2, 99);
        all[2].begin();
        assert_eq!(all[2].next_reply(), Some((0, 99)));
        assert_eq!(all[2].unanswered(), 1);
    }

    #[test]
    fn a_thread_is_woken_once_until_it_has_looked() {
        let mut all = Mailboxes::<u32, u32, NoWake>::mesh(2, 8);
        let wakes_of = |all: &mut Vec<Mailboxes<u32, u32, NoWake>>, request| {
            assert_eq!(all[0].request(1, request), Ok(()));
            let mut wakes = 0;
            all[0].ring_bells(|_| wakes += 1);
            wakes
        };
        assert_eq!(wakes_of(&mut all, 1), 0, "it has not had its first turn");
        all[1].publish(NoWake);
        assert_eq!(wakes_of(&mut all, 2), 1);
        assert_eq!(wakes_of(&mut all, 3), 0, "it knows");
        all[1].begin();
        assert_eq!(std::iter::from_fn(|| all[1].next_request()).count(), 3);
        let mut wakes = 0;
        all[0].ring_bells(|_| wakes += 1);
        assert_eq!(wakes, 0, "nothing new");
        assert_eq!(wakes_of(&mut all, 4), 1);
    }

    #[test]
    fn what_two_threads_exchange_arrives_once_and_in_order() {
        let (mut a, mut b) = Peer::<u64, u64>::pair(8);
        let rounds = 20_000;
        let server = std::thread::spawn(move || {
            let mut expected = 0;
            while expected < rounds {
                match b.next_request() {
                    Some(request) => {
                        assert_eq!(request, expected);
                        b.reply(request * 2);
                        expected += 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
        });
        let (mut sent, mut got) = (0, 0);
        while got < rounds {
            while sent < rounds && a.request(sent).is_ok() {
                sent += 1;
            }
            match a.next_reply() {
                Some(reply) => {
                    assert_eq!(reply, got * 2);
                    got += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        server.join().unwrap();
    }
}

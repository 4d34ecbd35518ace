//! Giving up at random: whatever is closed or released in flight, every operation completes once
//! and all memory stays whole.

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpStream;

use bytes::Bytes;
use ringmq_ring::{AlignedBuf, FileId, Io, Payload, SocketId, Uring, Wait};

use crate::driver::{Driver, Random, connected, direct_file, pattern};

const OPERATIONS: u64 = 10_000;

#[test]
fn ten_thousand_operations_given_up_at_random_complete_once_each() {
    let seed = std::env::var("RINGMQ_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chaos = Chaos::new(seed);
    while chaos.next_token < OPERATIONS {
        chaos.step();
    }
    chaos.give_all_up();
    while !chaos.expected.is_empty() {
        chaos.driver.turn();
        chaos.settle();
    }
    // The ring's own last words: what ended the operations completes too.
    chaos.driver.until(|driver| driver.ring.in_flight() == 0);
    assert!(chaos.driver.completions.is_empty());
}

#[test]
fn a_ring_dropped_in_full_flight_takes_everything_with_it() {
    for seed in 0..20 {
        let mut chaos = Chaos::new(100 + seed);
        for _ in 0..50 {
            chaos.step();
        }
        let peers: Vec<_> = chaos.sockets.drain(..).map(|socket| socket.peer).collect();
        drop(chaos);
        for mut peer in peers {
            // The ring's end is closed: the rest of what it sent, then the end (or a reset).
            let _ = std::io::copy(&mut peer, &mut std::io::sink());
        }
    }
}

struct Chaos {
    driver: Driver,
    random: Random,
    data: Bytes,
    files: Vec<FileId>,
    sockets: Vec<Socket>,
    /// Tokens that have not had their last completion.
    expected: HashMap<u64, ()>,
    next_token: u64,
}

struct Socket {
    id: SocketId,
    peer: TcpStream,
    receiving: Option<u64>,
    sending: Option<u64>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        Self {
            driver: Driver::new(),
            random: Random::new(seed),
            data: pattern(1 << 20, 9),
            files: Vec::new(),
            sockets: Vec::new(),
            expected: HashMap::new(),
            next_token: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0 => self.open(),
            1..=3 => self.write(),
            4 => self.read(),
            5..=8 => self.send(),
            9..=10 => self.receive(),
            11 => self.close_some(),
            12 => self.drain_peer(),
            _ => {
                self.driver
                    .ring
                    .turn(Wait::Poll, &mut self.driver.completions)
                    .unwrap();
                self.settle();
            }
        }
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.expected.insert(self.next_token, ());
        self.next_token
    }

    fn open(&mut self) {
        if self.files.len() < 4 {
            let file = self.driver.ring.adopt_file(direct_file(65536)).unwrap();
            self.files.push(file);
        }
        if self.sockets.len() < 8 {
            let (ours, peer) = connected();
            let id = self.driver.ring.adopt_socket(ours).unwrap();
            self.sockets.push(Socket {
                id,
                peer,
                receiving: None,
                sending: None,
            });
        }
    }

    fn write(&mut self) {
        let Some(file) = pick(&mut self.random, &self.files).copied() else {
            return;
        };
        let len = 4096 * (1 + self.random.below(8) as usize);
        let token = self.token();
        let data = self.data.slice(..len);
        if self.random.below(2) == 0 {
            self.driver.ring.write(file, 0, data, token);
        } else {
            self.driver.ring.write_durable(file, 4096, data, token);
        }
    }

    fn read(&mut self) {
        let Some(file) = pick(&mut self.random, &self.files).copied() else {
            return;
        };
        let token = self.token();
        let buffer = AlignedBuf::zeroed(32768);
        self.driver.ring.read(file, 0, buffer, token);
    }

    fn send(&mut self) {
        let count = self.sockets.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.random.below(count) as usize;
        if self.sockets[at].sending.is_some() {
            return;
        }
        let len = 1 + self.random.below(1 << 20) as usize;
        let parts = vec![self.data.slice(..len), self.data.slice(len / 2..)];
        let token = self.token();
        self.sockets[at].sending = Some(token);
        let id = self.sockets[at].id;
        self.driver.ring.send(id, parts, token);
    }

    fn receive(&mut self) {
        let count = self.sockets.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.random.below(count) as usize;
        let id = self.sockets[at].id;
        if self.sockets[at].receiving.is_some() {
            return self.driver.ring.stop_receiving(id);
        }
        let token = self.token();
        self.sockets[at].receiving = Some(token);
        self.driver.ring.receive(id, token);
        use std::io::Write;
        self.sockets[at].peer.write_all(&[1; 100]).unwrap();
    }

    fn close_some(&mut self) {
        if self.random.below(2) == 0 && !self.files.is_empty() {
            let file = self.files.swap_remove(0);
            self.driver.ring.release_file(file);
        } else if !self.sockets.is_empty() {
            let at = self.random.below(self.sockets.len() as u64) as usize;
            let socket = self.sockets.swap_remove(at);
            self.driver.ring.close_socket(socket.id);
        }
    }

    fn drain_peer(&mut self) {
        if let Some(socket) = self.sockets.first_mut() {
            socket.peer.set_nonblocking(true).unwrap();
            let mut bytes = vec![0; 300_000];
            let _ = socket.peer.read(&mut bytes);
            socket.peer.set_nonblocking(false).unwrap();
        }
    }

    fn settle(&mut self) {
        for completion in self.driver.completions.drain(..) {
            if let Payload::Received(bytes) = &completion.payload {
                assert!(bytes.as_ref().iter().all(|&byte| byte == 1));
            }
            if completion.more {
                assert!(self.expected.contains_key(&completion.token));
                continue;
            }
            let token = completion.token;
            assert!(self.expected.remove(&token).is_some(), "{token} came twice");
            for socket in &mut self.sockets {
                socket.receiving = socket.receiving.filter(|&of| of != token);
                socket.sending = socket.sending.filter(|&of| of != token);
            }
        }
    }

    fn give_all_up(&mut self) {
        for file in self.files.drain(..) {
            self.driver.ring.release_file(file);
        }
        for socket in self.sockets.drain(..) {
            self.driver.ring.close_socket(socket.id);
        }
    }
}

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> Option<&'a T> {
    let count = from.len() as u64;
    (count > 0).then(|| &from[random.below(count) as usize])
}

/// The ring type does not leave its thread; this keeps the fact from being lost by accident.
const _: fn() = || {
    trait AmbiguousIfSend<A> {
        fn some_item() {}
    }
    impl<T: ?Sized> AmbiguousIfSend<()> for T {}
    struct Invalid;
    impl<T: ?Sized + Send> AmbiguousIfSend<Invalid> for T {}
    let _ = <Uring as AmbiguousIfSend<_>>::some_item;
};

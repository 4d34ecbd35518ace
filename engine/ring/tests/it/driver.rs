//! Turns a ring until something has happened, within bounded time.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmq_ring::uring::{UringCompletion, UringConfig};
use ringmq_ring::{AlignedBuf, FileId, Io, Payload, SocketId, Uring, Wait};

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Driver {
    pub ring: Uring,
    pub completions: Vec<UringCompletion>,
}

impl Driver {
    pub fn new() -> Self {
        Self::with(&UringConfig::default())
    }

    pub fn with(config: &UringConfig) -> Self {
        Self {
            ring: Uring::new(config).unwrap(),
            completions: Vec::new(),
        }
    }

    /// One turn that sleeps at most 10 ms; what completed is in `completions`.
    pub fn turn(&mut self) {
        let until = self.ring.now().monotonic_ns + 10_000_000;
        self.ring
            .turn(Wait::Until(until), &mut self.completions)
            .unwrap();
    }

    /// Turns until `count` completions have come; returns them in order.
    pub fn take(&mut self, count: usize) -> Vec<UringCompletion> {
        let started = Instant::now();
        while self.completions.len() < count {
            assert!(
                started.elapsed() < PATIENCE,
                "{} of {count} completions came",
                self.completions.len()
            );
            self.turn();
        }
        self.completions.drain(..count).collect()
    }

    /// The next completion.
    pub fn one(&mut self) -> UringCompletion {
        self.take(1).remove(0)
    }

    /// The completion with this token; others stay.
    pub fn of(&mut self, token: u64) -> UringCompletion {
        let started = Instant::now();
        loop {
            let found = self.completions.iter().position(|c| c.token == token);
            if let Some(at) = found {
                return self.completions.remove(at);
            }
            assert!(started.elapsed() < PATIENCE, "no completion of {token}");
            self.turn();
        }
    }

    /// Turns until `done` says so.
    pub fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < PATIENCE, "it did not happen");
            self.turn();
        }
    }

    /// A direct file of `len` zero bytes, with nothing left of it in any folder.
    pub fn file(&mut self, len: usize) -> FileId {
        let file = direct_file(len);
        self.ring.adopt_file(file).unwrap()
    }

    /// A connection: this end in the ring, the other in our hands.
    pub fn connection(&mut self) -> (SocketId, TcpStream) {
        let (ours, theirs) = connected();
        (self.ring.adopt_socket(ours).unwrap(), theirs)
    }

    pub fn read(&mut self, file: FileId, position: u64, len: usize) -> (AlignedBuf, usize) {
        self.ring
            .read(file, position, AlignedBuf::zeroed(len), 999_999);
        let completion = self.of(999_999);
        let Payload::Buffer(buffer) = completion.payload else {
            panic!("a read gave no buffer: {completion:?}");
        };
        (buffer, completion.result.unwrap())
    }
}

pub fn direct_file(len: usize) -> File {
    direct_files(len).0
}

/// The same file opened twice.
pub fn direct_files(len: usize) -> (File, File) {
    let folder = tempfile::Builder::new()
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![0; len]).unwrap();
    let open = || {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags(rustix::fs::OFlags::DIRECT.bits() as i32);
        options.open(&path).unwrap()
    };
    (open(), open())
}

pub fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    theirs.set_write_timeout(Some(PATIENCE)).unwrap();
    (listener.accept().unwrap().0, theirs)
}

/// `len` aligned bytes that differ by position and `seed`.
pub fn pattern(len: usize, seed: u8) -> Bytes {
    let mut buffer = AlignedBuf::zeroed(len);
    for (at, byte) in buffer.iter_mut().enumerate() {
        *byte = (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ seed;
    }
    Bytes::from_owner(buffer)
}

/// Numbers that look random and follow from a seed alone.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        eprintln!("seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

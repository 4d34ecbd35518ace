//! One connection of the driver: bytes out, bytes in, and the slots of its unanswered requests.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::linux::error::{BenchError, Result};

/// Room for one read.
const READ_BYTES: usize = 256 * 1024;

/// A socket with a fixed number of slots; a slot is free, waits for its answer, or neither yet.
pub struct Connection {
    pub stream: TcpStream,
    /// Slots without a request.
    pub free: Vec<u32>,
    /// When the request of each slot was sent, or due.
    pub since_ns: Vec<u64>,
    /// Requests that are due but found no free slot (open loop).
    pub overdue: VecDeque<u64>,
    out: Vec<u8>,
    written: usize,
    received: Vec<u8>,
    filled: usize,
}

/// What a write came to.
#[derive(PartialEq, Eq)]
pub enum Written {
    /// Everything is out.
    All,
    /// The socket takes no more for now.
    Blocked,
}

impl Connection {
    /// A connected socket with so many slots.
    pub fn open(target: &str, slots: usize) -> Result<Self> {
        let failed = |source| BenchError::Connection {
            target: target.to_owned(),
            source,
        };
        let stream = TcpStream::connect(target).map_err(failed)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            free: (0..slots as u32).rev().collect(),
            since_ns: vec![0; slots],
            overdue: VecDeque::new(),
            out: Vec::new(),
            written: 0,
            received: vec![0; READ_BYTES],
            filled: 0,
        })
    }

    /// Where the next request is appended.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes what has gathered.
    pub fn flush(&mut self) -> Result<Written> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(Written::All)
    }

    /// Reads once; `false` when nothing was there.
    pub fn fill(&mut self) -> Result<bool> {
        if self.filled == self.received.len() {
            self.received.resize(self.received.len() * 2, 0);
        }
        match self.stream.read(&mut self.received[self.filled..]) {
            Ok(0) => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(count) => {
                self.filled += count;
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What was received and not yet consumed.
    pub fn received(&self) -> &[u8] {
        &self.received[..self.filled]
    }

    /// Forgets the first `count` received bytes.
    pub fn consume(&mut self, count: usize) {
        self.received.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

//! The loop: events, answers, the next requests.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringmq_protocol::frame::{self, Split};
use rustix::event::epoll;

use super::answer::Answer;
use super::connection::{Connection, Written};
use crate::linux::error::{BenchError, Result};
use crate::linux::schedule::Schedule;

/// Nobody sends a larger answer.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// What is driven before the clock starts.
const WARM_UP: Duration = Duration::from_secs(1);
/// A server that is silent for so long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// What is sent, and what an answer is worth.
pub trait Load {
    /// Appends the request of a slot, with the slot as its number.
    fn request(&mut self, connection: usize, slot: u32, out: &mut Vec<u8>);
    /// How many messages an answer stands for; 0 for an error.
    fn worth(&mut self, connection: usize, answer: &Answer<'_>) -> Result<u64>;
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// A slot is used again as soon as it is answered.
    Closed,
    /// So many a second over all connections, whatever the answers do.
    Open {
        /// Requests a second.
        rate: f64,
    },
}

/// What was measured.
pub struct Outcome {
    /// Messages that were answered.
    pub messages: u64,
    /// Answers that were errors.
    pub errors: u64,
    /// The first error's text.
    pub first_error: Option<String>,
    /// Seconds between the first and the last counted moment.
    pub seconds: f64,
    /// Nanoseconds from send, or from the time it was due, to answer.
    pub latency_ns: Histogram<u64>,
}

/// Connections to one server under one load.
pub struct Driver<L> {
    load: L,
    epoll: std::os::fd::OwnedFd,
    connections: Vec<Connection>,
    started: Instant,
    schedule: Option<Schedule>,
    turn: usize,
    counting: bool,
    outcome: Outcome,
}

impl<L: Load> Driver<L> {
    /// Opens the connections, each with so many slots.
    pub fn open(target: &str, connections: usize, slots: usize, load: L) -> Result<Self> {
        if connections == 0 || slots == 0 {
            return Err(BenchError::Usage(
                "at least one connection and one request in flight are needed".into(),
            ));
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let connections: Vec<Connection> = (0..connections)
            .map(|_| Connection::open(target, slots))
            .collect::<Result<_>>()?;
        for (index, connection) in connections.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &connection.stream, data, epoll::EventFlags::IN)
                .map_err(std::io::Error::from)?;
        }
        Ok(Self {
            load,
            epoll,
            connections,
            started: Instant::now(),
            schedule: None,
            turn: 0,
            counting: false,
            outcome: Outcome {
                messages: 0,
                errors: 0,
                first_error: None,
                seconds: 0.0,
                latency_ns: Histogram::new_with_bounds(1, 3_600_000_000_000, 3)
                    .map_err(|error| BenchError::Usage(error.to_string()))?,
            },
        })
    }

    /// Drives the load for a warm-up and then so many seconds that count.
    pub fn run(mut self, arrivals: Arrivals, seconds: f64) -> Result<Outcome> {
        self.started = Instant::now();
        match arrivals {
            Arrivals::Closed => self.fill_all_slots()?,
            Arrivals::Open { rate } => self.schedule = Some(Schedule::new(self.now(), rate)),
        }
        let mut events = Vec::with_capacity(self.connections.len().max(16));
        let mut last_answer = Instant::now();
        let mut counted_from = self.started + WARM_UP;
        let end = counted_from + Duration::from_secs_f64(seconds);
        loop {
            let now = Instant::now();
            if !self.counting && now >= counted_from {
                self.counting = true;
                counted_from = now;
            }
            if now >= end {
                self.outcome.seconds = (now - counted_from).as_secs_f64();
                return Ok(self.outcome);
            }
            if now - last_answer > SILENCE_LIMIT {
                return Err(BenchError::Malformed("the server has fallen silent".into()));
            }
            self.send_what_is_due()?;
            let wait = self.timeout();
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            )
            .map_err(std::io::Error::from)?;
            if !events.is_empty() {
                last_answer = now;
            }
            for event in events.drain(..) {
                self.serve(event.data.u64() as usize)?;
            }
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Until the next send is due; in a closed loop until something happens.
    fn timeout(&self) -> rustix::event::Timespec {
        let left_ns = match &self.schedule {
            Some(schedule) => schedule.due_ns().saturating_sub(self.now()),
            None => 100_000_000,
        };
        rustix::event::Timespec {
            tv_sec: (left_ns / 1_000_000_000) as i64,
            tv_nsec: (left_ns % 1_000_000_000) as _,
        }
    }

    fn fill_all_slots(&mut self) -> Result<()> {
        for index in 0..self.connections.len() {
            let now = self.now();
            while self.send(index, now) {}
            self.flush(index)?;
        }
        Ok(())
    }

    /// Puts one request into a free slot; `false` when there is none.
    fn send(&mut self, index: usize, since_ns: u64) -> bool {
        let connection = &mut self.connections[index];
        let Some(slot) = connection.free.pop() else {
            return false;
        };
        connection.since_ns[slot as usize] = since_ns;
        self.load.request(index, slot, connection.out());
        true
    }

    fn send_what_is_due(&mut self) -> Result<()> {
        let now = self.now();
        let mut touched = false;
        while let Some(due) = self
            .schedule
            .as_mut()
            .and_then(|schedule| schedule.take(now))
        {
            let index = self.turn % self.connections.len();
            self.turn += 1;
            if !self.send(index, due) {
                self.connections[index].overdue.push_back(due);
            }
            touched = true;
        }
        if touched {
            for index in 0..self.connections.len() {
                self.flush(index)?;
            }
        }
        Ok(())
    }

    /// Reads what came on a connection and sends what may follow.
    fn serve(&mut self, index: usize) -> Result<()> {
        if self.connections[index].fill()? {
            self.take_answers(index)?;
        }
        self.flush(index)
    }

    fn take_answers(&mut self, index: usize) -> Result<()> {
        let now = self.now();
        let mut consumed = 0;
        loop {
            let connection = &self.connections[index];
            let bytes = &connection.received()[consumed..];
            let split = frame::split(bytes, FRAME_BYTES_MAX)
                .map_err(|error| BenchError::Malformed(error.to_string()))?;
            let Split::Frame(frame) = split else { break };
            consumed += frame.total;
            let answer = Answer::read(frame)?;
            let slot = answer.opaque;
            let Some(since) = connection.since_ns.get(slot as usize).copied() else {
                return Err(BenchError::Malformed(format!(
                    "an answer to request {slot}"
                )));
            };
            let worth = self.load.worth(index, &answer)?;
            let failed = (!answer.ok).then(|| answer.error());
            self.count(worth, failed, now.saturating_sub(since));
            self.connections[index].free.push(slot);
            self.send_next(index, now);
        }
        self.connections[index].consume(consumed);
        Ok(())
    }

    fn send_next(&mut self, index: usize, now: u64) {
        let since = match self.schedule {
            None => Some(now),
            Some(_) => self.connections[index].overdue.pop_front(),
        };
        if let Some(since) = since {
            self.send(index, since);
        }
    }

    fn count(&mut self, worth: u64, failed: Option<String>, latency_ns: u64) {
        if !self.counting {
            return;
        }
        match failed {
            Some(text) => {
                self.outcome.errors += 1;
                self.outcome.first_error.get_or_insert(text);
            }
            None => self.outcome.messages += worth,
        }
        self.outcome.latency_ns.saturating_record(latency_ns.max(1));
    }

    fn flush(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        let flags = match connection.flush()? {
            Written::All => return Ok(()),
            Written::Blocked => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        };
        // It asks for room until the server reads again; answers arrive meanwhile all the same.
        let data = epoll::EventData::new_u64(index as u64);
        epoll::modify(&self.epoll, &connection.stream, data, flags)
            .map_err(std::io::Error::from)?;
        Ok(())
    }
}

//! Senders that write down every send and its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringmq_checker::{MessageId, Outcome, QueueName, Send};

use super::message;
use crate::failure::Failure;
use crate::wire::{Wire, code, send_fields};

/// Sends in flight on each connection: one that waits for every answer, others that do not.
const WINDOWS: &[usize] = &[1, 8, 32];

/// The senders between two kills, numbered on across kills.
pub struct Load {
    address: String,
    topic: &'static str,
    queues: u32,
    started: Instant,
    next_number: u64,
}

/// Numbers that one life of the broker can use up.
const NUMBERS_PER_LIFE: u64 = 10_000_000;

impl Load {
    /// Senders to all queues of a topic; times count from `started`.
    pub fn new(address: String, topic: &'static str, queues: u32, started: Instant) -> Self {
        Self {
            address,
            topic,
            queues,
            started,
            next_number: 0,
        }
    }

    /// Starts all senders.
    pub fn begin(&mut self) -> Result<Running, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut senders = Vec::new();
        for (client, window) in WINDOWS.iter().enumerate() {
            let wire = Wire::connect(&self.address)?;
            let sender = Sender {
                client: client as u32 + 1,
                window: *window,
                ..self.sender(wire)
            };
            let stop = Arc::clone(&stop);
            senders.push(std::thread::spawn(move || sender.run(&stop)));
        }
        self.next_number += NUMBERS_PER_LIFE;
        Ok(Running { stop, senders })
    }

    /// The first send after a restart, by a client of its own: tried until it is acknowledged.
    pub fn first_after_restart(&mut self) -> Result<Send, Failure> {
        let mut sender = self.sender(Wire::connect(&self.address)?);
        self.next_number += 1;
        sender.send_one()?;
        while !sender.in_flight.is_empty() {
            sender.take_answer()?;
        }
        let send = sender
            .done
            .pop()
            .ok_or_else(|| Failure::new("the first send after a restart left no trace"))?;
        match send.outcome {
            Outcome::Acknowledged { .. } => Ok(send),
            other => Err(Failure::new(format!(
                "the first send after a restart came to {other:?}"
            ))),
        }
    }

    fn sender(&self, wire: Wire) -> Sender {
        Sender {
            wire,
            client: 0,
            window: 1,
            topic: self.topic,
            queues: self.queues,
            started: self.started,
            number: self.next_number,
            in_flight: HashMap::new(),
            done: Vec::new(),
        }
    }
}

/// Senders at work.
pub struct Running {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Vec<Send>>>,
}

impl Running {
    /// Lets them work for a while.
    pub fn run_for(&self, life: Duration) {
        let deadline = Instant::now() + life;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }

    /// Ends them (their connections are lost by now) and returns what they did.
    pub fn end(self) -> Result<Vec<Send>, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sends = Vec::new();
        for sender in self.senders {
            sends.extend(
                sender
                    .join()
                    .map_err(|_| Failure::new("a sender of the check panicked"))?,
            );
        }
        Ok(sends)
    }
}

struct Sender {
    wire: Wire,
    client: u32,
    window: usize,
    topic: &'static str,
    queues: u32,
    started: Instant,
    number: u64,
    in_flight: HashMap<i32, Send>,
    done: Vec<Send>,
}

impl Sender {
    /// Keeps its window full until told to stop or until the connection is lost; what is still
    /// unanswered then is of unknown outcome.
    fn run(mut self, stop: &AtomicBool) -> Vec<Send> {
        while !stop.load(Ordering::Relaxed) && self.step().is_ok() {}
        let ended_ns = self.now();
        for (_, mut send) in self.in_flight.drain() {
            send.ended_ns = ended_ns;
            self.done.push(send);
        }
        self.done
    }

    fn step(&mut self) -> std::io::Result<()> {
        while self.in_flight.len() < self.window {
            self.send_one()?;
        }
        self.take_answer()
    }

    fn send_one(&mut self) -> std::io::Result<()> {
        let id = MessageId {
            client: self.client,
            number: self.number,
        };
        self.number += 1;
        let queue_id = (id.number % u64::from(self.queues)) as u32;
        let begun_ns = self.now();
        let send = Send {
            id,
            content: message::content_of(id),
            queue: QueueName {
                topic: self.topic.to_owned(),
                queue_id,
            },
            begun_ns,
            ended_ns: begun_ns,
            outcome: Outcome::Unknown,
        };
        let fields = send_fields(self.topic, queue_id, &message::properties(id));
        match self.wire.request(code::SEND_V2, fields, &message::body(id)) {
            Ok(opaque) => {
                self.in_flight.insert(opaque, send);
                Ok(())
            }
            Err(error) => {
                self.done.push(send);
                Err(error)
            }
        }
    }

    fn take_answer(&mut self) -> std::io::Result<()> {
        let answer = self.wire.answer()?;
        let Some(mut send) = self.in_flight.remove(&answer.opaque) else {
            return Ok(());
        };
        send.ended_ns = self.now();
        send.outcome = match (answer.code, answer.number("queueOffset")) {
            (0, Some(offset)) => Outcome::Acknowledged { offset },
            (0 | 1 | 10 | 11 | 12, _) => Outcome::Unknown,
            _ => Outcome::Refused,
        };
        self.done.push(send);
        Ok(())
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

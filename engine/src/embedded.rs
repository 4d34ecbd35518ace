//! The store as a log inside a program: no server, no sockets. Every shard's thread runs a small service
//! that takes commands from a channel and answers when the engine does.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ringmq_protocol::RecordParts;
use ringmq_ring::turn::{Pace, Service};
use ringmq_ring::uring::{Uring, UringCompletion, UringConfig, UringWaker};
use ringmq_ring::{Moment, io::Wake};

use crate::config::Config;
use crate::engine::{Engine, Running, ShardContext};
use crate::error::{Error, Refused};
use crate::placement::shard_of;
use crate::pull::{Event, PullOutcome, PullRequest, PullResult, TagFilter, Ticket};
use crate::shard::{Appended, Shard};
use crate::types::{QueueNumber, ShardIndex, TopicId};

/// A store that runs inside this program. Its calls block; it can be shared by many threads.
pub struct Embedded {
    shards: Vec<Line>,
    topics: Mutex<HashMap<String, TopicId>>,
    running: Running,
}

/// A record to be appended.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Topic; made when it is new.
    pub topic: &'a str,
    /// Queue in the topic.
    pub queue_id: u32,
    /// Property string, `name 0x01 value 0x02` repeated; may be empty.
    pub properties: &'a [u8],
    /// The message.
    pub body: &'a [u8],
}

/// Why an embedded store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It was refused; nothing was stored.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was appended and its outcome is unknown, or the store has stopped.
    #[error("the outcome is unknown: the store has stopped")]
    Unknown,
}

/// Commands that may wait for one shard.
const COMMANDS_MAX: usize = 1024;

type Answer<T> = flume::Sender<T>;

enum Command {
    Topic {
        name: String,
        answer: Answer<Result<TopicId, Failed>>,
    },
    Append {
        topic: TopicId,
        record: OwnedRecord,
        answer: Answer<Result<Appended, Failed>>,
    },
    Pull {
        topic: TopicId,
        queue_id: u32,
        offset: u64,
        max_messages: u32,
        wait: Duration,
        answer: Answer<PullResult>,
    },
    Stop,
}

struct OwnedRecord {
    topic: String,
    queue_id: u32,
    properties: Vec<u8>,
    body: Vec<u8>,
}

/// The way to one shard's service.
struct Line {
    commands: flume::Sender<Command>,
    waker: UringWaker,
}

impl Embedded {
    /// Opens the store in the configured folder, or makes a new one, and starts it.
    ///
    /// # Errors
    /// As [`Engine::open`] and [`Engine::start`].
    pub fn open(config: &Config) -> Result<Self, Error> {
        let engine = Engine::open(config)?.with_ring(UringConfig {
            // No sockets: the receive buffers are never used.
            receive_buffers: 1,
            ..UringConfig::default()
        });
        let mut lines = Vec::new();
        let running = engine.start(|_| {
            let (commands, incoming) = flume::bounded(COMMANDS_MAX);
            lines.push(commands);
            move |context: ShardContext<'_>| EmbeddedService::new(context.shard, incoming)
        })?;
        let wakers = running.wakers().iter().cloned();
        let shards = lines.into_iter().zip(wakers);
        Ok(Self {
            shards: shards
                .map(|(commands, waker)| Line { commands, waker })
                .collect(),
            topics: Mutex::default(),
            running,
        })
    }

    /// Appends a record and waits until it is stored (durable, or written with
    /// [`crate::Durability::Async`]).
    ///
    /// # Errors
    /// It was refused, or its outcome is unknown.
    pub fn append(&self, record: Record<'_>) -> Result<Appended, Failed> {
        let topic = self.topic(record.topic)?;
        let owned = OwnedRecord {
            topic: record.topic.to_owned(),
            queue_id: record.queue_id,
            properties: record.properties.to_vec(),
            body: record.body.to_vec(),
        };
        self.ask(self.shard_of(record.topic, record.queue_id), |answer| {
            Command::Append {
                topic,
                record: owned,
                answer,
            }
        })?
    }

    /// Reads up to `max_messages` records from `offset` on; waits up to `wait` for the first one.
    ///
    /// # Errors
    /// The topic cannot be made, or the store has stopped.
    pub fn pull(
        &self,
        topic_name: &str,
        queue_id: u32,
        offset: u64,
        max_messages: u32,
        wait: Duration,
    ) -> Result<PullResult, Failed> {
        let topic = self.topic(topic_name)?;
        self.ask(self.shard_of(topic_name, queue_id), |answer| {
            Command::Pull {
                topic,
                queue_id,
                offset,
                max_messages,
                wait,
                answer,
            }
        })
    }

    /// Stops all shards in order: what is in flight is finished, a checkpoint and the witness are written.
    ///
    /// # Errors
    /// A write or flush has failed at some time; see [`Error::exit_code`].
    pub fn stop(self) -> Result<(), Error> {
        for line in &self.shards {
            if line.commands.send(Command::Stop).is_ok() {
                line.waker.wake();
            }
        }
        self.running.join()
    }

    fn shard_of(&self, topic: &str, queue_id: u32) -> ShardIndex {
        // The store has at most sixteen shards.
        shard_of(topic, queue_id, self.shards.len() as u8)
    }

    fn topic(&self, name: &str) -> Result<TopicId, Failed> {
        let lock = || self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&topic) = lock().get(name) {
            return Ok(topic);
        }
        let topic = self.ask(ShardIndex::HOME, |answer| Command::Topic {
            name: name.to_owned(),
            answer,
        })??;
        lock().insert(name.to_owned(), topic);
        Ok(topic)
    }

    fn ask<T>(
        &self,
        shard: ShardIndex,
        command: impl FnOnce(Answer<T>) -> Command,
    ) -> Result<T, Failed> {
        let line = &self.shards[usize::from(shard.0)];
        let (answer, answered) = flume::bounded(1);
        let sent = line.commands.send(command(answer));
        sent.map_err(|_| Failed::Unknown)?;
        line.waker.wake();
        answered.recv().map_err(|_| Failed::Unknown)
    }
}

/// What runs on a shard's thread: commands in, answers out.
struct EmbeddedService {
    shard: Shard<Uring>,
    commands: flume::Receiver<Command>,
    /// Home shard: topics by name.
    topics: HashMap<String, TopicId>,
    waiting: HashMap<Ticket, Waiting>,
    next_ticket: Ticket,
}

enum Waiting {
    Append(Appended, Answer<Result<Appended, Failed>>),
    Pull(Answer<PullResult>),
    /// Several may ask for a topic before it is durable.
    Topic(TopicId, Vec<Answer<Result<TopicId, Failed>>>),
}

impl Service<Uring> for EmbeddedService {
    fn completion(&mut self, io: &mut Uring, completion: UringCompletion) {
        self.shard.observe(ringmq_ring::Io::now(io));
        self.shard.completion(io, completion);
    }

    fn turn(&mut self, io: &mut Uring, now: Moment) -> Pace {
        self.shard.observe(now);
        let was_ready = self.shard.is_ready();
        while was_ready && let Ok(command) = self.commands.try_recv() {
            self.command(io, now, command);
        }
        let pace = self.shard.turn(io, now);
        let at_once = !was_ready && self.shard.is_ready();
        while let Some(event) = self.shard.next_event() {
            self.tell(event);
        }
        Pace {
            in_flight: pace.in_flight,
            deadline_ns: if at_once {
                Some(now.monotonic_ns)
            } else {
                pace.deadline_ns
            },
            stop: pace.stopped || pace.failed,
        }
    }
}

impl EmbeddedService {
    fn new(shard: Shard<Uring>, commands: flume::Receiver<Command>) -> Self {
        let topics = shard
            .topics()
            .map(|(topic, name, _)| (name.to_owned(), topic));
        Self {
            topics: topics.collect(),
            shard,
            commands,
            waiting: HashMap::new(),
            next_ticket: 0,
        }
    }

    fn command(&mut self, io: &mut Uring, now: Moment, command: Command) {
        match command {
            Command::Topic { name, answer } => self.topic(&name, answer),
            Command::Append {
                topic,
                record,
                answer,
            } => self.append(topic, &record, answer),
            Command::Pull {
                topic,
                queue_id,
                offset,
                max_messages,
                wait,
                answer,
            } => {
                let ticket = self.ticket();
                let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                let request = PullRequest {
                    // An unbound queue has no number; none of theirs is 0.
                    queue: self
                        .shard
                        .bind_queue(topic, queue_id)
                        .unwrap_or(QueueNumber::CONTROL),
                    offset,
                    max_messages,
                    max_bytes: u32::MAX,
                    filter: TagFilter::All,
                    wait_until_ns: Some(now.monotonic_ns.saturating_add(wait_ns)),
                    ticket,
                };
                match self.shard.pull(io, request) {
                    PullOutcome::Ready(result) => drop(answer.send(result)),
                    PullOutcome::Pending => {
                        self.waiting.insert(ticket, Waiting::Pull(answer));
                    }
                }
            }
            Command::Stop => self.shard.stop(),
        }
    }

    fn topic(&mut self, name: &str, answer: Answer<Result<TopicId, Failed>>) {
        if let Some(&topic) = self.topics.get(name) {
            let being_made = self.waiting.values_mut().find_map(|waiting| match waiting {
                Waiting::Topic(made, answers) if *made == topic => Some(answers),
                _ => None,
            });
            match being_made {
                Some(answers) => answers.push(answer),
                None => drop(answer.send(Ok(topic))),
            }
            return;
        }
        let topic = self.shard.next_topic_id();
        let ticket = self.ticket();
        match self.shard.put_topic(topic, name, &[], ticket) {
            Ok(()) => {
                self.topics.insert(name.to_owned(), topic);
                self.waiting
                    .insert(ticket, Waiting::Topic(topic, vec![answer]));
            }
            Err(refused) => drop(answer.send(Err(refused.into()))),
        }
    }

    fn append(
        &mut self,
        topic: TopicId,
        record: &OwnedRecord,
        answer: Answer<Result<Appended, Failed>>,
    ) {
        let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let parts = RecordParts {
            topic: &record.topic,
            queue_id: i32::try_from(record.queue_id).unwrap_or(i32::MAX),
            flag: 0,
            sys_flag: 0,
            born_timestamp: 0,
            born_host: nowhere,
            store_host: nowhere,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &record.body,
            properties: &[&record.properties],
        };
        let ticket = self.ticket();
        let queue = self.shard.bind_queue(topic, record.queue_id);
        let appended = queue.and_then(|queue| self.shard.append(queue, &parts, ticket));
        match appended {
            Ok(appended) => {
                self.waiting
                    .insert(ticket, Waiting::Append(appended, answer));
            }
            Err(refused) => drop(answer.send(Err(refused.into()))),
        }
    }

    /// Nobody listens any more when a send fails: a caller whose thread is gone.
    fn tell(&mut self, event: Event) {
        match event {
            Event::Stored { ticket } => match self.waiting.remove(&ticket) {
                Some(Waiting::Append(appended, answer)) => drop(answer.send(Ok(appended))),
                Some(Waiting::Topic(topic, answers)) => {
                    answers.iter().for_each(|a| drop(a.send(Ok(topic))));
                }
                Some(Waiting::Pull(_)) | None => {}
            },
            Event::Failed { ticket } => match self.waiting.remove(&ticket) {
                Some(Waiting::Append(_, answer)) => drop(answer.send(Err(Failed::Unknown))),
                Some(Waiting::Topic(_, answers)) => {
                    answers
                        .iter()
                        .for_each(|a| drop(a.send(Err(Failed::Unknown))));
                }
                Some(Waiting::Pull(_)) | None => {}
            },
            Event::Pulled { ticket, result } => {
                if let Some(Waiting::Pull(answer)) = self.waiting.remove(&ticket) {
                    drop(answer.send(result));
                }
            }
            Event::Viewed { .. } | Event::OffsetFound { .. } => {}
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }
}

impl PullResult {
    /// Every record by itself, whole as it is stored.
    pub fn each(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.records.iter().flat_map(|slice| {
            let mut rest = slice.clone();
            std::iter::from_fn(move || {
                let len = rest.get(..4)?;
                let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
                (len >= 4 && len <= rest.len()).then(|| rest.split_to(len))
            })
        })
    }
}

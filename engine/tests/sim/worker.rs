//! A shard's service in the simulator: takes commands as the server's handlers would, and tells the
//! oracle everything that the engine says.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use ringmq_engine::{
    Event, PullOutcome, PullRequest, PullResult, PullStatus, QueueNumber, Refused, Shard,
    ShardPace, TagFilter, Ticket, TopicId,
};
use ringmq_protocol::RecordParts;
use ringmq_ring::sim::{SimIo, SimStream};
use ringmq_ring::{Completion, Io, Moment, Pace, Service};

use super::message::parts;
use super::oracle::{Oracle, QueueKey};

/// What a client asks of a shard.
#[derive(Clone, Debug)]
pub enum Command {
    Append {
        key: QueueKey,
        ids: Vec<u64>,
        ticket: Ticket,
    },
    Pull {
        key: QueueKey,
        offset: u64,
        max_messages: u32,
        filter: TagFilter,
        wait_ns: Option<u64>,
        ticket: Ticket,
    },
    Commit {
        group: usize,
        key: QueueKey,
        offset: u64,
    },
    PutTopic {
        topic: usize,
        ticket: Ticket,
    },
}

/// What a client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Stored,
    Refused,
    Failed,
    Pulled { next: u64, damaged: bool },
}

/// What all shards of a life share.
pub struct Shared {
    pub oracle: Oracle,
    pub answers: BTreeMap<Ticket, Answer>,
    pub topic_ids: Vec<Option<TopicId>>,
    /// The newest refusal, to be told when a queue takes no record.
    pub refused: Option<Refused>,
    /// The newest answer to a pull, to be told when reading does not end.
    pub pulled: Option<(QueueKey, u64, PullStatus)>,
}

/// One shard and its commands.
pub struct Worker {
    pub shard: Shard<SimIo>,
    pub shared: Rc<RefCell<Shared>>,
    pub commands: VecDeque<Command>,
    pub pace: ShardPace,
    pulls: BTreeMap<Ticket, (QueueKey, PullRequest)>,
}

impl Worker {
    pub fn new(shard: Shard<SimIo>, shared: Rc<RefCell<Shared>>) -> Self {
        Self {
            shard,
            shared,
            commands: VecDeque::new(),
            pace: ShardPace::default(),
            pulls: BTreeMap::new(),
        }
    }

    /// The engine's number of a queue.
    pub fn queue(&self, key: QueueKey) -> Option<QueueNumber> {
        let topic = self.shared.borrow().topic_ids[key.topic]?;
        self.shard.queue(topic, key.queue_id)
    }

    fn obey(&mut self, io: &mut SimIo, command: Command, now: Moment) {
        match command {
            Command::Append { key, ids, ticket } => self.append(key, &ids, ticket),
            Command::Pull {
                key,
                offset,
                max_messages,
                filter,
                wait_ns,
                ticket,
            } => {
                let Some(queue) = self.queue(key) else {
                    return self.answer(
                        ticket,
                        Answer::Pulled {
                            next: offset,
                            damaged: false,
                        },
                    );
                };
                let request = PullRequest {
                    queue,
                    offset,
                    max_messages,
                    max_bytes: 64 << 10,
                    filter,
                    wait_until_ns: wait_ns.map(|wait| now.monotonic_ns + wait),
                    ticket,
                };
                match self.shard.pull(io, request.clone()) {
                    PullOutcome::Ready(result) => self.pulled(ticket, key, &request, &result),
                    PullOutcome::Pending => {
                        self.pulls.insert(ticket, (key, request));
                    }
                }
            }
            Command::Commit { group, key, offset } => self.commit(group, key, offset, now),
            Command::PutTopic { topic, ticket } => self.put_topic(topic, ticket),
        }
    }

    fn append(&mut self, key: QueueKey, ids: &[u64], ticket: Ticket) {
        let topic_id = self.shared.borrow().topic_ids[key.topic].expect("topics are made first");
        let queue = match self.shard.bind_queue(topic_id, key.queue_id) {
            Ok(queue) => queue,
            Err(refused) => return self.refuse(ids, ticket, refused),
        };
        let (messages, topic) = {
            let mut shared = self.shared.borrow_mut();
            shared.oracle.bound(key);
            (
                shared.oracle.messages,
                shared.oracle.topics[key.topic].clone(),
            )
        };
        let contents: Vec<_> = ids.iter().map(|id| messages.content(*id)).collect();
        let properties: Vec<[&[u8]; 1]> = contents
            .iter()
            .map(|content| [content.properties.as_slice()])
            .collect();
        let records: Vec<RecordParts<'_>> = ids
            .iter()
            .zip(&contents)
            .zip(&properties)
            .map(|((id, content), properties)| {
                parts(*id, &topic, key.queue_id, &content.body, properties)
            })
            .collect();
        let len: usize = records.iter().map(RecordParts::encoded_len).sum();
        let first = if let [record] = records.as_slice() {
            self.shard.append(queue, record, ticket)
        } else {
            self.shard
                .append_batch(queue, &records, ticket)
                .map(|batch| batch.first)
        };
        match first {
            Ok(first) => {
                self.shared
                    .borrow_mut()
                    .oracle
                    .appended(key, ids, first, len as u64, ticket);
            }
            Err(refused) => self.refuse(ids, ticket, refused),
        }
    }

    fn refuse(&mut self, ids: &[u64], ticket: Ticket, refused: Refused) {
        assert!(
            !matches!(refused, Refused::Unknown | Refused::Malformed),
            "{refused}"
        );
        let mut shared = self.shared.borrow_mut();
        shared.refused = Some(refused);
        shared.oracle.refused(ids);
        drop(shared);
        self.answer(ticket, Answer::Refused);
    }

    fn put_topic(&mut self, topic: usize, ticket: Ticket) {
        let name = self.shared.borrow().oracle.topics[topic].clone();
        let known = self
            .shard
            .topics()
            .find(|(_, known, _)| *known == name)
            .map(|(id, _, _)| id);
        if let Some(id) = known {
            self.shared.borrow_mut().topic_ids[topic] = Some(id);
            return self.answer(ticket, Answer::Stored);
        }
        let id = self.shard.next_topic_id();
        match self.shard.put_topic(id, &name, name.as_bytes(), ticket) {
            Ok(()) => self.shared.borrow_mut().oracle.waits(ticket),
            Err(_) => self.answer(ticket, Answer::Refused),
        }
    }

    fn commit(&mut self, group: usize, key: QueueKey, offset: u64, now: Moment) {
        let Some(queue) = self.queue(key) else { return };
        let name = format!("group{group}");
        let max = self.shard.offsets(queue).max;
        self.shard.commit_offset(&name, queue, offset);
        let value = self.shard.committed_offset(&name, queue);
        assert_eq!(value, Some(offset.min(max)), "a commit is shown at once");
        let oracle = &mut self.shared.borrow_mut().oracle;
        oracle.committed(group, key, offset.min(max), now.monotonic_ns);
    }

    fn pulled(
        &mut self,
        ticket: Ticket,
        key: QueueKey,
        request: &PullRequest,
        result: &PullResult,
    ) {
        let next = self.shared.borrow_mut().oracle.pulled(key, request, result);
        self.shared.borrow_mut().pulled = Some((key, request.offset, result.status));
        let damaged = matches!(result.status, PullStatus::Damaged { .. });
        self.answer(ticket, Answer::Pulled { next, damaged });
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        self.shared.borrow_mut().answers.insert(ticket, answer);
    }

    fn hear_all(&mut self, now: Moment) {
        while let Some(event) = self.shard.next_event() {
            self.hear(event, now);
        }
    }

    fn hear(&mut self, event: Event, now: Moment) {
        match event {
            Event::Stored { ticket } => {
                self.shared
                    .borrow_mut()
                    .oracle
                    .stored(ticket, now.monotonic_ns);
                self.answer(ticket, Answer::Stored);
            }
            Event::Failed { ticket } => {
                self.shared.borrow_mut().oracle.failed(ticket);
                self.answer(ticket, Answer::Failed);
            }
            Event::Pulled { ticket, result } => {
                let (key, request) = self.pulls.remove(&ticket).expect("a pull that waits");
                self.pulled(ticket, key, &request, &result);
            }
            Event::Viewed { .. } | Event::OffsetFound { .. } => {}
        }
    }
}

impl Service<SimIo> for Worker {
    fn completion(&mut self, io: &mut SimIo, completion: Completion<SimStream, Bytes>) {
        self.shard.observe(io.now());
        self.shard.completion(io, completion);
    }

    fn turn(&mut self, io: &mut SimIo, now: Moment) -> Pace {
        self.shard.observe(now);
        // What the completions of this turn have answered is older than what the commands will hear.
        self.hear_all(now);
        while let Some(command) = self.commands.pop_front() {
            self.obey(io, command, now);
        }
        self.pace = self.shard.turn(io, now);
        self.hear_all(now);
        let shard = usize::from(self.shard.index().0);
        let status = self.shard.status();
        let oracle = &mut self.shared.borrow_mut().oracle;
        oracle.looked(shard, &status, now.monotonic_ns);
        Pace {
            in_flight: self.pace.in_flight,
            deadline_ns: self.pace.deadline_ns,
            stop: self.pace.stopped || self.pace.failed,
        }
    }
}

//! The checks, each a function over indexes built once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::history::{History, MessageId, Observation, Outcome, QueueName, Send, Stored};

/// The invariants that can be found violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// An acknowledged message is missing or changed.
    I01Acknowledged,
    /// Something is there that must not be.
    I02NoPhantom,
    /// A hole, a repeated offset, or an offset with two contents.
    I03Dense,
    /// A client's order was broken.
    I04Order,
    /// A bound went back, or stands below an acknowledgement.
    I05Bounds,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I01Acknowledged => "I-01",
            Self::I02NoPhantom => "I-02",
            Self::I03Dense => "I-03",
            Self::I04Order => "I-04",
            Self::I05Bounds => "I-05",
        })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant it breaks.
    pub invariant: Invariant,
    /// Where.
    pub queue: QueueName,
    /// What, with the figures.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            invariant,
            queue,
            what,
        } = self;
        write!(f, "{invariant} {}@{}: {what}", queue.topic, queue.queue_id)
    }
}

/// What a history came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sends answered `SEND_OK`.
    pub acknowledged: u64,
    /// Sends refused for good.
    pub refused: u64,
    /// Sends of unknown outcome.
    pub unknown: u64,
    /// Messages found in the final queues.
    pub stored: u64,
    /// Copies beyond the first of sends that were acknowledged or of unknown outcome.
    pub duplicates: u64,
    /// Everything that is wrong; empty means the contract held.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Whether the contract held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// How many violations of one invariant there are.
    pub fn count(&self, invariant: Invariant) -> usize {
        self.violations
            .iter()
            .filter(|violation| violation.invariant == invariant)
            .count()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged {}, refused {}, unknown {}, stored {}, duplicates {}; lost or changed {}, phantoms {}, holes {}, reordered {}, bounds {}",
            self.acknowledged,
            self.refused,
            self.unknown,
            self.stored,
            self.duplicates,
            self.count(Invariant::I01Acknowledged),
            self.count(Invariant::I02NoPhantom),
            self.count(Invariant::I03Dense),
            self.count(Invariant::I04Order),
            self.count(Invariant::I05Bounds),
        )
    }
}

/// Decides whether a history keeps the contract.
pub fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    let final_queues = final_queues(history);
    for send in &history.sends {
        match send.outcome {
            Outcome::Acknowledged { .. } => verdict.acknowledged += 1,
            Outcome::Refused => verdict.refused += 1,
            Outcome::Unknown => verdict.unknown += 1,
        }
    }
    check_density(history, &mut verdict);
    check_one_content_per_offset(history, &mut verdict);
    check_acknowledged(history, &final_queues, &mut verdict);
    check_origin(history, &final_queues, &mut verdict);
    check_order(history, &final_queues, &mut verdict);
    check_bounds(history, &mut verdict);
    verdict
}

/// The last complete reading of each queue.
fn final_queues(history: &History) -> BTreeMap<&QueueName, &Observation> {
    let mut last: BTreeMap<&QueueName, &Observation> = BTreeMap::new();
    for observation in history.observations.iter().filter(|o| o.complete) {
        let entry = last.entry(&observation.queue).or_insert(observation);
        if observation.at_ns >= entry.at_ns {
            *entry = observation;
        }
    }
    last
}

/// I-03: each reading delivers consecutive offsets, and a complete one all of them.
fn check_density(history: &History, verdict: &mut Verdict) {
    for observation in &history.observations {
        let mut fault = |what| {
            verdict.violations.push(Violation {
                invariant: Invariant::I03Dense,
                queue: observation.queue.clone(),
                what,
            });
        };
        for pair in observation.messages.windows(2) {
            let (before, after) = (pair[0].offset, pair[1].offset);
            if after != before + 1 {
                fault(format!("offset {after} follows {before}"));
            }
        }
        if !observation.complete {
            continue;
        }
        let expected = observation.max.saturating_sub(observation.min);
        let first = observation.messages.first().map(|message| message.offset);
        if observation.messages.len() as u64 != expected
            || (expected > 0 && first != Some(observation.min))
        {
            fault(format!(
                "{} messages read from {first:?}, but the bounds are {}..{}",
                observation.messages.len(),
                observation.min,
                observation.max
            ));
        }
    }
}

/// I-03: whoever read an offset, at whatever time, saw the same content.
fn check_one_content_per_offset(history: &History, verdict: &mut Verdict) {
    let mut seen: HashMap<(&QueueName, u64), &Stored> = HashMap::new();
    for observation in &history.observations {
        for message in &observation.messages {
            let first = seen
                .entry((&observation.queue, message.offset))
                .or_insert(message);
            if first.content != message.content || first.id != message.id {
                verdict.violations.push(Violation {
                    invariant: Invariant::I03Dense,
                    queue: observation.queue.clone(),
                    what: format!(
                        "offset {} held {:?} and later {:?}",
                        message.offset, first.id, message.id
                    ),
                });
            }
        }
    }
}

/// I-01: each acknowledged message is where its answer said, unless retention removed it.
fn check_acknowledged(
    history: &History,
    final_queues: &BTreeMap<&QueueName, &Observation>,
    verdict: &mut Verdict,
) {
    for send in &history.sends {
        let Outcome::Acknowledged { offset } = send.outcome else {
            continue;
        };
        let what = match final_queues.get(&send.queue) {
            None => Some("its queue was not found".to_owned()),
            Some(queue) if offset < queue.min => None,
            Some(queue) => match at_offset(queue, offset) {
                None => Some("nothing is there".to_owned()),
                Some(found) if found.id != Some(send.id) => Some(format!("found {:?}", found.id)),
                Some(found) if found.content != send.content => {
                    Some("its content has changed".to_owned())
                }
                Some(_) => None,
            },
        };
        if let Some(what) = what {
            verdict.violations.push(Violation {
                invariant: Invariant::I01Acknowledged,
                queue: send.queue.clone(),
                what: format!("{:?} acknowledged at {offset}: {what}", send.id),
            });
        }
    }
}

fn at_offset(queue: &Observation, offset: u64) -> Option<&Stored> {
    let place = queue
        .messages
        .binary_search_by_key(&offset, |message| message.offset)
        .ok()?;
    queue.messages.get(place)
}

/// I-02: all that is stored was sent, to that queue, with that content, and not refused.
fn check_origin(
    history: &History,
    final_queues: &BTreeMap<&QueueName, &Observation>,
    verdict: &mut Verdict,
) {
    let sends: HashMap<MessageId, &Send> =
        history.sends.iter().map(|send| (send.id, send)).collect();
    let mut copies: HashMap<MessageId, u64> = HashMap::new();
    for (name, queue) in final_queues {
        for message in &queue.messages {
            verdict.stored += 1;
            let send = message.id.and_then(|id| sends.get(&id));
            let what = match send {
                None => Some("was sent by nobody".to_owned()),
                Some(send) if send.queue != **name => Some(format!("was sent to {:?}", send.queue)),
                Some(send) if send.content != message.content => {
                    Some("is not what was sent".to_owned())
                }
                Some(send) if send.outcome == Outcome::Refused => Some("was refused".to_owned()),
                Some(send) => {
                    *copies.entry(send.id).or_default() += 1;
                    None
                }
            };
            if let Some(what) = what {
                verdict.violations.push(Violation {
                    invariant: Invariant::I02NoPhantom,
                    queue: (*name).clone(),
                    what: format!("{:?} at {} {what}", message.id, message.offset),
                });
            }
        }
    }
    verdict.duplicates = copies.values().map(|count| count - 1).sum();
}

/// I-04: among acknowledged sends of one client to one queue, one begun after another was
/// answered stands behind it. (A single pass over the sends by the time they began, carrying the
/// highest offset of all that had ended by then.)
fn check_order(
    history: &History,
    final_queues: &BTreeMap<&QueueName, &Observation>,
    verdict: &mut Verdict,
) {
    let mut by_stream: BTreeMap<(&QueueName, u32), Vec<(&Send, u64)>> = BTreeMap::new();
    for send in &history.sends {
        if let Outcome::Acknowledged { offset } = send.outcome {
            by_stream
                .entry((&send.queue, send.id.client))
                .or_default()
                .push((send, offset));
        }
    }
    for ((name, _), mut begun) in by_stream {
        if !final_queues.contains_key(name) {
            continue;
        }
        let mut ended = begun.clone();
        begun.sort_by_key(|(send, _)| send.begun_ns);
        ended.sort_by_key(|(send, _)| send.ended_ns);
        let mut ended = ended.into_iter().peekable();
        let mut highest: Option<(&Send, u64)> = None;
        for (send, offset) in begun {
            while let Some((done, at)) = ended.next_if(|(done, _)| done.ended_ns < send.begun_ns) {
                if highest.is_none_or(|(_, top)| at > top) {
                    highest = Some((done, at));
                }
            }
            if let Some((before, at)) = highest
                && at >= offset
            {
                verdict.violations.push(Violation {
                    invariant: Invariant::I04Order,
                    queue: name.clone(),
                    what: format!(
                        "{:?} at {offset} was sent after {:?} was acknowledged at {at}",
                        send.id, before.id
                    ),
                });
            }
        }
    }
}

/// I-05: bounds in the order of their readings, and against what had been acknowledged before.
fn check_bounds(history: &History, verdict: &mut Verdict) {
    let mut by_queue: BTreeMap<&QueueName, Vec<&Observation>> = BTreeMap::new();
    for observation in &history.observations {
        by_queue
            .entry(&observation.queue)
            .or_default()
            .push(observation);
    }
    let mut acknowledged: BTreeMap<&QueueName, Vec<(u64, u64)>> = BTreeMap::new();
    for send in &history.sends {
        if let Outcome::Acknowledged { offset } = send.outcome {
            acknowledged
                .entry(&send.queue)
                .or_default()
                .push((send.ended_ns, offset));
        }
    }
    for (name, mut readings) in by_queue {
        readings.sort_by_key(|reading| reading.at_ns);
        let mut acks = acknowledged.remove(name).unwrap_or_default();
        acks.sort_unstable();
        let mut acks = acks.into_iter().peekable();
        let (mut min, mut max, mut highest_ack) = (0, 0, None);
        for reading in readings {
            while let Some((_, offset)) = acks.next_if(|(at, _)| *at < reading.at_ns) {
                highest_ack = highest_ack.max(Some(offset));
            }
            let mut fault = |what| {
                verdict.violations.push(Violation {
                    invariant: Invariant::I05Bounds,
                    queue: name.clone(),
                    what,
                });
            };
            if reading.min < min {
                fault(format!("the minimum went from {min} to {}", reading.min));
            }
            if reading.max < max {
                fault(format!("the maximum went from {max} to {}", reading.max));
            }
            if reading.min > reading.max {
                fault(format!("bounds {}..{}", reading.min, reading.max));
            }
            if let Some(ack) = highest_ack.filter(|ack| *ack >= reading.max) {
                fault(format!(
                    "the maximum is {} though {ack} was acknowledged",
                    reading.max
                ));
            }
            (min, max) = (reading.min.max(min), reading.max.max(max));
        }
    }
}

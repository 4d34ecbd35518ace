//! Reads queues through the wire for the checker.

use std::time::Instant;

use ringmq_checker::{History, Observation, QueueName, Stored};

use super::message;
use crate::failure::Failure;
use crate::wire::{Wire, code, pull_fields, records};

/// After each restart so many messages at the end of a queue are read.
const TAIL: u64 = 200;

/// Reads every queue from its minimum to its maximum.
pub fn read_all(
    address: &str,
    topic: &str,
    queues: u32,
    started: Instant,
    history: &mut History,
) -> Result<(), Failure> {
    read(address, topic, queues, started, history, u64::MAX)
}

/// Reads the end of every queue.
pub fn read_tails(
    address: &str,
    topic: &str,
    queues: u32,
    started: Instant,
    history: &mut History,
) -> Result<(), Failure> {
    read(address, topic, queues, started, history, TAIL)
}

fn read(
    address: &str,
    topic: &str,
    queues: u32,
    started: Instant,
    history: &mut History,
    at_most: u64,
) -> Result<(), Failure> {
    let mut wire = Wire::connect(address)?;
    for queue_id in 0..queues {
        let at_ns = started.elapsed().as_nanos() as u64;
        let min = bound(&mut wire, code::MIN_OFFSET, topic, queue_id)?;
        let max = bound(&mut wire, code::MAX_OFFSET, topic, queue_id)?;
        let first = max.saturating_sub(at_most).max(min);
        history.observations.push(Observation {
            queue: QueueName {
                topic: topic.to_owned(),
                queue_id,
            },
            at_ns,
            min,
            max,
            messages: pull(&mut wire, topic, queue_id, first, max)?,
            complete: first == min,
        });
    }
    Ok(())
}

fn bound(wire: &mut Wire, code: i32, topic: &str, queue_id: u32) -> Result<u64, Failure> {
    let fields = serde_json::json!({ "topic": topic, "queueId": queue_id.to_string() });
    let answer = wire.call(code, fields, &[])?;
    answer.number("offset").ok_or_else(|| {
        Failure::new(format!(
            "a bound of {topic}@{queue_id} was answered with {}: {}",
            answer.code, answer.remark
        ))
    })
}

fn pull(
    wire: &mut Wire,
    topic: &str,
    queue_id: u32,
    first: u64,
    max: u64,
) -> Result<Vec<Stored>, Failure> {
    let mut messages = Vec::new();
    let mut offset = first;
    while offset < max {
        let answer = wire.call(code::PULL, pull_fields(topic, queue_id, offset), &[])?;
        let next = answer.number("nextBeginOffset").unwrap_or(offset);
        if answer.code != 0 || next <= offset {
            return Err(Failure::new(format!(
                "a pull of {topic}@{queue_id} from {offset} of {max} was answered with {}: {}",
                answer.code, answer.remark
            )));
        }
        messages.extend(records(&answer.body)?.iter().map(message::stored));
        offset = next;
    }
    // Messages may have come since the maximum was read.
    messages.retain(|message| message.offset < max);
    Ok(messages)
}

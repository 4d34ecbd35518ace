//! Pulls of messages that are there already: the end of each queue again and again, so that a
//! server which keeps its newest messages in memory serves them from there.

use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::{Head, Header};

use super::arguments::{Consume, Driver as Kind, Produce};
use super::control::Control;
use super::environment::Environment;
use super::error::{BenchError, Result};
use super::produce;
use super::report::{Latency, Report};
use super::wire::{Answer, Arrivals, Driver, Load};

/// PULL_MESSAGE.
const PULL: i32 = 11;
/// Seconds of each round that fills the topic.
const FILL_SECONDS: f64 = 1.0;
/// Rounds after which a topic that does not fill is given up.
const FILL_ROUNDS: usize = 60;

/// Measures and prints.
pub fn run(options: &Consume) -> Result<()> {
    let ranges = fill(options)?;
    let load = Pulls {
        topic: options.topic.clone(),
        batch: options.batch,
        cursors: (0..options.connections)
            .map(|connection| {
                let queue_id = (connection % ranges.len()) as u32;
                let (first, end) = ranges[queue_id as usize];
                Cursor {
                    queue_id,
                    first,
                    end,
                    next: first,
                }
            })
            .collect(),
    };
    let outcome = Driver::open(
        &options.target,
        options.connections,
        options.in_flight,
        load,
    )?
    .run(Arrivals::Closed, options.seconds)?;
    if let Some(error) = &outcome.first_error {
        eprintln!(
            "ringmq-bench: the first of {} errors: {error}",
            outcome.errors
        );
    }
    Report {
        scenario: "consume".into(),
        target: options.target.clone(),
        connections: options.connections,
        in_flight: options.in_flight,
        body_bytes: options.body_bytes,
        seconds: outcome.seconds,
        messages_per_s: outcome.messages as f64 / outcome.seconds,
        errors: outcome.errors,
        latency_us: Some(Latency::of(&outcome.latency_ns)),
        turns_per_commit: None,
        environment: Environment::read(),
    }
    .print(options.json);
    Ok(())
}

/// Sends messages until every queue holds the window; the offsets to pull come back.
fn fill(options: &Consume) -> Result<Vec<(u64, u64)>> {
    let mut control = Control::connect(&options.target)?;
    control.create_topic(&options.topic, options.queues)?;
    for _ in 0..FILL_ROUNDS {
        let bounds = (0..options.queues)
            .map(|queue_id| control.bounds(&options.topic, queue_id))
            .collect::<Result<Vec<_>>>()?;
        if bounds.iter().all(|(min, max)| max - min >= options.window) {
            let window = |&(_, max): &(u64, u64)| (max - options.window, max);
            return Ok(bounds.iter().map(window).collect());
        }
        produce::measure(&Produce {
            target: options.target.clone(),
            topic: options.topic.clone(),
            queues: options.queues,
            connections: 4,
            in_flight: 16,
            body_bytes: options.body_bytes,
            seconds: FILL_SECONDS,
            rate: None,
            driver: Kind::Wire,
            name_server: None,
            json: false,
        })?;
    }
    Err(BenchError::Usage(format!(
        "the topic does not fill up to {} messages in each queue",
        options.window
    )))
}

/// Where a connection stands in its queue.
struct Cursor {
    queue_id: u32,
    first: u64,
    end: u64,
    next: u64,
}

struct Pulls {
    topic: String,
    batch: u32,
    cursors: Vec<Cursor>,
}

impl Load for Pulls {
    fn request(&mut self, connection: usize, slot: u32, out: &mut Vec<u8>) {
        let cursor = &mut self.cursors[connection];
        let offset = cursor.next;
        let (queue_id, batch) = (cursor.queue_id.to_string(), self.batch.to_string());
        cursor.next += u64::from(self.batch);
        if cursor.next >= cursor.end {
            cursor.next = cursor.first;
        }
        // A header this small always fits a frame.
        let _ = Head::request(PULL, slot as i32).encode_frame(HeaderKind::Json, out, &[], |ext| {
            ext.put("consumerGroup", "bench");
            ext.put("topic", self.topic.as_str());
            ext.put("queueId", queue_id.as_str());
            ext.put("queueOffset", offset.to_string().as_str());
            ext.put("maxMsgNums", batch.as_str());
            ext.put("sysFlag", "4");
            ext.put("commitOffset", "0");
            ext.put("suspendTimeoutMillis", "0");
            ext.put("subscription", "*");
            ext.put("subVersion", "0");
            ext.put("expressionType", "TAG");
        });
    }

    /// Counts the records of the body by their length words; the next pull starts where the server
    /// says when it gave fewer than asked for.
    fn worth(&mut self, connection: usize, answer: &Answer<'_>) -> Result<u64> {
        if !answer.ok {
            return Ok(0);
        }
        let mut body = answer.frame.body;
        let mut count = 0;
        while let Some(length) = body.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            body = body
                .get(length..)
                .filter(|_| length > 0)
                .ok_or_else(|| BenchError::Malformed("a record that is cut".into()))?;
            count += 1;
        }
        if count < u64::from(self.batch) {
            self.follow_server(connection, answer)?;
        }
        Ok(count)
    }
}

impl Pulls {
    /// A server with a smaller limit than the batch: take its size from now on.
    fn follow_server(&mut self, connection: usize, answer: &Answer<'_>) -> Result<()> {
        let header = Header::decode(answer.frame.kind, answer.frame.header)
            .map_err(|error| BenchError::Malformed(error.to_string()))?;
        let cursor = &mut self.cursors[connection];
        let next = header.ext.get_i64("nextBeginOffset").unwrap_or_default() as u64;
        if next > cursor.first && next < cursor.end {
            cursor.next = next;
        }
        Ok(())
    }
}

//! Sends, from the moment each leaves (or was due) to its acknowledgement.

use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::Head;

use super::arguments::{Driver as Kind, Produce};
use super::client;
use super::control::Control;
use super::environment::Environment;
use super::error::{BenchError, Result};
use super::report::{Latency, Report};
use super::wire::{Answer, Arrivals, Driver, Load, Outcome};

/// SEND_MESSAGE_V2.
const SEND_V2: i32 = 310;

/// Measures and prints.
pub fn run(options: &Produce) -> Result<()> {
    let mut control = Control::connect(&options.target)?;
    control.create_topic(&options.topic, options.queues)?;
    let before = control.counters();
    let outcome = measure(options)?;
    let after = control.counters();
    if let Some(error) = &outcome.first_error {
        eprintln!(
            "ringmq-bench: the first of {} errors: {error}",
            outcome.errors
        );
    }
    let turns_per_commit = before.and_then(|before| after?.turns_per_commit(before));
    Report {
        turns_per_commit,
        ..report("produce", options, &outcome)
    }
    .print(options.json);
    Ok(())
}

/// Drives the sends of the options.
pub fn measure(options: &Produce) -> Result<Outcome> {
    if options.rate.is_some_and(|rate| rate <= 0.0) {
        return Err(BenchError::Usage("--rate must be above 0".into()));
    }
    if options.driver == Kind::Client {
        return client::measure(options);
    }
    let arrivals = match options.rate {
        None => Arrivals::Closed,
        Some(rate) => Arrivals::Open { rate },
    };
    let load = Sends::encode(options)?;
    Driver::open(
        &options.target,
        options.connections,
        options.in_flight,
        load,
    )?
    .run(arrivals, options.seconds)
}

/// The report of an outcome.
pub fn report(scenario: &str, options: &Produce, outcome: &Outcome) -> Report {
    Report {
        scenario: scenario.to_owned(),
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
}

/// One ready frame for each slot and queue; a request is a copy of one of them.
struct Sends {
    frames: Vec<Vec<Vec<u8>>>,
    next_queue: usize,
}

impl Sends {
    fn encode(options: &Produce) -> Result<Self> {
        let frames = (0..options.queues.max(1))
            .map(|queue_id| {
                (0..options.in_flight as i32)
                    .map(|slot| frame(options, queue_id, slot))
                    .collect::<Result<_>>()
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            frames,
            next_queue: 0,
        })
    }
}

fn frame(options: &Produce, queue_id: u32, slot: i32) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    let body = vec![b'x'; options.body_bytes];
    Head::request(SEND_V2, slot)
        .encode_frame(HeaderKind::Json, &mut frame, &body, |ext| {
            ext.put("a", "bench");
            ext.put("b", options.topic.as_str());
            ext.put("c", "TBW102");
            ext.put("d", "4");
            ext.put("e", queue_id.to_string().as_str());
            ext.put("f", "0");
            ext.put("g", "1700000000000");
            ext.put("h", "0");
            ext.put(
                "i",
                "UNIQ_KEY\u{1}7F0000010BEE18B4AAC2000000000000\u{2}WAIT\u{1}true\u{2}",
            );
            ext.put("j", "0");
            ext.put("k", "false");
            ext.put("m", "false");
        })
        .map_err(|error| BenchError::Malformed(error.to_string()))?;
    Ok(frame)
}

impl Load for Sends {
    fn request(&mut self, _connection: usize, slot: u32, out: &mut Vec<u8>) {
        let frames = &self.frames[self.next_queue];
        self.next_queue = (self.next_queue + 1) % self.frames.len();
        out.extend_from_slice(&frames[slot as usize]);
    }

    fn worth(&mut self, _connection: usize, answer: &Answer<'_>) -> Result<u64> {
        Ok(u64::from(answer.ok))
    }
}

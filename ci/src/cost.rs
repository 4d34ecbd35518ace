//! `cargo ci cost`: what a broker costs when it does nothing, and how soon it serves.
//!
//! An empty broker's memory and start; then 200,000 queues that hold one message each (what a queue
//! costs beyond its topic), and the start after `kill -9` with them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::broker::{self, Broker, Settings};
use crate::failure::{Failure, Outcome};
use crate::root;
use crate::wire::{Wire, code, send_fields};

/// Topics that are made, each with so many queues.
const TOPICS: u32 = 200;
const QUEUES: u32 = 1000;
/// Sends in flight while the queues are filled.
const WINDOW: usize = 256;

const IDLE_MIB_MAX: u64 = 50;
const EMPTY_START_MAX: Duration = Duration::from_millis(300);
const QUEUES_MIB_MAX: u64 = 200;
const RESTART_MAX: Duration = Duration::from_secs(1);

/// Measures, and fails where a figure is over its limit.
pub fn run() -> Outcome {
    broker::build()?;
    let settings = Settings::new(root::scratch("cost")?, 1, "SYNC_FLUSH")?;
    let broker = Broker::start(&settings)?;
    let empty_start = broker.ready_after;
    let idle_mib = broker.resident_mib()?;
    let mut wire = Wire::connect(&settings.address())?;
    for topic in 0..TOPICS {
        create(&mut wire, &name(topic))?;
    }
    let with_topics_mib = broker.resident_mib()?;
    fill(&mut wire)?;
    let full_mib = broker.resident_mib()?;
    broker.kill()?;
    let begun = Instant::now();
    let broker = Broker::start(&settings)?;
    let mut wire = Wire::connect(&settings.address())?;
    let answer = wire.call(code::SEND_V2, send_fields(&name(0), 0, ""), b"after")?;
    let restart = begun.elapsed();
    if answer.number("queueOffset") != Some(1) {
        return Err(Failure::new(format!(
            "the first send after the restart was answered with {}: {}",
            answer.code, answer.remark
        )));
    }
    let restarted_mib = broker.resident_mib()?;
    broker.stop()?;
    let summary = format!(
        "idle {idle_mib} MiB; ready on an empty folder after {} ms; {} queues: +{} MiB declared, \
         +{} MiB with one message each ({restarted_mib} MiB in all after a restart); serving {} ms after kill -9 with them",
        empty_start.as_millis(),
        TOPICS * QUEUES,
        with_topics_mib.saturating_sub(idle_mib),
        full_mib.saturating_sub(idle_mib),
        restart.as_millis()
    );
    let holds = idle_mib <= IDLE_MIB_MAX
        && empty_start <= EMPTY_START_MAX
        && full_mib.saturating_sub(idle_mib) <= QUEUES_MIB_MAX
        && restart <= RESTART_MAX;
    if holds {
        Ok(summary)
    } else {
        Err(Failure::new(format!("over a limit: {summary}")))
    }
}

fn name(topic: u32) -> String {
    format!("many-{topic}")
}

fn create(wire: &mut Wire, topic: &str) -> Result<(), Failure> {
    let queues = QUEUES.to_string();
    let fields = json!({
        "topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues, "writeQueueNums": queues,
        "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
    });
    let answer = wire.call(code::CREATE_TOPIC, fields, &[])?;
    if answer.code == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "topic {topic} was refused with {}: {}",
        answer.code, answer.remark
    )))
}

/// One message into every queue.
fn fill(wire: &mut Wire) -> Result<(), Failure> {
    let mut in_flight = 0;
    for topic in 0..TOPICS {
        for queue in 0..QUEUES {
            if in_flight == WINDOW {
                take_ok(wire)?;
                in_flight -= 1;
            }
            wire.request(code::SEND_V2, send_fields(&name(topic), queue, ""), b"one")?;
            in_flight += 1;
        }
    }
    for _ in 0..in_flight {
        take_ok(wire)?;
    }
    Ok(())
}

fn take_ok(wire: &mut Wire) -> Result<(), Failure> {
    let answer = wire.answer()?;
    if answer.code == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "a send was answered with {}: {}",
        answer.code, answer.remark
    )))
}

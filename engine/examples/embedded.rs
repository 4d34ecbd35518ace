//! A store as a log inside a program: appends a few records, reads them back, stops cleanly.
//!
//! `cargo run -p ringmq-engine --example embedded -- [FOLDER]`
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use ringmq_engine::embedded::{Embedded, Record};
use ringmq_engine::{Config, Durability};
use ringmq_protocol::RecordView;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1);
    let folder = folder.unwrap_or_else(|| "ringmq-embedded".into());
    let mut config = Config::new(&folder);
    config.durability = Durability::Sync;
    let log = Embedded::open(&config)?;
    for number in 0..5 {
        let body = format!("message {number}");
        let stored = log.append(Record {
            topic: "events",
            queue_id: 0,
            properties: b"",
            body: body.as_bytes(),
        })?;
        // Returned means: it survives a power cut.
        println!(
            "stored {body:?} at queue offset {} (physical {})",
            stored.queue_offset, stored.physical.0
        );
    }
    let mut offset = 0;
    loop {
        let result = log.pull("events", 0, offset, 32, Duration::ZERO)?;
        for record in result.each() {
            let record = RecordView::parse(&record)?;
            let body = String::from_utf8_lossy(record.body());
            println!("read offset {}: {body}", record.queue_offset());
        }
        offset = result.next;
        if result.count == 0 {
            break;
        }
    }
    log.stop()?;
    println!("stopped; run it again: what is in {folder} is still there");
    Ok(())
}

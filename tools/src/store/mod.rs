//! The offline doctor, first part: looking into a data folder and checking every byte of its log.
//! It reads only, and refuses a folder that a broker holds.

mod segment;
mod shard;

use std::path::Path;

use ringmq_engine::ShardIndex;
use ringmq_engine::store::Store;
use ringmq_ring::blocking::{BlockingDisk, block_on};

use crate::error::{Result, ToolError};
use crate::progress_bar::Bar;
use crate::report::{Cell, Report, Table};
use crate::verbs::Folder;
use shard::ShardReport;

/// Tells what the folder holds.
pub fn inspect(options: &Folder, quiet: bool) -> Result<Report> {
    let store = open(&options.folder)?;
    let reports = walk(options, &store, quiet)?;
    let mut shards = Table::new(
        "shards",
        &["shard", "epoch", "checkpoints", "durable", "stoppedCleanly"],
    );
    let mut segments = Table::new(
        "segments",
        &["shard", "segment", "blocks", "records", "usedKib"],
    );
    for report in &reports {
        report.add_to(&mut shards, &mut segments);
    }
    Ok(Report::new()
        .fact("store", hex(&store.id))
        .fact("shardCount", i64::from(store.shards))
        .fact("segmentMib", (store.segment_bytes >> 20) as i64)
        .fact("created", Cell::Time(store.created_ms as i64))
        .table(shards)
        .table(segments)
        .table(faults(&reports)))
}

/// Checks every block of every log; damage below what was known to be durable is a failure.
pub fn verify(options: &Folder, quiet: bool) -> Result<Report> {
    let store = open(&options.folder)?;
    let reports = walk(options, &store, quiet)?;
    let sum = |count: fn(&ShardReport) -> u64| reports.iter().map(count).sum::<u64>();
    let damaged = sum(|report| report.damaged() as u64);
    let mut report = Report::new()
        .table(faults(&reports))
        .fact("blocks", sum(ShardReport::blocks) as i64)
        .fact("records", sum(ShardReport::records) as i64)
        .fact("damaged", damaged as i64);
    if damaged > 0 {
        report.failure = Some(ToolError::Damaged(format!(
            "{damaged} blocks below the durable position are damaged; everything around them stays readable"
        )));
    }
    Ok(report)
}

fn walk(options: &Folder, store: &Store, quiet: bool) -> Result<Vec<ShardReport>> {
    let bar = Bar::bytes(quiet || options.records);
    (0..store.shards)
        .map(|shard| {
            shard::walk(
                &options.folder,
                store,
                ShardIndex(shard),
                options.records,
                &bar,
            )
        })
        .collect()
}

fn faults(reports: &[ShardReport]) -> Table {
    let mut table = Table::new("faults", &["shard", "position", "kind", "why"]);
    for report in reports {
        report.add_faults(&mut table);
    }
    table
}

fn open(folder: &Path) -> Result<Store> {
    block_on(Store::load(&BlockingDisk, folder))
        .map_err(|error| ToolError::Store(error.to_string()))?
        .ok_or_else(|| {
            ToolError::Usage(format!(
                "{} holds no store: name the folder that was given to the broker",
                folder.display()
            ))
        })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

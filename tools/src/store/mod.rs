//! The offline doctor, first part: looking into a data folder and checking every byte of its log.
//! It reads only, and refuses a folder that a broker holds.

mod segment;
mod shard;

use std::path::Path;

use ringmq_engine::ShardIndex;
use ringmq_engine::store::Store;
use ringmq_ring::blocking::{BlockingDisk, block_on};

use crate::arguments::Folder;
use crate::error::{Result, ToolError};
use shard::ShardReport;

/// Prints what the folder holds.
pub fn inspect(options: &Folder) -> Result<()> {
    let store = open(&options.folder)?;
    println!(
        "store {}  {} shards  segments of {} MiB  created {} ms after 1970",
        hex(&store.id),
        store.shards,
        store.segment_bytes >> 20,
        store.created_ms
    );
    for shard in 0..store.shards {
        let report = shard::walk(&options.folder, &store, ShardIndex(shard), options.records)?;
        report.print();
    }
    Ok(())
}

/// Checks every block of every log; damage below what was known to be durable is a failure.
pub fn verify(options: &Folder) -> Result<()> {
    let store = open(&options.folder)?;
    let reports = (0..store.shards)
        .map(|shard| shard::walk(&options.folder, &store, ShardIndex(shard), options.records))
        .collect::<Result<Vec<ShardReport>>>()?;
    let (mut blocks, mut records, mut damaged) = (0, 0, 0);
    for report in &reports {
        report.print_faults();
        blocks += report.blocks();
        records += report.records();
        damaged += report.damaged();
    }
    println!("{blocks} blocks with {records} records verified, {damaged} damaged");
    if damaged > 0 {
        return Err(ToolError::Damaged(format!(
            "{damaged} blocks below the durable position are damaged; everything around them stays readable"
        )));
    }
    Ok(())
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

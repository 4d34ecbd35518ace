//! One shard of a data folder: its manifest, its witness, its segments.

use std::path::Path;
use std::time::Duration;

use ringmq_engine::manifest::Manifest;
use ringmq_engine::recovery::ShardFolder;
use ringmq_engine::store::Store;
use ringmq_engine::witness::Witness;
use ringmq_engine::{LogOffset, SegmentNumber, ShardIndex};
use ringmq_ring::blocking::{BlockingDisk, block_on};
use ringmq_ring::{Disk, OpenMode};

use super::segment::{Fault, SegmentReport};
use crate::error::{Result, ToolError};
use crate::progress_bar::Bar;
use crate::report::Table;

/// What one shard holds.
pub struct ShardReport {
    shard: ShardIndex,
    epoch: u64,
    checkpoints: usize,
    durable: LogOffset,
    clean: bool,
    segments: Vec<SegmentReport>,
}

/// Reads a shard whole.
pub fn walk(
    folder: &Path,
    store: &Store,
    shard: ShardIndex,
    records: bool,
    bar: &Bar,
) -> Result<ShardReport> {
    let files = ShardFolder {
        path: folder.join(format!("shard-{:02}", shard.0)),
        identity: store.identity(shard),
        lock_wait: Duration::ZERO,
    };
    refuse_if_held(&files)?;
    let unreadable = |error: &dyn std::fmt::Display| {
        ToolError::Store(format!("{}: {error}", files.path.display()))
    };
    let bytes = std::fs::read(files.manifest())?;
    let (_, manifest) = Manifest::newest(&files.identity, &bytes).map_err(|e| unreadable(&e))?;
    let bytes = std::fs::read(files.witness())?;
    let witness = Witness::newest(&files.identity, &bytes)
        .map_err(|e| unreadable(&e))?
        .map(|(_, witness)| witness);
    let mut segments = Vec::new();
    let numbers = segment_numbers(&files)?;
    bar.more(numbers.len() as u64 * store.segment_bytes);
    for number in numbers {
        let path = files.segment(number);
        segments.push(SegmentReport::read(
            &path,
            number,
            &files.identity,
            records,
        )?);
        bar.advance(store.segment_bytes);
    }
    let witnessed = witness.map_or(LogOffset(0), |witness| witness.durable);
    let in_blocks = segments.iter().map(|segment| segment.durable).max();
    let durable = manifest
        .durable
        .max(witnessed)
        .max(in_blocks.unwrap_or_default());
    Ok(ShardReport {
        shard,
        epoch: manifest.epoch(),
        checkpoints: manifest.states.len(),
        durable,
        clean: witness.is_some_and(|witness| witness.clean),
        segments,
    })
}

/// A broker locks the manifest for as long as it runs.
fn refuse_if_held(files: &ShardFolder) -> Result<()> {
    let free = block_on(async {
        let file = BlockingDisk
            .open(&files.manifest(), OpenMode::Existing)
            .await?;
        BlockingDisk.try_lock(&file)
    })?;
    if free {
        return Ok(());
    }
    Err(ToolError::Store(format!(
        "{} is held by a running broker: stop it first",
        files.path.display()
    )))
}

fn segment_numbers(files: &ShardFolder) -> Result<Vec<SegmentNumber>> {
    let mut numbers: Vec<SegmentNumber> = std::fs::read_dir(files.log())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| u64::from_str_radix(name.strip_suffix(".log")?, 16).ok())
        .map(SegmentNumber)
        .collect();
    numbers.sort();
    Ok(numbers)
}

impl ShardReport {
    /// Blocks that are whole.
    pub fn blocks(&self) -> u64 {
        self.segments.iter().map(|segment| segment.blocks).sum()
    }

    /// Records in them.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }

    /// Faulty blocks below the durable position.
    pub fn damaged(&self) -> usize {
        self.faults().filter(|fault| self.is_damage(fault)).count()
    }

    /// Its row, and those of its segments.
    pub fn add_to(&self, shards: &mut Table, segments: &mut Table) {
        shards.row([
            i64::from(self.shard.0).into(),
            (self.epoch as i64).into(),
            self.checkpoints.into(),
            (self.durable.0 as i64).into(),
            self.clean.into(),
        ]);
        for segment in &self.segments {
            segments.row([
                i64::from(self.shard.0).into(),
                segment.number.to_string().into(),
                (segment.blocks as i64).into(),
                (segment.records as i64).into(),
                ((segment.used >> 10) as i64).into(),
            ]);
        }
    }

    /// A row for each block that is not whole.
    pub fn add_faults(&self, table: &mut Table) {
        for fault in self.faults() {
            let kind = if self.is_damage(fault) {
                "damaged"
            } else {
                "torn tail, never acknowledged"
            };
            table.row([
                i64::from(self.shard.0).into(),
                (fault.at.0 as i64).into(),
                kind.into(),
                fault.why.to_string().into(),
            ]);
        }
    }

    fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.segments.iter().flat_map(|segment| &segment.faults)
    }

    /// A fault below W was written whole once: it is damage. Above W it is a write that was cut.
    fn is_damage(&self, fault: &Fault) -> bool {
        fault.at < self.durable
    }
}

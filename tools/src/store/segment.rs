//! One segment file, block after block.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ringmq_engine::block::{BlockFault, BlockView, LogIdentity};
use ringmq_engine::{LogOffset, QueueNumber, SegmentNumber};
use ringmq_protocol::record::RecordView;

use crate::error::Result;

/// Blocks begin at multiples of this.
const STEP: u64 = 4096;

/// What one segment holds.
pub struct SegmentReport {
    /// Its number.
    pub number: SegmentNumber,
    /// Blocks that are whole.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes up to the end of the last whole block.
    pub used: u64,
    /// The highest durable position that a whole block carries.
    pub durable: LogOffset,
    /// What is not whole.
    pub faults: Vec<Fault>,
}

/// A place where a block should be and is not.
pub struct Fault {
    /// Where.
    pub at: LogOffset,
    /// What is wrong.
    pub why: BlockFault,
}

impl SegmentReport {
    /// Reads a segment from its start to the end of what was written. `show` prints every record.
    pub fn read(
        path: &Path,
        number: SegmentNumber,
        identity: &LogIdentity,
        show: bool,
    ) -> Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len().min(identity.segment_bytes);
        let start = LogOffset::of_segment(number, identity.segment_bytes);
        let mut report = Self {
            number,
            blocks: 0,
            records: 0,
            used: 0,
            durable: LogOffset(0),
            faults: Vec::new(),
        };
        let mut block = Vec::new();
        let (mut within, mut last) = (0, None);
        while within < len {
            let at = start.plus(within);
            match read_block(&file, within, len, identity, at, &mut block)? {
                Ok(view) if last.is_some_and(|sequence| view.header().sequence <= sequence) => {
                    // An older run's block behind the end of the log.
                    break;
                }
                Ok(view) => {
                    last = Some(view.header().sequence);
                    report.take(&view, show);
                    within += u64::from(view.header().block_len);
                    report.used = within;
                }
                Err(why) => match next_block(&file, within + STEP, len, identity, start, last)? {
                    Some(next) => {
                        report.faults.push(Fault { at, why });
                        within = next;
                    }
                    None => {
                        if !is_unwritten(&why) {
                            report.faults.push(Fault { at, why });
                        }
                        break;
                    }
                },
            }
        }
        Ok(report)
    }

    fn take(&mut self, view: &BlockView<'_>, show: bool) {
        self.blocks += 1;
        self.records += view.records().len() as u64;
        self.durable = self.durable.max(view.header().durable);
        if show {
            for record in view.records() {
                print_record(&record);
            }
        }
    }
}

/// Zeros, or what an earlier use of the file left.
fn is_unwritten(fault: &BlockFault) -> bool {
    matches!(
        fault,
        BlockFault::Blank | BlockFault::NoMagic | BlockFault::Foreign { .. }
    )
}

/// The block at a position, read into `block`, or what is wrong with it.
fn read_block<'b>(
    file: &File,
    within: u64,
    len: u64,
    identity: &LogIdentity,
    at: LogOffset,
    block: &'b mut Vec<u8>,
) -> Result<std::result::Result<BlockView<'b>, BlockFault>> {
    fill(file, within, STEP, block)?;
    if let Err(BlockFault::Truncated { needed }) = BlockView::parse(block, identity, at) {
        let whole = (needed as u64).min(len - within);
        fill(file, within, whole, block)?;
    }
    Ok(BlockView::parse(block, identity, at))
}

fn fill(file: &File, within: u64, len: u64, block: &mut Vec<u8>) -> Result<()> {
    block.resize(len as usize, 0);
    file.read_exact_at(block, within)?;
    Ok(())
}

/// Where a later block of the same log begins, if there is one.
fn next_block(
    file: &File,
    from: u64,
    len: u64,
    identity: &LogIdentity,
    start: LogOffset,
    last: Option<u64>,
) -> Result<Option<u64>> {
    let mut block = Vec::new();
    for within in (from..len).step_by(STEP as usize) {
        let found = read_block(file, within, len, identity, start.plus(within), &mut block)?;
        if found.is_ok_and(|view| last.is_none_or(|sequence| view.header().sequence > sequence)) {
            return Ok(Some(within));
        }
    }
    Ok(None)
}

fn print_record(record: &ringmq_engine::block::BlockRecord<'_>) {
    if record.queue == QueueNumber::CONTROL {
        println!(
            "    {} control, {} bytes",
            record.position.0,
            record.bytes.len()
        );
        return;
    }
    match RecordView::parse(record.bytes) {
        Ok(view) => println!(
            "    {} {}@{} offset {}  {} bytes",
            record.position.0,
            view.topic(),
            view.queue_id(),
            view.queue_offset(),
            view.body().len()
        ),
        Err(error) => println!("    {} {error}", record.position.0),
    }
}

//! What lies behind a bad block: every whole block of ours up to the end of the log's files.

use ringmq_ring::{ALIGNMENT, Disk};

use super::error::RecoveryError;
use super::segment_reader::SegmentReader;
use crate::block::{BlockFault, BlockHeader, BlockView, HEADER_BYTES, LogIdentity};
use crate::control_record::{ControlRecord, RunStart};
use crate::types::LogOffset;

/// A whole block found behind a bad one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub at: LogOffset,
    pub end: LogOffset,
    pub sequence: u64,
    pub epoch: u64,
    pub durable: LogOffset,
    pub run: Option<RunStart>,
}

impl Seen {
    fn of(view: &BlockView<'_>) -> Self {
        let header = view.header();
        Seen {
            at: header.at,
            end: header.end(),
            sequence: header.sequence,
            epoch: header.epoch,
            durable: header.durable,
            run: run_start(view),
        }
    }
}

/// The run that begins with this block, if one does.
pub(super) fn run_start(view: &BlockView<'_>) -> Option<RunStart> {
    let first = view
        .records()
        .next()
        .filter(|record| record.queue.is_control())?;
    match ControlRecord::decode(first.bytes) {
        Ok(ControlRecord::RunStart(run)) => {
            let header = view.header();
            let own = (run.epoch, run.first, run.first_sequence)
                == (header.epoch, header.at, header.sequence);
            own.then_some(run)
        }
        _ => None,
    }
}

/// Of a segment whose first page was never written, this much is looked at: more than a block, so
/// that one lost block at its start hides nothing, and little where segments are prepared ahead.
const UNTOUCHED_BYTES: u64 = 4 << 20;

/// As [`look_ahead`], for a whole segment; most of one that nothing was written to is left out.
pub(super) async fn look_over<D: Disk>(
    reader: &mut SegmentReader<'_, D>,
    identity: &LogIdentity,
    start: LogOffset,
    seen: &mut Vec<Seen>,
) -> Result<(), RecoveryError> {
    let head = reader.at(0, HEADER_BYTES).await?;
    let fault = BlockHeader::parse(head, identity, start).err();
    let untouched = matches!(fault, Some(BlockFault::Blank | BlockFault::Foreign { .. }));
    let before = seen.len();
    if untouched {
        walk(reader, identity, start, UNTOUCHED_BYTES, seen).await?;
    }
    if untouched && seen.len() == before {
        return Ok(());
    }
    seen.truncate(before);
    look_ahead(reader, identity, start, seen).await
}

/// Adds every whole block of the segment that begins at or behind `from` to `seen`.
pub(super) async fn look_ahead<D: Disk>(
    reader: &mut SegmentReader<'_, D>,
    identity: &LogIdentity,
    from: LogOffset,
    seen: &mut Vec<Seen>,
) -> Result<(), RecoveryError> {
    walk(reader, identity, from, reader.len(), seen).await
}

async fn walk<D: Disk>(
    reader: &mut SegmentReader<'_, D>,
    identity: &LogIdentity,
    from: LogOffset,
    bytes: u64,
    seen: &mut Vec<Seen>,
) -> Result<(), RecoveryError> {
    let mut at = from;
    loop {
        let (_, within) = identity.split(at);
        let within = u64::from(within);
        if within + HEADER_BYTES as u64 > reader.len() || at.0 - from.0 >= bytes {
            return Ok(());
        }
        let step = match block_at(reader, identity, at, within).await? {
            Some(found) => {
                seen.push(found);
                found.end.0 - at.0
            }
            None => ALIGNMENT as u64,
        };
        if within + step >= identity.segment_bytes {
            return Ok(());
        }
        at = at.plus(step);
    }
}

async fn block_at<D: Disk>(
    reader: &mut SegmentReader<'_, D>,
    identity: &LogIdentity,
    at: LogOffset,
    within: u64,
) -> Result<Option<Seen>, RecoveryError> {
    let head = reader.at(within, HEADER_BYTES).await?;
    let len = match BlockHeader::parse(head, identity, at) {
        Ok(header) => header.block_len as usize,
        Err(BlockFault::Version { found }) => return Err(newer(reader, within, found)),
        Err(_) => return Ok(None),
    };
    let block = reader.at(within, len).await?;
    Ok(BlockView::parse(block, identity, at)
        .ok()
        .map(|view| Seen::of(&view)))
}

/// A block whose checksum is right and whose version is not known is no damage.
pub(super) fn newer<D: Disk>(
    reader: &SegmentReader<'_, D>,
    offset: u64,
    found: u16,
) -> RecoveryError {
    RecoveryError::NewerBlock {
        path: reader.path().clone(),
        offset,
        found,
    }
}

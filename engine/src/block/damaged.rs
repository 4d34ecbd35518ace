//! What can still be read of a damaged block: every record that matches its own list entry, and
//! the queues of those that do not.

use super::footer::{Entry, Footer};
use super::{BlockHeader, ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES, LogIdentity, record_crc};
use crate::types::{LogOffset, QueueNumber};
use ringmq_ring::ALIGNMENT;

/// A block that failed verification but whose extent is known from its header or its footer.
#[derive(Clone, Debug)]
pub struct DamagedBlock {
    /// Where it begins.
    pub at: LogOffset,
    /// Its length in bytes.
    pub block_len: u32,
    /// Its number in the log.
    pub sequence: u64,
    /// The run that wrote it.
    pub epoch: u64,
    /// The header, when that is the part that can be read.
    pub header: Option<BlockHeader>,
    /// What the next block carries as `previous_checksum`, when the footer can be read.
    pub checksum: Option<u32>,
    /// Every record, readable or not, in order.
    pub records: Vec<DamagedRecord>,
}

/// What is known of one record of a damaged block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// Its queue, when its list entry can be believed.
    pub queue: Option<QueueNumber>,
    /// Where it begins, from the first byte of the block, when that is known.
    pub within_block: Option<u32>,
    /// Its length in bytes, when that is known.
    pub len: u32,
    /// CRC32C of the record as the list has it.
    pub crc: u32,
    /// Whether its bytes match its list entry: it may be served.
    pub readable: bool,
}

impl DamagedBlock {
    /// Reads what is left of the block that should begin `bytes`, at `at`. `bytes` may end anywhere
    /// beyond it. `None` when neither its header nor its footer can be read.
    pub fn read(bytes: &[u8], identity: &LogIdentity, at: LogOffset) -> Option<Self> {
        let header = BlockHeader::parse(bytes, identity, at).ok();
        let footer = match header {
            Some(header) => bytes
                .get(..header.block_len as usize)
                .and_then(|block| Footer::parse(block, identity, at).ok()),
            None => find_footer(bytes, identity, at),
        };
        let shape = match (header, footer) {
            (_, Some(footer)) => footer,
            (Some(header), None) => Footer::of(&header, header.crc),
            (None, None) => return None,
        };
        let block = &bytes[..bytes.len().min(shape.block_len as usize)];
        let checksum = footer.map(|_| super::get_u32(block, block.len() - 4));
        Some(DamagedBlock {
            at,
            block_len: shape.block_len,
            sequence: shape.sequence,
            epoch: shape.epoch,
            header,
            checksum,
            records: read_records(block, &shape, identity),
        })
    }

    /// Records whose queue is not known, so that nobody can say which queue has lost one.
    pub fn unattributed(&self) -> usize {
        self.records
            .iter()
            .filter(|record| record.queue.is_none())
            .count()
    }

    /// The position after the block.
    pub fn end(&self) -> LogOffset {
        self.at.plus(u64::from(self.block_len))
    }

    /// The bytes of a readable record, out of the bytes that [`DamagedBlock::read`] was given.
    pub fn bytes_of<'a>(&self, record: &DamagedRecord, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = record.within_block.filter(|_| record.readable)? as usize;
        bytes.get(start..start + record.len as usize)
    }
}

/// The block's own footer, at the first 4096-byte boundary that ends one which says it began here.
fn find_footer(bytes: &[u8], identity: &LogIdentity, at: LogOffset) -> Option<Footer> {
    (1..=bytes.len() / ALIGNMENT)
        .find_map(|units| Footer::parse(&bytes[..units * ALIGNMENT], identity, at).ok())
}

fn read_records(block: &[u8], shape: &Footer, identity: &LogIdentity) -> Vec<DamagedRecord> {
    let count = shape.count as usize;
    let list_at = shape.block_len as usize - FOOTER_BYTES - count * ENTRY_BYTES;
    // A block cut short has lost its list: nothing can be believed, and nothing announced by the
    // header alone is allocated.
    let Some(list) = block.get(list_at..list_at + count * ENTRY_BYTES) else {
        return vec![UNKNOWN; count.min(block.len() / ENTRY_BYTES)];
    };
    let mut records: Vec<DamagedRecord> = (0u32..)
        .zip(list.chunks_exact(ENTRY_BYTES))
        .map(|(index, bytes)| believed(bytes, identity, index))
        .collect();
    place(&mut records, shape.records_len);
    for record in &mut records {
        record.readable = matches_entry(record, block);
    }
    records
}

const UNKNOWN: DamagedRecord = DamagedRecord {
    queue: None,
    within_block: None,
    len: 0,
    crc: 0,
    readable: false,
};

fn believed(bytes: &[u8], identity: &LogIdentity, index: u32) -> DamagedRecord {
    let (entry, check) = Entry::read(bytes);
    if check != entry.check(identity.seed, index) {
        return UNKNOWN;
    }
    DamagedRecord {
        queue: Some(entry.queue),
        within_block: None,
        len: entry.len,
        crc: entry.crc,
        readable: false,
    }
}

/// Positions follow from the lengths before a record, or else from those after it.
fn place(records: &mut [DamagedRecord], records_len: u32) {
    let end = HEADER_BYTES as u64 + u64::from(records_len);
    let mut start = HEADER_BYTES as u64;
    for record in records.iter_mut() {
        if record.queue.is_none() || start + u64::from(record.len) > end {
            break;
        }
        record.within_block = Some(start as u32);
        start += u64::from(record.len);
    }
    let mut after = end;
    for record in records.iter_mut().rev() {
        let Some(start) = after.checked_sub(u64::from(record.len)) else {
            break;
        };
        if record.queue.is_none() || record.within_block.is_some() || start < HEADER_BYTES as u64 {
            break;
        }
        record.within_block = Some(start as u32);
        after = start;
    }
}

fn matches_entry(record: &DamagedRecord, block: &[u8]) -> bool {
    let Some(start) = record.within_block else {
        return false;
    };
    let start = start as usize;
    block
        .get(start..start + record.len as usize)
        .is_some_and(|bytes| record_crc(bytes) == record.crc)
}

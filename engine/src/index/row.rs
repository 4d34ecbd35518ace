//! A row of the directory: one queue in one index segment, and the way to its older entries.
//!
//! Rows of one queue form a list from newest to oldest with one extra pointer each, the *skip*, laid
//! out as a skew-binary number system: from a row at depth `d` any older row is reached in about
//! `2 log2 d` steps, never more than `3 log2 d`, and a new row needs to look at two older ones only.

use crate::index::page::{PAYLOAD_LEN, u32_at, u64_at};
use crate::queue::{BlockTime, Entry};
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

/// One queue in one index segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The queue.
    pub queue: QueueNumber,
    /// Entries it has in this segment, holes included.
    pub count: u32,
    /// Queue offset of the first.
    pub first: u64,
    /// Place of the first among the segment's entries.
    pub ordinal: u32,
    /// The way to older entries.
    pub links: Links,
}

/// The way from a row to the older rows of its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Rows below this one, when all of them could be read at building time.
    pub depth: u32,
    /// The next older row is in this segment, or an older one if the queue has no row there.
    pub previous: Option<SegmentNumber>,
    /// A row further down; the same as `previous` where that is as far as it may go.
    pub skip: Option<SegmentNumber>,
    /// One past the newest offset in the row that `skip` names.
    pub skip_end: u64,
}

const NONE: u64 = u64::MAX;

impl Row {
    /// Encoded length.
    pub const LEN: usize = 48;
    /// Rows in a page.
    pub const PER_PAGE: u64 = (PAYLOAD_LEN / Self::LEN) as u64;

    /// One past the newest offset in this segment.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// Writes the row into its place of [`Row::LEN`] bytes.
    pub fn encode(&self, place: &mut [u8]) {
        let segment = |number: Option<SegmentNumber>| number.map_or(NONE, |s| s.0);
        place[0..4].copy_from_slice(&self.queue.0.to_le_bytes());
        place[4..8].copy_from_slice(&self.count.to_le_bytes());
        place[8..16].copy_from_slice(&self.first.to_le_bytes());
        place[16..20].copy_from_slice(&self.ordinal.to_le_bytes());
        place[20..24].copy_from_slice(&self.links.depth.to_le_bytes());
        place[24..32].copy_from_slice(&segment(self.links.previous).to_le_bytes());
        place[32..40].copy_from_slice(&segment(self.links.skip).to_le_bytes());
        place[40..48].copy_from_slice(&self.links.skip_end.to_le_bytes());
    }

    /// Reads the row from its place.
    pub fn decode(place: &[u8]) -> Self {
        let segment = |at| {
            Some(u64_at(place, at))
                .filter(|&n| n != NONE)
                .map(SegmentNumber)
        };
        Self {
            queue: QueueNumber(u32_at(place, 0)),
            count: u32_at(place, 4),
            first: u64_at(place, 8),
            ordinal: u32_at(place, 16),
            links: Links {
                depth: u32_at(place, 20),
                previous: segment(24),
                skip: segment(32),
                skip_end: u64_at(place, 40),
            },
        }
    }
}

impl Links {
    /// Links of a new row above `previous`, which lies in `segment`. `skip` is the row that
    /// `previous` skips to; it is needed only when [`Links::needs_skip`] says so.
    pub fn above(segment: SegmentNumber, previous: &Row, skip: Option<&Row>) -> Self {
        let direct = Self {
            depth: previous.links.depth.saturating_add(1),
            previous: Some(segment),
            skip: Some(segment),
            skip_end: previous.end(),
        };
        match skip {
            Some(skip) if Self::needs_skip(previous) && skip.links.skip.is_some() => Self {
                skip: skip.links.skip,
                skip_end: skip.links.skip_end,
                ..direct
            },
            _ => direct,
        }
    }

    /// Links of a row whose older rows cannot be read now: they are in `segment` or below, and hold
    /// offsets below `first`.
    pub fn above_unreadable(segment: SegmentNumber, first: u64) -> Self {
        Self {
            depth: 1,
            previous: Some(segment),
            skip: Some(segment),
            skip_end: first,
        }
    }

    /// The oldest segment that these links lead to at once and that is not below `since`.
    pub(crate) fn since(&self, since: SegmentNumber) -> Option<SegmentNumber> {
        let not_below = |segment: &SegmentNumber| *segment >= since;
        self.skip
            .filter(not_below)
            .or(self.previous.filter(not_below))
    }

    /// Whether a row above `previous` skips to where the row that `previous` skips to skips.
    pub fn needs_skip(previous: &Row) -> bool {
        let depth = previous.links.depth;
        let skip = skip_depth(depth);
        skip > 0 && depth - skip == skip - skip_depth(skip)
    }
}

/// The depth of the row that a row at `depth` skips to: `depth` less its smallest skew-binary digit.
fn skip_depth(depth: u32) -> u32 {
    let (mut rest, mut weight) = (u64::from(depth), u64::from(u32::MAX));
    let mut digit = 0;
    while rest > 0 {
        while weight > rest {
            weight /= 2;
        }
        rest -= weight;
        digit = weight;
    }
    depth - digit as u32
}

/// Entries in a page.
pub(crate) const ENTRIES_PER_PAGE: u64 = (PAYLOAD_LEN / Entry::LEN) as u64;
/// Encoded length of a block of the block table.
pub(crate) const BLOCK_LEN: usize = 40;
/// Blocks in a page.
pub(crate) const BLOCKS_PER_PAGE: u64 = (PAYLOAD_LEN / BLOCK_LEN) as u64;
/// Fences in a page.
pub(crate) const FENCES_PER_PAGE: u64 = (PAYLOAD_LEN / 4) as u64;

const _: () = assert!(PAYLOAD_LEN.is_multiple_of(Row::LEN));
const _: () = assert!(PAYLOAD_LEN.is_multiple_of(Entry::LEN));
const _: () = assert!(PAYLOAD_LEN.is_multiple_of(BLOCK_LEN));

/// The `index`-th entry of an entries page.
pub(crate) fn entry_at(payload: &[u8], index: usize) -> Entry {
    let mut place = [0; Entry::LEN];
    place.copy_from_slice(&payload[index * Entry::LEN..(index + 1) * Entry::LEN]);
    Entry::decode(&place)
}

pub(crate) fn encode_block(block: &BlockTime, place: &mut [u8]) {
    place[0..8].copy_from_slice(&block.start.0.to_le_bytes());
    place[8..12].copy_from_slice(&block.len.to_le_bytes());
    place[12..16].copy_from_slice(&block.records.to_le_bytes());
    place[16..24].copy_from_slice(&block.first_store_ms.to_le_bytes());
    place[24..32].copy_from_slice(&block.last_store_ms.to_le_bytes());
    place[32..40].copy_from_slice(&block.sequence.to_le_bytes());
}

/// The `index`-th block of a blocks page.
pub(crate) fn block_at(payload: &[u8], index: usize) -> BlockTime {
    let place = &payload[index * BLOCK_LEN..(index + 1) * BLOCK_LEN];
    BlockTime {
        start: LogOffset(u64_at(place, 0)),
        len: u32_at(place, 8),
        records: u32_at(place, 12),
        first_store_ms: u64_at(place, 16) as i64,
        last_store_ms: u64_at(place, 24) as i64,
        sequence: u64_at(place, 32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of `rows` rows, each in the segment of its depth, ten offsets apiece.
    fn list(rows: u32) -> Vec<Row> {
        let mut list: Vec<Row> = Vec::new();
        for depth in 0..rows {
            let links = match list.last() {
                None => Links::default(),
                Some(previous) => {
                    let skip = previous.links.skip.map(|s| list[s.0 as usize]);
                    Links::above(SegmentNumber(u64::from(depth) - 1), previous, skip.as_ref())
                }
            };
            list.push(Row {
                queue: QueueNumber(1),
                count: 10,
                first: u64::from(depth) * 10,
                ordinal: 0,
                links,
            });
        }
        list
    }

    #[test]
    fn any_row_is_reached_in_about_two_log_steps() {
        let rows = list(5000);
        for (depth, row) in rows.iter().enumerate() {
            assert_eq!(row.links.depth as usize, depth);
            let skip = row.links.skip.map(|s| s.0 as u32);
            assert_eq!(skip, (depth > 0).then(|| skip_depth(depth as u32)));
        }
        for from in [0usize, 1, 63, 64, 1000, 4999] {
            let mut sum = 0;
            for to in 0..=from {
                let (mut at, mut steps) = (from, 0);
                while at != to {
                    let links = &rows[at].links;
                    let wanted = to as u64 * 10 + 9;
                    at = match links.skip {
                        Some(skip) if wanted < links.skip_end => skip.0 as usize,
                        _ => links.previous.expect("not the oldest").0 as usize,
                    };
                    steps += 1;
                }
                sum += steps;
                let bound = 3 * ((from + 1) as f64).log2().ceil() as usize;
                assert!(steps <= bound, "{from} to {to}: {steps} steps");
            }
            let mean = sum as f64 / (from + 1) as f64;
            assert!(mean <= 2.0 * ((from + 1) as f64).log2(), "{from}: {mean}");
        }
    }

    #[test]
    fn a_row_survives_its_encoding() {
        for row in list(9) {
            let mut place = [0xAA; Row::LEN];
            row.encode(&mut place);
            assert_eq!(Row::decode(&place), row);
        }
    }
}

//! The header page: whose index this is, where its sections lie, and the top of the search for a
//! queue. Kept in memory for every open index segment.

use crate::index::page::{
    self, Damage, Identity, Kind, PAGE_LEN, PAYLOAD_LEN, i64_at, u32_at, u64_at,
};
use crate::index::row::{BLOCKS_PER_PAGE, ENTRIES_PER_PAGE, FENCES_PER_PAGE, Row};
use crate::queue::ActiveIndex;
use crate::types::{QueueNumber, SegmentNumber};

/// Version of the format.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"RINGMQIX";

const AT_VERSION: usize = 8;
const AT_SHARD: usize = 10;
const AT_STORE_ID: usize = 16;
const AT_SEGMENT: usize = 32;
const AT_FIRST_MS: usize = 40;
const AT_LAST_MS: usize = 48;
const AT_PAGES: usize = 56;
const AT_SECTIONS: usize = 64;
const SECTION_LEN: usize = 24;
const AT_ROOTS: usize = AT_SECTIONS + SECTIONS.len() * SECTION_LEN;

/// Sections in the order in which they lie in the file; each starts where the one before ends.
const SECTIONS: [(Kind, u64); 6] = [
    (Kind::Fences, FENCES_PER_PAGE),
    (Kind::Directory, Row::PER_PAGE),
    (Kind::Entries, ENTRIES_PER_PAGE),
    (Kind::Blocks, BLOCKS_PER_PAGE),
    (Kind::Keys, 1),
    (Kind::Parked, 1),
];
/// Fence pages that a header has room to name: over five million queues in one segment.
const ROOTS_MAX: usize = 64;
const _: () = assert!(AT_ROOTS + 4 + ROOTS_MAX * 4 <= PAYLOAD_LEN);
const _: () = assert!(
    ROOTS_MAX as u64 * FENCES_PER_PAGE * Row::PER_PAGE >= crate::limits::SEGMENT_RECORDS_MAX
);

/// A run of pages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What is in it.
    pub kind: Kind,
    /// Number of its first page in the file.
    pub start: u32,
    /// Its pages.
    pub pages: u32,
    /// Rows, entries, blocks or fences in it.
    pub items: u64,
}

/// What the first page of an index segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose index it is.
    pub identity: Identity,
    /// Store times of the first and the last record; `None` for a segment without a block.
    pub times: Option<(i64, i64)>,
    /// Pages of the file, header and footer included.
    pub pages: u32,
    sections: [Section; SECTIONS.len()],
    /// The first queue number of each page of fences.
    roots: Vec<QueueNumber>,
}

/// The segment has more of something than the format can hold; `limits.rs` keeps logs far below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index of segment {0} would exceed its format: the segment should have rolled earlier")]
pub struct TooLarge(pub SegmentNumber);

impl Header {
    /// The header of the index segment for `index`, whose slots sorted by queue number are `order`.
    pub fn plan(identity: Identity, index: &ActiveIndex, order: &[u32]) -> Result<Self, TooLarge> {
        let too_large = TooLarge(identity.segment);
        let rows = order.len() as u64;
        let fences = rows.div_ceil(Row::PER_PAGE);
        let items = [
            fences,
            rows,
            index.records(),
            index.blocks().len() as u64,
            0,
            0,
        ];
        let mut next = 1u32;
        let mut sections = [Section {
            kind: Kind::Header,
            start: 0,
            pages: 0,
            items: 0,
        }; 6];
        for ((section, (kind, per_page)), items) in sections.iter_mut().zip(SECTIONS).zip(items) {
            let pages = u32::try_from(items.div_ceil(per_page)).map_err(|_| too_large)?;
            *section = Section {
                kind,
                start: next,
                pages,
                items,
            };
            next = next.checked_add(pages).ok_or(too_large)?;
        }
        let per_root = (FENCES_PER_PAGE * Row::PER_PAGE) as usize;
        let first_of = |chunk: &[u32]| index.slots()[chunk[0] as usize].queue;
        let roots: Vec<_> = order.chunks(per_root).map(first_of).collect();
        if roots.len() > ROOTS_MAX || index.records() > u64::from(u32::MAX) {
            return Err(too_large);
        }
        let blocks = index.blocks();
        let times = blocks.first().zip(blocks.last());
        Ok(Self {
            identity,
            times: times.map(|(first, last)| (first.first_store_ms, last.last_store_ms)),
            pages: next.checked_add(1).ok_or(too_large)?,
            sections,
            roots,
        })
    }

    /// Fills the payload of the first page.
    pub fn encode(&self, payload: &mut [u8]) {
        let (first_ms, last_ms) = self.times.unwrap_or((i64::MAX, i64::MIN));
        payload[..8].copy_from_slice(&MAGIC);
        payload[AT_VERSION..AT_SHARD].copy_from_slice(&VERSION.to_le_bytes());
        payload[AT_SHARD] = self.identity.shard.0;
        payload[AT_STORE_ID..AT_SEGMENT].copy_from_slice(&self.identity.store_id);
        payload[AT_SEGMENT..AT_FIRST_MS].copy_from_slice(&self.identity.segment.0.to_le_bytes());
        payload[AT_FIRST_MS..AT_LAST_MS].copy_from_slice(&first_ms.to_le_bytes());
        payload[AT_LAST_MS..AT_PAGES].copy_from_slice(&last_ms.to_le_bytes());
        payload[AT_PAGES..AT_PAGES + 4].copy_from_slice(&self.pages.to_le_bytes());
        let count = self.sections.len() as u32;
        payload[AT_PAGES + 4..AT_SECTIONS].copy_from_slice(&count.to_le_bytes());
        for (section, place) in self
            .sections
            .iter()
            .zip(payload[AT_SECTIONS..].chunks_mut(SECTION_LEN))
        {
            section.encode(place);
        }
        let roots = &mut payload[AT_ROOTS..];
        roots[..4].copy_from_slice(&(self.roots.len() as u32).to_le_bytes());
        for (queue, place) in self.roots.iter().zip(roots[4..].chunks_mut(4)) {
            place.copy_from_slice(&queue.0.to_le_bytes());
        }
    }

    /// Reads and checks the first page of a file of `file_len` bytes that should be `identity`'s.
    pub fn open(page: &[u8], file_len: u64, identity: Identity) -> Result<Self, Damage> {
        let damage = |reason| Damage {
            segment: identity.segment,
            page: 0,
            reason,
        };
        let payload = page::open(page, 0, Kind::Header, identity.seed()).map_err(damage)?;
        let header = Self::decode(payload, identity).map_err(damage)?;
        if file_len != u64::from(header.pages) * PAGE_LEN as u64 {
            return Err(damage("the file has another length than its header says"));
        }
        Ok(header)
    }

    fn decode(payload: &[u8], identity: Identity) -> Result<Self, &'static str> {
        if payload[..8] != MAGIC {
            return Err("it is not an index segment");
        }
        if payload[AT_VERSION..AT_SHARD] != VERSION.to_le_bytes() {
            return Err("its format version is unknown here");
        }
        let mut next = 1u32;
        let mut sections = [Section {
            kind: Kind::Header,
            start: 0,
            pages: 0,
            items: 0,
        }; 6];
        if u32_at(payload, AT_PAGES + 4) as usize != sections.len() {
            return Err("its sections do not add up");
        }
        let places = payload[AT_SECTIONS..].chunks(SECTION_LEN);
        for ((section, (kind, per_page)), place) in sections.iter_mut().zip(SECTIONS).zip(places) {
            *section = Section::decode(place, kind, next, per_page)?;
            next = next
                .checked_add(section.pages)
                .ok_or("its sections do not add up")?;
        }
        if next.checked_add(1) != Some(u32_at(payload, AT_PAGES)) {
            return Err("its sections do not add up");
        }
        let (first_ms, last_ms) = (i64_at(payload, AT_FIRST_MS), i64_at(payload, AT_LAST_MS));
        let roots = u32_at(payload, AT_ROOTS) as usize;
        if roots > ROOTS_MAX || roots as u32 != sections[0].pages {
            return Err("its sections do not add up");
        }
        let root = |index| QueueNumber(u32_at(payload, AT_ROOTS + 4 + index * 4));
        Ok(Self {
            identity,
            times: (sections[3].items > 0).then_some((first_ms, last_ms)),
            pages: next + 1,
            sections,
            roots: (0..roots).map(root).collect(),
        })
    }

    /// The section of this kind; header and footer are none.
    pub fn section(&self, kind: Kind) -> Section {
        let empty = Section {
            kind,
            start: 0,
            pages: 0,
            items: 0,
        };
        let found = self.sections.iter().find(|section| section.kind == kind);
        found.copied().unwrap_or(empty)
    }

    /// What a page of the file holds.
    pub fn kind_of(&self, page: u32) -> Kind {
        if page == 0 {
            return Kind::Header;
        }
        let inside =
            |section: &&Section| (section.start..section.start + section.pages).contains(&page);
        let section = self.sections.iter().find(inside);
        section.map_or(Kind::Footer, |section| section.kind)
    }

    /// The page of fences that covers a queue; `None` when the queue is below all rows.
    pub fn fence_page(&self, queue: QueueNumber) -> Option<u32> {
        let after = self.roots.partition_point(|&root| root <= queue) as u32;
        Some(self.section(Kind::Fences).start + after.checked_sub(1)?)
    }
}

impl Section {
    /// Version of a section's own layout; sections without pages have version 0.
    fn version(pages: u32) -> u32 {
        u32::from(pages > 0)
    }

    fn encode(&self, place: &mut [u8]) {
        place[0..4].copy_from_slice(&(self.kind as u32).to_le_bytes());
        place[4..8].copy_from_slice(&Self::version(self.pages).to_le_bytes());
        place[8..12].copy_from_slice(&self.start.to_le_bytes());
        place[12..16].copy_from_slice(&self.pages.to_le_bytes());
        place[16..24].copy_from_slice(&self.items.to_le_bytes());
    }

    fn decode(place: &[u8], kind: Kind, start: u32, per_page: u64) -> Result<Self, &'static str> {
        let section = Self {
            kind,
            start: u32_at(place, 8),
            pages: u32_at(place, 12),
            items: u64_at(place, 16),
        };
        let holds = u32_at(place, 0) == kind as u32
            && u32_at(place, 4) == Self::version(section.pages)
            && section.start == start
            && section.items.div_ceil(per_page) == u64::from(section.pages);
        if holds {
            Ok(section)
        } else {
            Err("its sections do not add up")
        }
    }
}

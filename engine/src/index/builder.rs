//! From the entries of a frozen segment to the bytes of its index segment, a stretch of pages at a
//! time and in a single pass; the same input gives the same bytes.
//!
//! The caller writes what [`Builder::fill`] gives, at consecutive positions, and looks up the older
//! rows that [`Builder::wanted`] names before each call.

use crate::index::header::{Header, TooLarge};
use crate::index::page::{self, Identity, Kind, PAGE_LEN, PAYLOAD_LEN};
use crate::index::row::{
    BLOCK_LEN, BLOCKS_PER_PAGE, ENTRIES_PER_PAGE, FENCES_PER_PAGE, Links, Row, encode_block,
};
use crate::queue::{ActiveIndex, Entry, QueueSlot};
use crate::types::{QueueNumber, SegmentNumber};

const FOOTER_MAGIC: [u8; 8] = *b"RINGMQIE";

/// Builds one index segment.
#[derive(Debug)]
pub struct Builder<'a> {
    index: &'a ActiveIndex,
    header: Header,
    /// Slots in the order of their queue numbers.
    order: Vec<u32>,
    seed: u32,
    /// The page that comes next.
    page: u32,
    /// The row whose entries come next, and how many of them are out.
    row: usize,
    within: u32,
    /// Entries of the rows whose directory row is out.
    ordinal: u32,
    /// CRC32C over the checksums of all pages so far.
    chain: u32,
}

/// A queue whose links to older index segments must be known before its row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The queue.
    pub queue: QueueNumber,
    /// Its first offset in the segment being built.
    pub first: u64,
    /// Its next older row is in this segment or an older one; `None`: it has none.
    pub previous: Option<SegmentNumber>,
}

impl<'a> Builder<'a> {
    /// A builder of the index segment of `index`.
    pub fn new(identity: Identity, index: &'a ActiveIndex) -> Result<Self, TooLarge> {
        let mut order: Vec<u32> = (0..index.slots().len() as u32).collect();
        order.sort_unstable_by_key(|&slot| index.slots()[slot as usize].queue);
        Ok(Self {
            header: Header::plan(identity, index, &order)?,
            index,
            order,
            seed: identity.seed(),
            page: 0,
            row: 0,
            within: 0,
            ordinal: 0,
            chain: 0,
        })
    }

    /// What the first page will say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The queues whose rows are in the next `pages` pages, in the order in which
    /// [`Builder::fill`] wants their links.
    pub fn wanted(&self, pages: usize) -> impl Iterator<Item = Wanted> + '_ {
        let directory = self.header.section(Kind::Directory);
        let until = self
            .page
            .saturating_add(u32::try_from(pages).unwrap_or(u32::MAX));
        let row_of = |page: u32| {
            let page = page.clamp(directory.start, directory.start + directory.pages);
            (u64::from(page - directory.start) * Row::PER_PAGE).min(directory.items) as usize
        };
        let rows = row_of(self.page)..row_of(until);
        rows.map(|row| {
            let slot = self.slot(row);
            Wanted {
                queue: slot.queue,
                first: slot.first,
                previous: slot.previous,
            }
        })
    }

    /// Fills `buffer` with the next pages and returns how many bytes; 0 when the file is complete.
    /// `links` are the answers to [`Builder::wanted`] for as many pages as the buffer holds.
    ///
    /// # Panics
    /// When `links` are fewer than were wanted.
    pub fn fill(&mut self, buffer: &mut [u8], links: &[Links]) -> usize {
        let mut links = links.iter();
        let mut filled = 0;
        for page in buffer.chunks_exact_mut(PAGE_LEN) {
            if self.page == self.header.pages {
                break;
            }
            page.fill(0);
            let kind = self.fill_page(&mut page[..PAYLOAD_LEN], &mut links);
            let crc = page::seal(page, self.page, kind, self.seed);
            self.chain = crc32c::crc32c_append(self.chain, &crc.to_le_bytes());
            self.page += 1;
            filled += PAGE_LEN;
        }
        filled
    }

    fn fill_page<'l>(
        &mut self,
        payload: &mut [u8],
        links: &mut impl Iterator<Item = &'l Links>,
    ) -> Kind {
        let (kind, within) = self.place();
        match kind {
            Kind::Header => self.header.encode(payload),
            Kind::Fences => self.fill_fences(payload, within),
            Kind::Directory => self.fill_rows(payload, within, links),
            Kind::Entries => self.fill_entries(payload),
            Kind::Blocks => self.fill_blocks(payload, within),
            // Sections that are reserved have no pages.
            Kind::Keys | Kind::Parked => {}
            Kind::Footer => encode_footer(payload, &self.header, self.chain),
        }
        kind
    }

    /// The section that the next page is in, and the page's place in it.
    fn place(&self) -> (Kind, u64) {
        let kind = self.header.kind_of(self.page);
        let start = self.header.section(kind).start;
        (kind, u64::from(self.page - start))
    }

    fn fill_fences(&self, payload: &mut [u8], page: u64) {
        let first = page * FENCES_PER_PAGE;
        let fences = self.order.iter().step_by(Row::PER_PAGE as usize);
        for (&slot, place) in fences.skip(first as usize).zip(payload.chunks_exact_mut(4)) {
            let queue = self.index.slots()[slot as usize].queue;
            place.copy_from_slice(&queue.0.to_le_bytes());
        }
    }

    fn fill_rows<'l>(
        &mut self,
        payload: &mut [u8],
        page: u64,
        links: &mut impl Iterator<Item = &'l Links>,
    ) {
        let first = (page * Row::PER_PAGE) as usize;
        let rows = first..self.order.len();
        for (row, place) in rows.zip(payload.chunks_exact_mut(Row::LEN)) {
            let slot = self.slot(row);
            let row = Row {
                queue: slot.queue,
                count: slot.count,
                first: slot.first,
                ordinal: self.ordinal,
                links: *links.next().expect("links of every row in these pages"),
            };
            row.encode(place);
            self.ordinal += row.count;
        }
    }

    fn fill_entries(&mut self, payload: &mut [u8]) {
        let mut places = payload.chunks_exact_mut(Entry::LEN);
        let mut room = ENTRIES_PER_PAGE as usize;
        while room > 0 && self.row < self.order.len() {
            let number = self.order[self.row];
            let slot = &self.index.slots()[number as usize];
            let from = slot.first + u64::from(self.within);
            let mut taken = 0;
            for (entry, place) in self.index.range(number, from, room).zip(&mut places) {
                place.copy_from_slice(&entry.encode());
                taken += 1;
            }
            room -= taken;
            self.within += taken as u32;
            if self.within == slot.count {
                (self.row, self.within) = (self.row + 1, 0);
            }
        }
    }

    fn fill_blocks(&self, payload: &mut [u8], page: u64) {
        let first = (page * BLOCKS_PER_PAGE) as usize;
        let blocks = self.index.blocks()[first..].iter();
        for (block, place) in blocks.zip(payload.chunks_exact_mut(BLOCK_LEN)) {
            encode_block(block, place);
        }
    }

    fn slot(&self, row: usize) -> &QueueSlot {
        &self.index.slots()[self.order[row] as usize]
    }
}

fn encode_footer(payload: &mut [u8], header: &Header, chain: u32) {
    payload[..8].copy_from_slice(&FOOTER_MAGIC);
    payload[8..16].copy_from_slice(&header.identity.segment.0.to_le_bytes());
    payload[16..20].copy_from_slice(&header.pages.to_le_bytes());
    payload[20..24].copy_from_slice(&chain.to_le_bytes());
}

/// Whether the payload of the last page closes a file of this header whose other pages' checksums
/// have this CRC32C.
pub fn footer_matches(payload: &[u8], header: &Header, chain: u32) -> bool {
    let mut expected = [0; PAYLOAD_LEN];
    encode_footer(&mut expected, header, chain);
    payload == expected
}

//! One open index segment, and the search for one queue's row in it: a page of fences, then a page of
//! the directory, both usually cached.

use crate::index::header::Header;
use crate::index::page::{self, Damage, Kind, u32_at};
use crate::index::row::{FENCES_PER_PAGE, Row};
use crate::types::{QueueNumber, SegmentNumber};

/// An index segment that is open for reading. `F` is how its owner reads it: a file of the ring, or of
/// the control plane.
#[derive(Debug)]
pub struct OpenSegment<F> {
    /// Its first page, checked.
    pub header: Header,
    /// Where its bytes come from.
    pub file: F,
    seed: u32,
}

/// The search for one queue's row in one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowFind {
    queue: QueueNumber,
    /// The page that is needed next.
    pub page: u32,
    /// Its kind.
    pub kind: Kind,
}

/// What a page told a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Another page is needed.
    More,
    /// The row, or that there is none.
    Row(Option<Row>),
}

impl<F> OpenSegment<F> {
    /// A segment whose header page has been read and checked ([`Header::open`]).
    pub fn new(header: Header, file: F) -> Self {
        Self {
            seed: header.identity.seed(),
            header,
            file,
        }
    }

    /// The same segment, read in another way: the control plane opens it, the shard adopts its file.
    pub fn map_file<G>(self, map: impl FnOnce(F) -> G) -> OpenSegment<G> {
        OpenSegment {
            header: self.header,
            file: map(self.file),
            seed: self.seed,
        }
    }

    /// The log segment it belongs to.
    pub fn number(&self) -> SegmentNumber {
        self.header.identity.segment
    }

    /// The payload of a page that has been read, if it is what it should be.
    pub fn check<'p>(&self, page: &'p [u8], number: u32, kind: Kind) -> Result<&'p [u8], Damage> {
        page::open(page, number, kind, self.seed).map_err(|reason| self.damage(number, reason))
    }

    pub(crate) fn damage(&self, page: u32, reason: &'static str) -> Damage {
        Damage {
            segment: self.number(),
            page,
            reason,
        }
    }
}

impl RowFind {
    /// Starts a search; `None` when the header alone tells that the queue has no row.
    pub fn new(header: &Header, queue: QueueNumber) -> Option<Self> {
        Some(Self {
            queue,
            page: header.fence_page(queue)?,
            kind: Kind::Fences,
        })
    }

    /// Takes the payload of the page it asked for.
    pub fn take(&mut self, header: &Header, payload: &[u8]) -> Search {
        let section = header.section(self.kind);
        let index = u64::from(self.page - section.start);
        if self.kind == Kind::Directory {
            let rows = (section.items - index * Row::PER_PAGE).min(Row::PER_PAGE);
            return Search::Row(find_row(payload, rows as usize, self.queue));
        }
        let first = index * FENCES_PER_PAGE;
        let fences = (section.items - first).min(FENCES_PER_PAGE) as usize;
        let after = partition(fences, |at| u32_at(payload, at * 4) <= self.queue.0);
        let Some(fence) = after.checked_sub(1) else {
            return Search::Row(None);
        };
        // Fences are as many as directory pages, whose number fits.
        self.page = header.section(Kind::Directory).start + (first as usize + fence) as u32;
        self.kind = Kind::Directory;
        Search::More
    }
}

fn find_row(payload: &[u8], rows: usize, queue: QueueNumber) -> Option<Row> {
    let queue_at = |at: usize| u32_at(payload, at * Row::LEN);
    let place = partition(rows, |at| queue_at(at) < queue.0);
    (place < rows && queue_at(place) == queue.0)
        .then(|| Row::decode(&payload[place * Row::LEN..(place + 1) * Row::LEN]))
}

/// How many of `items` sorted items come first and satisfy `before`.
pub(crate) fn partition(items: usize, mut before: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, items);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

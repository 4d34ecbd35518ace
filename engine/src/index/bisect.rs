//! Binary search over the items of one section of an index segment, page by page.

use crate::index::page::{Damage, Kind};
use crate::index::segment::partition;
use crate::index::set::{IndexSet, PageRead};
use crate::types::SegmentNumber;

/// Why a search cannot go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// It needs this page first.
    Read(PageRead),
    /// It cannot be read.
    Damaged(Damage),
}

/// A binary search over the items `low..high` of a section, which narrows by whole pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bisect {
    low: u64,
    high: u64,
    per_page: u64,
}

impl Bisect {
    pub fn new(low: u64, high: u64, per_page: u64) -> Self {
        Self {
            low,
            high,
            per_page,
        }
    }

    /// The first item that is not `before`, or `high`; else what must come first.
    pub fn run<F>(
        &mut self,
        set: &mut IndexSet<F>,
        segment: SegmentNumber,
        kind: Kind,
        before: impl Fn(&[u8], usize) -> bool,
    ) -> Result<u64, Stop> {
        while self.low < self.high {
            let page = (self.low + (self.high - self.low) / 2) / self.per_page;
            let from = self.low.max(page * self.per_page);
            let to = self.high.min((page + 1) * self.per_page);
            let payload = page_of(set, segment, kind, page)?;
            let at = (from % self.per_page) as usize;
            let passed =
                partition((to - from) as usize, |index| before(payload, at + index)) as u64;
            if passed > 0 || from == self.low {
                self.low = from + passed;
            }
            if from + passed < to {
                self.high = from + passed;
            }
        }
        Ok(self.low)
    }

    /// One item, once the search is over.
    pub fn item<F, T>(
        &self,
        set: &mut IndexSet<F>,
        segment: SegmentNumber,
        kind: Kind,
        item: u64,
        decode: impl Fn(&[u8], usize) -> T,
    ) -> Result<T, Stop> {
        let payload = page_of(set, segment, kind, item / self.per_page)?;
        Ok(decode(payload, (item % self.per_page) as usize))
    }
}

/// A page of a section out of the cache, or the read that brings it there.
fn page_of<F>(
    set: &mut IndexSet<F>,
    segment: SegmentNumber,
    kind: Kind,
    page: u64,
) -> Result<&[u8], Stop> {
    let gone = Damage {
        segment,
        page: 0,
        reason: "a search left its section",
    };
    let section = set
        .open_segment(segment)
        .map(|open| open.header.section(kind));
    let Some(section) = section.filter(|section| page < u64::from(section.pages)) else {
        return Err(Stop::Damaged(gone));
    };
    let page = section.start + page as u32;
    let read = PageRead {
        segment,
        page,
        pages: 1,
        kind,
    };
    set.cache.get(segment, page).ok_or(Stop::Read(read))
}

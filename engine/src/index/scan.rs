//! The whole directory of one index segment, in steps: retention learns from it which queues lose
//! their oldest records, and to which offset.

use crate::index::header::{Header, Section};
use crate::index::page::{Damage, Kind, PAGE_LEN};
use crate::index::row::Row;
use crate::index::segment::OpenSegment;
use crate::index::set::PageRead;
use crate::limits::INDEX_SCAN_PAGES;

/// Reads all rows of a directory, a stretch of pages at a time.
#[derive(Clone, Debug)]
pub struct DirectoryScan {
    section: Section,
    /// Pages that are done.
    done: u32,
}

impl DirectoryScan {
    /// A scan from the first row on.
    pub fn new(header: &Header) -> Self {
        Self {
            section: header.section(Kind::Directory),
            done: 0,
        }
    }

    /// The next read, or `None` when all rows are out.
    pub fn next_read<F>(&self, segment: &OpenSegment<F>) -> Option<PageRead> {
        let left = self.section.pages - self.done;
        (left > 0).then(|| PageRead {
            segment: segment.number(),
            page: self.section.start + self.done,
            pages: left.min(INDEX_SCAN_PAGES),
            kind: Kind::Directory,
        })
    }

    /// Takes the bytes of the read and hands the rows out in order of their queue numbers.
    pub fn feed<F>(
        &mut self,
        segment: &OpenSegment<F>,
        bytes: &[u8],
        mut row: impl FnMut(Row),
    ) -> Result<(), Damage> {
        let Some(read) = self.next_read(segment) else {
            return Ok(());
        };
        if bytes.len() < read.len() {
            return Err(segment.damage(read.page, "the file is cut short"));
        }
        for (page, bytes) in (read.page..read.page + read.pages).zip(bytes.chunks_exact(PAGE_LEN)) {
            let payload = segment.check(bytes, page, Kind::Directory)?;
            let first = u64::from(page - self.section.start) * Row::PER_PAGE;
            let rows = (self.section.items - first).min(Row::PER_PAGE) as usize;
            payload
                .chunks_exact(Row::LEN)
                .take(rows)
                .map(Row::decode)
                .for_each(&mut row);
        }
        self.done += read.pages;
        Ok(())
    }
}

//! Entries of one queue from one offset on, out of the index segments of a shard.

use crate::index::page::{Damage, Kind, PAGE_LEN};
use crate::index::row::{ENTRIES_PER_PAGE, Row, entry_at};
use crate::index::segment::RowFind;
use crate::index::set::{End, Goal, IndexSet, PageRead, Step, Walk};
use crate::limits::INDEX_READ_PAGES;
use crate::queue::Entry;
use crate::types::{QueueNumber, SegmentNumber};

/// The search for the entries of a queue from an offset on: [`Lookup::start`], then
/// [`Lookup::feed`] with what each [`Step::Read`] asks for.
#[derive(Clone, Debug)]
pub struct Lookup {
    queue: QueueNumber,
    offset: u64,
    max: usize,
    newest: Option<SegmentNumber>,
    stage: Stage,
    asked: Option<PageRead>,
}

/// Where a reader is: its queue's row in one segment. With it, the next lookup needs no search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The segment.
    pub segment: SegmentNumber,
    /// The queue's row in it.
    pub row: Row,
}

/// How a lookup ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Here they are.
    Found(Found),
    /// Damage or retirement has taken this offset, up to `next`.
    Hole {
        /// The next offset that is there.
        next: u64,
    },
    /// No index segment has entries of the queue.
    Nothing,
    /// The offset is newer than all index segments: it is in memory, or not there.
    Above,
    /// This index segment must be rebuilt first; the queue is busy meanwhile.
    Damaged(Damage),
}

/// Entries of one queue within one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Queue offset of the first entry, the one asked for.
    pub first: u64,
    /// At least one, at most as many as asked for; fewer at the end of the segment or of a read.
    pub entries: Vec<Entry>,
    /// Keep it for the lookup that goes on from here.
    pub cursor: Cursor,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The cursor's segment has been read out; perhaps the next one goes on.
    Next(SegmentNumber, RowFind),
    Walk(Walk),
    Entries(Cursor),
}

impl Lookup {
    /// A lookup of up to `max` entries of `queue` from `offset` on. `newest` is the newest index
    /// segment that may hold entries of the queue; `cursor` is from an earlier lookup of the queue.
    pub fn new<F>(
        set: &IndexSet<F>,
        queue: QueueNumber,
        offset: u64,
        max: usize,
        newest: Option<SegmentNumber>,
        cursor: Option<Cursor>,
    ) -> Self {
        let mut lookup = Self {
            queue,
            offset,
            max: max.max(1),
            newest,
            stage: Stage::Walk(Walk::new(queue, Goal::Offset(offset), newest)),
            asked: None,
        };
        if let Some(cursor) = cursor.filter(|cursor| cursor.row.queue == queue) {
            lookup.use_cursor(set, cursor);
        }
        lookup
    }

    /// The newest index segment it was told of.
    pub fn newest(&self) -> Option<SegmentNumber> {
        self.newest
    }

    /// Begins: an answer if the cache has all that is needed, else the first read.
    pub fn start<F>(&mut self, set: &mut IndexSet<F>) -> Step<Outcome> {
        let step = self.run(set);
        self.asked = match &step {
            Step::Read(read) => Some(*read),
            Step::Done(_) => None,
        };
        step
    }

    /// Takes the bytes of the read that was asked for: an answer or the next read.
    pub fn feed<F>(&mut self, set: &mut IndexSet<F>, bytes: &[u8]) -> Step<Outcome> {
        let Some(read) = self.asked.take() else {
            return self.start(set);
        };
        match set.take(read, bytes) {
            Err(damage) => return Step::Done(Outcome::Damaged(damage)),
            Ok(false) => self.walk_again(),
            Ok(true) => {
                if let Stage::Entries(cursor) = self.stage {
                    return Step::Done(self.found(cursor, read, bytes, PAGE_LEN));
                }
            }
        }
        self.start(set)
    }

    fn use_cursor<F>(&mut self, set: &IndexSet<F>, cursor: Cursor) {
        let row = &cursor.row;
        if (row.first..row.end()).contains(&self.offset) && set.contains(cursor.segment) {
            self.stage = Stage::Entries(cursor);
        } else if self.offset == row.end()
            && let Some(next) = set.after(cursor.segment)
            && let Some(open) = set.open_segment(next)
            && let Some(find) = RowFind::new(&open.header, self.queue)
        {
            self.stage = Stage::Next(next, find);
        }
    }

    fn walk_again(&mut self) {
        let walk = Walk::new(self.queue, Goal::Offset(self.offset), self.newest);
        self.stage = Stage::Walk(walk);
    }

    fn run<F>(&mut self, set: &mut IndexSet<F>) -> Step<Outcome> {
        loop {
            let step = match self.stage {
                Stage::Next(..) => self.next_segment(set),
                Stage::Walk(..) => self.walk(set),
                Stage::Entries(cursor) => self.read_entries(set, cursor),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Looks for the queue's row in the segment after the cursor's; where it is not there, the walk
    /// from the newest row takes over.
    fn next_segment<F>(&mut self, set: &mut IndexSet<F>) -> Option<Step<Outcome>> {
        let Stage::Next(segment, find) = &mut self.stage else {
            return None;
        };
        let segment = *segment;
        match set.search(segment, find) {
            Err(read) => return Some(Step::Read(read)),
            Ok(Some(row)) if (row.first..row.end()).contains(&self.offset) => {
                self.stage = Stage::Entries(Cursor { segment, row });
            }
            Ok(_) => self.walk_again(),
        }
        None
    }

    fn walk<F>(&mut self, set: &mut IndexSet<F>) -> Option<Step<Outcome>> {
        let Stage::Walk(walk) = &mut self.stage else {
            return None;
        };
        let end = match walk.run(set) {
            Step::Read(read) => return Some(Step::Read(read)),
            Step::Done(end) => end,
        };
        Some(Step::Done(match end {
            End::Row(segment, row) => {
                self.stage = Stage::Entries(Cursor { segment, row });
                return None;
            }
            End::Hole(next) => Outcome::Hole { next },
            End::Above => Outcome::Above,
            End::Nothing => Outcome::Nothing,
            End::Damaged(damage) => Outcome::Damaged(damage),
        }))
    }

    fn read_entries<F>(&mut self, set: &mut IndexSet<F>, cursor: Cursor) -> Option<Step<Outcome>> {
        if !set.contains(cursor.segment) {
            self.walk_again();
            return None;
        }
        let Some(read) = self.entries_read(set, cursor) else {
            let damage = set.damage_of(cursor.segment).unwrap_or(Damage {
                segment: cursor.segment,
                page: 0,
                reason: "a row names entries that are not there",
            });
            return Some(Step::Done(Outcome::Damaged(damage)));
        };
        if read.pages == 1
            && let Some(payload) = set.cache.get(read.segment, read.page)
        {
            let found = self.found(cursor, read, payload, payload.len());
            return Some(Step::Done(found));
        }
        Some(Step::Read(read))
    }

    /// The pages with the wanted entries of a row; `None` when the row does not fit its segment.
    fn entries_read<F>(&self, set: &IndexSet<F>, cursor: Cursor) -> Option<PageRead> {
        let section = set
            .open_segment(cursor.segment)?
            .header
            .section(Kind::Entries);
        let (from, count) = self.ordinals(&cursor.row);
        if count == 0 || from + count > section.items {
            return None;
        }
        let first = from / ENTRIES_PER_PAGE;
        let last = (from + count - 1) / ENTRIES_PER_PAGE;
        let pages = (last - first + 1).min(INDEX_READ_PAGES) as u32;
        Some(PageRead {
            segment: cursor.segment,
            page: section.start + first as u32,
            pages,
            kind: Kind::Entries,
        })
    }

    /// The first wanted entry's place in the segment, and how many are wanted and there.
    fn ordinals(&self, row: &Row) -> (u64, u64) {
        let from = u64::from(row.ordinal) + (self.offset - row.first);
        (from, (row.end() - self.offset).min(self.max as u64))
    }

    /// The entries in pages that have been checked; `stride` is the distance of their payloads.
    fn found(&self, cursor: Cursor, read: PageRead, bytes: &[u8], stride: usize) -> Outcome {
        let (from, count) = self.ordinals(&cursor.row);
        let skip = (from % ENTRIES_PER_PAGE) as usize;
        let here = u64::from(read.pages) * ENTRIES_PER_PAGE - skip as u64;
        let entry = |index: usize| {
            let per_page = ENTRIES_PER_PAGE as usize;
            entry_at(&bytes[index / per_page * stride..], index % per_page)
        };
        let entries = (skip..skip + count.min(here) as usize).map(entry).collect();
        Outcome::Found(Found {
            first: self.offset,
            entries,
            cursor,
        })
    }
}

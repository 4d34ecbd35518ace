//! The index segments of a shard in log order, and the walk along one queue's rows through them.
//!
//! Every retained log segment older than the frozen ones has its place here, if only as *damaged*:
//! one that is missing would look retired, and what it holds lost.

use std::collections::BTreeMap;

use crate::index::cache::PageCache;
use crate::index::page::{Damage, Kind, PAGE_LEN};
use crate::index::row::Row;
use crate::index::segment::{OpenSegment, RowFind, Search};
use crate::types::{QueueNumber, SegmentNumber};

/// The index segments of one shard, with the pages of theirs that are kept.
#[derive(Debug)]
pub struct IndexSet<F> {
    segments: BTreeMap<SegmentNumber, Slot<F>>,
    pub(crate) cache: PageCache,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are open")]
pub(crate) enum Slot<F> {
    Open(OpenSegment<F>),
    /// Missing or damaged; its rebuilding takes its place.
    Damaged(Damage),
}

/// What a lookup is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Read this and feed it, or give up.
    Read(PageRead),
    /// The answer.
    Done(T),
}

/// A read of whole pages of one index segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRead {
    /// Of which segment.
    pub segment: SegmentNumber,
    /// The first page.
    pub page: u32,
    /// How many.
    pub pages: u32,
    /// What they hold.
    pub kind: Kind,
}

impl PageRead {
    /// Byte position in the file.
    pub fn position(&self) -> u64 {
        u64::from(self.page) * PAGE_LEN as u64
    }

    /// Bytes to read.
    pub fn len(&self) -> usize {
        self.pages as usize * PAGE_LEN
    }

    /// Whether nothing is read; never.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }
}

impl<F> IndexSet<F> {
    /// A set without segments that keeps at most `cache_pages` pages.
    pub fn new(cache_pages: usize) -> Self {
        Self {
            segments: BTreeMap::new(),
            cache: PageCache::new(cache_pages),
        }
    }

    /// Adds a segment, or replaces a damaged one by what was rebuilt. The replaced one's file, if it
    /// had one, comes back.
    pub fn insert(&mut self, segment: OpenSegment<F>) -> Option<F> {
        let number = segment.number();
        self.cache.forget(number);
        self.segments
            .insert(number, Slot::Open(segment))
            .and_then(Slot::into_file)
    }

    /// Answers with damage for this segment until it is inserted again. Its file comes back.
    pub fn mark_damaged(&mut self, damage: Damage) -> Option<F> {
        self.cache.forget(damage.segment);
        self.segments
            .insert(damage.segment, Slot::Damaged(damage))
            .and_then(Slot::into_file)
    }

    /// Takes a retired segment out; its file comes back.
    pub fn remove(&mut self, segment: SegmentNumber) -> Option<F> {
        self.cache.forget(segment);
        self.segments.remove(&segment).and_then(Slot::into_file)
    }

    /// How to read a segment; `None` when it is damaged or not here (any more).
    pub fn file(&self, segment: SegmentNumber) -> Option<&F> {
        self.open_segment(segment).map(|open| &open.file)
    }

    /// The oldest segment.
    pub fn oldest(&self) -> Option<SegmentNumber> {
        self.segments.keys().next().copied()
    }

    /// The newest segment.
    pub fn newest(&self) -> Option<SegmentNumber> {
        self.segments.keys().next_back().copied()
    }

    /// The segments that wait to be rebuilt, oldest first.
    pub fn damaged(&self) -> impl Iterator<Item = Damage> + '_ {
        self.segments.values().filter_map(|slot| match slot {
            Slot::Damaged(damage) => Some(*damage),
            Slot::Open(_) => None,
        })
    }

    /// Why a segment cannot be read, if it is here and cannot.
    pub fn damage_of(&self, segment: SegmentNumber) -> Option<Damage> {
        match self.segments.get(&segment)? {
            Slot::Damaged(damage) => Some(*damage),
            Slot::Open(_) => None,
        }
    }

    /// Whether a segment is here, damaged or not.
    pub fn contains(&self, segment: SegmentNumber) -> bool {
        self.segments.contains_key(&segment)
    }

    /// An open segment.
    pub fn open_segment(&self, segment: SegmentNumber) -> Option<&OpenSegment<F>> {
        match self.segments.get(&segment)? {
            Slot::Open(open) => Some(open),
            Slot::Damaged(_) => None,
        }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (SegmentNumber, &Slot<F>)> + '_ {
        self.segments.iter().map(|(&number, slot)| (number, slot))
    }

    pub(crate) fn after(&self, segment: SegmentNumber) -> Option<SegmentNumber> {
        let range = self.segments.range(segment.next()..);
        range.map(|(&number, _)| number).next()
    }

    fn at_or_below(&self, limit: SegmentNumber) -> Option<(SegmentNumber, &Slot<F>)> {
        let (&number, slot) = self.segments.range(..=limit).next_back()?;
        Some((number, slot))
    }

    /// Checks the pages of a read and keeps a single one. `Ok(false)`: the segment is gone, and with it
    /// all older ones.
    pub(crate) fn take(&mut self, read: PageRead, bytes: &[u8]) -> Result<bool, Damage> {
        let open = match self.segments.get(&read.segment) {
            None => return Ok(false),
            Some(Slot::Damaged(damage)) => return Err(*damage),
            Some(Slot::Open(open)) => open,
        };
        if bytes.len() < read.len() {
            return Err(open.damage(read.page, "the file is cut short"));
        }
        for (page, bytes) in (read.page..read.page + read.pages).zip(bytes.chunks_exact(PAGE_LEN)) {
            let payload = open.check(bytes, page, read.kind)?;
            if read.pages == 1 {
                self.cache.insert(read.segment, page, payload);
            }
        }
        Ok(true)
    }

    /// Goes on with the search for a row in a segment as far as the cache reaches. A segment that is
    /// not open (any more) has no rows.
    pub(crate) fn search(
        &mut self,
        segment: SegmentNumber,
        find: &mut RowFind,
    ) -> Result<Option<Row>, PageRead> {
        let Some(Slot::Open(open)) = self.segments.get(&segment) else {
            return Ok(None);
        };
        loop {
            let (page, kind) = (find.page, find.kind);
            let read = PageRead {
                segment,
                page,
                pages: 1,
                kind,
            };
            let payload = self.cache.get(segment, page).ok_or(read)?;
            if let Search::Row(row) = find.take(&open.header, payload) {
                return Ok(row);
            }
        }
    }
}

impl<F> Slot<F> {
    fn into_file(self) -> Option<F> {
        match self {
            Self::Open(open) => Some(open.file),
            Self::Damaged(_) => None,
        }
    }
}

/// The way from a queue's newest row to the one that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    queue: QueueNumber,
    goal: Goal,
    /// The next row is in this segment or below.
    limit: Option<SegmentNumber>,
    find: Option<(SegmentNumber, RowFind)>,
    /// The row that was passed last.
    passed: Option<(SegmentNumber, Row)>,
    /// The offset was looked for in vain; the goal is the oldest row now.
    missing: bool,
}

/// Which row a walk looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The one with this offset.
    Offset(u64),
    /// The oldest one in this segment or above.
    Since(SegmentNumber),
}

/// Where a walk ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The row that was wanted.
    Row(SegmentNumber, Row),
    /// The offset is below a row and above the one before that, if there is one; the row starts here.
    Hole(u64),
    /// The offset is above the newest row.
    Above,
    /// There is no such row.
    Nothing,
    /// A row on the way cannot be read.
    Damaged(Damage),
}

impl Walk {
    pub fn new(queue: QueueNumber, goal: Goal, newest: Option<SegmentNumber>) -> Self {
        Self {
            queue,
            goal,
            limit: newest,
            find: None,
            passed: None,
            missing: false,
        }
    }

    /// Goes on as far as the cache reaches; after a read that was fed to the set, it reaches further.
    pub fn run<F>(&mut self, set: &mut IndexSet<F>) -> Step<End> {
        loop {
            let (segment, mut find) = match self.find.take() {
                Some(found) => found,
                None => match self.enter(set) {
                    Ok(entered) => entered,
                    Err(end) => return Step::Done(end),
                },
            };
            match set.search(segment, &mut find) {
                Err(read) => {
                    self.find = Some((segment, find));
                    return Step::Read(read);
                }
                Ok(None) => self.limit = segment.0.checked_sub(1).map(SegmentNumber),
                Ok(Some(row)) => {
                    if let Some(end) = self.pass(segment, row, set.oldest()) {
                        return Step::Done(end);
                    }
                }
            }
        }
    }

    /// Starts the search in the next segment that can hold a row.
    fn enter<F>(&mut self, set: &IndexSet<F>) -> Result<(SegmentNumber, RowFind), End> {
        loop {
            let next = self.limit.and_then(|limit| set.at_or_below(limit));
            let Some((segment, slot)) = next else {
                return Err(self.bottom());
            };
            if matches!(self.goal, Goal::Since(since) if segment < since) {
                return Err(self.bottom());
            }
            let open = match slot {
                Slot::Open(open) => open,
                Slot::Damaged(damage) => return Err(End::Damaged(*damage)),
            };
            match RowFind::new(&open.header, self.queue) {
                Some(find) => return Ok((segment, find)),
                None => self.limit = segment.0.checked_sub(1).map(SegmentNumber),
            }
        }
    }

    /// Looks at a row: the end, or where to go from it.
    fn pass(
        &mut self,
        segment: SegmentNumber,
        row: Row,
        oldest: Option<SegmentNumber>,
    ) -> Option<End> {
        let before = self.passed.replace((segment, row));
        let links = row.links;
        let mut next = match self.goal {
            Goal::Offset(offset) if offset >= row.end() => {
                return Some(before.map_or(End::Above, |(_, newer)| End::Hole(newer.first)));
            }
            Goal::Offset(offset) if offset >= row.first => return Some(End::Row(segment, row)),
            Goal::Offset(offset) if offset < links.skip_end => links.skip.or(links.previous),
            Goal::Offset(_) => links.previous,
            Goal::Since(since) => links.since(since),
        };
        if let (Goal::Offset(_), Some(oldest)) = (self.goal, oldest)
            && next.is_none_or(|next| next < oldest)
        {
            // The offset is not there: what remains is to find the first one that is.
            self.missing = true;
            self.goal = Goal::Since(oldest);
            next = links.since(oldest);
        }
        if next.is_some_and(|next| next >= segment) {
            return Some(End::Damaged(Damage {
                segment,
                page: 0,
                reason: "a row points upwards",
            }));
        }
        self.limit = next;
        next.is_none().then(|| self.bottom())
    }

    /// The end when there is no older row.
    fn bottom(&self) -> End {
        match (self.goal, self.passed) {
            (Goal::Since(_), Some((segment, row))) if !self.missing => End::Row(segment, row),
            (_, Some((_, oldest))) => End::Hole(oldest.first),
            (_, None) => End::Nothing,
        }
    }
}

//! Reads from the disk for requests that memory cannot answer: index pages, then windows of the log.
//! Their memory is bounded on its own, so that readers of the past never slow producers down.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use ringmq_ring::{ALIGNMENT, AlignedBuf, Io};
use slab::Slab;

use crate::index::{Cursor, Lookup, Outcome, PageRead, Step};
use crate::limits::{COLD_REQUESTS_MAX, CURSORS_MAX, READ_AHEAD_BYTES};
use crate::pull::{Event, PullStatus, Ticket, View};
use crate::queue::Entry;
use crate::token::Operation;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

use super::Shard;
use super::consume::PullTask;
use super::offsets_by_time::TimeTask;
use super::view::ViewTask;

/// Cold requests and what they have read.
#[derive(Debug)]
pub(super) struct Cold {
    flights: Slab<Flight>,
    /// Windows of the log that were read, oldest first.
    windows: VecDeque<(LogOffset, Bytes)>,
    window_bytes: usize,
    reading_bytes: usize,
    budget: usize,
    /// Where the last readers of a queue left off in the index segments.
    cursors: Vec<(QueueNumber, Cursor)>,
}

/// One read in flight, and the request it is for.
#[derive(Debug)]
struct Flight {
    task: ColdTask,
    read: Read,
    bytes: usize,
    cancelled: bool,
}

/// A request that waits for a read.
#[derive(Debug)]
pub(super) enum ColdTask {
    Pull(PullTask),
    View(ViewTask),
    Time(TimeTask),
}

impl ColdTask {
    fn ticket(&self) -> Ticket {
        match self {
            Self::Pull(task) => task.request.ticket,
            Self::View(task) => task.ticket,
            Self::Time(task) => task.ticket,
        }
    }

    /// The record it waits for.
    fn place(&self) -> LogOffset {
        let entry = match self {
            Self::Pull(task) => task.needed(),
            Self::Time(task) => task.needed(),
            Self::View(_) => None,
        };
        LogOffset(entry.map_or(0, |entry| entry.offset))
    }
}

/// What a read is of.
#[derive(Debug)]
enum Read {
    /// Index pages, for the entries of a queue.
    Entries(Lookup),
    /// Index pages; the task itself holds the search.
    Pages,
    /// A part of a log segment.
    Window {
        segment: SegmentNumber,
        start: LogOffset,
    },
}

/// What a request needs before it can go on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// Entries of a queue from an offset on.
    Entries { queue: QueueNumber, offset: u64 },
    /// The bytes of a record, and of those after it.
    Record(Entry),
    /// The bytes of a record alone.
    RecordAlone(Entry),
    /// This part of the log.
    Range { start: LogOffset, len: u32 },
    /// These index pages.
    Pages(PageRead),
}

/// What came of beginning a read.
pub(super) enum Began {
    /// It is in flight; the task comes back with its completion.
    Flying,
    /// What was needed is there already.
    Ready(ColdTask),
    /// It cannot be read now.
    Refused(ColdTask),
    /// It was read and is not what it should be.
    Broken(ColdTask),
}

impl Cold {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            flights: Slab::new(),
            windows: VecDeque::new(),
            window_bytes: 0,
            reading_bytes: 0,
            budget,
            cursors: Vec::new(),
        }
    }

    /// Reads in flight.
    pub(super) fn reads(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn in_flight(&self) -> bool {
        !self.flights.is_empty()
    }

    /// No event will come for this ticket; the read in flight ends by itself.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        for (_, flight) in &mut self.flights {
            if flight.task.ticket() == ticket {
                flight.cancelled = true;
            }
        }
    }

    /// The window that holds `len` bytes at `place`, and where in it.
    pub(super) fn window_at(&self, place: LogOffset, len: usize) -> Option<(&Bytes, usize)> {
        let newest_first = self.windows.iter().rev();
        newest_first
            .filter(|(start, _)| *start <= place)
            .map(|(start, bytes)| (bytes, (place.0 - start.0) as usize))
            .find(|(bytes, at)| at + len <= bytes.len())
    }

    /// Windows of segments that are gone leave at once.
    pub(super) fn forget_before(&mut self, place: LogOffset) {
        self.windows.retain(|(start, _)| *start >= place);
        self.window_bytes = self.windows.iter().map(|(_, bytes)| bytes.len()).sum();
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.flights.len() < COLD_REQUESTS_MAX
            && (self.reading_bytes == 0 || self.reading_bytes + bytes <= self.budget)
    }

    fn keep(&mut self, start: LogOffset, bytes: Bytes) {
        self.window_bytes += bytes.len();
        self.windows.push_back((start, bytes));
        while self.window_bytes + self.reading_bytes > self.budget && self.windows.len() > 1 {
            if let Some((_, oldest)) = self.windows.pop_front() {
                self.window_bytes -= oldest.len();
            }
        }
    }

    fn cursor(&self, queue: QueueNumber) -> Option<Cursor> {
        let found = self.cursors.iter().find(|(of, _)| *of == queue);
        found.map(|(_, cursor)| *cursor)
    }

    fn keep_cursor(&mut self, queue: QueueNumber, cursor: Cursor) {
        if let Some(at) = self.cursors.iter().position(|(of, _)| *of == queue) {
            self.cursors.remove(at);
        } else if self.cursors.len() >= CURSORS_MAX {
            self.cursors.remove(0);
        }
        self.cursors.push((queue, cursor));
    }
}

impl<I: Io> Shard<I> {
    /// Begins the read that a task needs.
    pub(super) fn begin_read(&mut self, io: &mut I, need: Need, task: ColdTask) -> Began {
        match need {
            Need::Entries { queue, offset } => self.find_entries(io, queue, offset, task),
            Need::Record(entry) => self.read_window(io, entry, READ_AHEAD_BYTES, task),
            Need::RecordAlone(entry) => self.read_window(io, entry, 0, task),
            Need::Range { start, len } => {
                let entry = Entry {
                    offset: start.0,
                    size: len,
                    ..Entry::default()
                };
                self.read_window(io, entry, 0, task)
            }
            Need::Pages(read) => self.read_pages(io, read, Read::Pages, task),
        }
    }

    /// A cold read is complete.
    pub(super) fn cold_read(
        &mut self,
        io: &mut I,
        key: u64,
        result: io::Result<usize>,
        buffer: Option<AlignedBuf>,
    ) {
        let Some(flight) = self.cold.flights.try_remove(key as usize) else {
            return;
        };
        self.cold.reading_bytes -= flight.bytes;
        if let Read::Window { segment, .. } = flight.read
            && let Some(segment) = self.log.segments.get_mut(segment)
        {
            segment.reads -= 1;
        }
        if flight.cancelled {
            return;
        }
        let bytes = match (&result, buffer) {
            (Ok(count), Some(buffer)) => {
                Bytes::from_owner(buffer).slice(..(*count).min(flight.bytes))
            }
            _ => Bytes::new(),
        };
        if let Err(error) = &result {
            tracing::error!(shard = self.index.0, %error, "a read of the log failed");
        }
        match self.take_read(io, flight.read, bytes, flight.task) {
            Began::Flying => {}
            Began::Ready(task) => self.resume(io, task),
            Began::Refused(task) => self.refuse(task, PullStatus::Busy),
            Began::Broken(task) => {
                self.counters.damaged += 1;
                let block = task.place();
                self.refuse(task, PullStatus::Damaged { block });
            }
        }
    }

    fn take_read(&mut self, io: &mut I, read: Read, bytes: Bytes, task: ColdTask) -> Began {
        match read {
            Read::Entries(mut lookup) => {
                let step = lookup.feed(&mut self.indexes, &bytes);
                self.step_entries(io, step, lookup, task)
            }
            Read::Pages => self.feed_pages(io, &bytes, task),
            Read::Window { start, .. } => self.take_window(start, bytes, task),
        }
    }

    fn take_window(&mut self, start: LogOffset, bytes: Bytes, mut task: ColdTask) -> Began {
        let whole = match &mut task {
            // The record it was read for must be in it, or the task would ask for it again for ever.
            ColdTask::Pull(pull) => covers(start, &bytes, pull.needed()),
            ColdTask::Time(time) => covers(start, &bytes, time.needed()),
            ColdTask::View(view) => {
                view.take_block(start, bytes.clone());
                return Began::Ready(task);
            }
        };
        if !whole {
            return Began::Broken(task);
        }
        self.cold.keep(start, bytes);
        Began::Ready(task)
    }

    fn find_entries(
        &mut self,
        io: &mut I,
        queue: QueueNumber,
        offset: u64,
        task: ColdTask,
    ) -> Began {
        let newest = self.newest_index_segment(queue);
        let cursor = self.cold.cursor(queue);
        let entries = ENTRIES_PER_LOOKUP;
        let mut lookup = Lookup::new(&self.indexes, queue, offset, entries, newest, cursor);
        let step = lookup.start(&mut self.indexes);
        self.step_entries(io, step, lookup, task)
    }

    fn step_entries(
        &mut self,
        io: &mut I,
        step: Step<Outcome>,
        lookup: Lookup,
        mut task: ColdTask,
    ) -> Began {
        let outcome = match step {
            Step::Read(read) => return self.read_pages(io, read, Read::Entries(lookup), task),
            Step::Done(outcome) => outcome,
        };
        match outcome {
            Outcome::Found(found) => {
                let queue = match &mut task {
                    ColdTask::Pull(pull) => pull.take_entries(found.first, found.entries),
                    ColdTask::Time(time) => time.take_entries(found.first, found.entries),
                    ColdTask::View(_) => None,
                };
                let Some(queue) = queue else {
                    return Began::Refused(task);
                };
                self.cold.keep_cursor(queue, found.cursor);
                Began::Ready(task)
            }
            Outcome::Hole { next } => {
                if let ColdTask::Pull(pull) = &mut task {
                    pull.lost_until(next);
                    return Began::Ready(task);
                }
                Began::Refused(task)
            }
            Outcome::Damaged(damage) => {
                self.index_damaged(io, damage);
                Began::Refused(task)
            }
            Outcome::Nothing | Outcome::Above => self.gap_below_memory(io, &lookup, task),
        }
    }

    /// No index segment has the offset, and memory begins above it: damage has taken what was between.
    fn gap_below_memory(&mut self, io: &mut I, lookup: &Lookup, mut task: ColdTask) -> Began {
        let ColdTask::Pull(pull) = &mut task else {
            return Began::Refused(task);
        };
        let (queue, offset) = (pull.request.queue, pull.request.offset);
        if self.newest_index_segment(queue) != lookup.newest() {
            // What was in memory has gone to disk meanwhile.
            return self.find_entries(io, queue, offset, task);
        }
        let frozen = self.log.frozen.iter().map(|frozen| &*frozen.index);
        let firsts = frozen
            .chain(std::iter::once(&self.log.active))
            .filter_map(|index| Some(index.first(index.slot_of(queue)?)));
        let next = firsts.filter(|&first| first > offset).min();
        let max = self.offsets(queue).max;
        if next.is_none() && self.entries_in_memory(pull, max) {
            return Began::Ready(task);
        }
        // Nothing of the queue is left behind the offset: its end is the next that will be readable.
        pull.lost_until(next.unwrap_or(max));
        Began::Ready(task)
    }

    /// The newest index segment on disk that may hold entries of a queue.
    pub(super) fn newest_index_segment(&self, queue: QueueNumber) -> Option<SegmentNumber> {
        let oldest_first = self.log.frozen.iter().map(|frozen| &*frozen.index);
        for index in oldest_first.chain(std::iter::once(&self.log.active)) {
            if let Some(slot) = index.slot_of(queue) {
                return index.slots()[slot as usize].previous;
            }
        }
        self.queues.get(queue)?.newest
    }

    fn read_pages(&mut self, io: &mut I, read: PageRead, what: Read, task: ColdTask) -> Began {
        let Some(&file) = self.indexes.file(read.segment) else {
            return Began::Refused(task);
        };
        if !self.cold.has_room_for(read.len()) {
            return Began::Refused(task);
        }
        let key = self.fly(task, what, read.len());
        let buffer = AlignedBuf::zeroed(read.len());
        io.read(file, read.position(), buffer, Operation::Cold.token(key));
        Began::Flying
    }

    /// Reads the record at `entry` and up to `ahead` bytes from its start.
    fn read_window(&mut self, io: &mut I, entry: Entry, ahead: usize, task: ColdTask) -> Began {
        let place = LogOffset(entry.offset);
        let written = self.log.marks().written();
        let Some((segment, within)) = self.log.segments.locate(place) else {
            return Began::Refused(task);
        };
        let from = within - within % ALIGNMENT as u64;
        let start = LogOffset(place.0 - (within - from));
        let needed = (within - from) as usize + entry.size as usize;
        let readable = written
            .0
            .saturating_sub(start.0)
            .min(self.log.segments.size - from) as usize;
        let len = needed.max(ahead.min(readable)).next_multiple_of(ALIGNMENT);
        let (number, file, retiring) = (segment.number, segment.file, segment.retiring);
        if retiring || needed > readable || !self.cold.has_room_for(len) {
            return Began::Refused(task);
        }
        if let Some(segment) = self.log.segments.get_mut(number) {
            segment.reads += 1;
        }
        let window = Read::Window {
            segment: number,
            start,
        };
        let key = self.fly(task, window, len);
        let buffer = AlignedBuf::zeroed(len);
        io.read(file, from, buffer, Operation::Cold.token(key));
        Began::Flying
    }

    fn fly(&mut self, task: ColdTask, read: Read, bytes: usize) -> u64 {
        self.cold.reading_bytes += bytes;
        let flight = Flight {
            task,
            read,
            bytes,
            cancelled: false,
        };
        self.cold.flights.insert(flight) as u64
    }

    fn feed_pages(&mut self, io: &mut I, bytes: &[u8], task: ColdTask) -> Began {
        match task {
            ColdTask::View(view) => self.feed_view(io, bytes, view),
            ColdTask::Time(time) => self.feed_time(io, bytes, time),
            ColdTask::Pull(_) => Began::Refused(task),
        }
    }

    fn resume(&mut self, io: &mut I, task: ColdTask) {
        let event = match task {
            ColdTask::Pull(task) => self
                .run_pull(io, task)
                .map(|(ticket, result)| Event::Pulled { ticket, result }),
            ColdTask::View(task) => {
                let ticket = task.ticket;
                self.run_view(io, task)
                    .map(|view| Event::Viewed { ticket, view })
            }
            ColdTask::Time(task) => {
                let ticket = task.ticket;
                self.run_time(io, task)
                    .map(|offset| Event::OffsetFound { ticket, offset })
            }
        };
        self.events.extend(event);
    }

    fn refuse(&mut self, task: ColdTask, status: PullStatus) {
        let event = match task {
            ColdTask::Pull(task) => Event::Pulled {
                ticket: task.request.ticket,
                result: self.pull_result(&task, status),
            },
            ColdTask::View(task) => Event::Viewed {
                ticket: task.ticket,
                view: match status {
                    PullStatus::Damaged { .. } => View::Damaged,
                    _ => View::Busy,
                },
            },
            ColdTask::Time(task) => Event::OffsetFound {
                ticket: task.ticket,
                offset: self.best_guess(&task),
            },
        };
        self.events.push_back(event);
    }
}

/// Entries asked of an index segment at a time: one read of its pages.
const ENTRIES_PER_LOOKUP: usize = 1024;

fn covers(start: LogOffset, bytes: &Bytes, needed: Option<Entry>) -> bool {
    needed.is_some_and(|entry| {
        entry.offset >= start.0
            && entry.offset + u64::from(entry.size) <= start.0 + bytes.len() as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_leave_when_the_budget_is_spent_and_are_found_by_what_they_hold() {
        let mut cold = Cold::new(8192);
        for start in [0, 4096, 8192] {
            cold.keep(LogOffset(start), Bytes::from(vec![1; 4096]));
        }
        assert!(cold.window_at(LogOffset(100), 10).is_none());
        assert_eq!(cold.window_at(LogOffset(4100), 10).map(|w| w.1), Some(4));
        assert!(cold.window_at(LogOffset(8180), 20).is_none());
    }
}

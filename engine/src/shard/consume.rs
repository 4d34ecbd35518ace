//! Pulling: index entries, then bytes from the hot tail, from windows of earlier cold reads, or from the
//! disk. One state machine does all of it; most pulls end in their first step, in memory.

use bytes::Bytes;
use ringmq_ring::Io;

use crate::block::record_crc;
use crate::limits::{GROUP_OFFSETS_MAX, LENT_PART_MIN, PULL_RECORDS_MAX, PULL_SCAN_MAX};
use crate::pull::{Event, PullOutcome, PullRequest, PullResult, PullStatus, Ticket};
use crate::queue::Entry;
use crate::types::{Committed, CommittedPlace, LogOffset, Offsets, QueueNumber, TopicId};

use super::Shard;
use super::cold::{Began, ColdTask, Need};

/// Entries copied out of an index at a time.
const ENTRIES_AT_ONCE: usize = 64;

/// A pull on its way.
#[derive(Debug)]
pub(super) struct PullTask {
    pub(super) request: PullRequest,
    /// The offset that was asked for first; `request.offset` moves on past what the filter drops.
    pub(super) asked: u64,
    /// Entries of the queue from `request.offset + gathered` on, `at` of them used.
    pub(super) entries: Vec<Entry>,
    pub(super) at: usize,
    scanned: u64,
    lost_until: Option<u64>,
    found: Gathered,
}

/// Records for the answer.
#[derive(Debug, Default)]
struct Gathered {
    records: Vec<Bytes>,
    count: u32,
    bytes: u32,
    /// The slice that grows while records follow each other in one block.
    growing: Option<Slice>,
}

#[derive(Debug)]
struct Slice {
    block: Bytes,
    /// Where in the log `block` begins, if it is a block of the hot tail: those need no check.
    hot: Option<LogOffset>,
    start: usize,
    end: usize,
}

impl Slice {
    /// A small part of what was read from the disk is copied: a slow reader would keep all of it.
    fn lent(self) -> Bytes {
        let range = self.start..self.end;
        if self.hot.is_none() && range.len() * LENT_PART_MIN < self.block.len() {
            Bytes::copy_from_slice(&self.block[range])
        } else {
            self.block.slice(range)
        }
    }
}

/// How far a pull got.
pub(super) enum Progress {
    /// The answer.
    Answer(PullResult),
    /// Nothing new; it may wait.
    Nothing,
    /// A read is needed first.
    Read(Need),
}

impl PullTask {
    pub(super) fn new(request: PullRequest, asked: u64) -> Self {
        Self {
            request,
            asked,
            entries: Vec::new(),
            at: 0,
            scanned: 0,
            lost_until: None,
            found: Gathered::default(),
        }
    }

    /// The entry whose bytes it waits for.
    pub(super) fn needed(&self) -> Option<Entry> {
        self.entries.get(self.at).copied()
    }

    /// Takes entries found in an index segment; the queue they are of, if they are what was asked for.
    pub(super) fn take_entries(&mut self, first: u64, entries: Vec<Entry>) -> Option<QueueNumber> {
        if first != self.request.offset || entries.is_empty() {
            return None;
        }
        self.entries = entries;
        self.at = 0;
        Some(self.request.queue)
    }

    /// Damage has taken everything from the offset asked for up to `next`.
    pub(super) fn lost_until(&mut self, next: u64) {
        self.lost_until = Some(next);
    }

    fn has_room_for(&self, entry: &Entry) -> bool {
        let found = &self.found;
        found.count == 0
            || (found.count < self.request.max_messages.min(PULL_RECORDS_MAX)
                && found.bytes.saturating_add(entry.size) <= self.request.max_bytes)
    }

    fn is_spent(&self) -> bool {
        self.scanned >= PULL_SCAN_MAX
            || self.found.count >= self.request.max_messages.clamp(1, PULL_RECORDS_MAX)
    }
}

impl Gathered {
    /// Adds the record at `start..end` of `block`; neighbours share a slice.
    fn push(&mut self, hot: Option<LogOffset>, block: &Bytes, start: usize, end: usize) {
        self.took(end - start);
        if let Some(slice) = &mut self.growing
            && slice.end == start
            && slice.block.as_ptr() == block.as_ptr()
        {
            slice.end = end;
            return;
        }
        self.cut();
        self.growing = Some(Slice {
            block: block.clone(),
            hot,
            start,
            end,
        });
    }

    /// Adds the record at `place` if it follows the one before it in the same block: the usual case, and
    /// it needs no search for the block.
    fn push_next(&mut self, place: LogOffset, len: usize) -> bool {
        let Some(slice) = &mut self.growing else {
            return false;
        };
        let next = slice.hot.map(|base| base.plus(slice.end as u64));
        if next != Some(place) || slice.end + len > slice.block.len() {
            return false;
        }
        slice.end += len;
        self.took(len);
        true
    }

    fn took(&mut self, len: usize) {
        self.count += 1;
        self.bytes += len as u32;
    }

    fn cut(&mut self) {
        if let Some(slice) = self.growing.take() {
            self.records.push(slice.lent());
        }
    }
}

impl<I: Io> Shard<I> {
    /// Reads from a queue: at once when the records are in memory, else [`Event::Pulled`] later.
    pub fn pull(&mut self, io: &mut I, request: PullRequest) -> PullOutcome {
        let asked = request.offset;
        match self.run_pull(io, PullTask::new(request, asked)) {
            Some((_, result)) => PullOutcome::Ready(result),
            None => PullOutcome::Pending,
        }
    }

    /// Forgets a pending pull, view or search; no event comes for it.
    pub fn cancel(&mut self, ticket: Ticket) {
        if !self.waiters.cancel(ticket) {
            self.cold.cancel(ticket);
        }
    }

    /// Sets a group's offset for a queue; clamped to the visible end. Shown at once, in the log within a
    /// second. A full table drops it: the group then resumes from what is known of it.
    pub fn commit_offset(&mut self, group: &str, queue: QueueNumber, offset: u64) {
        if let Some(row) = self.queues.get(queue)
            && !group.is_empty()
            && group.len() <= crate::limits::NAME_BYTES_MAX
        {
            let offset = offset.min(row.visible);
            self.offsets.set(group, queue, offset, GROUP_OFFSETS_MAX);
        }
    }

    /// A group's offset for a queue.
    pub fn committed_offset(&self, group: &str, queue: QueueNumber) -> Option<u64> {
        self.offsets.get(group, queue)
    }

    /// Offsets that groups have committed in this shard's queues, those after a place, in an order that
    /// stays: whoever wants all of them walks some at a time. What is committed behind the walker is missed.
    pub fn committed_offsets(
        &self,
        after: Option<CommittedPlace>,
    ) -> impl Iterator<Item = Committed<'_>> {
        let rows = self.offsets.rows_after(after.map(|place| place.0));
        rows.filter_map(|row| {
            let queue = self.queues.get(row.queue)?;
            Some(Committed {
                place: CommittedPlace((row.queue, row.group)),
                topic: queue.topic,
                queue_id: queue.queue_id,
                group: self.offsets.name(row.group)?,
                offset: row.offset,
            })
        })
    }

    /// This shard's queues, those after a number, with their topics and the offsets that may be shown.
    pub fn queues_after(
        &self,
        after: Option<QueueNumber>,
    ) -> impl Iterator<Item = (QueueNumber, TopicId, Offsets)> {
        let from = after.map_or(QueueNumber(0), |after| {
            QueueNumber(after.0.saturating_add(1))
        });
        let queues = self.queues.from(from);
        queues.map(|(number, queue)| (number, queue.topic, queue.offsets()))
    }

    /// Drops all offsets of a group in this shard.
    pub fn forget_group_offsets(&mut self, group: &str) {
        self.offsets.forget_group(group);
    }

    /// Runs a pull as far as memory reaches. The answer with its ticket, or `None` when it waits or reads.
    pub(super) fn run_pull(
        &mut self,
        io: &mut I,
        mut task: PullTask,
    ) -> Option<(Ticket, PullResult)> {
        let ticket = task.request.ticket;
        match self.advance_pull(&mut task) {
            Progress::Answer(result) => Some((ticket, result)),
            Progress::Nothing => self.wait(task).map(|result| (ticket, result)),
            Progress::Read(need) => match self.begin_read(io, need, ColdTask::Pull(task)) {
                Began::Ready(ColdTask::Pull(task)) => self.run_pull(io, task),
                Began::Refused(ColdTask::Pull(task)) => {
                    Some((ticket, self.pull_result(&task, PullStatus::Busy)))
                }
                _ => None,
            },
        }
    }

    /// Answers the pulls that wait for the queues that have moved on.
    pub(super) fn answer_woken(&mut self, io: &mut I) {
        if self.woken.is_empty() {
            return;
        }
        let mut woken = std::mem::take(&mut self.woken);
        let mut waiting = Vec::new();
        for queue in woken.drain(..) {
            self.waiters.take_queue(queue, &mut waiting);
            // The one that waits longest comes first.
            for (wait, _) in waiting.drain(..).rev() {
                let task = PullTask::new(wait.request, wait.asked);
                if let Some((ticket, result)) = self.run_pull(io, task) {
                    self.events.push_back(Event::Pulled { ticket, result });
                }
            }
        }
        self.woken = woken;
    }

    /// The answer to a pull that has waited in vain.
    pub(super) fn nothing_new(&self, request: PullRequest, asked: u64) -> PullResult {
        let status = if request.offset > asked {
            PullStatus::NoMatched
        } else {
            PullStatus::NoNew
        };
        self.pull_result(&PullTask::new(request, asked), status)
    }

    pub(super) fn advance_pull(&mut self, task: &mut PullTask) -> Progress {
        let Some(queue) = self.queues.get(task.request.queue) else {
            return Progress::Answer(self.pull_result(task, PullStatus::NoQueue));
        };
        let Offsets { min, max } = queue.offsets();
        let offset = task.request.offset;
        if let Some((status, next)) = out_of_range(offset, min, max) {
            task.request.offset = next;
            return Progress::Answer(self.pull_result(task, status));
        }
        if let Some(next) = task.lost_until.take() {
            self.counters.damaged += 1;
            task.request.offset = next;
            // Where in the log it lay is what was lost.
            let block = LogOffset(0);
            return Progress::Answer(self.pull_result(task, PullStatus::Damaged { block }));
        }
        self.scan(task, max)
    }

    fn scan(&mut self, task: &mut PullTask, max: u64) -> Progress {
        while task.request.offset < max && !task.is_spent() {
            if task.at == task.entries.len() && !self.entries_in_memory(task, max) {
                if task.found.count > 0 {
                    break;
                }
                return Progress::Read(Need::Entries {
                    queue: task.request.queue,
                    offset: task.request.offset,
                });
            }
            let entry = task.entries[task.at];
            match self.scan_entry(task, entry) {
                Scanned::Next => {
                    task.at += 1;
                    task.scanned += 1;
                    task.request.offset += 1;
                }
                Scanned::Full => break,
                Scanned::Missing if task.found.count > 0 => break,
                Scanned::Missing if task.request.max_messages == 1 => {
                    return Progress::Read(Need::RecordAlone(entry));
                }
                Scanned::Missing => return Progress::Read(Need::Record(entry)),
                Scanned::Damaged(_) if task.found.count > 0 => break,
                Scanned::Damaged(block) => {
                    self.counters.damaged += 1;
                    // A hole will never be readable: the reader may go on behind it, if it chooses to.
                    let skip = u64::from(entry.is_hole());
                    task.request.offset += skip;
                    let status = PullStatus::Damaged { block };
                    return Progress::Answer(self.pull_result(task, status));
                }
            }
        }
        self.scanned(task, max)
    }

    fn scanned(&self, task: &mut PullTask, max: u64) -> Progress {
        if task.found.count > 0 {
            let mut result = self.pull_result(task, PullStatus::Found);
            task.found.cut();
            result.records = std::mem::take(&mut task.found.records);
            if self.log.readers_hold_too_much() {
                let copies = result.records.iter_mut();
                copies.for_each(|slice| *slice = Bytes::copy_from_slice(slice));
            }
            result.count = task.found.count;
            result.bytes = task.found.bytes;
            Progress::Answer(result)
        } else if task.request.offset < max {
            Progress::Answer(self.pull_result(task, PullStatus::NoMatched))
        } else {
            Progress::Nothing
        }
    }

    fn scan_entry(&self, task: &mut PullTask, entry: Entry) -> Scanned {
        let place = LogOffset(entry.offset);
        if entry.is_hole() {
            return Scanned::Damaged(place);
        }
        if !task.request.filter.matches(entry.tag_hash) {
            return Scanned::Next;
        }
        if !task.has_room_for(&entry) {
            return Scanned::Full;
        }
        let size = entry.size as usize;
        if task.found.push_next(place, size) {
            return Scanned::Next;
        }
        if let Some((at, block)) = self.log.hot_block(place) {
            let start = (place.0 - at.0) as usize;
            task.found.push(Some(at), block, start, start + size);
            return Scanned::Next;
        }
        match self.cold.window_at(place, size) {
            None => Scanned::Missing,
            Some((window, start)) => {
                let end = start + size;
                if record_crc(&window[start..end]) != entry.crc32c {
                    return Scanned::Damaged(place);
                }
                task.found.push(None, window, start, end);
                Scanned::Next
            }
        }
    }

    /// Refills the task's entries from the active or a frozen index; `false` when the offset is older.
    pub(super) fn entries_in_memory(&self, task: &mut PullTask, max: u64) -> bool {
        let (queue, offset) = (task.request.queue, task.request.offset);
        let frozen = self.log.frozen.iter().rev().map(|f| &*f.index);
        for index in std::iter::once(&self.log.active).chain(frozen) {
            let Some(slot) = index.slot_of(queue) else {
                continue;
            };
            if offset < index.first(slot) {
                continue;
            }
            let wanted = (max - offset).min(ENTRIES_AT_ONCE as u64) as usize;
            task.entries.clear();
            task.entries.extend(index.range(slot, offset, wanted));
            task.at = 0;
            return !task.entries.is_empty();
        }
        false
    }

    fn wait(&mut self, task: PullTask) -> Option<PullResult> {
        let PullTask { request, asked, .. } = task;
        let running = self.phase == super::Phase::Running;
        match request.wait_until_ns {
            Some(deadline) if running && deadline > self.now.monotonic_ns => {
                let refused = self.waiters.add(request, asked, deadline).err()?;
                Some(self.nothing_new(refused, asked))
            }
            _ => Some(self.nothing_new(request, asked)),
        }
    }

    pub(super) fn pull_result(&self, task: &PullTask, status: PullStatus) -> PullResult {
        let Offsets { min, max } = self.offsets(task.request.queue);
        PullResult {
            status,
            records: Vec::new(),
            count: 0,
            bytes: 0,
            next: task.request.offset,
            min,
            max,
        }
    }
}

enum Scanned {
    /// Taken or dropped: on to the next.
    Next,
    /// The answer holds no more.
    Full,
    /// Its bytes are not in memory.
    Missing,
    /// Its bytes are wrong or lost.
    Damaged(LogOffset),
}

/// The answer to an offset outside of `min..=max`, and where to go on.
fn out_of_range(offset: u64, min: u64, max: u64) -> Option<(PullStatus, u64)> {
    if max == 0 && offset > 0 {
        Some((PullStatus::Empty, 0))
    } else if offset < min {
        Some((PullStatus::TooSmall, min))
    } else if offset > max {
        Some((PullStatus::BeyondMax, max))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_block_share_a_slice() {
        let block = Bytes::from(vec![7; 100]);
        let mut found = Gathered::default();
        found.push(Some(LogOffset(0)), &block, 10, 20);
        assert!(found.push_next(LogOffset(20), 30) && !found.push_next(LogOffset(60), 10));
        found.push(Some(LogOffset(0)), &block, 60, 70);
        found.cut();
        let lengths: Vec<_> = found.records.iter().map(Bytes::len).collect();
        assert_eq!((lengths, found.count, found.bytes), (vec![40, 10], 3, 50));
    }

    #[test]
    fn offsets_outside_of_the_queue_are_answered_with_where_to_go_on() {
        assert_eq!(out_of_range(3, 5, 9), Some((PullStatus::TooSmall, 5)));
        assert_eq!(out_of_range(10, 5, 9), Some((PullStatus::BeyondMax, 9)));
        assert_eq!(out_of_range(4, 0, 0), Some((PullStatus::Empty, 0)));
        assert_eq!(out_of_range(9, 5, 9), None);
        assert_eq!(out_of_range(0, 0, 0), None);
    }
}

//! Reads a state file back, chunk after chunk, believing nothing that it has not checked.

use super::chunk::{ENVELOPE_BYTES, Rows, StateFault, Table, announced_len, decode};
use super::rows::Row;
use super::{Counters, GroupNameRow, GroupRow, OffsetRow, QueueRow, TopicRow};
use crate::block::LogIdentity;
use crate::limits::{GROUP_OFFSETS_MAX, GROUPS_MAX, QUEUES_MAX, TOPICS_MAX};
use crate::types::{GroupNumber, LogOffset, QueueNumber, TopicId};

/// Which position the row of each key reflects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage<K> {
    /// Last key and position of every chunk of the table but its last.
    chunks: Vec<(K, LogOffset)>,
    last: LogOffset,
}

impl<K> Default for Coverage<K> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            last: LogOffset(0),
        }
    }
}

impl<K: Ord> Coverage<K> {
    /// The log below this position is reflected in the row of `key`, or in its absence.
    pub fn of<Q: Ord + ?Sized>(&self, key: &Q) -> LogOffset
    where
        K: std::borrow::Borrow<Q>,
    {
        let chunk = self.chunks.partition_point(|(last, _)| last.borrow() < key);
        self.chunks.get(chunk).map_or(self.last, |found| found.1)
    }
}

/// A state file, read. Without one (before the first checkpoint) it is empty and covers nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedState {
    /// The next numbers.
    pub counters: Counters,
    /// Queues by number.
    pub queues: Vec<QueueRow>,
    /// What they reflect.
    pub queues_at: Coverage<QueueNumber>,
    /// Group names by number.
    pub group_names: Vec<GroupNameRow>,
    /// What they reflect.
    pub group_names_at: Coverage<GroupNumber>,
    /// Offsets by queue, then group.
    pub offsets: Vec<OffsetRow>,
    /// What they reflect.
    pub offsets_at: Coverage<(QueueNumber, GroupNumber)>,
    /// Topics by id.
    pub topics: Vec<TopicRow>,
    /// What they reflect.
    pub topics_at: Coverage<TopicId>,
    /// Groups by name.
    pub groups: Vec<GroupRow>,
    /// What they reflect.
    pub groups_at: Coverage<String>,
}

/// Takes the bytes of a state file in pieces of any size, in order.
#[derive(Debug)]
pub struct StateReader {
    identity: LogIdentity,
    generation: u64,
    pending: Vec<u8>,
    next_index: u32,
    table: Option<Table>,
    state: LoadedState,
}

impl StateReader {
    /// A reader of the file of this generation.
    pub fn new(identity: LogIdentity, generation: u64) -> Self {
        Self {
            identity,
            generation,
            pending: Vec::new(),
            next_index: 0,
            table: Some(Table::Counters),
            state: LoadedState::default(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), StateFault> {
        self.pending.extend_from_slice(piece);
        let mut at = 0;
        while self.table.is_some() && self.pending.len() - at >= ENVELOPE_BYTES {
            let rest = &self.pending[at..];
            let len = announced_len(rest).ok_or(StateFault::Damaged {
                index: self.next_index,
            })?;
            let Some(chunk) = rest.get(..len) else { break };
            let (head, rows) = decode(&self.identity, chunk, self.next_index)?;
            if Some(head.table) != self.table
                || head.generation != self.generation
                || head.index != self.next_index
            {
                return Err(StateFault::Damaged {
                    index: self.next_index,
                });
            }
            self.accept(rows, head.position, head.last_of_table)?;
            if head.last_of_table {
                self.table = head.table.next();
            }
            self.next_index += 1;
            at += len;
        }
        self.pending.drain(..at);
        Ok(())
    }

    /// Whether the last chunk of the last table has been taken.
    pub fn is_complete(&self) -> bool {
        self.table.is_none()
    }

    /// The state, and the number of chunks it came in.
    ///
    /// # Errors
    /// [`StateFault::Short`] when chunks are missing.
    pub fn finish(self) -> Result<(LoadedState, u32), StateFault> {
        if !self.is_complete() {
            return Err(StateFault::Short);
        }
        Ok((self.state, self.next_index))
    }

    fn accept(&mut self, rows: Rows, position: LogOffset, last: bool) -> Result<(), StateFault> {
        let damaged = StateFault::Damaged {
            index: self.next_index,
        };
        let state = &mut self.state;
        let at = (position, last);
        let done = match rows {
            Rows::Counters(counters) => {
                state.counters = counters.read();
                Some(())
            }
            Rows::Queues(new) => extend(&mut state.queues, &mut state.queues_at, new, at),
            Rows::Names(new) => extend(&mut state.group_names, &mut state.group_names_at, new, at),
            Rows::Offsets(new) => extend(&mut state.offsets, &mut state.offsets_at, new, at),
            Rows::Topics(new) => extend(&mut state.topics, &mut state.topics_at, new, at),
            Rows::Groups(new) => extend(&mut state.groups, &mut state.groups_at, new, at),
        };
        done.ok_or(damaged)?;
        let bounded = state.queues.len() <= QUEUES_MAX
            && state.offsets.len() <= GROUP_OFFSETS_MAX
            && state.topics.len() <= TOPICS_MAX
            && state.groups.len() <= GROUPS_MAX
            && state.group_names.len() <= GROUP_OFFSETS_MAX;
        if bounded {
            Ok(())
        } else {
            Err(StateFault::Bound)
        }
    }
}

/// Adds a chunk's rows; `None` when they are not in order or contradict themselves.
fn extend<R: Row>(
    rows: &mut Vec<R>,
    coverage: &mut Coverage<R::Key>,
    archive: R::Archive,
    (position, last_of_table): (LogOffset, bool),
) -> Option<()> {
    let new = R::read(archive)?;
    let mut previous = rows.last().map(Row::key);
    for row in &new {
        let key = row.key();
        if previous.is_some_and(|previous| previous >= key) {
            return None;
        }
        previous = Some(key);
    }
    if last_of_table {
        coverage.last = position;
    } else {
        coverage.chunks.push((previous?, position));
    }
    rows.extend(new);
    Some(())
}

//! Makes the chunks of one state file, one per call, so that no step of a checkpoint is long.

use ringmq_ring::AlignedBuf;

use super::chunk::{ChunkHead, ROW_BYTES, Rows, Table, encode};
use super::rows::{CountersArchive, Row};
use super::{Counters, GroupNameRow, GroupRow, OffsetRow, QueueRow, TopicRow};
use crate::block::LogIdentity;
use crate::types::LogOffset;

/// Makes the chunks of one generation. Tables come in the order of [`Table::ALL`]; each is asked for
/// again, from the first row not yet taken, until a chunk says that it was the last.
#[derive(Debug)]
pub struct StateWriter {
    identity: LogIdentity,
    generation: u64,
    chunks: u32,
    bytes: u64,
    highest: LogOffset,
}

/// One chunk, to be written after those before it.
#[derive(Debug)]
pub struct Chunk {
    /// Its bytes, whole pages.
    pub bytes: AlignedBuf,
    /// Where it goes in the file.
    pub at: u64,
    /// Rows taken from the iterator; the next chunk begins with the row after them.
    pub rows: usize,
    /// Whether the table is complete with it.
    pub last_of_table: bool,
}

impl StateWriter {
    /// A writer of the file of this generation.
    pub fn new(identity: LogIdentity, generation: u64) -> Self {
        Self {
            identity,
            generation,
            chunks: 0,
            bytes: 0,
            highest: LogOffset(0),
        }
    }

    /// Chunks made so far.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Bytes of the chunks made so far: where the next one goes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The highest position of any chunk: durable must pass it before the file is published.
    pub fn highest(&self) -> LogOffset {
        self.highest
    }

    /// The counters, which reflect the log below `position` (all that is appended).
    pub fn counters(&mut self, position: LogOffset, counters: &Counters) -> Chunk {
        let rows = Rows::Counters(CountersArchive::of(counters));
        self.chunk(Table::Counters, position, &rows, 1, true)
    }

    /// The next queues, in ascending order of their numbers.
    pub fn queues(&mut self, position: LogOffset, rows: impl Iterator<Item = QueueRow>) -> Chunk {
        self.table(Table::Queues, position, rows, Rows::Queues)
    }

    /// The next group names, in ascending order of their numbers.
    pub fn group_names(
        &mut self,
        position: LogOffset,
        rows: impl Iterator<Item = GroupNameRow>,
    ) -> Chunk {
        self.table(Table::GroupNames, position, rows, Rows::Names)
    }

    /// The next offsets, in ascending order of queue, then group.
    pub fn offsets(&mut self, position: LogOffset, rows: impl Iterator<Item = OffsetRow>) -> Chunk {
        self.table(Table::Offsets, position, rows, Rows::Offsets)
    }

    /// The next topics, in ascending order of their ids.
    pub fn topics(&mut self, position: LogOffset, rows: impl Iterator<Item = TopicRow>) -> Chunk {
        self.table(Table::Topics, position, rows, Rows::Topics)
    }

    /// The next groups, in ascending order of their names.
    pub fn groups(&mut self, position: LogOffset, rows: impl Iterator<Item = GroupRow>) -> Chunk {
        self.table(Table::Groups, position, rows, Rows::Groups)
    }

    fn table<R: Row>(
        &mut self,
        table: Table,
        position: LogOffset,
        mut rows: impl Iterator<Item = R>,
        wrap: impl Fn(R::Archive) -> Rows,
    ) -> Chunk {
        let mut archive = R::Archive::default();
        let (mut taken, mut bytes) = (0, 0);
        let last_of_table = loop {
            let Some(row) = rows.next() else { break true };
            bytes += row.stored_bytes();
            if bytes > ROW_BYTES && taken > 0 {
                break false;
            }
            row.push(&mut archive);
            taken += 1;
        };
        self.chunk(table, position, &wrap(archive), taken, last_of_table)
    }

    fn chunk(
        &mut self,
        table: Table,
        position: LogOffset,
        rows: &Rows,
        taken: usize,
        last_of_table: bool,
    ) -> Chunk {
        let head = ChunkHead {
            table,
            last_of_table,
            generation: self.generation,
            index: self.chunks,
            position,
        };
        let bytes = encode(&self.identity, &head, rows);
        let at = self.bytes;
        self.chunks += 1;
        self.bytes += bytes.len() as u64;
        self.highest = self.highest.max(position);
        Chunk {
            bytes,
            at,
            rows: taken,
            last_of_table,
        }
    }
}

//! The walk along the log: from the checkpoint, block by block, to the end of what counts.
//!
//! ```text
//!             good ──> accept
//! block at p ─ bad ──> the log goes on in the next segment (number and checksum fit) ──> go there
//!                  └─> look ahead at everything behind p, which may raise W
//!                        p below W ──> damage: quarantine, go on behind it
//!                        else      ──> the end: nothing behind p counts
//! ```
//!
//! W is always the end of a block, so a bad block that begins below W ends at or below it.

use ringmq_ring::planted::{self, planted};
use ringmq_ring::{ALIGNMENT, Disk};

use super::error::RecoveryError;
use super::files::{ShardFolder, open_locked};
use super::look_ahead::{Seen, look_ahead, look_over, newer, run_start};
use super::recovered::{Damage, DamageKind, RecoveryReport, TornTail};
use super::replay::Replay;
use super::runs::{Cursor, Runs};
use super::segment_reader::SegmentReader;
use crate::block::{BlockFault, BlockHeader, BlockView, DamagedBlock, HEADER_BYTES, LogIdentity};
use crate::control_record::RunStart;
use crate::manifest::BlockMark;
use crate::types::{LogOffset, SegmentNumber};

/// Most bytes read to find the footer of a block without a header.
const DAMAGED_BYTES_MAX: u64 = 64 << 20;

/// Where the scan begins and what it need not read.
pub(super) struct Plan<'a> {
    /// Replay of state begins here.
    pub start: BlockMark,
    /// Segments whose indexes are on disk.
    pub indexed: &'a [SegmentNumber],
    /// After a clean stop the log ends here for certain.
    pub clean_end: Option<LogOffset>,
}

/// The scan of one shard's log.
pub(super) struct Scan<'a, D: Disk> {
    pub disk: &'a D,
    pub folder: &'a ShardFolder,
    pub plan: Plan<'a>,
    pub segments: &'a mut [(SegmentNumber, Option<D::File>)],
    pub runs: Runs,
    /// W, the highest found so far.
    pub durable: LogOffset,
    pub replay: Replay,
    pub report: RecoveryReport,
    /// The end of the last accepted block.
    pub accepted: BlockMark,
    /// The highest epoch of any whole block, accepted or not.
    pub epoch: u64,
    /// Bytes that belong to the log, per segment of `segments`.
    pub used: Vec<Option<u64>>,
    ahead: Option<Vec<Seen>>,
}

/// What becomes of a cursor at a bad block.
enum Verdict {
    /// Read on here.
    Go(Cursor),
    /// The log ends.
    End,
}

/// What lies at the cursor.
enum Found {
    Accepted(Cursor),
    Bad(BlockFault),
}

impl<'a, D: Disk> Scan<'a, D> {
    pub fn new(
        disk: &'a D,
        folder: &'a ShardFolder,
        plan: Plan<'a>,
        segments: &'a mut [(SegmentNumber, Option<D::File>)],
        runs: &[RunStart],
        replay: Replay,
    ) -> Self {
        Self {
            disk,
            folder,
            accepted: plan.start,
            used: vec![None; segments.len()],
            plan,
            segments,
            runs: Runs::new(runs),
            durable: LogOffset(0),
            replay,
            report: RecoveryReport::default(),
            epoch: 0,
            ahead: None,
        }
    }

    /// Walks to the end of the log.
    pub async fn run(&mut self) -> Result<(), RecoveryError> {
        let Some(mut cursor) = self.first_cursor() else {
            self.report.scan_start = self.plan.start.end;
            return Ok(());
        };
        self.report.scan_start = cursor.at;
        loop {
            cursor = self.skip_indexed(cursor);
            self.runs.follow(&mut cursor);
            let Some(index) = self.segment_at(cursor.at) else {
                break;
            };
            match self.walk_segment(index, cursor).await? {
                Some(next) => cursor = next,
                None => break,
            }
        }
        Ok(())
    }

    // Segments ---------------------------------------------------------------------------------

    /// Reads one segment from the cursor on; returns where to go on, `None` at the end of the log.
    async fn walk_segment(
        &mut self,
        index: usize,
        mut cursor: Cursor,
    ) -> Result<Option<Cursor>, RecoveryError> {
        let file = self.take_file(index).await?;
        let number = self.segments[index].0;
        let path = self.folder.segment(number);
        let limit = self.identity().segment_bytes;
        let mut reader = SegmentReader::new(self.disk, &file, path, limit).await?;
        self.replay.enter(number, self.is_indexed(number));
        self.used[index].get_or_insert(0);
        let outcome = loop {
            self.pass_start(&mut cursor);
            let before = cursor;
            self.runs.follow(&mut cursor);
            if self.identity().split(cursor.at).0 != number.0 {
                break Some(cursor);
            }
            match self.block_at(&mut reader, cursor).await? {
                Found::Accepted(next) => {
                    cursor = next;
                    self.note_used(index, cursor.at);
                }
                Found::Bad(fault) => match self.resolve(&mut reader, cursor, fault).await? {
                    Verdict::Go(next) if next == before => break None,
                    Verdict::Go(next) => cursor = next,
                    Verdict::End => break None,
                },
            }
        };
        self.report.bytes_read += reader.bytes_read;
        drop(reader);
        self.segments[index].1 = Some(file);
        Ok(outcome)
    }

    /// The cursor at the oldest part that must be read; `None` when there is no segment.
    fn first_cursor(&self) -> Option<Cursor> {
        let start = self.plan.start.end;
        let unindexed = self
            .segments
            .iter()
            .find(|(number, _)| !self.is_indexed(*number));
        let (start_segment, _) = self.identity().split(start);
        match unindexed {
            Some((number, _)) if number.0 <= start_segment => Some(self.segment_start(*number)),
            _ if self.segments.is_empty() => None,
            _ => Some(self.marked(self.plan.start)),
        }
    }

    /// Steps over segments that need not be read: indexed ones before the start of replay.
    fn skip_indexed(&self, mut cursor: Cursor) -> Cursor {
        let (start_segment, _) = self.identity().split(self.plan.start.end);
        loop {
            let (segment, _) = self.identity().split(cursor.at);
            let number = SegmentNumber(segment);
            if segment >= start_segment || !self.is_indexed(number) {
                return cursor;
            }
            cursor = if segment + 1 == start_segment && self.is_indexed(number.next()) {
                self.marked(self.plan.start)
            } else {
                self.segment_start(number.next())
            };
        }
    }

    fn segment_start(&self, number: SegmentNumber) -> Cursor {
        Cursor {
            at: LogOffset::of_segment(number, self.identity().segment_bytes),
            epoch: None,
            sequence: None,
            checksum: None,
        }
    }

    fn marked(&self, mark: BlockMark) -> Cursor {
        Cursor {
            at: mark.end,
            epoch: None,
            sequence: Some(mark.next_sequence),
            checksum: Some(mark.checksum),
        }
    }

    /// Where the checkpoint knows what must come next, and damage has made it unknown, it is known again.
    fn pass_start(&self, cursor: &mut Cursor) {
        let start = self.plan.start;
        if cursor.at == start.end && cursor.sequence.is_none() {
            cursor.sequence = Some(start.next_sequence);
            cursor.checksum = Some(start.checksum);
        }
    }

    fn segment_at(&self, at: LogOffset) -> Option<usize> {
        let (segment, _) = self.identity().split(at);
        self.segments
            .iter()
            .position(|(number, _)| number.0 == segment)
    }

    fn is_indexed(&self, number: SegmentNumber) -> bool {
        self.plan.indexed.contains(&number)
    }

    fn identity(&self) -> &'a LogIdentity {
        &self.folder.identity
    }

    async fn take_file(&mut self, index: usize) -> Result<D::File, RecoveryError> {
        let (number, file) = &mut self.segments[index];
        match file.take() {
            Some(file) => Ok(file),
            None => {
                let path = self.folder.segment(*number);
                open_locked(self.disk, &path, self.folder.lock_wait).await
            }
        }
    }

    /// The log reaches up to `end` in this segment.
    fn note_used(&mut self, index: usize, end: LogOffset) {
        let start = LogOffset::of_segment(self.segments[index].0, self.identity().segment_bytes);
        let used = end
            .0
            .saturating_sub(start.0)
            .min(self.identity().segment_bytes);
        self.used[index] = Some(used);
    }

    // Blocks -----------------------------------------------------------------------------------

    /// Takes the block at the cursor in, if it is the one that must come next.
    async fn block_at(
        &mut self,
        reader: &mut SegmentReader<'_, D>,
        cursor: Cursor,
    ) -> Result<Found, RecoveryError> {
        let (_, within) = self.identity().split(cursor.at);
        let within = u64::from(within);
        let head = reader.at(within, HEADER_BYTES).await?;
        let header = match BlockHeader::parse(head, self.identity(), cursor.at) {
            Ok(header) => header,
            Err(BlockFault::Version { found }) => return Err(newer(reader, within, found)),
            Err(fault) => return Ok(Found::Bad(fault)),
        };
        let block = reader.at(within, header.block_len as usize).await?;
        let view = match BlockView::parse(block, self.identity(), cursor.at) {
            Ok(view) => view,
            Err(fault) => return Ok(Found::Bad(fault)),
        };
        self.epoch = self.epoch.max(header.epoch);
        if !self.follows(&cursor, &view) {
            return Ok(Found::Bad(BlockFault::NoMagic));
        }
        self.take_in(&view)?;
        Ok(Found::Accepted(Cursor {
            at: header.end(),
            epoch: Some(header.epoch),
            sequence: Some(header.sequence.saturating_add(1)),
            checksum: Some(view.checksum()),
        }))
    }

    /// Whether a whole block is the one that must come next. A newer run than the manifest knows is
    /// believed when it says itself that it begins here.
    fn follows(&mut self, cursor: &Cursor, view: &BlockView<'_>) -> bool {
        let header = view.header();
        let sequence = cursor.sequence.is_none_or(|next| header.sequence == next);
        let checksum = cursor
            .checksum
            .is_none_or(|sum| header.previous_checksum == sum);
        if !sequence || !checksum {
            return planted(planted::NO_EPOCH_CHECK) && sequence;
        }
        match cursor.epoch {
            None => true,
            Some(epoch) if header.epoch == epoch => true,
            Some(epoch) if header.epoch > epoch => match run_start(view) {
                // Without its manifest a run is still known by its own first block.
                Some(run) if !planted(planted::EPOCH_NOT_DURABLE) => {
                    self.runs.learn(run);
                    true
                }
                _ => false,
            },
            Some(_) => planted(planted::NO_EPOCH_CHECK),
        }
    }

    fn take_in(&mut self, view: &BlockView<'_>) -> Result<(), RecoveryError> {
        let header = view.header();
        self.replay.accept(view)?;
        self.durable = self.durable.max(header.durable);
        self.report.blocks += 1;
        self.accept_up_to(BlockMark {
            end: header.end(),
            next_sequence: header.sequence.saturating_add(1),
            checksum: view.checksum(),
        });
        Ok(())
    }

    fn accept_up_to(&mut self, mark: BlockMark) {
        if mark.end > self.accepted.end {
            self.accepted = mark;
        }
    }

    // Bad blocks -------------------------------------------------------------------------------

    async fn resolve(
        &mut self,
        reader: &mut SegmentReader<'_, D>,
        cursor: Cursor,
        fault: BlockFault,
    ) -> Result<Verdict, RecoveryError> {
        if self.plan.clean_end == Some(cursor.at) || planted(planted::BAD_CHECKSUM_ENDS_LOG) {
            return Ok(Verdict::End);
        }
        if !planted(planted::NO_EPOCH_CHECK)
            && let Some(next) = self.rolled(cursor).await?
        {
            return Ok(Verdict::Go(next));
        }
        self.look_ahead_once(reader, cursor.at).await?;
        let mut followed = cursor;
        self.runs.follow(&mut followed);
        if followed != cursor {
            return Ok(Verdict::Go(followed));
        }
        if cursor.at < self.durable {
            return self.quarantine(reader, cursor).await;
        }
        self.set_aside(cursor, fault);
        Ok(Verdict::End)
    }

    /// The first block of the next segment, when it is exactly the one that must come next, whole or
    /// damaged.
    async fn rolled(&mut self, cursor: Cursor) -> Result<Option<Cursor>, RecoveryError> {
        let (segment, within) = self.identity().split(cursor.at);
        if cursor.sequence.is_none() {
            return Ok(None);
        }
        let next = Cursor {
            at: LogOffset::of_segment(SegmentNumber(segment + 1), self.identity().segment_bytes),
            ..cursor
        };
        let Some(index) = self.segment_at(next.at).filter(|_| within > 0) else {
            return Ok(None);
        };
        let file = self.take_file(index).await?;
        let path = self.folder.segment(self.segments[index].0);
        let limit = self.identity().segment_bytes;
        let mut reader = SegmentReader::new(self.disk, &file, path, limit).await?;
        let len =
            match BlockHeader::parse(reader.at(0, HEADER_BYTES).await?, self.identity(), next.at) {
                Ok(header) => header.block_len as usize,
                Err(BlockFault::Version { found }) => return Err(newer(&reader, 0, found)),
                Err(_) => HEADER_BYTES,
            };
        let block = reader.at(0, len).await?;
        let view = BlockView::parse(block, self.identity(), next.at);
        let follows = match view {
            Ok(view) => cursor.checksum.is_some() && self.follows(&next, &view),
            Err(BlockFault::Blank | BlockFault::Foreign { .. }) => false,
            Err(_) => {
                let known = (len > HEADER_BYTES).then_some(len);
                let bytes = reader
                    .at(0, known.unwrap_or(DAMAGED_BYTES_MAX as usize))
                    .await?;
                DamagedBlock::read(bytes, self.identity(), next.at).is_some_and(|damaged| {
                    self.damage_follows(&next, &damaged, LogOffset(u64::MAX))
                })
            }
        };
        self.report.bytes_read += reader.bytes_read;
        drop(reader);
        self.segments[index].1 = Some(file);
        Ok(follows.then_some(next))
    }

    /// Learns of every whole block behind the first bad one: their W, epochs and runs.
    async fn look_ahead_once(
        &mut self,
        reader: &mut SegmentReader<'_, D>,
        at: LogOffset,
    ) -> Result<(), RecoveryError> {
        if self.ahead.is_some() {
            return Ok(());
        }
        let mut seen = Vec::new();
        look_ahead(reader, self.identity(), at, &mut seen).await?;
        let (segment, _) = self.identity().split(at);
        for index in 0..self.segments.len() {
            let number = self.segments[index].0;
            if number.0 <= segment {
                continue;
            }
            let file = self.take_file(index).await?;
            let path = self.folder.segment(number);
            let limit = self.identity().segment_bytes;
            let start = LogOffset::of_segment(number, limit);
            let mut reader = SegmentReader::new(self.disk, &file, path, limit).await?;
            look_over(&mut reader, self.identity(), start, &mut seen).await?;
            self.report.bytes_read += reader.bytes_read;
            drop(reader);
            self.segments[index].1 = Some(file);
        }
        for block in &seen {
            self.durable = self.durable.max(block.durable);
            self.epoch = self.epoch.max(block.epoch);
            if let Some(run) = block.run
                && !planted(planted::EPOCH_NOT_DURABLE)
            {
                self.runs.learn(run);
            }
        }
        self.ahead = Some(seen);
        Ok(())
    }

    /// Damage below W: keeps what can be read and steps behind it.
    async fn quarantine(
        &mut self,
        reader: &mut SegmentReader<'_, D>,
        cursor: Cursor,
    ) -> Result<Verdict, RecoveryError> {
        let limit = self.runs.limit(&cursor);
        let next = self.candidate(&cursor, limit);
        let horizon = next.map(|next| next.at).or(limit).unwrap_or(self.durable);
        let (_, within) = self.identity().split(cursor.at);
        let readable = (horizon.0 - cursor.at.0).min(DAMAGED_BYTES_MAX) as usize;
        let bytes = reader.at(u64::from(within), readable).await?;
        if let Some(damaged) = DamagedBlock::read(bytes, self.identity(), cursor.at)
            && self.damage_follows(&cursor, &damaged, horizon)
        {
            self.replay.accept_damaged(&damaged, bytes)?;
            return Ok(Verdict::Go(self.pass_damaged(cursor, &damaged)));
        }
        Ok(Verdict::Go(self.pass_unreadable(cursor, next, horizon)))
    }

    /// The first whole block behind the cursor that belongs to the log.
    fn candidate(&self, cursor: &Cursor, limit: Option<LogOffset>) -> Option<Seen> {
        let belongs = |block: &&Seen| {
            block.at >= cursor.at
                && cursor.epoch.is_none_or(|epoch| block.epoch >= epoch)
                && cursor.sequence.is_none_or(|next| block.sequence >= next)
                && limit.is_none_or(|limit| block.at < limit)
        };
        self.ahead.iter().flatten().find(belongs).copied()
    }

    fn damage_follows(&self, cursor: &Cursor, damaged: &DamagedBlock, horizon: LogOffset) -> bool {
        cursor.sequence.is_none_or(|next| damaged.sequence == next)
            && cursor.epoch.is_none_or(|epoch| damaged.epoch == epoch)
            && damaged.end() <= horizon
    }

    fn pass_damaged(&mut self, cursor: Cursor, damaged: &DamagedBlock) -> Cursor {
        let lost = damaged
            .records
            .iter()
            .filter(|record| !record.readable)
            .count() as u32;
        self.report.damage.push(Damage {
            from: cursor.at,
            to: damaged.end(),
            kind: DamageKind::Block {
                lost,
                readable: damaged.records.len() as u32 - lost,
                unattributed: damaged.unattributed() as u32,
            },
        });
        self.epoch = self.epoch.max(damaged.epoch);
        self.accept_up_to(BlockMark {
            end: damaged.end(),
            next_sequence: damaged.sequence.saturating_add(1),
            checksum: damaged.checksum.unwrap_or(0),
        });
        if let Some(index) = self.segment_at(cursor.at) {
            self.note_used(index, damaged.end());
        }
        Cursor {
            at: damaged.end(),
            epoch: Some(damaged.epoch),
            sequence: Some(damaged.sequence.saturating_add(1)),
            checksum: damaged.checksum,
        }
    }

    fn pass_unreadable(
        &mut self,
        cursor: Cursor,
        next: Option<Seen>,
        horizon: LogOffset,
    ) -> Cursor {
        let nothing_between = next.is_some_and(|next| Some(next.sequence) == cursor.sequence);
        if nothing_between {
            let at = cursor.at.0;
            self.replay
                .warn(|| format!("the block at {at:#x} does not name the one before it"));
        } else {
            self.report.damage.push(Damage {
                from: cursor.at,
                to: horizon,
                kind: DamageKind::Unreadable,
            });
            self.replay.lose_unknown(horizon);
        }
        let sequence = next.map_or_else(
            || self.sequence_beyond(cursor, horizon),
            |next| next.sequence,
        );
        self.accept_up_to(BlockMark {
            end: horizon,
            next_sequence: sequence,
            checksum: 0,
        });
        Cursor {
            at: horizon,
            epoch: next.map(|next| next.epoch).or(cursor.epoch),
            sequence: Some(sequence),
            checksum: None,
        }
    }

    /// A number that no lost block can have had: none is shorter than a page.
    fn sequence_beyond(&self, cursor: Cursor, horizon: LogOffset) -> u64 {
        let pages = (horizon.0 - cursor.at.0) / ALIGNMENT as u64;
        let next = cursor.sequence.unwrap_or(self.accepted.next_sequence);
        next.saturating_add(pages)
    }

    /// The torn tail, if there is anything.
    fn set_aside(&mut self, cursor: Cursor, fault: BlockFault) {
        let behind = self.ahead.iter().flatten().filter(|block| {
            block.at >= cursor.at && cursor.epoch.is_none_or(|epoch| block.epoch >= epoch)
        });
        let (blocks, to) = behind.fold((0, cursor.at), |(count, to), block| {
            (count + 1, to.max(block.end))
        });
        let untouched = matches!(fault, BlockFault::Blank | BlockFault::Foreign { .. });
        if blocks > 0 || !untouched {
            self.report.tail = Some(TornTail {
                from: cursor.at,
                blocks,
                to,
            });
        }
    }
}

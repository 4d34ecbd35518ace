//! Appending: room, place, bytes, index entry; the acknowledgement follows the watermark.

use ringmq_protocol::{RecordParts, RecordView, Stamp};
use ringmq_ring::{Io, Moment};

use crate::control_record::ControlRecord;
use crate::error::{Bound, Refused};
use crate::limits::QUEUES_MAX;
use crate::log::{CommitLog, Origin};
use crate::pull::Ticket;
use crate::queue::Entry;
use crate::types::{QueueNumber, SegmentNumber, TopicId};

use super::{Appended, AppendedBatch, Phase, Shard};

impl<I: Io> Shard<I> {
    /// Binds (topic, queue id) to a queue number before its first record; the existing one when it is
    /// bound already.
    pub fn bind_queue(&mut self, topic: TopicId, queue_id: u32) -> Result<QueueNumber, Refused> {
        if let Some(number) = self.queues.number(topic, queue_id) {
            return Ok(number);
        }
        self.may_append()?;
        if self.queues.len() >= QUEUES_MAX {
            return Err(Refused::TableFull("queues"));
        }
        let queue = self.queues.next_number();
        let queue = queue.ok_or(Refused::TableFull("queues"))?;
        self.control(&ControlRecord::QueueBind {
            queue,
            topic,
            queue_id,
        })?;
        Ok(self.queues.bind(topic, queue_id))
    }

    /// Appends a record; its place is fixed when this returns. [`crate::Event::Stored`] (SYNC: durable,
    /// ASYNC: written) or [`crate::Event::Failed`] with the ticket follows.
    pub fn append(
        &mut self,
        queue: QueueNumber,
        parts: &RecordParts<'_>,
        ticket: Ticket,
    ) -> Result<Appended, Refused> {
        self.append_tagged(queue, parts, parts.tags_code(), ticket)
    }

    /// As [`Shard::append`], by a caller who has read the properties and knows what
    /// [`RecordParts::tags_code`] finds in them.
    pub fn append_tagged(
        &mut self,
        queue: QueueNumber,
        parts: &RecordParts<'_>,
        tags_code: i64,
        ticket: Ticket,
    ) -> Result<Appended, Refused> {
        self.may_append()?;
        parts.validate().map_err(|_| Refused::Malformed)?;
        let len = parts.encoded_len();
        self.room(queue, len, 1)?;
        let appended = self.push_record(queue, parts, len, tags_code);
        self.log.ack(ticket);
        Ok(appended)
    }

    /// Appends all records or none, with consecutive offsets, in one commit block.
    pub fn append_batch(
        &mut self,
        queue: QueueNumber,
        parts: &[RecordParts<'_>],
        ticket: Ticket,
    ) -> Result<AppendedBatch, Refused> {
        self.may_append()?;
        let mut bytes = 0;
        for record in parts {
            record.validate().map_err(|_| Refused::Malformed)?;
            bytes += record.encoded_len();
        }
        if parts.is_empty() {
            return Err(Refused::Malformed);
        }
        self.room(queue, bytes, parts.len())?;
        let mut physical = Vec::with_capacity(parts.len());
        let mut first = None;
        for record in parts {
            let len = record.encoded_len();
            let appended = self.push_record(queue, record, len, record.tags_code());
            physical.push(appended.physical);
            first.get_or_insert(appended);
        }
        self.log.ack(ticket);
        let first = first.ok_or(Refused::Malformed)?;
        Ok(AppendedBatch { first, physical })
    }

    /// Whether anything may be appended at all.
    pub(super) fn may_append(&self) -> Result<(), Refused> {
        if self.keeper.run_to_begin().is_some() && self.phase == Phase::Running && !self.read_only {
            return Err(Refused::Busy(Bound::Segment));
        }
        match self.phase {
            Phase::Running if self.read_only => Err(Refused::ReadOnly),
            Phase::Running => Ok(()),
            Phase::Stopping | Phase::Stopped => Err(Refused::Stopping),
            Phase::Failed => Err(Refused::Failed),
        }
    }

    /// Appends a control record; nobody is told.
    pub(super) fn control(&mut self, record: &ControlRecord<'_>) -> Result<(), Refused> {
        Self::control_in(&mut self.log, record, self.now)
    }

    /// As [`Shard::control`], for callers that lend parts of the shard to the record.
    pub(super) fn control_in(
        log: &mut CommitLog,
        record: &ControlRecord<'_>,
        now: Moment,
    ) -> Result<(), Refused> {
        let len = record.encoded_len();
        log.reserve(len, 1, Origin::Control, now)?;
        let store_ms = log.store_ms(now);
        let mut fits = true;
        log.push(QueueNumber::CONTROL, len, store_ms, |slot, _| {
            fits = record.encode(slot).is_ok();
        });
        // Bounds of names and payloads are checked where they come in; lists are cut to theirs.
        assert!(fits, "a control record beyond its bounds: {record:?}");
        Ok(())
    }

    /// Makes room for a control record of up to `bytes`.
    pub(super) fn room_for_control(&mut self, bytes: usize) -> Result<(), Refused> {
        self.log.reserve(bytes, 1, Origin::Control, self.now)
    }

    fn room(&mut self, queue: QueueNumber, bytes: usize, count: usize) -> Result<(), Refused> {
        if self.queues.get(queue).is_none() {
            return Err(Refused::Unknown);
        }
        let room = self.log.reserve(bytes, count, Origin::Send, self.now);
        match room {
            Err(Refused::Busy(_)) => self.counters.refused_busy += 1,
            Err(Refused::Full) => self.counters.refused_full += 1,
            _ => {}
        }
        room
    }

    /// The one copy of the body happens here: from the caller's bytes into the block that is written.
    fn push_record(
        &mut self,
        number: QueueNumber,
        parts: &RecordParts<'_>,
        len: usize,
        tags_code: i64,
    ) -> Appended {
        let Some(queue) = self.queues.get_mut(number) else {
            unreachable!("the queue is looked up before room is made")
        };
        let (queue_offset, shard) = (queue.next, self.index);
        let store_time_ms = self.log.store_ms(self.now);
        let (place, placed) = self.log.push(number, len, store_time_ms, |slot, place| {
            let stamp = Stamp {
                queue_offset: queue_offset as i64,
                physical_offset: place.physical(shard).0 as i64,
                store_timestamp: store_time_ms,
            };
            parts.encode_into(slot, stamp);
            // A rebuild of the index takes it from the stored bytes.
            debug_assert_eq!(
                RecordView::parse(slot).map(|record| record.tags_code()),
                Ok(tags_code)
            );
        });
        let segment = self.log.active.segment();
        if queue.slot_segment != Some(segment) {
            // It may say this segment when damage has taken all of the queue's records in it.
            let below = segment.0.checked_sub(1).map(SegmentNumber);
            let older = queue.newest.and_then(|newest| below.min(Some(newest)));
            let active = &mut self.log.active;
            queue.slot = active
                .slot_of(number)
                .unwrap_or_else(|| active.open_slot(number, queue_offset, older));
            queue.slot_segment = Some(segment);
            queue.newest = Some(segment);
        }
        let entry = Entry {
            offset: place.0,
            tag_hash: tags_code,
            size: placed.len,
            crc32c: placed.crc,
        };
        self.log.active.push(queue.slot, entry);
        queue.next += 1;
        self.counters.records += 1;
        Appended {
            queue_offset,
            physical: place.physical(shard),
            store_time_ms,
            len: placed.len,
        }
    }
}

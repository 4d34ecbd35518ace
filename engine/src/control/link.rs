//! What a shard and the control plane say to each other: two bounded rings per shard.
//!
//! The shard never waits for the control plane; the control plane looks at its end every few
//! milliseconds and wakes the shard after a reply.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::index::OpenSegment;
use crate::limits::CONTROL_RING;
use crate::queue::ActiveIndex;
use crate::types::{QueueNumber, SegmentNumber};

/// What a shard asks of the control plane.
#[derive(Debug)]
pub enum Request {
    /// This segment takes blocks now: prepare the ones after it.
    Active(SegmentNumber),
    /// Write the index segment of a durable log segment.
    WriteIndex(Arc<ActiveIndex>),
    /// Begin the state file of this generation.
    BeginState(u64),
    /// The next chunk of it.
    StateChunk(Bytes),
    /// That was the last one: make the file of this generation durable.
    EndState(u64),
    /// No manifest names this generation any more.
    DropState(u64),
    /// Read out which queues lose records with this segment.
    BeginRetire(SegmentNumber),
    /// Nothing reads this segment any more: recycle its log file, remove its index file.
    Recycle(SegmentNumber),
    /// This index segment is missing or damaged: rebuild it from its log segment.
    RebuildIndex(SegmentNumber),
    /// Nothing more will come; finish what is under way.
    Stop,
}

/// What the control plane answers.
#[derive(Debug)]
pub enum Reply<F> {
    /// A prepared segment, the next in order. `prepared` bytes of it may be written.
    Segment {
        /// Its number.
        number: SegmentNumber,
        /// Its file.
        file: F,
        /// Bytes from its start that are ready.
        prepared: u64,
    },
    /// More of a segment is ready.
    Extent {
        /// The segment.
        number: SegmentNumber,
        /// Bytes from its start that are ready.
        prepared: u64,
    },
    /// A write or flush of a segment that the shard writes to has failed: nothing on it can be trusted.
    Untrusted {
        /// The segment.
        segment: SegmentNumber,
    },
    /// No space for a segment; a later [`Reply::Segment`] takes it back.
    NoSpace,
    /// The index segment is on disk and open.
    IndexWritten {
        /// Whose index it is.
        segment: SegmentNumber,
        /// The open index segment.
        index: Box<OpenSegment<F>>,
    },
    /// The state file is durable; the manifest may name it.
    StateWritten {
        /// Its generation.
        generation: u64,
    },
    /// The state file could not be written; its generation is void.
    StateLost {
        /// Its generation.
        generation: u64,
    },
    /// Queues whose oldest records lie in the segment that retires, and their minimum offsets without
    /// it.
    Retire {
        /// The segment.
        segment: SegmentNumber,
        /// Queues and their next minimum offsets.
        minimums: Vec<(QueueNumber, u64)>,
        /// These were all.
        last: bool,
    },
    /// Space of the file system, told every few seconds: the occasion to decide what retires.
    Space {
        /// Bytes free for us.
        free_bytes: u64,
    },
    /// The segment's directory cannot be read now: it stays.
    RetireLater {
        /// The segment.
        segment: SegmentNumber,
    },
}

/// The shard's end.
#[derive(Debug)]
pub struct ShardLink<F> {
    requests: rtrb::Producer<Request>,
    replies: rtrb::Consumer<Reply<F>>,
    /// Requests that found the ring full; the state machine above asks for few things at once.
    waiting: VecDeque<Request>,
}

/// The control plane's end.
#[derive(Debug)]
pub struct ControlLink<F> {
    requests: rtrb::Consumer<Request>,
    replies: rtrb::Producer<Reply<F>>,
}

/// Both ends of a new link.
pub fn link<F>() -> (ShardLink<F>, ControlLink<F>) {
    let (requests, requested) = rtrb::RingBuffer::new(CONTROL_RING);
    let (replies, replied) = rtrb::RingBuffer::new(CONTROL_RING);
    let shard = ShardLink {
        requests,
        replies: replied,
        waiting: VecDeque::new(),
    };
    let control = ControlLink {
        requests: requested,
        replies,
    };
    (shard, control)
}

impl<F> ShardLink<F> {
    /// Sends a request, at the latest when [`ShardLink::flush`] finds room.
    pub(crate) fn ask(&mut self, request: Request) {
        self.waiting.push_back(request);
        self.flush();
    }

    /// Sends what found the ring full.
    pub(crate) fn flush(&mut self) {
        while let Some(request) = self.waiting.pop_front() {
            if let Err(rtrb::PushError::Full(request)) = self.requests.push(request) {
                self.waiting.push_front(request);
                return;
            }
        }
    }

    /// Whether every request is sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Option<Reply<F>> {
        self.replies.pop().ok()
    }
}

impl<F> ControlLink<F> {
    /// The next request.
    pub fn request(&mut self) -> Option<Request> {
        self.requests.pop().ok()
    }

    /// Whether the shard's end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.requests.is_abandoned()
    }

    /// Answers; gives the reply back when the ring is full.
    pub fn answer(&mut self, reply: Reply<F>) -> Result<(), Reply<F>> {
        let pushed = self.replies.push(reply);
        pushed.map_err(|rtrb::PushError::Full(reply)| reply)
    }
}

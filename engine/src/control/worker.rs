//! The control plane of one shard: answers what the shard asks through its link, one step at a time, so
//! that a segment being zeroed does not keep a checkpoint waiting.
//!
//! Nothing here touches a file that the shard writes to, but to zero extents the shard has not been given.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ringmq_ring::{Disk, OpenMode, Wake};

use crate::block::LogIdentity;
use crate::control::index_files::{IndexError, IndexFiles};
use crate::control::link::{ControlLink, Reply, Request};
use crate::control::segment_files::{Preparation, Progress, SegmentFiles, remove_slowly};
use crate::control::state_files::StateFiles;
use crate::control_record::RunStart;
use crate::error::Error;
use crate::index::OpenSegment;
use crate::limits::{CONTROL_RING, RETENTION_PERIOD_MS, SEGMENTS_AHEAD};
use crate::queue::ActiveIndex;
use crate::types::{QueueNumber, SegmentNumber};

/// What the control plane of a shard begins with.
#[derive(Debug)]
pub struct WorkerStart {
    /// The shard's folder, `DATA/shard-<nn>`.
    pub folder: PathBuf,
    /// What makes its blocks and index segments its own.
    pub identity: LogIdentity,
    /// The oldest segment of the log.
    pub oldest: SegmentNumber,
    /// The first segment that is to be prepared.
    pub next: SegmentNumber,
    /// Whether the shard waits for that one: it has none to write to.
    pub fresh: bool,
    /// Spare files in the log folder.
    pub spares: Vec<u32>,
    /// The generations of state files that the manifest names.
    pub generations: Vec<u64>,
    /// The runs of the broker that the manifest knows, this one included.
    pub runs: Vec<RunStart>,
}

/// The control plane of one shard.
#[derive(Debug)]
pub struct Worker<D: Disk, W> {
    disk: D,
    identity: LogIdentity,
    segments: SegmentFiles<D>,
    indexes: IndexFiles<D>,
    states: StateFiles<D>,
    link: ControlLink<D::Handle>,
    waker: W,
    /// Requests that are taken up in their order, between steps of the preparation.
    requests: VecDeque<Request>,
    /// Requests that failed and are tried again at a later step.
    later: VecDeque<(u32, Request)>,
    /// Replies that found the ring full.
    replies: VecDeque<Reply<D::Handle>>,
    generations: Vec<u64>,
    runs: Vec<RunStart>,
    folder: PathBuf,
    /// Steps taken.
    looks: u32,
    /// The shard is to be told the free space.
    space_due: bool,
    oldest: SegmentNumber,
    next: SegmentNumber,
    /// The segment that takes blocks, or will.
    active: SegmentNumber,
    /// Segments below this one are to be ready.
    until: SegmentNumber,
    preparation: Option<Preparation<D::File>>,
    /// No space: the shard has been told, and steps until the next try.
    starved: Option<u32>,
    stopping: bool,
}

/// Whether a step has found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Something was done; more may be waiting.
    Busy,
    /// Nothing to do: look again in [`IDLE_PAUSE`].
    Idle,
    /// The shard has stopped, and everything is finished.
    Stopped,
}

/// Between two looks at a link with nothing to do.
pub const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// Steps between two reports of the free space.
const SPACE_LOOKS: u32 = (RETENTION_PERIOD_MS / IDLE_PAUSE.as_millis() as u64) as u32;
/// After a reply: the shard gets a turn for each.
const REPLY_PAUSE: Duration = Duration::from_millis(1);
/// Idle looks between two tries to find space.
const STARVED_LOOKS: u32 = 100;

impl<D: Disk, W: Wake> Worker<D, W> {
    /// The control plane of the shard at the other end of `link`, which `waker` wakes.
    pub fn new(disk: D, start: WorkerStart, link: ControlLink<D::Handle>, waker: W) -> Self {
        let (identity, folder) = (start.identity, start.folder);
        let log = folder.join("log");
        let (store, shard) = (identity.store_id, identity.shard);
        let ahead = SEGMENTS_AHEAD as u64 + u64::from(start.fresh);
        Self {
            segments: SegmentFiles::new(disk.clone(), log, identity.segment_bytes, start.spares),
            indexes: IndexFiles::new(disk.clone(), folder.join("index"), store, shard),
            states: StateFiles::new(disk.clone(), folder.join("state")),
            disk,
            identity,
            link,
            waker,
            requests: VecDeque::new(),
            later: VecDeque::new(),
            replies: VecDeque::new(),
            generations: start.generations,
            runs: start.runs,
            folder,
            looks: 0,
            space_due: true,
            oldest: start.oldest,
            next: start.next,
            active: match start.fresh {
                true => start.next,
                false => SegmentNumber(start.next.0.saturating_sub(1)),
            },
            until: SegmentNumber(start.next.0 + ahead),
            preparation: None,
            starved: None,
            stopping: false,
        }
    }

    /// Works until the shard has stopped.
    pub async fn run(mut self) {
        loop {
            match self.step().await {
                Stepped::Busy => {}
                Stepped::Idle => self.disk.pause(IDLE_PAUSE).await,
                Stepped::Stopped => return,
            }
        }
    }

    /// One request, or one step of preparing a segment.
    pub async fn step(&mut self) -> Stepped {
        self.take_requests();
        let served = match self.requests.pop_front() {
            Some(request) => {
                self.serve(request).await;
                true
            }
            None => false,
        };
        let prepared = !self.stopping && self.prepare().await;
        self.tell_space().await;
        let sent = self.send_replies().await;
        match (served || prepared || sent, self.is_done()) {
            (_, true) => Stepped::Stopped,
            (true, _) => Stepped::Busy,
            (false, _) => Stepped::Idle,
        }
    }

    fn is_done(&self) -> bool {
        // What was asked before the end is still done.
        let gone = self.link.is_abandoned();
        let told = self.replies.is_empty() || gone;
        (self.stopping || gone) && self.requests.is_empty() && told
    }

    fn take_requests(&mut self) {
        let looks = self.looks;
        if let Some((_, request)) = self
            .later
            .pop_front_if(|(due, _)| looks.wrapping_sub(*due) < u32::MAX / 2)
        {
            self.requests.push_back(request);
        }
        while self.requests.len() < CONTROL_RING
            && let Some(request) = self.link.request()
        {
            match request {
                // No work of its own: it changes what is prepared.
                Request::Active(segment) => {
                    let until = SegmentNumber(segment.0 + 1 + SEGMENTS_AHEAD as u64);
                    self.until = self.until.max(until);
                    self.active = self.active.max(segment);
                }
                Request::Stop => self.stopping = true,
                request => self.requests.push_back(request),
            }
        }
    }

    /// Sends what the ring has room for; of a retirement, which is work for the shard, one stretch.
    async fn send_replies(&mut self) -> bool {
        let mut sent = false;
        while let Some(reply) = self.replies.pop_front() {
            let retirement = matches!(reply, Reply::Retire { .. });
            if let Err(reply) = self.link.answer(reply) {
                self.replies.push_front(reply);
                break;
            }
            sent = true;
            if retirement {
                break;
            }
        }
        if sent {
            self.waker.wake();
            self.disk.pause(REPLY_PAUSE).await;
        }
        sent
    }

    /// Once at the start, then every few seconds, and after each segment that has gone: the next one may
    /// follow at once.
    async fn tell_space(&mut self) {
        self.looks = self.looks.wrapping_add(1);
        self.space_due |= self.looks.is_multiple_of(SPACE_LOOKS);
        if !std::mem::take(&mut self.space_due) || self.stopping {
            return;
        }
        let free = self.disk.free_bytes(&self.folder).await;
        if let Ok(free_bytes) = free {
            self.replies.push_back(Reply::Space { free_bytes });
        }
    }

    async fn serve(&mut self, request: Request) {
        match request {
            Request::WriteIndex(index) => self.write_index(index).await,
            // Retired while its rebuilding was put off.
            Request::RebuildIndex(segment) if segment < self.oldest => {}
            Request::RebuildIndex(segment) => {
                let rebuilt = self.rebuild(segment).await;
                if let Err(error) = rebuilt.and_then(|open| self.index_written(open)) {
                    self.retry_later(error, Request::RebuildIndex(segment));
                }
            }
            Request::BeginState(generation) => self.begin_state(generation).await,
            Request::StateChunk(chunk) => self.state_chunk(chunk).await,
            Request::EndState(generation) => self.end_state(generation).await,
            Request::DropState(generation) => {
                let dropped = self.states.drop_generation(generation).await;
                self.warn("remove a state file", dropped);
            }
            Request::BeginRetire(segment) => self.begin_retire(segment).await,
            Request::Recycle(segment) => self.recycle(segment).await,
            Request::Active(_) | Request::Stop => {}
        }
    }

    /// Index segments are written in the order of their segments: the shard looks for a queue's entries in
    /// memory first, and everything older must be on disk.
    async fn write_index(&mut self, index: Arc<ActiveIndex>) {
        if let Some(due) = self.older_put_off(&index) {
            self.later.push_back((due, Request::WriteIndex(index)));
            return;
        }
        let older = |request: &Request| is_older_index(request, &index);
        if self.requests.iter().any(older) {
            self.requests.push_back(Request::WriteIndex(index));
            return;
        }
        let written = self.indexes.write(&index, self.oldest).await;
        if let Err(error) = written.and_then(|open| self.index_written(open)) {
            self.retry_later(error, Request::WriteIndex(index));
        }
    }

    /// When an older index segment that could not be written is tried again.
    fn older_put_off(&self, index: &ActiveIndex) -> Option<u32> {
        let mut later = self.later.iter();
        let older = later.find(|(_, request)| is_older_index(request, index))?;
        Some(older.0)
    }

    /// Tells the shard, which goes on from the file.
    fn index_written(&mut self, open: OpenSegment<D::File>) -> Result<(), IndexError> {
        let segment = open.number();
        let handle = self.disk.handle(&open.file);
        let handle = handle.map_err(Error::io("share", self.indexes.path(segment)))?;
        self.replies.push_back(Reply::IndexWritten {
            segment,
            index: Box::new(open.map_file(|_| handle)),
        });
        Ok(())
    }

    /// The shard goes on from memory, and slows down in time; or its readers wait. What can never succeed
    /// is not tried again.
    fn retry_later(&mut self, error: IndexError, request: Request) {
        tracing::error!(%error, "an index segment cannot be written now");
        let hopeless = matches!(
            error,
            IndexError::Contradiction(_) | IndexError::TooLarge(_)
        );
        if !hopeless && !self.stopping {
            let due = self.looks.wrapping_add(RETRY_LOOKS);
            self.later.push_back((due, request));
        }
    }

    async fn rebuild(&self, segment: SegmentNumber) -> Result<OpenSegment<D::File>, IndexError> {
        let log = self.open_log(segment).await?;
        let next_log = self.open_log(segment.next()).await?;
        let rebuilt = self
            .indexes
            .scan_log(self.identity, segment, &log, &next_log, &self.runs)
            .await?;
        if rebuilt.damaged_bytes > 0 {
            let bytes = rebuilt.damaged_bytes;
            tracing::warn!(%segment, bytes, "parts of a log segment are unreadable");
        }
        self.indexes.write(&rebuilt.index, self.oldest).await
    }

    async fn open_log(&self, segment: SegmentNumber) -> Result<D::File, Error> {
        let path = self.segments.path(segment);
        let file = self.disk.open(&path, OpenMode::ReadOnly).await;
        file.map_err(Error::io("open", path))
    }

    async fn begin_state(&mut self, generation: u64) {
        let begun = self.states.begin(generation).await;
        self.warn("begin a state file", begun);
    }

    async fn state_chunk(&mut self, chunk: Bytes) {
        let written = self.states.write(chunk).await;
        self.warn("write a state file", written);
    }

    async fn end_state(&mut self, generation: u64) {
        let ended = self.states.end(generation).await;
        self.replies
            .push_back(match self.warn("finish a state file", ended) {
                Some(true) => Reply::StateWritten { generation },
                _ => Reply::StateLost { generation },
            });
    }

    /// Tells the shard, a stretch at a time, what each queue loses with a segment.
    async fn begin_retire(&mut self, segment: SegmentNumber) {
        let reply = match self.minimums(segment).await {
            Ok(stretches) => {
                let last = Reply::Retire {
                    segment,
                    minimums: Vec::new(),
                    last: true,
                };
                let reply = |minimums| Reply::Retire {
                    segment,
                    minimums,
                    last: false,
                };
                self.replies.extend(stretches.into_iter().map(reply));
                last
            }
            Err(error) => {
                tracing::error!(%error, %segment, "a segment cannot be retired now");
                if matches!(error, IndexError::Damaged(_)) {
                    self.requests.push_back(Request::RebuildIndex(segment));
                }
                Reply::RetireLater { segment }
            }
        };
        self.replies.push_back(reply);
    }

    async fn minimums(
        &self,
        segment: SegmentNumber,
    ) -> Result<Vec<Vec<(QueueNumber, u64)>>, IndexError> {
        let open = self.indexes.open(segment).await?;
        let mut stretches = Vec::new();
        let take = |rows: Vec<crate::index::Row>| {
            let minimums = rows.iter().map(|row| (row.queue, row.end()));
            let minimums: Vec<_> = minimums.collect();
            stretches.extend(minimums.chunks(RETIRE_STRETCH).map(<[_]>::to_vec));
        };
        self.indexes.rows(&open, take).await?;
        Ok(stretches)
    }

    async fn recycle(&mut self, segment: SegmentNumber) {
        self.oldest = self.oldest.max(segment.next());
        let removed = remove_slowly(&self.disk, self.indexes.path(segment)).await;
        self.warn("remove an index segment", removed);
        let recycled = self.segments.recycle(segment).await;
        self.warn("recycle a log segment", recycled);
        self.space_due = true;
    }

    /// One step towards having all segments ready that should be; whether there was one to do.
    async fn prepare(&mut self) -> bool {
        if let Some(looks) = &mut self.starved {
            *looks = looks.saturating_sub(1);
            if *looks > 0 {
                return false;
            }
        }
        let mut preparation = match self.preparation.take() {
            Some(preparation) => preparation,
            None if self.next >= self.until => return false,
            None => match self.begin_segment().await {
                Ok(begun) => begun,
                Err(error) => {
                    self.starve(&error);
                    return false;
                }
            },
        };
        match self.segments.step(&mut preparation).await {
            Ok(progress) => {
                // The shard has one in reserve: its own writes come first.
                let some = matches!(progress, Progress::Some);
                if some && self.next.0 > self.active.0 + 1 {
                    self.disk.pause(ZEROING_PAUSE).await;
                }
                self.progress(preparation, progress);
                true
            }
            Err(error) => {
                if preparation.is_with_shard() && !error.is_out_of_space() {
                    // A flush of the shard's own might now say that all is well.
                    let segment = preparation.number();
                    tracing::error!(%error, %segment, "a file that the shard writes to has failed");
                    self.replies.push_back(Reply::Untrusted { segment });
                    self.until = self.next;
                    return true;
                }
                self.preparation = self.segments.abandon(preparation).await;
                self.starve(&error);
                false
            }
        }
    }

    async fn begin_segment(&mut self) -> Result<Preparation<D::File>, Error> {
        // The shard has nothing to write to: it should not wait for all of the segment.
        let early = self.next == self.active && self.segments.spares() == 0;
        self.segments.begin(self.next, early).await
    }

    fn progress(&mut self, preparation: Preparation<D::File>, progress: Progress<D::Handle>) {
        let number = preparation.number();
        match progress {
            Progress::Some => {}
            Progress::Usable(file, prepared) => {
                self.starved = None;
                self.next = number.next();
                self.replies.push_back(Reply::Segment {
                    number,
                    file,
                    prepared,
                });
            }
            Progress::Extent(prepared) => {
                self.starved = None;
                self.replies.push_back(Reply::Extent { number, prepared });
            }
        }
        if !preparation.is_whole(self.identity.segment_bytes) {
            self.preparation = Some(preparation);
        }
    }

    /// No space, or a file that cannot be used: sends are refused in time, and it is tried again with
    /// another file.
    fn starve(&mut self, error: &Error) {
        if self.starved.replace(STARVED_LOOKS).is_none() {
            tracing::error!(%error, "a log segment cannot be prepared; trying again");
            self.replies.push_back(Reply::NoSpace);
        }
    }

    fn warn<T>(&self, action: &'static str, result: Result<T, Error>) -> Option<T> {
        if let Err(error) = &result {
            tracing::error!(shard = self.identity.shard.0, action, %error, "the control plane failed");
        }
        result.ok()
    }

    /// Removes what a crash has left behind; to be called before the first step.
    ///
    /// # Errors
    /// The folder cannot be read, or a file in it not removed.
    pub async fn clean(&self) -> Result<(), Error> {
        self.states.keep_only(&self.generations).await?;
        self.indexes.segments().await?;
        Ok(())
    }
}

fn is_older_index(request: &Request, index: &ActiveIndex) -> bool {
    matches!(request, Request::WriteIndex(older) if older.segment() < index.segment())
}

/// Between two steps of zeroing a segment that nobody waits for.
const ZEROING_PAUSE: Duration = Duration::from_millis(2);
/// Steps until something that failed is tried again: a second when there is nothing else to do.
const RETRY_LOOKS: u32 = 200;
/// Queues in one reply of a retirement: a shard takes one in far less than a turn may last.
const RETIRE_STRETCH: usize = 512;

//! What a shard counts, and a reading of its state: taken by whoever asks, never shared.

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: u64,
    pub(crate) records: u64,
    pub(crate) blocks: u64,
    pub(crate) refused_busy: u64,
    pub(crate) refused_full: u64,
    pub(crate) damaged: u64,
}

/// A reading of a shard's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStatus {
    /// End of what is appended, in the shard's log.
    pub appended: u64,
    /// End of what the device has taken.
    pub written: u64,
    /// End of what survives a power cut.
    pub durable: u64,
    /// End of what may be shown.
    pub visible: u64,
    /// Begin of the oldest segment kept.
    pub oldest: u64,
    /// Store time of its first block, ms since the epoch; `None` while it has no records of queues.
    pub oldest_store_ms: Option<i64>,
    /// Appends that wait to be visible.
    pub acks_waiting: u32,
    /// For how long the first of their blocks has been gathered and written.
    pub oldest_ack_ns: Option<u64>,
    /// Reads from the disk in flight.
    pub cold_reads: u32,
    /// Log segments kept.
    pub segments: u32,
    /// Segments prepared ahead of the head.
    pub segments_ahead: u32,
    /// Indexes of full segments that are not on disk yet.
    pub indexes_waiting: u32,
    /// Bytes of memory that commit blocks lie in: the open one, the hot tail, and what readers keep.
    pub block_memory: u64,
    /// No further segment can be prepared: sends are refused.
    pub no_space: bool,
    /// Damage has made the shard read-only.
    pub read_only: bool,
    /// Checkpoints published since the start.
    pub checkpoints: u64,
    /// Group offsets have changed, or were dropped, since the log was last told.
    pub offsets_behind: bool,
    /// Queues.
    pub queues: u32,
    /// Turns taken since the start: each is one entry to the kernel.
    pub turns: u64,
    /// Records appended since the start.
    pub records: u64,
    /// Commit blocks written since the start.
    pub blocks: u64,
    /// Appends refused because a bound was reached.
    pub refused_busy: u64,
    /// Appends refused for want of space.
    pub refused_full: u64,
    /// Records whose checksum failed when they were read.
    pub damaged: u64,
    /// Why sends are refused at present, if they are.
    pub refusing: Option<Refusing>,
}

/// Why a shard takes no sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusing {
    /// Damage that only an operator may decide about.
    #[error("the log is damaged and only read: see `ringmq-admin verify`")]
    ReadOnly,
    /// The disk is too full.
    #[error("the disk is full: make room, or let messages expire sooner")]
    Full,
    /// It has not begun, stops or has failed.
    #[error("the shard does not run")]
    NotRunning,
}

//! What goes wrong in a world, how often, and what has gone wrong so far.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One thing that can happen to one file operation. A fault that makes no sense for the operation
/// it is planned for (a short flush) does not happen and is not reported as fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// `EIO` once. A write leaves any part of its data; a flush loses what the cache held.
    Error,
    /// `EIO`, and again for every later operation of this kind on the file, until
    /// [`super::World::heal`].
    ErrorForGood,
    /// `ENOSPC`; only for operations that need new space or a new name.
    NoSpace,
    /// The device moves only part of the bytes and says so.
    Short,
    /// The device says OK, and only some of the sectors are new.
    Torn,
    /// One bit in the range of the operation is wrong from now on.
    Flip,
    /// The device says OK, and all old data stays.
    Lost,
    /// The device says OK, and the data went to another place of this or another file.
    Misdirected,
    /// It takes seconds.
    Stall,
    /// It never completes.
    Never,
    /// The power goes off while it is in flight: [`super::Step::Halted`].
    PowerCut,
    /// The process is killed while it is in flight: [`super::Step::Halted`].
    Kill,
}

impl Fault {
    /// The device pretends that all is well: only checksums can tell.
    pub fn is_silent(self) -> bool {
        matches!(
            self,
            Self::Torn | Self::Flip | Self::Lost | Self::Misdirected
        )
    }
}

/// How long operations take, in nanoseconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Reads, and everything without a figure of its own.
    pub read_ns: (u64, u64),
    /// Writes into the device's cache.
    pub write_ns: (u64, u64),
    /// Durable writes and flushes.
    pub flush_ns: (u64, u64),
    /// How many operations in a million take `tail_factor` times as long.
    pub tail_per_million: u32,
    /// See `tail_per_million`.
    pub tail_factor: u64,
    /// What [`Fault::Stall`] takes.
    pub stall_ns: (u64, u64),
    /// One way of a network segment.
    pub network_ns: (u64, u64),
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            read_ns: (20_000, 120_000),
            write_ns: (10_000, 60_000),
            flush_ns: (50_000, 200_000),
            tail_per_million: 5_000,
            tail_factor: 40,
            stall_ns: (1_000_000_000, 20_000_000_000),
            network_ns: (5_000, 100_000),
        }
    }
}

/// The plan of one world. Rates are chances in a million per operation that they can happen to;
/// the default is a faultless device with a volatile cache.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// [`Fault::Error`] on reads.
    pub read_error: u32,
    /// [`Fault::Error`] on writes.
    pub write_error: u32,
    /// [`Fault::Error`] on flushes and folder syncs.
    pub flush_error: u32,
    /// How many of the errors above stay for good.
    pub error_for_good: u32,
    /// [`Fault::NoSpace`].
    pub no_space: u32,
    /// [`Fault::Short`] on writes.
    pub short_write: u32,
    /// [`Fault::Short`] on reads.
    pub short_read: u32,
    /// [`Fault::Torn`].
    pub torn_write: u32,
    /// [`Fault::Lost`].
    pub lost_write: u32,
    /// [`Fault::Misdirected`].
    pub misdirected_write: u32,
    /// [`Fault::Flip`], on reads and writes.
    pub flip: u32,
    /// [`Fault::Stall`].
    pub stall: u32,
    /// [`Fault::Never`].
    pub never: u32,
    /// Whether a power cut tears inside a sector, too.
    pub tear_bytes: bool,
    /// Random faults hit only paths that contain one of these; all paths when empty.
    pub paths: Vec<String>,
    /// What happens at which operation, counted from 1 ([`super::World::operations`]).
    pub planned: BTreeMap<u64, Fault>,
    /// How long things take.
    pub latency: Latency,
    /// Connections reset, per network segment.
    pub reset: u32,
    /// Receives that end for want of buffers, per segment received.
    pub no_buffers: u32,
}

/// A fault that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// Number of the operation.
    pub operation: u64,
    /// What happened.
    pub fault: Fault,
    /// The file that the operation was for.
    pub path: PathBuf,
    /// First byte of the operation.
    pub position: u64,
    /// Bytes of the operation.
    pub len: u64,
}

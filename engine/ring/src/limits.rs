//! Every bound and every tuning figure of this crate, with its reason.

/// Longest spin, in nanoseconds, before a turn sleeps although work is in flight. A durable 4 KiB
/// write takes 70 us in the median and 160 us at the 99th percentile on the virtual disk this was
/// chosen on, and waking from sleep adds 30 to 40 us: a much shorter spin would mostly miss and
/// cost its time for nothing.
pub const SPIN_BUDGET_NS: u64 = 200_000;
/// Longest spin, in nanoseconds, for the next request after the last answer: a client on the same
/// machine or in the same rack that waits for each answer is back within 20 to 40 us.
pub const SPIN_LINGER_NS: u64 = 50_000;
/// Two looks further apart than this, in nanoseconds, mean that somebody else had the core. A look
/// takes under 100 ns and an interrupt a few microseconds.
pub const SPIN_GAP_NS: u64 = 50_000;
/// First pause of spinning after a preemption, in nanoseconds; doubled by each further one.
pub const SPIN_REST_MIN_NS: u64 = 1_000_000;
/// Longest pause of spinning after preemptions, in nanoseconds.
pub const SPIN_REST_MAX_NS: u64 = 1_000_000_000;
/// Successful spins without a preemption after which the next pause is halved.
pub const SPIN_CLEAN: u32 = 64;
/// Vain spins in a row that are forgiven before spinning gets rarer.
pub const SPIN_MISSES: u32 = 4;
/// At most this many occasions in a row are slept through because spinning was in vain.
pub const SPIN_SKIP_MAX: u32 = 64;

/// Requests that one thread may have unanswered with one other thread.
pub const MAILBOX_CAPACITY: usize = 4096;
/// Shards of one process (the physical offset has six bits for the shard; the store stops earlier).
pub const SHARDS_MAX: usize = 64;

const _: () = assert!(SPIN_LINGER_NS <= SPIN_BUDGET_NS);
const _: () = assert!(SPIN_GAP_NS < SPIN_REST_MIN_NS);
const _: () = assert!(SPIN_REST_MIN_NS <= SPIN_REST_MAX_NS);

/// Entries of a ring's submission queue; what does not fit waits for the next turn.
pub const SUBMISSIONS: u32 = 1024;
/// Entries of a ring's completion queue; the kernel keeps what does not fit.
pub const COMPLETIONS: u32 = 8192;
/// Files and sockets of one ring, unless the process may open fewer.
pub const FILES_MAX: u32 = 65_536;
/// Receive buffers of one ring (a power of two).
pub const RECEIVE_BUFFERS: u16 = 256;
/// Bytes of a receive buffer.
pub const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;
/// Operations in flight that the tables have room for from the start.
pub const OPERATIONS_START: usize = 1024;
/// Bytes of one submission; longer reads and writes go in several.
pub const OPERATION_BYTES_MAX: u32 = 1 << 30;
/// Times an interrupted operation is tried again.
pub const OPERATION_TRIES_MAX: u8 = 100;
/// Parts of one gather submission (the kernel's own bound); more go in several.
pub const GATHER_PARTS_MAX: usize = 1024;
/// Spent send lists kept for reuse.
pub const GATHERS_KEPT: usize = 1024;
/// Nanoseconds between two attempts to cancel what is in flight while a ring is being dropped.
pub const DRAIN_STEP_NS: u64 = 10_000_000;

const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two());
const _: () = assert!(OPERATION_BYTES_MAX.is_multiple_of(crate::ALIGNMENT as u32));

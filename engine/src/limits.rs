//! Every bound of the engine and every size derived from one, with its reason; relations between
//! them are checked when this compiles.

use std::time::Duration;

use ringmq_ring::ALIGNMENT;

/// Shards of one store.
pub const SHARDS_MAX: u8 = 16;

/// Smallest and largest segment; the default is 256 MiB. Small ones are for tests and tiny disks.
pub const SEGMENT_BYTES_MIN: u64 = 512 << 10;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;
/// Size of a segment unless the operator says otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 256 << 20;
/// A segment rolls at this many records, which bounds its index in memory (24 bytes each).
pub const SEGMENT_RECORDS_MAX: u64 = 2_000_000;

/// Largest commit block gathered from several appends: the largest single I/O that every kernel
/// path takes well.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Smallest cap on a commit block.
pub const BLOCK_BYTES_MIN: usize = 16 << 10;
/// A block takes at most this part of a segment, so that a segment's end wastes little.
pub const BLOCKS_PER_SEGMENT_MIN: u64 = 8;
/// Largest single write; longer blocks are written in parts of this size, each durable by itself.
pub const WRITE_BYTES_MAX: usize = 1 << 20;
/// Memory of commit blocks is cut from arenas of this size.
pub const ARENA_BYTES: usize = 4 << 20;
/// Memory of commit blocks that only readers keep, beside what the hot tail may hold; beyond it they get
/// copies. A slice of a block keeps the arena that the block was cut from.
pub const PINNED_BYTES_MAX: usize = 64 << 20;
/// A reader gets a slice of a cold read's memory when that is at least one part in so many, else a copy.
pub const LENT_PART_MIN: usize = 4;
/// Bytes appended and not yet written at which appends are refused as busy.
pub const UNWRITTEN_BYTES_MAX: u64 = 32 << 20;

/// Prepared segments ahead of the active one.
pub const SEGMENTS_AHEAD: usize = 2;
/// Extent in which a new store's first segment is zeroed ahead of its head.
pub const FIRST_EXTENT_BYTES: u64 = 4 << 20;
/// Retired log files kept for use again; further ones are removed.
pub const SPARE_SEGMENTS_MAX: usize = 4;
/// Frozen indexes that may wait for their index segments before appends are refused as busy.
pub const FROZEN_INDEXES_MAX: usize = 2;

/// Pages of 4 KiB of index segments kept in memory per shard.
pub const INDEX_CACHE_PAGES: usize = 512;
/// Pages of entries that one lookup reads at once: 2720 entries.
pub const INDEX_READ_PAGES: u64 = 16;
/// Pages of a directory that are read at once when all of it is.
pub const INDEX_SCAN_PAGES: u32 = 64;
/// Bytes of an index segment written at once.
pub const INDEX_WRITE_BYTES: usize = 1 << 20;
/// Bytes of a retired index segment given back at once.
pub const INDEX_SHRINK_BYTES: u64 = 4 << 20;
/// Older index segments that the building of one keeps open.
pub const INDEX_OPEN_WHILE_BUILDING: usize = 64;

/// Bytes of written blocks kept in memory per shard, unless configured.
pub const HOT_TAIL_BYTES_DEFAULT: usize = 64 << 20;
/// Bytes of cold reads kept and in flight per shard, unless configured.
pub const COLD_BYTES_DEFAULT: usize = 16 << 20;
/// A cold read fetches this much at once.
pub const READ_AHEAD_BYTES: usize = 256 << 10;
/// Cold requests in flight per shard; further ones are answered busy.
pub const COLD_REQUESTS_MAX: usize = 256;

/// Readers of index segments whose place is remembered.
pub const CURSORS_MAX: usize = 64;

/// Records in one answer to a pull.
pub const PULL_RECORDS_MAX: u32 = 4096;
/// Index entries examined for one pull, whatever the filter drops (`maxFilterMessageSize` / 20 in Java).
pub const PULL_SCAN_MAX: u64 = 16_000;
/// Pulls that wait for new records, per shard.
pub const WAITERS_MAX: usize = 65_536;

/// Queues per shard; each costs under 1 KiB of memory.
pub const QUEUES_MAX: usize = 4_000_000;
/// Group offsets per shard.
pub const GROUP_OFFSETS_MAX: usize = 4_000_000;
/// Topics on the home shard.
pub const TOPICS_MAX: usize = 1_000_000;
/// Groups on the home shard.
pub const GROUPS_MAX: usize = 1_000_000;
/// Longest name of a topic or group, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest opaque payload of a topic or group.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 10;

/// Control records with nothing else in their block are written after this long.
pub const CONTROL_SEAL_NS: u64 = 1_000_000_000;
/// ASYNC_FLUSH: a flush is submitted this long after the oldest unflushed write, which leaves half of
/// the promised 500 ms to the device.
pub const ASYNC_FLUSH_NS: u64 = 250_000_000;
/// The witness is written this long after durable reached a block that nothing followed.
pub const WITNESS_DELAY_NS: u64 = 20_000_000;
/// Blocks between two witnesses up to which they count as sparse.
pub const WITNESS_SPARSE_BLOCKS: u64 = 4;
/// Longest delay of the witness while blocks stay sparse.
pub const WITNESS_DELAY_MAX_NS: u64 = 1_000_000_000;
/// Changed group offsets go to the log this often.
pub const OFFSETS_PERIOD_NS: u64 = 1_000_000_000;
/// The same when one period's changes exceed [`OFFSETS_BYTES_EAGER`].
pub const OFFSETS_PERIOD_LONG_NS: u64 = 5_000_000_000;
/// When the log could not take them: how soon it is asked again.
pub const OFFSETS_RETRY_NS: u64 = 100_000_000;
/// A stop waits this long for a busy log to take the last group offsets.
pub const STOP_OFFSETS_NS: u64 = 10_000_000_000;
/// A stop waits this long for the control plane to write the last state file: the log has everything.
pub const STOP_STATE_NS: u64 = 10_000_000_000;
/// When the shards have stopped: how long the control plane may take to end.
pub const STOP_CONTROL: Duration = Duration::from_secs(30);
/// Bytes of offset records a second that are still written every second.
pub const OFFSETS_BYTES_EAGER: usize = 64 << 10;
/// Retention is decided this often.
pub const RETENTION_PERIOD_MS: u64 = 10_000;

/// A checkpoint is due after this much log, or four times the state file if that is more.
pub const CHECKPOINT_LOG_BYTES: u64 = 256 << 20;
/// One chunk of a state file.
pub const STATE_CHUNK_BYTES: usize = 64 << 10;

/// How often a shard looks again whether the control plane has taken what found the ring full.
pub const CONTROL_LOOK_NS: u64 = 1_000_000;

/// Requests and replies in flight between a shard and the control plane.
pub const CONTROL_RING: usize = 64;

const _: () = assert!(ARENA_BYTES >= 2 * BLOCK_BYTES_MAX && ARENA_BYTES.is_multiple_of(ALIGNMENT));
const _: () =
    assert!(BLOCK_BYTES_MAX <= WRITE_BYTES_MAX && WRITE_BYTES_MAX.is_multiple_of(ALIGNMENT));
const _: () = assert!(UNWRITTEN_BYTES_MAX as usize >= 4 * BLOCK_BYTES_MAX);
const _: () = assert!(SEGMENT_BYTES_MIN / BLOCKS_PER_SEGMENT_MIN >= BLOCK_BYTES_MIN as u64);
const _: () = assert!(FIRST_EXTENT_BYTES >= BLOCK_BYTES_MAX as u64);
const _: () =
    assert!(READ_AHEAD_BYTES.is_multiple_of(ALIGNMENT) && READ_AHEAD_BYTES < COLD_BYTES_DEFAULT);
const _: () = assert!(WITNESS_DELAY_NS < WITNESS_DELAY_MAX_NS);
const _: () = assert!(OFFSETS_PERIOD_NS < OFFSETS_PERIOD_LONG_NS);

//! What the engine does, one behaviour per file: shards and their control plane in a simulated world,
//! and the store on this machine's own disk.
#![forbid(unsafe_code)]

mod allocations;
mod any_sequence;
mod append_then_read;
mod async_flush;
mod bounded_stop;
mod cold;
mod cold_read;
mod control_plane_failures;
mod desk;
mod failure;
mod faults;
mod full_disk;
mod log_recovery;
mod long_poll;
mod names_survive;
mod offset_by_time;
mod offsets_survive;
mod on_this_machine;
mod reopen;
mod restart;
mod retention;
mod roll_segment;
mod shards;
mod slow_readers;
mod space;
mod stale_index;
mod stalled_write;
mod store;
mod store_time;
mod topics;

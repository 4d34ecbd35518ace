//! Queues: where each record of a queue lies in the log.

pub mod active;
pub mod entry;
pub(crate) mod offsets;
pub(crate) mod table;

pub use active::{ActiveIndex, BlockTime, OutOfOrder, QueueSlot, TimeRange};
pub use entry::Entry;

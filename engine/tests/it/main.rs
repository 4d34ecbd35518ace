//! What the engine does, one behaviour per test: shards in the simulated world, without faults unless a
//! test says so.
#![forbid(unsafe_code)]

mod cold;
mod desk;
mod log_recovery;
mod space;

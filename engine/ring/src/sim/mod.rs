//! A world in memory, driven by one seed: disk, sockets, clocks and scheduling.
//!
//! ```text
//!   test ── step() ──> World ── Turn(io) ──> the test gives that shard its turn
//!                       │ polls tasks over SimDisk, lets operations land, bytes arrive, time pass
//!                       └ power_cut(), kill(process), faults by rate or at the n-th operation
//! ```
//!
//! The same engine code runs on [`crate::Io`] and [`crate::Disk`] here as on the kernel, and the
//! same seed gives the same story, to the last byte ([`World::trace_hash`]).
//!
//! What the disk does:
//!
//! * A file has a *live* image (what reads see) and a *durable* one, and between them every sector
//!   of 512 bytes that was written since the last flush. A completed write is in the cache; a
//!   completed durable write is on the medium; a completed flush covers the writes that had
//!   completed when it was submitted.
//! * A power cut keeps the durable image and an arbitrary subset of the cached sectors, those of
//!   writes in flight included. Names and lengths come back as some prefix of their unsynced changes.
//! * A killed process loses its memory; its writes in flight arrive whole, in part or not at all,
//!   and pin its locks until then.
//! * [`Faults`] lists what else can go wrong.

#![forbid(unsafe_code)]

mod client;
mod device;
mod disk;
mod faults;
mod image;
mod io;
mod net;
mod rng;
mod state;
mod tasks;
mod thread;
mod trace;
mod tree;
mod world;

pub use client::{ClientState, SimClient};
pub use disk::{SimDisk, SimFile};
pub use faults::{Fault, Faults, Fired, Latency};
pub use image::SECTOR;
pub use io::{IoNumber, SimHandle, SimIo, SimWaker};
pub use net::{SimListener, SimStream};
pub use rng::Rng;
pub use tasks::Outcome;
pub use thread::SimThread;
pub use world::{Halt, Process, Step, World};

#[cfg(test)]
mod tests;

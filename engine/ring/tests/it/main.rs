//! The ring against the real kernel: temporary files and loopback sockets.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cancel;
mod driver;
mod file;
mod mailboxes;
mod socket;
mod steady;
mod turns;
mod wakes;

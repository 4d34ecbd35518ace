//! The ring against the real kernel: temporary files and loopback sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
mod cancel;
mod driver;
mod file;
mod mailboxes;
mod socket;
mod steady;
mod turns;
mod wakes;

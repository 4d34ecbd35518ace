//! Ports for the servers of a check.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::failure::Failure;

/// Below the ports that the kernel gives outgoing connections (32,768 and up): what is free here stays free
/// until its server listens, whatever other programs connect to meanwhile.
const FIRST: u16 = 20_000;
/// How many ports are looked at from [`FIRST`].
const RANGE: u16 = 12_000;
/// From one server's port to the next one's.
const STEP: u16 = 8;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port that is free now, as are its neighbours: the VIP port two below, the replication port above. Each call
/// of a process gives another one, and two processes begin in different places.
pub fn free() -> Result<u16, Failure> {
    let begin = (std::process::id() % u32::from(RANGE / STEP)) as u16;
    for _ in 0..RANGE / STEP {
        let step = (begin + TAKEN.fetch_add(1, Ordering::Relaxed)) % (RANGE / STEP);
        let port = FIRST + 4 + step * STEP;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (port - 2..=port + 1).all(is_free) {
            return Ok(port);
        }
    }
    Err(Failure::new("no free ports were found"))
}

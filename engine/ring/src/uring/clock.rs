//! Both clocks, read without a system call.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::io::Moment;

/// Both clocks now.
pub(super) fn now() -> Moment {
    let wall = clock_gettime(ClockId::Realtime);
    Moment {
        monotonic_ns: monotonic_ns(),
        wall_ms: wall.tv_sec * 1_000 + wall.tv_nsec / 1_000_000,
    }
}

/// Nanoseconds on the monotonic clock.
pub(super) fn monotonic_ns() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec as u64 * 1_000_000_000 + tv_nsec as u64
}

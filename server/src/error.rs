//! Why the server does not start, or stops, and the exit code that says so.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Exit codes of `ringmq`, listed in `server/README.md` (numbers of `sysexits.h` where one fits).
pub mod exit_code {
    /// Stopped as asked.
    pub const OK: u8 = 0;
    /// Wrong flags or configuration.
    pub const USAGE: u8 = 64;
    /// This machine does not offer what is needed (io_uring).
    pub const UNAVAILABLE: u8 = 69;
    /// A write or flush failed: nothing more was acknowledged, recovery decides from the bytes.
    pub const FAIL_STOP: u8 = 70;
    /// An address cannot be listened on.
    pub const ADDRESS: u8 = 71;
    /// Reading or writing the data folder failed at start, or its content cannot be used.
    pub const IO: u8 = 74;
    /// Another broker holds the data folder.
    pub const LOCKED: u8 = 75;
    /// Not allowed: a privileged port, a folder of another user.
    pub const PERMISSION: u8 = 77;
    /// Ended by a second signal while stopping.
    pub const INTERRUPTED: u8 = 130;
}

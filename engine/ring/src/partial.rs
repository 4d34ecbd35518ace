//! What follows a device's answer that may cover only part of a transfer.
//!
//! One rule for every implementation of [`crate::Io`] and [`crate::Disk`], so that the simulator
//! tests the very code that the kernel's answers meet.

use std::io;

use crate::buffer::ALIGNMENT;
use crate::planted::{self, planted};

/// What to do after one answer.
#[derive(Debug)]
pub enum Next {
    /// The transfer is over: this many bytes in all.
    Done(usize),
    /// Submit again what lies behind this many bytes.
    Again(usize),
    /// The transfer failed.
    Failed(io::Error),
}

/// Judges the answer to a write of `total` bytes of which `done` had been written before.
///
/// The remainder starts at a multiple of [`ALIGNMENT`], as direct I/O wants it: bytes behind the
/// last such multiple are written once more. An answer without progress is an error, never a loop.
pub fn after_write(total: usize, done: usize, answer: io::Result<usize>) -> Next {
    let count = match answer {
        Ok(count) => count,
        Err(error) => return Next::Failed(error),
    };
    let reached = done + count;
    if reached >= total || planted(planted::SHORT_WRITE_IGNORED) {
        return Next::Done(total);
    }
    let aligned = reached - reached % ALIGNMENT;
    if aligned > done {
        Next::Again(aligned)
    } else {
        Next::Failed(io::Error::from(io::ErrorKind::WriteZero))
    }
}

/// Judges the answer to a read of `total` bytes of which `done` had been read before. Only an
/// answer of zero bytes, or an end inside an aligned unit, is the end of the file.
pub fn after_read(total: usize, done: usize, answer: io::Result<usize>) -> Next {
    let count = match answer {
        Ok(count) => count,
        Err(error) => return Next::Failed(error),
    };
    let reached = done + count;
    if count == 0 || reached >= total {
        return Next::Done(reached.min(total));
    }
    let aligned = reached - reached % ALIGNMENT;
    if aligned > done {
        Next::Again(aligned)
    } else {
        Next::Done(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_goes_on_at_an_aligned_place_and_ends_only_when_whole() {
        assert!(matches!(after_write(8192, 0, Ok(8192)), Next::Done(8192)));
        assert!(matches!(after_write(8192, 0, Ok(4608)), Next::Again(4096)));
        assert!(matches!(
            after_write(8192, 4096, Ok(4096)),
            Next::Done(8192)
        ));
    }

    #[test]
    fn a_write_without_progress_is_an_error() {
        assert!(matches!(after_write(8192, 0, Ok(0)), Next::Failed(_)));
        assert!(matches!(after_write(8192, 4096, Ok(512)), Next::Failed(_)));
        let error = io::Error::from_raw_os_error(5);
        assert!(matches!(after_write(8192, 0, Err(error)), Next::Failed(_)));
    }

    #[test]
    fn a_short_read_goes_on_until_the_end_of_the_file() {
        assert!(matches!(after_read(8192, 0, Ok(5000)), Next::Again(4096)));
        assert!(matches!(after_read(8192, 4096, Ok(0)), Next::Done(4096)));
        assert!(matches!(after_read(8192, 4096, Ok(4096)), Next::Done(8192)));
    }
}

//! Sequential reading of one segment, a window at a time.

use std::path::PathBuf;

use ringmq_ring::{ALIGNMENT, AlignedBuf, Disk};

use super::error::RecoveryError;
use super::files::read;

/// Bytes of one read.
pub(super) const WINDOW_BYTES: usize = 1 << 20;

/// A segment file and the part of it that is in memory.
pub(super) struct SegmentReader<'a, D: Disk> {
    disk: &'a D,
    file: &'a D::File,
    path: PathBuf,
    len: u64,
    window: AlignedBuf,
    start: u64,
    filled: usize,
    /// Bytes read from the file so far.
    pub bytes_read: u64,
}

impl<'a, D: Disk> SegmentReader<'a, D> {
    /// A reader of `file`, of which at most `limit` bytes are looked at.
    pub async fn new(
        disk: &'a D,
        file: &'a D::File,
        path: PathBuf,
        limit: u64,
    ) -> Result<Self, RecoveryError> {
        let len = disk.len(file).await;
        let len = len.map_err(RecoveryError::io("measuring", &path))?;
        Ok(Self {
            disk,
            file,
            path,
            len: len.min(limit),
            window: AlignedBuf::zeroed(ALIGNMENT),
            start: 0,
            filled: 0,
            bytes_read: 0,
        })
    }

    /// Bytes of the segment that exist.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The segment's file name.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Up to `len` bytes from `within`, fewer only at the end of the file.
    pub async fn at(&mut self, within: u64, len: usize) -> Result<&[u8], RecoveryError> {
        let wanted = self.len.saturating_sub(within).min(len as u64) as usize;
        if within < self.start || within + wanted as u64 > self.start + self.filled as u64 {
            self.load(within, wanted).await?;
        }
        let from = within.saturating_sub(self.start) as usize;
        Ok(self.window.get(from..from + wanted).unwrap_or_default())
    }

    async fn load(&mut self, within: u64, wanted: usize) -> Result<(), RecoveryError> {
        let rest = self.len.saturating_sub(within);
        let len = rest.min(wanted.max(WINDOW_BYTES) as u64) as usize;
        self.window = read(self.disk, self.file, &self.path, within, len.max(1)).await?;
        self.start = within;
        self.filled = len;
        self.bytes_read += len as u64;
        Ok(())
    }
}

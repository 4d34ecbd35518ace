//! The control plane's trait: `async` file operations, polled by glommio, by a plain thread whose
//! calls block, or by the simulator.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use crate::buffer::AlignedBuf;

/// How a file is opened. Every file is opened for direct I/O, reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It must exist; it will only be read.
    ReadOnly,
    /// It must not exist.
    CreateNew,
    /// It is created, or emptied when it exists.
    CreateOrTruncate,
}

/// Files as the control plane sees them. Positions, lengths and buffers of reads and writes are
/// multiples of [`crate::ALIGNMENT`].
pub trait Disk: Clone + 'static {
    /// An open file.
    type File: 'static;
    /// What [`crate::Io::adopt_file`] takes: an open file that may move to another thread. It shares
    /// the open file description (and so the lock) of the file it came from.
    type Handle: Send + 'static;

    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> impl Future<Output = io::Result<Self::File>>;
    /// Makes a handle for the data plane; the file stays usable here.
    fn handle(&self, file: &Self::File) -> io::Result<Self::Handle>;
    /// Takes the exclusive lock of the open file description, without waiting; `false` when another
    /// holds it.
    fn try_lock(&self, file: &Self::File) -> io::Result<bool>;
    /// Length in bytes.
    fn len(&self, file: &Self::File) -> impl Future<Output = io::Result<u64>>;
    /// Reads up to `len` bytes; shorter only at the end of the file (the buffer is zero beyond it).
    /// Returns the buffer and the count.
    fn read_at(
        &self,
        file: &Self::File,
        position: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<(AlignedBuf, usize)>>;
    /// Writes all of `data`. Not durable before [`Disk::flush`].
    fn write_at(
        &self,
        file: &Self::File,
        position: u64,
        data: Bytes,
    ) -> impl Future<Output = io::Result<()>>;
    /// Makes every finished write to the file, and its length, durable.
    fn flush(&self, file: &Self::File) -> impl Future<Output = io::Result<()>>;
    /// Sets the length (shrinking gives space back; growing leaves a hole).
    fn set_len(&self, file: &Self::File, len: u64) -> impl Future<Output = io::Result<()>>;
    /// Renames within one file system, replacing `to`.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    /// Creates a folder and those above it; no error when it exists.
    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    /// Makes creations, renames and removals in this folder durable. An empty path is the current
    /// folder.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    /// File names in a folder, sorted.
    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<String>>>;
    /// Bytes free for us on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> impl Future<Output = io::Result<u64>>;
    /// Lets time pass (rate limits, polling).
    fn pause(&self, duration: Duration) -> impl Future<Output = ()>;
}

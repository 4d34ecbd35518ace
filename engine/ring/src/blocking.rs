//! [`Disk`] with calls that block: for start-up, for tools, and for the control plane where
//! glommio cannot run. Every future is ready when it is first polled; [`block_on`] polls it.
//!
//! Files are opened for direct I/O. A file system that refuses it (tmpfs) gets buffered I/O
//! instead, decided when the file is opened and kept for its life: the two are never mixed on one
//! file by us.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::buffer::AlignedBuf;
use crate::disk::{Disk, OpenMode};
use crate::partial::{Next, after_read, after_write};

/// The machine's disks, by blocking calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingDisk;

/// An open file.
#[derive(Debug)]
pub struct BlockingFile {
    file: File,
    direct: bool,
}

impl BlockingFile {
    /// Whether it is read and written past the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct
    }
}

/// Runs a future whose every step blocks by itself (anything over [`BlockingDisk`]).
///
/// # Panics
/// When the future waits for something else, which nobody would ever tell.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a blocking future waits for something that does not block"),
    }
}

impl Disk for BlockingDisk {
    type File = BlockingFile;
    type Handle = File;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<BlockingFile> {
        match open(path, mode, true) {
            // What a file system without direct I/O answers; the file may exist by now.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let mode = match mode {
                    OpenMode::CreateNew => OpenMode::CreateOrTruncate,
                    mode => mode,
                };
                open(path, mode, false)
            }
            other => other,
        }
    }

    fn handle(&self, file: &BlockingFile) -> io::Result<File> {
        file.file.try_clone()
    }

    fn try_lock(&self, file: &BlockingFile) -> io::Result<bool> {
        try_lock(&file.file)
    }

    async fn len(&self, file: &BlockingFile) -> io::Result<u64> {
        Ok(file.file.metadata()?.len())
    }

    async fn read_at(
        &self,
        file: &BlockingFile,
        position: u64,
        len: usize,
    ) -> io::Result<(AlignedBuf, usize)> {
        let mut buffer = AlignedBuf::zeroed(len);
        let count = read_fully(&file.file, position, &mut buffer)?;
        // The end of a buffer that a last, unaligned read may have touched.
        buffer[count..].fill(0);
        Ok((buffer, count))
    }

    async fn write_at(&self, file: &BlockingFile, position: u64, data: Bytes) -> io::Result<()> {
        write_fully(&file.file, position, &data)
    }

    async fn flush(&self, file: &BlockingFile) -> io::Result<()> {
        // Data and the length it needs; times of access and change may go.
        file.file.sync_data()
    }

    async fn set_len(&self, file: &BlockingFile, len: u64) -> io::Result<()> {
        file.file.set_len(len)
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let here = path.as_os_str().is_empty();
        File::open(if here { Path::new(".") } else { path })?.sync_all()
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            // A name that is not ours cannot be one of our files.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    async fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

fn open(path: &Path, mode: OpenMode, direct: bool) -> io::Result<BlockingFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(mode != OpenMode::ReadOnly);
    match mode {
        OpenMode::Existing | OpenMode::ReadOnly => &mut options,
        OpenMode::CreateNew => options.create_new(true),
        OpenMode::CreateOrTruncate => options.create(true).truncate(true),
    };
    if direct {
        options.custom_flags(libc::O_DIRECT);
    }
    let file = options.open(path)?;
    Ok(BlockingFile { file, direct })
}

/// Locks the whole file for its open file description: every handle made of it shares the lock,
/// and writes of a killed process that are still in flight keep it.
fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the structure consists of integers; all zero is a valid value (the whole file).
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open, and the kernel reads the structure during the call only.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if answer == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

fn read_fully(file: &File, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    loop {
        let answer = retried(|| file.read_at(&mut buffer[done..], position + done as u64));
        match after_read(buffer.len(), done, answer) {
            Next::Done(count) => return Ok(count),
            Next::Again(count) => done = count,
            Next::Failed(error) => return Err(error),
        }
    }
}

fn write_fully(file: &File, position: u64, data: &[u8]) -> io::Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let mut done = 0;
    loop {
        let answer = retried(|| file.write_at(&data[done..], position + done as u64));
        match after_write(data.len(), done, answer) {
            Next::Done(_) => return Ok(()),
            Next::Again(count) => done = count,
            Next::Failed(error) => return Err(error),
        }
    }
}

/// A signal moved nothing and proves nothing: the call is made again.
fn retried(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: BlockingDisk = BlockingDisk;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../../target").unwrap()
    }

    fn filled(len: usize, byte: u8) -> Bytes {
        let mut buffer = AlignedBuf::zeroed(len);
        buffer.fill(byte);
        Bytes::from_owner(buffer)
    }

    #[test]
    fn what_is_written_is_read_back_and_lengths_are_kept() {
        let folder = folder();
        let path = folder.path().join("file");
        block_on(async {
            let file = DISK.open(&path, OpenMode::CreateNew).await.unwrap();
            assert!(file.is_direct());
            DISK.write_at(&file, 4096, filled(8192, 7)).await.unwrap();
            DISK.flush(&file).await.unwrap();
            assert_eq!(DISK.len(&file).await.unwrap(), 12288);
            let (buffer, count) = DISK.read_at(&file, 0, 65536).await.unwrap();
            assert_eq!(count, 12288);
            assert!(buffer[..4096].iter().all(|&byte| byte == 0));
            assert!(buffer[4096..12288].iter().all(|&byte| byte == 7));
            assert!(buffer[12288..].iter().all(|&byte| byte == 0));
            DISK.set_len(&file, 5000).await.unwrap();
            let (buffer, count) = DISK.read_at(&file, 4096, 4096).await.unwrap();
            assert_eq!((count, buffer[903], buffer[904]), (904, 7, 0));
        });
    }

    #[test]
    fn open_modes_are_kept_to() {
        let folder = folder();
        let path = folder.path().join("file");
        block_on(async {
            let missing = DISK.open(&path, OpenMode::Existing).await.unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            let file = DISK.open(&path, OpenMode::CreateNew).await.unwrap();
            DISK.write_at(&file, 0, filled(4096, 1)).await.unwrap();
            let exists = DISK.open(&path, OpenMode::CreateNew).await.unwrap_err();
            assert_eq!(exists.kind(), io::ErrorKind::AlreadyExists);
            let read_only = DISK.open(&path, OpenMode::ReadOnly).await.unwrap();
            assert!(DISK.write_at(&read_only, 0, filled(4096, 2)).await.is_err());
            let emptied = DISK.open(&path, OpenMode::CreateOrTruncate).await.unwrap();
            assert_eq!(DISK.len(&emptied).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_lock_belongs_to_the_open_file_and_its_handles() {
        let folder = folder();
        let path = folder.path().join("file");
        block_on(async {
            let first = DISK.open(&path, OpenMode::CreateNew).await.unwrap();
            let second = DISK.open(&path, OpenMode::Existing).await.unwrap();
            assert!(DISK.try_lock(&first).unwrap());
            assert!(DISK.try_lock(&first).unwrap(), "it is ours already");
            assert!(!DISK.try_lock(&second).unwrap());
            let handle = DISK.handle(&first).unwrap();
            drop(first);
            assert!(!DISK.try_lock(&second).unwrap(), "the handle holds it");
            drop(handle);
            assert!(DISK.try_lock(&second).unwrap());
        });
    }

    #[test]
    fn names_are_listed_in_order_renamed_and_removed() {
        let folder = folder();
        let inner = folder.path().join("a/b");
        block_on(async {
            DISK.create_dir_all(&inner).await.unwrap();
            DISK.create_dir_all(&inner).await.unwrap();
            for name in ["2", "1", "3"] {
                DISK.open(&inner.join(name), OpenMode::CreateNew)
                    .await
                    .unwrap();
            }
            DISK.rename(&inner.join("3"), &inner.join("1"))
                .await
                .unwrap();
            DISK.remove(&inner.join("2")).await.unwrap();
            DISK.sync_dir(&inner).await.unwrap();
            assert_eq!(DISK.list(&inner).await.unwrap(), ["1"]);
            assert!(DISK.free_bytes(&inner).await.unwrap() > 0);
        });
    }

    #[test]
    fn a_file_system_without_direct_reads_is_used_as_it_is() {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
            return;
        };
        let path = folder.path().join("file");
        block_on(async {
            let file = DISK.open(&path, OpenMode::CreateNew).await.unwrap();
            DISK.write_at(&file, 0, filled(4096, 3)).await.unwrap();
            let again = DISK.open(&path, OpenMode::CreateNew).await.unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            let (buffer, count) = DISK.read_at(&file, 0, 8192).await.unwrap();
            assert_eq!((count, buffer[4095]), (4096, 3));
        });
    }
}

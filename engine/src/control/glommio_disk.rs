//! [`Disk`] on a glommio executor: the control plane's files without a thread of their own that blocks.
//!
//! A file is open twice: by itself, for its lock and for the handle that goes to the data plane, and by
//! glommio, which does the I/O here. Both are direct, so there is no cache between them.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use glommio::io::{Directory, DmaBuffer, DmaFile, OpenOptions};
use glommio::{GlommioError, timer};
use ringmq_ring::blocking::{BlockingDisk, BlockingFile};
use ringmq_ring::{ALIGNMENT, AlignedBuf, Disk, OpenMode};

/// Largest single I/O: more than the device takes at once may hang in glommio.
const IO_BYTES_MAX: usize = 1 << 20;
/// A file that is written, opened and removed once, see [`GlommioDisk::start`].
const TRIAL_FILE: &str = "trial.tmp";

/// The machine's disks, by a glommio executor. Only to be used on its thread.
#[derive(Clone, Debug)]
pub struct GlommioDisk {
    /// The buffer of the last write, used again by the next one of that size: zeroing a segment would
    /// otherwise fault a mebibyte in for each mebibyte written.
    spare: Rc<RefCell<Option<Rc<DmaBuffer>>>>,
}

/// An open file.
#[derive(Debug)]
pub struct GlommioFile {
    plain: BlockingFile,
    dma: DmaFile,
}

impl GlommioDisk {
    /// Prepares glommio for the file system of `folder`, which must exist.
    ///
    /// The first file that glommio opens on a device decides how all others are read, and it tries that out
    /// by reading: from an empty file it concludes wrongly, and later reads fail. So the first one is ours,
    /// and not empty.
    pub async fn start(folder: &Path) -> io::Result<Self> {
        let path = folder.join(TRIAL_FILE);
        let file = BlockingDisk.open(&path, OpenMode::CreateOrTruncate).await?;
        let block = Bytes::from_owner(AlignedBuf::zeroed(ALIGNMENT));
        BlockingDisk.write_at(&file, 0, block).await?;
        let tried = dma_open(&path, true).await?;
        tried.close().await.map_err(plain_error)?;
        BlockingDisk.remove(&path).await?;
        Ok(Self {
            spare: Rc::default(),
        })
    }

    /// A buffer that holds `part`, with nobody else holding it.
    fn filled(&self, file: &DmaFile, part: &[u8]) -> Rc<DmaBuffer> {
        let spare = self.spare.borrow_mut().take();
        let reused =
            spare.filter(|buffer| buffer.len() == part.len() && Rc::strong_count(buffer) == 1);
        let mut buffer = reused.unwrap_or_else(|| Rc::new(file.alloc_dma_buffer(part.len())));
        if let Some(buffer) = Rc::get_mut(&mut buffer) {
            buffer.as_bytes_mut()[..part.len()].copy_from_slice(part);
        }
        buffer
    }
}

impl Disk for GlommioDisk {
    type File = GlommioFile;
    type Handle = File;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<GlommioFile> {
        let plain = BlockingDisk.open(path, mode).await?;
        let dma = dma_open(path, mode != OpenMode::ReadOnly).await?;
        Ok(GlommioFile { plain, dma })
    }

    fn handle(&self, file: &GlommioFile) -> io::Result<File> {
        BlockingDisk.handle(&file.plain)
    }

    fn try_lock(&self, file: &GlommioFile) -> io::Result<bool> {
        BlockingDisk.try_lock(&file.plain)
    }

    async fn len(&self, file: &GlommioFile) -> io::Result<u64> {
        file.dma.file_size().await.map_err(plain_error)
    }

    async fn read_at(
        &self,
        file: &GlommioFile,
        position: u64,
        len: usize,
    ) -> io::Result<(AlignedBuf, usize)> {
        let mut buffer = AlignedBuf::zeroed(len);
        let mut filled = 0;
        while filled < buffer.len() {
            let wanted = (buffer.len() - filled).min(IO_BYTES_MAX);
            let read = file.dma.read_at_aligned(position + filled as u64, wanted);
            let read = read.await.map_err(plain_error)?;
            buffer[filled..filled + read.len()].copy_from_slice(&read);
            filled += read.len();
            // Shorter only at the end of the file.
            if read.len() < wanted {
                break;
            }
        }
        Ok((buffer, filled))
    }

    async fn write_at(&self, file: &GlommioFile, position: u64, data: Bytes) -> io::Result<()> {
        let mut from = 0;
        while from < data.len() {
            let part = &data[from..data.len().min(from + IO_BYTES_MAX)];
            let buffer = self.filled(&file.dma, part);
            let written = file
                .dma
                .write_rc_at(Rc::clone(&buffer), position + from as u64);
            let written = written.await.map_err(plain_error)?.min(part.len());
            *self.spare.borrow_mut() = Some(buffer);
            // A rest that is no whole block cannot be written directly.
            let whole = written - written % ALIGNMENT;
            if whole == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            from += whole;
        }
        Ok(())
    }

    async fn flush(&self, file: &GlommioFile) -> io::Result<()> {
        file.dma.fdatasync().await.map_err(plain_error)
    }

    async fn set_len(&self, file: &GlommioFile, len: u64) -> io::Result<()> {
        file.dma.truncate(len).await.map_err(plain_error)
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        glommio::io::rename(from, to).await.map_err(plain_error)
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        glommio::io::remove(path).await.map_err(plain_error)
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        BlockingDisk.create_dir_all(path).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let here = path.as_os_str().is_empty();
        // glommio opens paths from no folder at all: only whole ones are found.
        let path = std::path::absolute(if here { Path::new(".") } else { path })?;
        let folder = Directory::open(path).await.map_err(plain_error)?;
        folder.sync().await.map_err(plain_error)?;
        folder.close().await.map_err(plain_error)
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        BlockingDisk.list(path).await
    }

    async fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        BlockingDisk.free_bytes(path).await
    }

    async fn pause(&self, duration: Duration) {
        timer::sleep(duration).await;
    }
}

async fn dma_open(path: &Path, write: bool) -> io::Result<DmaFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    options.dma_open(path).await.map_err(plain_error)
}

/// The operating system's error, so that "no space" is still to be told from "no file".
fn plain_error(error: GlommioError<()>) -> io::Error {
    match error {
        GlommioError::IoError(source) | GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}

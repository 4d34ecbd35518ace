//! Log files before the shard gets them and after it has done with them: zeroed and flushed ahead of
//! use, so that a durable write touches no metadata, and recycled by rename.
//!
//! A file is made under the name `spare-<n>.log`, and renamed to `<16 hex>.log` when it is whole. Only a
//! segment that the shard waits for, the first one of a new store, gets its name at once and goes to the
//! shard when its first extent is ready.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use ringmq_ring::{AlignedBuf, Disk, OpenMode};

use crate::error::Error;
use crate::limits::{FIRST_EXTENT_BYTES, INDEX_SHRINK_BYTES, SPARE_SEGMENTS_MAX, WRITE_BYTES_MAX};
use crate::types::SegmentNumber;

/// The log folder of one shard.
#[derive(Debug)]
pub struct SegmentFiles<D: Disk> {
    disk: D,
    folder: PathBuf,
    segment_bytes: u64,
    /// Numbers of spare files, whole or not, that one in preparation included. Each is flushed before use.
    spares: BTreeSet<u32>,
    /// One mebibyte of zeros.
    zeros: Bytes,
}

/// A log file that is being made ready.
#[derive(Debug)]
pub struct Preparation<F> {
    number: SegmentNumber,
    file: F,
    path: PathBuf,
    /// Bytes from its start that are zeroed or recycled.
    position: u64,
    /// Bytes from its start that are flushed as well.
    flushed: u64,
    /// The spare it is made from; `None` when it has its final name already.
    spare: Option<u32>,
}

/// What one step of a preparation has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<H> {
    /// Some zeros.
    Some,
    /// The shard may have the file; bytes from its start that are ready.
    Usable(H, u64),
    /// The shard has the file; bytes from its start that are ready now. All of them: it is done.
    Extent(u64),
}

impl<D: Disk> SegmentFiles<D> {
    /// The log folder, with the spare files found in it.
    pub fn new(
        disk: D,
        folder: PathBuf,
        segment_bytes: u64,
        spares: impl IntoIterator<Item = u32>,
    ) -> Self {
        Self {
            disk,
            folder,
            segment_bytes,
            spares: spares.into_iter().collect(),
            zeros: Bytes::from_owner(AlignedBuf::zeroed(WRITE_BYTES_MAX)),
        }
    }

    /// Where a log segment lies.
    pub fn path(&self, segment: SegmentNumber) -> PathBuf {
        self.folder.join(format!("{segment}.log"))
    }

    /// Spare files at hand.
    pub fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Begins to make the file of a segment ready: what a former run has left under its name, a spare,
    /// or a new file. With `early` the file goes to the shard as soon as its first extent is ready.
    pub async fn begin(
        &mut self,
        number: SegmentNumber,
        early: bool,
    ) -> Result<Preparation<D::File>, Error> {
        let path = self.path(number);
        if let Some(found) = self.take_over(number, path.clone(), None).await? {
            return Ok(found);
        }
        if early {
            let file = self.create(&path).await?;
            self.sync_folder().await?;
            return Ok(fresh(number, file, path, None));
        }
        while let Some(&spare) = self.spares.first() {
            let path = self.spare_path(spare);
            if let Some(found) = self.take_over(number, path, Some(spare)).await? {
                return Ok(found);
            }
            self.spares.remove(&spare);
        }
        let path = self.spare_path(0);
        let file = self.create(&path).await?;
        self.spares.insert(0);
        Ok(fresh(number, file, path, Some(0)))
    }

    /// Goes on with a preparation: one write, or the flush and the renaming at its end.
    pub async fn step(
        &mut self,
        preparation: &mut Preparation<D::File>,
    ) -> Result<Progress<D::Handle>, Error> {
        let whole = self.segment_bytes;
        // A file that has its name is handed over by extents, any other one whole.
        let extent = match preparation.spare {
            Some(_) => whole,
            None => FIRST_EXTENT_BYTES,
        };
        let goal = (preparation.flushed + extent).min(whole);
        if preparation.position < goal {
            self.write_zeros(preparation, goal).await?;
        }
        if preparation.position < goal {
            return Ok(Progress::Some);
        }
        let flushed = self.disk.flush(&preparation.file).await;
        flushed.map_err(Error::io("flush", &preparation.path))?;
        let first = std::mem::replace(&mut preparation.flushed, preparation.position) == 0;
        if preparation.spare.is_some() {
            self.give_name(preparation).await?;
        } else if !first {
            return Ok(Progress::Extent(preparation.flushed));
        }
        let handle = self.disk.handle(&preparation.file);
        let handle = handle.map_err(Error::io("share", &preparation.path))?;
        Ok(Progress::Usable(handle, preparation.flushed))
    }

    /// After a failure: a file that the shard has already is gone on with later, any other one goes.
    pub async fn abandon(
        &mut self,
        preparation: Preparation<D::File>,
    ) -> Option<Preparation<D::File>> {
        if preparation.is_with_shard() {
            return Some(preparation);
        }
        let Preparation {
            file,
            path,
            spare,
            number,
            ..
        } = preparation;
        // A former run may have prepared segments behind this one: they go first, because a log with a
        // gap in it does not open.
        if spare.is_none() && self.remove_behind(number).await.is_err() {
            return None;
        }
        // Nothing depends on it: what cannot be removed now is found at the next start.
        let _ = self.disk.set_len(&file, 0).await;
        drop(file);
        if self.disk.remove(&path).await.is_ok()
            && let Some(spare) = spare
        {
            self.spares.remove(&spare);
        }
        None
    }

    /// Removes what is prepared behind a segment, the last one first.
    async fn remove_behind(&self, number: SegmentNumber) -> Result<(), Error> {
        let names = self.disk.list(&self.folder).await;
        let mut names = names.map_err(Error::io("list", &self.folder))?;
        let last = format!("{number}.log");
        names.retain(|name| name.len() == last.len() && *name > last);
        for name in names.iter().rev() {
            let path = self.folder.join(name);
            let removed = self.disk.remove(&path).await;
            removed.map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// Takes the file of a retired segment in, to be used again, or removes it.
    pub async fn recycle(&mut self, segment: SegmentNumber) -> Result<(), Error> {
        let path = self.path(segment);
        if self.spares.len() >= SPARE_SEGMENTS_MAX {
            return remove_slowly(&self.disk, path).await;
        }
        let spare = (1..)
            .find(|spare| !self.spares.contains(spare))
            .unwrap_or(1);
        let to = self.spare_path(spare);
        match self.disk.rename(&path, &to).await {
            Ok(()) => self.spares.insert(spare),
            // A crash came between the renaming and the manifest that tells of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("rename", path)(error)),
        };
        self.sync_folder().await
    }

    /// A file that is there already: whole, or the beginning of one, which is gone on with.
    async fn take_over(
        &self,
        number: SegmentNumber,
        path: PathBuf,
        spare: Option<u32>,
    ) -> Result<Option<Preparation<D::File>>, Error> {
        let file = match self.disk.open(&path, OpenMode::Existing).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        self.lock(&file, &path).await?;
        let len = self.disk.len(&file).await;
        let len = len.map_err(Error::io("measure", &path))?;
        // Zeros are written in whole steps; what is behind the last of them is written again.
        let position = match len {
            len if len == self.segment_bytes => len,
            len if len > self.segment_bytes => 0,
            len => len - len % WRITE_BYTES_MAX as u64,
        };
        Ok(Some(Preparation {
            number,
            file,
            path,
            position,
            flushed: 0,
            spare,
        }))
    }

    async fn create(&self, path: &PathBuf) -> Result<D::File, Error> {
        let file = self.disk.open(path, OpenMode::CreateOrTruncate).await;
        let file = file.map_err(Error::io("create", path))?;
        self.lock(&file, path).await?;
        Ok(file)
    }

    /// The lock of a file that has just been recycled is free once the shard's end is closed.
    async fn lock(&self, file: &D::File, path: &PathBuf) -> Result<(), Error> {
        for _ in 0..LOCK_TRIES {
            let locked = self.disk.try_lock(file);
            if locked.map_err(Error::io("lock", path))? {
                return Ok(());
            }
            self.disk.pause(LOCK_PAUSE).await;
        }
        Err(Error::Locked { path: path.clone() })
    }

    async fn write_zeros(
        &self,
        preparation: &mut Preparation<D::File>,
        goal: u64,
    ) -> Result<(), Error> {
        let len = (goal - preparation.position).min(self.zeros.len() as u64);
        let zeros = self.zeros.slice(..len as usize);
        let at = preparation.position;
        let written = self.disk.write_at(&preparation.file, at, zeros).await;
        written.map_err(Error::io("prepare", &preparation.path))?;
        preparation.position += len;
        Ok(())
    }

    async fn give_name(&mut self, preparation: &mut Preparation<D::File>) -> Result<(), Error> {
        let to = self.path(preparation.number);
        let renamed = self.disk.rename(&preparation.path, &to).await;
        renamed.map_err(Error::io("rename", &preparation.path))?;
        preparation.path = to;
        if let Some(spare) = preparation.spare.take() {
            self.spares.remove(&spare);
        }
        self.sync_folder().await
    }

    async fn sync_folder(&self) -> Result<(), Error> {
        let synced = self.disk.sync_dir(&self.folder).await;
        synced.map_err(Error::io("flush the folder", &self.folder))
    }

    fn spare_path(&self, spare: u32) -> PathBuf {
        self.folder.join(format!("spare-{spare}.log"))
    }
}

fn fresh<F>(number: SegmentNumber, file: F, path: PathBuf, spare: Option<u32>) -> Preparation<F> {
    Preparation {
        number,
        file,
        path,
        position: 0,
        flushed: 0,
        spare,
    }
}

impl<F> Preparation<F> {
    /// Whose file it will be.
    pub fn number(&self) -> SegmentNumber {
        self.number
    }

    /// Whether the shard writes to it already.
    pub fn is_with_shard(&self) -> bool {
        self.spare.is_none() && self.flushed > 0
    }

    /// Whether nothing is left to do.
    pub fn is_whole(&self, segment_bytes: u64) -> bool {
        self.flushed == segment_bytes
    }
}

const LOCK_PAUSE: Duration = Duration::from_millis(5);
const LOCK_TRIES: u32 = 400;
const SHRINK_PAUSE: Duration = Duration::from_millis(5);

/// Removes a file that may be large: its space goes back in small steps, so that commits beside it do
/// not wait for the file system. No error when it is not there.
pub(crate) async fn remove_slowly<D: Disk>(disk: &D, path: PathBuf) -> Result<(), Error> {
    let file = match disk.open(&path, OpenMode::Existing).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let len = disk.len(&file).await;
    let mut len = len.map_err(Error::io("measure", &path))?;
    while len > 0 {
        len = len.saturating_sub(INDEX_SHRINK_BYTES);
        let shrunk = disk.set_len(&file, len).await;
        shrunk.map_err(Error::io("shrink", &path))?;
        disk.pause(SHRINK_PAUSE).await;
    }
    drop(file);
    let removed = disk.remove(&path).await;
    removed.map_err(Error::io("remove", path))
}

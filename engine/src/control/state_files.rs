//! State files: one per generation, written chunk by chunk as the shard makes them, durable before a
//! manifest names them.

use std::path::PathBuf;

use bytes::Bytes;
use ringmq_ring::Disk;

use crate::control::segment_files::remove_slowly;
use crate::error::Error;
use crate::recovery::create_anew;

/// The state folder of one shard.
#[derive(Debug)]
pub struct StateFiles<D: Disk> {
    disk: D,
    folder: PathBuf,
    open: Option<OpenState<D::File>>,
}

#[derive(Debug)]
struct OpenState<F> {
    generation: u64,
    path: PathBuf,
    file: F,
    position: u64,
}

impl<D: Disk> StateFiles<D> {
    /// The folder of a shard's state files.
    pub fn new(disk: D, folder: PathBuf) -> Self {
        Self {
            disk,
            folder,
            open: None,
        }
    }

    /// Removes the files of all generations but these: no manifest names them.
    pub async fn keep_only(&self, generations: &[u64]) -> Result<(), Error> {
        let names = self.disk.list(&self.folder).await;
        for name in names.map_err(Error::io("list", &self.folder))? {
            let number = name
                .strip_suffix(SUFFIX)
                .filter(|digits| digits.len() == 16);
            let generation = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if generation.is_some_and(|generation| !generations.contains(&generation)) {
                remove_slowly(&self.disk, self.folder.join(name)).await?;
            }
        }
        Ok(())
    }

    /// Begins the file of a generation, in the place of one that was not finished.
    pub async fn begin(&mut self, generation: u64) -> Result<(), Error> {
        self.open = None;
        let path = self.path(generation);
        let file = create_anew(&self.disk, &path).await;
        let file = file.map_err(Error::io("create", &path))?;
        self.open = Some(OpenState {
            generation,
            path,
            file,
            position: 0,
        });
        Ok(())
    }

    /// Writes the next chunk; chunks of a generation that has failed are dropped.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let len = chunk.len() as u64;
        let written = self.disk.write_at(&open.file, open.position, chunk).await;
        written.map_err(Error::io("write", &open.path))?;
        open.position += len;
        self.open = Some(open);
        Ok(())
    }

    /// Makes the file durable; `false` when it has failed before.
    pub async fn end(&mut self, generation: u64) -> Result<bool, Error> {
        let Some(open) = self
            .open
            .take()
            .filter(|open| open.generation == generation)
        else {
            return Ok(false);
        };
        let flushed = self.disk.flush(&open.file).await;
        flushed.map_err(Error::io("flush", &open.path))?;
        let synced = self.disk.sync_dir(&self.folder).await;
        synced.map_err(Error::io("flush the folder", &self.folder))?;
        Ok(true)
    }

    /// Removes the file of a generation.
    pub async fn drop_generation(&self, generation: u64) -> Result<(), Error> {
        remove_slowly(&self.disk, self.path(generation)).await
    }

    /// Where a generation lies.
    pub fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation:016x}{SUFFIX}"))
    }
}

const SUFFIX: &str = ".state";

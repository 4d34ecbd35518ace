//! The control plane of a world.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::device::{EINVAL, Outcome, Request, error};
use super::io::SimHandle;
use super::tasks::wait_for;
use super::world::World;
use crate::buffer::{ALIGNMENT, AlignedBuf};
use crate::disk::{Disk, OpenMode};

/// The world's disk as one process sees it; made by [`World::disk`].
#[derive(Clone, Debug)]
pub struct SimDisk {
    world: World,
    process: u32,
}

/// An open file. Dropping it, and every handle made of it, closes the description.
#[derive(Debug)]
pub struct SimFile(SimHandle);

impl SimDisk {
    pub(super) fn new(world: World, process: u32) -> Self {
        Self { world, process }
    }

    async fn run(&self, request: Request) -> io::Result<Outcome> {
        let process = self.process;
        let waiter = self.world.with(|state| state.submit_task(process, request));
        self.result(waiter).await
    }

    async fn result(&self, waiter: u64) -> io::Result<Outcome> {
        let world = self.world.clone();
        wait_for(move |waker| world.with(|state| state.result(waiter, waker))).await
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Handle = SimHandle;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<SimFile> {
        let path = path.to_path_buf();
        match self.run(Request::Open { path, mode }).await? {
            Outcome::Opened(description, holder) => Ok(SimFile(SimHandle {
                description,
                holder,
            })),
            _ => Err(error(EINVAL)),
        }
    }

    fn handle(&self, file: &SimFile) -> io::Result<SimHandle> {
        Ok(file.0.clone())
    }

    fn try_lock(&self, file: &SimFile) -> io::Result<bool> {
        self.world
            .with(|state| state.device.try_lock(file.0.description))
    }

    async fn len(&self, file: &SimFile) -> io::Result<u64> {
        let description = file.0.description;
        number(self.run(Request::Len { description }).await?)
    }

    async fn read_at(
        &self,
        file: &SimFile,
        position: u64,
        len: usize,
    ) -> io::Result<(AlignedBuf, usize)> {
        if !len.is_multiple_of(ALIGNMENT) {
            return Err(error(EINVAL));
        }
        let request = Request::Read {
            description: file.0.description,
            position,
            buffer: AlignedBuf::zeroed(len),
            done: 0,
        };
        match self.run(request).await? {
            Outcome::Buffer(buffer, count) => Ok((buffer, count)),
            _ => Err(error(EINVAL)),
        }
    }

    async fn write_at(&self, file: &SimFile, position: u64, data: Bytes) -> io::Result<()> {
        let request = Request::Write {
            description: file.0.description,
            position,
            data,
            done: 0,
            durable: false,
        };
        self.run(request).await.map(drop)
    }

    async fn flush(&self, file: &SimFile) -> io::Result<()> {
        let request = Request::Flush {
            description: file.0.description,
            covers: 0,
        };
        self.run(request).await.map(drop)
    }

    async fn set_len(&self, file: &SimFile, len: u64) -> io::Result<()> {
        let description = file.0.description;
        self.run(Request::SetLen { description, len })
            .await
            .map(drop)
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let request = Request::Rename {
            from: from.to_path_buf(),
            to: to.to_path_buf(),
        };
        self.run(request).await.map(drop)
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_path_buf();
        self.run(Request::Remove { path }).await.map(drop)
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = path.to_path_buf();
        self.run(Request::CreateFolders { path }).await.map(drop)
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_path_buf();
        self.run(Request::SyncFolder { path, covers: 0 })
            .await
            .map(drop)
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = path.to_path_buf();
        match self.run(Request::List { path }).await? {
            Outcome::Names(names) => Ok(names),
            _ => Err(error(EINVAL)),
        }
    }

    async fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        number(self.run(Request::FreeBytes).await?)
    }

    async fn pause(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let process = self.process;
        let waiter = self
            .world
            .with(|state| state.submit_pause(process, nanoseconds));
        // A pause has no failure.
        let _ = self.result(waiter).await;
    }
}

fn number(outcome: Outcome) -> io::Result<u64> {
    match outcome {
        Outcome::Number(number) => Ok(number),
        _ => Err(error(EINVAL)),
    }
}

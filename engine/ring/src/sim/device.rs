//! The world's disk: files, open file descriptions, locks, and operations on their way.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::faults::{Fault, Fired};
use super::image::Image;
use super::rng::Rng;
use super::tree::{FileNumber, Node, Tree};
use crate::buffer::{ALIGNMENT, AlignedBuf};
use crate::disk::OpenMode;

pub(super) const EIO: i32 = 5;
pub(super) const EINVAL: i32 = 22;
pub(super) const ENOSPC: i32 = 28;
const EBADF: i32 = 9;

/// An open file description's number; never reused in a world.
pub(super) type DescriptionNumber = u32;

/// What keeps a description open: whoever holds a clone of it.
pub(super) type Holder = Arc<()>;

/// One operation as asked for.
#[derive(Debug)]
pub(super) enum Request {
    Read {
        description: DescriptionNumber,
        position: u64,
        buffer: AlignedBuf,
        done: usize,
    },
    Write {
        description: DescriptionNumber,
        position: u64,
        data: Bytes,
        done: usize,
        durable: bool,
    },
    Flush {
        description: DescriptionNumber,
        covers: u64,
    },
    Len {
        description: DescriptionNumber,
    },
    SetLen {
        description: DescriptionNumber,
        len: u64,
    },
    Open {
        path: PathBuf,
        mode: OpenMode,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    CreateFolders {
        path: PathBuf,
    },
    SyncFolder {
        path: PathBuf,
        covers: u64,
    },
    List {
        path: PathBuf,
    },
    FreeBytes,
}

/// What an operation gives back.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Buffer(AlignedBuf, usize),
    Number(u64),
    Opened(DescriptionNumber, Holder),
    Names(Vec<String>),
}

/// What one answer of the device means for an operation.
#[derive(Debug)]
pub(super) enum Answer {
    Final(io::Result<Outcome>),
    /// A read failed: the buffer goes back all the same.
    FailedRead(io::Error, AlignedBuf),
    /// The device moved a part: ask again for the rest.
    Rest(Request),
}

/// Which part of the bytes a killed process had in flight arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// As if nothing had happened.
    Whole,
    /// All of them, but a durable write has only reached the cache.
    Cached,
    /// Some sectors, in the cache.
    Partly,
}

#[derive(Debug)]
struct Description {
    file: FileNumber,
    process: u32,
    holder: Weak<()>,
    in_flight: u32,
    killed: bool,
    read_only: bool,
}

impl Description {
    /// Closed by everyone, but operations in flight pin it.
    fn is_open(&self) -> bool {
        self.in_flight > 0 || (!self.killed && self.holder.strong_count() > 0)
    }
}

#[derive(Debug, Default)]
struct File {
    image: Image,
    lock: Option<DescriptionNumber>,
    path: PathBuf,
    bad_reads: bool,
    bad_writes: bool,
    bad_flushes: bool,
    /// Processes that know that a write or flush of it has failed.
    distrusted: Vec<u32>,
}

/// The one disk of a world.
#[derive(Debug)]
pub(super) struct Device {
    tree: Tree,
    files: BTreeMap<FileNumber, File>,
    descriptions: BTreeMap<DescriptionNumber, Description>,
    next_file: FileNumber,
    next_description: DescriptionNumber,
    sequence: u64,
    pub(super) capacity: u64,
    pub(super) fired: Vec<Fired>,
    /// Writes and flushes by a process that knew of a failure of that file.
    pub(super) retried: Vec<Fired>,
    pub(super) rng: Rng,
}

impl Device {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            tree: Tree::default(),
            files: BTreeMap::new(),
            descriptions: BTreeMap::new(),
            next_file: 1,
            next_description: 1,
            sequence: 1,
            capacity: 1 << 40,
            fired: Vec::new(),
            retried: Vec::new(),
            rng,
        }
    }

    /// Marks the moment of submission: what a flush covers is what has landed by now.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The operation begins: it pins its description.
    pub(super) fn begin(&mut self, request: &Request) {
        if let Some(description) = self.description_of(request) {
            description.in_flight += 1;
        }
    }

    /// The process learns that a write or flush of this description has failed.
    pub(super) fn distrust(&mut self, process: u32, description: DescriptionNumber) {
        if let Ok(file) = self.file(description) {
            file.distrusted.push(process);
        }
    }

    /// Notes a write or flush of a file that the process should not trust any more.
    pub(super) fn check_trust(&mut self, number: u64, process: u32, request: &Request) {
        let Some(description) = request.written() else {
            return;
        };
        let path = self.path_of(request);
        let (position, len) = request.range();
        if let Ok(file) = self.file(description)
            && file.distrusted.contains(&process)
        {
            self.retried.push(Fired {
                operation: number,
                fault: Fault::Error,
                path,
                position,
                len,
            });
        }
    }

    /// The operation is over or has been dropped.
    pub(super) fn end(&mut self, number: Option<DescriptionNumber>) {
        if let Some(description) = number.and_then(|n| self.descriptions.get_mut(&n)) {
            description.in_flight = description.in_flight.saturating_sub(1);
        }
    }

    fn description_of(&mut self, request: &Request) -> Option<&mut Description> {
        self.descriptions.get_mut(&request.description()?)
    }

    /// Carries an operation out, with what goes wrong in it.
    pub(super) fn execute(
        &mut self,
        number: u64,
        process: u32,
        request: Request,
        fault: Option<Fault>,
        landing: Landing,
    ) -> Answer {
        match request {
            Request::Read {
                description,
                position,
                buffer,
                done,
            } => self.read(number, description, position, buffer, done, fault),
            Request::Write {
                description,
                position,
                data,
                done,
                durable,
            } => {
                let write = Write {
                    number,
                    description,
                    position,
                    data,
                    done,
                    durable,
                };
                self.write(write, fault, landing)
            }
            other => Answer::Final(self.simple(number, process, other, fault)),
        }
    }

    fn simple(
        &mut self,
        number: u64,
        process: u32,
        request: Request,
        fault: Option<Fault>,
    ) -> io::Result<Outcome> {
        match request {
            Request::Flush {
                description,
                covers,
            } => self.flush(number, description, covers, fault),
            Request::Len { description } => {
                let len = self.file(description)?.image.len();
                Ok(Outcome::Number(len))
            }
            Request::SetLen { description, len } => self.set_len(description, len),
            Request::Open { path, mode } => self.open(number, process, &path, mode, fault),
            Request::Rename { from, to } => self.rename(&from, &to),
            Request::Remove { path } => {
                let sequence = self.next_sequence();
                self.tree.remove(sequence, &path)?;
                Ok(Outcome::Done)
            }
            Request::CreateFolders { path } => {
                let sequence = self.next_sequence();
                self.tree.create_folders(sequence, &path)?;
                Ok(Outcome::Done)
            }
            Request::SyncFolder { path, covers } => self.sync_folder(number, &path, covers, fault),
            Request::List { path } => Ok(Outcome::Names(self.tree.list(&path)?)),
            Request::FreeBytes => Ok(Outcome::Number(self.free())),
            Request::Read { .. } | Request::Write { .. } => Err(error(EINVAL)),
        }
    }

    fn file(&mut self, description: DescriptionNumber) -> io::Result<&mut File> {
        let file = self
            .descriptions
            .get(&description)
            .map(|description| description.file)
            .ok_or_else(|| error(EBADF))?;
        self.files.get_mut(&file).ok_or_else(|| error(EBADF))
    }

    fn read(
        &mut self,
        number: u64,
        description: DescriptionNumber,
        position: u64,
        mut buffer: AlignedBuf,
        done: usize,
        fault: Option<Fault>,
    ) -> Answer {
        let len = buffer.len();
        let result = self.read_some(number, description, position, &mut buffer, done, fault);
        match crate::partial::after_read(len, done, result) {
            crate::partial::Next::Done(count) => {
                buffer[count..].fill(0);
                Answer::Final(Ok(Outcome::Buffer(buffer, count)))
            }
            crate::partial::Next::Again(done) => Answer::Rest(Request::Read {
                description,
                position,
                buffer,
                done,
            }),
            crate::partial::Next::Failed(error) => Answer::FailedRead(error, buffer),
        }
    }

    fn read_some(
        &mut self,
        number: u64,
        description: DescriptionNumber,
        position: u64,
        buffer: &mut AlignedBuf,
        done: usize,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        let start = position + done as u64;
        let wanted = buffer.len() - done;
        check_aligned(start, wanted)?;
        let bit = self.rng.bits();
        let file = self.file(description)?;
        if fault == Some(Fault::ErrorForGood) {
            file.bad_reads = true;
        }
        if file.bad_reads || fault == Some(Fault::Error) {
            self.fire(number, fault, description, start, wanted);
            return Err(error(EIO));
        }
        let mut end = buffer.len();
        if fault == Some(Fault::Flip) {
            let range = file.image.len().saturating_sub(start).min(wanted as u64);
            if range > 0 {
                file.image.flip(start + (bit >> 3) % range, bit as u8);
                self.fire(number, fault, description, start, wanted);
            }
        } else if fault == Some(Fault::Short) && wanted > ALIGNMENT {
            let sectors = wanted / super::image::SECTOR;
            end = done + ALIGNMENT + (bit as usize % (sectors - 8)) * super::image::SECTOR;
            self.fire(number, fault, description, start, wanted);
        }
        let file = self.file(description)?;
        Ok(file.image.read(start, &mut buffer[done..end]))
    }

    fn write(&mut self, write: Write, fault: Option<Fault>, landing: Landing) -> Answer {
        let result = self.write_some(&write, fault, landing);
        match crate::partial::after_write(write.data.len(), write.done, result) {
            crate::partial::Next::Done(count) => Answer::Final(Ok(Outcome::Number(count as u64))),
            crate::partial::Next::Again(done) => Answer::Rest(Request::Write {
                description: write.description,
                position: write.position,
                data: write.data,
                done,
                durable: write.durable,
            }),
            crate::partial::Next::Failed(error) => Answer::Final(Err(error)),
        }
    }

    fn write_some(
        &mut self,
        write: &Write,
        fault: Option<Fault>,
        landing: Landing,
    ) -> io::Result<usize> {
        let start = write.position + write.done as u64;
        let data = write.data.slice(write.done..);
        check_aligned(start, data.len())?;
        if !(write.data.as_ptr() as usize).is_multiple_of(super::image::SECTOR) {
            return Err(error(EINVAL));
        }
        let description = self
            .descriptions
            .get(&write.description)
            .ok_or_else(|| error(EBADF))?;
        if description.read_only {
            return Err(error(EBADF));
        }
        let growth = self
            .file(write.description)?
            .image
            .growth(start, data.len());
        if growth > 0 && (fault == Some(Fault::NoSpace) || growth > self.free()) {
            self.fire(write.number, fault, write.description, start, data.len());
            return Err(error(ENOSPC));
        }
        self.land(write, start, data, fault, landing)
    }

    fn land(
        &mut self,
        write: &Write,
        start: u64,
        data: Bytes,
        fault: Option<Fault>,
        landing: Landing,
    ) -> io::Result<usize> {
        let len = data.len();
        let sequence = self.next_sequence();
        let mut rng = self.rng.fork();
        let file = self.file(write.description)?;
        if fault == Some(Fault::ErrorForGood) {
            file.bad_writes = true;
        }
        let fails = file.bad_writes || fault == Some(Fault::Error);
        let partly = fails || fault == Some(Fault::Torn) || landing == Landing::Partly;
        let moved = if fault == Some(Fault::Short) && len > ALIGNMENT {
            ALIGNMENT + rng.index(len / super::image::SECTOR - 8) * super::image::SECTOR
        } else {
            len
        };
        match fault {
            Some(Fault::Lost) => {}
            Some(Fault::Misdirected) => {
                return self.misdirect(write, start, data, &mut rng);
            }
            _ => {
                let survive = rng.between(1, 9) as u32 * 100_000;
                let part = data.slice(..moved);
                let durable = write.durable && !fails && landing == Landing::Whole;
                file.image.land(sequence, start, &part, durable, || {
                    !partly || rng.chance(survive)
                });
                if fault == Some(Fault::Flip) {
                    let bit = rng.bits();
                    file.image.flip(start + rng.below(len as u64), bit as u8);
                }
            }
        }
        if moved < len || fault != Some(Fault::Short) {
            self.fire(write.number, fault, write.description, start, len);
        }
        if fails { Err(error(EIO)) } else { Ok(moved) }
    }

    /// The bytes go to some other place where a file has as much room.
    fn misdirect(
        &mut self,
        write: &Write,
        start: u64,
        data: Bytes,
        rng: &mut Rng,
    ) -> io::Result<usize> {
        let len = data.len();
        let sequence = self.next_sequence();
        let right = self.descriptions.get(&write.description).map(|d| d.file);
        let rooms: Vec<FileNumber> = self
            .tree
            .files()
            .map(|(_, number)| number)
            .filter(|number| {
                let room = self.files.get(number).map_or(0, |file| file.image.len());
                room >= 2 * len as u64
            })
            .collect();
        let Some(number) = rooms.get(rng.index(rooms.len())).copied() else {
            self.fire(
                write.number,
                Some(Fault::Lost),
                write.description,
                start,
                len,
            );
            return Ok(len);
        };
        let Some(file) = self.files.get_mut(&number) else {
            return Err(error(EBADF));
        };
        let unit = ALIGNMENT as u64;
        let mut place = rng.below((file.image.len() - len as u64) / unit + 1) * unit;
        if Some(number) == right && place == start {
            place = if start >= unit { start - unit } else { unit };
        }
        file.image
            .land(sequence, place, &data, write.durable, || true);
        let path = file.path.clone();
        self.fired.push(Fired {
            operation: write.number,
            fault: Fault::Misdirected,
            path,
            position: place,
            len: len as u64,
        });
        self.fire(
            write.number,
            Some(Fault::Misdirected),
            write.description,
            start,
            len,
        );
        Ok(len)
    }

    fn flush(
        &mut self,
        number: u64,
        description: DescriptionNumber,
        covers: u64,
        fault: Option<Fault>,
    ) -> io::Result<Outcome> {
        let mut rng = self.rng.fork();
        let file = self.file(description)?;
        if fault == Some(Fault::ErrorForGood) {
            file.bad_flushes = true;
        }
        if file.bad_flushes || fault == Some(Fault::Error) {
            let survive = rng.below(3) as u32 * 300_000;
            file.image.lose_cache(&mut rng, survive);
            self.fire(number, fault, description, 0, 0);
            return Err(error(EIO));
        }
        if fault == Some(Fault::Lost) {
            self.fire(number, fault, description, 0, 0);
            return Ok(Outcome::Done);
        }
        file.image.settle(covers);
        Ok(Outcome::Done)
    }

    fn set_len(&mut self, description: DescriptionNumber, len: u64) -> io::Result<Outcome> {
        let sequence = self.next_sequence();
        self.file(description)?.image.set_len(sequence, len);
        Ok(Outcome::Done)
    }

    fn open(
        &mut self,
        number: u64,
        process: u32,
        path: &Path,
        mode: OpenMode,
        fault: Option<Fault>,
    ) -> io::Result<Outcome> {
        let there = self.tree.node(path);
        let file = match (there, mode) {
            (Some(Node::Folder), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Some(Node::File(file)), _) => file,
            (None, OpenMode::Existing | OpenMode::ReadOnly) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::CreateNew | OpenMode::CreateOrTruncate) => {
                self.create(number, path, fault)?
            }
        };
        if mode == OpenMode::CreateOrTruncate {
            let sequence = self.next_sequence();
            if let Some(file) = self.files.get_mut(&file) {
                file.image.set_len(sequence, 0);
            }
        }
        let holder = Holder::default();
        let description = self.next_description;
        self.next_description += 1;
        self.descriptions.insert(
            description,
            Description {
                file,
                process,
                holder: Arc::downgrade(&holder),
                in_flight: 0,
                killed: false,
                read_only: mode == OpenMode::ReadOnly,
            },
        );
        Ok(Outcome::Opened(description, holder))
    }

    fn create(&mut self, number: u64, path: &Path, fault: Option<Fault>) -> io::Result<FileNumber> {
        if fault == Some(Fault::NoSpace) || self.free() == 0 {
            self.fired.push(Fired {
                operation: number,
                fault: Fault::NoSpace,
                path: path.to_path_buf(),
                position: 0,
                len: 0,
            });
            return Err(error(ENOSPC));
        }
        let file = self.next_file;
        let sequence = self.next_sequence();
        self.tree.create(sequence, path, Node::File(file))?;
        self.next_file += 1;
        let entry = File {
            path: path.to_path_buf(),
            ..File::default()
        };
        self.files.insert(file, entry);
        Ok(file)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Outcome> {
        let sequence = self.next_sequence();
        let file = self.tree.file(from)?;
        self.tree.rename(sequence, from, to)?;
        if let Some(file) = self.files.get_mut(&file) {
            file.path = to.to_path_buf();
        }
        Ok(Outcome::Done)
    }

    fn sync_folder(
        &mut self,
        number: u64,
        path: &Path,
        covers: u64,
        fault: Option<Fault>,
    ) -> io::Result<Outcome> {
        if self.tree.node(path) != Some(Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if fault == Some(Fault::Error) {
            self.fired.push(Fired {
                operation: number,
                fault: Fault::Error,
                path: path.to_path_buf(),
                position: 0,
                len: 0,
            });
            return Err(error(EIO));
        }
        self.tree.sync(path, covers);
        self.collect();
        Ok(Outcome::Done)
    }

    /// Takes or keeps the exclusive lock of a file for a description.
    pub(super) fn try_lock(&mut self, description: DescriptionNumber) -> io::Result<bool> {
        let held = self.file(description)?.lock;
        let free = held.is_none_or(|holder| {
            holder == description
                || !self
                    .descriptions
                    .get(&holder)
                    .is_some_and(Description::is_open)
        });
        if free {
            self.file(description)?.lock = Some(description);
        }
        Ok(free)
    }

    /// The process is gone: what it had open is closed, but for operations in flight.
    pub(super) fn kill(&mut self, process: u32) {
        for description in self.descriptions.values_mut() {
            description.killed |= description.process == process;
        }
        self.collect();
    }

    /// The power goes off. `in_flight` are the writes on their way: any part of them arrives.
    pub(super) fn cut(&mut self, in_flight: Vec<Request>, tear: bool) {
        let survive = [0, 50_000, 500_000, 950_000, 1_000_000][self.rng.index(5)];
        for request in in_flight {
            if let Request::Write {
                description,
                position,
                data,
                done,
                ..
            } = request
            {
                let sequence = self.next_sequence();
                let data = data.slice(done..);
                if let Ok(file) = self.file(description) {
                    file.image
                        .land(sequence, position + done as u64, &data, false, || true);
                }
            }
        }
        let mut rng = self.rng.fork();
        self.tree.cut(&mut rng);
        for file in self.files.values_mut() {
            file.image.cut(&mut rng, survive, tear);
            file.lock = None;
        }
        self.descriptions.clear();
        let names: Vec<_> = self
            .tree
            .files()
            .map(|(path, number)| (path.clone(), number))
            .collect();
        for (path, number) in names {
            if let Some(file) = self.files.get_mut(&number) {
                file.path = path;
            }
        }
        self.collect();
    }

    /// Forgets closed descriptions and files that nothing can reach any more.
    fn collect(&mut self) {
        self.descriptions.retain(|_, d| d.is_open());
        let open: Vec<FileNumber> = self.descriptions.values().map(|d| d.file).collect();
        let tree = &self.tree;
        self.files
            .retain(|number, _| open.contains(number) || tree.refers_to(*number));
    }

    pub(super) fn heal(&mut self) {
        for file in self.files.values_mut() {
            file.bad_reads = false;
            file.bad_writes = false;
            file.bad_flushes = false;
        }
    }

    pub(super) fn free(&self) -> u64 {
        let used: u64 = self.files.values().map(|file| file.image.space()).sum();
        self.capacity.saturating_sub(used)
    }

    pub(super) fn path_of(&self, request: &Request) -> PathBuf {
        match request {
            Request::Open { path, .. }
            | Request::Rename { from: path, .. }
            | Request::Remove { path }
            | Request::CreateFolders { path }
            | Request::SyncFolder { path, .. }
            | Request::List { path } => path.clone(),
            _ => request
                .description()
                .and_then(|number| self.descriptions.get(&number))
                .and_then(|description| self.files.get(&description.file))
                .map(|file| file.path.clone())
                .unwrap_or_default(),
        }
    }

    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.tree.files().map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn image(&mut self, path: &Path) -> io::Result<&mut Image> {
        let number = self.tree.file(path)?;
        self.files
            .get_mut(&number)
            .map(|file| &mut file.image)
            .ok_or_else(|| error(EBADF))
    }

    fn fire(
        &mut self,
        operation: u64,
        fault: Option<Fault>,
        description: DescriptionNumber,
        position: u64,
        len: usize,
    ) {
        let Some(fault) = fault else { return };
        let path = self.path_of(&Request::Len { description });
        self.fired.push(Fired {
            operation,
            fault,
            path,
            position,
            len: len as u64,
        });
    }
}

struct Write {
    number: u64,
    description: DescriptionNumber,
    position: u64,
    data: Bytes,
    done: usize,
    durable: bool,
}

impl Request {
    pub(super) fn description(&self) -> Option<DescriptionNumber> {
        match self {
            Self::Read { description, .. }
            | Self::Write { description, .. }
            | Self::Flush { description, .. }
            | Self::Len { description }
            | Self::SetLen { description, .. } => Some(*description),
            _ => None,
        }
    }

    /// The file it makes durable or writes to.
    pub(super) fn written(&self) -> Option<DescriptionNumber> {
        match self {
            Self::Write { description, .. } | Self::Flush { description, .. } => Some(*description),
            _ => None,
        }
    }

    /// A short name for traces.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { durable: false, .. } => "write",
            Self::Write { durable: true, .. } => "write durable",
            Self::Flush { .. } => "flush",
            Self::Len { .. } => "len",
            Self::SetLen { .. } => "set len",
            Self::Open { .. } => "open",
            Self::Rename { .. } => "rename",
            Self::Remove { .. } => "remove",
            Self::CreateFolders { .. } => "create folders",
            Self::SyncFolder { .. } => "sync folder",
            Self::List { .. } => "list",
            Self::FreeBytes => "free bytes",
        }
    }

    /// Position and length of what it touches.
    pub(super) fn range(&self) -> (u64, u64) {
        match self {
            Self::Read {
                position, buffer, ..
            } => (*position, buffer.len() as u64),
            Self::Write { position, data, .. } => (*position, data.len() as u64),
            Self::SetLen { len, .. } => (0, *len),
            _ => (0, 0),
        }
    }
}

pub(super) fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn check_aligned(position: u64, len: usize) -> io::Result<()> {
    if position.is_multiple_of(ALIGNMENT as u64) && len.is_multiple_of(ALIGNMENT) {
        Ok(())
    } else {
        Err(error(EINVAL))
    }
}

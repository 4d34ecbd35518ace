//! The files of a shard: where they are, who holds them, and reading them with patience.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ringmq_ring::{ALIGNMENT, AlignedBuf, Disk, OpenMode};

use super::error::RecoveryError;
use crate::block::LogIdentity;
use crate::limits::SEGMENTS_AHEAD;
use crate::manifest::{MANIFEST_FILE_BYTES, Manifest};
use crate::slot::SlotFault;
use crate::types::SegmentNumber;
use crate::witness::{WITNESS_FILE_BYTES, Witness};

/// Tries of a read before it counts as failed.
const READ_TRIES: u32 = 3;
/// Between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The newest segments, which a killed process may still be writing to: the active one, the one
/// before it, and those prepared ahead.
const LOCKED_FIRST: usize = 2 + SEGMENTS_AHEAD;

/// Which shard, and where.
#[derive(Clone, Debug)]
pub struct ShardFolder {
    /// What makes its blocks ours.
    pub identity: LogIdentity,
    /// Its folder (`DATA/shard-00`).
    pub path: PathBuf,
    /// How long to wait for writes that a killed process left in flight; 30 s in production.
    pub lock_wait: Duration,
}

/// A shard's files, locked: nobody else writes to them from now on.
#[derive(Debug)]
pub struct ShardFiles<F> {
    /// The manifest file.
    pub manifest_file: F,
    /// Its newest slot.
    pub manifest: Manifest,
    /// That slot's sequence number.
    pub manifest_sequence: u64,
    /// The witness file.
    pub witness_file: F,
    /// Its newest slot, if any.
    pub witness: Option<Witness>,
    /// That slot's sequence number, 0 without one.
    pub witness_sequence: u64,
    /// The log's segments in order, without gaps; the newest are open.
    pub segments: Vec<(SegmentNumber, Option<F>)>,
    /// Files of segments that no longer belong to the log.
    pub retired: Vec<SegmentNumber>,
    /// Spare files by number.
    pub spares: Vec<u32>,
    /// Names of files that do not belong in the log's folder.
    pub strangers: Vec<String>,
}

impl ShardFolder {
    /// The shard's manifest file.
    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest")
    }

    /// The shard's witness file.
    pub fn witness(&self) -> PathBuf {
        self.path.join("witness")
    }

    /// The folder of its log segments.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The folder of its index segments.
    pub fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    /// The folder of its state files.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The file of a log segment.
    pub fn segment(&self, segment: SegmentNumber) -> PathBuf {
        self.log().join(format!("{segment}.log"))
    }

    /// The file of a spare segment.
    pub fn spare(&self, number: u32) -> PathBuf {
        self.log().join(format!("spare-{number}.log"))
    }

    /// The file of a state generation.
    pub fn state_file(&self, generation: u64) -> PathBuf {
        self.state().join(format!("{generation:016x}.state"))
    }
}

/// Makes the folder and files of a new shard, durably but for the entry of the shard's folder in its
/// parent, which the caller syncs before it writes the store file. Doing it again is harmless.
///
/// # Errors
/// The first file operation that failed.
pub async fn create_shard<D: Disk>(disk: &D, folder: &ShardFolder) -> Result<(), RecoveryError> {
    for path in [folder.log(), folder.index(), folder.state()] {
        let made = disk.create_dir_all(&path).await;
        made.map_err(RecoveryError::io("creating", path))?;
    }
    let slot = Manifest::default()
        .encode(&folder.identity, 1)
        .unwrap_or_else(|_| AlignedBuf::zeroed(MANIFEST_FILE_BYTES as usize / 2));
    let mut manifest = AlignedBuf::zeroed(MANIFEST_FILE_BYTES as usize);
    let at = Manifest::position(1) as usize;
    manifest[at..at + slot.len()].copy_from_slice(&slot);
    let witness = AlignedBuf::zeroed(WITNESS_FILE_BYTES as usize);
    for (path, bytes) in [(folder.manifest(), manifest), (folder.witness(), witness)] {
        let made = write_whole(disk, &path, bytes).await;
        made.map_err(RecoveryError::io("creating", path))?;
    }
    let synced = disk.sync_dir(&folder.path).await;
    synced.map_err(RecoveryError::io("creating", &folder.path))
}

/// A new file in the place of what a killed process may have left there, and may still be writing to.
pub(crate) async fn create_anew<D: Disk>(disk: &D, path: &Path) -> io::Result<D::File> {
    match disk.remove(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.open(path, OpenMode::CreateNew).await,
    }
}

async fn write_whole<D: Disk>(disk: &D, path: &Path, bytes: AlignedBuf) -> io::Result<()> {
    let file = create_anew(disk, path).await?;
    disk.write_at(&file, 0, Bytes::from_owner(bytes)).await?;
    disk.flush(&file).await
}

/// Opens a shard's files and takes their locks, waiting for what a killed process left in flight.
///
/// # Errors
/// Files that are missing, held by another broker, or cannot be used.
pub async fn open_shard<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
) -> Result<ShardFiles<D::File>, RecoveryError> {
    let manifest_file = open_locked(disk, &folder.manifest(), folder.lock_wait).await?;
    let witness_file = open_witness(disk, folder).await?;
    let listed = list_log(disk, folder).await?;
    let mut segments: Vec<(SegmentNumber, Option<D::File>)> = listed
        .segments
        .into_iter()
        .map(|number| (number, None))
        .collect();
    let first = segments.len().saturating_sub(LOCKED_FIRST);
    for (number, file) in &mut segments[first..] {
        *file = Some(open_locked(disk, &folder.segment(*number), folder.lock_wait).await?);
    }
    for spare in &listed.spares {
        open_locked(disk, &folder.spare(*spare), folder.lock_wait).await?;
    }
    let (manifest_sequence, manifest) = read_manifest(disk, folder, &manifest_file).await?;
    let newest = read_witness(disk, folder, &witness_file).await?;
    let old = segments.partition_point(|(number, _)| number.0 < manifest.oldest_segment);
    let retired = segments.drain(..old).map(|(number, _)| number).collect();
    check_gaps(folder, &segments)?;
    Ok(ShardFiles {
        manifest_file,
        manifest,
        manifest_sequence,
        witness_file,
        witness: newest.map(|found| found.1),
        witness_sequence: newest.map_or(0, |found| found.0),
        segments,
        retired,
        spares: listed.spares,
        strangers: listed.strangers,
    })
}

/// Opens a file for reading and writing and takes its lock.
pub(super) async fn open_locked<D: Disk>(
    disk: &D,
    path: &Path,
    wait: Duration,
) -> Result<D::File, RecoveryError> {
    let file = match disk.open(path, OpenMode::Existing).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RecoveryError::Missing { path: path.into() });
        }
        Err(error) => return Err(RecoveryError::io("opening", path)(error)),
    };
    let mut waited = Duration::ZERO;
    while !disk
        .try_lock(&file)
        .map_err(RecoveryError::io("locking", path))?
    {
        if waited >= wait {
            return Err(RecoveryError::Locked { path: path.into() });
        }
        disk.pause(LOCK_PAUSE).await;
        waited += LOCK_PAUSE;
    }
    Ok(file)
}

/// A witness file that is gone costs only what it knew: it is made again.
async fn open_witness<D: Disk>(disk: &D, folder: &ShardFolder) -> Result<D::File, RecoveryError> {
    let path = folder.witness();
    match open_locked(disk, &path, folder.lock_wait).await {
        Err(RecoveryError::Missing { .. }) => {
            let bytes = AlignedBuf::zeroed(WITNESS_FILE_BYTES as usize);
            let made = write_whole(disk, &path, bytes).await;
            made.map_err(RecoveryError::io("creating", &path))?;
            let synced = disk.sync_dir(&folder.path).await;
            synced.map_err(RecoveryError::io("creating", &path))?;
            open_locked(disk, &path, folder.lock_wait).await
        }
        opened => opened,
    }
}

async fn read_manifest<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    file: &D::File,
) -> Result<(u64, Manifest), RecoveryError> {
    let path = folder.manifest();
    let bytes = read(disk, file, &path, 0, MANIFEST_FILE_BYTES as usize).await?;
    Manifest::newest(&folder.identity, &bytes).map_err(|fault| RecoveryError::Slots { path, fault })
}

async fn read_witness<D: Disk>(
    disk: &D,
    folder: &ShardFolder,
    file: &D::File,
) -> Result<Option<(u64, Witness)>, RecoveryError> {
    let path = folder.witness();
    let bytes = read(disk, file, &path, 0, WITNESS_FILE_BYTES as usize).await?;
    Witness::newest(&folder.identity, &bytes)
        .map_err(|fault: SlotFault| RecoveryError::Slots { path, fault })
}

/// Reads, again when it fails; the buffer is zero beyond the end of the file.
pub(super) async fn read<D: Disk>(
    disk: &D,
    file: &D::File,
    path: &Path,
    offset: u64,
    len: usize,
) -> Result<AlignedBuf, RecoveryError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match disk
            .read_at(file, offset, len.next_multiple_of(ALIGNMENT))
            .await
        {
            Ok((buffer, _)) => return Ok(buffer),
            Err(_) if tries < READ_TRIES => {}
            Err(source) => {
                return Err(RecoveryError::Read {
                    path: path.into(),
                    offset,
                    source,
                });
            }
        }
    }
}

struct Listed {
    segments: Vec<SegmentNumber>,
    spares: Vec<u32>,
    strangers: Vec<String>,
}

async fn list_log<D: Disk>(disk: &D, folder: &ShardFolder) -> Result<Listed, RecoveryError> {
    let path = folder.log();
    let names = disk.list(&path).await;
    let mut listed = Listed {
        segments: Vec::new(),
        spares: Vec::new(),
        strangers: Vec::new(),
    };
    for name in names.map_err(RecoveryError::io("listing", path))? {
        if let Some(number) = segment_of(&name) {
            listed.segments.push(number);
        } else if let Some(number) = spare_of(&name) {
            listed.spares.push(number);
        } else {
            listed.strangers.push(name);
        }
    }
    listed.segments.sort_unstable();
    listed.spares.sort_unstable();
    Ok(listed)
}

fn segment_of(name: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(".log")?;
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 16 || !digits.bytes().all(lower_hex) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(SegmentNumber)
}

fn spare_of(name: &str) -> Option<u32> {
    let number: u32 = name
        .strip_prefix("spare-")?
        .strip_suffix(".log")?
        .parse()
        .ok()?;
    (name == format!("spare-{number}.log")).then_some(number)
}

fn check_gaps<F>(
    folder: &ShardFolder,
    segments: &[(SegmentNumber, Option<F>)],
) -> Result<(), RecoveryError> {
    for pair in segments.windows(2) {
        let missing = pair[0].0.next();
        if pair[1].0 != missing {
            return Err(RecoveryError::Gap {
                missing,
                folder: folder.log(),
            });
        }
    }
    Ok(())
}

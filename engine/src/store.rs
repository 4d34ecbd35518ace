//! The store file: what a data folder is, decided once when it is created. `FORMAT.md`, section 3.

use std::io;
use std::path::Path;

use bytes::Bytes;
use ringmq_ring::{AlignedBuf, Disk, OpenMode};
use thiserror::Error;

use crate::block::{LogIdentity, get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use crate::limits::SHARDS_MAX;
use crate::recovery::create_anew;
use crate::types::ShardIndex;

/// Name of the file in the data folder.
pub const STORE_FILE: &str = "store";
/// The folder format that this build writes, and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;

const TEMPORARY_FILE: &str = "store.tmp";
const FILE_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"RMQSTORE";
const ALIGNMENT: u64 = ringmq_ring::ALIGNMENT as u64;
const SEGMENT_BYTES_LARGEST: u64 = 4 << 30;

mod at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const SHARDS: usize = 10;
    pub const FEATURES: usize = 16;
    pub const ID: usize = 24;
    pub const SALT: usize = 40;
    pub const SEGMENT_BYTES: usize = 56;
    pub const CREATED_MS: usize = 64;
    pub const CRC: usize = 72;
    pub const END: usize = 76;
}

/// What a store is.
#[derive(Clone, PartialEq, Eq)]
pub struct Store {
    /// Random, tells stores apart.
    pub id: [u8; 16],
    /// Random and secret: seeds the checksums of blocks, so that bytes a client sends never pass for
    /// a block. Not shown by `Debug`.
    pub salt: [u8; 16],
    /// Shards, for the life of the store.
    pub shards: u8,
    /// Size of every log segment in bytes, for the life of the store.
    pub segment_bytes: u64,
    /// When it was created, in milliseconds since the epoch.
    pub created_ms: i64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.id)
            .field("shards", &self.shards)
            .field("segment_bytes", &self.segment_bytes)
            .field("created_ms", &self.created_ms)
            .finish_non_exhaustive()
    }
}

/// Why a store file cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("the store file {path}: {source}")]
    Io {
        /// Its path.
        path: String,
        /// How it failed.
        source: io::Error,
    },
    /// Not a store file, or damaged.
    #[error(
        "the store file is damaged ({0}): restore it from a backup; without its salt no block can be verified"
    )]
    Damaged(&'static str),
    /// Written by a newer RingMQ.
    #[error(
        "the store has format version {found}, features {features:#x}; this build knows version {FORMAT_VERSION} without features: use a newer one"
    )]
    Newer {
        /// Its format version.
        found: u16,
        /// Its feature bits.
        features: u64,
    },
    /// Figures that no store can have.
    #[error(
        "a store of {shards} shards with segments of {segment_bytes} bytes is impossible: take 1 to {SHARDS_MAX} shards and a multiple of 4096 bytes up to 4 GiB"
    )]
    Impossible {
        /// The shard count.
        shards: u8,
        /// The segment size.
        segment_bytes: u64,
    },
}

impl Store {
    /// What makes the blocks of one shard ours.
    pub fn identity(&self, shard: ShardIndex) -> LogIdentity {
        LogIdentity::new(self.id, &self.salt, shard, self.segment_bytes)
    }

    /// Reads the store file of a data folder; `None` when there is none.
    ///
    /// # Errors
    /// A file that is there and cannot be used.
    pub async fn load<D: Disk>(disk: &D, folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(STORE_FILE);
        let failed = |source| StoreError::Io {
            path: path.display().to_string(),
            source,
        };
        let file = match disk.open(&path, OpenMode::ReadOnly).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let (bytes, count) = disk.read_at(&file, 0, FILE_BYTES).await.map_err(failed)?;
        Self::decode(&bytes[..count.min(FILE_BYTES)]).map(Some)
    }

    /// Writes the store file of a new data folder: whole or not at all. The shards' folders must be
    /// durable before, because this file is what makes the folder a store.
    ///
    /// # Errors
    /// The first file operation that failed; the folder is then no store.
    pub async fn create<D: Disk>(&self, disk: &D, folder: &Path) -> Result<(), StoreError> {
        let slot = self.encode()?;
        self.write(disk, folder, slot)
            .await
            .map_err(|source| StoreError::Io {
                path: folder.join(STORE_FILE).display().to_string(),
                source,
            })
    }

    async fn write<D: Disk>(&self, disk: &D, folder: &Path, bytes: AlignedBuf) -> io::Result<()> {
        let temporary = folder.join(TEMPORARY_FILE);
        let file = create_anew(disk, &temporary).await?;
        disk.write_at(&file, 0, Bytes::from_owner(bytes)).await?;
        disk.flush(&file).await?;
        disk.rename(&temporary, &folder.join(STORE_FILE)).await?;
        disk.sync_dir(folder).await
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// Figures that no store can have.
    pub fn encode(&self) -> Result<AlignedBuf, StoreError> {
        self.check()?;
        let mut file = AlignedBuf::zeroed(FILE_BYTES);
        file[at::MAGIC..at::VERSION].copy_from_slice(&MAGIC);
        put_u16(&mut file, at::VERSION, FORMAT_VERSION);
        put_u16(&mut file, at::SHARDS, u16::from(self.shards));
        file[at::ID..at::SALT].copy_from_slice(&self.id);
        file[at::SALT..at::SEGMENT_BYTES].copy_from_slice(&self.salt);
        put_u64(&mut file, at::SEGMENT_BYTES, self.segment_bytes);
        put_u64(&mut file, at::CREATED_MS, self.created_ms as u64);
        let crc = checksum(&file);
        put_u32(&mut file, at::CRC, crc);
        Ok(file)
    }

    /// The inverse of [`Store::encode`].
    ///
    /// # Errors
    /// Why the bytes are no usable store file.
    pub fn decode(file: &[u8]) -> Result<Self, StoreError> {
        if file.len() != FILE_BYTES {
            return Err(StoreError::Damaged("it is cut short"));
        }
        if file[at::MAGIC..at::VERSION] != MAGIC {
            return Err(StoreError::Damaged("it does not begin like one"));
        }
        if get_u32(file, at::CRC) != checksum(file) {
            return Err(StoreError::Damaged("its checksum does not match"));
        }
        let (found, features) = (get_u16(file, at::VERSION), get_u64(file, at::FEATURES));
        if found != FORMAT_VERSION || features != 0 {
            return Err(StoreError::Newer { found, features });
        }
        let mut store = Store {
            id: [0; 16],
            salt: [0; 16],
            shards: u8::try_from(get_u16(file, at::SHARDS)).unwrap_or(0),
            segment_bytes: get_u64(file, at::SEGMENT_BYTES),
            created_ms: get_u64(file, at::CREATED_MS) as i64,
        };
        store.id.copy_from_slice(&file[at::ID..at::SALT]);
        store
            .salt
            .copy_from_slice(&file[at::SALT..at::SEGMENT_BYTES]);
        store.check()?;
        Ok(store)
    }

    fn check(&self) -> Result<(), StoreError> {
        let size = self.segment_bytes;
        let possible = (ALIGNMENT..=SEGMENT_BYTES_LARGEST).contains(&size);
        if !possible || !size.is_multiple_of(ALIGNMENT) || !(1..=SHARDS_MAX).contains(&self.shards)
        {
            return Err(StoreError::Impossible {
                shards: self.shards,
                segment_bytes: size,
            });
        }
        Ok(())
    }
}

/// Over the whole file but the checksum itself.
fn checksum(file: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&file[..at::CRC]), &file[at::END..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_ring::sim::{Faults, World};
    use std::path::PathBuf;

    fn store() -> Store {
        Store {
            id: [1; 16],
            salt: [2; 16],
            shards: 3,
            segment_bytes: 1 << 20,
            created_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_store_file_is_there_whole_after_a_power_cut_at_any_operation() {
        let mut complete = 0;
        for cut_at in 1..12 {
            let world = World::new(cut_at, Faults::default());
            let process = world.process();
            let disk = world.disk(process);
            let folder = PathBuf::from("/data");
            let work = world.spawn(process, async move {
                disk.create_dir_all(&folder).await.map_err(|_| ())?;
                disk.sync_dir(Path::new("/")).await.map_err(|_| ())?;
                store().create(&disk, &folder).await.map_err(|_| ())
            });
            while !work.is_ready() && world.operations() < cut_at {
                world.step();
            }
            let done = work.take() == Some(Ok(()));
            world.power_cut();
            let process = world.process();
            let disk = world.disk(process);
            let loaded = world.block_on(process, async move {
                Store::load(&disk, Path::new("/data")).await
            });
            let loaded = loaded.unwrap();
            assert!(loaded.is_none() || loaded == Some(store()));
            assert!(
                !done || loaded.is_some(),
                "acknowledged and lost, cut at {cut_at}"
            );
            complete += u32::from(done);
        }
        assert!(complete > 0);
    }

    #[test]
    fn every_flipped_byte_of_a_store_file_is_detected() {
        let mut bytes = store().encode().unwrap().to_vec();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(
                matches!(Store::decode(&bytes), Err(StoreError::Damaged(_))),
                "byte {at}"
            );
            bytes[at] ^= 1;
        }
        assert_eq!(Store::decode(&bytes).unwrap(), store());
        assert!(Store::decode(&bytes[..100]).is_err());
    }

    #[test]
    fn a_newer_store_is_refused_by_name() {
        for (at, value) in [(at::VERSION, 2), (at::FEATURES, 1)] {
            let mut bytes = store().encode().unwrap();
            bytes[at] = value;
            let crc = checksum(&bytes);
            put_u32(&mut bytes, at::CRC, crc);
            assert!(matches!(
                Store::decode(&bytes),
                Err(StoreError::Newer { .. })
            ));
        }
        let impossible = Store {
            segment_bytes: 5000,
            ..store()
        };
        assert!(impossible.encode().is_err());
        assert!(!format!("{:?}", store()).contains("salt"));
    }
}

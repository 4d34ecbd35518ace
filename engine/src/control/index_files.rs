//! Index segments as files: written at the roll, opened at start, read out at retirement, rebuilt
//! when damaged. The shard reads them by itself; see [`crate::index`].

use std::path::PathBuf;

use bytes::Bytes;
use ringmq_ring::{AlignedBuf, Disk, OpenMode};

use crate::block::{BlockHeader, LogIdentity};
use crate::control::segment_files::remove_slowly;
use crate::control_record::RunStart;
use crate::error::Error;
use crate::index::builder::{Wanted, footer_matches};
use crate::index::header::TooLarge;
use crate::index::page::{self, PAGE_LEN};
use crate::index::rebuild::{Contradiction, Rebuild, Rebuilt};
use crate::index::row::Links;
use crate::index::segment::RowFind;
use crate::index::{Builder, Damage, DirectoryScan, Header, Identity, IndexSet, OpenSegment, Row};
use crate::limits::{INDEX_CACHE_PAGES, INDEX_OPEN_WHILE_BUILDING, INDEX_WRITE_BYTES};
use crate::queue::ActiveIndex;
use crate::types::{LogOffset, QueueNumber, SegmentNumber, ShardIndex};

/// The index folder of one shard.
#[derive(Clone, Debug)]
pub struct IndexFiles<D> {
    disk: D,
    folder: PathBuf,
    store_id: [u8; 16],
    shard: ShardIndex,
}

/// Why an index segment could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its bytes are wrong, or it is missing: rebuild it.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] Error),
    /// The segment is beyond the format.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The log segment cannot be indexed.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

const SUFFIX: &str = ".idx";
const UNFINISHED: &str = ".tmp";

impl<D: Disk> IndexFiles<D> {
    /// The folder of `shard`, `DATA/shard-<nn>/index`.
    pub fn new(disk: D, folder: PathBuf, store_id: [u8; 16], shard: ShardIndex) -> Self {
        Self {
            disk,
            folder,
            store_id,
            shard,
        }
    }

    /// Where an index segment lies.
    pub fn path(&self, segment: SegmentNumber) -> PathBuf {
        self.folder.join(format!("{segment}{SUFFIX}"))
    }

    /// The index segments in the folder, oldest first. What a crash left unfinished is removed.
    pub async fn segments(&self) -> Result<Vec<SegmentNumber>, Error> {
        let folder = &self.folder;
        let list = self.disk.list(folder).await;
        let names = list.map_err(Error::io("list", folder))?;
        let mut segments = Vec::new();
        for name in names {
            if name.ends_with(UNFINISHED) {
                let path = folder.join(&name);
                let removed = self.disk.remove(&path).await;
                removed.map_err(Error::io("remove", path))?;
            } else if let Some(number) = name.strip_suffix(SUFFIX).filter(|n| n.len() == 16) {
                segments.extend(u64::from_str_radix(number, 16).ok().map(SegmentNumber));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// Opens an index segment and checks its first page. One that is missing counts as damaged.
    pub async fn open(&self, segment: SegmentNumber) -> Result<OpenSegment<D::File>, IndexError> {
        let path = self.path(segment);
        let file = match self.disk.open(&path, OpenMode::ReadOnly).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let reason = "its file is missing";
                return Err(Damage {
                    segment,
                    page: 0,
                    reason,
                }
                .into());
            }
            Err(error) => return Err(Error::io("open", path)(error).into()),
        };
        let len = self.disk.len(&file).await;
        let len = len.map_err(Error::io("measure", &path))?;
        let page = self.read(&path, &file, 0, PAGE_LEN).await?;
        let header = Header::open(&page[..PAGE_LEN], len, self.identity(segment))?;
        Ok(OpenSegment::new(header, file))
    }

    /// Writes the index segment of `index`, durable under its name when this returns. `oldest` is the
    /// oldest segment of the log that is kept: older rows are not looked for below it.
    pub async fn write(
        &self,
        index: &ActiveIndex,
        oldest: SegmentNumber,
    ) -> Result<OpenSegment<D::File>, IndexError> {
        let path = self.path(index.segment());
        let unfinished = path.with_extension("idx.tmp");
        let mode = OpenMode::CreateOrTruncate;
        let file = self.disk.open(&unfinished, mode).await;
        let file = file.map_err(Error::io("create", &unfinished))?;
        match self.write_whole(index, oldest, &unfinished, &file).await {
            Ok(header) => {
                let renamed = self.disk.rename(&unfinished, &path).await;
                renamed.map_err(Error::io("rename", &unfinished))?;
                self.sync_folder().await?;
                Ok(OpenSegment::new(header, file))
            }
            Err(error) => {
                // The next try takes a new file: this one is not to be trusted any more.
                let _ = self.disk.remove(&unfinished).await;
                Err(error)
            }
        }
    }

    async fn write_whole(
        &self,
        index: &ActiveIndex,
        oldest: SegmentNumber,
        path: &PathBuf,
        file: &D::File,
    ) -> Result<Header, IndexError> {
        let header = self.write_pages(index, oldest, path, file).await?;
        let flushed = self.disk.flush(file).await;
        flushed.map_err(Error::io("flush", path))?;
        Ok(header)
    }

    async fn write_pages(
        &self,
        index: &ActiveIndex,
        oldest: SegmentNumber,
        path: &PathBuf,
        file: &D::File,
    ) -> Result<Header, IndexError> {
        let mut builder = Builder::new(self.identity(index.segment()), index)?;
        let mut older = OlderRows::new(self, oldest);
        let (mut position, mut links) = (0, Vec::new());
        loop {
            let wanted: Vec<Wanted> = builder.wanted(INDEX_WRITE_BYTES / PAGE_LEN).collect();
            links.clear();
            for wanted in wanted {
                links.push(older.links(wanted).await?);
            }
            let mut buffer = AlignedBuf::zeroed(INDEX_WRITE_BYTES);
            let filled = builder.fill(&mut buffer, &links);
            if filled == 0 {
                return Ok(builder.header().clone());
            }
            let bytes = Bytes::from_owner(buffer).slice(..filled);
            let written = self.disk.write_at(file, position, bytes).await;
            written.map_err(Error::io("write", path))?;
            position += filled as u64;
        }
    }

    /// Hands out all rows of an index segment, a few thousand at a time: what retirement takes from
    /// each queue.
    pub async fn rows(
        &self,
        open: &OpenSegment<D::File>,
        mut take: impl FnMut(Vec<Row>),
    ) -> Result<(), IndexError> {
        let path = self.path(open.number());
        let mut scan = DirectoryScan::new(&open.header);
        while let Some(read) = scan.next_read(open) {
            let bytes = self
                .read(&path, &open.file, read.position(), read.len())
                .await?;
            let mut rows = Vec::new();
            scan.feed(open, &bytes[..read.len()], |row| rows.push(row))?;
            take(rows);
        }
        Ok(())
    }

    /// Reads all pages of an index segment and checks them, each alone and all together.
    pub async fn verify(&self, open: &OpenSegment<D::File>) -> Result<(), IndexError> {
        let path = self.path(open.number());
        let (mut chain, mut number) = (0, 0);
        while number < open.header.pages {
            let pages = (open.header.pages - number).min((INDEX_WRITE_BYTES / PAGE_LEN) as u32);
            let position = u64::from(number) * PAGE_LEN as u64;
            let bytes = self
                .read(&path, &open.file, position, pages as usize * PAGE_LEN)
                .await?;
            for page in bytes.chunks_exact(PAGE_LEN).take(pages as usize) {
                let payload = open.check(page, number, open.header.kind_of(number))?;
                if number + 1 == open.header.pages && !footer_matches(payload, &open.header, chain)
                {
                    let reason = "the last page does not close this file";
                    return Err(Damage {
                        segment: open.number(),
                        page: number,
                        reason,
                    }
                    .into());
                }
                let crc = page::checksum_of(page);
                chain = crc32c::crc32c_append(chain, &crc.to_le_bytes());
                number += 1;
            }
        }
        Ok(())
    }

    /// Removes a retired index segment.
    pub async fn remove(&self, segment: SegmentNumber) -> Result<(), Error> {
        remove_slowly(&self.disk, self.path(segment)).await
    }

    /// Removes, durably, the index segments from `first` on: the log has yet to write those segments. A
    /// power cut may have taken an empty segment and left its index, which would hide what comes.
    pub async fn remove_from(&self, first: SegmentNumber) -> Result<(), Error> {
        let mut segments = self.segments().await?;
        segments.retain(|&segment| segment >= first);
        for &segment in &segments {
            self.remove(segment).await?;
        }
        match segments.is_empty() {
            true => Ok(()),
            false => self.sync_folder().await,
        }
    }

    /// The entries of a log segment out of its file `log`. `next_log` is the file of the segment
    /// after it: its first block tells where the accepted part of this one ends, and so do the manifest's `runs`.
    pub async fn scan_log(
        &self,
        identity: LogIdentity,
        segment: SegmentNumber,
        log: &D::File,
        next_log: &D::File,
        runs: &[RunStart],
    ) -> Result<Rebuilt, IndexError> {
        let path = PathBuf::from(format!("{segment}.log"));
        let until = self
            .first_sequence(&path, identity, segment.next(), next_log)
            .await?;
        let mut rebuild = Rebuild::new(identity, segment, until.unwrap_or(u64::MAX), runs);
        while let Some((position, len)) = rebuild.next_read() {
            let read = self.disk.read_at(log, position, len).await;
            let (bytes, count) = read.map_err(Error::io("read", &path))?;
            rebuild.feed(&bytes[..count])?;
        }
        Ok(rebuild.finish())
    }

    /// The number of a segment's first block; `None` when it cannot be read.
    async fn first_sequence(
        &self,
        path: &PathBuf,
        identity: LogIdentity,
        segment: SegmentNumber,
        log: &D::File,
    ) -> Result<Option<u64>, Error> {
        let start = LogOffset::of_segment(segment, identity.segment_bytes);
        let read = self.disk.read_at(log, 0, PAGE_LEN).await;
        let (bytes, count) = read.map_err(Error::io("read", path))?;
        let header = BlockHeader::parse(&bytes[..count], &identity, start);
        Ok(header.ok().map(|header| header.sequence))
    }

    async fn sync_folder(&self) -> Result<(), Error> {
        let synced = self.disk.sync_dir(&self.folder).await;
        synced.map_err(Error::io("flush the folder", &self.folder))
    }

    /// Reads whole pages; what lies beyond the end of the file is zero, which no page is.
    async fn read(
        &self,
        path: &PathBuf,
        file: &D::File,
        position: u64,
        len: usize,
    ) -> Result<AlignedBuf, Error> {
        let read = self.disk.read_at(file, position, len).await;
        let (bytes, _) = read.map_err(Error::io("read", path))?;
        Ok(bytes)
    }

    fn identity(&self, segment: SegmentNumber) -> Identity {
        Identity {
            store_id: self.store_id,
            shard: self.shard,
            segment,
        }
    }
}

/// Rows of older index segments, for the links of a new one. Queues come sorted, so pages of one
/// directory are read about once each.
struct OlderRows<'a, D: Disk> {
    files: &'a IndexFiles<D>,
    oldest: SegmentNumber,
    set: IndexSet<D::File>,
    /// Segments of the set, in the order in which they were opened.
    opened: std::collections::VecDeque<SegmentNumber>,
}

impl<'a, D: Disk> OlderRows<'a, D> {
    fn new(files: &'a IndexFiles<D>, oldest: SegmentNumber) -> Self {
        Self {
            files,
            oldest,
            set: IndexSet::new(INDEX_CACHE_PAGES),
            opened: std::collections::VecDeque::new(),
        }
    }

    /// The links of a new row. Where an older index segment cannot be read they lead to it all the
    /// same: by the time of a lookup it will have been rebuilt.
    async fn links(&mut self, wanted: Wanted) -> Result<Links, IndexError> {
        let mut at = wanted.previous.filter(|_| wanted.first > 0);
        while let Some(segment) = at.filter(|&segment| segment >= self.oldest) {
            match self.row(segment, wanted.queue).await {
                Ok(Some(row)) => {
                    let skip = self.skip_row(&row).await?;
                    return Ok(Links::above(segment, &row, skip.as_ref()));
                }
                Ok(None) => at = segment.0.checked_sub(1).map(SegmentNumber),
                Err(IndexError::Damaged(_)) => {
                    return Ok(Links::above_unreadable(segment, wanted.first));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Links::default())
    }

    async fn skip_row(&mut self, previous: &Row) -> Result<Option<Row>, IndexError> {
        let skip = previous.links.skip.filter(|_| Links::needs_skip(previous));
        let Some(segment) = skip.filter(|&segment| segment >= self.oldest) else {
            return Ok(None);
        };
        match self.row(segment, previous.queue).await {
            Err(IndexError::Damaged(_)) => Ok(None),
            row => row,
        }
    }

    async fn row(
        &mut self,
        segment: SegmentNumber,
        queue: QueueNumber,
    ) -> Result<Option<Row>, IndexError> {
        self.open(segment).await?;
        if let Some(damage) = self.set.damage_of(segment) {
            return Err(damage.into());
        }
        let Some(open) = self.set.open_segment(segment) else {
            return Ok(None);
        };
        let Some(mut find) = RowFind::new(&open.header, queue) else {
            return Ok(None);
        };
        loop {
            let read = match self.set.search(segment, &mut find) {
                Ok(row) => return Ok(row),
                Err(read) => read,
            };
            let Some(file) = self.set.file(segment) else {
                return Ok(None);
            };
            let path = self.files.path(segment);
            let bytes = self
                .files
                .read(&path, file, read.position(), read.len())
                .await?;
            if let Err(damage) = self.set.take(read, &bytes[..read.len()]) {
                self.set.mark_damaged(damage);
                return Err(damage.into());
            }
        }
    }

    async fn open(&mut self, segment: SegmentNumber) -> Result<(), IndexError> {
        if self.set.contains(segment) {
            return Ok(());
        }
        if self.opened.len() >= INDEX_OPEN_WHILE_BUILDING
            && let Some(first) = self.opened.pop_front()
        {
            self.set.remove(first);
        }
        match self.files.open(segment).await {
            Ok(open) => self.set.insert(open),
            Err(IndexError::Damaged(damage)) => self.set.mark_damaged(damage),
            Err(error) => return Err(error),
        };
        self.opened.push_back(segment);
        Ok(())
    }
}

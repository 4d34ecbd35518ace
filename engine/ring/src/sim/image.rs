//! One file as the device has it: what reads see, what is durable, and what is between them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::rng::Rng;
use crate::buffer::ALIGNMENT;

/// What a device writes whole or not at all (unless tearing is told to go below it), in bytes.
pub const SECTOR: usize = 512;

/// A file's bytes. All positions and lengths of writes are multiples of [`SECTOR`].
#[derive(Debug, Default)]
pub(super) struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Per sector: every version since the durable one, with the sequence number of its landing.
    cached: BTreeMap<u64, Vec<(u64, Bytes)>>,
    /// Lengths since the durable one.
    lengths: Vec<(u64, u64)>,
    /// Which units of [`ALIGNMENT`] take space.
    allocated: Vec<bool>,
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// Bytes of the device in use.
    pub(super) fn space(&self) -> u64 {
        self.allocated.iter().filter(|used| **used).count() as u64 * ALIGNMENT as u64
    }

    /// Bytes of the device that a write there would need anew.
    pub(super) fn growth(&self, position: u64, len: usize) -> u64 {
        units(position, len)
            .filter(|unit| !self.allocated.get(*unit).copied().unwrap_or(false))
            .count() as u64
            * ALIGNMENT as u64
    }

    /// Copies what is there; the count is short at the end of the file.
    pub(super) fn read(&self, position: u64, out: &mut [u8]) -> usize {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let Some(from) = self.live.get(start..) else {
            return 0;
        };
        let count = from.len().min(out.len());
        out[..count].copy_from_slice(&from[..count]);
        count
    }

    /// A write reaches the cache, or with `durable` the medium. `keep` says which of its sectors do.
    pub(super) fn land(
        &mut self,
        sequence: u64,
        position: u64,
        data: &Bytes,
        durable: bool,
        mut keep: impl FnMut() -> bool,
    ) {
        let end = position as usize + data.len();
        // A copy, so that the writer gets its memory back when the write completes.
        let data = if durable {
            data.clone()
        } else {
            Bytes::copy_from_slice(data)
        };
        self.grow(sequence, end, durable);
        for unit in units(position, data.len()) {
            if self.allocated.len() <= unit {
                self.allocated.resize(unit + 1, false);
            }
            self.allocated[unit] = true;
        }
        for offset in (0..data.len()).step_by(SECTOR) {
            if !keep() {
                continue;
            }
            let sector = data.slice(offset..(offset + SECTOR).min(data.len()));
            self.land_sector(sequence, position as usize + offset, sector, durable);
        }
    }

    fn grow(&mut self, sequence: u64, end: usize, durable: bool) {
        if self.live.len() < end {
            self.live.resize(end, 0);
            self.lengths.push((sequence, end as u64));
        }
        if durable && self.durable.len() < end {
            self.settle_lengths(u64::MAX);
        }
    }

    fn land_sector(&mut self, sequence: u64, start: usize, sector: Bytes, durable: bool) {
        let end = start + sector.len();
        self.live[start..end].copy_from_slice(&sector);
        let number = (start / SECTOR) as u64;
        if durable {
            self.durable[start..end].copy_from_slice(&sector);
            self.cached.remove(&number);
        } else {
            self.cached
                .entry(number)
                .or_default()
                .push((sequence, sector));
        }
    }

    pub(super) fn set_len(&mut self, sequence: u64, len: u64) {
        let len_bytes = len as usize;
        if len_bytes < self.live.len() {
            self.cached.split_off(&len.div_ceil(SECTOR as u64));
            self.allocated.truncate(len_bytes.div_ceil(ALIGNMENT));
        }
        self.live.resize(len_bytes, 0);
        self.lengths.push((sequence, len));
    }

    /// A flush: everything that landed up to `sequence` is durable.
    pub(super) fn settle(&mut self, sequence: u64) {
        self.settle_lengths(sequence);
        let durable = &mut self.durable;
        self.cached.retain(|sector, versions| {
            let settled = versions.partition_point(|(landed, _)| *landed <= sequence);
            if let Some((_, bytes)) = versions[..settled].last() {
                put(durable, *sector, bytes);
            }
            versions.drain(..settled);
            !versions.is_empty()
        });
    }

    fn settle_lengths(&mut self, sequence: u64) {
        let settled = self
            .lengths
            .partition_point(|(changed, _)| *changed <= sequence);
        for (_, len) in self.lengths.drain(..settled) {
            self.durable.resize(len as usize, 0);
        }
    }

    /// A flush failed: the cache is lost, and reads see the old bytes again. Each sector may also
    /// have made it.
    pub(super) fn lose_cache(&mut self, rng: &mut Rng, survive_per_million: u32) {
        let length = self.live.len();
        self.settle_lengths(u64::MAX);
        self.survive(rng, survive_per_million, false);
        self.live.clone_from(&self.durable);
        debug_assert_eq!(self.live.len(), length);
    }

    /// The power goes off: an arbitrary prefix of the length changes and an arbitrary subset of
    /// the cached sectors survive.
    pub(super) fn cut(&mut self, rng: &mut Rng, survive_per_million: u32, tear: bool) {
        let kept = rng.index(self.lengths.len() + 1);
        self.lengths.truncate(kept);
        self.settle_lengths(u64::MAX);
        self.survive(rng, survive_per_million, tear);
        self.live.clone_from(&self.durable);
        self.allocated
            .resize(self.live.len().div_ceil(ALIGNMENT), true);
    }

    fn survive(&mut self, rng: &mut Rng, survive_per_million: u32, tear: bool) {
        for (sector, versions) in std::mem::take(&mut self.cached) {
            for (_, bytes) in versions {
                if !rng.chance(survive_per_million) {
                    continue;
                }
                let whole = if tear && rng.chance(100_000) {
                    rng.index(bytes.len() + 1)
                } else {
                    bytes.len()
                };
                put(&mut self.durable, sector, &bytes[..whole]);
            }
        }
    }

    /// One bit changes at rest, everywhere.
    pub(super) fn flip(&mut self, position: u64, bit: u8) {
        let index = position as usize;
        for image in [&mut self.live, &mut self.durable] {
            if let Some(byte) = image.get_mut(index) {
                *byte ^= 1 << (bit % 8);
            }
        }
        if let Some(versions) = self.cached.get_mut(&(position / SECTOR as u64)) {
            for (_, bytes) in versions {
                let mut copy = bytes.to_vec();
                if let Some(byte) = copy.get_mut(index % SECTOR) {
                    *byte ^= 1 << (bit % 8);
                }
                *bytes = Bytes::from(copy);
            }
        }
    }

    /// Replaces the whole file, durably.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.cached.clear();
        self.lengths.clear();
        self.live = bytes.to_vec();
        self.durable = bytes.to_vec();
        self.allocated = vec![true; bytes.len().div_ceil(ALIGNMENT)];
    }
}

fn put(image: &mut [u8], sector: u64, bytes: &[u8]) {
    let start = sector as usize * SECTOR;
    if let Some(place) = image.get_mut(start..start + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn units(position: u64, len: usize) -> std::ops::Range<usize> {
    let start = position as usize;
    start / ALIGNMENT..(start + len).div_ceil(ALIGNMENT)
}

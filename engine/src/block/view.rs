//! A whole block, verified.

use super::footer::{Entry, Footer};
use super::{
    BlockFault, BlockHeader, ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES, LogIdentity, get_u32,
    record_crc,
};
use crate::types::{LogOffset, QueueNumber};

/// A whole block whose every byte has been verified.
#[derive(Clone, Copy, Debug)]
pub struct BlockView<'a> {
    header: BlockHeader,
    block: &'a [u8],
}

impl<'a> BlockView<'a> {
    /// Verifies the block that begins `bytes` and should lie at `at`; `bytes` may go on beyond it.
    ///
    /// # Errors
    /// `Truncated` when `bytes` ends before the block does; else what is wrong with it.
    pub fn parse(
        bytes: &'a [u8],
        identity: &LogIdentity,
        at: LogOffset,
    ) -> Result<Self, BlockFault> {
        let header = BlockHeader::parse(bytes, identity, at)?;
        let len = header.block_len as usize;
        let block = bytes
            .get(..len)
            .ok_or(BlockFault::Truncated { needed: len })?;
        let footer = Footer::parse(block, identity, at)?;
        if footer != Footer::of(&header, header.crc) {
            return Err(BlockFault::Footer);
        }
        let view = BlockView { header, block };
        view.check_padding()?;
        view.check_records(identity)?;
        Ok(view)
    }

    /// The block's header.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// What the next block carries as its `previous_checksum`.
    pub fn checksum(&self) -> u32 {
        get_u32(self.block, self.block.len() - 4)
    }

    /// All records in the order they were committed.
    pub fn records(&self) -> impl ExactSizeIterator<Item = BlockRecord<'a>> + use<'a> {
        let block = self.block;
        let at = self.header.at;
        let list = &block[self.list_at()..block.len() - FOOTER_BYTES];
        let mut start = HEADER_BYTES;
        list.chunks_exact(ENTRY_BYTES).map(move |bytes| {
            let (entry, _) = Entry::read(bytes);
            let from = start;
            start += entry.len as usize;
            BlockRecord {
                position: at.plus(from as u64),
                queue: entry.queue,
                crc: entry.crc,
                bytes: &block[from..start],
            }
        })
    }

    fn list_at(&self) -> usize {
        self.block.len() - FOOTER_BYTES - self.header.count as usize * ENTRY_BYTES
    }

    fn check_padding(&self) -> Result<(), BlockFault> {
        let from = HEADER_BYTES + self.header.records_len as usize;
        let zero = self.block[from..self.list_at()]
            .iter()
            .all(|&byte| byte == 0);
        if zero {
            Ok(())
        } else {
            Err(BlockFault::Padding)
        }
    }

    fn check_records(&self, identity: &LogIdentity) -> Result<(), BlockFault> {
        let list = &self.block[self.list_at()..self.block.len() - FOOTER_BYTES];
        let end = HEADER_BYTES + self.header.records_len as usize;
        let mut start = HEADER_BYTES;
        for (index, bytes) in (0u32..).zip(list.chunks_exact(ENTRY_BYTES)) {
            let (entry, check) = Entry::read(bytes);
            let next = start.saturating_add(entry.len as usize);
            if check != entry.check(identity.seed, index) || next > end {
                return Err(BlockFault::ListChecksum);
            }
            if record_crc(&self.block[start..next]) != entry.crc {
                return Err(BlockFault::RecordChecksum { index });
            }
            start = next;
        }
        if start == end {
            Ok(())
        } else {
            Err(BlockFault::Lengths)
        }
    }
}

/// One record of a verified block.
#[derive(Clone, Copy, Debug)]
pub struct BlockRecord<'a> {
    /// Where its first byte lies.
    pub position: LogOffset,
    /// Its queue; [`QueueNumber::CONTROL`] for a control record.
    pub queue: QueueNumber,
    /// CRC32C of the bytes.
    pub crc: u32,
    /// The stored record.
    pub bytes: &'a [u8],
}

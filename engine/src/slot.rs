//! The envelope of a file with two slots that are written in turn: the newer valid one counts, and
//! a torn write never touches the other. Byte by byte in `FORMAT.md`, section 4.
//!
//! ```text
//! | magic 8 | version u16 | shard u16 | payload length u32 | store id 16 | slot sequence u64 |
//! | zero 20 | CRC32C u32 | payload | zeros to the end of the slot |
//! ```

use ringmq_ring::AlignedBuf;
use thiserror::Error;

use crate::block::{LogIdentity, get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};

/// Bytes before the payload.
pub(crate) const ENVELOPE_BYTES: usize = 64;

mod at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const SHARD: usize = 10;
    pub const PAYLOAD_LEN: usize = 12;
    pub const STORE_ID: usize = 16;
    pub const SEQUENCE: usize = 32;
    pub const RESERVED: usize = 40;
    pub const CRC: usize = 60;
    pub const PAYLOAD: usize = super::ENVELOPE_BYTES;
}

/// What tells one kind of slot from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotKind {
    pub magic: [u8; 8],
    pub version: u16,
    /// Bytes of one slot, a multiple of 4096.
    pub slot_bytes: usize,
}

/// Why a slot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SlotFault {
    /// Never written.
    #[error("never written")]
    Blank,
    /// Torn, flipped or something else altogether.
    #[error("damaged")]
    Damaged,
    /// Of another store or shard.
    #[error("of another store or shard")]
    Foreign,
    /// Written by a newer RingMQ.
    #[error("of format version {found}, which this build does not know: use a newer one")]
    Version {
        /// The version found.
        found: u16,
    },
}

impl SlotKind {
    /// Where the slot with this sequence number lies in its file.
    pub fn position(&self, sequence: u64) -> u64 {
        (sequence % 2) * self.slot_bytes as u64
    }

    /// The whole slot. `None` when the payload does not fit.
    pub fn encode(
        &self,
        identity: &LogIdentity,
        sequence: u64,
        payload: &[u8],
    ) -> Option<AlignedBuf> {
        let mut slot = AlignedBuf::zeroed(self.slot_bytes);
        slot.get_mut(at::PAYLOAD..at::PAYLOAD + payload.len())?
            .copy_from_slice(payload);
        slot[at::MAGIC..at::VERSION].copy_from_slice(&self.magic);
        put_u16(&mut slot, at::VERSION, self.version);
        put_u16(&mut slot, at::SHARD, u16::from(identity.shard.0));
        put_u32(&mut slot, at::PAYLOAD_LEN, payload.len() as u32);
        slot[at::STORE_ID..at::SEQUENCE].copy_from_slice(&identity.store_id);
        put_u64(&mut slot, at::SEQUENCE, sequence);
        let crc = self.checksum(identity, &slot);
        put_u32(&mut slot, at::CRC, crc);
        Some(slot)
    }

    /// Sequence and payload of one slot.
    pub fn decode<'a>(
        &self,
        identity: &LogIdentity,
        slot: &'a [u8],
    ) -> Result<(u64, &'a [u8]), SlotFault> {
        if slot.len() != self.slot_bytes {
            return Err(SlotFault::Damaged);
        }
        if slot.iter().all(|&byte| byte == 0) {
            return Err(SlotFault::Blank);
        }
        if slot[at::MAGIC..at::VERSION] != self.magic
            || get_u32(slot, at::CRC) != self.checksum(identity, slot)
            || slot[at::RESERVED..at::CRC].iter().any(|&byte| byte != 0)
        {
            return Err(SlotFault::Damaged);
        }
        let version = get_u16(slot, at::VERSION);
        if version != self.version {
            return Err(SlotFault::Version { found: version });
        }
        if slot[at::STORE_ID..at::SEQUENCE] != identity.store_id
            || get_u16(slot, at::SHARD) != u16::from(identity.shard.0)
        {
            return Err(SlotFault::Foreign);
        }
        let end = at::PAYLOAD.saturating_add(get_u32(slot, at::PAYLOAD_LEN) as usize);
        let payload = slot.get(at::PAYLOAD..end).ok_or(SlotFault::Damaged)?;
        Ok((get_u64(slot, at::SEQUENCE), payload))
    }

    /// Over the whole slot, its zeros included, but the checksum itself.
    fn checksum(&self, identity: &LogIdentity, slot: &[u8]) -> u32 {
        let head = crc32c::crc32c_append(identity.seed, &slot[..at::CRC]);
        crc32c::crc32c_append(head, &slot[at::PAYLOAD..])
    }
}

//! The witness: W of the newest block, for which no later header will do. Two slots of 4 KiB per
//! shard, written in turn. Byte by byte in `FORMAT.md`, section 5.

use ringmq_ring::AlignedBuf;

use crate::block::{LogIdentity, get_u32, get_u64, put_u32, put_u64};
use crate::slot::{SlotFault, SlotKind};
use crate::types::LogOffset;

/// Length of the witness file.
pub const WITNESS_FILE_BYTES: u64 = 2 * SLOT_BYTES as u64;

const SLOT_BYTES: usize = 4096;
const KIND: SlotKind = SlotKind {
    magic: *b"RMQWITNS",
    version: 1,
    slot_bytes: SLOT_BYTES,
};
const PAYLOAD_BYTES: usize = 32;
const CLEAN: u32 = 1;

mod at {
    pub const DURABLE: usize = 0;
    pub const EPOCH: usize = 8;
    pub const NEXT_SEQUENCE: usize = 16;
    pub const FLAGS: usize = 24;
    pub const CHECKSUM: usize = 28;
}

/// What one slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// W: everything below is durable. The end of a block.
    pub durable: LogOffset,
    /// The run that wrote it.
    pub epoch: u64,
    /// The number of the block that will begin at W.
    pub next_sequence: u64,
    /// Checksum of the block that ends at W.
    pub checksum: u32,
    /// A clean stop: nothing was written after W, so the next run goes on right there.
    pub clean: bool,
}

impl Witness {
    /// The slot with this sequence number, to be written at [`Witness::position`].
    pub fn encode(&self, identity: &LogIdentity, sequence: u64) -> AlignedBuf {
        let mut payload = [0; PAYLOAD_BYTES];
        put_u64(&mut payload, at::DURABLE, self.durable.0);
        put_u64(&mut payload, at::EPOCH, self.epoch);
        put_u64(&mut payload, at::NEXT_SEQUENCE, self.next_sequence);
        put_u32(&mut payload, at::FLAGS, u32::from(self.clean) * CLEAN);
        put_u32(&mut payload, at::CHECKSUM, self.checksum);
        KIND.encode(identity, sequence, &payload)
            .unwrap_or_else(|| AlignedBuf::zeroed(SLOT_BYTES))
    }

    /// Where the slot with this sequence number lies in the file.
    pub fn position(sequence: u64) -> u64 {
        KIND.position(sequence)
    }

    /// One slot.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(identity: &LogIdentity, slot: &[u8]) -> Result<(u64, Self), SlotFault> {
        let (sequence, payload) = KIND.decode(identity, slot)?;
        if payload.len() != PAYLOAD_BYTES {
            return Err(SlotFault::Damaged);
        }
        let witness = Witness {
            durable: LogOffset(get_u64(payload, at::DURABLE)),
            epoch: get_u64(payload, at::EPOCH),
            next_sequence: get_u64(payload, at::NEXT_SEQUENCE),
            checksum: get_u32(payload, at::CHECKSUM),
            clean: get_u32(payload, at::FLAGS) & CLEAN != 0,
        };
        Ok((sequence, witness))
    }

    /// The newest of both slots of a file, with its sequence number; `None` when neither counts,
    /// which is the state of a new shard and harmless: the watermark is then found in the log.
    ///
    /// # Errors
    /// Only [`SlotFault::Version`] and [`SlotFault::Foreign`]: then nothing here may be overwritten.
    pub fn newest(identity: &LogIdentity, file: &[u8]) -> Result<Option<(u64, Self)>, SlotFault> {
        let mut newest: Option<(u64, Self)> = None;
        for slot in file.chunks_exact(SLOT_BYTES).take(2) {
            match Self::decode(identity, slot) {
                Ok(found) if newest.is_none_or(|best| best.0 < found.0) => newest = Some(found),
                Ok(_) | Err(SlotFault::Blank | SlotFault::Damaged) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ShardIndex;

    fn identity() -> LogIdentity {
        LogIdentity::new([3; 16], &[4; 16], ShardIndex(1), 65536)
    }

    fn witness(durable: u64) -> Witness {
        Witness {
            durable: LogOffset(durable),
            epoch: 3,
            next_sequence: 9,
            checksum: 0x77,
            clean: durable % 2 == 1,
        }
    }

    fn file(sequences: [u64; 2]) -> Vec<u8> {
        let mut file = vec![0; WITNESS_FILE_BYTES as usize];
        for sequence in sequences {
            let at = Witness::position(sequence) as usize;
            let slot = witness(sequence * 100 + 1).encode(&identity(), sequence);
            file[at..at + SLOT_BYTES].copy_from_slice(&slot);
        }
        file
    }

    #[test]
    fn the_newer_slot_counts_and_the_other_one_stands_in_for_it() {
        let mut bytes = file([7, 8]);
        let newest = |bytes: &[u8]| Witness::newest(&identity(), bytes);
        assert_eq!(newest(&bytes), Ok(Some((8, witness(801)))));
        bytes[70] ^= 1;
        assert_eq!(newest(&bytes), Ok(Some((7, witness(701)))));
        bytes[SLOT_BYTES + 4095] ^= 1;
        assert_eq!(newest(&bytes), Ok(None));
        assert_eq!(newest(&[0; 8192]), Ok(None));
        assert_eq!(newest(&[]), Ok(None));
    }

    #[test]
    fn every_flipped_byte_of_a_slot_is_detected() {
        let mut bytes = file([7, 8])[..SLOT_BYTES].to_vec();
        for at in 0..bytes.len() {
            bytes[at] ^= 0x20;
            assert_eq!(
                Witness::decode(&identity(), &bytes),
                Err(SlotFault::Damaged),
                "byte {at}"
            );
            bytes[at] ^= 0x20;
        }
    }
}

use super::*;
use crate::types::QueueNumber;
use ringmq_ring::AlignedBuf;

const IDENTITY: LogIdentity = LogIdentity {
    store_id: [7; 16],
    seed: 0x1234_5678,
    shard: ShardIndex(2),
    segment_bytes: 65536,
};

const AT: LogOffset = LogOffset(3 * 65536 + 8192);

fn fields() -> SealFields {
    SealFields {
        at: AT,
        sequence: 41,
        epoch: 5,
        durable: LogOffset(3 * 65536 + 4096),
        previous_checksum: 0xABCD,
    }
}

/// Records of these lengths, each filled with its index, on queues 0, 1, 2, 0, ...
fn sealed(lengths: &[usize]) -> SealedBlock {
    let mut builder = BlockBuilder::new(65536);
    let mut buffer = AlignedBuf::zeroed(65536);
    buffer.fill(0xEE);
    builder.use_buffer(buffer);
    for (index, &len) in lengths.iter().enumerate() {
        builder.begin(len).fill(index as u8 + 1);
        builder.commit(QueueNumber(index as u32 % 3), 1000 + index as i64);
    }
    builder.seal(&IDENTITY, &fields()).unwrap()
}

#[test]
fn a_sealed_block_reads_back_record_by_record() {
    let lengths = [100, 1, 3000, 40, 0, 77];
    let block = sealed(&lengths);
    assert_eq!(block.buffer.len(), 4096);
    assert_eq!(block.buffer.len(), sealed_len(lengths.iter().sum(), 6));
    let view = BlockView::parse(&block.buffer, &IDENTITY, AT).unwrap();
    let header = view.header();
    assert_eq!((header.sequence, header.epoch, header.count), (41, 5, 6));
    assert_eq!((header.first_ms, header.last_ms), (1000, 1005));
    assert_eq!(header.durable, fields().durable);
    assert_eq!(header.previous_checksum, 0xABCD);
    assert_eq!(view.checksum(), block.checksum);
    let mut position = AT.plus(HEADER_BYTES as u64);
    for (index, (record, len)) in view.records().zip(lengths).enumerate() {
        assert_eq!(record.bytes, vec![index as u8 + 1; len]);
        assert_eq!(record.queue, QueueNumber(index as u32 % 3));
        assert_eq!(record.position, position);
        assert_eq!(record.crc, crc32c::crc32c(record.bytes));
        position = position.plus(len as u64);
    }
}

#[test]
fn blocks_follow_each_other_in_one_buffer_and_a_full_one_is_taken_whole() {
    let mut builder = BlockBuilder::new(8192);
    assert!(!builder.room_for(1));
    builder.use_buffer(AlignedBuf::zeroed(12288));
    assert!(builder.seal(&IDENTITY, &fields()).is_none());
    let fits = 8192 - HEADER_BYTES - FOOTER_BYTES - ENTRY_BYTES;
    assert!(builder.room_for(fits) && !builder.room_for(fits + 1));
    builder.begin(fits).fill(1);
    builder.commit(QueueNumber(1), 1);
    assert!(!builder.room_for(0));
    assert_eq!(
        builder.seal(&IDENTITY, &fields()).unwrap().buffer.len(),
        8192
    );
    assert_eq!(builder.buffer_len(), 4096);
    builder.begin(10).fill(2);
    builder.commit(QueueNumber(1), 2);
    builder.begin(20).fill(3);
    builder.use_buffer(AlignedBuf::zeroed(8192));
    builder.begin(20).fill(4);
    builder.commit(QueueNumber(1), 3);
    let block = builder.seal(&IDENTITY, &fields()).unwrap();
    let view = BlockView::parse(&block.buffer, &IDENTITY, AT).unwrap();
    let records: Vec<&[u8]> = view.records().map(|record| record.bytes).collect();
    assert_eq!(records, [&[2u8; 10][..], &[4; 20]]);
    assert_eq!(builder.buffer_len(), 4096);
}

#[test]
fn every_flipped_bit_of_a_block_is_detected_and_spares_the_other_records() {
    let lengths = [100, 200, 300, 50];
    let block = sealed(&lengths);
    let mut bytes = block.buffer.to_vec();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let fault = BlockView::parse(&bytes, &IDENTITY, AT).err();
        assert!(fault.is_some(), "bit {bit} of byte {}", bit / 8);
        let damaged = DamagedBlock::read(&bytes, &IDENTITY, AT).unwrap();
        assert_eq!(damaged.end(), AT.plus(4096));
        assert_eq!((damaged.sequence, damaged.epoch), (41, 5));
        let lost = damaged
            .records
            .iter()
            .filter(|record| !record.readable)
            .count();
        assert!(
            lost <= 1 && damaged.unattributed() <= 1,
            "bit {bit}: {damaged:?}"
        );
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(BlockView::parse(&bytes, &IDENTITY, AT).is_ok());
}

#[test]
fn every_torn_prefix_of_sectors_is_detected() {
    let block = sealed(&[5000, 5000]);
    let whole = block.buffer.to_vec();
    for kept in (0..whole.len()).step_by(512) {
        for filler in [0u8, 0x55] {
            let mut torn = whole.clone();
            torn[kept..].fill(filler);
            assert!(
                BlockView::parse(&torn, &IDENTITY, AT).is_err(),
                "{kept} bytes kept"
            );
        }
        assert!(BlockView::parse(&whole[..kept], &IDENTITY, AT).is_err());
    }
}

#[test]
fn a_block_is_found_valid_only_where_and_by_whom_it_was_written() {
    let block = sealed(&[10]);
    let elsewhere =
        |identity: LogIdentity, at| BlockView::parse(&block.buffer, &identity, at).err();
    let foreign = Some(BlockFault::Foreign {
        segment: 3,
        within: 8192,
    });
    assert_eq!(elsewhere(IDENTITY, AT.plus(4096)), foreign);
    assert_eq!(elsewhere(IDENTITY, AT.plus(65536)), foreign);
    assert_eq!(
        elsewhere(
            LogIdentity {
                shard: ShardIndex(3),
                ..IDENTITY
            },
            AT
        ),
        foreign
    );
    assert_eq!(
        elsewhere(
            LogIdentity {
                store_id: [8; 16],
                ..IDENTITY
            },
            AT
        ),
        foreign
    );
    let salted = LogIdentity {
        seed: 1,
        ..IDENTITY
    };
    assert_eq!(elsewhere(salted, AT), Some(BlockFault::HeaderChecksum));
    assert_eq!(
        BlockView::parse(&[0; 4096], &IDENTITY, AT).err(),
        Some(BlockFault::Blank)
    );
}

#[test]
fn header_or_footer_alone_name_every_record() {
    let block = sealed(&[4000, 4000]);
    let mut headless = block.buffer.to_vec();
    headless[..512].fill(0);
    headless.extend_from_slice(&[0x77; 8192]);
    let damaged = DamagedBlock::read(&headless, &IDENTITY, AT).unwrap();
    assert_eq!(damaged.block_len as usize, block.buffer.len());
    assert!(damaged.header.is_none());
    assert_eq!(damaged.checksum, Some(block.checksum));
    assert!(!damaged.records[0].readable && damaged.records[1].readable);
    assert_eq!(damaged.unattributed(), 0);
    let second = damaged.records[1];
    assert_eq!(damaged.bytes_of(&second, &headless).unwrap(), vec![2; 4000]);

    let mut tailless = block.buffer.to_vec();
    let len = tailless.len();
    tailless[len - 512..].fill(0);
    let damaged = DamagedBlock::read(&tailless, &IDENTITY, AT).unwrap();
    assert_eq!((damaged.unattributed(), damaged.checksum), (2, None));

    headless[len - 512..len].fill(0);
    assert!(DamagedBlock::read(&headless, &IDENTITY, AT).is_none());
}

#[test]
fn mutated_blocks_never_panic_and_never_yield_a_record_that_fails_its_checksum() {
    let block = sealed(&[100, 200, 300, 50]);
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..20_000 {
        let mut bytes = block.buffer.to_vec();
        for _ in 0..1 + round % 8 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = match round % 3 {
                0 => (random >> 33) as usize % bytes.len(),
                1 => (random >> 33) as usize % HEADER_BYTES,
                _ => bytes.len() - 1 - (random >> 33) as usize % 160,
            };
            bytes[at] = (random >> 56) as u8;
        }
        bytes.truncate(bytes.len() - (round % 5) * 700);
        if let Some(damaged) = DamagedBlock::read(&bytes, &IDENTITY, AT) {
            for record in &damaged.records {
                if let Some(found) = damaged.bytes_of(record, &bytes) {
                    assert_eq!(crc32c::crc32c(found), record.crc);
                }
            }
        }
        let _ = BlockView::parse(&bytes, &IDENTITY, AT);
    }
}

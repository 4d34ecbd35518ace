use super::*;
use crate::block::LogIdentity;
use crate::types::{LogOffset, ShardIndex};
use proptest::prelude::*;

fn identity() -> LogIdentity {
    LogIdentity::new([3; 16], &[4; 16], ShardIndex(0), 65536)
}

#[derive(Clone, Debug, Default)]
struct Tables {
    queues: Vec<QueueRow>,
    names: Vec<GroupNameRow>,
    offsets: Vec<OffsetRow>,
    topics: Vec<TopicRow>,
    groups: Vec<GroupRow>,
}

fn tables(queues: u32, texts: u32) -> Tables {
    let mut tables = Tables::default();
    for n in 1..=queues {
        tables.queues.push(QueueRow {
            queue: QueueNumber(n * 2),
            topic: TopicId(u64::from(n / 4)),
            queue_id: n % 4,
            min: 5,
            next: u64::from(n) * 10,
            newest_segment: (n % 2 == 0).then_some(SegmentNumber(7)),
        });
        tables.offsets.push(OffsetRow {
            queue: QueueNumber(n * 2),
            group: GroupNumber(n % 3),
            offset: u64::from(n),
        });
    }
    for n in 1..=texts {
        let name = format!("name-{n:06}");
        let payload = vec![n as u8; (n as usize * 97) % 5000];
        tables.names.push(GroupNameRow {
            group: GroupNumber(n),
            name: name.clone(),
        });
        tables.topics.push(TopicRow {
            topic: TopicId(u64::from(n)),
            name: name.clone(),
            payload: payload.clone(),
        });
        tables.groups.push(GroupRow { name, payload });
    }
    tables
}

/// Chunk `n` of the file reflects the log up to `n * 100`.
fn write(tables: &Tables) -> Vec<u8> {
    let mut writer = StateWriter::new(identity(), 9);
    let mut file = Vec::new();
    let counters = Counters {
        next_topic: TopicId(77),
        ..Counters::default()
    };
    file.extend_from_slice(&writer.counters(LogOffset(0), &counters).bytes);
    for table in &Table::ALL[1..] {
        let mut taken = 0;
        loop {
            let at = LogOffset(u64::from(writer.chunks()) * 100);
            let chunk = match table {
                Table::Queues => writer.queues(at, tables.queues.iter().skip(taken).copied()),
                Table::GroupNames => {
                    writer.group_names(at, tables.names.iter().skip(taken).cloned())
                }
                Table::Offsets => writer.offsets(at, tables.offsets.iter().skip(taken).copied()),
                Table::Topics => writer.topics(at, tables.topics.iter().skip(taken).cloned()),
                _ => writer.groups(at, tables.groups.iter().skip(taken).cloned()),
            };
            assert!(chunk.bytes.len() <= crate::limits::STATE_CHUNK_BYTES);
            assert_eq!(chunk.at as usize, file.len());
            file.extend_from_slice(&chunk.bytes);
            taken += chunk.rows;
            if chunk.last_of_table {
                break;
            }
        }
    }
    assert_eq!(
        writer.highest(),
        LogOffset(u64::from(writer.chunks() - 1) * 100)
    );
    assert_eq!(writer.bytes() as usize, file.len());
    file
}

fn read(file: &[u8], piece: usize) -> Result<LoadedState, StateFault> {
    let mut reader = StateReader::new(identity(), 9);
    for piece in file.chunks(piece) {
        reader.push(piece)?;
    }
    reader.finish().map(|found| found.0)
}

fn check(tables: &Tables, state: &LoadedState) {
    assert_eq!(state.queues, tables.queues);
    assert_eq!(state.group_names, tables.names);
    assert_eq!(state.offsets, tables.offsets);
    assert_eq!(state.topics, tables.topics);
    assert_eq!(state.groups, tables.groups);
    assert_eq!(state.counters.next_topic, TopicId(77));
}

#[test]
fn a_state_of_many_chunks_reads_back_in_pieces_of_any_size() {
    let tables = tables(10_000, 200);
    let file = write(&tables);
    for piece in [4096, 65536, 1 << 20, 5000] {
        check(&tables, &read(&file, piece).unwrap());
    }
}

#[test]
fn every_key_is_covered_by_the_chunk_that_holds_it_or_would() {
    let tables = tables(4000, 0);
    let state = read(&write(&tables), 1 << 20).unwrap();
    // Chunk 0 holds the counters; then come three chunks of queues.
    assert_eq!(state.queues_at.of(&QueueNumber(0)), LogOffset(100));
    assert_eq!(state.queues_at.of(&QueueNumber(2)), LogOffset(100));
    assert_eq!(state.queues_at.of(&QueueNumber(8000)), LogOffset(300));
    assert_eq!(state.queues_at.of(&QueueNumber(8001)), LogOffset(300));
    let places: Vec<u64> = (0..9000)
        .map(|n| state.queues_at.of(&QueueNumber(n)).0)
        .collect();
    assert!(places.is_sorted());
    assert!(places.contains(&200));
    assert_eq!(
        state.topics_at.of(&TopicId(1)),
        state.topics_at.of(&TopicId(u64::MAX))
    );
}

#[test]
fn an_empty_state_still_says_what_it_reflects() {
    let file = write(&Tables::default());
    assert_eq!(file.len(), 6 * 4096);
    let state = read(&file, 4096).unwrap();
    assert_eq!(state.groups_at.of("any"), LogOffset(500));
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_state_file_is_detected() {
    let mut file = write(&tables(20, 3));
    for at in 0..file.len() {
        file[at] ^= 0x40;
        assert!(read(&file, 1 << 20).is_err(), "byte {at}");
        file[at] ^= 0x40;
    }
    for len in (0..file.len()).step_by(512) {
        assert!(read(&file[..len], 1 << 20).is_err());
    }
    let other = StateReader::new(identity(), 8).push(&file);
    assert_eq!(other, Err(StateFault::Damaged { index: 0 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_state_survives_its_file(queues in 0u32..3000, texts in 0u32..60, piece in 1usize..100_000) {
        let tables = tables(queues, texts);
        check(&tables, &read(&write(&tables), piece).unwrap());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        prop_assert!(read(&bytes, 4096).is_err());
    }
}

use super::*;
use proptest::prelude::*;

fn encode(record: &ControlRecord<'_>) -> Vec<u8> {
    let mut bytes = vec![0xEE; record.encoded_len()];
    record.encode(&mut bytes).unwrap();
    bytes
}

fn check_round_trip(record: &ControlRecord<'_>) -> Result<(), TestCaseError> {
    let bytes = encode(record);
    let decoded = ControlRecord::decode(&bytes).unwrap();
    prop_assert_eq!(format!("{decoded:?}"), format!("{record:?}"));
    for len in 0..bytes.len() {
        prop_assert!(ControlRecord::decode(&bytes[..len]).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    prop_assert!(ControlRecord::decode(&longer).is_err());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_kind_survives_its_encoding_and_no_cut_does(
        name in "[a-zA-Z0-9%_é-]{0,60}",
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        numbers in any::<(u64, u64, u32, u32)>(),
        offsets in proptest::collection::vec(any::<(u32, u32, u64)>(), 0..40),
    ) {
        let (a, b, c, d) = numbers;
        let mut scratch = Vec::new();
        let mut more = Vec::new();
        let commits = offsets.iter().map(|&(group, queue, offset)| OffsetCommit {
            group: GroupNumber(group),
            queue: QueueNumber(queue),
            offset,
        });
        let minimums = offsets.iter().map(|&(_, queue, offset)| QueueMinimum {
            queue: QueueNumber(queue),
            offset,
        });
        let records = [
            ControlRecord::TopicPut { topic: TopicId(a), name: &name, payload: &payload },
            ControlRecord::TopicDelete { topic: TopicId(a) },
            ControlRecord::GroupPut { name: &name, payload: &payload },
            ControlRecord::GroupDelete { name: &name },
            ControlRecord::GroupBind { group: GroupNumber(c), name: &name },
            ControlRecord::QueueBind { queue: QueueNumber(c), topic: TopicId(a), queue_id: d },
            ControlRecord::QueueDelete { queue: QueueNumber(c) },
            offset_list(commits, &mut scratch),
            ControlRecord::NextTopicId { next: TopicId(b) },
            ControlRecord::OffsetsForget { group: GroupNumber(d) },
            ControlRecord::RunStart(RunStart {
                epoch: a,
                first: LogOffset(b),
                cut: LogOffset(a),
                first_sequence: b,
                previous_checksum: c,
            }),
            minimum_list(minimums, &mut more),
        ];
        for record in &records {
            check_round_trip(record)?;
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..16) {
        let _ = ControlRecord::decode(&bytes);
        let mut plausible = vec![kind, VERSION, 0, 0];
        plausible.extend_from_slice(&bytes);
        if let Ok(record) = ControlRecord::decode(&plausible) {
            prop_assert_eq!(encode(&record), plausible);
        }
    }
}

#[test]
fn an_unknown_kind_or_version_asks_for_a_newer_build() {
    for (kind, version) in [(0, 1), (13, 1), (PARKED_KIND_FIRST, 1), (1, 2), (255, 1)] {
        let fault = ControlRecord::decode(&[kind, version, 0, 0]).unwrap_err();
        assert_eq!(fault, ControlFault::Unknown { kind, version });
    }
}

#[test]
fn bounds_hold_in_both_directions() {
    let name = "n".repeat(NAME_BYTES_MAX + 1);
    let record = ControlRecord::GroupDelete { name: &name };
    let mut bytes = vec![0; record.encoded_len()];
    assert!(matches!(
        record.encode(&mut bytes),
        Err(ControlFault::Bound { .. })
    ));
    let mut forged = vec![kind::GROUP_DELETE, VERSION, 0, 0, 0xFF, 0xFF];
    forged.extend_from_slice(name.as_bytes());
    assert!(matches!(
        ControlRecord::decode(&forged),
        Err(ControlFault::Bound { .. })
    ));
    let announced = [kind::OFFSET_COMMITS, VERSION, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
    assert!(matches!(
        ControlRecord::decode(&announced),
        Err(ControlFault::Bound { .. })
    ));
}

use super::log_builder::{LogBuilder, SEGMENT_BYTES, folder};
use crate::recovery::RecoveryError;
use crate::types::SegmentNumber;
use ringmq_ring::Disk;
use ringmq_ring::sim::Faults;
use std::path::PathBuf;

fn three_segments() -> LogBuilder {
    let mut log = LogBuilder::start(2);
    while log.head.end.0 < 2 * SEGMENT_BYTES + 20_000 {
        log.messages(&[1, 2]);
    }
    log
}

fn remove(log: &LogBuilder, path: PathBuf) {
    let process = log.world.process();
    let disk = log.world.disk(process);
    log.world
        .block_on(process, async move { disk.remove(&path).await })
        .unwrap();
}

fn missing(log: &LogBuilder) -> Option<u64> {
    match log.recover() {
        Err(RecoveryError::Gap { missing, .. }) => Some(missing.0),
        other => panic!("no gap: {other:?}"),
    }
}

#[test]
fn a_missing_segment_is_named_wherever_it_is_missing() {
    for gone in 0..3 {
        let log = three_segments();
        log.witness(false);
        remove(&log, folder().segment(SegmentNumber(gone)));
        assert_eq!(missing(&log), Some(gone));
    }
    let log = three_segments();
    log.checkpoint(1);
    for gone in 0..3 {
        remove(&log, folder().segment(SegmentNumber(gone)));
    }
    assert_eq!(missing(&log), Some(0));
}

#[test]
fn segments_before_the_oldest_one_kept_are_left_over_and_not_missed() {
    let log = three_segments();
    log.checkpoint(1);
    log.checkpoint(2);
    log.edit_manifest(|manifest| manifest.oldest_segment = 1);
    let recovered = log.recover().unwrap();
    assert_eq!(recovered.retired, [SegmentNumber(0)]);
    assert_eq!(recovered.segments[0].number, SegmentNumber(1));
    drop(recovered);
    remove(&log, folder().segment(SegmentNumber(0)));
    assert!(log.recover().is_ok());
}

#[test]
fn two_bad_manifest_slots_refuse_and_one_does_not() {
    let log = three_segments();
    let path = folder().manifest();
    log.world.flip(&path, 100, 1).unwrap();
    assert!(log.recover().is_ok());
    log.world.flip(&path, 100, 2).unwrap();
    log.world.flip(&path, 32768 + 100, 2).unwrap();
    let refused = log.recover().unwrap_err();
    assert!(matches!(refused, RecoveryError::Slots { .. }), "{refused}");
    assert!(refused.to_string().contains("restore"));
}

#[test]
fn two_bad_state_files_refuse_and_no_table_is_ever_empty() {
    let mut log = three_segments();
    log.checkpoint(1);
    log.messages(&[1]);
    log.checkpoint(2);
    for generation in [1, 2] {
        log.world
            .flip(&folder().state_file(generation), 300, 1)
            .unwrap();
    }
    let refused = log.recover().unwrap_err();
    assert!(matches!(refused, RecoveryError::State { .. }), "{refused}");
}

#[test]
fn the_only_state_file_may_be_lost_while_the_log_reaches_back_to_its_beginning() {
    let log = three_segments();
    let expected = log.recover().unwrap().state.queues;
    log.checkpoint(1);
    remove(&log, folder().state_file(1));
    assert_eq!(log.recover().unwrap().state.queues, expected);
    log.checkpoint(1);
    remove(&log, folder().state_file(1));
    log.edit_manifest(|manifest| manifest.oldest_segment = 1);
    assert!(matches!(log.recover(), Err(RecoveryError::State { .. })));
}

#[test]
fn a_missing_manifest_refuses_and_a_missing_witness_is_made_again() {
    let log = three_segments();
    remove(&log, folder().witness());
    drop(log.recover().unwrap());
    assert_eq!(log.world.contents(&folder().witness()).unwrap().len(), 8192);
    remove(&log, folder().manifest());
    assert!(matches!(log.recover(), Err(RecoveryError::Missing { .. })));
}

#[test]
fn a_read_error_is_tried_three_times_and_never_taken_for_the_end() {
    let log = three_segments();
    let expected = log.recover().unwrap().head.durable;
    let path = folder().segment(SegmentNumber(1));
    log.world.set_faults(Faults {
        read_error: 1_000_000,
        paths: vec![path.display().to_string()],
        ..Faults::default()
    });
    match log.recover() {
        Err(RecoveryError::Read { path: named, .. }) => assert_eq!(named, path),
        other => panic!("not refused: {other:?}"),
    }
    let tried = log
        .world
        .fired()
        .iter()
        .filter(|fired| fired.path == path)
        .count();
    assert_eq!(tried, 3);
    log.world.heal();
    log.world.set_faults(Faults::default());
    assert_eq!(log.recover().unwrap().head.durable, expected);
}

#[test]
fn a_block_of_a_newer_version_is_refused_and_not_taken_for_damage() {
    let log = three_segments();
    let at = log.blocks[3].0;
    let mut bytes = log.contents(at);
    bytes[8] = 2;
    let crc = crc32c::crc32c_append(super::log_builder::identity().seed, &bytes[..124]);
    bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    log.write_at(at, &bytes);
    let refused = log.recover().unwrap_err();
    assert!(
        matches!(refused, RecoveryError::NewerBlock { found: 2, .. }),
        "{refused}"
    );
}

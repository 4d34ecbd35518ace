use super::log_builder::{LogBuilder, SEGMENT_BYTES, What, bind, commit, folder, recover_on};
use super::summary::{entries, next, summary};
use crate::control_record::ControlRecord;
use crate::recovery::{RecoveryError, open_shard};
use crate::types::{GroupNumber, LogOffset, SegmentNumber, TopicId};
use ringmq_ring::Disk;
use ringmq_ring::sim::Faults;
use std::time::Duration;

#[test]
fn a_new_shard_begins_with_run_1_in_segment_0() {
    let recovered = LogBuilder::new(1).recover().unwrap();
    let head = recovered.head;
    assert_eq!(
        (head.epoch, head.next, head.fresh_segment),
        (1, LogOffset(0), true)
    );
    assert_eq!((head.next_sequence, head.previous_checksum), (0, 0));
    assert!(recovered.report.tail.is_none() && recovered.report.damage.is_empty());
    assert!(recovered.indexes.is_empty() && !head.read_only);
}

#[test]
fn everything_written_comes_back_and_the_next_run_begins_a_fresh_segment() {
    let mut log = LogBuilder::start(3);
    for round in 0..60 {
        log.messages(&[1, 2, 1 + round % 3]);
    }
    let recovered = log.recover().unwrap();
    assert!((1..=3).all(|queue| next(&recovered, queue) == log.next[&queue]));
    assert_eq!(
        entries(&recovered).len() as u64,
        log.next.values().sum::<u64>()
    );
    assert_eq!(recovered.head.durable, log.head.end);
    assert_eq!(recovered.head.last_store_ms, log.clock_ms);
    let last = log.head.end.0 / SEGMENT_BYTES;
    assert!(last >= 2);
    assert_eq!(recovered.indexes.len() as u64, last + 1);
    assert_eq!(recovered.head.next, LogOffset((last + 1) * SEGMENT_BYTES));
    assert_eq!(
        (recovered.head.epoch, recovered.head.fresh_segment),
        (2, true)
    );
    assert_eq!(recovered.manifest.runs.len(), 2);
    assert!(recovered.report.tail.is_none());
}

#[test]
fn runs_follow_runs_and_every_restart_sees_all_of_them() {
    let mut log = LogBuilder::start(2);
    for restart in 0..6u64 {
        for _ in 0..restart * 3 {
            log.messages(&[1, 2, 2]);
        }
        let recovered = log.recover().unwrap();
        assert_eq!(recovered.head.epoch, restart + 2);
        assert_eq!(
            entries(&recovered).len() as u64,
            log.next.values().sum::<u64>()
        );
        log.begin_run(&recovered);
    }
}

#[test]
fn a_clean_stop_goes_on_in_place_and_the_run_after_it_too() {
    let mut log = LogBuilder::start(1);
    log.messages(&[1, 1]);
    log.witness(true);
    let recovered = log.recover().unwrap();
    assert!(recovered.report.clean);
    assert_eq!(recovered.head.next, log.head.end);
    assert!(!recovered.head.fresh_segment);
    assert_eq!(recovered.indexes.len(), 1);
    log.begin_run(&recovered);
    log.messages(&[1]);
    drop(recovered);
    let recovered = log.recover().unwrap();
    assert_eq!(next(&recovered, 1), 3);
    assert!(
        !recovered.report.clean,
        "the witness of the run before does not speak for this one"
    );
}

#[test]
fn a_witness_of_a_run_that_was_followed_by_a_crash_is_no_clean_stop() {
    let mut log = LogBuilder::start(1);
    log.messages(&[1]);
    log.witness(true);
    drop(log.recover().unwrap());
    let again = log.recover().unwrap();
    assert!(!again.report.clean && again.head.fresh_segment);
    assert_eq!(next(&again, 1), 1);
}

#[test]
fn recovering_again_and_again_changes_nothing_but_the_epoch() {
    let mut log = LogBuilder::start(2);
    for _ in 0..20 {
        log.messages(&[1, 2]);
    }
    let (at, torn) = log.seal(&[What::Message(1), What::Message(2)]);
    log.write_at(at, &torn[..torn.len() / 2]);
    let first = log.recover().unwrap();
    assert!(first.report.tail.is_some());
    let (expected, epoch) = (summary(&first), first.head.epoch);
    drop(first);
    for again in 1..5 {
        let recovered = log.recover().unwrap();
        assert_eq!(summary(&recovered), expected);
        assert_eq!(recovered.head.epoch, epoch + again);
    }
}

#[test]
fn a_recovery_killed_at_any_operation_leaves_the_same_result_to_the_next() {
    let mut log = LogBuilder::start(2);
    for _ in 0..12 {
        log.messages(&[1, 2]);
    }
    log.checkpoint(1);
    log.messages(&[1]);
    let (at, torn) = log.seal(&[What::Message(1), What::Message(2)]);
    log.write_at(at.plus(4096), &torn[4096..]);
    let first = log.recover().unwrap();
    let expected = summary(&first);
    drop(first);
    for kill_after in 1..60u64 {
        let process = log.world.process();
        let disk = log.world.disk(process);
        let begin = log.world.operations();
        let work = log
            .world
            .spawn(process, async move { recover_on(&disk, &[]).await.is_ok() });
        while !work.is_ready() && log.world.operations() < begin + kill_after {
            log.world.step();
        }
        if kill_after % 2 == 0 {
            log.world.power_cut();
        } else {
            log.world.kill(process);
        }
        let recovered = log.recover().unwrap();
        assert_eq!(
            summary(&recovered),
            expected,
            "killed after {kill_after} operations"
        );
    }
}

#[test]
fn a_torn_tail_is_set_aside_for_good() {
    for kept in (0..8192).step_by(512) {
        let mut log = LogBuilder::start(2);
        log.messages(&[1, 2]);
        let before = log.next.clone();
        let end = log.head.end;
        let (at, torn) = log.seal(&[What::Message(1), What::Message(2), What::Message(2)]);
        log.write_at(at, &torn[..kept.min(torn.len() - 512)]);
        let recovered = log.recover().unwrap();
        assert_eq!(recovered.head.durable, end);
        assert_eq!(
            recovered.report.tail.is_some(),
            kept > 0,
            "{kept} bytes kept"
        );
        assert!(recovered.report.damage.is_empty() && !recovered.head.read_only);
        log.next = before;
        log.begin_run(&recovered);
        log.messages(&[1, 2]);
        drop(recovered);
        let again = log.recover().unwrap();
        assert_eq!(
            (next(&again, 1), next(&again, 2)),
            (2, 2),
            "{kept} bytes kept"
        );
        assert!(again.report.damage.is_empty());
    }
}

#[test]
fn blocks_behind_a_hole_are_void_and_stay_void() {
    let mut log = LogBuilder::start(2);
    log.messages(&[1, 2]);
    let end = log.head.end;
    let w = log.durable;
    let (_, _lost) = log.seal(&[What::Message(1)]);
    for _ in 0..3 {
        // Written, but W has not moved: nobody was told of them.
        log.durable = w;
        let (at, bytes) = log.seal(&[What::Message(2)]);
        log.write_at(at, &bytes);
    }
    let recovered = log.recover().unwrap();
    assert_eq!(recovered.head.durable, end);
    let tail = recovered.report.tail.unwrap();
    assert_eq!((tail.from, tail.blocks), (end, 3));
    assert!(tail.to_string().contains("since the last witness"));
    log.begin_run(&recovered);
    for _ in 0..40 {
        log.messages(&[1, 2]);
    }
    drop(recovered);
    // W has long passed the hole, and it is no damage: the run that followed cut it off.
    let again = log.recover().unwrap();
    assert!(again.report.damage.is_empty(), "{:?}", again.report.damage);
    assert_eq!((next(&again, 1), next(&again, 2)), (41, 41));
    assert_eq!(entries(&again).len(), 82);
}

#[test]
fn a_run_that_wrote_nothing_whole_is_passed_over() {
    let mut log = LogBuilder::start(1);
    log.messages(&[1]);
    let second = log.recover().unwrap();
    // Run 2 dies with its first block torn.
    log.begin_run(&second);
    let torn_at = log.blocks.last().unwrap().0;
    let mut torn = log.contents(torn_at);
    torn[600..700].fill(0x55);
    log.write_at(torn_at, &torn);
    drop(second);
    let third = log.recover().unwrap();
    assert_eq!(third.head.epoch, 3);
    assert_eq!(
        third.head.next.0,
        torn_at.0 + SEGMENT_BYTES,
        "torn bytes are not written over"
    );
    log.begin_run(&third);
    log.messages(&[1, 1]);
    drop(third);
    let fourth = log.recover().unwrap();
    assert_eq!(next(&fourth, 1), 3);
    assert!(fourth.report.damage.is_empty());
}

#[test]
fn an_untouched_segment_is_used_instead_of_another_one() {
    let mut log = LogBuilder::start(1);
    log.messages(&[1]);
    let stale = log.contents(LogOffset(0));
    for first_page in [vec![0; 4096], stale] {
        log.put(&folder().segment(SegmentNumber(1)), &first_page);
        let recovered = log.recover().unwrap();
        assert_eq!(recovered.head.next, LogOffset(SEGMENT_BYTES));
        assert!(recovered.report.tail.is_none());
    }
}

#[test]
fn stale_blocks_of_a_recycled_segment_are_never_replayed() {
    let mut log = LogBuilder::start(1);
    for _ in 0..30 {
        log.messages(&[1, 1]);
    }
    let old = log
        .world
        .contents(&folder().segment(SegmentNumber(0)))
        .unwrap();
    let recovered = log.recover().unwrap();
    let fresh = recovered.head.next;
    log.put(
        &folder().segment(SegmentNumber(fresh.0 / SEGMENT_BYTES)),
        &old,
    );
    log.begin_run(&recovered);
    log.messages(&[1]);
    drop(recovered);
    let again = log.recover().unwrap();
    assert_eq!(next(&again, 1), 61);
    assert_eq!(again.head.durable, log.head.end);
    assert!(again.report.tail.is_none());
}

#[test]
fn a_lost_manifest_slot_costs_nothing_because_the_log_tells_its_runs() {
    let mut log = LogBuilder::start(2);
    log.messages(&[1, 2]);
    let end = log.head.end;
    let (_, _) = log.seal(&[What::Message(1)]);
    log.durable = end;
    let (at, bytes) = log.seal(&[What::Message(2)]);
    log.write_at(at, &bytes);
    let second = log.recover().unwrap();
    let slot = second.manifest_sequence % 2;
    log.begin_run(&second);
    log.messages(&[1, 2]);
    drop(second);
    let expected = summary(&log.recover().unwrap());
    let manifest = folder().manifest();
    let mut file = log.world.contents(&manifest).unwrap();
    // Recovery has published once more, into the other slot: take that one away first.
    file[(1 - slot as usize) * 32768..][..32768].fill(0);
    let both = file.clone();
    log.put(&manifest, &both);
    let with_slot = summary(&log.recover().unwrap());
    assert_eq!(with_slot.entries, expected.entries);
    let third = log.recover().unwrap();
    assert!(third.report.damage.is_empty() && !third.head.read_only);
}

#[test]
fn control_records_make_the_state_and_a_checkpoint_shortens_the_way() {
    let mut scratch = Vec::new();
    let mut log = LogBuilder::start(2);
    let group = ControlRecord::GroupBind {
        group: GroupNumber(1),
        name: "group",
    };
    let topic = ControlRecord::TopicPut {
        topic: TopicId(7),
        name: "topic",
        payload: &[1, 2],
    };
    log.block(&[What::Control(topic), What::Control(group)]);
    for _ in 0..20 {
        log.messages(&[1, 2, 2]);
    }
    log.block(&[commit(1, 1, &mut scratch)]);
    let recovered = log.recover().unwrap();
    let whole = summary(&recovered);
    log.begin_run(&recovered);
    drop(recovered);
    assert_eq!(whole.state.offsets[0].offset, 1);
    assert_eq!(whole.state.topics[0].payload, [1, 2]);
    assert_eq!(whole.state.counters.next_queue.0, 3);
    assert_eq!(whole.state.counters.next_topic, TopicId(8));

    log.checkpoint(1);
    log.block(&[
        commit(2, 1_000_000, &mut scratch),
        What::Message(1),
        bind(9),
    ]);
    let forget = ControlRecord::QueueDelete {
        queue: crate::types::QueueNumber(1),
    };
    let recovered = log.recover().unwrap();
    assert_eq!(next(&recovered, 1), 21);
    let offsets: Vec<u64> = recovered
        .state
        .offsets
        .iter()
        .map(|row| row.offset)
        .collect();
    assert_eq!(offsets, [1, 40], "no offset beyond the queue's end");
    log.begin_run(&recovered);
    log.block(&[What::Control(forget)]);
    drop(recovered);
    let recovered = log.recover().unwrap();
    let queues: Vec<u32> = recovered
        .state
        .queues
        .iter()
        .map(|row| row.queue.0)
        .collect();
    assert_eq!(queues, [2, 9]);
    assert_eq!(recovered.state.offsets.len(), 1);
}

#[test]
fn indexed_segments_before_the_checkpoint_are_not_read_and_later_ones_only_for_their_state() {
    let mut log = LogBuilder::start(2);
    while log.head.end.0 < 2 * SEGMENT_BYTES {
        log.messages(&[1, 2]);
    }
    log.checkpoint(1);
    while log.head.end.0 < 5 * SEGMENT_BYTES - 8192 {
        log.messages(&[1, 2]);
    }
    let indexed: Vec<SegmentNumber> = (0..4).map(SegmentNumber).collect();
    let recovered = log.recover_with(indexed.clone()).unwrap();
    assert_eq!(
        (next(&recovered, 1), next(&recovered, 2)),
        (log.next[&1], log.next[&2])
    );
    assert!(recovered.report.scan_start.0 >= 2 * SEGMENT_BYTES);
    let made: Vec<u64> = recovered
        .indexes
        .iter()
        .map(|index| index.segment().0)
        .collect();
    assert_eq!(made, [4]);
    let slot = &recovered.indexes[0].slots()[0];
    assert_eq!(slot.previous, Some(SegmentNumber(3)));
    assert_eq!(slot.end(), log.next[&slot.queue.0]);
    drop(recovered);
    // One index in the middle is gone: its segment is read, those around it are not.
    let without: Vec<SegmentNumber> = indexed.into_iter().filter(|n| n.0 != 1).collect();
    let recovered = log.recover_with(without).unwrap();
    let made: Vec<u64> = recovered
        .indexes
        .iter()
        .map(|index| index.segment().0)
        .collect();
    assert_eq!(made, [1, 4]);
    assert_eq!(
        (next(&recovered, 1), next(&recovered, 2)),
        (log.next[&1], log.next[&2])
    );
    assert!(recovered.report.damage.is_empty());
}

#[test]
fn a_damaged_newer_state_file_gives_way_to_the_older_one() {
    let mut log = LogBuilder::start(2);
    log.messages(&[1, 2]);
    log.checkpoint(1);
    log.messages(&[1, 2]);
    log.checkpoint(2);
    log.messages(&[1, 2]);
    let expected = summary(&log.recover().unwrap());
    log.world.flip(&folder().state_file(2), 5000, 1).unwrap();
    let recovered = log.recover().unwrap();
    assert_eq!(summary(&recovered).state, expected.state);
    assert_eq!(recovered.manifest.states.len(), 1);
    assert_eq!(recovered.next_generation, 3);
    assert!(recovered.report.warnings[0].contains("chunk"));
}

#[test]
fn a_second_broker_waits_and_is_refused_while_the_first_lives() {
    let log = LogBuilder::start(1);
    let first = log.recover().unwrap();
    let before = log.world.now().monotonic_ns;
    assert!(matches!(log.recover(), Err(RecoveryError::Locked { .. })));
    let waited = log.world.now().monotonic_ns - before;
    assert!(waited >= Duration::from_secs(30).as_nanos() as u64);
    drop(first);
    assert!(log.recover().is_ok());
}

#[test]
fn everything_served_survives_the_next_power_cut() {
    for seed in 0..30 {
        let mut log = LogBuilder::start(2);
        log.messages(&[1, 2]);
        // Blocks in the device's cache, written by a process that was killed.
        let process = log.world.process();
        let disk = log.world.disk(process);
        let (at, bytes) = log.seal(&[What::Message(1)]);
        log.world
            .block_on(process, async move {
                let file = disk
                    .open(
                        &folder().segment(SegmentNumber(0)),
                        ringmq_ring::OpenMode::Existing,
                    )
                    .await?;
                let mut buffer = ringmq_ring::AlignedBuf::zeroed(bytes.len());
                buffer.copy_from_slice(&bytes);
                disk.write_at(&file, at.0, bytes::Bytes::from_owner(buffer))
                    .await
            })
            .unwrap();
        log.world.kill(process);
        log.world.set_faults(Faults::default());
        let accepted = summary(&log.recover().unwrap());
        for _ in 0..seed {
            log.world.choose_below(10);
        }
        log.world.power_cut();
        let again = summary(&log.recover().unwrap());
        assert_eq!(again.entries, accepted.entries, "seed {seed}");
    }
}

#[test]
fn opening_takes_no_more_than_the_lists_it_needs() {
    let mut log = LogBuilder::start(1);
    log.messages(&[1]);
    log.put(&folder().spare(3), &[0; 4096]);
    log.put(&folder().log().join("notes.txt"), b"mine");
    let process = log.world.process();
    let disk = log.world.disk(process);
    let files = log
        .world
        .block_on(process, async move { open_shard(&disk, &folder()).await })
        .unwrap();
    assert_eq!((files.spares, files.segments.len()), (vec![3], 1));
    assert_eq!(files.strangers, ["notes.txt"]);
}

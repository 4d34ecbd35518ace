use super::log_builder::{LogBuilder, SEGMENT_BYTES, What};
use super::summary::{Entries, entries, next, summary};
use crate::recovery::DamageKind;
use crate::types::{LogOffset, QueueNumber, SegmentNumber};

/// A log of several segments whose last block is followed by a witness: all of it is durable.
fn durable_log() -> (LogBuilder, Entries) {
    let mut log = LogBuilder::start(3);
    while log.head.end.0 < 2 * SEGMENT_BYTES + 20_000 {
        log.messages(&[1, 2, 3, 1]);
    }
    log.witness(false);
    let recovered = log.recover().unwrap();
    assert_eq!(recovered.head.durable, log.head.end);
    let all = entries(&recovered);
    (log, all)
}

#[test]
fn damage_below_w_is_named_and_spares_every_other_record() {
    let (log, all) = durable_log();
    for (number, (from, to)) in log.blocks.iter().enumerate().skip(3) {
        // In the first record, in the middle of the block, and in its padding or trailer.
        for at in [
            from.plus(300),
            LogOffset((from.0 + to.0) / 2),
            LogOffset(to.0 - 20),
        ] {
            log.flip(at);
            let recovered = log.recover().unwrap();
            let found = entries(&recovered);
            let missing: Vec<_> = all.keys().filter(|key| !found.contains_key(key)).collect();
            assert!(missing.len() <= 1, "block {number}: {missing:?} lost");
            assert!(found.iter().all(|(key, place)| all.get(key) == Some(place)));
            assert_eq!(recovered.report.damage.len(), 1);
            assert_eq!(recovered.report.damage[0].from, *from);
            assert_eq!(recovered.report.damage[0].to, *to);
            assert_eq!(recovered.head.durable, log.head.end);
            assert!((1..=3).all(|queue| next(&recovered, queue) == log.next[&queue]));
            assert!(recovered.report.tail.is_none() && !recovered.head.read_only);
            log.flip(at);
        }
    }
}

#[test]
fn every_byte_of_a_durable_block_may_flip_without_silent_loss() {
    let (log, all) = durable_log();
    let (from, to) = log.blocks[7];
    for at in (from.0..to.0).step_by(13) {
        log.flip(LogOffset(at));
        let recovered = log.recover().unwrap();
        assert_eq!(recovered.report.damage.len(), 1, "byte {at}");
        let found = entries(&recovered);
        assert!(found.len() + 1 >= all.len(), "byte {at}");
        let lost_one = matches!(
            recovered.report.damage[0].kind,
            DamageKind::Block { lost: 1, .. }
        );
        assert_eq!(found.len() < all.len(), lost_one, "byte {at}");
        assert_eq!(recovered.head.durable, log.head.end);
        log.flip(LogOffset(at));
    }
}

#[test]
fn damage_to_the_first_block_behind_a_segment_with_room_left_is_that_blocks_alone() {
    let mut log = LogBuilder::start(3);
    log.messages(&[1, 2, 3]);
    log.roll();
    log.messages(&[1, 2, 3]);
    log.messages(&[1, 2, 3]);
    log.witness(false);
    let (from, to) = log.blocks[log.blocks.len() - 2];
    assert_eq!(from.0, SEGMENT_BYTES);
    // In its header, in its first record, in its footer.
    for at in [from.plus(40), from.plus(300), LogOffset(to.0 - 20)] {
        log.flip(at);
        let recovered = log.recover().unwrap();
        let damage = &recovered.report.damage;
        assert_eq!(damage.len(), 1, "{damage:?}");
        assert_eq!((damage[0].from, damage[0].to), (from, to));
        assert!(!recovered.head.read_only);
        assert!((1..=3).all(|queue| next(&recovered, queue) == log.next[&queue]));
        log.flip(at);
    }
}

#[test]
fn the_same_damage_above_w_ends_the_log() {
    let mut log = LogBuilder::start(2);
    for _ in 0..5 {
        log.messages(&[1, 2]);
    }
    let (from, _) = *log.blocks.last().unwrap();
    log.flip(from.plus(300));
    let recovered = log.recover().unwrap();
    assert_eq!(recovered.head.durable, from);
    assert!(recovered.report.damage.is_empty() && recovered.report.tail.is_some());
    drop(recovered);
    // A witness that has seen the block makes it damage.
    log.witness(false);
    let mut log = log;
    log.epoch = 1;
    let (again, _) = durable_log();
    let (from, to) = *again.blocks.last().unwrap();
    again.flip(from.plus(300));
    let recovered = again.recover().unwrap();
    assert_eq!(recovered.head.durable, to);
    assert_eq!(recovered.report.damage.len(), 1);
}

#[test]
fn a_whole_block_wiped_out_below_w_makes_the_shard_read_only() {
    let (log, all) = durable_log();
    for number in [5, log.blocks.len() - 1] {
        let (from, to) = log.blocks[number];
        let bytes = log.contents(from)[..(to.0 - from.0) as usize].to_vec();
        log.write_at(from, &vec![0; bytes.len()]);
        let recovered = log.recover().unwrap();
        assert!(recovered.head.read_only, "block {number}");
        let damage = recovered.report.damage[0].clone();
        assert_eq!(
            (damage.from, damage.to, damage.kind),
            (from, to, DamageKind::Unreadable)
        );
        assert_eq!(entries(&recovered).len(), all.len() - 4);
        assert_eq!(recovered.head.durable, log.head.end);
        drop(recovered);
        assert!(log.recover().unwrap().head.read_only, "and stays so");
        log.write_at(from, &bytes);
        // The runs that recovery began have nothing in them and change nothing.
        assert_eq!(entries(&log.recover().unwrap()), all);
    }
}

#[test]
fn a_lost_header_or_footer_alone_loses_no_queue_offset() {
    let (log, all) = durable_log();
    let (from, to) = log.blocks[6];
    let bytes = log.contents(from)[..(to.0 - from.0) as usize].to_vec();
    let mut headless = bytes.clone();
    headless[..128].fill(0);
    log.write_at(from, &headless);
    let recovered = log.recover().unwrap();
    assert_eq!(entries(&recovered), all);
    assert!(!recovered.head.read_only);
    drop(recovered);
    let mut tailless = bytes;
    let len = tailless.len();
    tailless[len - 512..].fill(0);
    log.write_at(from, &tailless);
    let recovered = log.recover().unwrap();
    // Without its list nobody knows whose the records were: the operator decides.
    assert!(recovered.head.read_only);
    assert!((1..=3).all(|queue| next(&recovered, queue) == log.next[&queue]));
    assert_eq!(entries(&recovered).len(), all.len() - 4);
}

#[test]
fn damage_over_a_roll_and_over_a_change_of_runs_is_bounded_by_them() {
    let mut log = LogBuilder::start(2);
    while log.head.end.0 < SEGMENT_BYTES + 8192 {
        log.messages(&[1, 2]);
    }
    let recovered = log.recover().unwrap();
    log.begin_run(&recovered);
    drop(recovered);
    for _ in 0..5 {
        log.messages(&[1, 2]);
    }
    log.witness(false);
    let whole = summary(&log.recover().unwrap());
    // The last block of segment 0, the last block of run 1, and the first block of run 2.
    let in_first = log.blocks.iter().filter(|(from, _)| from.0 < SEGMENT_BYTES);
    let last_of_segment = in_first.clone().next_back().unwrap();
    let run_two = log
        .blocks
        .iter()
        .position(|(from, _)| from.0 >= 2 * SEGMENT_BYTES)
        .unwrap();
    for (from, to) in [
        *last_of_segment,
        log.blocks[run_two - 1],
        log.blocks[run_two],
    ] {
        let bytes = log.contents(from)[..(to.0 - from.0) as usize].to_vec();
        log.write_at(from, &vec![0x55; bytes.len()]);
        let recovered = log.recover().unwrap();
        assert_eq!(recovered.report.damage.len(), 1, "block at {from:?}");
        assert_eq!(recovered.report.damage[0].from, from);
        assert_eq!(recovered.head.durable, log.head.end);
        assert_eq!(next(&recovered, 1), log.next[&1]);
        drop(recovered);
        log.write_at(from, &bytes);
    }
    let again = summary(&log.recover().unwrap());
    assert_eq!((again.entries, again.state), (whole.entries, whole.state));
}

#[test]
fn lost_control_records_make_the_shard_read_only_unless_a_checkpoint_has_them() {
    let mut log = LogBuilder::start(2);
    log.messages(&[1]);
    log.witness(false);
    let bind_block = log.blocks[1].0;
    log.flip(bind_block.plus(130));
    assert!(log.recover().unwrap().head.read_only);
    log.checkpoint(1);
    assert!(!log.recover().unwrap().head.read_only);
}

#[test]
fn lost_records_at_a_segments_end_keep_their_offsets_and_the_way_to_older_ones() {
    for counted in 0..=2 {
        let mut log = LogBuilder::start(2);
        log.messages(&[1, 1, 2]);
        log.roll();
        log.messages(&[2]);
        let mut lost = Vec::new();
        for number in 0..2 {
            if number == counted {
                log.checkpoint(1);
            }
            log.messages(&[1]);
            lost.push(log.blocks[log.blocks.len() - 1].0);
        }
        if counted == 2 {
            log.checkpoint(1);
        }
        log.witness(true);
        for from in lost {
            log.flip(from.plus(300));
        }
        let recovered = log.recover().unwrap();
        assert_eq!(recovered.report.damage.len(), 2, "{counted} counted");
        assert_eq!(next(&recovered, 1), 4, "{counted} counted");
        let active = recovered.indexes.last().unwrap();
        let slot = active.slot_of(QueueNumber(1)).expect("a slot of holes");
        let slot = &active.slots()[slot as usize];
        let found = (slot.first, slot.end(), slot.previous);
        assert_eq!(found, (2, 4, Some(SegmentNumber(0))), "{counted} counted");
    }
}

#[test]
fn arbitrary_mutations_never_panic_and_never_bring_a_wrong_record() {
    let (log, all) = durable_log();
    let originals: Vec<Vec<u8>> = (0..3)
        .map(|n| log.contents(LogOffset(n * SEGMENT_BYTES)))
        .collect();
    let mut random = 0x5DEE_CE66u64;
    let mut roll = |bound: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    for round in 0..400 {
        let segment = roll(3);
        let mut bytes = originals[segment as usize].clone();
        for _ in 0..=roll(4) {
            let from = roll(bytes.len() as u64) as usize;
            let len = [1, 16, 512, 4096, 20_000][roll(5) as usize];
            let to = (from + len).min(bytes.len());
            match roll(3) {
                0 => bytes[from..to].fill(0),
                1 => bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x5A),
                _ => {
                    let source = roll((bytes.len() - (to - from)) as u64 + 1) as usize;
                    bytes.copy_within(source..source + (to - from), from);
                }
            }
        }
        log.write_at(LogOffset(segment * SEGMENT_BYTES), &bytes);
        let first = log.recover().map(|recovered| summary(&recovered));
        let second = log.recover().map(|recovered| summary(&recovered));
        if let (Ok(first), Ok(second)) = (&first, &second) {
            assert_eq!(first, second, "round {round}");
            let ours = |key, place| all.get(key) == Some(place);
            assert!(
                first.entries.iter().all(|(key, place)| ours(key, place)),
                "round {round}"
            );
        }
        log.write_at(
            LogOffset(segment * SEGMENT_BYTES),
            &originals[segment as usize],
        );
    }
}

#[test]
fn several_blocks_in_flight_are_accepted_up_to_the_first_hole() {
    for hole in 0..4usize {
        let mut log = LogBuilder::start(1);
        log.messages(&[1]);
        let w = log.durable;
        for number in 0..4 {
            log.durable = w;
            let (at, bytes) = log.seal(&[What::Message(1)]);
            if number != hole {
                log.write_at(at, &bytes);
            }
        }
        let recovered = log.recover().unwrap();
        assert_eq!(next(&recovered, 1), 1 + hole as u64);
        assert_eq!(
            recovered.report.tail.map_or(0, |tail| tail.blocks),
            3 - hole as u64
        );
    }
}

//! The control plane's own operations fail: while it takes over what a former run has prepared, and on a
//! file that the shard writes to already.

use ringmq_engine::{Config, Refused};
use ringmq_ring::sim::{Fault, Faults, Step};

use super::desk::{Desk, small};

fn two_ahead(desk: &mut Desk) {
    desk.until("two segments ahead", |desk| {
        (desk.shard().status().segments_ahead == 2).then_some(())
    });
}

/// Segments 1 and 2 are prepared, and taking over segment 1 fails; the end comes at the `at`-th operation
/// from then on. `false` when nothing was left to happen by then.
fn ends_while_a_take_over_fails(at: u64, end: Fault) -> bool {
    let mut desk = Desk::new(at, small());
    let queue = desk.queue(0);
    desk.append(queue, 7, 100);
    two_ahead(&mut desk);
    let mut desk = desk.restart(|_| {});
    desk.world.set_faults(Faults {
        flush_error: 1_000_000,
        paths: vec![format!("{:016x}.log", 1)],
        planned: [(desk.world.operations() + at, end)].into(),
        ..Faults::default()
    });
    let mut halted = false;
    for _ in 0..3_000 {
        match desk.world.step() {
            Step::Halted(_) => {
                halted = true;
                break;
            }
            Step::Turn(io) if io == desk.thread.number() => {
                desk.thread.turn();
            }
            _ => {}
        }
    }
    let mut desk = desk.restart(|world| {
        if end == Fault::PowerCut {
            world.power_cut();
        }
        world.set_faults(Faults::default());
    });
    let queue = desk.queue(0);
    assert_eq!(desk.read_all(queue, 0), [(0, 7)], "operation {at}, {end:?}");
    desk.append(queue, 8, 100);
    halted
}

#[test]
fn a_prepared_segment_that_cannot_be_taken_over_never_leaves_a_gap_in_the_log() {
    for end in [Fault::Kill, Fault::PowerCut] {
        for at in (1..80).step_by(3) {
            if !ends_while_a_take_over_fails(at, end) {
                break;
            }
        }
    }
}

#[test]
fn a_failed_flush_of_the_control_plane_on_the_file_that_takes_blocks_stops_the_shard() {
    let config = Config {
        segment_bytes: 16 << 20,
        ..small()
    };
    let mut desk = Desk::new(21, config);
    desk.until("the first extent", |desk| {
        desk.shard().is_ready().then_some(())
    });
    let queue = desk.queue(0);
    desk.append(queue, 1, 100);
    desk.world.set_faults(Faults {
        flush_error: 1_000_000,
        paths: vec![format!("{:016x}.log", 0)],
        ..Faults::default()
    });
    desk.until("the end of trust", |desk| {
        desk.thread.service.pace.failed.then_some(())
    });
    assert_eq!(desk.begin_append(queue, 2, 10).err(), Some(Refused::Failed));
    assert!(desk.world.retried().is_empty());
    let mut desk = desk.restart(|world| {
        world.set_faults(Faults::default());
        world.power_cut();
    });
    assert_eq!(desk.read_all(queue, 0), [(0, 1)]);
}

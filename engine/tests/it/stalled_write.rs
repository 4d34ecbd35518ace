//! A write takes long: the shard neither spins nor loses its place.

use ringmq_ring::sim::{Fault, Faults, Latency, Step};

use super::desk::{Desk, small};

#[test]
fn a_shard_does_not_spin_when_its_open_block_is_due_and_the_write_before_it_stalls() {
    let mut desk = Desk::new(31, small());
    let queue = desk.queue(0);
    desk.append(queue, 0, 100);
    desk.pass(3_000);
    desk.world.set_faults(Faults {
        planned: [(desk.world.operations() + 1, Fault::Stall)].into(),
        latency: Latency {
            stall_ns: (9_000_000_000, 9_000_000_000),
            ..Latency::default()
        },
        ..Faults::default()
    });
    let begun_ns = desk.world.now().monotonic_ns;
    desk.begin_append(queue, 1, 100).expect("room");
    desk.nudge();
    // Goes to the log after a second, in a block that is due after another one.
    desk.shard().commit_offset("group", queue, 1);
    desk.nudge();
    let mut turns = 0;
    while desk.world.now().monotonic_ns < begun_ns + 8_000_000_000 {
        match desk.world.step() {
            Step::Turn(_) => {
                desk.thread.turn();
                turns += 1;
            }
            Step::Halted(halt) => panic!("{halt:?}"),
            _ => {}
        }
    }
    assert_eq!(
        desk.shard().offsets(queue).max,
        1,
        "the write has not stalled"
    );
    assert!(turns < 500, "{turns} turns in eight seconds without work");
    desk.pass(4_000);
    assert_eq!(desk.shard().offsets(queue).max, 2);
}

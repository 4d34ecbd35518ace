//! Store times never go back, whatever the clock does between two runs.

use std::path::PathBuf;

use ringmq_engine::{Boundary, Config};
use ringmq_ring::Wake;
use ringmq_ring::sim::{Faults, Latency, World};

use super::desk::{Desk, small};

fn stop(desk: &mut Desk) {
    desk.shard().stop();
    ringmq_ring::Io::waker(&desk.thread.io).wake();
    desk.until("the stop", |desk| {
        desk.thread.service.pace.stopped.then_some(())
    });
}

#[test]
fn after_a_clean_stop_and_a_clock_that_went_back_store_times_go_on() {
    // Ends in the middle of a segment, at its end, and right behind a roll.
    for count in (30..60).step_by(3) {
        let mut desk = Desk::new(count, small());
        let queue = desk.queue(0);
        let mut newest = 0;
        for mark in 0..count {
            newest = desk.append(queue, mark, 20_000).store_time_ms;
        }
        for back_hours in 1..3 {
            stop(&mut desk);
            desk = desk.restart(|world| world.jump_wall_ms(-back_hours * 3_600_000));
            let queue = desk.queue(0);
            let next = desk.append(queue, count, 20_000);
            assert!(next.store_time_ms >= newest, "after {count} records");
            newest = next.store_time_ms;
            let found = desk.offset_by_time(queue, newest + 1, Boundary::Lower);
            assert_eq!(found, next.queue_offset + 1, "after {count} records");
        }
    }
}

#[test]
fn a_run_that_wrote_an_index_and_no_block_does_not_make_the_next_one_forget_the_time() {
    let config = Config {
        checkpoint_bytes: 64 << 10,
        ..small()
    };
    let mut desk = Desk::new(71, config);
    let queue = desk.queue(0);
    let (mut newest, mut mark) = (0, 0);
    // Until a state file covers everything: it is made within that second.
    while desk.shard().status().checkpoints == 0 {
        newest = desk.append(queue, mark, 20_000).store_time_ms;
        mark += 1;
        desk.pass(1_000);
    }
    let mut desk = desk.restart(World::power_cut);
    // The next segment, and with it the run's first block, takes longer than the run lives.
    desk.world.set_faults(Faults {
        stall: 1_000_000,
        paths: vec![format!("/log/{:016x}.log", 1)],
        latency: Latency {
            stall_ns: (5_000_000_000, 5_000_000_000),
            ..Latency::default()
        },
        ..Faults::default()
    });
    let index = PathBuf::from(format!("data/shard-00/index/{:016x}.idx", 0));
    desk.until("the index", |desk| {
        desk.world.contents(&index).is_ok().then_some(())
    });
    desk.pass(100);
    let mut desk = desk.restart(|world| {
        world.power_cut();
        world.set_faults(Faults::default());
        world.jump_wall_ms(-3_600_000);
    });
    let next = desk.append(queue, mark, 100);
    assert_eq!(next.queue_offset, mark);
    assert!(
        next.store_time_ms >= newest,
        "{} ms",
        next.store_time_ms - newest
    );
}

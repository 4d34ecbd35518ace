//! Store times never go back, whatever the clock does between two runs.

use ringmq_engine::Boundary;
use ringmq_ring::Wake;

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

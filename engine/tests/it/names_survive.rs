//! Names given by a process that was killed before it made them durable.

use ringmq_engine::control::open::{StoreChance, open_store};
use ringmq_ring::sim::{Fault, Faults, Step, World};

use super::desk::{Desk, small};

/// A world in which the first opening of a store is killed at its `operation`-th operation; `false`
/// when it was over before.
fn killed_at(operation: u64) -> (World, bool) {
    let faults = Faults {
        planned: [(operation, Fault::Kill)].into(),
        ..Faults::default()
    };
    let world = World::new(operation, faults);
    let process = world.process();
    let (disk, config) = (world.disk(process), small());
    let chance = StoreChance {
        store_id: [9; 16],
        salt: [8; 16],
        table_seed: 7,
        shards: 1,
        wall_ms: 0,
    };
    let opening = world.spawn(process, async move {
        open_store(&disk, &config, chance).await.map(drop)
    });
    while !opening.is_ready() {
        if let Step::Halted(_) = world.step() {
            world.kill(process);
            return (world, true);
        }
    }
    world.kill(process);
    (world, false)
}

#[test]
fn a_store_whose_maker_was_killed_at_any_operation_keeps_what_it_acknowledges_next() {
    for operation in 1.. {
        let (world, killed) = killed_at(operation);
        world.set_faults(Faults::default());
        let mut desk = Desk::open(world, small());
        let queue = desk.queue(0);
        desk.append(queue, 5, 100);
        let mut desk = desk.restart(World::power_cut);
        let queue = desk.queue(0);
        assert_eq!(desk.read_all(queue, 0).len(), 1, "operation {operation}");
        if !killed {
            return;
        }
    }
}

#[test]
fn a_first_life_killed_at_any_operation_leaves_what_the_next_one_acknowledges() {
    for operation in 20..110 {
        let mut desk = Desk::new(operation, small());
        desk.world.set_faults(Faults {
            planned: [(operation, Fault::Kill)].into(),
            ..Faults::default()
        });
        for _ in 0..3000 {
            match desk.world.step() {
                Step::Halted(_) => break,
                _ => desk.nudge(),
            }
        }
        let mut desk = desk.restart(|world| world.set_faults(Faults::default()));
        let queue = desk.queue(0);
        for mark in 0..5 {
            desk.append(queue, mark, 100);
        }
        let mut desk = desk.restart(World::power_cut);
        let queue = desk.queue(0);
        assert_eq!(desk.read_all(queue, 0).len(), 5, "operation {operation}");
    }
}

#[test]
fn no_new_store_is_made_over_the_log_of_one_whose_store_file_is_gone() {
    let mut desk = Desk::new(1, small());
    let queue = desk.queue(0);
    desk.append(queue, 1, 10);
    let world = desk.world.clone();
    world.kill(desk.process);
    let process = world.process();
    let (disk, config) = (world.disk(process), small());
    let chance = StoreChance {
        store_id: [1; 16],
        salt: [1; 16],
        table_seed: 1,
        shards: 1,
        wall_ms: 0,
    };
    let refused = world.block_on(process, async move {
        use ringmq_ring::Disk;
        disk.remove(std::path::Path::new("data/store")).await?;
        let opened = open_store(&disk, &config, chance).await.map(drop);
        Ok::<_, std::io::Error>(opened)
    });
    let text = refused.expect("removed").expect_err("refused").to_string();
    assert!(text.contains("store file"), "{text}");
}

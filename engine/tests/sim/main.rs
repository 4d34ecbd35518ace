//! The engine in the simulator: random stories of stores that are loaded, killed, cut from power and
//! spoiled, each from one seed, each checked by an oracle.
//!
//! * `SIM_FIRST=17 SIM_SEEDS=1 cargo test --release -p ringmq-engine --test sim seeds -- --nocapture`
//!   tells seed 17 again; `SIM_TRACE=200` prints the last 200 lines of its story.
//! * `RUSTFLAGS="--cfg planted" SIM_PLANTED=3 cargo test .. --test sim planted` runs with planted
//!   defect 3 until a seed catches it.
#![forbid(unsafe_code)]

mod life;
mod message;
mod oracle;
mod plan;
mod story;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringmq_ring::planted;
use ringmq_ring::sim::{Fault, Faults, World};

use plan::Plan;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tells one story; the oracle's complaint when there is one.
fn tell(seed: u64) -> Result<(oracle::Stats, u64), String> {
    let again = format!(
        "SIM_FIRST={seed} SIM_SEEDS=1 cargo test --release -p ringmq-engine --test sim seeds"
    );
    tell_plan(&Plan::new(seed), &again).map(|(stats, hash, _)| (stats, hash))
}

/// Tells the story of a plan; its numbers, its hash and its count of operations.
fn tell_plan(plan: &Plan, again: &str) -> Result<(oracle::Stats, u64, u64), String> {
    let seed = plan.seed;
    let world = World::new(seed, Faults::default());
    if let Some(lines) = setting("SIM_TRACE") {
        world.keep_trace(lines as usize);
    }
    let told = catch_unwind(AssertUnwindSafe(|| story::run(plan, &world)));
    let complaint = match told {
        Ok(stats) => return Ok((stats, world.trace_hash(), world.operations())),
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a text".into()),
    };
    for line in world.trace() {
        eprintln!("{line}");
    }
    Err(format!(
        "{complaint}\n  {:?}, {} shards, {:?}, blocks {} x {}, checkpoint {}; replay: {again} -- --nocapture",
        plan.theme,
        plan.shards,
        plan.config.durability,
        plan.config.blocks_in_flight,
        plan.config.block_bytes,
        plan.config.checkpoint_bytes,
    ))
}

/// Numbers over all seeds, to see that they were worth it.
fn add(sum: &mut oracle::Stats, one: &oracle::Stats) {
    sum.appended += one.appended;
    sum.acked += one.acked;
    sum.refused += one.refused;
    sum.failed += one.failed;
    sum.pulled += one.pulled;
    sum.vanished += one.vanished;
    sum.damaged += one.damaged;
    sum.lives += one.lives;
    sum.kills += one.kills;
    sum.cuts += one.cuts;
    sum.stops += one.stops;
    sum.fail_stops += one.fail_stops;
    sum.open_errors += one.open_errors;
    sum.faults += one.faults;
}

#[test]
fn no_invariant_breaks_in_any_of_the_seeds() {
    let first = setting("SIM_FIRST").unwrap_or(1);
    let count = setting("SIM_SEEDS").unwrap_or(10);
    let mut sum = oracle::Stats::default();
    let mut failed = Vec::new();
    for seed in first..first + count {
        match tell(seed) {
            Ok((stats, _)) => add(&mut sum, &stats),
            Err(complaint) => {
                eprintln!("seed {seed} FAILED: {complaint}");
                failed.push(seed);
            }
        }
        if failed.len() >= 20 {
            break;
        }
    }
    println!("{count} seeds from {first}: {sum:?}");
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
}

/// Each of them has found a defect, of the engine or of the oracle.
const ONCE_FAILED: [u64; 8] = [93, 2285, 30189, 40108, 40235, 40449, 40459, 40463];

#[test]
fn seeds_that_once_broke_an_invariant_break_none_any_more() {
    for seed in ONCE_FAILED {
        if let Err(complaint) = tell(seed) {
            panic!("seed {seed}: {complaint}");
        }
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let first = setting("SIM_FIRST").unwrap_or(1);
    for seed in first..first + 4 {
        let hash = |told: Result<(oracle::Stats, u64), String>| told.map(|(_, hash)| hash);
        assert_eq!(hash(tell(seed)), hash(tell(seed)), "seed {seed}");
    }
}

#[test]
fn the_planted_defect_is_caught() {
    let Some(id) = setting("SIM_PLANTED") else {
        return;
    };
    assert!(
        planted::choose(id as u32),
        "there is no defect {id}, or the build is without --cfg planted"
    );
    let first = setting("SIM_FIRST").unwrap_or(1);
    let count = setting("SIM_SEEDS").unwrap_or(2000);
    for seed in first..first + count {
        if let Err(complaint) = tell(seed) {
            println!("caught after {} seeds: {complaint}", seed - first + 1);
            return;
        }
    }
    panic!("planted defect {id} was not caught in {count} seeds");
}

/// Every way in which one operation can go wrong.
const SWEEP: [Fault; 10] = [
    Fault::Error,
    Fault::ErrorForGood,
    Fault::NoSpace,
    Fault::Short,
    Fault::Torn,
    Fault::Lost,
    Fault::Misdirected,
    Fault::Stall,
    Fault::PowerCut,
    Fault::Kill,
];

/// `SIM_SWEEP` runs, spread evenly over all operations of one story and all faults.
#[test]
fn one_fault_at_any_one_operation_breaks_no_invariant() {
    let runs = setting("SIM_SWEEP").unwrap_or(10);
    let (_, _, operations) =
        tell_plan(&Plan::canonical(None), "SIM_SWEEP").unwrap_or_else(|what| panic!("{what}"));
    let all = operations * SWEEP.len() as u64;
    let mut failed = 0;
    for run in 0..runs.min(all) {
        let place = run * all / runs.min(all);
        let at = 1 + place / SWEEP.len() as u64;
        let fault = SWEEP[(place % SWEEP.len() as u64) as usize];
        let again = format!("SIM_SWEEP={runs} (operation {at}, {fault:?})");
        if let Err(complaint) = tell_plan(&Plan::canonical(Some((at, fault))), &again) {
            eprintln!("operation {at}, {fault:?} FAILED: {complaint}");
            failed += 1;
        }
    }
    assert_eq!(failed, 0, "of {runs} runs");
}

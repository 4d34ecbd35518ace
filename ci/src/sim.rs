//! The engine in the simulator: the harness is the test binary `sim` of the engine crate, built
//! once in release; its seeds are split over the cores.

use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::process::{command, run as run_process};
use crate::root;

/// The planted defects the harness must catch, by their names in `engine/ring/src/planted.rs`.
const PLANTED: &[&str] = &[
    "ack-before-flush",
    "record-checksum-without-properties",
    "no-epoch-check",
    "epoch-not-durable-before-first-append",
    "blocks-above-watermark-served-without-flush",
    "any-bad-checksum-ends-the-log",
    "checkpoint-published-before-durable",
    "failed-write-retried",
    "short-write-ignored",
    "rebuild-one-record-late",
];

/// How many seeds, and from which.
#[derive(Args)]
pub struct Options {
    /// Seeds to run.
    #[arg(long, default_value_t = 2000)]
    pub seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    pub first: u64,
}

impl Options {
    /// What every change must pass.
    pub fn pipeline() -> Self {
        Self {
            seeds: 2000,
            first: 1,
        }
    }

    /// What runs at night.
    pub fn nightly() -> Self {
        Self {
            seeds: 100_000,
            first: 1_000_000,
        }
    }
}

/// Which planted defects, and within how many seeds each must be caught.
#[derive(Args)]
pub struct PlantedOptions {
    /// Only this one.
    #[arg(long)]
    pub only: Option<String>,
    /// Seeds that each may take.
    #[arg(long, default_value_t = 2000)]
    pub seeds: u64,
}

impl PlantedOptions {
    /// What every change must pass.
    pub fn pipeline() -> Self {
        Self {
            only: None,
            seeds: 2000,
        }
    }
}

/// Runs the seeds, one process a core, each with its share.
pub fn run(options: &Options) -> Outcome {
    let harness = build(&[], "target")?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let share = options.seeds.div_ceil(workers);
    let running: Vec<_> = (0..workers)
        .map(|worker| {
            let first = options.first + worker * share;
            let count = share.min(options.seeds.saturating_sub(worker * share));
            let mut process = Command::new(&harness);
            process
                .args(["--nocapture", "seeds"])
                .env("SIM_FIRST", first.to_string())
                .env("SIM_SEEDS", count.to_string())
                .current_dir(root::repository());
            std::thread::spawn(move || run_process(process, Duration::from_secs(12 * 3600)))
        })
        .collect();
    for worker in running {
        worker
            .join()
            .map_err(|_| Failure::new("a worker of the check panicked"))??;
    }
    Ok(format!(
        "{} seeds from {}, none failed",
        options.seeds, options.first
    ))
}

/// Runs each planted defect until a seed catches it.
pub fn planted(options: &PlantedOptions) -> Outcome {
    let harness = build(&[("RUSTFLAGS", "--cfg planted")], "planted")?;
    let mut caught = Vec::new();
    let mut missed = Vec::new();
    for (index, name) in PLANTED.iter().enumerate() {
        if options.only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let mut process = Command::new(&harness);
        process
            .args(["--nocapture", "planted"])
            .env("SIM_PLANTED", (index + 1).to_string())
            .env("SIM_FIRST", "1")
            .env("SIM_SEEDS", options.seeds.to_string())
            .current_dir(root::repository());
        match run_process(process, Duration::from_secs(600)) {
            Ok(text) => caught.push(seeds_needed(&text)),
            Err(failure) => missed.push(format!("{name} was not caught: {failure}")),
        }
    }
    if !missed.is_empty() {
        return Err(Failure::new(missed.join("\n")));
    }
    caught.sort_unstable();
    let median = caught.get(caught.len() / 2).copied().unwrap_or_default();
    Ok(format!(
        "{} of {} caught, after {median} seeds in the median",
        caught.len(),
        caught.len()
    ))
}

/// The harness prints `caught after N seeds`.
fn seeds_needed(text: &str) -> u64 {
    text.split("caught after ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|count| count.parse().ok())
        .unwrap_or_default()
}

/// Builds the harness and says where it is.
fn build(environment: &[(&str, &str)], folder: &str) -> Result<std::path::PathBuf, Failure> {
    let mut cargo = command(
        "cargo",
        &[
            "test",
            "--profile",
            "sim",
            "-p",
            "ringmq-engine",
            "--test",
            "sim",
            "--no-run",
            "--message-format=json",
        ],
    );
    for (name, value) in environment {
        cargo.env(name, value);
    }
    if folder != "target" {
        cargo.env("CARGO_TARGET_DIR", root::target().join(folder));
    }
    let output = run_process(cargo, Duration::from_secs(900))?;
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "sim")
        .find_map(|message| message["executable"].as_str().map(Into::into))
        .ok_or_else(|| Failure::new("cargo named no executable for the test `sim`"))
}

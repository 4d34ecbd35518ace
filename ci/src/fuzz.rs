//! The fuzz targets (cargo-fuzz, libFuzzer), each for a bounded while from its corpus.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::process::{command, exists, run as run_process};
use crate::root;

/// Folders that hold a `fuzz/` workspace.
const PLACES: &[&str] = &["client/protocol", "engine", "server"];

/// How long each target runs.
#[derive(Args)]
pub struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Only targets whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
}

impl Options {
    /// What every change must pass.
    pub fn pipeline() -> Self {
        Self {
            seconds: 8,
            only: None,
        }
    }

    /// What runs at night.
    pub fn nightly() -> Self {
        Self {
            seconds: 300,
            only: None,
        }
    }
}

/// Runs every target; a crash, a leak of memory or a slow input is a failure.
pub fn run(options: &Options) -> Outcome {
    ensure_tools()?;
    // One folder for all, so that libFuzzer and what the targets share is compiled once.
    let built = root::repository().join("target/fuzz").display().to_string();
    let mut names = Vec::new();
    for place in PLACES {
        for target in targets(&root::repository().join(place).join("fuzz"))? {
            if options
                .only
                .as_ref()
                .is_some_and(|only| !target.contains(only.as_str()))
            {
                continue;
            }
            let limit = format!("-max_total_time={}", options.seconds);
            let arguments = [
                "+nightly",
                "fuzz",
                "run",
                "--sanitizer",
                "address",
                "--target-dir",
                &built,
                &target,
                "--",
                &limit,
                "-rss_limit_mb=1024",
                "-timeout=5",
            ];
            let mut cargo = command("cargo", &arguments);
            cargo.current_dir(root::repository().join(place));
            run_process(cargo, Duration::from_secs(600 + options.seconds))?;
            names.push(target);
        }
    }
    Ok(format!(
        "{} targets, {} s each: {}",
        names.len(),
        options.seconds,
        names.join(", ")
    ))
}

/// The targets of one fuzz workspace: its files.
fn targets(fuzz: &Path) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = std::fs::read_dir(fuzz.join("fuzz_targets"))?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

fn ensure_tools() -> Result<(), Failure> {
    if !exists("cargo", &["+nightly", "--version"]) {
        return Err(Failure::new(
            "fuzzing needs a nightly toolchain: rustup toolchain install nightly",
        ));
    }
    if !exists("cargo", &["fuzz", "--version"]) {
        let arguments = ["install", "cargo-fuzz", "--locked", "--debug", "--quiet"];
        run_process(command("cargo", &arguments), Duration::from_secs(600))?;
    }
    Ok(())
}

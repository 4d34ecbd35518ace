//! The two pipelines: tables of stages with a time budget each.

use std::time::Instant;

use crate::failure::{Failure, Outcome};
use crate::process::say;
use crate::{clients, crash, fuzz, java, lint, metrics, mixed, mqadmin, musl, sim, tidy};

/// One line of a pipeline.
pub struct Stage {
    /// What it is called on the command line and in the report.
    name: &'static str,
    /// How long it may take on two cores, in seconds: longer is reported, twice as long fails. (What a
    /// stage runs is bounded for itself.)
    budget_s: u64,
    run: fn() -> Outcome,
}

/// What every change must pass (after `cargo test --workspace`).
pub const ALL: &[Stage] = &[
    Stage {
        name: "fmt",
        budget_s: 20,
        run: lint::fmt,
    },
    Stage {
        name: "tidy",
        budget_s: 20,
        run: tidy::run,
    },
    Stage {
        name: "clippy",
        budget_s: 150,
        run: lint::clippy,
    },
    Stage {
        name: "docs",
        budget_s: 90,
        run: lint::docs,
    },
    Stage {
        name: "deny",
        budget_s: 120,
        run: lint::deny,
    },
    Stage {
        name: "static",
        budget_s: 200,
        run: musl::run_all,
    },
    Stage {
        name: "sim",
        budget_s: 240,
        run: || sim::run(&sim::Options::pipeline()),
    },
    Stage {
        name: "planted",
        budget_s: 240,
        run: || sim::planted(&sim::PlantedOptions::pipeline()),
    },
    Stage {
        name: "crash",
        budget_s: 180,
        run: || crash::run(&crash::Options::pipeline()),
    },
    Stage {
        name: "java",
        budget_s: 300,
        run: || java::run(&java::Options::pipeline()),
    },
    Stage {
        name: "clients",
        budget_s: 120,
        run: || clients::run(&clients::Options::pipeline()),
    },
    Stage {
        name: "mixed",
        budget_s: 150,
        run: || mixed::run(&mixed::Options::pipeline()),
    },
    Stage {
        name: "metrics",
        budget_s: 60,
        run: metrics::run,
    },
    Stage {
        name: "mqadmin",
        budget_s: 200,
        run: || mqadmin::run(&mqadmin::Options::pipeline()),
    },
    Stage {
        name: "fuzz",
        budget_s: 480,
        run: || fuzz::run(&fuzz::Options::pipeline()),
    },
];

/// What takes longer than a change may wait.
pub const NIGHTLY: &[Stage] = &[
    Stage {
        name: "sim",
        budget_s: 6 * 3600,
        run: || sim::run(&sim::Options::nightly()),
    },
    Stage {
        name: "crash",
        budget_s: 3600,
        run: || crash::run(&crash::Options::nightly()),
    },
    Stage {
        name: "fuzz",
        budget_s: 3600,
        run: || fuzz::run(&fuzz::Options::nightly()),
    },
];

/// Runs the stages in order, one line each; all of them run even when one fails.
pub fn run(pipeline: &str, stages: &[Stage], only: &[String]) -> Outcome {
    if let Some(unknown) = only
        .iter()
        .find(|name| !stages.iter().any(|stage| stage.name == name.as_str()))
    {
        return Err(Failure::new(format!("no stage is called `{unknown}`")));
    }
    let chosen = |stage: &&Stage| only.is_empty() || only.iter().any(|name| name == stage.name);
    let (mut passed, mut failed) = (0, 0);
    for stage in stages.iter().filter(chosen) {
        let begun = Instant::now();
        let outcome = (stage.run)();
        let seconds = begun.elapsed().as_secs();
        let over = seconds > stage.budget_s;
        let head = format!(
            "{pipeline}/{:<8} {seconds:>4} s of {:>4}",
            stage.name, stage.budget_s
        );
        match outcome {
            Ok(summary) if seconds > 2 * stage.budget_s => {
                failed += 1;
                say(&format!(
                    "FAIL {head}  passed, in more than twice its time: {summary}"
                ));
            }
            Ok(summary) => {
                passed += 1;
                let word = if over { "SLOW" } else { "ok  " };
                say(&format!("{word} {head}  {summary}"));
            }
            Err(failure) => {
                failed += 1;
                say(&format!("FAIL {head}\n{failure}"));
            }
        }
    }
    let summary = format!("{passed} passed, {failed} failed");
    if failed == 0 {
        Ok(summary)
    } else {
        Err(Failure::new(summary))
    }
}

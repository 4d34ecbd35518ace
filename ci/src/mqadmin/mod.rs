//! One fixed sequence of mqadmin commands, with both versions of the tool, on Apache's servers and
//! on ours: what they print must be the same but for what `differences.md` says and gives a reason
//! for.

mod differences;
mod driver;
mod normal;
mod report;
mod sequence;

use std::path::PathBuf;
use std::thread;

use clap::Args;

use crate::apache::{self, Version};
use crate::broker;
use crate::failure::{Failure, Outcome};
use crate::process::exists;
use crate::root;
use differences::Table;
use driver::Driver;
use normal::Rules;
use report::Report;
use sequence::Sequence;

/// Which part, and what for.
#[derive(Args, Default)]
pub struct Options {
    /// Only this version of the tool: 4.9.7 or 5.5.0.
    #[arg(long)]
    pub tool: Option<String>,
    /// Both times on Apache's servers: shows what is not stable in the sequence itself.
    #[arg(long)]
    pub apache_twice: bool,
    /// Take the broker as it was built last.
    #[arg(long)]
    pub built: bool,
    /// Run nothing: compare once more what the last run printed (after a change of the rules or
    /// of the table).
    #[arg(long)]
    pub again: bool,
}

impl Options {
    /// What every change must pass: everything.
    pub fn pipeline() -> Self {
        Self::default()
    }
}

/// The servers of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Apache,
    Ringmq,
}

/// One run of the sequence.
struct Run {
    version: Version,
    target: Target,
    number: usize,
}

impl Run {
    fn new(version: Version, target: Target, number: usize) -> Self {
        Self {
            version,
            target,
            number,
        }
    }

    /// What it is called, and its folder below the build folder.
    fn name(&self) -> String {
        let version = self.version.text();
        format!("mqadmin-{version}-{:?}-{}", self.target, self.number).to_lowercase()
    }

    /// Where what the commands printed is kept.
    fn file(&self) -> PathBuf {
        root::target()
            .join("ci")
            .join(self.name())
            .join("printed.txt")
    }

    fn printed(&self) -> std::io::Result<String> {
        std::fs::read_to_string(self.file())
    }
}

/// Runs the sequence everywhere and compares.
pub fn run(options: &Options) -> Outcome {
    for (tool, argument) in [("javac", "-version"), ("java", "-version"), ("mvn", "-v")] {
        if !exists(tool, &[argument]) {
            return Err(Failure::new(format!(
                "`{tool}` is needed: a JDK 17 and Maven"
            )));
        }
    }
    if !(options.built || options.apache_twice || options.again) {
        broker::build()?;
    }
    let sequence = Sequence::read(&folder().join("sequence.txt"))?;
    let rules = Rules::read(&folder().join("normalise.txt"))?;
    let table = Table::read(&folder().join("differences.md"))?;
    let versions: Vec<Version> = Version::ALL
        .iter()
        .copied()
        .filter(|version| {
            options
                .tool
                .as_deref()
                .is_none_or(|tool| tool == version.text())
        })
        .collect();
    let second = if options.apache_twice {
        Target::Apache
    } else {
        Target::Ringmq
    };
    let mut comparison = report::Comparison::default();
    for &version in &versions {
        let runs = [
            Run::new(version, Target::Apache, 0),
            Run::new(version, second, 1),
        ];
        if !options.again {
            apache::fetch(version)?;
            let driver = Driver::prepare(version)?;
            both(&driver, &runs)?;
        }
        let [expected, found] = runs.map(|run| run.printed());
        let (expected, found) = (expected?, found?);
        let expected = Report::parse(&expected, &sequence, &rules)?;
        let found = Report::parse(&found, &sequence, &rules)?;
        comparison.add(version, &sequence, &expected, &found)?;
    }
    if options.apache_twice {
        return comparison.verdict_without_table();
    }
    comparison.verdict(&table, &versions)
}

/// Both runs at the same time.
fn both(driver: &Driver, runs: &[Run; 2]) -> Result<(), Failure> {
    thread::scope(|scope| {
        let handles = runs.each_ref().map(|run| scope.spawn(|| driver.run(run)));
        // Both have ended before the first failure is told.
        let outcomes = handles.map(|handle| handle.join());
        for outcome in outcomes {
            outcome.map_err(|_| Failure::new("a run of the sequence panicked"))??;
        }
        Ok(())
    })
}

/// The sequence, the rules, the table and the driver.
fn folder() -> PathBuf {
    root::repository().join("ci/compat/mqadmin")
}

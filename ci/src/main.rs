//! `cargo ci COMMAND`: every check that a developer or the pipeline runs, under a name.
//!
//! `cargo ci all` is what a change must pass after `cargo test --workspace`; `cargo ci nightly`
//! is what takes too long for that. `ci/README.md` lists the stages with their time budgets.
#![forbid(unsafe_code)]

mod apache;
mod broker;
mod clients;
mod cost;
mod crash;
mod failure;
mod fuzz;
mod jars;
mod java;
mod lint;
mod metrics;
mod mixed;
mod mqadmin;
mod musl;
mod owned;
mod perf;
mod ports;
mod process;
mod root;
mod sim;
mod stages;
mod tidy;
mod wire;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo ci", about = "The checks of this repository, by name.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything a change must pass, one line per stage.
    All {
        /// Run only these stages.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// What takes too long for every change: more seeds, more kills, longer fuzzing.
    Nightly {
        /// Run only these stages.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Formatting, without changing anything.
    Fmt,
    /// Clippy over all targets, warnings are errors.
    Clippy,
    /// Documentation without warnings.
    Docs,
    /// Licences, sources and duplicates of dependencies.
    Deny,
    /// Direction of dependencies, place of `unsafe` and `async`, sizes, leftovers.
    Tidy,
    /// One static binary for musl, its Debian package, the systemd unit.
    Static,
    /// The engine in the simulator, many seeds.
    Sim(sim::Options),
    /// The planted defects: each must be caught.
    Planted(sim::PlantedOptions),
    /// The real broker killed again and again under load.
    Crash(crash::Options),
    /// Apache's own Java clients against the built broker.
    Java(java::Options),
    /// Clients in Go, Node and C++ against the built broker.
    Clients(clients::Options),
    /// Clusters of Apache's processes and ours, exchanged one by one under load.
    Mixed(mixed::Options),
    /// Apache's mqadmin on Apache's servers and on ours: the same output, or a listed difference.
    Mqadmin(mqadmin::Options),
    /// What a broker under load says of itself: promtool takes it, and the dashboard finds all it asks for.
    Metrics,
    /// Memory when idle and with 200,000 queues; time to serve.
    Cost,
    /// RingMQ, the null broker and Apache RocketMQ under the same load, in interleaved rounds.
    Perf(perf::Options),
    /// The fuzz targets for a short while each.
    Fuzz(fuzz::Options),
}

fn main() -> std::process::ExitCode {
    let outcome = match Arguments::parse().command {
        Command::All { only } => stages::run("all", stages::ALL, &only),
        Command::Nightly { only } => stages::run("nightly", stages::NIGHTLY, &only),
        Command::Fmt => lint::fmt(),
        Command::Clippy => lint::clippy(),
        Command::Docs => lint::docs(),
        Command::Deny => lint::deny(),
        Command::Tidy => tidy::run(),
        Command::Static => musl::run_all(),
        Command::Sim(options) => sim::run(&options),
        Command::Planted(options) => sim::planted(&options),
        Command::Crash(options) => crash::run(&options),
        Command::Java(options) => java::run(&options),
        Command::Clients(options) => clients::run(&options),
        Command::Mixed(options) => mixed::run(&options),
        Command::Mqadmin(options) => mqadmin::run(&options),
        Command::Metrics => metrics::run(),
        Command::Cost => cost::run(),
        Command::Perf(options) => perf::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
    };
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            std::process::ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

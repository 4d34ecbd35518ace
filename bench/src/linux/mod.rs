//! The program. Each scenario is a file; they share the driver, the recorder and the report.

mod arguments;
mod client;
mod consume;
mod control;
mod counters;
mod engine_alone;
mod environment;
mod error;
mod limits;
mod null_broker;
mod produce;
mod report;
mod schedule;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// Runs the scenario that the command line names.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Produce(options) => produce::run(&options),
        Command::Consume(options) => consume::run(&options),
        Command::Null(options) => null_broker::serve(&options),
        Command::Engine(options) => engine_alone::run(&options),
        Command::Limits(options) => limits::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmq-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `ringmq-admin`: daily administration through the protocol, and the offline doctor of a data folder.
#![forbid(unsafe_code)]

mod arguments;
mod consume;
mod error;
mod send;
mod status;
mod store;
mod topics;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cluster = &arguments.cluster;
    let outcome = match &arguments.command {
        Command::Send(options) => send::run(cluster, options),
        Command::Consume(options) => consume::run(cluster, options),
        Command::Topics => topics::run(cluster),
        Command::Status(options) => status::run(cluster, options),
        Command::Inspect(options) => store::inspect(options),
        Command::Verify(options) => store::verify(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmq-admin: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

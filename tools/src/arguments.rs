//! The command line. Verbs, flags and their meaning are mqadmin's where it has them.

use clap::{Args, Parser};

use crate::verbs::Command;

/// Administers RingMQ and Apache RocketMQ, and looks into RingMQ's data folders.
#[derive(Parser)]
#[command(
    name = "ringmq-admin",
    version,
    after_help = "Exit codes: 0 done, 1 a server refused, 2 usage, 3 a folder cannot be read, 4 a folder is damaged, 5 a server cannot be reached or did not answer."
)]
pub struct Arguments {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every verb.
#[derive(Args)]
pub struct Global {
    /// Name servers, `host:port`, several separated by `;`.
    #[arg(
        short = 'n',
        long = "namesrvAddr",
        env = "NAMESRV_ADDR",
        default_value = "127.0.0.1:9876",
        value_name = "ADDRESSES",
        global = true,
        help_heading = "Global options"
    )]
    pub name_servers: String,
    /// Answer with one JSON object, for programs. Times in it are milliseconds since 1970.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Answer again every so many seconds (2 unless given), until interrupted.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        global = true,
        help_heading = "Global options"
    )]
    pub watch: Option<u64>,
    /// How many seconds an answer of a server may take.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        global = true,
        help_heading = "Global options"
    )]
    pub timeout: u64,
}

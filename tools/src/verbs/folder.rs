//! Data folders, looked at while no broker runs on them.

use std::path::PathBuf;

use clap::Args;

use super::Verb;
use crate::context::Context;
use crate::error::Result;
use crate::report::Report;
use crate::store;

/// A data folder.
#[derive(Args)]
pub struct Folder {
    /// The folder that was given to the broker (`--data`, `storePathRootDir`).
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Prints every record first.
    #[arg(long)]
    pub records: bool,
}

/// Shows what a data folder holds. The broker must not be running on it.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin inspect ./ringmq-data"
)]
pub struct Inspect {
    #[command(flatten)]
    folder: Folder,
}

impl Verb for Inspect {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        store::inspect(&self.folder, context.global.json)
    }

    fn has_json_report(&self) -> bool {
        !self.folder.records
    }
}

/// Reads a whole data folder and checks every checksum. The broker must not be running on it.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin verify ./ringmq-data"
)]
pub struct Verify {
    #[command(flatten)]
    folder: Folder,
}

impl Verb for Verify {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        store::verify(&self.folder, context.global.json)
    }

    fn has_json_report(&self) -> bool {
        !self.folder.records
    }
}

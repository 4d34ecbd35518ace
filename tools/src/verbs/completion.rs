//! Completion for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Verb;
use crate::arguments::Arguments;
use crate::context::Context;
use crate::error::Result;
use crate::report::Report;

/// Prints a script that makes a shell complete verbs and flags.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin completion bash > /etc/bash_completion.d/ringmq-admin"
)]
pub struct Completion {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Verb for Completion {
    fn run(&self, _: &Context<'_>) -> Result<Report> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "ringmq-admin",
            &mut script,
        );
        Ok(Report::new().line(String::from_utf8_lossy(&script).into_owned()))
    }

    fn has_json_report(&self) -> bool {
        false
    }
}

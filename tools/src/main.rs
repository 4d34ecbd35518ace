//! `ringmq-admin`: daily administration through the protocol, and the offline doctor of a data folder.
#![forbid(unsafe_code)]

mod arguments;
mod clock;
mod context;
mod error;
mod message_text;
mod nearest;
mod progress_bar;
mod report;
mod store;
mod verbs;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ringmq_client::ClientError;

use arguments::Arguments;
use context::Context;
use error::{Result, ToolError};
use report::Report;
use verbs::Verb;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it (`| head`) has seen enough.
        Err(ToolError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it.
            let mut out = io::stderr().lock();
            let _ = writeln!(out, "ringmq-admin: {error}");
            if let Some(hint) = error.hint() {
                let _ = writeln!(out, "hint: {hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let verb = arguments.command.verb();
    let context = Context::new(&arguments.global)?;
    let Some(seconds) = arguments.global.watch.or(verb.interval()) else {
        return once(verb, &context).map_err(|error| with_nearest(&context, error));
    };
    if !verb.is_watchable() {
        return Err(ToolError::Usage(
            "--watch is for verbs that only look".into(),
        ));
    }
    loop {
        let report = verb.run(&context)?;
        let mut out = io::stdout().lock();
        match context.global.json {
            true => writeln!(out, "{}", report.to_json())?,
            // Home, then clear from there: less flicker than clearing first.
            false => write!(out, "\x1b[H\x1b[J{}", report.to_text())?,
        }
        out.flush()?;
        drop(out);
        std::thread::park_timeout(Duration::from_secs(seconds));
    }
}

fn once(verb: &dyn Verb, context: &Context<'_>) -> Result<()> {
    let report = verb.run(context)?;
    print(verb, context, &report)?;
    report.failure.map_or(Ok(()), Err)
}

fn print(verb: &dyn Verb, context: &Context<'_>, report: &Report) -> Result<()> {
    let mut out = io::stdout().lock();
    match (context.global.json, verb.has_json_report()) {
        (true, true) => writeln!(out, "{:#}", report.to_json())?,
        (true, false) => {}
        (false, _) => out.write_all(report.to_text().as_bytes())?,
    }
    Ok(())
}

/// The client only says that a topic has no route; a near name helps more.
fn with_nearest(context: &Context<'_>, error: ToolError) -> ToolError {
    match error {
        ToolError::Client(ClientError::NoRoute(topic)) => context.no_such_topic(&topic),
        other => other,
    }
}

//! `ringmq`: flags, start, wait, stop.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread;

use clap::Parser as _;
use ringmq_server::control::boot_lines::boot_lines;
use ringmq_server::control::log;
use ringmq_server::control::panics;
use ringmq_server::control::start::{StopHandle, start};
use ringmq_server::error::{StartError, exit_code};
use ringmq_server::flags::{Flags, Plan};
use rustix::process::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    panics::install();
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            let code = if error.use_stderr() {
                exit_code::USAGE
            } else {
                exit_code::OK
            };
            // A closed terminal is no reason to fail.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(flags) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log::flush();
            eprintln!("ringmq: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(flags: Flags) -> Result<u8, StartError> {
    let (config, warnings) = match flags.plan(std::env::var_os("NAMESRV_ADDR"))? {
        Plan::Print(text) => {
            print!("{text}");
            return Ok(exit_code::OK);
        }
        Plan::Run(config, warnings) => (config, warnings),
    };
    log::install(&config.log()).map_err(|source| StartError::Log {
        folder: config.log().folder.unwrap_or_default(),
        source,
    })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    log::flush();
    let running_handle = watch_signals()?;
    let running = start(&config)?;
    // The watcher needs it from the second it can be stopped properly.
    let _ = running_handle.set(running.stop_handle());
    let lines = boot_lines(
        &config,
        running.broker_address(),
        running.name_server_address(),
    );
    // Nobody may be listening.
    let _ = io::stdout().write_all(lines.as_bytes());
    Ok(running.wait().exit_code())
}

/// The first signal stops properly, once there is something to stop; the second one ends at once.
/// Before the start is done nothing has been promised, so the first one ends at once too.
fn watch_signals() -> Result<Arc<OnceLock<StopHandle>>, StartError> {
    let handle: Arc<OnceLock<StopHandle>> = Arc::new(OnceLock::new());
    let watched = Arc::clone(&handle);
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(StartError::Thread)?;
    // A write beyond a limit on file sizes is to fail as any other does, not to kill the process.
    let noticed = Arc::new(AtomicBool::new(false));
    flag::register(Signal::XFSZ.as_raw(), noticed).map_err(StartError::Thread)?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut is_stopping = false;
            for _ in signals.forever() {
                log::flush();
                match watched.get() {
                    None => std::process::exit(i32::from(exit_code::OK)),
                    Some(_) if is_stopping => {
                        std::process::exit(i32::from(exit_code::INTERRUPTED));
                    }
                    Some(handle) => handle.stop(),
                }
                is_stopping = true;
            }
        })
        .map_err(StartError::Thread)?;
    Ok(handle)
}

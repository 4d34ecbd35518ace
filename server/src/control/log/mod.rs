//! The log: one line for each event, with its fields.
//!
//! ```text
//! any thread: event -> its own bounded ring   (no lock, no system call; a full ring counts what it drops)
//! "log":      all rings -> lines in order of time -> standard error, or files of bounded size and number
//! ```
//! Nothing is logged for a message. An event whose level is off costs one load.

mod clock;
mod event;
mod file;
mod format;
mod queue;
mod subscriber;

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use file::RotatingFile;
use format::Format;
use queue::Queues;
use subscriber::{Filter, Subscriber};

use crate::config::LogConfig;

/// How often the writer looks for lines.
const WRITE_INTERVAL: Duration = Duration::from_millis(50);

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    queues: Queues,
    filter: Filter,
    /// The writer's thread and whoever flushes; never a shard's thread.
    writer: Mutex<Writer>,
}

/// Begins to log as the configuration says, from the levels that `RINGMQ_LOG` names where it does. Call
/// once; a second call changes nothing. Fails when the folder cannot be made or written to.
pub fn install(config: &LogConfig) -> io::Result<()> {
    let sink = match &config.folder {
        Some(folder) => Sink::Files(RotatingFile::open(folder, config.file_bytes, config.files)?),
        None => Sink::StandardError,
    };
    let format = if config.is_json {
        Format::Json
    } else {
        Format::Text
    };
    let directives = std::env::var("RINGMQ_LOG").ok();
    let log = Log {
        queues: Queues::default(),
        filter: Filter::new(directives.as_deref().unwrap_or(&config.level)),
        writer: Mutex::new(Writer { sink, format }),
    };
    if LOG.set(log).is_err() {
        return Ok(());
    }
    // Somebody else's subscriber (a test's) stays.
    let _ = tracing::subscriber::set_global_default(Subscriber);
    thread::Builder::new().name("log".to_owned()).spawn(|| {
        loop {
            thread::sleep(WRITE_INTERVAL);
            flush();
        }
    })?;
    Ok(())
}

/// Changes the levels while the process runs: `warn`, or `info,ringmq_engine=debug`. `false` when the
/// text is none.
pub fn set_levels(directives: &str) -> bool {
    LOG.get().is_none_or(|log| log.filter.set(directives))
}

/// Gives this thread its ring before its first event: taking one later locks the list of rings once.
pub fn attach() {
    if let Some(log) = LOG.get() {
        log.queues.attach();
    }
}

/// Writes out what has gathered. Not for the threads of shards.
pub fn flush() {
    if let Some(log) = LOG.get() {
        let mut writer = log.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write(&log.queues);
    }
}

struct Writer {
    sink: Sink,
    format: Format,
}

enum Sink {
    StandardError,
    Files(RotatingFile),
}

impl Writer {
    fn write(&mut self, queues: &Queues) {
        let (events, dropped) = queues.take();
        if events.is_empty() && dropped == 0 {
            return;
        }
        let mut text = String::new();
        for event in &events {
            self.format.line(event, &mut text);
        }
        if dropped > 0 {
            self.format.line(&event::dropped(dropped), &mut text);
        }
        // There is nowhere left to tell of an error.
        let _ = match &mut self.sink {
            Sink::StandardError => io::Write::write_all(&mut io::stderr().lock(), text.as_bytes()),
            Sink::Files(files) => files.write(text.as_bytes()),
        };
    }
}

//! Log lines on standard error. Threads of shards must not make a system call for one, so every
//! thread puts its lines into a bounded queue; the control thread writes them out. Lines that find
//! it full are counted and the count is written instead.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use flume::{Receiver, Sender, TrySendError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::limits::LOG_LINES_MAX;

struct Queue {
    lines: Sender<Vec<u8>>,
    written: Receiver<Vec<u8>>,
    dropped: AtomicU64,
}

static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Sends events to the queue, from the level that `RINGMQ_LOG` names (`info` when it does not). Call
/// once; a second call changes nothing.
pub fn install() {
    let (lines, written) = flume::bounded(LOG_LINES_MAX);
    let dropped = AtomicU64::new(0);
    let queue = Queue {
        lines,
        written,
        dropped,
    };
    if QUEUE.set(queue).is_err() {
        return;
    }
    let filter = EnvFilter::try_from_env("RINGMQ_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines)
        .with_ansi(false)
        .finish();
    // Somebody else's subscriber (a test's) stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes out what has gathered. Errors are nobody's business: there is nowhere left to tell them.
pub fn flush() {
    let Some(queue) = QUEUE.get() else {
        return;
    };
    let mut out = io::stderr().lock();
    while let Ok(line) = queue.written.try_recv() {
        let _ = out.write_all(&line);
    }
    let dropped = queue.dropped.swap(0, Ordering::Relaxed);
    if dropped > 0 {
        let _ = writeln!(out, "WARN {dropped} log lines did not fit into the queue");
    }
}

#[derive(Clone, Copy, Debug)]
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

/// Gathers one event's text and queues it when it is whole.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let Some(queue) = QUEUE.get() else {
            return;
        };
        // Nobody ever blocks on the receiving end, so sending wakes nobody and makes no system call.
        if let Err(TrySendError::Full(_)) = queue.lines.try_send(std::mem::take(&mut self.0)) {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

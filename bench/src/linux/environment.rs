//! The machine a figure was taken on: part of every result.

use std::fs::read_to_string;

use serde::Serialize;

/// What a reader needs to judge a figure.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// Kernel release.
    pub kernel: String,
    /// Processor model.
    pub cpu: String,
    /// Logical processors this process may use.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Version of this program.
    pub version: &'static str,
}

impl Environment {
    /// Reads it from the system.
    pub fn read() -> Self {
        Self {
            kernel: line_after("/proc/sys/kernel/osrelease", ""),
            cpu: line_after("/proc/cpuinfo", "model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: line_after("/proc/meminfo", "MemTotal")
                .trim_end_matches(" kB")
                .parse::<u64>()
                .unwrap_or_default()
                / 1024,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The rest of the first line that begins so, after its colon.
fn line_after(path: &str, start: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_default();
    line.split_once(':')
        .map_or(line, |(_, value)| value)
        .trim()
        .to_owned()
}

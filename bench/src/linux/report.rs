//! A result, for people and for programs.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::environment::Environment;

/// The outcome of one measurement.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was measured.
    pub scenario: String,
    /// The server.
    pub target: String,
    /// Connections times unanswered requests on each.
    pub connections: usize,
    /// Unanswered requests on each connection.
    pub in_flight: usize,
    /// Bytes of each body.
    pub body_bytes: usize,
    /// Seconds measured.
    pub seconds: f64,
    /// Messages a second.
    pub messages_per_s: f64,
    /// Answers that were errors.
    pub errors: u64,
    /// Microseconds from send (or from the time it was due) to answer.
    pub latency_us: Option<Latency>,
    /// Entries to the kernel for each commit of the server's shards, where the server counts them.
    pub turns_per_commit: Option<f64>,
    /// The machine.
    pub environment: Environment,
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Half are faster.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// 99.99 %.
    pub p9999: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// From a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

impl Report {
    /// Prints it.
    pub fn print(&self, json: bool) {
        if json {
            match serde_json::to_string(self) {
                Ok(line) => println!("{line}"),
                Err(error) => eprintln!("ringmq-bench: the result cannot be written: {error}"),
            }
            return;
        }
        println!(
            "{} to {}, {} x {}, {} bytes, {:.1} s",
            self.scenario,
            self.target,
            self.connections,
            self.in_flight,
            self.body_bytes,
            self.seconds
        );
        println!(
            "  {:.0} messages/s, {} errors",
            self.messages_per_s, self.errors
        );
        if let Some(l) = &self.latency_us {
            println!(
                "  p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  p99.99 {:.0}  max {:.0} us",
                l.p50, l.p90, l.p99, l.p999, l.p9999, l.max
            );
        }
        if let Some(turns) = self.turns_per_commit {
            println!("  {turns:.2} turns for each commit");
        }
        let e = &self.environment;
        println!(
            "  {} x {}, {} MiB, Linux {}, ringmq-bench {}",
            e.cpus, e.cpu, e.memory_mib, e.kernel, e.version
        );
    }
}

//! `cargo ci perf`: RingMQ, the null broker and Apache RocketMQ under the same wire driver, on one
//! machine, in interleaved rounds; medians and their ratios.
//!
//! One server runs at a time, each with its data on the same disk. Every round measures every
//! server in every shape, so that what the machine does meanwhile hits all of them.

mod goals;
mod servers;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::apache::{self, Version};
use crate::failure::{Failure, Outcome};
use crate::process::{command, run as run_process, say};
use crate::root;
use servers::{Kind, Server};

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Rounds; the median of each figure is reported.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Leave Apache RocketMQ out.
    #[arg(long)]
    pub without_apache: bool,
}

/// Connections and unanswered sends on each.
const SHAPES: &[(usize, usize)] = &[(1, 1), (64, 1), (64, 16)];
const BODY_BYTES: usize = 1024;

/// Figures by server and shape, one for each round.
#[derive(Default)]
struct Figures {
    rates: BTreeMap<(Kind, usize), Vec<f64>>,
    /// p99.9 in microseconds.
    tails: BTreeMap<(Kind, usize), Vec<f64>>,
    /// Entries to the kernel for each commit; absent of servers that do not count them.
    turns: BTreeMap<(Kind, usize), Vec<f64>>,
    /// The same of the engine alone: sleeping while it waits, and spinning.
    engine_turns: [Vec<f64>; 2],
    engine_rates: [Vec<f64>; 2],
    pulls: Vec<f64>,
}

impl Figures {
    fn rate(&self, kind: Kind, shape: usize) -> f64 {
        median(self.rates.get(&(kind, shape)))
    }

    fn tail(&self, kind: Kind, shape: usize) -> f64 {
        median(self.tails.get(&(kind, shape)))
    }

    fn turns(&self, kind: Kind, shape: usize) -> f64 {
        median(self.turns.get(&(kind, shape)))
    }
}

/// Measures and prints a table.
pub fn run(options: &Options) -> Outcome {
    build()?;
    let kinds: Vec<Kind> = Kind::ALL
        .iter()
        .copied()
        .filter(|kind| !(options.without_apache && kind.is_apache()))
        .collect();
    if kinds.iter().any(|kind| kind.is_apache()) {
        apache::fetch(Version::Five)?;
    }
    let mut figures = Figures::default();
    for round in 0..options.rounds {
        for &kind in &kinds {
            say(&format!(
                "round {} of {}: {kind}",
                round + 1,
                options.rounds
            ));
            measure(kind, options, &mut figures)?;
        }
        engine_alone(options, &mut figures)?;
    }
    report(&kinds, &figures);
    goals::report(&kinds, &figures);
    Ok(format!("{} rounds", options.rounds))
}

fn build() -> Result<(), Failure> {
    let arguments = [
        "build",
        "--release",
        "-p",
        "ringmq-server",
        "-p",
        "ringmq-bench",
        "--bins",
    ];
    run_process(command("cargo", &arguments), Duration::from_secs(900)).map(|_| ())
}

fn measure(kind: Kind, options: &Options, figures: &mut Figures) -> Result<(), Failure> {
    let server = Server::start(kind)?;
    if kind.is_apache() {
        // A virtual machine that has not compiled its hot methods yet is not what anybody runs.
        produce(&server, (64, 16), 10.0)?;
    }
    for (shape, &size) in SHAPES.iter().enumerate() {
        let result = produce(&server, size, options.seconds)?;
        let rate = number(&result["messages_per_s"]);
        let tail = number(&result["latency_us"]["p999"]);
        figures.rates.entry((kind, shape)).or_default().push(rate);
        figures.tails.entry((kind, shape)).or_default().push(tail);
        if let Some(turns) = result["turns_per_commit"].as_f64() {
            figures.turns.entry((kind, shape)).or_default().push(turns);
        }
    }
    if kind == Kind::RingmqSync {
        let result = consume(&server, options.seconds)?;
        figures.pulls.push(number(&result["messages_per_s"]));
    }
    server.stop()
}

/// The engine without a server, in a process of its own.
fn engine_alone(options: &Options, figures: &mut Figures) -> Result<(), Failure> {
    let folder = root::scratch("perf")?.join("engine");
    let (folder, seconds) = (folder.to_string_lossy(), options.seconds.to_string());
    let arguments = [
        "engine",
        "--folder",
        &folder,
        "--seconds",
        &seconds,
        "--json",
    ];
    for (at, spin) in [false, true].into_iter().enumerate() {
        let spin = spin.then_some("--spin");
        let arguments: Vec<&str> = arguments.into_iter().chain(spin).collect();
        let result = bench(&arguments)?;
        figures.engine_turns[at].push(number(&result["turns_per_commit"]));
        figures.engine_rates[at].push(number(&result["messages_per_s"]));
    }
    Ok(())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn produce(
    server: &Server,
    (connections, in_flight): (usize, usize),
    seconds: f64,
) -> Result<Value, Failure> {
    bench(&[
        "produce",
        "--target",
        server.address(),
        "--connections",
        &connections.to_string(),
        "--in-flight",
        &in_flight.to_string(),
        "--body-bytes",
        &BODY_BYTES.to_string(),
        "--seconds",
        &seconds.to_string(),
        "--json",
    ])
}

fn consume(server: &Server, seconds: f64) -> Result<Value, Failure> {
    let seconds = seconds.to_string();
    bench(&[
        "consume",
        "--target",
        server.address(),
        "--seconds",
        &seconds,
        "--json",
    ])
}

fn bench(arguments: &[&str]) -> Result<Value, Failure> {
    let program = root::release("ringmq-bench");
    let text = run_process(
        command(&program.to_string_lossy(), arguments),
        Duration::from_secs(120),
    )?;
    text.lines()
        .find(|line| line.starts_with('{'))
        .and_then(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| Failure::new(format!("the benchmark printed no result:\n{text}")))
}

fn report(kinds: &[Kind], figures: &Figures) {
    let ours = |shape| figures.rate(Kind::RingmqSync, shape);
    for (shape, (connections, in_flight)) in SHAPES.iter().enumerate() {
        say(&format!("{connections} x {in_flight}, {BODY_BYTES} bytes"));
        for &kind in kinds {
            let (rate, tail) = (figures.rate(kind, shape), figures.tail(kind, shape));
            let turns = match figures.turns(kind, shape) {
                turns if turns.is_nan() => String::new(),
                turns => format!(", {turns:.2} turns for each commit"),
            };
            say(&format!(
                "  {:<20} {rate:>10.0}/s  p99.9 {tail:>8.0} us  RingMQ SYNC_FLUSH is {:.2} times as fast{turns}",
                kind.to_string(),
                ours(shape) / rate
            ));
        }
    }
    for (at, how) in ["sleeping", "spinning"].into_iter().enumerate() {
        say(&format!(
            "engine alone, {how}: {:.0} appends/s, {:.2} turns for each commit",
            median(Some(&figures.engine_rates[at])),
            median(Some(&figures.engine_turns[at]))
        ));
    }
    say(&format!(
        "hot consume, RingMQ, one shard: {:.0} messages/s",
        median(Some(&figures.pulls))
    ));
}

fn median(values: Option<&Vec<f64>>) -> f64 {
    let mut values = values.cloned().unwrap_or_default();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

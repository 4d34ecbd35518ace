//! Apache's own Java clients, which know nothing of us, against the built broker.
//!
//! The scenarios (`ci/compat/java`) are compiled against each client version's own jars, and the
//! programs that Apache ships as examples are run as they are.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::broker::{self, Broker, Settings};
use crate::failure::{Failure, Outcome};
use crate::jars;
use crate::process::{command, exists, run as run_process};
use crate::root;

/// Which part of the matrix.
#[derive(Args, Default)]
pub struct Options {
    /// Only this client version.
    #[arg(long)]
    pub client: Option<String>,
    /// Only this header serialisation: JSON or ROCKETMQ.
    #[arg(long)]
    pub serializer: Option<String>,
    /// Only brokers with so many shards.
    #[arg(long)]
    pub shards: Option<u32>,
    /// Only these scenarios.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

impl Options {
    /// What every change must pass: everything.
    pub fn pipeline() -> Self {
        Self::default()
    }
}

/// One run of all scenarios.
struct Cell {
    client: &'static str,
    serializer: &'static str,
    shards: u32,
}

/// Every client version with every serialisation, each version on brokers with 1 and 3 shards.
const MATRIX: &[Cell] = &[
    Cell {
        client: "4.9.7",
        serializer: "JSON",
        shards: 1,
    },
    Cell {
        client: "4.9.7",
        serializer: "ROCKETMQ",
        shards: 3,
    },
    Cell {
        client: "5.5.0",
        serializer: "JSON",
        shards: 3,
    },
    Cell {
        client: "5.5.0",
        serializer: "ROCKETMQ",
        shards: 1,
    },
];

/// The longest that one program may run.
const PROGRAM_LIMIT: Duration = Duration::from_secs(150);

/// Runs the matrix, then Apache's example programs.
pub fn run(options: &Options) -> Outcome {
    for (tool, argument) in [("javac", "-version"), ("java", "-version"), ("mvn", "-v")] {
        if !exists(tool, &[argument]) {
            return Err(Failure::new(format!(
                "`{tool}` is needed: a JDK 17 and Maven"
            )));
        }
    }
    broker::build()?;
    let mut passed = 0;
    for cell in MATRIX.iter().filter(|cell| wanted(options, cell)) {
        passed += run_cell(cell, &options.only)
            .map_err(|failure| Failure::new(format!("{}: {failure}", label(cell))))?;
    }
    if options.only.is_empty()
        && options
            .client
            .as_deref()
            .is_none_or(|client| client == "5.5.0")
    {
        passed += run_examples()?;
    }
    Ok(format!("{passed} scenarios and programs"))
}

fn wanted(options: &Options, cell: &Cell) -> bool {
    options
        .client
        .as_deref()
        .is_none_or(|client| client == cell.client)
        && options
            .serializer
            .as_deref()
            .is_none_or(|name| name == cell.serializer)
        && options.shards.is_none_or(|shards| shards == cell.shards)
}

fn label(cell: &Cell) -> String {
    format!(
        "client {}, {}, {} shards",
        cell.client, cell.serializer, cell.shards
    )
}

/// One broker, all scenarios side by side, then the one in which the broker is killed.
fn run_cell(cell: &Cell, only: &[String]) -> Result<usize, Failure> {
    let java = Java::prepare(cell.client)?;
    let folder = root::scratch(&format!("java-{}-{}", cell.client, cell.serializer))?;
    let settings = Settings::new(folder, cell.shards, "SYNC_FLUSH")?;
    let serializer = format!("-Drocketmq.serialize.type={}", cell.serializer);
    let broker = Broker::start(&settings)?;
    let mut scenarios = java.command(&[&serializer, "ringmq.Scenarios", &settings.namesrv()]);
    scenarios.args(only.iter().filter(|name| *name != "survive-kill"));
    let mut passed = 0;
    if only != ["survive-kill"] {
        passed += count_ok(&run_process(scenarios, PROGRAM_LIMIT)?)?;
    }
    if only.is_empty() || only.iter().any(|name| name == "survive-kill") {
        let arguments = [
            serializer.as_str(),
            "ringmq.Scenarios",
            &settings.namesrv(),
            "survive-kill",
        ];
        passed += survive(java.command(&arguments), broker, &settings)?;
    } else {
        broker.stop()?;
    }
    Ok(passed)
}

/// Kills the broker when the program asks for it and starts it again.
fn survive(mut program: Command, broker: Broker, settings: &Settings) -> Result<usize, Failure> {
    let mut child = program
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| Failure::new("the program has no output"))?;
    let mut broker = Some(broker);
    let mut text = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line == "KILL NOW"
            && let Some(running) = broker.take()
        {
            running.kill()?;
            broker = Some(Broker::start(settings)?);
        }
        text.push_str(&line);
        text.push('\n');
    }
    child.wait()?;
    let passed = count_ok(&text)?;
    match broker {
        Some(broker) => broker.stop().map(|()| passed),
        None => Err(Failure::new("the broker was killed and not started again")),
    }
}

/// How many scenarios reported `ok`; any other report is a failure.
fn count_ok(text: &str) -> Result<usize, Failure> {
    let passed = text.lines().filter(|line| line.starts_with("ok ")).count();
    if passed == 0 || text.lines().any(|line| line.starts_with("FAIL ")) {
        return Err(Failure::new(text.to_owned()));
    }
    Ok(passed)
}

/// The programs of Apache's example jar, as they are.
fn run_examples() -> Result<usize, Failure> {
    let java = Java::prepare("5.5.0")?;
    let settings = Settings::new(root::scratch("java-examples")?, 1, "SYNC_FLUSH")?;
    let broker = Broker::start(&settings)?;
    let namesrv = format!("-Drocketmq.namesrv.addr={}", settings.namesrv());
    let example = |class: &str, more: &[&str]| {
        let class = format!("org.apache.rocketmq.example.{class}");
        let mut command = java.command(&[&namesrv, &class]);
        command.env("NAMESRV_ADDR", settings.namesrv()).args(more);
        command
    };
    expect(
        example("quickstart.Producer", &[]),
        "sendStatus=SEND_OK",
        1000,
    )?;
    expect(
        example("quickstart.Consumer", &[]),
        "Receive New Messages",
        1000,
    )?;
    let address = settings.namesrv();
    let produce = [
        "-n",
        address.as_str(),
        "-t",
        "BenchmarkTest",
        "-w",
        "16",
        "-s",
        "1024",
    ];
    let report = expect(example("benchmark.Producer", &produce), "Send TPS", 1)?;
    no_failures(&report, "Send Failed: 0")?;
    let consume = [
        "-n",
        address.as_str(),
        "-t",
        "BenchmarkTest",
        "-g",
        "benchmark_consumer",
    ];
    expect(example("benchmark.Consumer", &consume), "Consume TPS", 1)?;
    broker.stop()?;
    Ok(4)
}

fn no_failures(report: &str, expected: &str) -> Result<(), Failure> {
    if report.contains(expected) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{expected}` is missing in:\n{report}"
    )))
}

/// Runs a program until a text has been printed on so many lines, then ends it. (The consumers
/// among Apache's examples never end by themselves.)
fn expect(mut program: Command, text: &str, times: usize) -> Outcome {
    let mut child = program
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| Failure::new("the program has no output"))?;
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + PROGRAM_LIMIT;
    let (mut found, mut output) = (0, String::new());
    while found < times {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(left) else {
            break;
        };
        found += usize::from(line.contains(text));
        output.push_str(&line);
        output.push('\n');
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait()?;
    if found < times {
        return Err(Failure::new(format!(
            "{:?} printed `{text}` on {found} lines, not on {times}:\n{}",
            program.get_args().collect::<Vec<_>>(),
            &output[output.len().saturating_sub(4000)..]
        )));
    }
    Ok(output)
}

/// One client version: its jars, and the scenarios compiled against them.
pub struct Java {
    class_path: String,
    home: PathBuf,
}

impl Java {
    /// Copies the jars (once) and compiles the scenarios.
    pub fn prepare(client: &str) -> Result<Self, Failure> {
        let jars = jars::copy(client)?;
        let base = jars::base(client);
        let classes = base.join("classes");
        let home = base.join("home");
        std::fs::create_dir_all(&classes)?;
        std::fs::create_dir_all(&home)?;
        compile(&jars, &classes)?;
        Ok(Self {
            class_path: format!("{}:{}/*", classes.display(), jars.display()),
            home,
        })
    }

    /// A Java program with these arguments (options first, then the class).
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command
            .arg("-Xmx512m")
            .arg(format!("-Duser.home={}", self.home.display()))
            .arg("-cp")
            .arg(&self.class_path)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }
}

fn compile(jars: &Path, classes: &Path) -> Result<(), Failure> {
    let sources = root::repository().join("ci/compat/java/src");
    std::fs::copy(sources.join("logback.xml"), classes.join("logback.xml"))?;
    let mut javac = command("javac", &["-nowarn", "-encoding", "UTF-8", "-d"]);
    javac
        .arg(classes)
        .arg("-cp")
        .arg(format!("{}/*", jars.display()));
    for entry in std::fs::read_dir(sources.join("ringmq"))? {
        javac.arg(entry?.path());
    }
    run_process(javac, Duration::from_secs(120)).map(|_| ())
}

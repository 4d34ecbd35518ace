//! Clients in other languages against the built broker: Go, Node and C++, each from the package
//! source of its language, pinned, in a folder below the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::broker::{self, Broker, Settings};
use crate::failure::{Failure, Outcome};
use crate::process::{exists, run as run_process};
use crate::root;
use crate::wire::{Wire, code};

/// Which part.
#[derive(Args, Default)]
pub struct Options {
    /// Only these: go, node, cpp.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Take the broker as it was built last.
    #[arg(long)]
    pub built: bool,
}

impl Options {
    /// What every change must pass: all of them.
    pub fn pipeline() -> Self {
        Self::default()
    }
}

/// How many messages each sends.
const MESSAGES: u32 = 300;
/// How long packages may take to come and to be built, on a new machine.
const PREPARE_LIMIT: Duration = Duration::from_secs(300);
/// How long sending and receiving may take; each program gives up before.
const RUN_LIMIT: Duration = Duration::from_secs(100);

/// How long until the name server knows a new topic.
const ROUTE_LIMIT: Duration = Duration::from_secs(10);

/// One client: what it needs, how its program is made, and how it is run.
struct Client {
    name: &'static str,
    tools: &'static [(&'static str, &'static str)],
    prepare: fn(&Path, &Path) -> Result<Command, Failure>,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "go",
        tools: &[("go", "version")],
        prepare: go,
    },
    Client {
        name: "node",
        tools: &[("node", "--version"), ("npm", "--version")],
        prepare: node,
    },
    Client {
        name: "cpp",
        tools: &[("g++", "--version"), ("python3", "--version")],
        prepare: cpp,
    },
];

/// Runs each against brokers with one and with three shards.
pub fn run(options: &Options) -> Outcome {
    let chosen: Vec<&Client> = CLIENTS
        .iter()
        .filter(|client| {
            options.only.is_empty() || options.only.iter().any(|name| name == client.name)
        })
        .collect();
    for (tool, argument) in chosen.iter().flat_map(|client| client.tools) {
        if !exists(tool, &[argument]) {
            return Err(Failure::new(format!("`{tool}` is needed")));
        }
    }
    if !options.built {
        broker::build()?;
    }
    let mut report = Vec::new();
    for client in chosen {
        let source = root::repository()
            .join("ci/compat/clients")
            .join(client.name);
        let base = root::target().join("compat-clients").join(client.name);
        std::fs::create_dir_all(&base)?;
        for shards in [1, 3] {
            let program = (client.prepare)(&source, &base)?;
            let said = run_one(client.name, program, shards)
                .map_err(|failure| Failure::new(format!("{}: {failure}", client.name)))?;
            report.push(format!("{}: {said}", client.name));
        }
    }
    Ok(report.join(", "))
}

/// One program against one broker; what it counted.
fn run_one(name: &str, mut program: Command, shards: u32) -> Outcome {
    let folder = root::scratch(&format!("clients-{name}-{shards}"))?;
    let settings = Settings::new(folder, shards, "SYNC_FLUSH")?;
    let broker = Broker::start(&settings)?;
    let topic = format!("Topic-{name}");
    create_topic(&settings, &topic)?;
    program
        .arg(settings.namesrv())
        .arg(&topic)
        .arg(MESSAGES.to_string())
        // Some write logs below the home folder.
        .env("HOME", &settings.folder)
        .current_dir(&settings.folder);
    let text = run_process(program, RUN_LIMIT)?;
    broker.stop()?;
    let expected = format!("ok sent {MESSAGES} received {}", MESSAGES / 3 * 2);
    if text.lines().any(|line| line == expected) {
        Ok(expected)
    } else {
        Err(Failure::new(text))
    }
}

/// Makes the topic and waits until the name server knows it: not every client lets a topic be
/// created by the first message.
fn create_topic(settings: &Settings, topic: &str) -> Result<(), Failure> {
    let fields = json!({
        "topic": topic, "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4",
        "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
    });
    let answer = Wire::connect(&settings.address())?.call(code::CREATE_TOPIC, fields, b"")?;
    if answer.code != 0 {
        return Err(Failure::new(format!(
            "topic {topic} was refused with {}: {}",
            answer.code, answer.remark
        )));
    }
    let deadline = Instant::now() + ROUTE_LIMIT;
    let mut names = Wire::connect(&settings.namesrv())?;
    while Instant::now() < deadline {
        if names
            .call(code::ROUTE, json!({ "topic": topic }), b"")?
            .code
            == 0
        {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Err(Failure::new(format!(
        "the name server does not know topic {topic}"
    )))
}

/// Built with the modules that `go.sum` pins.
fn go(source: &Path, base: &Path) -> Result<Command, Failure> {
    let program = base.join("client");
    let mut build = Command::new("go");
    build
        .args([
            "build",
            "-mod=readonly",
            "-modcacherw",
            "-buildvcs=false",
            "-o",
        ])
        .arg(&program)
        .arg(".")
        .env("GOMODCACHE", base.join("modules"))
        .env("GOFLAGS", "")
        .current_dir(source);
    run_process(build, PREPARE_LIMIT)?;
    Ok(Command::new(program))
}

/// Run with the packages that `package-lock.json` pins; none of their scripts is run.
fn node(source: &Path, base: &Path) -> Result<Command, Failure> {
    for file in ["package.json", "package-lock.json", "main.js"] {
        std::fs::copy(source.join(file), base.join(file))?;
    }
    let lock = std::fs::read_to_string(base.join("package-lock.json"))?;
    once(base, &lock, || {
        let mut install = Command::new("npm");
        install
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(base);
        install
    })?;
    let mut program = Command::new("node");
    program.arg(base.join("main.js"));
    Ok(program)
}

/// Built here, with the library that a wheel carries.
fn cpp(source: &Path, base: &Path) -> Result<Command, Failure> {
    let requirements = source.join("requirements.txt");
    let packages = base.join("packages");
    let pinned = std::fs::read_to_string(&requirements)?;
    once(base, &pinned, || {
        let mut install = Command::new("python3");
        install
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"])
            .args(["--only-binary=:all:", "--require-hashes", "--target"])
            .arg(&packages)
            .arg("-r")
            .arg(&requirements);
        install
    })?;
    let program: PathBuf = base.join("client");
    let mut build = Command::new("g++");
    build
        .args(["-std=c++17", "-Wall", "-Wextra", "-O1", "-o"])
        .arg(&program)
        .arg(source.join("main.cpp"))
        .args(["-ldl", "-pthread"]);
    run_process(build, PREPARE_LIMIT)?;
    let mut command = Command::new(program);
    command.arg(packages.join("rocketmq/librocketmq.so"));
    Ok(command)
}

/// Installs packages unless exactly these were installed before.
fn once(base: &Path, pinned: &str, install: impl FnOnce() -> Command) -> Result<(), Failure> {
    let done = base.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == pinned) {
        return Ok(());
    }
    run_process(install(), PREPARE_LIMIT)?;
    std::fs::write(done, pinned)?;
    Ok(())
}

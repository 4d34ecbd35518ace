//! A cluster of one process, and the binary run against it.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use clap::Parser as _;
use ringmq_server::flags::{Flags, Plan};
use ringmq_server::{Running, start};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Name server and broker on any ports; gone with this value.
pub struct Cluster {
    running: Option<Running>,
    folder: tempfile::TempDir,
    name_server: String,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The lines of the output that hold `text`.
    pub fn lines_with(&self, text: &str) -> Vec<&str> {
        self.out
            .lines()
            .filter(|line| line.contains(text))
            .collect()
    }
}

impl Cluster {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broker.conf");
        std::fs::write(
            &file,
            "mapedFileSizeCommitLog=8388608\nringmq.lockWaitSeconds=0\nringmq.pinThreads=false\n",
        )
        .unwrap();
        let line = format!(
            "ringmq standalone --data {} --namesrv-port 0 --broker-port 0 --shards 2 -c {}",
            folder.path().join("data").display(),
            file.display()
        );
        let plan = Flags::try_parse_from(line.split(' '))
            .unwrap()
            .plan(None)
            .unwrap();
        let Plan::Run(config, _) = plan else {
            panic!("{line} runs nothing");
        };
        let running = start(&config).unwrap();
        let name_server = running.name_server_address().unwrap().to_string();
        Self {
            running: Some(running),
            folder,
            name_server,
        }
    }

    /// The broker's address.
    pub fn broker(&self) -> String {
        self.running
            .as_ref()
            .unwrap()
            .broker_address()
            .unwrap()
            .to_string()
    }

    /// The name server's address.
    pub fn name_server(&self) -> &str {
        &self.name_server
    }

    /// The broker's data folder.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Runs the binary.
    pub fn run(&self, line: &str) -> Ran {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn run_words(&self, words: &[&str]) -> Ran {
        let mut command = binary();
        command.env("NAMESRV_ADDR", &self.name_server).args(words);
        Ran::of(&command.output().unwrap())
    }

    /// Runs the binary, which must succeed.
    pub fn done(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran
    }

    /// Runs the binary with `--json` and reads its answer.
    pub fn json(&self, line: &str) -> Value {
        let ran = self.done(&format!("{line} --json"));
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{line}: {error}: {ran:?}"))
    }

    /// Runs the binary until its answer is as wanted.
    pub fn json_until(&self, line: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.json(line);
            if is_wanted(&value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{line}: still {value}");
        }
    }

    /// Stops the servers and gives their data folder.
    pub fn stop(mut self) -> (tempfile::TempDir, std::path::PathBuf) {
        self.running.take().unwrap().stop();
        let data = self.data();
        (
            std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()),
            data,
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// The binary that was built with these tests.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ringmq-admin"))
}

pub fn run_alone(words: &[&str]) -> Ran {
    Ran::of(&binary().args(words).output().unwrap())
}

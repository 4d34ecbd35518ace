//! The real `ringmq standalone` as a process that a check starts, kills and starts again.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process::{command, run};
use crate::{ports, root};

/// How long a broker may take until it says that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// What to start a broker with.
#[derive(Clone)]
pub struct Settings {
    /// Where its data and its printed lines go.
    pub folder: PathBuf,
    /// Shards of a new store.
    pub shards: u32,
    /// `SYNC_FLUSH` or `ASYNC_FLUSH`.
    pub flush: &'static str,
    /// Size of a log segment in MiB. A killed broker begins a new one, so a check that kills often
    /// wants small ones (and rolls often, which is as well).
    pub segment_mib: u32,
    /// Port of the name server.
    pub namesrv_port: u16,
    /// Port of the broker.
    pub broker_port: u16,
    /// Port of metrics and health; 0 takes any.
    pub http_port: u16,
}

impl Settings {
    /// Settings with ports that are free now.
    pub fn new(folder: PathBuf, shards: u32, flush: &'static str) -> Result<Self, Failure> {
        let (namesrv_port, broker_port) = (ports::free()?, ports::free()?);
        Ok(Self {
            folder,
            shards,
            flush,
            segment_mib: 256,
            namesrv_port,
            broker_port,
            http_port: 0,
        })
    }

    /// The name server's address.
    pub fn namesrv(&self) -> String {
        format!("127.0.0.1:{}", self.namesrv_port)
    }

    /// The broker's address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.broker_port)
    }
}

/// A running broker; killed when dropped.
pub struct Broker {
    child: Child,
    lines: Receiver<String>,
    /// From the start of the process to its `boot success`.
    pub ready_after: Duration,
}

impl Broker {
    /// Starts it and waits until it is ready.
    pub fn start(settings: &Settings) -> Result<Self, Failure> {
        std::fs::create_dir_all(&settings.folder)?;
        let configuration = settings.folder.join("broker.conf");
        let segment_bytes = u64::from(settings.segment_mib) << 20;
        let text = format!(
            "flushDiskType={}\nmappedFileSizeCommitLog={segment_bytes}\nmetricsPromExporterPort={}\n",
            settings.flush, settings.http_port
        );
        std::fs::write(&configuration, text)?;
        let begun = Instant::now();
        let mut child = Command::new(root::release("ringmq"))
            .arg("standalone")
            .arg("--data")
            .arg(settings.folder.join("data"))
            .args(["--shards", &settings.shards.to_string()])
            .args(["--namesrv-port", &settings.namesrv_port.to_string()])
            .args(["--broker-port", &settings.broker_port.to_string()])
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log(&settings.folder)?)
            .spawn()
            .map_err(|error| Failure::new(format!("the broker cannot be started: {error}")))?;
        let lines = read_lines(&mut child);
        let mut broker = Self {
            child,
            lines,
            ready_after: Duration::ZERO,
        };
        broker.wait_until_ready(settings, begun)?;
        Ok(broker)
    }

    fn wait_until_ready(&mut self, settings: &Settings, begun: Instant) -> Result<(), Failure> {
        loop {
            let left = READY_LIMIT.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.starts_with("The broker[") && line.contains("boot success") => {
                    self.ready_after = begun.elapsed();
                    return Ok(());
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::new(format!(
                        "the broker was not ready within {} s; its log is {}",
                        READY_LIMIT.as_secs(),
                        log_path(&settings.folder).display()
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    let text = std::fs::read_to_string(log_path(&settings.folder))?;
                    return Err(Failure::new(format!(
                        "the broker ended with {status} before it was ready:\n{text}"
                    )));
                }
            }
        }
    }

    /// Ends it as a power-less machine would not: at once, without a word (`SIGKILL`).
    pub fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (`SIGTERM`) and waits; the exit code must be 0.
    pub fn stop(mut self) -> Result<(), Failure> {
        let pid = self.child.id().to_string();
        run(command("kill", &["-TERM", &pid]), Duration::from_secs(5))?;
        let deadline = Instant::now() + Duration::from_secs(40);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(Failure::new(format!("the broker stopped with {status}")))
                };
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Err(Failure::new("the broker did not stop within 40 s"))
    }

    /// Memory it occupies, in MiB.
    pub fn resident_mib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .map(|kib| kib / 1024)
            .ok_or_else(|| Failure::new("the process tells no resident memory"))
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the broker in release; checks run what users run.
pub fn build() -> Result<(), Failure> {
    let arguments = [
        "build",
        "--release",
        "-p",
        "ringmq-server",
        "--bin",
        "ringmq",
    ];
    run(command("cargo", &arguments), Duration::from_secs(900)).map(|_| ())
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("broker.log")
}

fn log(folder: &Path) -> std::io::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(log_path(folder))
}

fn read_lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                // Nobody listens once the broker is ready; the pipe must be read all the same.
                let _ = sender.send(line);
            }
        });
    }
    receiver
}

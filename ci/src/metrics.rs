//! `cargo ci metrics`: what a broker under load says of itself is what Prometheus takes, and what the
//! dashboard asks for is there.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use regex_lite::Regex;

use crate::broker::{self, Broker, Settings};
use crate::failure::{Failure, Outcome};
use crate::process::{command, exists, run as run_program};
use crate::wire::{Wire, code, pull_fields, send_fields};
use crate::{ports, root};

/// The dashboard, from the top of the repository.
const DASHBOARD: &str = "docs/grafana/ringmq.json";
const TOPIC: &str = "metrics-check";
const LOAD: Duration = Duration::from_secs(3);
/// Within this time the slower figures are there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a broker, loads it, and checks what it serves.
pub fn run() -> Outcome {
    broker::build()?;
    let promtool = install()?;
    let mut settings = Settings::new(root::scratch("metrics")?, 2, "SYNC_FLUSH")?;
    settings.http_port = ports::free()?;
    let broker = Broker::start(&settings)?;
    let sent = load(&settings)?;
    let text = scrape(&settings, sent)?;
    check_with_promtool(&promtool, &settings.folder, &text)?;
    let asked = check_dashboard(&text)?;
    for (path, expected) in [
        ("/health/live", "ok"),
        ("/health/ready", "ok"),
        ("/", "takes sends"),
    ] {
        let (status, body) = get(settings.http_port, path)?;
        if status != 200 || !body.contains(expected) {
            return Err(Failure::new(format!(
                "{path} is answered with {status}: {body}"
            )));
        }
    }
    broker.stop()?;
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    Ok(format!(
        "{sent} messages sent and counted; promtool takes {samples} samples; the dashboard's {asked} metrics are there"
    ))
}

/// `promtool`, from Debian's package where it is missing.
fn install() -> Result<String, Failure> {
    let name = "promtool";
    if !exists(name, &["--version"]) {
        let arguments = ["install", "-y", "--no-install-recommends", "prometheus"];
        run_program(command("apt-get", &arguments), Duration::from_secs(300))?;
    }
    Ok(name.to_owned())
}

/// Sends for a while, pulls and commits some of it, and lets a send be refused.
fn load(settings: &Settings) -> Result<u64, Failure> {
    let mut wire = Wire::connect(&settings.address())?;
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < LOAD {
        let fields = send_fields(TOPIC, (sent % 4) as u32, "");
        let answer = wire.call(code::SEND_V2, fields, b"counted")?;
        if answer.code != 0 {
            return Err(Failure::new(format!(
                "a send is answered with {}",
                answer.code
            )));
        }
        sent += 1;
    }
    wire.call(code::PULL, pull_fields(TOPIC, 0, 0), b"")?;
    wire.call(code::COMMIT, commit_fields(), b"")?;
    wire.call(code::SEND_V2, send_fields(TOPIC, 4711, ""), b"refused")?;
    Ok(sent)
}

fn commit_fields() -> serde_json::Value {
    let mut fields = pull_fields(TOPIC, 0, 0);
    fields["commitOffset"] = "1".into();
    fields
}

/// The metrics, once the figures that are walked up are there and the sums are right.
fn scrape(settings: &Settings, sent: u64) -> Result<String, Failure> {
    let stored = format!("topic=\"{TOPIC}\",is_system=\"false\"}} {sent}\n");
    let begun = Instant::now();
    loop {
        let (status, text) = get(settings.http_port, "/metrics")?;
        if status == 200 && text.contains("rocketmq_consumer_lag_messages{") {
            return if text.contains(&stored) {
                Ok(text)
            } else {
                Err(Failure::new(format!(
                    "{sent} messages were sent; the metrics are\n{text}"
                )))
            };
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!(
                "no lag is told, status {status}:\n{text}"
            )));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn get(port: u16, path: &str) -> Result<(u16, String), Failure> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: ci\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| Failure::new(format!("no HTTP response: {text}")))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(0), body.to_owned()))
}

fn check_with_promtool(promtool: &str, folder: &Path, text: &str) -> Result<(), Failure> {
    let file = folder.join("metrics.txt");
    std::fs::write(&file, text)?;
    let line = format!("{promtool} check metrics < {}", file.display());
    run_program(command("sh", &["-c", &line]), Duration::from_secs(20)).map(|_| ())
}

/// Every metric that the dashboard names is among those served; how many they are.
fn check_dashboard(text: &str) -> Result<usize, Failure> {
    let dashboard = std::fs::read_to_string(root::repository().join(DASHBOARD))?;
    serde_json::from_str::<serde_json::Value>(&dashboard)
        .map_err(|error| Failure::new(format!("{DASHBOARD}: {error}")))?;
    let asked = metrics_of(&dashboard);
    let served: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let missing: Vec<&String> = asked
        .iter()
        .filter(|name| !served.contains(name.trim_end_matches("_bucket")))
        .collect();
    if missing.is_empty() {
        Ok(asked.len())
    } else {
        Err(Failure::new(format!(
            "{DASHBOARD} asks for {missing:?}, which nobody serves"
        )))
    }
}

fn metrics_of(dashboard: &str) -> BTreeSet<String> {
    let Ok(name) = Regex::new("(?:ringmq|rocketmq)_[a-z_]+") else {
        unreachable!("a constant expression")
    };
    let found = name.find_iter(dashboard);
    found.map(|found| found.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics_are_found_in_expressions() {
        let text = r#""expr": "sum(rate(rocketmq_messages_in_total{a=\"b\"}[1m])) / ringmq_ready""#;
        let names: Vec<_> = metrics_of(text).into_iter().collect();
        assert_eq!(names, ["ringmq_ready", "rocketmq_messages_in_total"]);
    }
}

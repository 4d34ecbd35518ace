//! Clusters of Apache's processes and ours, in which one process after the other is stopped and
//! started again while a Java producer and a consumer group work: nothing acknowledged may be lost,
//! and name servers of both kinds must say the same.
//!
//! ```text
//! name servers: Apache's and ours      every broker registers with both
//! brokers:      broker-a Apache's, broker-b ours
//! ```
//! Once with Apache 4.9.7 and a client of 5.5.0, once the other way round.

mod clients;
mod processes;
mod routes;

use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::apache::Version;
use crate::broker;
use crate::failure::{Failure, Outcome};
use crate::process::say;
use crate::root;
use crate::wire::{Wire, code};
use clients::Clients;
use processes::{Brand, Part, Process};

/// The topic that all brokers of a cluster have.
const TOPIC: &str = "exchanged";

/// What to run.
#[derive(Args, Default)]
pub struct Options {
    /// Only with Apache's servers of this version.
    #[arg(long)]
    pub server: Option<String>,
    /// Do not build the server first: run the one that is there.
    #[arg(long)]
    pub built: bool,
}

impl Options {
    /// What every change must pass: everything.
    pub fn pipeline() -> Self {
        Self::default()
    }
}

/// Runs both clusters.
pub fn run(options: &Options) -> Outcome {
    if !options.built {
        broker::build()?;
    }
    let mut summaries = Vec::new();
    for &version in Version::ALL {
        let wanted = options.server.as_deref();
        if wanted.is_some_and(|wanted| wanted != version.text()) {
            continue;
        }
        let summary = cluster(version)
            .map_err(|failure| Failure::new(format!("Apache {}: {failure}", version.text())))?;
        summaries.push(format!("Apache {}: {summary}", version.text()));
    }
    Ok(summaries.join("; "))
}

/// The client is of the other version.
fn client_of(version: Version) -> &'static str {
    match version {
        Version::Four => Version::Five.text(),
        Version::Five => Version::Four.text(),
    }
}

fn cluster(version: Version) -> Outcome {
    crate::apache::fetch(version)?;
    let folder = root::scratch(&format!("mixed-{}", version.text()))?;
    let parts = parts(version, &folder)?;
    let mut processes = Vec::new();
    for part in &parts {
        processes.push(Some(part.start()?));
    }
    let name_servers: Vec<String> = of(&parts, Part::is_name_server);
    let brokers: Vec<String> = of(&parts, |part| !part.is_name_server());
    for address in &brokers {
        create_topic(address)?;
    }
    routes::await_same(&name_servers, TOPIC, 2)?;
    let names: Vec<&str> = parts.iter().filter_map(Part::broker_name).collect();
    let mut clients = Clients::start(client_of(version), &name_servers.join(";"), TOPIC, &names)?;
    say(&format!("  all started: {}", clients.settle()?));
    for (part, process) in parts.iter().zip(&mut processes) {
        exchange(part, process)?;
        routes::await_same(&name_servers, TOPIC, 2)?;
        say(&format!("  {part} exchanged: {}", clients.settle()?));
    }
    // Migration: our name server takes the place of Apache's at the same address.
    let successor = parts[0].succeeded_by(Brand::Ringmq);
    if let Some(process) = processes[0].take() {
        process.stop()?;
    }
    processes[0] = Some(successor.start()?);
    routes::await_same(&name_servers, TOPIC, 2)?;
    say(&format!(
        "  {successor} in its place: {}",
        clients.settle()?
    ));
    let counts = clients.end()?;
    for process in processes.into_iter().flatten().rev() {
        process.stop()?;
    }
    Ok(format!("5 exchanges, {counts}"))
}

fn exchange(part: &Part, process: &mut Option<Process>) -> Result<(), Failure> {
    if let Some(process) = process.take() {
        process.stop()?;
    }
    *process = Some(part.start()?);
    Ok(())
}

fn of(parts: &[Part], which: impl Fn(&Part) -> bool) -> Vec<String> {
    parts
        .iter()
        .filter(|part| which(part))
        .map(Part::address)
        .collect()
}

/// The four processes of a cluster, name servers first.
fn parts(version: Version, folder: &Path) -> Result<Vec<Part>, Failure> {
    let brands = [Brand::Apache(version), Brand::Ringmq];
    let mut parts = Vec::new();
    for brand in brands {
        parts.push(Part::name_server(brand, folder)?);
    }
    let name_servers = of(&parts, |_| true).join(";");
    for (brand, name) in brands.into_iter().zip(["broker-a", "broker-b"]) {
        parts.push(Part::broker(brand, name, &name_servers, folder)?);
    }
    Ok(parts)
}

fn create_topic(address: &str) -> Result<(), Failure> {
    let fields = json!({
        "topic": TOPIC, "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4",
        "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
    });
    let answer = Wire::connect(address)?.call(code::CREATE_TOPIC, fields, b"")?;
    if answer.code == 0 {
        return Ok(());
    }
    let (code, remark) = (answer.code, answer.remark);
    Err(Failure::new(format!(
        "{address} does not create {TOPIC}: code {code}, {remark}"
    )))
}

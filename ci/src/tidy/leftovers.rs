//! What must not be left lying about: unfinished places, sleeps, long files and functions.

use std::path::PathBuf;

use super::sources::Source;
use crate::root;

/// A Rust file longer than this wants to be two nouns.
const FILE_LINES_MAX: usize = 1200;
/// A line longer than this is not read.
const LINE_CHARS_MAX: usize = 160;
/// Where letting time pass is somebody's business: `Disk::pause` by blocking calls, and threads of
/// the control plane, and an open loop that sends when it is time.
const LETS_TIME_PASS: &[&str] = &[
    "engine/ring/src/blocking.rs",
    "server/src/control/",
    "bench/src/",
];

/// Faults of all sources.
pub fn check(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        if source.path.starts_with("ci/src/tidy/") || source.path == "LICENSE" {
            continue;
        }
        if source.is_rust() && source.text.lines().count() > FILE_LINES_MAX {
            faults.push(format!(
                "{}: longer than {FILE_LINES_MAX} lines: split it by its nouns",
                source.path
            ));
        }
        for (index, line) in source.text.lines().enumerate() {
            if let Some(what) = fault_in(source, line) {
                faults.push(format!("{}:{}: {what}", source.path, index + 1));
            }
        }
    }
    faults
}

fn fault_in(source: &Source, line: &str) -> Option<&'static str> {
    let lets_time_pass = LETS_TIME_PASS
        .iter()
        .any(|place| source.path.starts_with(place));
    const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "#[ignore"];
    const SLEEPS: &[&str] = &["thread::sleep", "time::sleep", "Thread.sleep"];
    if source.path.ends_with(".rs") || source.path.ends_with(".java") {
        let unfinished = |word: &&&str| {
            // `SCHEDULE_TOPIC_XXXX` is a name of RocketMQ's.
            line.replace("XXXX", "").contains(**word)
        };
        if UNFINISHED.iter().find(unfinished).is_some() {
            return Some("unfinished: finish it or say it in the documentation");
        }
        if !lets_time_pass && SLEEPS.iter().any(|sleep| line.contains(sleep)) {
            return Some("a sleep: wait for what happens instead");
        }
        // The formatter leaves long texts alone.
        let long = !line.contains('"') && line.chars().count() > LINE_CHARS_MAX;
        if source.is_rust() && long {
            return Some("a line over 160 characters");
        }
    }
    names_this_machine(line).then_some("a path of one machine")
}

/// Whether a line holds the path of this checkout or of the home folder.
fn names_this_machine(line: &str) -> bool {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    [Some(root::repository()), home]
        .into_iter()
        .flatten()
        .filter(|folder| folder.parent().is_some())
        .any(|folder| line.contains(&format!("{}/", folder.display())))
}

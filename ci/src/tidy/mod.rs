//! What the compiler does not check: who may depend on whom, where `unsafe` and `async` may stand,
//! what must not be left lying about.

mod dependencies;
mod leftovers;
mod links;
mod sources;
mod words;

use crate::failure::{Failure, Outcome};
use sources::Source;

/// All tidiness checks; every fault is listed.
pub fn run() -> Outcome {
    let sources = sources::all()?;
    let mut faults = dependencies::check()?;
    faults.extend(words::check(&sources));
    faults.extend(leftovers::check(&sources));
    faults.extend(links::check(&sources));
    if !faults.is_empty() {
        return Err(Failure::new(faults.join("\n")));
    }
    Ok(summary(&sources))
}

fn summary(sources: &[Source]) -> String {
    let rust: Vec<&Source> = sources.iter().filter(|source| source.is_rust()).collect();
    let lines: usize = rust.iter().map(|source| source.text.lines().count()).sum();
    let longest = rust
        .iter()
        .max_by_key(|source| source.text.lines().count())
        .map(|source| format!("{} ({} lines)", source.path, source.text.lines().count()))
        .unwrap_or_default();
    format!(
        "{} Rust files, {lines} lines, longest {longest}",
        rust.len()
    )
}

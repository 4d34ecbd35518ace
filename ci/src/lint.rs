//! The checks that are one call of a tool.

use std::time::Duration;

use crate::failure::{Failure, Outcome};
use crate::process::{command, exists, run};

const MINUTE: Duration = Duration::from_secs(60);
/// The release of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// All sources are formatted.
pub fn fmt() -> Outcome {
    run(command("cargo", &["fmt", "--all", "--check"]), MINUTE)?;
    Ok("all sources are formatted".into())
}

/// Clippy has nothing to say, about any target of any crate.
pub fn clippy() -> Outcome {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    run(command("cargo", &arguments), 10 * MINUTE)?;
    Ok("no warnings".into())
}

/// The documentation builds without warnings.
pub fn docs() -> Outcome {
    let mut cargo = command("cargo", &["doc", "--workspace", "--no-deps", "--quiet"]);
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    run(cargo, 10 * MINUTE)?;
    Ok("no warnings".into())
}

/// Licences, sources and banned crates. Advisories are not asked for: their database comes from a
/// host that a closed network does not reach (`cargo deny check advisories` where it does).
pub fn deny() -> Outcome {
    ensure_cargo_deny()?;
    let arguments = ["deny", "check", "licenses", "bans", "sources"];
    run(command("cargo", &arguments), 2 * MINUTE)?;
    Ok("licences, bans and sources are clean".into())
}

fn ensure_cargo_deny() -> Result<(), Failure> {
    if exists("cargo", &["deny", "--version"]) {
        return Ok(());
    }
    // Unoptimised: it runs for a second, and builds four times faster.
    let version = format!("cargo-deny@{CARGO_DENY}");
    let arguments = ["install", &version, "--locked", "--debug", "--quiet"];
    run(command("cargo", &arguments), 10 * MINUTE).map(|_| ())
}

//! Dependencies between our crates run one way.

use serde_json::Value;

use crate::failure::Failure;
use crate::process::command;

/// Each crate with the crates of ours that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ringmq-protocol", &[]),
    ("ringmq-ring", &[]),
    ("ringmq-engine", &["ringmq-protocol", "ringmq-ring"]),
    (
        "ringmq-server",
        &["ringmq-protocol", "ringmq-ring", "ringmq-engine"],
    ),
    ("ringmq-client", &["ringmq-protocol"]),
    (
        "ringmq-bench",
        &[
            "ringmq-protocol",
            "ringmq-ring",
            "ringmq-engine",
            "ringmq-client",
        ],
    ),
    (
        "ringmq-tools",
        &[
            "ringmq-protocol",
            "ringmq-ring",
            "ringmq-engine",
            "ringmq-client",
        ],
    ),
    ("ringmq-checker", &[]),
    ("ci", &["ringmq-checker"]),
];

/// What tests alone may depend on besides: the server's drive it with the client, the tools' run
/// against a server.
const FOR_TESTS: &[(&str, &str)] = &[
    ("ringmq-server", "ringmq-client"),
    ("ringmq-tools", "ringmq-server"),
];

/// Faults in the direction of dependencies; those for tests only count too, but for some.
pub fn check() -> Result<Vec<String>, Failure> {
    let output = command(
        "cargo",
        &[
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ],
    )
    .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(format!("`cargo metadata` printed no JSON: {error}")))?;
    let mut faults = Vec::new();
    for package in list(&metadata, "packages") {
        let name = text(package, "name");
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            faults.push(format!(
                "crate {name}: say in ci/src/tidy/dependencies.rs what it may depend on"
            ));
            continue;
        };
        for dependency in list(package, "dependencies") {
            let target = text(dependency, "name");
            let ours = ALLOWED.iter().any(|(known, _)| *known == target);
            let for_tests =
                text(dependency, "kind") == "dev" && FOR_TESTS.contains(&(name, target));
            if ours && !allowed.contains(&target) && !for_tests && target != name {
                faults.push(format!("crate {name} must not depend on {target}"));
            }
        }
    }
    Ok(faults)
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

//! Jars from Maven, named by a pom of `ci/compat/java` and copied once.

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::{command, run};
use crate::root;

/// How long Maven may take to bring everything on a new machine.
const COPY_LIMIT: Duration = Duration::from_secs(300);

/// What is made of one pom: jars, and what checks compile against them.
pub fn base(pom: &str) -> PathBuf {
    root::target().join("compat-java").join(pom)
}

/// The folder with the jars that `pom-NAME.xml` asks for; Maven runs only when it changed.
pub fn copy(pom: &str) -> Result<PathBuf, Failure> {
    let path = root::repository().join(format!("ci/compat/java/pom-{pom}.xml"));
    let asked = std::fs::read_to_string(&path)?;
    let jars = base(pom).join("jars");
    let done = base(pom).join("jars.done");
    if std::fs::read_to_string(&done).is_ok_and(|copied| copied == asked) {
        return Ok(jars);
    }
    let mut maven = command("mvn", &["-q", "-B", "-f"]);
    maven
        .arg(path)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", jars.display()));
    run(maven, COPY_LIMIT)?;
    std::fs::write(&done, asked)?;
    Ok(jars)
}

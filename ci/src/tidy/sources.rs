//! Every text file that is under version control.

use std::time::Duration;

use crate::failure::Failure;
use crate::process::{command, run};
use crate::root;

/// One file.
pub struct Source {
    /// From the top of the repository, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// All files git knows that are UTF-8 text; captured fixtures are left out.
pub fn all() -> Result<Vec<Source>, Failure> {
    let listing = run(
        command(
            "git",
            &["ls-files", "--cached", "--others", "--exclude-standard"],
        ),
        Duration::from_secs(20),
    )?;
    Ok(listing
        .lines()
        .filter(|path| !path.contains("/golden/") && !path.contains("/fixtures/"))
        .filter_map(|path| {
            let text = std::fs::read_to_string(root::repository().join(path)).ok()?;
            Some(Source {
                path: path.to_owned(),
                text,
            })
        })
        .collect())
}

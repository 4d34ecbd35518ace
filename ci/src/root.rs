//! Where things are.

use std::path::PathBuf;

/// The repository's top folder.
pub fn repository() -> PathBuf {
    let ci = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    ci.parent().map(PathBuf::from).unwrap_or(ci)
}

/// The folder cargo builds into.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// A binary of the release profile.
pub fn release(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// A new empty folder for one run of a check, below the build folder.
pub fn scratch(name: &str) -> std::io::Result<PathBuf> {
    let path = target().join("ci").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

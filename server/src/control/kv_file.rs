//! The file of the name server's KV configuration: replaced whole, so that it is always one state or
//! the next.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::StartError;
use crate::namesrv::KvConfig;

/// Reads the file. One that is not there yet is an empty configuration; one that cannot be read stops
/// the start.
pub(super) fn read(path: &Path) -> Result<KvConfig, StartError> {
    let refuse = |source| StartError::Kv {
        path: path.to_owned(),
        source,
    };
    match fs::read(path) {
        Ok(text) => KvConfig::from_json(&text).map_err(|error| refuse(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KvConfig::default()),
        Err(error) => Err(refuse(error)),
    }
}

/// Replaces the file: the new one is on the disk before it takes the old one's name.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let new = path.with_extension("json.tmp");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_missing_file_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv/kvConfig.json");
        assert_eq!(read(&path).unwrap(), KvConfig::default());
        let mut config = KvConfig::default();
        config.put("N", "k", "v").unwrap();
        write(&path, &config.to_json()).unwrap();
        config.put("N", "k", "w").unwrap();
        write(&path, &config.to_json()).unwrap();
        assert_eq!(read(&path).unwrap().get("N", "k"), Some("w"));
        let names = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_damaged_file_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        fs::write(&path, "{\"configTable\":{").unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 74);
        assert!(error.to_string().contains("kvConfig.json"));
    }
}

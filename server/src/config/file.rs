//! The file that keeps a process's settings: changed values are written into it without touching
//! anything else. Comments, order, unknown keys and what others have edited since the start stay.
//!
//! The new file is whole and on the disk before it takes the old one's name, so that a reader, or the
//! next start after a power cut, finds one state or the other.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::keys::{self, Key};
use crate::limits::CONFIG_FILE_BYTES_MAX;
use crate::properties_file::{Entry, Layout, escape_value};

/// Where a process's settings are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    path: PathBuf,
    /// Whether the operator has named it: then it is there, and one that is not is no empty one.
    is_named: bool,
}

impl ConfigFile {
    /// The file that `-c` names.
    pub fn named(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            is_named: true,
        }
    }

    /// The file that is used without `-c`: made by the first change.
    pub fn own(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            is_named: false,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the operator has named it.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// Its text; `None` when there is none yet.
    pub fn read(&self) -> io::Result<Option<String>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_named => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        let read = file
            .take(CONFIG_FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)?;
        if read as u64 > CONFIG_FILE_BYTES_MAX {
            let text = format!("it is longer than {CONFIG_FILE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(Some(text))
    }

    /// Writes new values of some of `table`'s keys into it. When this returns they are on the disk.
    pub fn change(
        &self,
        table: &'static [Key],
        values: &[(&'static str, String)],
    ) -> io::Result<()> {
        let old = self.read()?;
        let new = changed(old.as_deref().unwrap_or_default(), table, values);
        // A link stays one: what it points to is replaced.
        let path = match old {
            Some(_) => fs::canonicalize(&self.path)?,
            None => self.path.clone(),
        };
        replace(&path, new.as_bytes())
    }
}

/// Replaces a file, or makes it: the new one is on the disk before it takes the name, and has the
/// old one's permissions.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let permissions = fs::metadata(path).ok().map(|old| old.permissions());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = write_new(&new, content, permissions).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The error is what counts; a leftover is overwritten next time.
        let _ = fs::remove_file(&new);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_new(new: &Path, content: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    let mut file = File::create(new)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// A file's text with other values for some keys: the last entry of a key is changed, because the
/// last one counts; a key without one is added at the end.
fn changed(text: &str, table: &'static [Key], values: &[(&'static str, String)]) -> String {
    let layout = Layout::of(text);
    let mut new: Vec<(Entry, String)> = Vec::new();
    let mut added = Vec::new();
    for (name, value) in values {
        let is_it = |entry: &&Entry| keys::find(table, &entry.key).is_some_and(|k| k.name == *name);
        match layout.entries.iter().rfind(is_it) {
            Some(entry) => new.push((entry.clone(), escape_value(value))),
            None => added.push(format!("{name}={}", escape_value(value))),
        }
    }
    new.sort_by_key(|(entry, _)| entry.value.start);
    let mut out = String::with_capacity(text.len() + 256);
    let mut copied = 0;
    for (entry, value) in new {
        out.push_str(&text[copied..entry.value.start]);
        if !entry.has_separator {
            out.push('=');
        }
        out.push_str(&value);
        copied = entry.value.end;
    }
    out.push_str(&text[copied..]);
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if layout.is_open && !added.is_empty() {
        // An empty line ends the entry that was left open.
        if !out.ends_with('\n') {
            out.push_str(line_end);
        }
        out.push_str(line_end);
    }
    for line in added {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(line_end);
        }
        out.push_str(&line);
        out.push_str(line_end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Values, apache_keys, read_file};
    use super::*;
    use proptest::prelude::*;

    fn changed_to(text: &str, values: &[(&'static str, &str)]) -> String {
        let values: Vec<_> = values.iter().map(|&(k, v)| (k, v.to_owned())).collect();
        changed(text, keys::BROKER, &values)
    }

    #[test]
    fn a_value_is_changed_where_it_stands_and_nothing_else_is() {
        let text = "# our broker\nbrokerName = a\n\nfileReservedTime: 72  \n! old\nnobodys=x\nlistenPort 1\n";
        assert_eq!(
            changed_to(text, &[("fileReservedTime", "48"), ("listenPort", "2")]),
            "# our broker\nbrokerName = a\n\nfileReservedTime: 48\n! old\nnobodys=x\nlistenPort 2\n"
        );
    }

    #[test]
    fn the_last_entry_of_a_key_is_the_one_that_counts_whichever_spelling_it_has() {
        assert_eq!(
            changed_to("deleteWhen=1\ndeleteWhen=2\n", &[("deleteWhen", "3")]),
            "deleteWhen=1\ndeleteWhen=3\n"
        );
        assert_eq!(
            changed_to(
                "mapedFileSizeCommitLog=1\n",
                &[("mappedFileSizeCommitLog", "2")]
            ),
            "mapedFileSizeCommitLog=2\n"
        );
    }

    #[test]
    fn a_new_key_comes_last_on_a_line_of_its_own() {
        assert_eq!(changed_to("", &[("traceOn", "false")]), "traceOn=false\n");
        assert_eq!(
            changed_to("a=1", &[("traceOn", "false")]),
            "a=1\ntraceOn=false\n"
        );
        assert_eq!(
            changed_to("a=1\r\nb=2\r\n", &[("traceOn", "false")]),
            "a=1\r\nb=2\r\ntraceOn=false\r\n"
        );
    }

    #[test]
    fn values_over_several_lines_and_keys_without_one_are_changed_whole() {
        assert_eq!(
            changed_to(
                "deleteWhen=1;\\\n   2\ntraceOn\nx=y",
                &[("deleteWhen", "4"), ("traceOn", "true")]
            ),
            "deleteWhen=4\ntraceOn=true\nx=y"
        );
    }

    #[test]
    fn a_file_of_ones_own_is_made_by_the_first_change_a_named_one_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/broker.conf");
        let value = [("regionId", " \\x=\u{e9}".to_owned())];
        assert!(
            ConfigFile::named(&path)
                .change(keys::BROKER, &value)
                .is_err()
        );
        assert!(!path.exists());
        let own = ConfigFile::own(&path);
        assert_eq!(own.read().unwrap(), None);
        own.change(keys::BROKER, &value).unwrap();
        let mut values = Values::new(keys::BROKER, apache_keys::BROKER);
        read_file(&mut values, &own).unwrap();
        // Settings are trimmed when they are set; what is within stays.
        assert_eq!(values.text("regionId"), "\\x=\u{e9}");
        let names = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_link_stays_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "traceOn=true\n").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
        symlink(&real, &link).unwrap();
        let file = ConfigFile::named(&link);
        let value = [("traceOn", "false".to_owned())];
        file.change(keys::BROKER, &value).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "traceOn=false\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = fs::metadata(&real).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            lines in proptest::collection::vec("[ #!]?[a-dt=: \\\\]{0,12}|deleteWhen ?[=:]? ?[a-z\\\\]{0,5}", 0..8),
            ends in "\n|\r\n",
            value in "[a-z\\\\ =:#!\u{e9}]{0,12}",
        ) {
            let text = lines.join(&ends);
            let before = crate::properties_file::parse(&text);
            let new = changed_to(&text, &[("deleteWhen", &value)]);
            if let (Ok(before), Ok(after)) = (before, crate::properties_file::parse(&new)) {
                let found = after.iter().rfind(|p| p.key == "deleteWhen").map(|p| p.value.as_str());
                prop_assert_eq!(found, Some(value.trim_end()), "{:?} -> {:?}", text, new);
                let others = |list: &[crate::properties_file::Property]| {
                    let list = list.iter().filter(|p| p.key != "deleteWhen");
                    list.map(|p| (p.key.clone(), p.value.clone())).collect::<Vec<_>>()
                };
                prop_assert_eq!(others(&before), others(&after), "{:?} -> {:?}", text, new);
            }
        }
    }
}

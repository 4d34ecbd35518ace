//! A log file that is rotated at a size, with a bounded number of older ones beside it.
//!
//! `ringmq.log` is written to; the one before it is `ringmq.log.1`, and so on. What an earlier run of the
//! process left is gone on with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub(super) struct RotatingFile {
    folder: PathBuf,
    file: File,
    len: u64,
    /// A file takes no more once it is this long; a piece of text is never cut.
    bytes_max: u64,
    /// Files in all.
    count: u32,
}

const NAME: &str = "ringmq.log";

impl RotatingFile {
    /// Opens the newest file of a folder, which is made when it is not there.
    pub fn open(folder: &Path, bytes_max: u64, count: u32) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = append_to(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            len: file.metadata()?.len(),
            file,
            bytes_max,
            count: count.max(1),
        })
    }

    /// Appends whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.len > 0 && self.len + lines.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.len += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = |number: u32| match number {
            0 => self.folder.join(NAME),
            _ => self.folder.join(format!("{NAME}.{number}")),
        };
        for number in (1..self.count).rev() {
            match fs::rename(path(number - 1), path(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.count == 1 {
            fs::remove_file(path(0))?;
        }
        self.file = append_to(&self.folder)?;
        self.len = 0;
        Ok(())
    }
}

fn append_to(folder: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<(String, String)> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        };
        let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(entry).collect();
        all.sort();
        all
    }

    fn named(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        expected.iter().map(owned).collect()
    }

    #[test]
    fn files_are_rotated_at_their_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("made").join("for-it");
        let mut file = RotatingFile::open(&logs, 10, 3).unwrap();
        for line in [
            "aaaaaaa\n",
            "b\n",
            "cccc\n",
            "a line that is longer than a file\n",
            "e\n",
        ] {
            file.write(line.as_bytes()).unwrap();
        }
        assert_eq!(
            files(&logs),
            named(&[
                ("ringmq.log", "e\n"),
                ("ringmq.log.1", "a line that is longer than a file\n"),
                ("ringmq.log.2", "cccc\n"),
            ])
        );
    }

    #[test]
    fn a_new_process_goes_on_with_the_file_it_finds() {
        let folder = tempfile::tempdir().unwrap();
        RotatingFile::open(folder.path(), 10, 1)
            .unwrap()
            .write(b"one\n")
            .unwrap();
        let mut file = RotatingFile::open(folder.path(), 10, 1).unwrap();
        file.write(b"two\n").unwrap();
        assert_eq!(files(folder.path()), named(&[("ringmq.log", "one\ntwo\n")]));
        file.write(b"three\n").unwrap();
        assert_eq!(files(folder.path()), named(&[("ringmq.log", "three\n")]));
    }
}

//! Reads the captured files of `tests/golden`.

use std::fs;
use std::path::{Path, PathBuf};

use ringmq_protocol::frame::{Frame, Split, split};
use ringmq_protocol::limits::FRAME_BYTES_MAX;

/// One captured file.
pub struct Fixture {
    pub name: String,
    /// `# key: value` lines.
    pub facts: Vec<(String, String)>,
    pub frames: Vec<Captured>,
}

/// A frame, or a record, and what the file says about it.
pub struct Captured {
    pub bytes: Vec<u8>,
    /// The decoded header as listed below the frame.
    pub listed_header: Option<String>,
}

impl Fixture {
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = format!("{}", path.strip_prefix(golden()).unwrap().display());
        let mut fixture = Self {
            name,
            facts: Vec::new(),
            frames: Vec::new(),
        };
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("#   header ") {
                let frame = fixture.frames.last_mut().unwrap();
                frame.listed_header = Some(header.to_owned());
            } else if let Some(fact) = line.strip_prefix("# ") {
                let (key, value) = fact.split_once(':').unwrap_or((fact, ""));
                fixture.facts.push((
                    key.to_owned(),
                    value.strip_prefix(' ').unwrap_or(value).to_owned(),
                ));
            } else if let Some((_, hex)) = line
                .split_once(' ')
                .filter(|(d, _)| matches!(*d, ">" | "<" | "R"))
            {
                fixture.frames.push(Captured {
                    bytes: unhex(hex),
                    listed_header: None,
                });
            }
        }
        assert!(!fixture.frames.is_empty(), "{} has no frames", fixture.name);
        fixture
    }
}

impl Captured {
    /// The bytes as exactly one frame.
    pub fn frame(&self) -> Frame<'_> {
        match split(&self.bytes, FRAME_BYTES_MAX) {
            Ok(Split::Frame(frame)) if frame.total == self.bytes.len() => frame,
            other => panic!("not one frame: {other:?}"),
        }
    }
}

/// All captured exchanges.
pub fn exchanges() -> impl Iterator<Item = Fixture> {
    let folders = ["4.9.7", "5.5.0"].map(|version| golden().join(version));
    folders
        .into_iter()
        .flat_map(|folder| files(&folder))
        .map(|path| Fixture::read(&path))
}

/// All captured records.
pub fn messages() -> impl Iterator<Item = Fixture> {
    let folders = ["4.9.7", "5.5.0"].map(|version| golden().join(version).join("messages"));
    folders
        .into_iter()
        .flat_map(|folder| files(&folder))
        .map(|path| Fixture::read(&path))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    paths.sort();
    paths
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes();
    assert!(digits.len().is_multiple_of(2));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

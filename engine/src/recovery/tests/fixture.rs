//! A store written by the version of the format that is called 1, kept as text: `file` lines with
//! path and length, then the 32-byte rows that are not zero. Every later build must open it, and the
//! current writer must still write it byte by byte.
//!
//! `RINGMQ_WRITE_FIXTURES=1 cargo test -p ringmq-engine fixture` writes it anew; do that only with a
//! new format version, under a new name.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::log_builder::{LogBuilder, SEGMENT_BYTES, What, bind, commit, folder};
use super::summary::{entries, next};
use crate::control_record::ControlRecord;
use crate::store::{STORE_FILE, Store};
use crate::types::{GroupNumber, LogOffset, TopicId};

const ROW: usize = 32;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1.txt")
}

fn store() -> Store {
    Store {
        id: [3; 16],
        salt: [4; 16],
        shards: 1,
        segment_bytes: SEGMENT_BYTES,
        created_ms: 1_700_000_000_000,
    }
}

/// Two runs, a checkpoint, group offsets, a roll, a witness and a torn tail.
fn write() -> BTreeMap<String, Vec<u8>> {
    let mut scratch = Vec::new();
    let mut log = LogBuilder::start(2);
    let topic = ControlRecord::TopicPut {
        topic: TopicId(7),
        name: "topic",
        payload: &[1, 2],
    };
    let group = ControlRecord::GroupBind {
        group: GroupNumber(1),
        name: "group",
    };
    log.block(&[What::Control(topic), What::Control(group)]);
    log.messages(&[1, 2, 1]);
    let recovered = log.recover().unwrap();
    log.begin_run(&recovered);
    drop(recovered);
    log.checkpoint(1);
    log.messages(&[1, 2]);
    log.block(&[commit(1, 2, &mut scratch), bind(3)]);
    log.roll();
    log.messages(&[3]);
    log.witness(false);
    let (at, torn) = log.seal(&[What::Message(2)]);
    log.write_at(at, &torn[..512]);
    let mut files = BTreeMap::new();
    for file in log.world.files() {
        let name = file.strip_prefix("/data").unwrap().display().to_string();
        files.insert(name, log.world.contents(&file).unwrap());
    }
    files.insert(STORE_FILE.into(), store().encode().unwrap().to_vec());
    files
}

fn to_text(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = String::new();
    for (name, bytes) in files {
        writeln!(text, "file {name} {}", bytes.len()).unwrap();
        for (number, row) in bytes.chunks(ROW).enumerate() {
            if row.iter().any(|&byte| byte != 0) {
                write!(text, "{:06x} ", number * ROW).unwrap();
                row.iter()
                    .for_each(|byte| write!(text, "{byte:02x}").unwrap());
                text.push('\n');
            }
        }
    }
    text
}

fn from_text(text: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["file", path, len] = words[..] {
            name = path.to_owned();
            files.insert(name.clone(), vec![0; len.parse().unwrap()]);
            continue;
        }
        let at = usize::from_str_radix(words[0], 16).unwrap();
        let row = words[1].as_bytes().chunks(2);
        let file = files.get_mut(&name).unwrap();
        for (offset, digits) in row.enumerate() {
            let digits = std::str::from_utf8(digits).unwrap();
            file[at + offset] = u8::from_str_radix(digits, 16).unwrap();
        }
    }
    files
}

#[test]
fn the_fixture_of_format_1_is_still_written_byte_by_byte() {
    let written = to_text(&write());
    if std::env::var_os("RINGMQ_WRITE_FIXTURES").is_some() {
        std::fs::write(path(), &written).unwrap();
    }
    let kept = std::fs::read_to_string(path()).unwrap();
    let differs = kept
        .lines()
        .zip(written.lines())
        .find(|(kept, written)| kept != written);
    assert_eq!(differs, None, "kept, written now");
    assert_eq!(kept.len(), written.len());
}

#[test]
fn the_fixture_of_format_1_opens_with_all_it_holds() {
    let files = from_text(&std::fs::read_to_string(path()).unwrap());
    let loaded = Store::decode(&files[STORE_FILE]).unwrap();
    assert_eq!(loaded, store());
    let log = LogBuilder::new(1);
    for (name, bytes) in &files {
        log.put(&PathBuf::from("/data").join(name), bytes);
    }
    let recovered = log.recover().unwrap();
    assert_eq!(recovered.head.epoch, 3);
    assert_eq!(recovered.head.durable, LogOffset(2 * SEGMENT_BYTES + 4096));
    assert_eq!([1, 2, 3].map(|queue| next(&recovered, queue)), [3, 2, 1]);
    assert_eq!(entries(&recovered).len(), 6);
    assert_eq!(recovered.state.topics[0].name, "topic");
    assert_eq!(recovered.state.offsets[0].offset, 2);
    assert_eq!(
        recovered.report.tail.map(|tail| tail.from.0),
        Some(2 * SEGMENT_BYTES + 4096)
    );
    assert!(recovered.report.damage.is_empty());
    assert!(log.world.contents(&folder().manifest()).is_ok());
}

//! The store on the real ring and this machine's disk.

use std::time::{Duration, Instant};

use ringmq_engine::embedded::{Embedded, Record};
use ringmq_engine::{Config, Error, PullStatus};

fn record<'a>(queue_id: u32, body: &'a [u8]) -> Record<'a> {
    Record {
        topic: "orders",
        queue_id,
        properties: b"",
        body,
    }
}

fn config(folder: &tempfile::TempDir) -> Config {
    let mut config = Config::new(folder.path());
    config.shards = Some(2);
    config.segment_bytes = 4 << 20;
    config.pin_threads = false;
    config
}

#[test]
fn records_survive_a_clean_stop_on_the_real_ring() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3u64 {
        let log = Embedded::open(&config(&folder)).unwrap();
        for number in 0..200u32 {
            let body = number.to_le_bytes();
            let stored = log.append(record(number % 4, &body)).unwrap();
            assert_eq!(stored.queue_offset, round * 50 + u64::from(number / 4));
        }
        let mut offset = 0;
        while offset < (round + 1) * 50 {
            let result = log.pull("orders", 3, offset, 32, Duration::ZERO).unwrap();
            assert_eq!(result.status, PullStatus::Found);
            offset = result.next;
        }
        assert_eq!(offset, (round + 1) * 50);
        log.stop().unwrap();
    }
}

#[test]
fn a_pull_waits_for_the_next_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&config(&folder)).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            log.pull("orders", 0, 0, 1, Duration::from_secs(20))
                .unwrap()
        });
        log.append(record(0, b"hello")).unwrap();
        assert_eq!(reader.join().unwrap().count, 1);
    });
    log.stop().unwrap();
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&config(&folder)).unwrap();
    let mut second = config(&folder);
    second.lock_wait = Duration::ZERO;
    assert!(matches!(Embedded::open(&second), Err(Error::Locked { .. })));
    log.stop().unwrap();
}

#[test]
fn an_empty_folder_takes_its_first_record_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.pin_threads = false;
    let begun = Instant::now();
    let log = Embedded::open(&config).unwrap();
    log.append(record(0, b"first")).unwrap();
    let took = begun.elapsed();
    log.stop().unwrap();
    // 300 ms on an idle machine; tests share theirs.
    assert!(took < Duration::from_secs(1), "{took:?}");
}

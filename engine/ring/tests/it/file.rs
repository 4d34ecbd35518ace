//! Reads, writes and flushes of direct files.

use ringmq_ring::{AlignedBuf, Io, Payload, UringConfig};

use crate::driver::{Driver, direct_file, direct_files, pattern};

#[test]
fn what_is_written_durably_is_read_back() {
    let mut driver = Driver::new();
    let file = driver.file(0);
    let data = pattern(16384, 1);
    driver.ring.write_durable(file, 4096, data.clone(), 1);
    assert_eq!(driver.one().result.unwrap(), 16384);
    let (buffer, count) = driver.read(file, 4096, 16384);
    assert_eq!(count, 16384);
    assert_eq!(&buffer[..], &data[..]);
}

#[test]
fn what_is_written_and_flushed_is_read_back() {
    let mut driver = Driver::new();
    let file = driver.file(8192);
    let data = pattern(8192, 2);
    driver.ring.write(file, 0, data.clone(), 7);
    let written = driver.one();
    assert_eq!((written.token, written.result.unwrap()), (7, 8192));
    driver.ring.flush(file, 8);
    let flushed = driver.one();
    assert_eq!(flushed.token, 8);
    flushed.result.unwrap();
    assert_eq!(&driver.read(file, 0, 8192).0[..], &data[..]);
}

#[test]
fn a_read_at_the_end_of_the_file_is_short() {
    let mut driver = Driver::new();
    let file = direct_file(4096 + 100);
    let file = driver.ring.adopt_file(file).unwrap();
    assert_eq!(driver.read(file, 0, 16384).1, 4196);
    assert_eq!(driver.read(file, 4096, 4096).1, 100);
    assert_eq!(driver.read(file, 8192, 4096).1, 0);
}

#[test]
fn many_operations_at_once_each_complete_with_their_own_token() {
    let mut driver = Driver::new();
    let file = driver.file(0);
    let count = 2_000;
    for at in 0..count {
        let data = pattern(4096, at as u8);
        driver.ring.write(file, at * 4096, data, at);
    }
    let mut tokens: Vec<_> = driver
        .take(count as usize)
        .into_iter()
        .map(|completion| (completion.token, completion.result.unwrap()))
        .collect();
    tokens.sort_unstable();
    assert!((0..count).map(|token| (token, 4096)).eq(tokens));
    for at in [0, 1, 255, 256, count - 1] {
        let (buffer, _) = driver.read(file, at * 4096, 4096);
        assert_eq!(&buffer[..], &pattern(4096, at as u8)[..]);
    }
}

#[test]
fn more_than_the_queues_hold_at_once_is_all_carried_out() {
    let mut driver = Driver::with(&UringConfig {
        submissions: 4,
        completions: 8,
        ..UringConfig::default()
    });
    let file = driver.file(0);
    for at in 0..500 {
        driver.ring.read(file, 0, AlignedBuf::zeroed(4096), at);
    }
    let enters = driver.ring.enters();
    driver.ring.release_file(file);
    let mut tokens: Vec<_> = driver.take(500).iter().map(|done| done.token).collect();
    tokens.sort_unstable();
    assert!((0..500).eq(tokens));
    let turns = driver.ring.enters() - enters;
    assert!(turns >= 125, "{turns} turns of at most 4 submissions each");
}

#[test]
fn a_released_file_stays_until_its_last_operation_and_then_is_closed() {
    let mut driver = Driver::new();
    let (file, witness) = direct_files(0);
    file.lock().unwrap();
    let file = driver.ring.adopt_file(file).unwrap();
    for at in 0..64 {
        driver
            .ring
            .write_durable(file, at * 4096, pattern(4096, 3), at);
    }
    driver.ring.release_file(file);
    driver.ring.read(file, 0, AlignedBuf::zeroed(4096), 1_000);
    let refused = driver.of(1_000);
    assert!(refused.result.is_err() && matches!(refused.payload, Payload::Buffer(_)));
    for completion in driver.take(64) {
        assert_eq!(completion.result.unwrap(), 4096);
    }
    // The lock goes with the description, so it is free when the ring has closed it.
    driver.until(|_| witness.try_lock().is_ok());
}

#[test]
fn a_write_that_the_device_refuses_fails_once_and_for_good() {
    let mut driver = Driver::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let file = driver.ring.adopt_file(full).unwrap();
    driver.ring.write_durable(file, 0, pattern(4096, 4), 1);
    let error = driver.one().result.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(driver.completions.is_empty());
}

#[test]
fn a_dropped_ring_has_waited_for_its_writes() {
    let file = direct_file(0);
    let again = file.try_clone().unwrap();
    let mut driver = Driver::new();
    let id = driver.ring.adopt_file(file).unwrap();
    for at in 0..32 {
        driver.ring.write(id, at * 4096, pattern(4096, 5), at);
    }
    drop(driver);
    // Cancelled or written, but over: the length no longer changes, and the ring's own descriptor
    // is closed.
    let len = again.metadata().unwrap().len();
    assert!(len <= 32 * 4096 && len.is_multiple_of(4096));
}

use crate::store::{Store, small_config};

/// A body of 4 KiB that says which one it is.
pub fn body(number: u32) -> Vec<u8> {
    let mut body = vec![b'.'; 4096];
    body[..4].copy_from_slice(&number.to_le_bytes());
    body
}

#[test]
fn segments_roll_and_their_indexes_go_to_disk() {
    let mut store = Store::new(11, small_config());
    for number in 0..600 {
        store.send("orders", 0, &body(number));
    }
    store.run_until("indexes written", |store| {
        store.shard(0).status().indexes_waiting == 0
    });
    let status = store.shard(0).status();
    assert!(status.segments >= 5, "{status:?}");
    let indexes = store.files("shard-00/index");
    assert_eq!(indexes.len(), status.segments as usize - 1, "{indexes:?}");
    let expected: Vec<_> = (0..600).map(body).collect();
    assert!(store.bodies("orders", 0) == expected);
}

#[test]
fn checkpoints_are_published_as_the_log_grows_and_two_are_kept() {
    let mut store = Store::new(12, small_config());
    for number in 0..600 {
        store.send("orders", number % 7, &body(number));
    }
    store.run_until("checkpoints", |store| {
        store.shard(0).status().checkpoints >= 4
    });
    store.pass_ms(200);
    let states = store.files("shard-00/state");
    assert!(states.len() <= 3 && states.len() >= 2, "{states:?}");
}

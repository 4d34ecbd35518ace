use crate::roll_segment::body;
use crate::store::{Store, small_config};
use ringmq_engine::{Config, Hours, PullStatus};

fn config(bytes: Option<u64>, age_ms: i64) -> Config {
    let mut config = small_config();
    config.retention.bytes = bytes;
    config.retention.age_ms = age_ms;
    config.retention.delete_when = Hours::ALL;
    config
}

#[test]
fn the_oldest_segments_go_when_the_log_is_larger_than_it_may_be() {
    let mut store = Store::new(101, config(Some(3 * (512 << 10)), i64::MAX));
    let mut sent = 0;
    for _ in 0..12 {
        for _ in 0..100 {
            store.send("orders", sent % 2, &body(sent));
            sent += 1;
        }
        store.pass_ms(3_000);
    }
    // The rest goes a segment at a time.
    store.pass_ms(20_000);
    let status = store.shard(0).status();
    assert!(status.segments <= 4, "{status:?}");
    let (shard, queue) = store.queue("orders", 0);
    let offsets = store.shard(shard).offsets(queue);
    assert!(offsets.min > 0 && offsets.max == u64::from(sent) / 2);
    let small = store.pull("orders", 0, 0, 1);
    assert_eq!(
        (small.status, small.next),
        (PullStatus::TooSmall, offsets.min)
    );
    let kept: Vec<_> = (offsets.min..offsets.max)
        .map(|n| body(n as u32 * 2))
        .collect();
    assert!(store.bodies("orders", 0) == kept);
    // The minimum never goes back.
    let mut store = store.kill_and_open();
    let (shard, queue) = store.queue("orders", 0);
    assert_eq!(store.shard(shard).offsets(queue), offsets);
    assert!(store.bodies("orders", 0) == kept);
}

#[test]
fn the_active_segment_stays_however_old_it_is() {
    let mut store = Store::new(102, config(None, 1_000));
    for number in 0..600 {
        store.send("orders", 0, &body(number));
    }
    for _ in 0..20 {
        store.pass_ms(3_000);
        // A little of log, so that two checkpoints come to start after the old segments.
        for _ in 0..30 {
            store.send("orders", 1, &body(7));
        }
    }
    let status = store.shard(0).status();
    assert!(status.segments >= 1 && status.segments <= 3, "{status:?}");
    let (shard, queue) = store.queue("orders", 0);
    let offsets = store.shard(shard).offsets(queue);
    // Everything of this queue is gone, and its offsets go on from where they were.
    assert_eq!((offsets.min, offsets.max), (600, 600));
    assert_eq!(store.send("orders", 0, b"next").queue_offset, 600);
}

#[test]
fn either_slot_of_the_manifest_alone_opens_the_store_after_segments_have_gone() {
    const SLOT_BYTES: u64 = 32 << 10;
    for damaged in 0..2 {
        let mut store = Store::new(103, config(Some(3 * (512 << 10)), i64::MAX));
        let (shard, queue) = store.queue("orders", 0);
        let mut sent = 0;
        while store.shard(shard).offsets(queue).min == 0 {
            for _ in 0..50 {
                store.send("orders", 0, &body(sent));
                sent += 1;
            }
            store.pass_ms(2_000);
            assert!(sent < 5_000, "nothing retires");
        }
        // Until its file has gone, and no longer: the manifest was last written for that.
        store.pass_ms(100);
        let before = store.shard(shard).offsets(queue);
        let world = store.kill();
        let at = damaged * SLOT_BYTES + 100;
        let manifest = std::path::Path::new("data/shard-00/manifest");
        world.flip(manifest, at, 1).expect("a manifest");
        let mut store = Store::open(world, config(None, i64::MAX));
        let (shard, queue) = store.queue("orders", 0);
        assert_eq!(store.shard(shard).offsets(queue), before, "slot {damaged}");
        let kept: Vec<_> = (before.min..before.max).map(|n| body(n as u32)).collect();
        assert!(store.bodies("orders", 0) == kept, "slot {damaged}");
    }
}

use crate::store::{Store, bodies_of, small_config};
use ringmq_engine::{Event, PullOutcome, PullStatus};

#[test]
fn a_waiting_pull_is_answered_with_the_record_that_wakes_it() {
    let mut store = Store::new(41, small_config());
    let (shard, mut request) = store.request("orders", 0, 0, 32);
    let ticket = request.ticket;
    request.wait_until_ns = Some(u64::MAX);
    let pending = store.with(shard, |shard, io| shard.pull(io, request));
    assert!(matches!(pending, PullOutcome::Pending));
    let (sent, _) = store.append("orders", 0, b"wake up").unwrap();
    let result = store.pulled(shard, ticket);
    assert_eq!(bodies_of(&result), [b"wake up"]);
    // Told in the very turn of the acknowledgement.
    let acked = |event: &Event| matches!(event, Event::Stored { ticket } if *ticket == sent);
    assert!(store.events(shard).iter().any(acked));
}

#[test]
fn a_pull_that_waits_in_vain_is_answered_at_its_time() {
    let mut store = Store::new(42, small_config());
    let (shard, mut request) = store.request("orders", 0, 0, 32);
    let ticket = request.ticket;
    let until = store.world.now().monotonic_ns + 50_000_000;
    request.wait_until_ns = Some(until);
    store.with(shard, |shard, io| drop(shard.pull(io, request)));
    let result = store.pulled(shard, ticket);
    assert_eq!((result.status, result.next), (PullStatus::NoNew, 0));
    assert!(store.world.now().monotonic_ns >= until);
}

#[test]
fn a_cancelled_pull_is_never_answered() {
    let mut store = Store::new(43, small_config());
    let (shard, mut request) = store.request("orders", 0, 0, 32);
    let ticket = request.ticket;
    request.wait_until_ns = Some(u64::MAX);
    store.with(shard, |shard, io| drop(shard.pull(io, request)));
    store.with(shard, |shard, _| shard.cancel(ticket));
    store.send("orders", 0, b"too late");
    let told = |event: &Event| matches!(event, Event::Pulled { .. });
    assert!(!store.events(shard).iter().any(told));
}

#[test]
fn waiting_pulls_are_answered_when_the_shard_stops() {
    let mut store = Store::new(44, small_config());
    let (shard, mut request) = store.request("orders", 0, 0, 32);
    let ticket = request.ticket;
    request.wait_until_ns = Some(u64::MAX);
    store.with(shard, |shard, io| drop(shard.pull(io, request)));
    store.with(shard, |shard, _| shard.stop());
    assert_eq!(store.pulled(shard, ticket).status, PullStatus::NoNew);
}

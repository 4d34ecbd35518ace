use crate::store::{Store, bodies_of, parts, small_config};
use ringmq_engine::{Event, PullOutcome, PullStatus, Refused, TagFilter, View};

#[test]
fn what_is_acknowledged_is_read_back_in_order() {
    let mut store = Store::new(1, small_config());
    for number in 0..100u32 {
        let sent = store.send("orders", 0, &number.to_le_bytes());
        assert_eq!(sent.queue_offset, u64::from(number));
    }
    let expected: Vec<_> = (0..100u32).map(|n| n.to_le_bytes().to_vec()).collect();
    assert_eq!(store.bodies("orders", 0), expected);
}

#[test]
fn order_within_a_queue_is_the_order_of_appends_and_of_acks() {
    let mut store = Store::new(2, small_config());
    let mut tickets = Vec::new();
    for number in 0..300u32 {
        let queue = number % 3;
        let (ticket, appended) = store
            .append("orders", queue, &number.to_le_bytes())
            .unwrap();
        assert_eq!(appended.queue_offset, u64::from(number / 3));
        tickets.push(ticket);
    }
    let last = *tickets.last().unwrap();
    store.run_until("acks", |store| {
        let acked = |event: &Event| matches!(event, Event::Stored { ticket } if *ticket == last);
        store.events(0).iter().any(acked)
    });
    let acks: Vec<_> = store
        .events(0)
        .iter()
        .filter_map(|event| match event {
            Event::Stored { ticket } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(acks, tickets);
    let expected: Vec<_> = (0..100u32)
        .map(|n| (3 * n + 1).to_le_bytes().to_vec())
        .collect();
    assert_eq!(store.bodies("orders", 1), expected);
}

#[test]
fn nothing_is_shown_before_it_is_durable() {
    let mut store = Store::new(3, small_config());
    let (shard, queue) = store.queue("orders", 0);
    let (ticket, _) = store.append("orders", 0, b"first").unwrap();
    assert_eq!(store.shard(shard).offsets(queue).max, 0);
    let result = store.pull("orders", 0, 0, 1);
    assert_eq!(result.status, PullStatus::NoNew);
    store.stored(shard, ticket);
    let status = store.shard(shard).status();
    assert!(status.durable >= status.written && store.shard(shard).offsets(queue).max == 1);
}

#[test]
fn a_batch_is_contiguous_and_whole() {
    let mut store = Store::new(4, small_config());
    let (shard, queue) = store.queue("orders", 0);
    store.send("orders", 0, b"before");
    let bodies: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; 1000]).collect();
    let batch: Vec<_> = bodies
        .iter()
        .map(|body| parts("orders", 0, body, &[]))
        .collect();
    let ticket = store.ticket();
    let appended = store
        .with(shard, |shard, _| shard.append_batch(queue, &batch, ticket))
        .unwrap();
    assert_eq!(
        (appended.first.queue_offset, appended.physical.len()),
        (1, 40)
    );
    let steps: Vec<u64> = appended
        .physical
        .windows(2)
        .map(|p| p[1].0 - p[0].0)
        .collect();
    assert!(
        steps
            .iter()
            .all(|&step| step == batch[0].encoded_len() as u64)
    );
    store.stored(shard, ticket);
    assert_eq!(store.bodies("orders", 0)[1..], bodies[..]);
}

#[test]
fn records_larger_than_a_block_get_one_of_their_own() {
    let mut store = Store::new(5, small_config());
    let large = vec![7; 200 << 10];
    store.send("orders", 0, b"small");
    store.send("orders", 0, &large);
    store.send("orders", 0, b"small again");
    assert_eq!(store.bodies("orders", 0)[1], large);
    let huge = vec![7; 600 << 10];
    let refused = store.append("orders", 0, &huge);
    assert!(matches!(refused, Err(Refused::TooLarge { .. })));
}

#[test]
fn a_filter_takes_only_its_tags() {
    let mut store = Store::new(6, small_config());
    let (shard, queue) = store.queue("orders", 0);
    for number in 0..20u8 {
        let tag: &[u8] = if number % 4 == 0 {
            b"TAGS\x01TagA\x02"
        } else {
            b"TAGS\x01TagB\x02"
        };
        let ticket = store.ticket();
        store.with(shard, |shard, _| {
            shard
                .append(queue, &parts("orders", 0, &[number], &[tag]), ticket)
                .unwrap();
        });
        store.stored(shard, ticket);
    }
    let (_, mut request) = store.request("orders", 0, 0, 32);
    // Java's hash of "TagA".
    request.filter = TagFilter::codes([2_598_919]);
    let outcome = store.with(shard, |shard, io| shard.pull(io, request));
    let PullOutcome::Ready(result) = outcome else {
        panic!("all of it is in memory")
    };
    assert_eq!(bodies_of(&result), [[0], [4], [8], [12], [16]]);
    assert_eq!(result.next, 20);
}

#[test]
fn offsets_outside_of_a_queue_say_where_to_go_on() {
    let mut store = Store::new(7, small_config());
    let status = |store: &mut Store, offset| {
        let result = store.pull("orders", 0, offset, 1);
        (result.status, result.next)
    };
    assert_eq!(status(&mut store, 0), (PullStatus::NoNew, 0));
    assert_eq!(status(&mut store, 5), (PullStatus::Empty, 0));
    store.send("orders", 0, b"one");
    assert_eq!(status(&mut store, 1), (PullStatus::NoNew, 1));
    assert_eq!(status(&mut store, 9), (PullStatus::BeyondMax, 1));
}

#[test]
fn a_record_is_viewed_by_its_physical_offset() {
    let mut store = Store::new(8, small_config());
    let (shard, _) = store.queue("orders", 0);
    let sent = store.send("orders", 0, b"look at me");
    let viewed = store.with(shard, |shard, io| shard.view(io, sent.physical, 1));
    let ringmq_engine::ViewOutcome::Ready(View::Found(record)) = viewed else {
        panic!("{viewed:?}")
    };
    let record = ringmq_protocol::RecordView::parse(&record).unwrap();
    assert_eq!(record.body(), b"look at me");
    let beside = ringmq_engine::PhysicalOffset(sent.physical.0 + 1);
    let nothing = store.with(shard, |shard, io| shard.view(io, beside, 1));
    assert!(matches!(
        nothing,
        ringmq_engine::ViewOutcome::Ready(View::Absent)
    ));
}

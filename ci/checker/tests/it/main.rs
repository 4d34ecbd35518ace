//! The checker accepts a good history and rejects every hand-made bad one.
#![forbid(unsafe_code)]

use ringmq_checker::{
    History, Invariant, MessageId, Observation, Outcome, QueueName, Send, Stored, check,
};

fn queue(queue_id: u32) -> QueueName {
    QueueName {
        topic: "T".into(),
        queue_id,
    }
}

fn id(client: u32, number: u64) -> MessageId {
    MessageId { client, number }
}

fn content(id: MessageId) -> u64 {
    u64::from(id.client) << 32 | id.number
}

fn send(client: u32, number: u64, queue_id: u32, begun_ns: u64, outcome: Outcome) -> Send {
    let id = id(client, number);
    Send {
        id,
        content: content(id),
        queue: queue(queue_id),
        begun_ns,
        ended_ns: begun_ns + 10,
        outcome,
    }
}

fn ok(offset: u64) -> Outcome {
    Outcome::Acknowledged { offset }
}

fn stored(offset: u64, client: u32, number: u64) -> Stored {
    let id = id(client, number);
    Stored {
        offset,
        id: Some(id),
        content: content(id),
    }
}

fn reading(queue_id: u32, at_ns: u64, min: u64, max: u64, messages: Vec<Stored>) -> Observation {
    Observation {
        queue: queue(queue_id),
        at_ns,
        min,
        max,
        messages,
        complete: true,
    }
}

/// Two clients, two queues, one refused send, one of unknown outcome that was stored twice.
fn good() -> History {
    History {
        sends: vec![
            send(1, 0, 0, 0, ok(0)),
            send(1, 1, 0, 20, ok(2)),
            send(2, 0, 0, 5, ok(1)),
            send(2, 1, 1, 30, Outcome::Refused),
            send(2, 2, 1, 50, Outcome::Unknown),
            send(2, 3, 1, 70, ok(2)),
        ],
        observations: vec![
            reading(0, 25, 0, 2, vec![stored(0, 1, 0), stored(1, 2, 0)]),
            reading(
                0,
                1000,
                0,
                3,
                vec![stored(0, 1, 0), stored(1, 2, 0), stored(2, 1, 1)],
            ),
            reading(
                1,
                1000,
                0,
                3,
                vec![stored(0, 2, 2), stored(1, 2, 2), stored(2, 2, 3)],
            ),
        ],
    }
}

#[track_caller]
fn rejected(invariant: Invariant, spoil: impl FnOnce(&mut History)) {
    let mut history = good();
    spoil(&mut history);
    let verdict = check(&history);
    assert!(
        verdict.count(invariant) > 0,
        "{invariant} was not found violated: {verdict}\n{:#?}",
        verdict.violations
    );
}

#[test]
fn a_good_history_is_accepted_and_counted() {
    let verdict = check(&good());
    assert!(verdict.holds(), "{:#?}", verdict.violations);
    assert_eq!(
        (
            verdict.acknowledged,
            verdict.refused,
            verdict.unknown,
            verdict.stored,
            verdict.duplicates
        ),
        (4, 1, 1, 6, 1)
    );
}

#[test]
fn an_empty_history_is_accepted() {
    assert!(check(&History::default()).holds());
}

#[test]
fn what_retention_removed_is_not_missed() {
    let mut history = good();
    history.observations[1].min = 1;
    history.observations[1].messages.remove(0);
    assert!(check(&history).holds());
}

#[test]
fn i01_an_acknowledged_message_at_the_end_is_missing() {
    rejected(Invariant::I01Acknowledged, |h| {
        h.observations[1].max = 2;
        h.observations[1].messages.pop();
    });
}

#[test]
fn i01_an_acknowledged_queue_is_missing() {
    rejected(Invariant::I01Acknowledged, |h| {
        h.observations.pop();
    });
}

#[test]
fn i01_an_acknowledged_offset_holds_another_message() {
    rejected(Invariant::I01Acknowledged, |h| {
        h.observations[1].messages[2] = stored(2, 2, 0);
    });
}

#[test]
fn i01_an_acknowledged_message_has_changed() {
    rejected(Invariant::I01Acknowledged, |h| {
        h.observations[2].messages[2].content ^= 1;
    });
}

#[test]
fn i01_an_acknowledged_message_was_replaced_by_a_foreign_body() {
    rejected(Invariant::I01Acknowledged, |h| {
        h.observations[2].messages[2].id = None;
    });
}

#[test]
fn i02_a_message_nobody_sent() {
    rejected(Invariant::I02NoPhantom, |h| {
        h.observations[2].max = 4;
        h.observations[2].messages.push(stored(3, 9, 9));
    });
}

#[test]
fn i02_a_body_that_is_none_of_ours() {
    rejected(Invariant::I02NoPhantom, |h| {
        h.observations[2].messages[0].id = None;
    });
}

#[test]
fn i02_a_refused_message_appears() {
    rejected(Invariant::I02NoPhantom, |h| {
        h.observations[2].max = 4;
        h.observations[2].messages.push(stored(3, 2, 1));
    });
}

#[test]
fn i02_a_message_stands_in_another_queue() {
    rejected(Invariant::I02NoPhantom, |h| {
        h.observations[2].max = 4;
        h.observations[2].messages.push(stored(3, 1, 0));
    });
}

#[test]
fn i02_an_unknown_message_appears_with_other_content() {
    rejected(Invariant::I02NoPhantom, |h| {
        h.observations[2].messages[0].content ^= 1;
    });
}

#[test]
fn i03_a_hole_in_the_offsets() {
    rejected(Invariant::I03Dense, |h| {
        h.observations[2].messages[2].offset = 3;
    });
}

#[test]
fn i03_an_offset_delivered_twice() {
    rejected(Invariant::I03Dense, |h| {
        h.observations[2].messages[1].offset = 0;
    });
}

#[test]
fn i03_offsets_delivered_backwards() {
    rejected(Invariant::I03Dense, |h| {
        h.observations[1].messages.reverse();
    });
}

#[test]
fn i03_the_first_offset_is_not_the_minimum() {
    rejected(Invariant::I03Dense, |h| {
        h.observations[1].messages.remove(0);
    });
}

#[test]
fn i03_an_offset_held_two_messages_at_two_times() {
    rejected(Invariant::I03Dense, |h| {
        h.observations[0].messages[1] = stored(1, 1, 1);
    });
}

#[test]
fn i03_an_offset_held_two_contents_at_two_times() {
    rejected(Invariant::I03Dense, |h| {
        h.observations[0].messages[1].content ^= 8;
    });
}

#[test]
fn i04_sequential_sends_are_swapped() {
    rejected(Invariant::I04Order, |h| {
        h.sends[0].outcome = ok(2);
        h.sends[1].outcome = ok(0);
    });
}

#[test]
fn i04_two_sequential_sends_got_one_offset() {
    rejected(Invariant::I04Order, |h| {
        h.sends[1].outcome = ok(0);
    });
}

#[test]
fn i05_the_maximum_goes_back() {
    rejected(Invariant::I05Bounds, |h| {
        h.observations[0].max = 5;
    });
}

#[test]
fn i05_the_minimum_goes_back() {
    rejected(Invariant::I05Bounds, |h| {
        h.observations[0].min = 1;
    });
}

#[test]
fn i05_the_minimum_passes_the_maximum() {
    rejected(Invariant::I05Bounds, |h| {
        h.observations[2].min = 4;
    });
}

#[test]
fn i05_an_acknowledged_offset_was_not_yet_below_the_maximum() {
    rejected(Invariant::I05Bounds, |h| {
        h.observations[0].max = 1;
        h.observations[0].messages.pop();
    });
}

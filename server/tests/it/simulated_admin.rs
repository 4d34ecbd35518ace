//! Administrators in the simulated world: questions to all shards through mailboxes of one slot, and
//! clients that never answer.

use ringmq_protocol::command::stats::{ConsumeStats, TopicStats};
use ringmq_server::limits::SECOND_NS;

use crate::broker::{pull, send};
use crate::groups::heartbeat;
use crate::simulated_broker::{Peer, Town};
use crate::wire::Ask;

const TOPIC: &str = "TopicTest";

fn filled(seed: u64) -> (Town, Vec<Peer>) {
    let mut town = Town::new(seed, 1 + (seed % 3) as u8);
    let mut peers: Vec<_> = (0..3).map(|_| Peer::new(&town)).collect();
    for n in 0..40 {
        peers[0].ask(n, &send(TOPIC, n % 4, "x"));
    }
    town.run_until_answered(&mut peers);
    for queue in 0..4 {
        peers[0].ask(queue, &pull(TOPIC, queue, 0));
    }
    town.run_until_answered(&mut peers);
    peers[0].take();
    (town, peers)
}

#[test]
fn every_question_to_all_shards_is_answered_once_with_the_same_figures() {
    for seed in 0..9 {
        let (mut town, mut peers) = filled(seed);
        for peer in &mut peers {
            for n in 0..10 {
                peer.ask(2 * n, &Ask::new(202).with("topic", TOPIC));
                let asked = Ask::new(208)
                    .with("consumerGroup", "CG_test")
                    .with("topic", TOPIC);
                peer.ask(2 * n + 1, &asked);
            }
        }
        town.run_until_answered(&mut peers);
        for peer in &mut peers {
            let answers = peer.take();
            assert_eq!(answers.len(), 20, "seed {seed}");
            for answer in answers {
                assert_eq!(answer.code, 0, "seed {seed}: {answer:?}");
                let max: Vec<i64> = if answer.opaque % 2 == 0 {
                    let stats = TopicStats::parse(&answer.body).unwrap();
                    stats.offset_table.values().map(|o| o.max_offset).collect()
                } else {
                    let stats = ConsumeStats::parse(&answer.body).unwrap();
                    stats
                        .offset_table
                        .values()
                        .map(|o| o.broker_offset)
                        .collect()
                };
                assert_eq!(max, [10; 4], "seed {seed}");
            }
        }
    }
}

#[test]
fn a_client_that_does_not_answer_is_waited_for_as_long_as_apache_does() {
    for seed in 0..6 {
        let (mut town, mut peers) = filled(seed);
        peers[1].ask(1, &heartbeat("m@1", "CG_live", "*", 1));
        town.run_until_answered(&mut peers);
        peers[1].take();
        let asked = Ask::new(307)
            .with("consumerGroup", "CG_live")
            .with("clientId", "m@1");
        let began_ns = town.world.now().monotonic_ns;
        peers[0].ask(7, &asked);
        town.run_until_answered(&mut peers);
        let took_ns = town.world.now().monotonic_ns - began_ns;
        let answer = peers[0].take().remove(0);
        assert_eq!(answer.code, 207, "seed {seed}: {answer:?}");
        assert_eq!(
            answer.remark,
            "consumer <CG_live> <m@1> Timeout: no answer within 10000 ms"
        );
        assert!((10..12).contains(&(took_ns / SECOND_NS)), "{took_ns} ns");
        let asked = Ask::new(223).with("topic", TOPIC).with("group", "CG_live");
        peers[0].ask(8, &asked);
        town.run_until_answered(&mut peers);
        let answer = peers[0].take().remove(0);
        assert_eq!(
            answer.text(),
            r#"{"consumerTable":{},"messageQueueTable":{}}"#,
            "who does not answer is left out, seed {seed}"
        );
    }
}

//! Consumer groups and their offsets.

use crate::cluster::Cluster;

#[test]
fn a_group_goes_on_where_it_committed_and_is_seen_and_moved() {
    let cluster = Cluster::start();
    cluster.done("updateTopic -c DefaultCluster -t Orders -r 1 -w 1");
    cluster.done("updateSubGroup -c DefaultCluster -g readers -r 3");
    cluster.done("send -t Orders -p m --count 5");
    let first = cluster.done("consume -t Orders -g readers --commit -c 2");
    assert!(first.out.ends_with("2 messages\n"), "{first:?}");
    let progress = cluster.json_until("consumerProgress -g readers", |progress| {
        progress["consumeDiffTotal"] == 3
    });
    assert_eq!(progress["queues"][0]["consumerOffset"], 2);
    let second = cluster.done("consume -t Orders -g readers --commit");
    assert!(second.out.ends_with("3 messages\n"), "{second:?}");
    let looked = cluster.done("consume -t Orders -g readers");
    assert!(
        looked.out.ends_with("5 messages\n"),
        "without --commit nothing is taken: {looked:?}"
    );

    cluster.done("resetOffsetByTime -g readers -t Orders -s 0");
    cluster.json_until("consumerProgress -g readers", |progress| {
        progress["consumeDiffTotal"] == 5
    });
    cluster.done("skipAccumulatedMessage -g readers -t Orders");
    cluster.json_until("consumerProgress -g readers", |progress| {
        progress["consumeDiffTotal"] == 0
    });
    cluster.done("cloneGroupOffset -s readers -d copy -t Orders -o true");
    cluster.json_until("consumerProgress -g copy", |progress| {
        progress["queues"][0]["consumerOffset"] == 5
    });
}

#[test]
fn settings_of_a_group_are_kept_and_shown() {
    let cluster = Cluster::start();
    cluster.done("updateSubGroup -c DefaultCluster -g readers -r 3 -d true");
    let config = cluster.done("getConsumerConfig -g readers");
    assert_eq!(
        config.lines_with("retryMaxTimes")[0]
            .split_whitespace()
            .last(),
        Some("3")
    );
    let wrong = cluster.run("getConsumerConfig -g raeders");
    assert_eq!(
        (wrong.code, wrong.err.contains("did you mean readers?")),
        (1, true),
        "{wrong:?}"
    );
    let offline = cluster.run("consumerConnection -g readers");
    assert_eq!(
        (
            offline.code,
            offline.err.contains("hint: the group has no connected")
        ),
        (1, true),
        "{offline:?}"
    );
    cluster.done("deleteSubGroup -c DefaultCluster -g readers -r true");
    assert_eq!(cluster.run("getConsumerConfig -g readers").code, 1);
}

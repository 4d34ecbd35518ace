//! Mailboxes between threads that sleep in their rings.

use ringmq_ring::uring::UringWaker;
use ringmq_ring::{Io, Mailboxes, Uring, UringConfig, Wait};

type Mail = Mailboxes<u64, u64, UringWaker>;

const ROUNDS: u64 = 2_000;

#[test]
fn requests_and_replies_cross_between_sleeping_threads_and_none_is_lost() {
    let threads: Vec<_> = Mail::mesh(3, 16)
        .into_iter()
        .map(|mail| std::thread::spawn(move || exchange(mail)))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Sends `ROUNDS` requests to every other thread, answers theirs with one more than asked, and
/// sleeps without a time limit whenever there is nothing to do: a lost wake-up would hang.
fn exchange(mut mail: Mail) {
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    mail.publish(ring.waker());
    let others: Vec<_> = (0..mail.shards()).filter(|&at| at != mail.me()).collect();
    let mut sent = vec![0; mail.shards()];
    let mut answered = vec![0; mail.shards()];
    let mut served = 0;
    let all = ROUNDS * others.len() as u64;
    while answered.iter().sum::<u64>() < all || served < all {
        mail.begin();
        while let Some((from, reply)) = mail.next_reply() {
            assert_eq!(reply, answered[from] + 1, "in order");
            answered[from] += 1;
        }
        while let Some((from, request)) = mail.next_request() {
            mail.reply(from, request + 1);
            served += 1;
        }
        for &to in &others {
            while sent[to] < ROUNDS && mail.request(to, sent[to]).is_ok() {
                sent[to] += 1;
            }
        }
        mail.flush(&mut ring);
        let done = answered.iter().sum::<u64>() == all && served == all;
        let wait = if done { Wait::Poll } else { Wait::Forever };
        ring.turn(wait, &mut Vec::new()).unwrap();
    }
    assert_eq!(mail.unanswered(), 0);
}

//! In steady state nothing allocates.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use ringmq_ring::uring::UringCompletion;
use ringmq_ring::{FileId, Io, Payload, SocketId, Uring, Wait};

use crate::driver::{Driver, pattern};

const WARM_UP: usize = 200;
const ROUNDS: usize = 500;

/// One turn that sleeps until something comes.
fn turn(ring: &mut Uring, completions: &mut Vec<UringCompletion>) {
    ring.turn(Wait::Forever, completions).unwrap();
}

fn commit(ring: &mut Uring, file: FileId, data: &Bytes, completions: &mut Vec<UringCompletion>) {
    for at in 0..4 {
        ring.write_durable(file, at * 4096, data.clone(), at);
    }
    let mut left = 4;
    while left > 0 {
        turn(ring, completions);
        for completion in completions.drain(..) {
            assert_eq!(completion.result.unwrap(), 4096);
            left -= 1;
        }
    }
}

#[test]
fn durable_writes_allocate_nothing() {
    let mut driver = Driver::new();
    let file = driver.file(4 * 4096);
    let data = pattern(4096, 1);
    let Driver { ring, completions } = &mut driver;
    for _ in 0..WARM_UP {
        commit(ring, file, &data, completions);
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..ROUNDS {
            commit(ring, file, &data, completions);
        }
    });
    assert_eq!(counted.count_total, 0);
}

/// Echoes one message in two parts, with the lists of parts used again and again.
fn echo(
    ring: &mut Uring,
    socket: SocketId,
    peer: &mut TcpStream,
    reply: &Bytes,
    lists: &mut Vec<Vec<Bytes>>,
    completions: &mut Vec<UringCompletion>,
) {
    peer.write_all(&[5; 512]).unwrap();
    let (mut received, mut sent) = (0, false);
    while received < 512 || !sent {
        turn(ring, completions);
        for completion in completions.drain(..) {
            match completion.payload {
                Payload::Received(bytes) => {
                    assert!(completion.more);
                    received += bytes.as_ref().len();
                    if received == 512 {
                        let mut parts = lists.pop().unwrap();
                        parts.extend([reply.slice(..256), reply.slice(256..)]);
                        ring.send(socket, parts, 2);
                    }
                }
                Payload::Sent(list) => {
                    lists.push(list);
                    sent = true;
                }
                payload => panic!("{payload:?}"),
            }
        }
    }
    let mut got = [0; 512];
    peer.read_exact(&mut got).unwrap();
}

#[test]
fn receiving_and_sending_allocate_nothing() {
    let mut driver = Driver::new();
    let (socket, mut peer) = driver.connection();
    driver.ring.receive(socket, 1);
    let reply = Bytes::from(vec![6; 512]);
    let mut lists = vec![Vec::with_capacity(2)];
    let Driver { ring, completions } = &mut driver;
    let mut rounds = |count| {
        for _ in 0..count {
            echo(ring, socket, &mut peer, &reply, &mut lists, completions);
        }
    };
    rounds(WARM_UP);
    let counted = allocation_counter::measure(|| rounds(ROUNDS));
    assert_eq!(counted.count_total, 0);
}

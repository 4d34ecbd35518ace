//! Accepting, receiving, sending and closing over loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use ringmq_ring::uring::UringConfig;
use ringmq_ring::{Io, Payload};

use crate::driver::{Driver, connected, pattern};

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const KIND: u64 = u64::MAX << 32;

#[test]
fn sixty_four_connections_get_their_own_bytes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients = std::thread::spawn(move || {
        let mut streams: Vec<_> = (0..64)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for round in 0..20_u8 {
            for (at, stream) in streams.iter_mut().enumerate() {
                stream.write_all(&[at as u8 ^ round; 700]).unwrap();
            }
            for (at, stream) in streams.iter_mut().enumerate() {
                let mut echo = [0; 700];
                stream.read_exact(&mut echo).unwrap();
                assert_eq!(echo, [at as u8 ^ round; 700]);
            }
        }
    });
    let mut driver = Driver::new();
    let listener = driver.ring.adopt_listener(listener).unwrap();
    driver.ring.accept(listener, ACCEPT);
    let mut echo = Echo::default();
    driver.until(|driver| {
        echo.serve(driver);
        echo.closed == 64
    });
    clients.join().unwrap();
}

/// Sends back what comes in; one send per connection at a time.
#[derive(Default)]
struct Echo {
    sockets: Vec<(ringmq_ring::SocketId, Vec<u8>, bool)>,
    closed: usize,
}

impl Echo {
    fn serve(&mut self, driver: &mut Driver) {
        for completion in std::mem::take(&mut driver.completions) {
            let at = (completion.token & !KIND) as usize;
            match completion.payload {
                Payload::Accepted(stream) => {
                    assert!(completion.more);
                    let socket = driver.ring.adopt_socket(stream).unwrap();
                    driver
                        .ring
                        .receive(socket, RECEIVE | self.sockets.len() as u64);
                    self.sockets.push((socket, Vec::new(), false));
                }
                Payload::Received(bytes) if bytes.as_ref().is_empty() => {
                    driver.ring.close_socket(self.sockets[at].0);
                    self.closed += 1;
                }
                Payload::Received(bytes) => {
                    self.sockets[at].1.extend_from_slice(bytes.as_ref());
                    if !completion.more {
                        driver.ring.receive(self.sockets[at].0, completion.token);
                    }
                    self.send(driver, at);
                }
                Payload::Sent(_) => {
                    completion.result.unwrap();
                    self.sockets[at].2 = false;
                    self.send(driver, at);
                }
                Payload::None | Payload::Buffer(_) => {
                    assert_eq!(completion.token & KIND, RECEIVE);
                    driver.ring.receive(self.sockets[at].0, completion.token);
                }
            }
        }
    }

    fn send(&mut self, driver: &mut Driver, at: usize) {
        let (socket, bytes, sending) = &mut self.sockets[at];
        if !*sending && !bytes.is_empty() {
            *sending = true;
            let half = bytes.split_off(bytes.len() / 2);
            let parts = vec![Bytes::from(std::mem::take(bytes)), Bytes::from(half)];
            driver.ring.send(*socket, parts, SEND | at as u64);
        }
    }
}

#[test]
fn a_gather_send_of_megabytes_arrives_whole_at_a_slow_reader() {
    let mut driver = Driver::new();
    let (socket, mut peer) = driver.connection();
    let parts: Vec<_> = (0..3_000)
        .map(|at| pattern(4096, at as u8).slice(at % 7..4096 - at % 11))
        .collect();
    let expected: Vec<u8> = parts.concat();
    let total = expected.len();
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; total];
        for chunk in got.chunks_mut(50_000) {
            std::thread::yield_now();
            peer.read_exact(chunk).unwrap();
        }
        got
    });
    driver.ring.send(socket, parts, 5);
    let sent = driver.one();
    assert_eq!(sent.token, 5);
    assert_eq!(sent.result.unwrap(), total);
    assert!(matches!(sent.payload, Payload::Sent(list) if list.is_empty() && list.capacity() > 0));
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn an_empty_send_completes() {
    let mut driver = Driver::new();
    let (socket, _peer) = driver.connection();
    driver.ring.send(socket, Vec::new(), 1);
    assert_eq!(driver.one().result.unwrap(), 0);
}

#[test]
fn a_second_send_on_a_busy_socket_is_refused() {
    let mut driver = Driver::new();
    let (socket, _peer) = driver.connection();
    driver.ring.send(socket, vec![pattern(16 << 20, 1)], 1);
    driver.ring.send(socket, vec![pattern(4096, 2)], 2);
    let refused = driver.of(2);
    assert!(refused.result.is_err() && matches!(refused.payload, Payload::Sent(_)));
    driver.ring.close_socket(socket);
    assert!(driver.of(1).result.is_err());
}

#[test]
fn when_receive_buffers_run_out_it_says_so_and_goes_on_when_armed_again() {
    let mut driver = Driver::with(&UringConfig {
        receive_buffers: 2,
        receive_buffer_bytes: 1024,
        ..UringConfig::default()
    });
    let (socket, mut peer) = driver.connection();
    peer.write_all(&[9; 10_000]).unwrap();
    driver.ring.receive(socket, 1);
    let mut held = Vec::new();
    let (mut got, mut exhausted) = (0, 0);
    driver.until(|driver| {
        for completion in std::mem::take(&mut driver.completions) {
            match completion.result {
                Ok(count) => {
                    let Payload::Received(bytes) = completion.payload else {
                        panic!("no bytes")
                    };
                    assert_eq!(bytes.as_ref(), vec![9; count]);
                    got += count;
                    held.push(bytes);
                }
                Err(error) => {
                    assert_eq!(
                        error.raw_os_error(),
                        Some(rustix::io::Errno::NOBUFS.raw_os_error())
                    );
                    assert!(!completion.more);
                    exhausted += 1;
                    held.clear();
                }
            }
            if !completion.more {
                held.clear();
                driver.ring.receive(socket, 1);
            }
        }
        got == 10_000
    });
    assert!(exhausted >= 4, "exhausted {exhausted} times");
}

#[test]
fn received_bytes_outlive_the_ring() {
    let mut driver = Driver::new();
    let (socket, mut peer) = driver.connection();
    driver.ring.receive(socket, 1);
    peer.write_all(b"still here").unwrap();
    let Payload::Received(bytes) = driver.one().payload else {
        panic!("no bytes")
    };
    drop(driver);
    assert_eq!(bytes.as_ref(), b"still here");
}

#[test]
fn a_peer_that_closes_is_an_empty_receive() {
    let mut driver = Driver::new();
    let (socket, peer) = driver.connection();
    driver.ring.receive(socket, 1);
    drop(peer);
    let last = driver.one();
    assert_eq!(last.result.unwrap(), 0);
    assert!(!last.more);
    assert!(matches!(last.payload, Payload::Received(bytes) if bytes.as_ref().is_empty()));
}

#[test]
fn a_stopped_receive_ends_and_can_be_armed_again() {
    let mut driver = Driver::new();
    let (socket, mut peer) = driver.connection();
    driver.ring.receive(socket, 1);
    driver.turn();
    driver.ring.stop_receiving(socket);
    let last = driver.one();
    assert!(!last.more && last.token == 1);
    peer.write_all(b"later").unwrap();
    driver.turn();
    assert!(driver.completions.is_empty(), "it was stopped");
    driver.ring.receive(socket, 2);
    let first = driver.one();
    assert_eq!((first.token, first.result.unwrap()), (2, 5));
}

#[test]
fn closing_ends_what_is_in_flight_and_the_peer_sees_it() {
    let mut driver = Driver::new();
    let (socket, mut peer) = driver.connection();
    driver.ring.receive(socket, 1);
    driver.ring.send(socket, vec![pattern(32 << 20, 1)], 2);
    driver.turn();
    driver.ring.close_socket(socket);
    driver.ring.close_socket(socket);
    assert!(!driver.of(1).more);
    driver.of(2).result.unwrap_err();
    let drained = std::thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()));
    driver.until(|_| drained.is_finished());
    driver.until(|driver| driver.ring.in_flight() == 0);
    driver.ring.receive(socket, 3);
    assert!(driver.of(3).result.is_err(), "it is closed");
}

#[test]
fn a_stale_socket_id_never_reaches_the_next_connection() {
    let mut driver = Driver::with(&UringConfig {
        files: 1,
        ..UringConfig::default()
    });
    let mut stale = Vec::new();
    for round in 0..50_u8 {
        let (socket, mut peer) = driver.connection();
        assert!(
            driver.ring.adopt_socket(connected().0).is_err(),
            "there is one slot"
        );
        for &old in &stale {
            driver.ring.send(old, vec![Bytes::from_static(b"stray")], 1);
            driver.ring.close_socket(old);
        }
        driver.ring.receive(socket, 7);
        driver
            .ring
            .send(socket, vec![Bytes::copy_from_slice(&[round])], 2);
        driver.of(2).result.unwrap();
        for refused in driver.take(stale.len()) {
            assert_eq!(refused.token, 1);
            refused.result.unwrap_err();
        }
        let mut got = [0xff; 1];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(got, [round]);
        driver.ring.close_socket(socket);
        assert!(!driver.of(7).more);
        stale.push(socket);
    }
}

#[test]
fn a_closed_listener_accepts_no_more() {
    let mut driver = Driver::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let id = driver.ring.adopt_listener(listener).unwrap();
    driver.ring.accept(id, 1);
    let _first = TcpStream::connect(address).unwrap();
    assert!(matches!(driver.one().payload, Payload::Accepted(_)));
    driver.ring.close_listener(id);
    assert!(!driver.one().more);
    driver.until(|_| TcpStream::connect(address).is_err());
}

#[test]
fn an_adopted_connection_does_not_delay_small_sends() {
    let mut driver = Driver::new();
    let (ours, _theirs) = connected();
    let watch = ours.try_clone().unwrap();
    assert!(!watch.nodelay().unwrap());
    driver.ring.adopt_socket(ours).unwrap();
    driver.turn();
    assert!(watch.nodelay().unwrap());
}

#[test]
fn the_address_of_the_peer_is_known_while_the_connection_is_open() {
    let mut driver = Driver::new();
    let (socket, peer) = driver.connection();
    let address = peer.local_addr().unwrap();
    assert_eq!(driver.ring.peer_address(socket), address);
    driver.ring.close_socket(socket);
    assert_eq!(driver.ring.peer_address(socket).port(), 0);
}

//! Who may come in: bounds on connections, floods of them, and very many at once.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringmq_server::doors::Doors;

use crate::harness::Server;
use crate::wire::{Ask, Client};

/// So many stay open at once in one test; both ends are in this process.
const MANY: usize = 500;
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects and asks; `None` when the server closed the connection instead of answering.
fn try_enter(address: SocketAddr) -> Option<Client> {
    let mut client = Client::connect(address);
    client.try_send(&Ask::new(106)).ok()?;
    let answer = client.next_frame()?;
    assert_eq!(answer.code, 0);
    Some(client)
}

/// As [`try_enter`], until there is room: the server learns of an end a moment after the client.
fn enter_in_time(address: SocketAddr) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(client) = try_enter(address) {
            return client;
        }
        assert!(Instant::now() < deadline, "no room within {PATIENCE:?}");
    }
}

#[test]
fn no_more_come_in_than_the_bound_and_room_is_given_back() {
    let doors = Doors {
        connections: 5,
        ..Doors::default()
    };
    for shards in [1, 3] {
        let server = Server::names_with(shards, doors);
        let mut inside: Vec<Client> = (0..5).map(|_| enter_in_time(server.names)).collect();
        assert!(
            (0..10).all(|_| try_enter(server.names).is_none()),
            "{shards} shards"
        );
        assert!(
            inside
                .iter_mut()
                .all(|client| client.ask(&Ask::new(106)).code == 0)
        );
        inside.pop();
        inside.push(enter_in_time(server.names));
    }
}

#[test]
fn one_address_has_no_more_connections_than_it_may() {
    let doors = Doors {
        per_address: 3,
        ..Doors::default()
    };
    for shards in [1, 3] {
        let server = Server::names_with(shards, doors);
        let mut inside: Vec<Client> = (0..3).map(|_| enter_in_time(server.names)).collect();
        // The home shard hears of a connection of another shard a moment after it was made.
        let is_shut = (0..10_000).any(|_| {
            let late = try_enter(server.names);
            late.is_none_or(|mut late| {
                late.try_send(&Ask::new(106)).is_err() || late.next_frame().is_none()
            })
        });
        assert!(is_shut, "{shards} shards");
        assert!(
            inside
                .iter_mut()
                .all(|client| client.ask(&Ask::new(106)).code == 0)
        );
        inside.pop();
        inside.push(enter_in_time(server.names));
    }
}

#[test]
fn a_flood_of_connections_that_ask_nothing_keeps_nobody_from_being_served() {
    let server = Server::names(3);
    let mut client = Client::connect(server.names);
    let mut open = Vec::new();
    for round in 0..2000 {
        open.push(TcpStream::connect(server.names).unwrap());
        if open.len() == 100 {
            open.clear();
        }
        if round % 50 == 0 {
            assert_eq!(client.ask(&Ask::new(106)).code, 0);
        }
    }
    assert_eq!(client.ask(&Ask::new(106)).code, 0);
    enter_in_time(server.names);
}

#[test]
fn very_many_connections_at_once_are_all_served_again_and_again() {
    let server = Server::names(2);
    let mut clients: Vec<Client> = (0..MANY).map(|_| Client::connect(server.names)).collect();
    for _ in 0..3 {
        let asked: Vec<i32> = clients.iter_mut().map(|c| c.send(&Ask::new(106))).collect();
        for (client, opaque) in clients.iter_mut().zip(asked) {
            assert_eq!(client.answer(opaque).code, 0);
        }
    }
}

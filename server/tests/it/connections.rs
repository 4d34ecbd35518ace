//! What a connection may and may not do, whatever it asks for.

use crate::harness::Server;
use crate::wire::{Ask, Client};

#[test]
fn impossible_frames_close_the_connection_at_once() {
    let server = Server::names(1);
    let bad: [&[u8]; 8] = [
        &[0, 0, 0, 0],
        &[0, 0, 0, 3],
        &[0x7F, 0xFF, 0xFF, 0xFF],
        &[0x80, 0, 0, 0],
        &[0x00, 0xFF, 0xFF, 0xFD],
        &[0, 0, 0, 4, 2, 0, 0, 0],
        &[0, 0, 0, 4, 0, 0, 0, 1],
        &[0, 0, 0, 10, 0, 0, 0, 6, b'{', b'"', b'a', 0xFF, b':', b'}'],
    ];
    for bytes in bad {
        let mut client = Client::connect(server.names);
        client.write(bytes);
        assert!(client.is_closed_by_server(), "{bytes:?}");
    }
    let mut client = Client::connect(server.names);
    assert_eq!(client.ask(&Ask::new(106)).code, 0, "the server lives on");
}

#[test]
fn a_malformed_header_closes_the_connection() {
    let server = Server::names(1);
    let deep = [b"{\"extFields\":".as_slice(), &[b'['; 5000]].concat();
    let truncated_binary = [0u8, 105, 0, 1, 144];
    for (kind, header) in [(0u8, deep.as_slice()), (1, &truncated_binary)] {
        let mut frame = ((header.len() + 4) as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&(u32::from(kind) << 24 | header.len() as u32).to_be_bytes());
        frame.extend_from_slice(header);
        let mut client = Client::connect(server.names);
        client.write(&frame);
        assert!(client.is_closed_by_server(), "serializer {kind}");
    }
}

#[test]
fn frames_cut_anywhere_and_pipelined_are_all_answered_in_their_numbers() {
    let server = Server::names(1);
    let mut client = Client::connect(server.names);
    let frames: Vec<u8> = (0..200)
        .flat_map(|opaque| {
            let ask = Ask::new(105).with("topic", format!("Topic{opaque}"));
            let ask = if opaque % 2 == 0 { ask } else { ask.binary() };
            ask.frame(opaque)
        })
        .collect();
    for piece in frames.chunks(7) {
        client.write(piece);
    }
    let mut numbers: Vec<i32> = (0..200)
        .map(|_| client.next_frame().expect("an answer").opaque)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_does_not_read_is_held_back_and_then_gets_everything() {
    let server = Server::names(1);
    let mut client = Client::connect(server.names);
    let value = "v".repeat(100_000);
    let put = Ask::new(100)
        .with("namespace", "n")
        .with("key", "k")
        .with("value", &value);
    assert_eq!(client.ask(&put).code, 0);
    let get = Ask::new(101).with("namespace", "n").with("key", "k");
    let count = 150;
    let mut writer = Client::connect(server.names);
    for _ in 0..count {
        writer.send(&get);
    }
    let mut other = Client::connect(server.names);
    assert_eq!(other.ask(&get).field("value").map(str::len), Some(100_000));
    for _ in 0..count {
        let answer = writer.next_frame().expect("an answer");
        assert_eq!(answer.field("value").map(str::len), Some(100_000));
    }
}

#[test]
fn connections_come_and_go_by_the_hundreds() {
    let server = Server::names(3);
    for _ in 0..20 {
        let mut clients: Vec<_> = (0..20).map(|_| Client::connect(server.names)).collect();
        for client in &mut clients {
            assert_eq!(client.ask(&Ask::new(106)).code, 0);
        }
    }
}

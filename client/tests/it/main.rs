//! The client against a server of a few lines that answers as it is told.
#![forbid(unsafe_code)]

mod admin;
mod server;

use std::time::Duration;

use ringmq_client::{
    Client, ClientConfig, ClientError, Message, Producer, PullConsumer, PullStatus,
};
use server::{Answer, Server};

const ROUTE: &str = r#"{"brokerDatas":[{"brokerAddrs":{"0":"BROKER"},"brokerName":"a","cluster":"c"}],"filterServerTable":{},"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2}]}"#;
const ROUTE_CODE: i32 = 105;
const SEND_CODE: i32 = 310;
const PULL_CODE: i32 = 11;

fn route(server: &Server) -> Answer {
    Answer::ok().body(ROUTE.replace("BROKER", &server.address()).as_bytes())
}

fn sent(offset: &str) -> Answer {
    Answer::ok()
        .field("msgId", "7F00000100002A9F0000000000000388")
        .field("queueId", "1")
        .field("queueOffset", offset)
}

fn client(server: &Server) -> Client {
    Client::new(ClientConfig::new(&server.address()).timeout(Duration::from_millis(500)))
        .expect("a client")
}

#[test]
fn a_send_finds_its_broker_and_returns_the_place() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        SEND_CODE => Some(sent("17")),
        _ => None,
    });
    let producer = Producer::new(&client(&server), "P");
    let result = producer
        .send(&Message::new("T", "body").tags("A"))
        .expect("acknowledged");
    assert_eq!((result.queue_offset, result.queue.queue_id), (17, 1));
    assert_eq!(result.message_id.len(), 32);
    let send = server
        .requests()
        .into_iter()
        .find(|r| r.code == SEND_CODE)
        .expect("a send");
    assert_eq!(send.body, b"body");
    assert!(
        send.header.contains("TAGS\\u0001A\\u0002"),
        "{}",
        send.header
    );
}

#[test]
fn a_refusal_for_good_is_not_tried_again() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        _ => Some(Answer::code(13).remark("too large")),
    });
    let producer = Producer::new(&client(&server), "P");
    let error = producer
        .send(&Message::new("T", "body"))
        .expect_err("refused");
    assert!(
        matches!(error, ClientError::Refused { code: 13, .. }),
        "{error}"
    );
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|r| r.code == SEND_CODE)
            .count(),
        1
    );
}

#[test]
fn a_busy_broker_is_tried_as_often_as_configured() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        _ => Some(Answer::code(2).remark("busy")),
    });
    let producer = Producer::new(&client(&server), "P");
    let error = producer
        .send(&Message::new("T", "body"))
        .expect_err("refused");
    assert!(
        matches!(error, ClientError::Refused { code: 2, .. }),
        "{error}"
    );
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|r| r.code == SEND_CODE)
            .count(),
        3
    );
}

#[test]
fn a_lost_answer_is_of_unknown_outcome() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        _ => None,
    });
    let config = ClientConfig::new(&server.address())
        .timeout(Duration::from_millis(100))
        .send_attempts(1);
    let producer = Producer::new(&Client::new(config).expect("a client"), "P");
    let error = producer
        .send(&Message::new("T", "body"))
        .expect_err("no answer");
    assert!(matches!(error, ClientError::Unknown(_)), "{error}");
}

#[test]
fn an_unreachable_name_server_is_told_apart() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let client = Client::new(ClientConfig::new(&closed)).expect("a client");
    let error = Producer::new(&client, "P")
        .send(&Message::new("T", "body"))
        .expect_err("nobody there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[test]
fn an_unknown_topic_is_published_through_the_default_topic() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE if request.header.contains("TBW102") => Some(route(server)),
        ROUTE_CODE => Some(Answer::code(17).remark("no route")),
        SEND_CODE => Some(sent("0")),
        _ => None,
    });
    let producer = Producer::new(&client(&server), "P");
    producer
        .send(&Message::new("new", "body"))
        .expect("acknowledged");
}

#[test]
fn a_thousand_futures_share_one_connection() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        SEND_CODE => Some(sent("5")),
        _ => None,
    });
    let producer = Producer::new(&client(&server), "P");
    let message = Message::new("T", "body");
    producer.send(&message).expect("acknowledged");
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| (0..100).filter(|_| producer.send(&message).is_ok()).count()))
            .collect();
        let sum: usize = workers
            .into_iter()
            .map(|w| w.join().expect("a worker"))
            .sum();
        assert_eq!(sum, 1000);
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_empty_pull_says_where_the_queue_ends() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        PULL_CODE => Some(
            Answer::code(19)
                .field("suggestWhichBrokerId", "0")
                .field("nextBeginOffset", "9")
                .field("minOffset", "2")
                .field("maxOffset", "9"),
        ),
        _ => None,
    });
    let consumer = PullConsumer::new(&client(&server), "C");
    let queue = consumer.queues("T").expect("queues").remove(0);
    let batch = consumer.pull(&queue, 9, 32).expect("an answer");
    assert_eq!(batch.status, PullStatus::NoNewMessage);
    assert_eq!(
        (batch.min_offset, batch.max_offset, batch.next_offset),
        (2, 9, 9)
    );
    assert_eq!(batch.messages().count(), 0);
}

#[test]
fn an_answer_that_is_no_frame_ends_the_connection_and_not_the_client() {
    let server = Server::start(|server, request| match request.code {
        ROUTE_CODE => Some(route(server)),
        SEND_CODE if server.requests().len() < 3 => Some(Answer::garbage()),
        SEND_CODE => Some(sent("1")),
        _ => None,
    });
    let producer = Producer::new(&client(&server), "P");
    producer
        .send(&Message::new("T", "body"))
        .expect("a second attempt succeeds");
    assert!(server.connections() > 1);
}

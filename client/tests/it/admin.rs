//! The admin API against a server that answers as it is told.

use std::time::Duration;

use ringmq_client::protocol::command::offset::ResetOffset;
use ringmq_client::protocol::command::topic::TopicConfig;
use ringmq_client::{Admin, Client, ClientConfig, ClientError, in_parallel, wait};

use crate::server::{Answer, Server};

fn admin(servers: &str) -> Admin {
    let config = ClientConfig::new(servers).timeout(Duration::from_millis(500));
    Admin::new(&Client::new(config).expect("a client"))
}

#[test]
fn a_code_other_than_0_is_a_refusal_with_its_text() {
    let server = Server::start(|_, _| Some(Answer::code(1).remark("no")));
    let error =
        wait(admin(&server.address()).brokers().status(&server.address())).expect_err("refused");
    assert_eq!(
        error,
        ClientError::Refused {
            code: 1,
            remark: "no".into()
        }
    );
    assert!(error.has_code(1) && !error.has_code(2));
}

#[test]
fn the_next_name_server_is_asked_where_one_is_silent_and_not_where_it_refuses() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let server = Server::start(|_, _| Some(Answer::ok().body(br#"{"topicList":["b","a"]}"#)));
    let topics = wait(
        admin(&format!("{closed};{}", server.address()))
            .topics()
            .list(),
    );
    assert_eq!(topics, Ok(vec!["a".to_owned(), "b".to_owned()]));

    let refusing = Server::start(|_, _| Some(Answer::code(1).remark("disable")));
    let outcome = wait(
        admin(&format!("{};{}", refusing.address(), server.address()))
            .topics()
            .list(),
    );
    assert!(outcome.is_err_and(|error| error.has_code(1)));
}

#[test]
fn what_changes_something_goes_to_every_name_server() {
    let servers = [(); 3].map(|()| Server::start(|_, _| Some(Answer::ok())));
    let addresses: Vec<_> = servers.iter().map(Server::address).collect();
    wait(
        admin(&addresses.join(";"))
            .name_servers()
            .put_value("NS", "k", "v"),
    )
    .expect("put");
    for server in &servers {
        let requests = server.requests();
        assert_eq!((requests.len(), requests[0].code), (1, 100));
        assert!(
            requests[0].header.contains(r#""value":"v""#),
            "{}",
            requests[0].header
        );
    }
}

#[test]
fn settings_of_a_topic_are_asked_of_old_brokers_in_another_way() {
    let server = Server::start(|_, request| match request.code {
        351 => Some(Answer::code(3).remark("not supported")),
        21 => Some(Answer::ok().body(br#"{"topicConfigTable":{"T":{"topicName":"T","perm":4}}}"#)),
        _ => None,
    });
    let admin = admin(&server.address());
    let found = wait(admin.topics().settings(&server.address(), "T")).expect("an answer");
    assert_eq!(found.map(|topic| topic.perm), Some(4));
    assert_eq!(
        wait(admin.topics().settings(&server.address(), "U")),
        Ok(None)
    );
}

#[test]
fn attributes_of_a_topic_travel_as_changes() {
    let server = Server::start(|_, _| Some(Answer::ok()));
    let attributes = [("message.type", "FIFO"), ("-queue.type", "")];
    let topic = TopicConfig {
        topic_name: "T".into(),
        attributes: Some(
            attributes
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        ),
        ..TopicConfig::default()
    };
    wait(
        admin(&server.address())
            .topics()
            .create(&server.address(), &topic),
    )
    .expect("created");
    let header = server.requests().remove(0).header;
    assert!(
        header.contains(r#""attributes":"-queue.type,+message.type=FIFO""#),
        "{header}"
    );
}

#[test]
fn offsets_come_back_from_tables_with_objects_as_keys() {
    let body = br#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}}"#;
    let server = Server::start(|_, _| Some(Answer::ok().body(body)));
    let reset = ResetOffset {
        topic: "T".into(),
        group: "G".into(),
        timestamp: -1,
        ..ResetOffset::default()
    };
    let moved = wait(
        admin(&server.address())
            .offsets()
            .reset(&server.address(), &reset),
    )
    .expect("moved");
    assert_eq!(
        moved.offset_table.values().copied().collect::<Vec<_>>(),
        [7]
    );
}

#[test]
fn a_hundred_questions_at_once_share_a_connection() {
    let server = Server::start(|_, _| Some(Answer::ok().body(br#"{"table":{"putTps":"1.5"}}"#)));
    let (admin, address) = (admin(&server.address()), server.address());
    let asked = (0..100).map(|_| async { admin.brokers().status(&address).await });
    let answers = wait(in_parallel(asked, 16));
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|table| table["putTps"] == "1.5"))
    );
    assert_eq!((answers.len(), server.connections()), (100, 1));
}

#[test]
fn an_answer_that_is_no_table_is_the_servers_mistake() {
    let server = Server::start(|_, _| Some(Answer::ok().body(b"[]")));
    let outcome = wait(admin(&server.address()).brokers().clusters());
    assert!(
        matches!(outcome, Err(ClientError::Malformed(_))),
        "{outcome:?}"
    );
}

//! Metrics, health and the status page, as a scraper and a browser ask for them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringmq_server::control::supervisor::Ended;
use ringmq_server::start;

use crate::broker::{pull, send};
use crate::process::standalone;
use crate::wire::{Ask, Client};

/// Status line and body of what comes back for these bytes.
fn exchange(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

/// The value of the first sample whose line begins so.
fn sample(text: &str, begin: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(begin))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn metrics_and_the_page_tell_what_clients_did() {
    for shards in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let running = start(&standalone(folder.path(), shards)).unwrap();
        let http = running.http_address().unwrap();
        let mut client = Client::connect(running.broker_address().unwrap());
        for _ in 0..7 {
            assert_eq!(client.ask(&send("T", 0, "<b>hello</b>")).code, 0);
        }
        assert_eq!(client.ask(&pull("T", 0, 0)).code, 0);
        let commit = Ask::new(15)
            .with("consumerGroup", "CG_test")
            .with("topic", "T");
        let commit = commit.with("queueId", 0).with("commitOffset", 4);
        assert_eq!(client.ask(&commit).code, 0);
        assert_eq!(client.ask(&send("T", 99, "refused")).code, 29);

        let node = "{cluster=\"DefaultCluster\",node_type=\"broker\",node_id=\"broker-a\"";
        let of_topic = |name: &str| format!("{name}{node},topic=\"T\"");
        let limit = Instant::now() + Duration::from_secs(30);
        let text = loop {
            let (status, text) = get(http, "/metrics");
            assert_eq!(status, "HTTP/1.1 200 OK");
            // Topics and what groups lack come a second, and a walk, later.
            if sample(&text, &of_topic("rocketmq_consumer_lag_messages")) == Some(3.0) {
                break text;
            }
            assert!(Instant::now() < limit, "{text}");
            std::thread::yield_now();
        };
        let expected = [
            (of_topic("rocketmq_messages_in_total"), 7.0),
            (of_topic("rocketmq_messages_out_total"), 7.0),
            (of_topic("ringmq_topic_messages"), 7.0),
            (
                "ringmq_send_duration_seconds_count{stage=\"total\"}".into(),
                7.0,
            ),
            (
                "ringmq_send_duration_seconds_count{stage=\"reply\"}".into(),
                7.0,
            ),
            ("ringmq_refusals_total{response_code=\"29\"}".into(), 1.0),
            ("ringmq_requests_total{request_code=\"310\"}".into(), 8.0),
            (format!("ringmq_ready{node}}}"), 1.0),
            ("ringmq_nameserver_brokers".into(), 1.0),
        ];
        for (begin, value) in expected {
            assert_eq!(sample(&text, &begin), Some(value), "{begin}\n{text}");
        }
        let (status, page) = get(http, "/");
        assert_eq!(status, "HTTP/1.1 200 OK");
        for text in ["broker-a", "CG_test", "<td>T</td>", "takes sends"] {
            assert!(page.contains(text), "{text}\n{page}");
        }
        assert!(
            !page.contains("<script") && !page.contains("src="),
            "nothing is fetched"
        );
        assert_eq!(get(http, "/health/live").0, "HTTP/1.1 200 OK");
        assert_eq!(
            get(http, "/health/ready"),
            ("HTTP/1.1 200 OK".into(), "ok\n".into())
        );
        assert_eq!(running.stop(), Ended::Stopped);
    }
}

#[test]
fn what_is_asked_wrongly_is_answered_and_slow_peers_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&standalone(folder.path(), 1)).unwrap();
    let http = running.http_address().unwrap();
    let slow: Vec<_> = (0..3).map(|_| TcpStream::connect(http).unwrap()).collect();
    assert_eq!(get(http, "/nothing").0, "HTTP/1.1 404 Not Found");
    let post = exchange(http, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.0, "HTTP/1.1 405 Method Not Allowed");
    let head = exchange(http, "HEAD /health/live HTTP/1.1\r\n\r\n");
    assert_eq!(head, ("HTTP/1.1 200 OK".into(), String::new()));
    assert_eq!(
        exchange(http, "nonsense\r\n\r\n").0,
        "HTTP/1.1 400 Bad Request"
    );
    drop(slow);
    assert_eq!(running.stop(), Ended::Stopped);
}

#[test]
fn the_usual_port_is_only_missed_and_a_chosen_one_is_a_start_error() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = standalone(folder.path(), 1);
    let broker = config.broker.as_mut().unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    broker.values.set("metricsPromExporterPort", &port).unwrap();
    let error = start(&config).unwrap_err();
    assert!(
        error.to_string().contains("metricsPromExporterPort"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 71);
    let broker = config.broker.as_mut().unwrap();
    broker.values.set("ringmq.httpEnable", "false").unwrap();
    let running = start(&config).unwrap();
    assert_eq!(running.http_address(), None);
    assert_eq!(running.stop(), Ended::Stopped);
}

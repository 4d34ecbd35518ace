//! Metrics, health and the status page over HTTP: a few plain threads, beside everything that serves
//! messages. Only GET and HEAD, one request a connection, everything bounded.
//!
//! | path | what |
//! |---|---|
//! | `/` | the process at a glance |
//! | `/metrics` | Prometheus' text format |
//! | `/health/live` | 200 while the process works at all |
//! | `/health/ready` | 200 while it serves and takes sends, else 503 and why not |

mod glance;
mod health;
mod page;
mod prometheus;
mod request;
mod source;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flume::{RecvTimeoutError, Sender};

pub use health::{Health, State};
pub use source::{Facts, Source};

use crate::config::HttpConfig;
use crate::limits::{HTTP_PATIENCE, HTTP_THREADS};
use glance::Glance;
use request::Request;

/// How often a sample for rates is taken.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

/// The endpoint's threads. Dropping it ends them.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    sampling: Option<Sender<()>>,
}

impl HttpServer {
    /// Listens and answers from `source`.
    pub fn start(config: &HttpConfig, source: &Arc<Source>) -> io::Result<Self> {
        let listener = TcpListener::bind(config.address)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (sampling, samples) = flume::bounded(1);
        let server = Self {
            address: listener.local_addr()?,
            is_over,
            sampling: Some(sampling),
        };
        for _ in 0..HTTP_THREADS {
            let (listener, source) = (listener.try_clone()?, Arc::clone(source));
            let is_over = Arc::clone(&server.is_over);
            spawn("http", move || serve(&listener, &source, &is_over))?;
        }
        let source = Arc::clone(source);
        spawn("rates", move || {
            while samples.recv_timeout(SAMPLE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                source.sample();
            }
        })?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(())
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.sampling = None;
        // Each of these lets one thread see that it is over. They are not waited for: a peer that reads
        // slowly must not hold up the end of the process.
        for _ in 0..HTTP_THREADS {
            let _ = TcpStream::connect_timeout(&reachable(self.address), HTTP_PATIENCE);
        }
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        _ if !address.ip().is_unspecified() => address.ip(),
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn serve(listener: &TcpListener, source: &Source, is_over: &AtomicBool) {
    loop {
        let accepted = listener.accept();
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        match accepted {
            // A peer that goes away is no matter of ours.
            Ok((stream, _)) => drop(answer(&stream, source)),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn answer(stream: &TcpStream, source: &Source) -> io::Result<()> {
    let response = match Request::read(stream)? {
        Request::Get(path) => response(&path, source),
        Request::Head(path) => Response {
            is_head: true,
            ..response(&path, source)
        },
        Request::Other => Response::text("405 Method Not Allowed", "only GET and HEAD\n"),
        Request::Malformed => Response::text("400 Bad Request", "this is no HTTP request\n"),
    };
    stream.set_write_timeout(Some(HTTP_PATIENCE))?;
    response.write(stream)
}

fn response(path: &str, source: &Source) -> Response {
    match path {
        "/" => {
            let body = page::page(&Glance::of(source));
            Response::new("200 OK", "text/html; charset=utf-8", body)
        }
        "/metrics" => {
            let body = prometheus::exposition(&Glance::of(source), source.facts().rows_max);
            Response::new("200 OK", "text/plain; version=0.0.4; charset=utf-8", body)
        }
        "/health/live" => health(source.health().is_live()),
        "/health/ready" => health(source.is_ready()),
        _ => Response::text(
            "404 Not Found",
            "there are /, /metrics, /health/live, /health/ready\n",
        ),
    }
}

fn health(is_well: Result<(), String>) -> Response {
    match is_well {
        Ok(()) => Response::text("200 OK", "ok\n"),
        Err(reason) => Response::text("503 Service Unavailable", format!("{reason}\n")),
    }
}

struct Response {
    status: &'static str,
    kind: &'static str,
    body: String,
    is_head: bool,
}

impl Response {
    fn new(status: &'static str, kind: &'static str, body: String) -> Self {
        Self {
            status,
            kind,
            body,
            is_head: false,
        }
    }

    fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    fn write(&self, mut stream: &TcpStream) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.status,
            self.kind,
            self.body.len()
        );
        stream.write_all(head.as_bytes())?;
        if !self.is_head {
            stream.write_all(self.body.as_bytes())?;
        }
        stream.flush()
    }
}

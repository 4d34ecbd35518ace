//! Which name servers there are, where that is not simply said: a DNS name with several addresses
//! (`fetchNameSrvAddrByDnsLookup`), or an HTTP endpoint that answers with a list
//! (`fetchNamesrvAddrByAddressServer`, `rmqAddressServerDomain`). Asked again and again on a thread of
//! its own; an answer that is of no use leaves the list as it is.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError, Sender};

use crate::config::values::{addresses, is_address};
use crate::limits::{ADDRESS_SERVER_ANSWER_BYTES_MAX, NAME_SERVERS_MAX};

/// How long the endpoint may take for each step (Apache's waits as long).
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The port of an endpoint that names none.
const DEFAULT_PORT: u16 = 8080;
/// First pause after a question that led to nothing; it doubles up to the period.
const RETRY: Duration = Duration::from_secs(1);

/// Where the list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// All addresses of `host:port`.
    Dns(String),
    /// `http://HOST[:PORT]/rocketmq/GROUP`.
    AddressServer {
        /// `rmqAddressServerDomain`: a host, with its port when it is not 8080.
        domain: String,
        /// `rmqAddressServerSubGroup`.
        group: String,
    },
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No address, no connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came back is no answer of an HTTP server.
    #[error("its answer is not HTTP")]
    NotHttp,
    /// Anything but 200.
    #[error("it answered with status {0}")]
    Status(u16),
    /// The list is empty, or has an entry that is not `host:port`.
    #[error("its answer {0:?} is not a list of host:port, separated by ;")]
    NotAddresses(String),
}

impl Source {
    /// Asks once.
    pub fn find(&self) -> Result<Vec<String>, FindError> {
        match self {
            Self::Dns(name) => {
                let found: Vec<String> = name
                    .to_socket_addrs()?
                    .map(|address| address.to_string())
                    .collect();
                Ok(sorted(found))
            }
            Self::AddressServer { domain, group } => {
                let authority = authority(domain);
                let body = get(&authority, &format!("/rocketmq/{group}"))?;
                parse_list(&body)
            }
        }
    }
}

/// A host and its port.
fn authority(domain: &str) -> String {
    if is_address(domain) {
        domain.to_owned()
    } else {
        format!("{domain}:{DEFAULT_PORT}")
    }
}

/// The first line of an answer, as a list.
fn parse_list(body: &str) -> Result<Vec<String>, FindError> {
    let line = body.trim().lines().next().unwrap_or_default();
    let found: Vec<String> = addresses(line).map(str::to_owned).collect();
    if found.is_empty() || !found.iter().all(|address| is_address(address)) {
        let shown: String = line.chars().take(200).collect();
        return Err(FindError::NotAddresses(shown));
    }
    Ok(sorted(found))
}

fn sorted(mut found: Vec<String>) -> Vec<String> {
    found.sort();
    found.dedup();
    found.truncate(NAME_SERVERS_MAX);
    found
}

/// A GET of HTTP/1.0: the answer ends with the connection, so neither chunks nor lengths matter.
fn get(authority: &str, path: &str) -> Result<String, FindError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in authority.to_socket_addrs()? {
        let stream = match TcpStream::connect_timeout(&address, FETCH_TIMEOUT) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        return get_over(stream, authority, path);
    }
    Err(last.into())
}

fn get_over(mut stream: TcpStream, host: &str, path: &str) -> Result<String, FindError> {
    stream.set_read_timeout(Some(FETCH_TIMEOUT))?;
    stream.set_write_timeout(Some(FETCH_TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let deadline = Instant::now() + FETCH_TIMEOUT;
    let mut chunk = [0; 4096];
    while answer.len() < ADDRESS_SERVER_ANSWER_BYTES_MAX && Instant::now() < deadline {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    body_of(&answer)
}

fn body_of(answer: &[u8]) -> Result<String, FindError> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(FindError::NotHttp)?;
    let mut words = head.split(' ');
    let protocol = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.get(..3)?.parse().ok());
    match status {
        Some(200) if protocol.starts_with("HTTP/") => Ok(body.to_owned()),
        Some(status) if protocol.starts_with("HTTP/") => Err(FindError::Status(status)),
        _ => Err(FindError::NotHttp),
    }
}

/// Asks a source on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Finder {
    newest: Arc<Mutex<Option<Vec<String>>>>,
    found: Receiver<()>,
    /// Dropped with the finder: the thread sees it and ends.
    _alive: Sender<()>,
}

impl Finder {
    /// Asks at once and then every period.
    pub fn start(source: Source, period: Duration) -> io::Result<Self> {
        let newest = Arc::new(Mutex::new(None));
        let (tell, found) = flume::bounded(1);
        let (alive, ended) = flume::bounded(0);
        let asker = Asker {
            source,
            period,
            newest: Arc::clone(&newest),
            tell,
            ended,
        };
        thread::Builder::new()
            .name("name-servers".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || asker.run())?;
        Ok(Self {
            newest,
            found,
            _alive: alive,
        })
    }

    /// A list that is new since the last call.
    pub fn newest(&self) -> Option<Vec<String>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.take()
    }

    /// Waits for the first list.
    pub fn wait_first(&self, deadline: Instant) {
        // Without one it is asked on in the background.
        let _ = self.found.recv_deadline(deadline);
    }
}

struct Asker {
    source: Source,
    period: Duration,
    newest: Arc<Mutex<Option<Vec<String>>>>,
    tell: Sender<()>,
    ended: Receiver<()>,
}

impl Asker {
    fn run(self) {
        let mut last = Vec::new();
        let mut pause = RETRY;
        let mut has_failed = false;
        loop {
            match self.source.find() {
                Ok(found) => {
                    pause = self.period;
                    has_failed = false;
                    if found != last {
                        last.clone_from(&found);
                        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
                        *newest = Some(found);
                        // Only the first one is waited for.
                        let _ = self.tell.try_send(());
                    }
                }
                Err(error) => {
                    if !has_failed {
                        tracing::warn!(source = ?self.source, %error, "cannot find name servers; trying on");
                    }
                    pause = if has_failed {
                        (pause * 2).min(self.period)
                    } else {
                        RETRY
                    };
                    has_failed = true;
                }
            }
            let waited = self.ended.recv_timeout(pause.min(self.period));
            if !matches!(waited, Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An HTTP server that gives these answers, one a connection, and tells what it was asked.
    fn endpoint(answers: Vec<String>) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, asked) = flume::unbounded();
        thread::spawn(move || {
            for (answer, stream) in answers.into_iter().zip(listener.incoming()) {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte) {
                        Ok(1) => request.push(byte[0]),
                        Ok(_) => break,
                        Err(_) => {}
                    }
                }
                stream.write_all(answer.as_bytes()).unwrap();
                let _ = tell.send(String::from_utf8(request).unwrap());
            }
        });
        (address, asked)
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}")
    }

    fn source(domain: &str) -> Source {
        Source::AddressServer {
            domain: domain.to_owned(),
            group: "nsaddr".to_owned(),
        }
    }

    #[test]
    fn an_endpoint_is_asked_as_apaches_brokers_ask_it() {
        let (address, asked) = endpoint(vec![ok("127.0.0.1:9877;127.0.0.1:9876\r\nignored")]);
        let found = source(&address).find().unwrap();
        assert_eq!(found, ["127.0.0.1:9876", "127.0.0.1:9877"]);
        let request = asked.recv().unwrap();
        assert!(
            request.starts_with("GET /rocketmq/nsaddr HTTP/1.0\r\n"),
            "{request}"
        );
        assert!(
            request.contains(&format!("\r\nHost: {address}\r\n")),
            "{request}"
        );
    }

    #[test]
    fn answers_that_are_no_list_are_named() {
        let answers = [
            "HTTP/1.1 404 Not Found\r\n\r\n127.0.0.1:9876".to_owned(),
            "garbage".to_owned(),
            ok(""),
            ok("<html>"),
            ok("127.0.0.1"),
        ];
        let (address, _asked) = endpoint(answers.to_vec());
        let errors: Vec<String> = answers
            .iter()
            .map(|_| source(&address).find().unwrap_err().to_string())
            .collect();
        assert_eq!(
            errors,
            [
                "it answered with status 404",
                "its answer is not HTTP",
                "its answer \"\" is not a list of host:port, separated by ;",
                "its answer \"<html>\" is not a list of host:port, separated by ;",
                "its answer \"127.0.0.1\" is not a list of host:port, separated by ;",
            ]
        );
    }

    #[test]
    fn the_port_is_8080_where_none_is_named() {
        assert_eq!(authority("ns.example"), "ns.example:8080");
        assert_eq!(authority("ns.example:81"), "ns.example:81");
    }

    #[test]
    fn a_finder_tells_changes_and_keeps_what_it_knows_through_failures() {
        let answers = vec![ok("a:1"), "nothing".to_owned(), ok("a:1"), ok("b:2")];
        let (address, asked) = endpoint(answers);
        let finder = Finder::start(source(&address), Duration::from_millis(1)).unwrap();
        finder.wait_first(Instant::now() + Duration::from_secs(20));
        assert_eq!(finder.newest(), Some(vec!["a:1".to_owned()]));
        for _ in 0..4 {
            asked.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let found = loop {
            if let Some(found) = finder.newest() {
                break found;
            }
            assert!(Instant::now() < deadline, "the second list did not come");
            thread::yield_now();
        };
        assert_eq!(found, ["b:2"]);
    }

    #[test]
    fn a_dns_name_is_all_its_addresses() {
        let found = Source::Dns("127.0.0.1:9876".to_owned()).find().unwrap();
        assert_eq!(found, ["127.0.0.1:9876"]);
        let found = Source::Dns("localhost:9876".to_owned()).find().unwrap();
        assert!(
            found.iter().any(|address| address == "127.0.0.1:9876"),
            "{found:?}"
        );
    }
}

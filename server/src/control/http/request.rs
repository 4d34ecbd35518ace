//! Reading one HTTP request: its method and path. Bounded in bytes and in time.

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::time::Instant;

use crate::limits::{HTTP_HEADERS_MAX, HTTP_PATIENCE, HTTP_REQUEST_BYTES_MAX};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// GET of this path, without its query.
    Get(String),
    /// HEAD of this path.
    Head(String),
    /// Another method.
    Other,
    /// Nothing that HTTP knows, or too long.
    Malformed,
}

impl Request {
    /// Reads a request's head; its body, which GET has none of, is left.
    pub fn read(mut stream: &TcpStream) -> io::Result<Self> {
        let until = Instant::now() + HTTP_PATIENCE;
        let (mut bytes, mut chunk) = (Vec::new(), [0; 1024]);
        loop {
            if let Some(request) = Self::parse(&bytes) {
                return Ok(request);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(Self::Malformed),
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What these bytes ask for; nothing while more must come.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) if bytes.len() < HTTP_REQUEST_BYTES_MAX => return None,
            _ => return Some(Self::Malformed),
        }
        let target = request.path.unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Some(match request.method {
            Some("GET") => Self::Get(path),
            Some("HEAD") => Self::Head(path),
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_once_its_head_is_whole() {
        let whole = b"GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(Request::parse(&whole[..end]), None);
        }
        assert_eq!(Request::parse(whole), Some(Request::Get("/metrics".into())));
        let head = Request::parse(b"HEAD / HTTP/1.0\r\n\r\n");
        assert_eq!(head, Some(Request::Head("/".into())));
        assert_eq!(
            Request::parse(b"POST / HTTP/1.1\r\n\r\n"),
            Some(Request::Other)
        );
    }

    #[test]
    fn what_is_no_request_or_endless_is_malformed() {
        assert_eq!(
            Request::parse(b"\x16\x03\x01\x00"),
            Some(Request::Malformed)
        );
        let endless = [
            b"GET / HTTP/1.1\r\nA: ".as_slice(),
            &[b'a'; HTTP_REQUEST_BYTES_MAX],
        ]
        .concat();
        assert_eq!(Request::parse(&endless), Some(Request::Malformed));
        let many = "A: b\r\n".repeat(HTTP_HEADERS_MAX + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(Request::parse(many.as_bytes()), Some(Request::Malformed));
    }
}

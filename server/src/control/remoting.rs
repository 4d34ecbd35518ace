//! One blocking connection to a name server. Registration happens twice a minute from threads that
//! sleep in between, and names are looked up by a call that blocks anyway: nothing here gains from
//! being asynchronous.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{ExtWriter, Head, Header};

use crate::limits::NAME_SERVER_ANSWER_BYTES_MAX;

/// How long a connection may take to be made (Apache's client waits as long).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a call failed. Except after [`CallError::Refused`] the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The name has no address.
    #[error("its name has no address: {0}")]
    Lookup(io::Error),
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came back is no answer.
    #[error("its answer is no remoting frame")]
    Protocol,
    /// It answered with an error.
    #[error("it refused with code {code}: {remark}")]
    Refused {
        /// The code.
        code: i32,
        /// Its words.
        remark: String,
    },
}

/// What a name server answered with success.
#[derive(Debug, Default)]
pub struct Reply {
    /// Header fields.
    pub fields: Vec<(String, String)>,
}

impl Reply {
    /// A header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    opaque: i32,
}

impl Connection {
    /// Connects to `host:port`, trying all its addresses in order.
    pub fn open(address: &str) -> Result<Self, CallError> {
        Self::open_within(address, CONNECT_TIMEOUT)
    }

    /// As [`Connection::open`], waiting this long for each address.
    pub fn open_within(address: &str, timeout: Duration) -> Result<Self, CallError> {
        let addresses = address.to_socket_addrs().map_err(CallError::Lookup)?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Self::over(stream).map_err(CallError::Io),
                Err(error) => last = error,
            }
        }
        Err(CallError::Io(last))
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, opaque: 0 })
    }

    /// Sends a request and waits for its answer; anything but code 0 is an error.
    pub fn call(
        &mut self,
        code: i32,
        body: &[u8],
        timeout: Duration,
        fields: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<Reply, CallError> {
        self.opaque = self.opaque.wrapping_add(1);
        self.write(&Head::request(code, self.opaque), body, timeout, fields)?;
        self.stream.set_read_timeout(Some(timeout))?;
        self.answer()
    }

    /// Sends a request that is not answered.
    pub fn tell(
        &mut self,
        code: i32,
        timeout: Duration,
        fields: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<(), CallError> {
        self.opaque = self.opaque.wrapping_add(1);
        self.write(&Head::oneway(code, self.opaque), b"", timeout, fields)
    }

    fn write(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        timeout: Duration,
        fields: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<(), CallError> {
        let mut out = Vec::new();
        head.encode_frame(HeaderKind::Json, &mut out, body, fields)
            .map_err(|_| CallError::Protocol)?;
        self.stream.set_write_timeout(Some(timeout))?;
        self.stream.write_all(&out)?;
        Ok(())
    }

    /// Whether the name it was made for has an address, and this connection's is not among them any
    /// more. A name that cannot be looked up now has not moved.
    pub fn has_moved(&self, address: &str) -> bool {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return false;
        }
        let (Ok(peer), Ok(found)) = (self.stream.peer_addr(), address.to_socket_addrs()) else {
            return false;
        };
        let mut found = found.peekable();
        found.peek().is_some() && !found.any(|address| address == peer)
    }

    /// Whether the peer has closed the connection, without waiting.
    pub fn is_closed(&self) -> bool {
        let look = || -> io::Result<usize> {
            self.stream.set_nonblocking(true)?;
            let seen = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            seen
        };
        match look() {
            Ok(seen) => seen == 0,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }

    fn answer(&mut self) -> Result<Reply, CallError> {
        loop {
            let bytes = self.frame()?;
            let split = frame::split(&bytes, NAME_SERVER_ANSWER_BYTES_MAX);
            let Ok(Split::Frame(frame)) = split else {
                return Err(CallError::Protocol);
            };
            let header =
                Header::decode(frame.kind, frame.header).map_err(|_| CallError::Protocol)?;
            // Requests of the name server (905) and late answers are passed over.
            if !header.is_response() || header.opaque != self.opaque {
                continue;
            }
            if header.code == 0 {
                let fields = header
                    .ext
                    .iter()
                    .map(|(key, value)| (key.to_cow().into_owned(), value.to_cow().into_owned()));
                return Ok(Reply {
                    fields: fields.collect(),
                });
            }
            let remark = header.remark.map(|text| text.to_cow().into_owned());
            return Err(CallError::Refused {
                code: header.code,
                remark: remark.unwrap_or_default(),
            });
        }
    }

    /// Reads one whole frame; memory grows with what has come, not with what is announced.
    fn frame(&mut self) -> Result<Vec<u8>, CallError> {
        let mut bytes = vec![0; 4];
        self.stream.read_exact(&mut bytes)?;
        let announced = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let rest = u64::from(announced);
        if rest < 4 || rest > NAME_SERVER_ANSWER_BYTES_MAX as u64 {
            return Err(CallError::Protocol);
        }
        let read = (&mut self.stream).take(rest).read_to_end(&mut bytes)?;
        if read as u64 == rest {
            return Ok(bytes);
        }
        Err(CallError::Io(io::ErrorKind::UnexpectedEof.into()))
    }
}

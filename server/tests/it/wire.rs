//! A client of raw bytes: builds request frames, reads response frames, checks nothing by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{ExtWriter, Head, Header, Language};

/// Nothing in these tests takes longer, unless something is broken.
const LIMIT: Duration = Duration::from_secs(10);
const FRAME_LIMIT: usize = 64 * 1024 * 1024;

/// A decoded frame, owned.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: i32,
    pub opaque: i32,
    pub flag: i32,
    pub version: i32,
    pub kind: HeaderKind,
    pub remark: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> i64 {
        let value = self
            .field(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.parse().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What a request looks like before it is encoded.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub code: i32,
    pub version: i32,
    pub kind: HeaderKind,
    pub oneway: bool,
    pub fields: Vec<(&'a str, String)>,
    pub body: Vec<u8>,
}

impl<'a> Ask<'a> {
    pub fn new(code: i32) -> Self {
        Self {
            code,
            version: 513,
            kind: HeaderKind::Json,
            oneway: false,
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn with(mut self, name: &'a str, value: impl ToString) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn version(mut self, version: i32) -> Self {
        self.version = version;
        self
    }

    pub fn binary(mut self) -> Self {
        self.kind = HeaderKind::Binary;
        self
    }

    pub fn oneway(mut self) -> Self {
        self.oneway = true;
        self
    }

    pub fn frame(&self, opaque: i32) -> Vec<u8> {
        let head = Head {
            code: self.code,
            language: Language::Java,
            version: self.version,
            opaque,
            flag: if self.oneway { 2 } else { 0 },
            remark: None,
        };
        let mut out = Vec::new();
        let put = |ext: &mut ExtWriter<'_>| {
            for (name, value) in &self.fields {
                ext.put(name, value.as_str());
            }
        };
        head.encode_frame(self.kind, &mut out, &self.body, put)
            .unwrap();
        out
    }
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    next_opaque: i32,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        Self {
            stream,
            received: Vec::new(),
            next_opaque: 1,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request to a server that may have closed the connection.
    pub fn try_send(&mut self, ask: &Ask<'_>) -> std::io::Result<()> {
        self.stream.write_all(&ask.frame(0))
    }

    /// Sends without waiting; returns the request's number.
    pub fn send(&mut self, ask: &Ask<'_>) -> i32 {
        let opaque = self.next_opaque;
        self.next_opaque += 1;
        let frame = ask.frame(opaque);
        self.write(&frame);
        opaque
    }

    /// Sends and waits for the answer; requests of the server's own are passed over.
    pub fn ask(&mut self, ask: &Ask<'_>) -> Answer {
        let opaque = self.send(ask);
        self.answer(opaque)
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, opaque: i32) -> Answer {
        loop {
            let frame = self.next_frame().expect("the connection was closed");
            if frame.flag & 1 == 1 && frame.opaque == opaque {
                return frame;
            }
        }
    }

    /// The next frame of any kind; `None` when the server has closed the connection.
    pub fn next_frame(&mut self) -> Option<Answer> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                // A socket with a timeout is woken by whatever stops the process for a moment.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no frame within {LIMIT:?}: {error}"),
            }
        }
    }

    pub fn is_closed_by_server(&mut self) -> bool {
        self.next_frame().is_none()
    }

    fn take_frame(&mut self) -> Option<Answer> {
        let (answer, length) = decode(&self.received)?;
        self.received.drain(..length);
        Some(answer)
    }
}

/// The first whole frame of these bytes, and its length.
pub fn decode(bytes: &[u8]) -> Option<(Answer, usize)> {
    let Split::Frame(frame) = frame::split(bytes, FRAME_LIMIT).unwrap() else {
        return None;
    };
    let header = Header::decode(frame.kind, frame.header).unwrap();
    let fields = header.ext.iter();
    let answer = Answer {
        code: header.code,
        opaque: header.opaque,
        flag: header.flag,
        version: header.version,
        kind: frame.kind,
        remark: header
            .remark
            .map(|text| text.to_cow().into_owned())
            .unwrap_or_default(),
        fields: fields
            .map(|(name, value)| (name.to_cow().into_owned(), value.to_cow().into_owned()))
            .collect(),
        body: frame.body.to_vec(),
    };
    Some((answer, frame.total))
}

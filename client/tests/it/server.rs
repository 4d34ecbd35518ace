//! A server that notes every request and answers as a closure says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::{Head, Header};

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    pub code: i32,
    pub header: String,
    pub body: Vec<u8>,
}

/// What to answer.
pub struct Answer {
    code: i32,
    remark: Option<String>,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
    garbage: bool,
}

impl Answer {
    pub fn ok() -> Self {
        Self::code(0)
    }

    pub fn code(code: i32) -> Self {
        Self {
            code,
            remark: None,
            fields: Vec::new(),
            body: Vec::new(),
            garbage: false,
        }
    }

    pub fn garbage() -> Self {
        Self {
            garbage: true,
            ..Self::ok()
        }
    }

    pub fn remark(mut self, remark: &str) -> Self {
        self.remark = Some(remark.into());
        self
    }

    pub fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    fn encode(&self, opaque: i32) -> Vec<u8> {
        if self.garbage {
            return vec![0xff; 64];
        }
        let mut out = Vec::new();
        let mut head = Head::response(self.code, opaque);
        if let Some(remark) = &self.remark {
            head = head.with_remark(remark);
        }
        head.encode_frame(HeaderKind::Json, &mut out, &self.body, |ext| {
            for (name, value) in &self.fields {
                ext.put(name, value.as_str());
            }
        })
        .expect("an answer fits a frame");
        out
    }
}

type Script = dyn Fn(&Server, &Request) -> Option<Answer> + Send + Sync;

/// The server; its threads end with the test process.
#[derive(Clone)]
pub struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    script: Arc<Script>,
}

impl Server {
    pub fn start(
        script: impl Fn(&Server, &Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address").to_string(),
            requests: Arc::default(),
            connections: Arc::default(),
            script: Arc::new(script),
        };
        let accepting = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                let serving = accepting.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("requests").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn serve(&self, mut stream: TcpStream) {
        let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            while let Ok(Split::Frame(frame)) = frame::split(&received, 1 << 20) {
                let header = Header::decode(frame.kind, frame.header).expect("a header");
                let request = Request {
                    code: header.code,
                    header: String::from_utf8_lossy(frame.header).into_owned(),
                    body: frame.body.to_vec(),
                };
                let (opaque, total) = (header.opaque, frame.total);
                self.requests
                    .lock()
                    .expect("requests")
                    .push(request.clone());
                if let Some(answer) = (self.script)(self, &request)
                    && stream.write_all(&answer.encode(opaque)).is_err()
                {
                    return;
                }
                received.drain(..total);
            }
            match stream.read(&mut chunk) {
                Ok(count) if count > 0 => received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

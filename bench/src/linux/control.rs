//! Requests of the preparation: one blocking connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{Head, Header};

use super::counters::Counters;
use super::error::{BenchError, Result};

const FRAME_BYTES_MAX: usize = 16 << 20;
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// What is read of an answer.
struct Answered {
    /// Its field `offset`, 0 where there is none.
    offset: u64,
    body: Vec<u8>,
}

/// A connection for requests that are not measured.
pub struct Control {
    target: String,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Control {
    /// Connects to a server.
    pub fn connect(target: &str) -> Result<Self> {
        let failed = |source| BenchError::Connection {
            target: target.to_owned(),
            source,
        };
        let stream = TcpStream::connect(target).map_err(failed)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self {
            target: target.to_owned(),
            stream,
            received: Vec::new(),
        })
    }

    /// Makes sure that the topic is there with so many queues.
    pub fn create_topic(&mut self, topic: &str, queues: u32) -> Result<()> {
        let queues = queues.to_string();
        self.call(
            "creating the topic",
            17,
            &[
                ("topic", topic),
                ("defaultTopic", "TBW102"),
                ("readQueueNums", &queues),
                ("writeQueueNums", &queues),
                ("perm", "6"),
                ("topicFilterType", "SINGLE_TAG"),
                ("topicSysFlag", "0"),
                ("order", "false"),
            ],
        )
        .map(|_| ())
    }

    /// Turns and commits of the server, where it counts them.
    pub fn counters(&mut self) -> Option<Counters> {
        let answer = self.call("the counters", Counters::REQUEST, &[]).ok()?;
        Counters::from_body(&answer.body)
    }

    /// The minimum and the maximum offset of a queue.
    pub fn bounds(&mut self, topic: &str, queue_id: u32) -> Result<(u64, u64)> {
        let queue_id = queue_id.to_string();
        let fields = [("topic", topic), ("queueId", queue_id.as_str())];
        Ok((
            self.call("the minimum offset", 31, &fields)?.offset,
            self.call("the maximum offset", 30, &fields)?.offset,
        ))
    }

    /// Sends one request and waits for its answer.
    fn call(&mut self, what: &str, code: i32, fields: &[(&str, &str)]) -> Result<Answered> {
        let mut request = Vec::new();
        Head::request(code, 1)
            .encode_frame(HeaderKind::Json, &mut request, &[], |ext| {
                for (name, value) in fields {
                    ext.put(name, *value);
                }
            })
            .map_err(|error| BenchError::Malformed(error.to_string()))?;
        self.exchange(&request, what).map_err(|error| match error {
            BenchError::Io(source) => BenchError::Connection {
                target: self.target.clone(),
                source,
            },
            other => other,
        })
    }

    fn exchange(&mut self, request: &[u8], what: &str) -> Result<Answered> {
        self.stream.write_all(request)?;
        let mut chunk = [0; 16 * 1024];
        loop {
            let malformed = |error: String| BenchError::Malformed(error);
            match frame::split(&self.received, FRAME_BYTES_MAX)
                .map_err(|error| malformed(error.to_string()))?
            {
                Split::Incomplete { .. } => {
                    let count = match self.stream.read(&mut chunk) {
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                        other => other?,
                    };
                    if count == 0 {
                        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                    }
                    self.received.extend_from_slice(&chunk[..count]);
                }
                Split::Frame(answer) => {
                    let header = Header::decode(answer.kind, answer.header)
                        .map_err(|error| malformed(error.to_string()))?;
                    let (code, total) = (header.code, answer.total);
                    let remark = header.remark.map(|text| text.to_cow().into_owned());
                    let answered = Answered {
                        offset: header.ext.get_i64("offset").unwrap_or_default() as u64,
                        body: answer.body.to_vec(),
                    };
                    self.received.drain(..total);
                    return if code == 0 {
                        Ok(answered)
                    } else {
                        Err(BenchError::Refused {
                            what: what.to_owned(),
                            code,
                            remark: remark.unwrap_or_default(),
                        })
                    };
                }
            }
        }
    }
}

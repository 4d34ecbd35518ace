//! RocketMQ's wire by hand: a blocking connection that shares no code with the crates it checks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// What the checks use of the protocol's request codes.
pub mod code {
    /// SEND_MESSAGE_V2.
    pub const SEND_V2: i32 = 310;
    /// UPDATE_CONSUMER_OFFSET.
    pub const COMMIT: i32 = 15;
    /// PULL_MESSAGE.
    pub const PULL: i32 = 11;
    /// UPDATE_AND_CREATE_TOPIC.
    pub const CREATE_TOPIC: i32 = 17;
    /// GET_ROUTEINFO_BY_TOPIC, of a name server.
    pub const ROUTE: i32 = 105;
    /// GET_MAX_OFFSET.
    pub const MAX_OFFSET: i32 = 30;
    /// GET_MIN_OFFSET.
    pub const MIN_OFFSET: i32 = 31;
}

/// No answer takes longer; a check that waits longer has found a fault.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// No frame of a check is larger.
const FRAME_BYTES_MAX: usize = 32 << 20;

/// One connection.
pub struct Wire {
    stream: TcpStream,
    opaque: i32,
}

/// An answer.
pub struct Answer {
    /// The request's number.
    pub opaque: i32,
    /// The response code.
    pub code: i32,
    /// The remark, empty when there is none.
    pub remark: String,
    ext: Value,
    /// The body.
    pub body: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { stream, opaque: 0 })
    }

    /// Sends a request without waiting; its number comes back in the answer.
    pub fn request(&mut self, code: i32, ext: Value, body: &[u8]) -> std::io::Result<i32> {
        self.opaque += 1;
        let header = json!({
            "code": code, "language": "JAVA", "version": 513, "opaque": self.opaque, "flag": 0,
            "extFields": ext, "serializeTypeCurrentRPC": "JSON",
        })
        .to_string();
        let mut frame = Vec::with_capacity(8 + header.len() + body.len());
        frame.extend_from_slice(&((4 + header.len() + body.len()) as u32).to_be_bytes());
        frame.extend_from_slice(&(header.len() as u32).to_be_bytes());
        frame.extend_from_slice(header.as_bytes());
        frame.extend_from_slice(body);
        self.stream.write_all(&frame)?;
        Ok(self.opaque)
    }

    /// Waits for the next answer, whichever request it belongs to.
    pub fn answer(&mut self) -> std::io::Result<Answer> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let total = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let header_len = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        if total > FRAME_BYTES_MAX || total < 4 + header_len || head[4] != 0 {
            return Err(invalid("a frame of impossible lengths"));
        }
        let mut rest = vec![0; total - 4];
        self.stream.read_exact(&mut rest)?;
        let body = rest.split_off(header_len);
        let header: Value =
            serde_json::from_slice(&rest).map_err(|_| invalid("a header that is not JSON"))?;
        Ok(Answer {
            opaque: header["opaque"].as_i64().unwrap_or_default() as i32,
            code: header["code"].as_i64().unwrap_or(-1) as i32,
            remark: header["remark"].as_str().unwrap_or_default().to_owned(),
            ext: header["extFields"].clone(),
            body,
        })
    }

    /// Sends a request and waits for its answer (nothing else may be in flight).
    pub fn call(&mut self, code: i32, ext: Value, body: &[u8]) -> std::io::Result<Answer> {
        let opaque = self.request(code, ext, body)?;
        let answer = self.answer()?;
        if answer.opaque == opaque {
            Ok(answer)
        } else {
            Err(invalid("an answer to another request"))
        }
    }
}

impl Answer {
    /// A number among the response's fields.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.ext[name].as_str()?.parse().ok()
    }
}

/// The fields of a SEND_MESSAGE_V2 to one queue.
pub fn send_fields(topic: &str, queue_id: u32, properties: &str) -> Value {
    json!({
        "a": "crash-check", "b": topic, "c": "TBW102", "d": "4", "e": queue_id.to_string(), "f": "0",
        "g": "1700000000000", "h": "0", "i": properties, "j": "0", "k": "false", "m": "false",
    })
}

/// The fields of a pull without long polling.
pub fn pull_fields(topic: &str, queue_id: u32, offset: u64) -> Value {
    json!({
        "consumerGroup": "crash-check", "topic": topic, "queueId": queue_id.to_string(),
        "queueOffset": offset.to_string(), "maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0",
        "suspendTimeoutMillis": "0", "subscription": "*", "subVersion": "0", "expressionType": "TAG",
    })
}

/// One stored record, as far as the checks look at it.
pub struct Record {
    /// Its queue offset.
    pub offset: u64,
    /// Its body.
    pub body: Vec<u8>,
    /// Its property string.
    pub properties: String,
}

/// The records of a pull's body, by the layout of RocketMQ's `MessageDecoder`.
pub fn records(mut bytes: &[u8]) -> std::io::Result<Vec<Record>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let total = number(bytes, 0, 4)? as usize;
        let record = bytes
            .get(..total)
            .filter(|_| total > 0)
            .ok_or_else(|| invalid("a record that is cut"))?;
        found.push(record_of(record)?);
        bytes = &bytes[total..];
    }
    Ok(found)
}

fn record_of(record: &[u8]) -> std::io::Result<Record> {
    let system_flag = number(record, 36, 4)?;
    let host = |bit: u64| if system_flag & bit == 0 { 8 } else { 20 };
    let body_length_at = 48 + host(0x10) + 8 + host(0x20) + 12;
    let body_len = number(record, body_length_at, 4)? as usize;
    let body_at = body_length_at + 4;
    let body = slice(record, body_at, body_len)?;
    let crc = u64::from(crc32fast::hash(body) & 0x7fff_ffff);
    if crc != number(record, 8, 4)? {
        return Err(invalid("a record whose body does not match its checksum"));
    }
    let topic_len = number(record, body_at + body_len, 1)? as usize;
    let properties_at = body_at + body_len + 1 + topic_len;
    let properties_len = number(record, properties_at, 2)? as usize;
    let properties = slice(record, properties_at + 2, properties_len)?;
    Ok(Record {
        offset: number(record, 20, 8)?,
        body: body.to_vec(),
        properties: String::from_utf8_lossy(properties).into_owned(),
    })
}

fn number(bytes: &[u8], at: usize, len: usize) -> std::io::Result<u64> {
    Ok(slice(bytes, at, len)?
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn slice(bytes: &[u8], at: usize, len: usize) -> std::io::Result<&[u8]> {
    bytes
        .get(at..at + len)
        .ok_or_else(|| invalid("a record that is cut"))
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

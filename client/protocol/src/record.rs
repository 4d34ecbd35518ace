//! The stored message. The bytes on disk are the bytes on the wire, in RocketMQ's own layout
//! (`MessageDecoder`, `MessageExtEncoder`); everything is big-endian.
//!
//! ```text
//!   0 TOTALSIZE 4   | 4 MAGIC 4        | 8 BODYCRC 4         | 12 QUEUEID 4
//!  16 FLAG 4        | 20 QUEUEOFFSET 8 | 28 PHYSICALOFFSET 8 | 36 SYSFLAG 4
//!  40 BORNTIMESTAMP 8 | 48 BORNHOST 8 or 20 | STORETIMESTAMP 8 | STOREHOST 8 or 20
//!     RECONSUMETIMES 4 | PREPAREDTRANSACTIONOFFSET 8 | BODYLEN 4, BODY
//!     TOPICLEN 1 (V1) or 2 (V2), TOPIC | PROPLEN 2, PROPERTIES
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::checksum::body_crc;
use crate::limits::{
    DERIVED_TOPIC_BYTES_MAX, PROPERTIES_BYTES_MAX, RECORD_BYTES_MAX, TOPIC_BYTES_MAX,
};
use crate::message_id::OffsetId;
use crate::properties::{self, Properties};
use crate::tags::tags_code;

/// Magic of a record whose topic length is one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a record whose topic length is two bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the filler at the end of a segment of the reference's log.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;

/// Bits of a message's SYSFLAG (`MessageSysFlag`).
pub mod sys_flag {
    /// The body is compressed.
    pub const COMPRESSED: i32 = 0x1;
    /// The topic's filter type is MULTI_TAG.
    pub const MULTI_TAGS: i32 = 0x2;
    /// Mask of the transaction state; 0 is none.
    pub const TRANSACTION: i32 = 0xC;
    /// Half message.
    pub const TRANSACTION_PREPARED: i32 = 0x4;
    /// Committed.
    pub const TRANSACTION_COMMIT: i32 = 0x8;
    /// Rolled back.
    pub const TRANSACTION_ROLLBACK: i32 = 0xC;
    /// BORNHOST holds 20 bytes.
    pub const BORN_HOST_V6: i32 = 0x10;
    /// STOREHOST holds 20 bytes.
    pub const STORE_HOST_V6: i32 = 0x20;
    /// The client must unwrap an inner batch.
    pub const NEED_UNWRAP: i32 = 0x40;
    /// The body is an inner batch.
    pub const INNER_BATCH: i32 = 0x80;
    /// Mask of the compression type: 0x000 and 0x300 zlib, 0x100 lz4, 0x200 zstd.
    pub const COMPRESSION_TYPE: i32 = 0x700;
}

const MAGIC_AT: usize = 4;
const BODY_CRC_AT: usize = 8;
const QUEUE_ID_AT: usize = 12;
const FLAG_AT: usize = 16;
const QUEUE_OFFSET_AT: usize = 20;
const PHYSICAL_OFFSET_AT: usize = 28;
const SYS_FLAG_AT: usize = 36;
const BORN_TIMESTAMP_AT: usize = 40;
const BORN_HOST_AT: usize = 48;

/// Bytes of a V1 record with IPv4 hosts beside topic, body and properties: the smallest there is.
pub const RECORD_BYTES_MIN: usize = 91;
const HOST_V4_BYTES: usize = 8;
const HOST_V6_BYTES: usize = 20;

/// Everything of a record that is known before it gets its place in the log.
#[derive(Clone, Copy, Debug)]
pub struct RecordParts<'a> {
    /// Topic, at most 255 bytes; more than 127 make a V2 record.
    pub topic: &'a str,
    /// Queue id in the topic.
    pub queue_id: i32,
    /// The application's flag.
    pub flag: i32,
    /// [`sys_flag`] bits; the two address bits are set here from the hosts.
    pub sys_flag: i32,
    /// Milliseconds, from the client.
    pub born_timestamp: i64,
    /// Address the message came from.
    pub born_host: SocketAddr,
    /// Address of the broker.
    pub store_host: SocketAddr,
    /// How often consumption was tried before.
    pub reconsume_times: i32,
    /// Physical offset of the half message of a committed transactional record, else 0.
    pub prepared_transaction_offset: i64,
    /// The body as stored.
    pub body: &'a [u8],
    /// Pieces of the property string, concatenated in the record.
    pub properties: &'a [&'a [u8]],
}

/// What the log adds: the record's place and the time it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Offset in the queue.
    pub queue_offset: i64,
    /// Offset in the log.
    pub physical_offset: i64,
    /// Milliseconds, never decreasing within a log.
    pub store_timestamp: i64,
}

impl RecordParts<'_> {
    /// Whether the layout can hold these parts. Call it before anything depends on them.
    pub fn validate(&self) -> Result<(), PartsError> {
        let topic = self.topic.len();
        if topic == 0 || topic > DERIVED_TOPIC_BYTES_MAX {
            return Err(PartsError::Topic { bytes: topic });
        }
        let properties = self.properties_len();
        if properties > PROPERTIES_BYTES_MAX {
            return Err(PartsError::Properties { bytes: properties });
        }
        let record = self.encoded_len();
        if record > RECORD_BYTES_MAX {
            return Err(PartsError::Record { bytes: record });
        }
        Ok(())
    }

    /// Exact size of the record in bytes.
    pub fn encoded_len(&self) -> usize {
        RECORD_BYTES_MIN - 2 * HOST_V4_BYTES
            + host_len(self.born_host)
            + host_len(self.store_host)
            + usize::from(self.is_v2())
            + self.body.len()
            + self.topic.len()
            + self.properties_len()
    }

    /// Writes the record to the front of `out` and returns its size.
    ///
    /// # Panics
    /// If `out` is shorter than [`encoded_len`](Self::encoded_len), or the parts do not pass
    /// [`validate`](Self::validate): both are the caller's to check beforehand.
    pub fn encode_into(&self, out: &mut [u8], stamp: Stamp) -> usize {
        let len = self.encoded_len();
        let mut sink = Sink {
            rest: &mut out[..len],
        };
        sink.u32(length(len, RECORD_BYTES_MAX));
        sink.u32(if self.is_v2() { MAGIC_V2 } else { MAGIC_V1 });
        sink.u32(body_crc(self.body));
        sink.i32(self.queue_id);
        sink.i32(self.flag);
        sink.i64(stamp.queue_offset);
        sink.i64(stamp.physical_offset);
        sink.i32(self.stored_sys_flag());
        sink.i64(self.born_timestamp);
        sink.host(self.born_host);
        sink.i64(stamp.store_timestamp);
        sink.host(self.store_host);
        sink.i32(self.reconsume_times);
        sink.i64(self.prepared_transaction_offset);
        sink.u32(length(self.body.len(), RECORD_BYTES_MAX));
        sink.put(self.body);
        self.encode_topic(&mut sink);
        self.encode_properties(&mut sink);
        assert!(
            sink.rest.is_empty(),
            "encoded length differs by {}",
            sink.rest.len()
        );
        len
    }

    fn encode_topic(&self, sink: &mut Sink<'_>) {
        let len = length(self.topic.len(), DERIVED_TOPIC_BYTES_MAX);
        let len = len.to_be_bytes();
        sink.put(if self.is_v2() { &len[2..] } else { &len[3..] });
        sink.put(self.topic.as_bytes());
    }

    fn encode_properties(&self, sink: &mut Sink<'_>) {
        let len = length(self.properties_len(), PROPERTIES_BYTES_MAX);
        sink.put(&len.to_be_bytes()[2..]);
        for piece in self.properties {
            sink.put(piece);
        }
    }

    fn stored_sys_flag(&self) -> i32 {
        let mut flag = self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6);
        if host_len(self.born_host) == HOST_V6_BYTES {
            flag |= sys_flag::BORN_HOST_V6;
        }
        if host_len(self.store_host) == HOST_V6_BYTES {
            flag |= sys_flag::STORE_HOST_V6;
        }
        flag
    }

    fn is_v2(&self) -> bool {
        self.topic.len() > TOPIC_BYTES_MAX
    }

    /// The tag code of the record, as [`RecordView::tags_code`] finds it there.
    pub fn tags_code(&self) -> i64 {
        if !self.are_pieces_whole() {
            return Properties::new(&self.properties.concat()).tags_code();
        }
        let mut newest = self.properties.iter().rev();
        let tags = newest.find_map(|piece| Properties::new(piece).get(properties::TAGS));
        tags.map_or(0, tags_code)
    }

    /// Whether no pair of the property string crosses from one piece to the next.
    fn are_pieces_whole(&self) -> bool {
        let pieces = self.properties.iter().filter(|piece| !piece.is_empty());
        let mut before = None;
        for piece in pieces {
            let closed = before.is_none_or(|last| last == properties::PAIR_END);
            if !closed && piece.first() != Some(&properties::PAIR_END) {
                return false;
            }
            before = piece.last().copied();
        }
        true
    }

    fn properties_len(&self) -> usize {
        self.properties.iter().map(|piece| piece.len()).sum()
    }
}

/// Why parts cannot become a record; all of them are answered with MESSAGE_ILLEGAL (13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// Topic empty or too long.
    #[error("the topic has {bytes} bytes: use 1 to {DERIVED_TOPIC_BYTES_MAX}")]
    Topic {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Property string too long.
    #[error("the properties take {bytes} bytes: keep them within {PROPERTIES_BYTES_MAX}")]
    Properties {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Record too large for its size field.
    #[error("the record takes {bytes} bytes: keep it within {RECORD_BYTES_MAX}")]
    Record {
        /// Its size in bytes.
        bytes: usize,
    },
}

fn length(len: usize, limit: usize) -> u32 {
    assert!(
        len <= limit,
        "length {len} is beyond {limit}: validate() was not asked"
    );
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Bytes of an address in a record. IPv4-mapped IPv6 addresses count as IPv4, as in Java.
fn host_len(host: SocketAddr) -> usize {
    match host.ip().to_canonical() {
        IpAddr::V4(_) => HOST_V4_BYTES,
        IpAddr::V6(_) => HOST_V6_BYTES,
    }
}

struct Sink<'a> {
    rest: &'a mut [u8],
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (head, tail) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.rest = tail;
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    fn host(&mut self, host: SocketAddr) {
        match host.ip().to_canonical() {
            IpAddr::V4(ip) => self.put(&ip.octets()),
            IpAddr::V6(ip) => self.put(&ip.octets()),
        }
        self.i32(i32::from(host.port()));
    }
}

/// A record borrowed from the bytes it lies in. Its lengths have been checked against each other;
/// the body has not been checked against its CRC ([`body_crc_matches`](Self::body_crc_matches)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Exactly the record.
    bytes: &'a [u8],
    topic: &'a str,
    store_timestamp_at: usize,
    body_at: usize,
    body_len: usize,
    properties_at: usize,
}

impl<'a> RecordView<'a> {
    /// Reads the record at the front of `bytes`; what follows it is left alone.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let record = Self::cut(bytes)?;
        let magic = read_u32(record, MAGIC_AT);
        let topic_len_bytes = match magic {
            MAGIC_V1 => 1,
            MAGIC_V2 => 2,
            other => return Err(RecordError::Magic(other)),
        };
        let flag = read_i32(record, SYS_FLAG_AT);
        let store_timestamp_at = BORN_HOST_AT + stored_host_len(flag, sys_flag::BORN_HOST_V6);
        let store_host_len = stored_host_len(flag, sys_flag::STORE_HOST_V6);
        let mut cursor = Cursor {
            record,
            at: store_timestamp_at + 8 + store_host_len + 4 + 8,
        };
        let body_len = cursor.length(4, "body")?;
        let body_at = cursor.take(body_len, "body")?;
        let topic_len = cursor.length(topic_len_bytes, "topic")?;
        let topic_at = cursor.take(topic_len, "topic")?;
        let properties_len = cursor.length(2, "properties")?;
        let properties_at = cursor.take(properties_len, "properties")?;
        if cursor.at != record.len() {
            return Err(RecordError::Lengths {
                field: "total size",
            });
        }
        let topic = std::str::from_utf8(&record[topic_at..topic_at + topic_len])
            .map_err(|_| RecordError::TopicNotUtf8)?;
        Ok(Self {
            bytes: record,
            topic,
            store_timestamp_at,
            body_at,
            body_len,
            properties_at,
        })
    }

    /// The bytes that TOTALSIZE announces, at least as many as the smallest record has.
    fn cut(bytes: &'a [u8]) -> Result<&'a [u8], RecordError> {
        let Some((size, _)) = bytes.split_first_chunk::<4>() else {
            return Err(RecordError::Truncated {
                needed: RECORD_BYTES_MIN,
                available: bytes.len(),
            });
        };
        let size = i32::from_be_bytes(*size);
        if bytes.len() >= MAGIC_AT + 4 && read_u32(bytes, MAGIC_AT) == MAGIC_BLANK {
            return Err(RecordError::Blank { size });
        }
        let len = usize::try_from(size).unwrap_or(0);
        if len < RECORD_BYTES_MIN {
            return Err(RecordError::Size(size));
        }
        bytes.get(..len).ok_or(RecordError::Truncated {
            needed: len,
            available: bytes.len(),
        })
    }

    /// The whole record.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Size of the record in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a record is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the topic length takes two bytes.
    pub fn is_v2(&self) -> bool {
        read_u32(self.bytes, MAGIC_AT) == MAGIC_V2
    }

    /// The stored body CRC.
    pub fn body_crc(&self) -> u32 {
        read_u32(self.bytes, BODY_CRC_AT)
    }

    /// Whether the body is the one that the CRC was taken of.
    pub fn body_crc_matches(&self) -> bool {
        body_crc(self.body()) == self.body_crc()
    }

    /// Queue id in the topic.
    pub fn queue_id(&self) -> i32 {
        read_i32(self.bytes, QUEUE_ID_AT)
    }

    /// The application's flag.
    pub fn flag(&self) -> i32 {
        read_i32(self.bytes, FLAG_AT)
    }

    /// Offset in the queue.
    pub fn queue_offset(&self) -> i64 {
        read_i64(self.bytes, QUEUE_OFFSET_AT)
    }

    /// Offset in the log.
    pub fn physical_offset(&self) -> i64 {
        read_i64(self.bytes, PHYSICAL_OFFSET_AT)
    }

    /// [`sys_flag`] bits.
    pub fn sys_flag(&self) -> i32 {
        read_i32(self.bytes, SYS_FLAG_AT)
    }

    /// Milliseconds, from the client.
    pub fn born_timestamp(&self) -> i64 {
        read_i64(self.bytes, BORN_TIMESTAMP_AT)
    }

    /// Address the message came from.
    pub fn born_host(&self) -> SocketAddr {
        read_host(&self.bytes[BORN_HOST_AT..self.store_timestamp_at])
    }

    /// Milliseconds, from the broker.
    pub fn store_timestamp(&self) -> i64 {
        read_i64(self.bytes, self.store_timestamp_at)
    }

    /// Address of the broker that stored it.
    pub fn store_host(&self) -> SocketAddr {
        read_host(&self.bytes[self.store_timestamp_at + 8..self.reconsume_times_at()])
    }

    /// How often consumption was tried before.
    pub fn reconsume_times(&self) -> i32 {
        read_i32(self.bytes, self.reconsume_times_at())
    }

    /// Physical offset of the half message, or 0.
    pub fn prepared_transaction_offset(&self) -> i64 {
        read_i64(self.bytes, self.reconsume_times_at() + 4)
    }

    /// The body as stored.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.body_at..self.body_at + self.body_len]
    }

    /// The topic.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// The property string.
    pub fn properties(&self) -> Properties<'a> {
        Properties::new(&self.bytes[self.properties_at..])
    }

    /// The tag code that a queue entry keeps for this record.
    pub fn tags_code(&self) -> i64 {
        self.properties().tags_code()
    }

    /// The client's unique id (property `UNIQ_KEY`).
    pub fn unique_key(&self) -> Option<&'a str> {
        self.properties().get_str(properties::UNIQUE_KEY)
    }

    /// The index keys (property `KEYS`, separated by spaces), empty ones left out.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        let keys = self
            .properties()
            .get_str(properties::KEYS)
            .unwrap_or_default();
        keys.split(' ').filter(|key| !key.is_empty())
    }

    /// The broker's id of this record.
    pub fn offset_id(&self) -> OffsetId {
        OffsetId {
            host: self.store_host(),
            offset: self.physical_offset(),
        }
    }

    /// RECONSUMETIMES, PREPAREDTRANSACTIONOFFSET and BODYLEN stand right before the body.
    fn reconsume_times_at(&self) -> usize {
        self.body_at - 4 - 8 - 4
    }
}

/// The records of a body of a pull, query or view response, back to back.
///
/// Ends after the first error: behind a malformed record nothing can be found.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Walks `body` from its front.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = RecordView::parse(self.rest);
        self.rest = match &parsed {
            Ok(record) => &self.rest[record.len()..],
            Err(_) => &[],
        };
        Some(parsed)
    }
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("the record needs {needed} bytes, {available} are there: read more")]
    Truncated {
        /// Size that the record announces (the smallest there is where not even that is known).
        needed: usize,
        /// Bytes given.
        available: usize,
    },
    /// A size below that of the smallest record.
    #[error("record size {0} is too small to be one: the bytes are not a record")]
    Size(i32),
    /// Not a record's magic.
    #[error("magic {0:#010x} is not a record's: the bytes are not a record")]
    Magic(u32),
    /// The filler at the end of a segment of the reference's log.
    #[error("end-of-segment filler of {size} bytes: go on with the next segment")]
    Blank {
        /// Bytes to skip, as announced.
        size: i32,
    },
    /// The lengths inside do not add up.
    #[error("the record's {field} does not fit its size: the record is damaged")]
    Lengths {
        /// Which length.
        field: &'static str,
    },
    /// The topic is not text.
    #[error("the record's topic is not UTF-8: the record is damaged")]
    TopicNotUtf8,
}

struct Cursor<'a> {
    record: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Reads a signed length of 1, 2 or 4 bytes.
    fn length(&mut self, bytes: usize, field: &'static str) -> Result<usize, RecordError> {
        let at = self.take(bytes, field)?;
        let digits = &self.record[at..at + bytes];
        if digits[0] & 0x80 != 0 {
            return Err(RecordError::Lengths { field });
        }
        Ok(digits
            .iter()
            .fold(0, |len, byte| len << 8 | usize::from(*byte)))
    }

    /// Steps over `len` bytes and returns where they begin.
    fn take(&mut self, len: usize, field: &'static str) -> Result<usize, RecordError> {
        let start = self.at;
        let end = start
            .checked_add(len)
            .filter(|end| *end <= self.record.len());
        self.at = end.ok_or(RecordError::Lengths { field })?;
        Ok(start)
    }
}

fn stored_host_len(flag: i32, v6: i32) -> usize {
    if flag & v6 == 0 {
        HOST_V4_BYTES
    } else {
        HOST_V6_BYTES
    }
}

/// Address of 8 or 20 bytes; only the low half of the stored port can be one.
fn read_host(bytes: &[u8]) -> SocketAddr {
    let (ip, port) = bytes.split_at(bytes.len() - 4);
    let port = u16::from_be_bytes([port[2], port[3]]);
    let ip = match ip.first_chunk::<16>() {
        Some(ip) => IpAddr::from(Ipv6Addr::from(*ip)),
        None => IpAddr::from(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])),
    };
    SocketAddr::new(ip, port)
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read_i32(bytes: &[u8], at: usize) -> i32 {
    read_u32(bytes, at).cast_signed()
}

fn read_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from(read_i32(bytes, at)) << 32 | i64::from(read_u32(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(topic: &'a str, properties: &'a [&'a [u8]]) -> RecordParts<'a> {
        RecordParts {
            topic,
            queue_id: 3,
            flag: 7,
            sys_flag: sys_flag::COMPRESSED | sys_flag::BORN_HOST_V6,
            born_timestamp: 1_795_159_619_278,
            born_host: "127.0.0.1:60208".parse().unwrap(),
            store_host: "127.0.0.1:18911".parse().unwrap(),
            reconsume_times: 2,
            prepared_transaction_offset: 5,
            body: b"async",
            properties,
        }
    }

    const STAMP: Stamp = Stamp {
        queue_offset: 11,
        physical_offset: 790,
        store_timestamp: 1_795_159_619_283,
    };

    fn encode(parts: &RecordParts<'_>) -> Vec<u8> {
        parts.validate().unwrap();
        let mut out = vec![0xEE; parts.encoded_len() + 3];
        let len = parts.encode_into(&mut out, STAMP);
        assert_eq!(len, parts.encoded_len());
        assert_eq!(out.split_off(len), [0xEE; 3]);
        out
    }

    #[test]
    fn the_tag_code_of_the_parts_is_that_of_the_record() {
        let cuts: [&[&[u8]]; 8] = [
            &[],
            &[b"TAGS\x01a", b"\x02", b"", b"K\x01v\x02"],
            &[b"TAGS\x01a\x02", b"K\x01v\x02", b"TAGS\x01b\x02"],
            &[b"TAGS\x01a", b"b\x02K\x01v"],
            &[b"TA", b"GS\x01a\x02", b"K\x01v"],
            &[b"", b"TAGS\x01", b"\x02"],
            &[b"K\x01v", b"", b"\x02TAGS\x01a"],
            &[b"K\x01", b"TAGS\x01a\x02"],
        ];
        for properties in cuts {
            let parts = parts("T", properties);
            let mut record = vec![0; parts.encoded_len()];
            parts.encode_into(&mut record, Stamp::default());
            let view = RecordView::parse(&record).unwrap();
            assert_eq!(parts.tags_code(), view.tags_code(), "{properties:?}");
        }
    }

    #[test]
    fn a_record_reads_back_field_by_field() {
        let bytes = encode(&parts(
            "TopicTest",
            &[
                b"TAGS\x01TagA",
                b"\x02",
                b"KEYS\x01a  b\x02UNIQ_KEY\x01u\x02",
            ],
        ));
        let view = RecordView::parse(&bytes).unwrap();
        assert_eq!(view.topic(), "TopicTest");
        assert_eq!(view.body(), b"async");
        assert!(view.body_crc_matches() && !view.is_v2());
        assert_eq!((view.queue_id(), view.flag(), view.sys_flag()), (3, 7, 1));
        assert_eq!((view.queue_offset(), view.physical_offset()), (11, 790));
        assert_eq!(
            (view.born_timestamp(), view.store_timestamp()),
            (1_795_159_619_278, 1_795_159_619_283)
        );
        assert_eq!(view.born_host(), "127.0.0.1:60208".parse().unwrap());
        assert_eq!(view.store_host(), "127.0.0.1:18911".parse().unwrap());
        assert_eq!(
            (view.reconsume_times(), view.prepared_transaction_offset()),
            (2, 5)
        );
        assert_eq!(view.tags_code(), 2_598_919);
        assert_eq!(view.unique_key(), Some("u"));
        assert_eq!(view.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            view.offset_id().to_string(),
            "7F000001000049DF0000000000000316"
        );
    }

    #[test]
    fn ipv6_hosts_and_long_topics_change_the_layout_and_set_their_bits() {
        let topic = format!("%RETRY%{}", "g".repeat(150));
        let mut parts = parts(&topic, &[]);
        parts.born_host = "[fd00::2]:1".parse().unwrap();
        parts.store_host = "[::ffff:10.0.0.1]:2".parse().unwrap();
        let bytes = encode(&parts);
        let view = RecordView::parse(&bytes).unwrap();
        assert!(view.is_v2());
        assert_eq!(view.topic(), topic);
        assert_eq!(
            view.sys_flag(),
            sys_flag::COMPRESSED | sys_flag::BORN_HOST_V6
        );
        assert_eq!(view.born_host(), parts.born_host);
        assert_eq!(view.store_host(), "10.0.0.1:2".parse().unwrap());
        assert_eq!(view.tags_code(), 0);
    }

    #[test]
    fn parts_beyond_the_layout_are_refused() {
        let big = vec![b'x'; PROPERTIES_BYTES_MAX];
        assert_eq!(parts("t", &[&big]).validate(), Ok(()));
        assert_eq!(
            parts("t", &[&big, b"y"]).validate(),
            Err(PartsError::Properties { bytes: 32_768 })
        );
        assert_eq!(
            parts("", &[]).validate(),
            Err(PartsError::Topic { bytes: 0 })
        );
        assert_eq!(
            parts(&"t".repeat(256), &[]).validate(),
            Err(PartsError::Topic { bytes: 256 })
        );
    }

    #[test]
    fn every_cut_and_every_single_bit_flip_is_an_error_or_a_record_of_the_same_bytes() {
        let bytes = encode(&parts("TopicTest", &[b"TAGS\x01TagA\x02"]));
        for len in 0..bytes.len() {
            assert!(
                matches!(
                    RecordView::parse(&bytes[..len]),
                    Err(RecordError::Truncated { .. })
                ),
                "cut at {len}"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(view) = RecordView::parse(&damaged) {
                assert_eq!(view.as_bytes(), damaged);
            }
        }
    }

    #[test]
    fn a_body_of_records_is_walked_to_its_first_bad_one() {
        let one = encode(&parts("TopicTest", &[]));
        let body = [&one[..], &one, b"\0\0\0\x05rest"].concat();
        let found: Vec<_> = Records::new(&body).collect();
        assert_eq!(found.len(), 3);
        assert!(found[0].is_ok() && found[1].is_ok());
        assert_eq!(found[2], Err(RecordError::Size(5)));
        let blank = [0, 0, 0, 40, 0xCB, 0xD4, 0x31, 0x94];
        assert_eq!(
            RecordView::parse(&blank),
            Err(RecordError::Blank { size: 40 })
        );
    }
}

//! Sending: 10 (long field names), 310 and 320 (short ones), and batches.

use std::borrow::Cow;

use super::CommandError;
use crate::code::request;
use crate::frame::HeaderKind;
use crate::header::{Ext, ExtWriter, FieldVisitor, Header, HeaderError, Text};

/// Header of a send, whichever code it came with.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SendRequest<'a> {
    /// Producer group (`a`).
    pub producer_group: Text<'a>,
    /// Topic (`b`).
    pub topic: Cow<'a, str>,
    /// Topic whose settings a new topic takes (`c`).
    pub default_topic: Text<'a>,
    /// Queues of a new topic (`d`).
    pub default_topic_queue_nums: i32,
    /// Queue id (`e`); negative lets the broker choose.
    pub queue_id: i32,
    /// Message sysFlag (`f`).
    pub sys_flag: i32,
    /// Milliseconds (`g`).
    pub born_timestamp: i64,
    /// The application's flag (`h`).
    pub flag: i32,
    /// Property string (`i`), still with JSON escapes; `append_to` a reused buffer.
    pub properties: Text<'a>,
    /// Tries before this one (`j`).
    pub reconsume_times: i32,
    /// Unit mode (`k`).
    pub unit_mode: bool,
    /// Tries allowed (`l`), on sends to retry topics.
    pub max_reconsume_times: Option<i32>,
    /// The body is a batch (`m`). This decides, not the code.
    pub batch: bool,
    /// Broker name (`n`).
    pub broker_name: Option<Text<'a>>,
}

/// Wire names of the fields, long and short, in the order of the short ones.
const NAMES: [(&str, &str); 14] = [
    ("producerGroup", "a"),
    ("topic", "b"),
    ("defaultTopic", "c"),
    ("defaultTopicQueueNums", "d"),
    ("queueId", "e"),
    ("sysFlag", "f"),
    ("bornTimestamp", "g"),
    ("flag", "h"),
    ("properties", "i"),
    ("reconsumeTimes", "j"),
    ("unitMode", "k"),
    ("maxReconsumeTimes", "l"),
    ("batch", "m"),
    ("bname", "n"),
];

/// The first eight fields are required.
const REQUIRED: usize = 8;

impl<'a> SendRequest<'a> {
    /// Reads the fields of a request with `code`; absent and unparsable ones are at their defaults.
    pub fn decode(code: i32, ext: &Ext<'a>) -> Self {
        let mut request = Self::default();
        for (name, value) in ext.iter() {
            request.set_named(has_short_names(code), name, value);
        }
        request
    }

    /// Decodes the header of any frame and, if it is a send by [`is_send`], in the same pass its
    /// fields into `request`; whether it is says the second value. Of other headers `request` holds
    /// nothing of use afterwards.
    pub fn decode_header(
        kind: HeaderKind,
        bytes: &'a [u8],
        request: &mut Self,
    ) -> Result<(Header<'a>, bool), HeaderError> {
        *request = Self::default();
        let mut visitor = SendVisitor {
            request,
            code: 0,
            short: false,
        };
        let header = Header::decode_with(kind, bytes, &mut visitor)?;
        if !is_send(header.code) || header.is_response() {
            return Ok((header, false));
        }
        if visitor.code != header.code || header.ext.is_repeated() {
            *request = Self::decode(header.code, &header.ext);
        }
        Ok((header, true))
    }

    #[inline(always)]
    fn set_named(&mut self, short: bool, name: Text<'a>, value: Text<'a>) {
        let letter = match name.raw() {
            [letter] if short => *letter,
            _ => letter_of(short, name),
        };
        self.set(letter, value);
    }

    #[inline(always)]
    fn set(&mut self, letter: u8, value: Text<'a>) {
        let int = |default: i32| value.parse_i32().unwrap_or(default);
        match letter {
            b'a' => self.producer_group = value,
            b'b' => self.topic = value.to_cow(),
            b'c' => self.default_topic = value,
            b'd' => self.default_topic_queue_nums = int(self.default_topic_queue_nums),
            b'e' => self.queue_id = int(self.queue_id),
            b'f' => self.sys_flag = int(self.sys_flag),
            b'g' => self.born_timestamp = value.parse_i64().unwrap_or(self.born_timestamp),
            b'h' => self.flag = int(self.flag),
            b'i' => self.properties = value,
            b'j' => self.reconsume_times = int(self.reconsume_times),
            b'k' => self.unit_mode = value.parse_bool(),
            b'l' => self.max_reconsume_times = value.parse_i32().or(self.max_reconsume_times),
            b'm' => self.batch = value.parse_bool(),
            b'n' => self.broker_name = Some(value),
            _ => {}
        }
    }

    /// The first required field that is not there.
    pub fn first_missing(code: i32, ext: &Ext<'_>) -> Option<&'static str> {
        let short = has_short_names(code);
        let required = NAMES[..REQUIRED]
            .iter()
            .map(|(long, name)| if short { name } else { long });
        required.copied().find(|name| ext.get(name).is_none())
    }

    /// Puts the fields under the names that `code` wants.
    pub fn put(&self, code: i32, ext: &mut ExtWriter<'_>) {
        let short = has_short_names(code);
        let name = |at: usize| if short { NAMES[at].1 } else { NAMES[at].0 };
        ext.put(name(0), self.producer_group);
        ext.put(name(1), &self.topic);
        ext.put(name(2), self.default_topic);
        ext.put(name(3), self.default_topic_queue_nums);
        ext.put(name(4), self.queue_id);
        ext.put(name(5), self.sys_flag);
        ext.put(name(6), self.born_timestamp);
        ext.put(name(7), self.flag);
        ext.put(name(8), self.properties);
        ext.put(name(9), self.reconsume_times);
        ext.put(name(10), self.unit_mode);
        ext.put_some(name(11), self.max_reconsume_times);
        ext.put(name(12), self.batch);
        ext.put_some(name(13), self.broker_name);
    }
}

struct SendVisitor<'r, 'a> {
    request: &'r mut SendRequest<'a>,
    /// The code that the last field was read for, and whether it has short names.
    code: i32,
    short: bool,
}

impl<'a> FieldVisitor<'a> for SendVisitor<'_, 'a> {
    #[inline(always)]
    fn field(&mut self, code: i32, name: Text<'a>, value: Text<'a>) {
        if code != self.code {
            self.code = code;
            self.short = has_short_names(code);
        }
        self.request.set_named(self.short, name, value);
    }
}

fn has_short_names(code: i32) -> bool {
    matches!(
        code,
        request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE | request::SEND_REPLY_MESSAGE_V2
    )
}

/// Whether a request with `code` has these fields.
pub fn is_send(code: i32) -> bool {
    matches!(
        code,
        request::SEND_MESSAGE
            | request::SEND_MESSAGE_V2
            | request::SEND_BATCH_MESSAGE
            | request::SEND_REPLY_MESSAGE
            | request::SEND_REPLY_MESSAGE_V2
    )
}

/// The short name of a field with a long name, or with escapes in its name; 0 for others.
#[cold]
fn letter_of(short: bool, name: Text<'_>) -> u8 {
    let known = NAMES
        .iter()
        .find(|(long, letter)| name == if short { *letter } else { *long });
    known.map_or(0, |(_, letter)| letter.as_bytes()[0])
}

fields! {
    /// Header of the answer to a send.
    pub struct SendResponse<'a> {
        /// Offset id, or the comma-joined offset ids of a batch.
        required "msgId" => msg_id: Cow<'a, str>,
        /// Queue the message went to.
        required "queueId" => queue_id: i32,
        /// Its offset there; of a batch, that of the first message.
        required "queueOffset" => queue_offset: i64,
        /// The unique key.
        "transactionId" => transaction_id: Option<Cow<'a, str>>,
        /// Unique id of an inner batch.
        "batchUniqId" => batch_unique_id: Option<Cow<'a, str>>,
        /// Handle to recall a timer message with.
        "recallHandle" => recall_handle: Option<Cow<'a, str>>,
        /// Region of the broker; Java's client wants it, on failures too.
        "MSG_REGION" => region: Option<Cow<'a, str>>,
        /// Whether the broker traces.
        "TRACE_ON" => trace_on: Option<bool>,
    }
}

/// Region that brokers answer with unless configured.
pub const DEFAULT_REGION: &str = "DefaultRegion";

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchItem<'a> {
    /// The application's flag.
    pub flag: i32,
    /// The body, never compressed.
    pub body: &'a [u8],
    /// The message's own property string.
    pub properties: &'a [u8],
}

/// Bytes of an item beside body and properties: size, magic, CRC, flag and two lengths.
const ITEM_BYTES_MIN: usize = 4 + 4 + 4 + 4 + 4 + 2;

impl BatchItem<'_> {
    /// Bytes the item takes in a batch.
    pub fn encoded_len(&self) -> usize {
        ITEM_BYTES_MIN + self.body.len() + self.properties.len()
    }

    /// Appends the item to the body of a batch. Magic and CRC are zero: the broker computes both.
    ///
    /// An item whose properties exceed
    /// [`PROPERTIES_BYTES_MAX`](crate::limits::PROPERTIES_BYTES_MAX), or that as a whole exceeds
    /// 2 GiB, cannot be one: nothing is appended and the answer is false.
    #[must_use]
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        let (Ok(total), Ok(properties)) = (
            i32::try_from(self.encoded_len()),
            i16::try_from(self.properties.len()),
        ) else {
            return false;
        };
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.flag.to_be_bytes());
        out.extend_from_slice(&(self.body.len() as u32).to_be_bytes());
        out.extend_from_slice(self.body);
        out.extend_from_slice(&properties.to_be_bytes());
        out.extend_from_slice(self.properties);
        true
    }
}

/// The messages of a batch's body. Ends after the first error.
///
/// ```text
/// | size 4 | magic 4 | crc 4 | flag 4 | body length 4, body | properties length 2, properties |
/// ```
#[derive(Clone, Debug)]
pub struct BatchItems<'a> {
    rest: &'a [u8],
    index: usize,
}

impl<'a> BatchItems<'a> {
    /// Walks the body of a batch.
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            index: 0,
        }
    }

    fn cut(&mut self) -> Option<BatchItem<'a>> {
        let size = usize::try_from(i32::from_be_bytes(*self.rest.first_chunk::<4>()?)).ok()?;
        let (item, rest) = self.rest.split_at_checked(size)?;
        let flag = i32::from_be_bytes(*item.get(12..)?.first_chunk::<4>()?);
        let (body_len, tail) = item.get(16..)?.split_first_chunk::<4>()?;
        let body_len = usize::try_from(i32::from_be_bytes(*body_len)).ok()?;
        let (body, tail) = tail.split_at_checked(body_len)?;
        let (properties_len, properties) = tail.split_first_chunk::<2>()?;
        let properties_len = usize::try_from(i16::from_be_bytes(*properties_len)).ok()?;
        if properties.len() != properties_len {
            return None;
        }
        self.rest = rest;
        Some(BatchItem {
            flag,
            body,
            properties,
        })
    }
}

impl<'a> Iterator for BatchItems<'a> {
    type Item = Result<BatchItem<'a>, CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let index = self.index;
        self.index += 1;
        Some(self.cut().ok_or_else(|| {
            self.rest = &[];
            CommandError::BatchItem { index }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Head;

    fn request() -> SendRequest<'static> {
        SendRequest {
            producer_group: "PG".into(),
            topic: "TopicTest".into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id: -1,
            sys_flag: 1,
            born_timestamp: 1_795_160_776_462,
            flag: 7,
            properties: "KEYS\u{1}k\"\u{2}".into(),
            reconsume_times: 3,
            unit_mode: true,
            max_reconsume_times: Some(16),
            batch: true,
            broker_name: Some("broker-a".into()),
        }
    }

    #[test]
    fn all_codes_and_both_serialisations_carry_every_field() {
        for code in [
            request::SEND_MESSAGE,
            request::SEND_MESSAGE_V2,
            request::SEND_BATCH_MESSAGE,
        ] {
            for kind in [HeaderKind::Json, HeaderKind::Binary] {
                let mut out = Vec::new();
                Head::request(code, 1)
                    .encode_header(kind, &mut out, |ext| request().put(code, ext));
                let header = Header::decode(kind, &out).unwrap();
                assert_eq!(SendRequest::decode(code, &header.ext), request());
                assert_eq!(SendRequest::first_missing(code, &header.ext), None);
                let mut in_one_pass = SendRequest::default();
                let (header, is_send) =
                    SendRequest::decode_header(kind, &out, &mut in_one_pass).unwrap();
                assert_eq!((header.code, is_send, in_one_pass), (code, true, request()));
            }
        }
    }

    #[test]
    fn absent_and_unparsable_fields_are_at_their_defaults() {
        let json = br#"{"extFields":{"a":"g","d":"four","e":5,"m":"1","batch":"true","l":""}}"#;
        let header = Header::decode(HeaderKind::Json, json).unwrap();
        let found = SendRequest::decode(request::SEND_MESSAGE_V2, &header.ext);
        let expected = SendRequest {
            producer_group: "g".into(),
            queue_id: 5,
            ..Default::default()
        };
        assert_eq!(found, expected);
        let missing = SendRequest::first_missing(request::SEND_MESSAGE_V2, &header.ext);
        assert_eq!(missing, Some("b"));
    }

    #[test]
    fn one_pass_reads_the_same_whatever_the_order_of_members() {
        let fields = r#""extFields":{"a":"g","topic":"long","b":"short","e": 7}"#;
        for json in [
            format!("{{\"code\":310,{fields}}}"),
            format!("{{{fields},\"code\":310}}"),
            format!("{{\"code\":10,{fields},\"code\":310}}"),
            format!("{{\"code\":310,\"extFields\":{{\"d\":\"9\"}}, {fields} }}"),
            format!("{{\"code\":310,\"extFields\":{{\"d\":\"9\"}},\"extFields\":null,{fields} }}"),
        ] {
            let mut in_one_pass = SendRequest {
                sys_flag: 9,
                ..Default::default()
            };
            let (header, is_send) =
                SendRequest::decode_header(HeaderKind::Json, json.as_bytes(), &mut in_one_pass)
                    .unwrap();
            assert!(is_send);
            let in_two = SendRequest::decode(header.code, &header.ext);
            assert_eq!(
                (in_two.topic.as_ref(), in_two.queue_id),
                ("short", 7),
                "{json}"
            );
            assert_eq!(in_one_pass, in_two, "{json}");
        }
        let other = b"{\"code\":11,\"extFields\":{\"b\":\"t\"}}";
        let mut unused = SendRequest::default();
        let decoded = SendRequest::decode_header(HeaderKind::Json, other, &mut unused);
        assert!(!decoded.unwrap().1);
    }

    #[test]
    fn a_batch_reads_back_and_damage_ends_it() {
        let items = [
            BatchItem {
                flag: 1,
                body: b"one",
                properties: b"TAGS\x01a\x02",
            },
            BatchItem {
                flag: 2,
                body: b"",
                properties: b"",
            },
        ];
        let mut body = Vec::new();
        assert!(items.iter().all(|item| item.encode(&mut body)));
        let found: Result<Vec<_>, _> = BatchItems::new(&body).collect();
        assert_eq!(found.unwrap(), items);
        for len in 1..body.len() {
            let results: Vec<_> = BatchItems::new(&body[..len]).collect();
            let whole = len == items[0].encoded_len();
            assert_eq!(results.iter().all(Result::is_ok), whole, "cut at {len}");
        }
        let trailing = [&body[..], b"\0"].concat();
        let error = BatchItems::new(&trailing).last().unwrap();
        assert_eq!(error, Err(CommandError::BatchItem { index: 2 }));
        let huge = BatchItem {
            flag: 0,
            body: b"",
            properties: &[b'x'; 40_000],
        };
        assert!(!huge.encode(&mut body));
    }
}

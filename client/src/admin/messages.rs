//! Stored messages.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;

use bytes::Bytes;
use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::pull::{PullRequest, sys_flag};
use ringmq_protocol::command::query::{QueryMessage, ViewMessage};
use ringmq_protocol::command::queue::{ConsumeQueueEntries, QueryConsumeQueue};
use ringmq_protocol::message_id::OffsetId;
use ringmq_protocol::record::{RecordView, Records};

use super::{Admin, read};
use crate::error::ClientError;
use crate::limits::INFLATED_BYTES_MAX;

/// Bit of a message's `sys_flag`: the body is compressed.
const COMPRESSED: i32 = 1;
/// Bits of a message's `sys_flag` that say with what (`CompressionType`).
const COMPRESSION_TYPE: i32 = 0x700;
/// zlib, as 4.9 and 5.x mark it; older and other clients leave the bits at 0.
const ZLIB: [i32; 2] = [0x300, 0];
/// The group that tools consume in.
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";

/// A stored message, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Topic.
    pub topic: String,
    /// Queue id.
    pub queue_id: i32,
    /// Offset in the queue.
    pub queue_offset: i64,
    /// Physical offset in the broker's log.
    pub physical_offset: i64,
    /// Size of the record in bytes.
    pub store_bytes: usize,
    /// The system's flags.
    pub sys_flag: i32,
    /// The application's flag.
    pub flag: i32,
    /// When it was made, in milliseconds since 1970.
    pub born_ms: i64,
    /// Who made it.
    pub born_host: SocketAddr,
    /// When it was stored, in milliseconds since 1970.
    pub store_ms: i64,
    /// Who stored it.
    pub store_host: SocketAddr,
    /// CRC-32 of the body.
    pub body_crc: u32,
    /// How often it has been consumed in vain.
    pub reconsume_times: i32,
    /// Where the first half of its transaction stands; 0 where it is of none.
    pub prepared_transaction_offset: i64,
    /// Properties.
    pub properties: BTreeMap<String, String>,
    /// The body as the application sent it: inflated where it was stored compressed with zlib.
    pub body: Bytes,
    /// The body is compressed in a way that this crate cannot undo (LZ4, Zstandard).
    pub is_still_compressed: bool,
    /// The broker's id of it.
    pub offset_id: String,
}

impl StoredMessage {
    fn of(record: &RecordView<'_>) -> Self {
        let pairs = record.properties();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (body, is_still_compressed) = readable_body(record);
        Self {
            topic: record.topic().to_owned(),
            queue_id: record.queue_id(),
            queue_offset: record.queue_offset(),
            physical_offset: record.physical_offset(),
            store_bytes: record.len(),
            sys_flag: record.sys_flag(),
            flag: record.flag(),
            born_ms: record.born_timestamp(),
            born_host: record.born_host(),
            store_ms: record.store_timestamp(),
            store_host: record.store_host(),
            body_crc: record.body_crc(),
            reconsume_times: record.reconsume_times(),
            prepared_transaction_offset: record.prepared_transaction_offset(),
            properties: pairs
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            body,
            is_still_compressed,
            offset_id: record.offset_id().to_string(),
        }
    }

    /// The id that its producer gave it; the broker's where it gave none.
    pub fn id(&self) -> &str {
        self.property("UNIQ_KEY").unwrap_or(&self.offset_id)
    }

    /// Its tag.
    pub fn tag(&self) -> Option<&str> {
        self.property("TAGS")
    }

    /// Its keys, separated by spaces.
    pub fn keys(&self) -> Option<&str> {
        self.property("KEYS")
    }

    /// A property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

/// The body, inflated where that is possible; whether it is still compressed.
fn readable_body(record: &RecordView<'_>) -> (Bytes, bool) {
    let stored = || Bytes::copy_from_slice(record.body());
    if record.sys_flag() & COMPRESSED == 0 {
        return (stored(), false);
    }
    if !ZLIB.contains(&(record.sys_flag() & COMPRESSION_TYPE)) {
        return (stored(), true);
    }
    let mut body = Vec::new();
    let mut stream =
        flate2::read::ZlibDecoder::new(record.body()).take(INFLATED_BYTES_MAX as u64 + 1);
    match stream.read_to_end(&mut body) {
        Ok(length) if length <= INFLATED_BYTES_MAX => (body.into(), false),
        _ => (stored(), true),
    }
}

/// Messages as they are stored; see [`Admin::messages`].
pub struct Messages<'a> {
    pub(super) admin: &'a Admin,
}

impl Messages<'_> {
    /// The message with a broker's id; that broker is asked, at the address inside the id.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] where it is no such id; else as [`Admin`].
    pub async fn by_offset_id(&self, id: &str) -> Result<StoredMessage, ClientError> {
        let id = OffsetId::parse(id).map_err(|error| ClientError::Invalid(error.to_string()))?;
        self.by_physical_offset(&id.host.to_string(), id.offset)
            .await
    }

    /// The message at a physical offset of a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn by_physical_offset(
        &self,
        broker: &str,
        offset: i64,
    ) -> Result<StoredMessage, ClientError> {
        let fields = ViewMessage {
            offset,
            ..ViewMessage::default()
        };
        let code = request::VIEW_MESSAGE_BY_ID;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        let record = RecordView::parse(&answer.body)
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        Ok(StoredMessage::of(&record))
    }

    /// The message at an offset of a queue, where there is one.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn at(
        &self,
        broker: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> Result<Option<StoredMessage>, ClientError> {
        let fields = PullRequest {
            consumer_group: TOOLS_GROUP.into(),
            topic: topic.into(),
            queue_id,
            queue_offset: offset,
            max_messages: 1,
            sys_flag: sys_flag::SUBSCRIPTION,
            subscription: Some("*".into()),
            expression_type: Some("TAG".into()),
            ..PullRequest::default()
        };
        let code = request::PULL_MESSAGE;
        match self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await
        {
            Ok(answer) => Ok(Records::new(&answer.body)
                .map_while(Result::ok)
                .find(|record| record.queue_offset() == offset)
                .map(|record| StoredMessage::of(&record))),
            Err(error) if NOT_THERE.iter().any(|code| error.has_code(*code)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The messages that a broker finds for a key in its index. It looks for a hash, so the ones that
    /// really have the key are picked out here.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn by_key(
        &self,
        broker: &str,
        query: &QueryMessage<'_>,
    ) -> Result<Vec<StoredMessage>, ClientError> {
        let code = request::QUERY_MESSAGE;
        let put = |ext: &mut ringmq_protocol::ExtWriter<'_>| query.put(ext);
        let answer = match self.admin.ask(broker, code, &[], put).await {
            Ok(answer) => answer,
            Err(error) if error.has_code(response::QUERY_NOT_FOUND) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let has_key = |message: &StoredMessage| match query.unique_key {
            true => message.id() == query.key,
            false => message
                .keys()
                .is_some_and(|keys| keys.split(' ').any(|key| key == query.key)),
        };
        let records = Records::new(&answer.body).map_while(Result::ok);
        Ok(records
            .map(|record| StoredMessage::of(&record))
            .filter(|message| message.topic == query.topic && has_key(message))
            .collect())
    }

    /// The entries of a queue.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn queue_entries(
        &self,
        broker: &str,
        query: &QueryConsumeQueue<'_>,
    ) -> Result<ConsumeQueueEntries, ClientError> {
        let code = request::QUERY_CONSUME_QUEUE;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| query.put(ext))
            .await?;
        read(ConsumeQueueEntries::parse(&answer.body))
    }
}

/// Answers to a pull that bring no message.
const NOT_THERE: [i32; 3] = [
    response::PULL_NOT_FOUND,
    response::PULL_RETRY_IMMEDIATELY,
    response::PULL_OFFSET_MOVED,
];

impl crate::pull::PullBatch {
    /// The messages, owned. A record that cannot be read ends them.
    pub fn stored_messages(&self) -> impl Iterator<Item = StoredMessage> {
        self.messages().map(|record| StoredMessage::of(&record))
    }
}

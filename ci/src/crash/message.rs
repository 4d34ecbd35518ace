//! Messages that say who sent them and can be told from any other.

use ringmq_checker::{MessageId, Stored};

use crate::wire::Record;

const MAGIC: &[u8; 4] = b"crsh";
/// Bodies are between the head alone and this.
const BODY_BYTES_MAX: usize = 2000;

/// The body of a message: its id, then filler that follows from the id.
pub fn body(id: MessageId) -> Vec<u8> {
    let filler = (id.number.wrapping_mul(7919) ^ u64::from(id.client)) as usize % BODY_BYTES_MAX;
    let mut body = Vec::with_capacity(16 + filler);
    body.extend_from_slice(MAGIC);
    body.extend_from_slice(&id.client.to_be_bytes());
    body.extend_from_slice(&id.number.to_be_bytes());
    body.extend((0..filler).map(|at| (at as u64 ^ id.number) as u8));
    body
}

/// The property string of a message.
pub fn properties(id: MessageId) -> String {
    format!("who\u{1}{}/{}\u{2}", id.client, id.number)
}

/// The checksum over what was sent.
pub fn content(body: &[u8], who: &str) -> u64 {
    u64::from(crc32fast::hash(body)) << 32 | u64::from(crc32fast::hash(who.as_bytes()))
}

/// What [`content`] is for a message as sent.
pub fn content_of(id: MessageId) -> u64 {
    content(&body(id), &format!("{}/{}", id.client, id.number))
}

/// A record as the checker wants it.
pub fn stored(record: &Record) -> Stored {
    let who = record
        .properties
        .split('\u{2}')
        .find_map(|pair| pair.strip_prefix("who\u{1}"))
        .unwrap_or_default();
    Stored {
        offset: record.offset,
        id: id_of(&record.body),
        content: content(&record.body, who),
    }
}

fn id_of(body: &[u8]) -> Option<MessageId> {
    let (magic, rest) = body.split_first_chunk::<4>()?;
    let (client, rest) = rest.split_first_chunk::<4>()?;
    let (number, _) = rest.split_first_chunk::<8>()?;
    (magic == MAGIC).then_some(MessageId {
        client: u32::from_be_bytes(*client),
        number: u64::from_be_bytes(*number),
    })
}

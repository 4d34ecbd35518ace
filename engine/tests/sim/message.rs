//! What the simulated clients send: everything of a message follows from its number.

use std::net::{Ipv4Addr, SocketAddr};

use ringmq_protocol::{RecordParts, RecordView};
use ringmq_ring::sim::Rng;

/// The tags in use; a hash that two of them share would be no fault of the engine.
pub const TAGS: [&str; 3] = ["TagA", "TagB", "TagC"];

/// The content of one message.
pub struct Content {
    pub body: Vec<u8>,
    pub properties: Vec<u8>,
    pub tag: Option<&'static str>,
}

/// All messages of one run.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    pub seed: u64,
    /// Usual length of a body; one in a while is much longer.
    pub body_bytes: u64,
    /// The longest.
    pub body_bytes_max: u64,
}

impl Messages {
    /// The content of message `id`.
    pub fn content(&self, id: u64) -> Content {
        let mut rng = Rng::new(self.seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let longest = if rng.chance(20_000) {
            self.body_bytes_max
        } else {
            self.body_bytes
        };
        let mut body = id.to_be_bytes().to_vec();
        fill(&mut rng, &mut body, longest);
        let tag = (!rng.chance(300_000)).then(|| TAGS[rng.index(TAGS.len())]);
        let mut properties = format!("KEYS\u{1}k{id}\u{2}");
        if let Some(tag) = tag {
            properties += &format!("TAGS\u{1}{tag}\u{2}");
        }
        let padding = rng.between(0, 300);
        properties += "PAD\u{1}";
        for _ in 0..padding {
            properties.push(char::from(b'a' + rng.below(26) as u8));
        }
        properties.push('\u{2}');
        Content {
            body,
            properties: properties.into_bytes(),
            tag,
        }
    }

    /// The number of the message in a stored record, if every byte of it is as it was sent.
    pub fn recognise(
        &self,
        record: &RecordView<'_>,
        topic: &str,
        queue_id: u32,
    ) -> Result<u64, String> {
        let Some(id) = record.body().first_chunk::<8>() else {
            return Err("a body without a number".into());
        };
        let id = u64::from_be_bytes(*id);
        let content = self.content(id);
        let same = record.body() == content.body
            && record.properties().as_bytes() == content.properties
            && record.body_crc_matches()
            && record.topic() == topic
            && record.queue_id() == queue_id as i32
            && record.flag() == id as i32
            && record.born_timestamp() == id as i64
            && record.born_host() == address(id)
            && record.store_host() == address(0);
        if same {
            Ok(id)
        } else {
            Err(format!("the bytes of message {id} are not what was sent"))
        }
    }
}

/// The parts of a record around a body and a property string.
pub fn parts<'a>(
    id: u64,
    topic: &'a str,
    queue_id: u32,
    body: &'a [u8],
    properties: &'a [&'a [u8]],
) -> RecordParts<'a> {
    RecordParts {
        topic,
        queue_id: queue_id as i32,
        flag: id as i32,
        sys_flag: 0,
        born_timestamp: id as i64,
        born_host: address(id),
        store_host: address(0),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

fn address(id: u64) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), id as u16))
}

fn fill(rng: &mut Rng, body: &mut Vec<u8>, longest: u64) {
    let len = rng.below(longest) as usize;
    while body.len() < len {
        body.extend(rng.bits().to_be_bytes());
    }
}

//! A message for people and for programs.

use ringmq_client::admin::StoredMessage;
use serde_json::{Value, json};

use crate::clock;
use crate::report::Cell;

/// The body as text; bytes that are none are shown as replacement characters.
pub fn body_text(message: &StoredMessage) -> String {
    match message.is_still_compressed {
        true => format!("({} compressed bytes)", message.body.len()),
        false => String::from_utf8_lossy(&message.body).into_owned(),
    }
}

/// What is known of a message besides its properties and its body.
pub fn pairs(message: &StoredMessage) -> Vec<(String, Cell)> {
    let pairs: [(&str, Cell); 16] = [
        ("offsetId", (&message.offset_id).into()),
        ("topic", (&message.topic).into()),
        ("tags", message.tag().into()),
        ("keys", message.keys().into()),
        ("queueId", message.queue_id.into()),
        ("queueOffset", message.queue_offset.into()),
        ("commitLogOffset", message.physical_offset.into()),
        ("reconsumeTimes", message.reconsume_times.into()),
        ("bornTime", Cell::Time(message.born_ms)),
        ("storeTime", Cell::Time(message.store_ms)),
        ("bornHost", message.born_host.to_string().into()),
        ("storeHost", message.store_host.to_string().into()),
        ("systemFlag", message.sys_flag.into()),
        ("flag", message.flag.into()),
        ("storeBytes", message.store_bytes.into()),
        ("bodyCrc", i64::from(message.body_crc).into()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// One line for people.
pub fn line(broker: &str, message: &StoredMessage, body: bool) -> String {
    let mut line = format!(
        "{}/{broker}/{} offset {}  {}  {}",
        message.topic,
        message.queue_id,
        message.queue_offset,
        clock::show(message.store_ms),
        message.id(),
    );
    for (name, value) in [("tag", message.tag()), ("keys", message.keys())] {
        if let Some(value) = value {
            line.push_str(&format!("  {name} {value}"));
        }
    }
    if body {
        line.push_str(": ");
        line.push_str(&body_text(message));
    }
    line
}

/// One object for programs.
pub fn object(broker: &str, message: &StoredMessage, body: bool) -> Value {
    let body = body.then(|| body_text(message));
    json!({
        "messageId": message.id(),
        "offsetId": message.offset_id,
        "topic": message.topic,
        "brokerName": broker,
        "queueId": message.queue_id,
        "queueOffset": message.queue_offset,
        "commitLogOffset": message.physical_offset,
        "reconsumeTimes": message.reconsume_times,
        "bornTime": message.born_ms,
        "storeTime": message.store_ms,
        "bornHost": message.born_host.to_string(),
        "storeHost": message.store_host.to_string(),
        "systemFlag": message.sys_flag,
        "flag": message.flag,
        "storeBytes": message.store_bytes,
        "properties": message.properties,
        "body": body,
    })
}

//! `ringmq-admin send`.

use ringmq_client::{Client, ClientConfig, Message, Producer};

use crate::arguments::{Cluster, Send};
use crate::error::Result;

/// Sends one message after the other; each line printed is an acknowledgement.
pub fn run(cluster: &Cluster, options: &Send) -> Result<()> {
    let client = Client::new(ClientConfig::new(&cluster.name_servers))?;
    let producer = Producer::new(&client, "ringmq-admin");
    for number in 1..=options.count {
        let body = match number {
            1 => options.body.clone(),
            _ => format!("{} {number}", options.body),
        };
        let mut message = Message::new(&options.topic, body);
        if let Some(tags) = &options.tags {
            message = message.tags(tags);
        }
        if let Some(keys) = &options.keys {
            message = message.keys(keys);
        }
        let sent = producer.send(&message)?;
        println!(
            "acknowledged {} at {} offset {}",
            sent.message_id, sent.queue, sent.queue_offset
        );
    }
    Ok(())
}

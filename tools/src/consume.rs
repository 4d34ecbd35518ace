//! `ringmq-admin consume`.

use ringmq_client::{Client, ClientConfig, MessageQueue, PullConsumer, PullStatus};

use crate::arguments::{Cluster, Consume};
use crate::error::Result;

/// Messages asked for in one pull.
const BATCH: u32 = 32;

/// Prints messages queue by queue, until all are read or enough are printed.
pub fn run(cluster: &Cluster, options: &Consume) -> Result<()> {
    let client = Client::new(ClientConfig::new(&cluster.name_servers))?;
    let group = options.group.as_deref().unwrap_or("TOOLS_CONSUMER");
    let consumer = PullConsumer::new(&client, group);
    let mut left = options.count;
    for queue in consumer.queues(&options.topic)? {
        left -= print_queue(&consumer, &queue, options, left)?;
        if left == 0 {
            break;
        }
    }
    println!("{} messages", options.count - left);
    Ok(())
}

/// Prints up to `limit` messages of one queue and returns how many there were.
fn print_queue(
    consumer: &PullConsumer,
    queue: &MessageQueue,
    options: &Consume,
    limit: usize,
) -> Result<usize> {
    let (min, _) = consumer.bounds(queue)?;
    let committed = match options.group {
        Some(_) => consumer.committed(queue)?,
        None => None,
    };
    let mut offset = committed.unwrap_or(min);
    let mut printed = 0;
    while printed < limit {
        let pull = consumer.pull_async(queue, offset, BATCH, &options.tags);
        let batch = pollster::block_on(pull)?;
        if batch.status == PullStatus::NoNewMessage {
            break;
        }
        let mut next = batch.next_offset;
        for message in batch.messages() {
            if printed == limit {
                next = message.queue_offset() as u64;
                break;
            }
            printed += 1;
            println!(
                "{queue} offset {}: {}",
                message.queue_offset(),
                String::from_utf8_lossy(message.body())
            );
        }
        if next == offset {
            break;
        }
        offset = next;
    }
    if options.group.is_some() {
        consumer.commit(queue, offset)?;
    }
    Ok(printed)
}

//! Sending messages.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use ringmq_client::{Message, MessageQueue, Producer, SendResult, wait};

use super::Verb;
use crate::context::{Context, no_such};
use crate::error::{Result, ToolError};
use crate::report::{Report, Table};

/// The group that tools produce in.
const GROUP: &str = "ringmq-admin";

const SENT: &[&str] = &["brokerName", "qid", "offset", "sendResult", "msgId", "ms"];

/// Sends messages; every row of the answer is an acknowledgement.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Examples:\n  ringmq-admin sendMessage -n 127.0.0.1:9876 -t TopicTest -p hello -c TagA -k order-1\n  ringmq-admin send -t greetings -p hello --count 10"
)]
pub struct SendMessage {
    /// The topic; it is created where brokers allow it.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The body, UTF-8.
    #[arg(short = 'p', long, value_name = "TEXT", default_value = "hello")]
    body: String,
    /// The keys, separated by spaces.
    #[arg(short = 'k', long, visible_alias = "keys", value_name = "KEYS")]
    key: Option<String>,
    /// The tag.
    #[arg(short = 'c', long, value_name = "TAG")]
    tags: Option<String>,
    /// To this broker, by its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker: Option<String>,
    /// To this queue (with -b).
    #[arg(short = 'i', long, value_name = "QUEUE", requires = "broker")]
    qid: Option<u32>,
    /// How many; from the second on the body gets a number.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    count: u32,
}

impl SendMessage {
    fn message(&self, number: u32) -> Message {
        let body = match number {
            1 => self.body.clone(),
            _ => format!("{} {number}", self.body),
        };
        let mut message = Message::new(&self.topic, body);
        if let Some(tags) = &self.tags {
            message = message.tags(tags);
        }
        if let Some(keys) = &self.key {
            message = message.keys(keys);
        }
        message
    }

    /// The queues to send to in turn; any where no broker is named.
    fn queues(&self, producer: &Producer) -> Result<Option<Vec<MessageQueue>>> {
        let Some(broker) = &self.broker else {
            return Ok(None);
        };
        let all = producer.queues(&self.topic)?;
        let known = all.iter().map(|queue| &*queue.broker_name);
        let no_such = no_such("broker with this topic called", broker, known);
        let mut queues: Vec<_> = all
            .iter()
            .filter(|queue| *queue.broker_name == **broker)
            .cloned()
            .collect();
        if queues.is_empty() {
            return Err(no_such);
        }
        if let Some(queue_id) = self.qid {
            queues = vec![MessageQueue {
                topic: Arc::from(self.topic.as_str()),
                broker_name: Arc::from(broker.as_str()),
                queue_id,
            }];
        }
        Ok(Some(queues))
    }
}

impl Verb for SendMessage {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let producer = Producer::new(&context.client, GROUP);
        let queues = self.queues(&producer)?;
        let mut table = Table::new("messages", SENT);
        let mut failure = None;
        for number in 1..=self.count {
            let (message, begun) = (self.message(number), Instant::now());
            let sent = match &queues {
                None => producer.send(&message),
                Some(queues) => {
                    let queue = &queues[(number as usize - 1) % queues.len()];
                    wait(producer.send_to_async(&message, queue))
                }
            };
            match sent {
                Ok(sent) => acknowledged(&mut table, &sent, begun),
                Err(error) => {
                    failure = Some(ToolError::Client(error));
                    break;
                }
            }
        }
        let mut report = Report::new().table(table);
        report.failure = failure;
        Ok(report)
    }
}

fn acknowledged(table: &mut Table, sent: &SendResult, begun: Instant) {
    table.row([
        (&*sent.queue.broker_name).into(),
        sent.queue.queue_id.into(),
        (sent.queue_offset as i64).into(),
        "SEND_OK".into(),
        (&sent.message_id).into(),
        milliseconds(begun).into(),
    ]);
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// Sends messages to a broker's own topic (named as the broker) and tells how each went.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin sendMsgStatus -n 127.0.0.1:9876 -b broker-a -s 128 -c 10"
)]
pub struct SendMsgStatus {
    /// The broker's name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_name: String,
    /// Bytes of each body.
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 128)]
    message_size: usize,
    /// How many messages.
    #[arg(short = 'c', long, value_name = "COUNT", default_value_t = 50)]
    count: u32,
}

impl Verb for SendMsgStatus {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        send_many(context, &self.broker_name, self.message_size, self.count)
    }
}

/// Measures how long sends to a topic take.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin checkMsgSendRT -n 127.0.0.1:9876 -t TopicTest -a 100 -s 128"
)]
pub struct CheckMsgSendRt {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// How many messages.
    #[arg(short = 'a', long, value_name = "COUNT", default_value_t = 100)]
    amount: u32,
    /// Bytes of each body.
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 128)]
    size: usize,
}

impl Verb for CheckMsgSendRt {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        send_many(context, &self.topic, self.size, self.amount)
    }
}

/// Sends one message after the other and tells the times. (The mean leaves out the first, which
/// connects, as mqadmin's does.)
fn send_many(context: &Context<'_>, topic: &str, bytes: usize, count: u32) -> Result<Report> {
    context.route(topic)?;
    let producer = Producer::new(&context.client, GROUP);
    let message = Message::new(topic, vec![b'a'; bytes]);
    let mut table = Table::new("messages", SENT);
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let sent = producer.send(&message)?;
        times.push(milliseconds(begun));
        acknowledged(&mut table, &sent, begun);
    }
    let mut steady = times.split_off(times.len().min(1));
    steady.sort_by(f64::total_cmp);
    let mean = steady.iter().sum::<f64>() / steady.len().max(1) as f64;
    let at = |share: f64| {
        let rank = (steady.len() as f64 * share).ceil() as usize;
        steady.get(rank.saturating_sub(1)).copied()
    };
    Ok(Report::new()
        .table(table)
        .fact("avgMs", mean)
        .fact("medianMs", at(0.5))
        .fact("p99Ms", at(0.99))
        .fact("maxMs", at(1.0)))
}

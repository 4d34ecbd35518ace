//! Reading the messages of queues one after the other.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use ringmq_client::admin::StoredMessage;
use ringmq_client::{MessageQueue, PullConsumer, PullStatus, wait};

use super::Verb;
use crate::clock;
use crate::context::Context;
use crate::error::{Result, ToolError};
use crate::message_text;
use crate::progress_bar::Bar;
use crate::report::{Report, Table};

/// Messages asked for in one pull.
const BATCH: u32 = 32;
/// The group that tools consume in.
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";

/// Prints messages of a topic, oldest first, queue by queue.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Examples:\n  ringmq-admin consumeMessage -n 127.0.0.1:9876 -t TopicTest -c 10\n  ringmq-admin consume -t TopicTest -g orders --commit"
)]
pub struct ConsumeMessage {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// Only this broker, by its name.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker_name: Option<String>,
    /// Only this queue (with -b).
    #[arg(short = 'i', long, value_name = "QUEUE", requires = "broker_name")]
    queue_id: Option<u32>,
    /// The first offset (with -i); else the queue's first.
    #[arg(short = 'o', long, value_name = "OFFSET", requires = "queue_id")]
    offset: Option<u64>,
    /// Consume as this group. It goes on where it stands, and commits, only with --commit.
    #[arg(short = 'g', long, value_name = "GROUP")]
    consumer_group: Option<String>,
    /// Begin at the group's committed offsets, and commit what was printed.
    #[arg(long, requires = "consumer_group", conflicts_with_all = ["offset", "begin_timestamp", "end_timestamp"])]
    commit: bool,
    /// Stored at or after this time: `now`, milliseconds since 1970, or yyyy-MM-dd#HH:mm:ss:SSS.
    #[arg(short = 's', long, value_name = "TIME", value_parser = clock::parse)]
    begin_timestamp: Option<i64>,
    /// Stored at or before this time, in the same forms.
    #[arg(short = 'e', long, value_name = "TIME", value_parser = clock::parse)]
    end_timestamp: Option<i64>,
    /// The most messages to print.
    #[arg(
        short = 'c',
        long = "messageNumber",
        alias = "MessageNumber",
        visible_alias = "count",
        value_name = "COUNT",
        default_value_t = 128
    )]
    message_number: usize,
    /// Tags, joined by `||`.
    #[arg(long, value_name = "TAGS", default_value = "*")]
    tags: String,
}

impl Verb for ConsumeMessage {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let group = self.consumer_group.as_deref().unwrap_or(TOOLS_GROUP);
        let consumer = PullConsumer::new(&context.client, group);
        let queues = queues(
            context,
            &self.topic,
            self.broker_name.as_deref(),
            self.queue_id,
        )?;
        let mut reader = Reader {
            context,
            consumer: &consumer,
            tags: &self.tags,
            span: Span::new(self.begin_timestamp, self.end_timestamp),
            limit: self.message_number,
            bar: Bar::none(),
        };
        let mut printer = Printer {
            json: context.global.json,
            print: true,
            body: true,
        };
        for queue in &queues {
            let committed = match self.commit {
                true => consumer.committed(queue)?,
                false => self.offset,
            };
            let next = reader.read(queue, committed, &mut |message| {
                printer.message(queue, message)
            })?;
            if self.commit {
                consumer.commit(queue, next)?;
            }
        }
        Ok(Report::new().line(format!("{} messages", self.message_number - reader.limit)))
    }

    fn has_json_report(&self) -> bool {
        false
    }
}

/// Prints the messages of all queues of a topic.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin printMsg -n 127.0.0.1:9876 -t TopicTest -b 2026-11-20#07:00:00:000 -e now"
)]
pub struct PrintMsg {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// Tags, joined by `||`.
    #[arg(short = 's', long, value_name = "TAGS", default_value = "*")]
    sub_expression: String,
    /// Stored at or after this time: `now`, milliseconds since 1970, or yyyy-MM-dd#HH:mm:ss:SSS.
    #[arg(short = 'b', long, value_name = "TIME", value_parser = clock::parse)]
    begin_timestamp: Option<i64>,
    /// Stored at or before this time, in the same forms.
    #[arg(short = 'e', long, value_name = "TIME", value_parser = clock::parse)]
    end_timestamp: Option<i64>,
    /// With the bodies.
    #[arg(short = 'd', long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set)]
    print_body: bool,
    /// What the bodies are written in; only UTF-8 is known.
    #[arg(short = 'c', long, value_name = "CHARSET", default_value = "UTF-8")]
    charset_name: String,
}

impl Verb for PrintMsg {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        refuse_charset(&self.charset_name)?;
        let consumer = PullConsumer::new(&context.client, TOOLS_GROUP);
        let queues = queues(context, &self.topic, None, None)?;
        let mut reader = Reader {
            context,
            consumer: &consumer,
            tags: &self.sub_expression,
            span: Span::new(self.begin_timestamp, self.end_timestamp),
            limit: usize::MAX,
            bar: Bar::messages(context.global.json),
        };
        let mut printer = Printer {
            json: context.global.json,
            print: true,
            body: self.print_body,
        };
        for queue in &queues {
            reader.read(queue, None, &mut |message| printer.message(queue, message))?;
        }
        Ok(Report::new().line(format!("{} messages", usize::MAX - reader.limit)))
    }

    fn has_json_report(&self) -> bool {
        false
    }
}

/// Prints the messages of one queue, or counts them by tag.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin printMsgByQueue -n 127.0.0.1:9876 -t TopicTest -a broker-a -i 0 -p true -d true"
)]
pub struct PrintMsgByQueue {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The broker, by its name.
    #[arg(short = 'a', long, value_name = "BROKER")]
    broker_name: String,
    /// The queue.
    #[arg(short = 'i', long, value_name = "QUEUE")]
    queue_id: u32,
    /// Tags, joined by `||`.
    #[arg(short = 's', long, value_name = "TAGS", default_value = "*")]
    sub_expression: String,
    /// Stored at or after this time: `now`, milliseconds since 1970, or yyyy-MM-dd#HH:mm:ss:SSS.
    #[arg(short = 'b', long, value_name = "TIME", value_parser = clock::parse)]
    begin_timestamp: Option<i64>,
    /// Stored at or before this time, in the same forms.
    #[arg(short = 'e', long, value_name = "TIME", value_parser = clock::parse)]
    end_timestamp: Option<i64>,
    /// Print the messages.
    #[arg(short = 'p', long = "print", value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    print_msg: bool,
    /// With the bodies.
    #[arg(short = 'd', long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    print_body: bool,
    /// Count the messages by tag.
    #[arg(short = 'f', long = "calculate", value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    calculate: bool,
    /// What the bodies are written in; only UTF-8 is known.
    #[arg(short = 'c', long, value_name = "CHARSET", default_value = "UTF-8")]
    charset_name: String,
}

impl Verb for PrintMsgByQueue {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        refuse_charset(&self.charset_name)?;
        let consumer = PullConsumer::new(&context.client, TOOLS_GROUP);
        let queues = queues(
            context,
            &self.topic,
            Some(&self.broker_name),
            Some(self.queue_id),
        )?;
        let mut reader = Reader {
            context,
            consumer: &consumer,
            tags: &self.sub_expression,
            span: Span::new(self.begin_timestamp, self.end_timestamp),
            limit: usize::MAX,
            bar: Bar::messages(context.global.json),
        };
        let mut printer = Printer {
            json: context.global.json,
            print: self.print_msg,
            body: self.print_body,
        };
        let mut tags = std::collections::BTreeMap::<String, i64>::new();
        for queue in &queues {
            reader.read(queue, None, &mut |message| {
                *tags
                    .entry(message.tag().unwrap_or_default().to_owned())
                    .or_default() += 1;
                printer.message(queue, message)
            })?;
        }
        let report = Report::new().line(format!("{} messages", usize::MAX - reader.limit));
        if !self.calculate {
            return Ok(report);
        }
        let mut table = Table::new("tags", &["tag", "count"]);
        let mut tags: Vec<_> = tags.into_iter().collect();
        tags.sort_by_key(|(_, count)| -count);
        for (tag, count) in tags {
            table.row([tag.into(), count.into()]);
        }
        Ok(report.table(table))
    }

    fn has_json_report(&self) -> bool {
        self.calculate
    }
}

fn refuse_charset(name: &str) -> Result<()> {
    match name.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" | "US-ASCII" | "ASCII" => Ok(()),
        _ => Err(ToolError::Usage(format!(
            "charset {name} is not known here: only UTF-8 is"
        ))),
    }
}

/// The queues that are meant.
fn queues(
    context: &Context<'_>,
    topic: &str,
    broker: Option<&str>,
    queue_id: Option<u32>,
) -> Result<Vec<MessageQueue>> {
    let route = context.route(topic)?;
    let mut queues = Vec::new();
    for data in &route.queue_datas {
        queues.extend(
            (0..u32::try_from(data.read_queue_nums).unwrap_or_default()).map(|queue_id| {
                MessageQueue {
                    topic: Arc::from(topic),
                    broker_name: Arc::from(data.broker_name.as_str()),
                    queue_id,
                }
            }),
        );
    }
    queues.sort();
    queues.retain(|queue| {
        broker.is_none_or(|name| *name == *queue.broker_name)
            && queue_id.is_none_or(|id| id == queue.queue_id)
    });
    match (queues.is_empty(), broker) {
        (true, Some(broker)) => Err(ToolError::Usage(format!(
            "topic {topic} has no such queue at broker {broker}; `topicStatus -t {topic}` lists them"
        ))),
        _ => Ok(queues),
    }
}

/// Store times between which messages are wanted, in milliseconds since 1970.
#[derive(Clone, Copy)]
struct Span {
    begin: Option<i64>,
    end: Option<i64>,
}

impl Span {
    fn new(begin: Option<i64>, end: Option<i64>) -> Self {
        Self { begin, end }
    }

    fn has(self, message: &StoredMessage) -> bool {
        self.begin.is_none_or(|begin| message.store_ms >= begin)
            && self.end.is_none_or(|end| message.store_ms <= end)
    }

    fn is_past(self, message: &StoredMessage) -> bool {
        self.end.is_some_and(|end| message.store_ms > end)
    }
}

/// Reads queues until enough messages were seen.
struct Reader<'r> {
    context: &'r Context<'r>,
    consumer: &'r PullConsumer,
    tags: &'r str,
    span: Span,
    /// How many messages are still wanted.
    limit: usize,
    bar: Bar,
}

impl Reader<'_> {
    /// Reads a queue from `start`, or from where the span begins, to what was its end at first; gives
    /// the offset after the last message seen.
    fn read(
        &mut self,
        queue: &MessageQueue,
        start: Option<u64>,
        see: &mut dyn FnMut(&StoredMessage) -> Result<()>,
    ) -> Result<u64> {
        let (min, max) = self.consumer.bounds(queue)?;
        let mut offset = match start {
            Some(offset) => offset,
            None => self.begin(queue)?.max(min),
        };
        self.bar.more(max.saturating_sub(offset));
        while self.limit > 0 && offset < max {
            let batch = wait(self.consumer.pull_async(queue, offset, BATCH, self.tags))?;
            if batch.status == PullStatus::NoNewMessage {
                break;
            }
            let mut next = batch.next_offset;
            for message in batch.stored_messages() {
                let place = u64::try_from(message.queue_offset).unwrap_or_default();
                if self.limit == 0 || self.span.is_past(&message) || place >= max {
                    next = place;
                    break;
                }
                if self.span.has(&message) {
                    self.limit -= 1;
                    see(&message)?;
                }
            }
            let done = next == offset || next < batch.next_offset;
            self.bar.advance(next.saturating_sub(offset));
            offset = next;
            if done {
                break;
            }
        }
        Ok(offset)
    }

    /// The offset at which the span begins. Brokers of 4.9 give the message nearest in time, so one
    /// before it is begun with.
    fn begin(&self, queue: &MessageQueue) -> Result<u64> {
        let Some(begin) = self.span.begin else {
            return Ok(0);
        };
        let broker = self.context.broker_address(&queue.broker_name)?;
        let offsets = self.context.admin.offsets();
        let id = queue.queue_id as i32;
        let found = wait(offsets.at_time(&broker, &queue.topic, id, begin))?;
        Ok(u64::try_from(found - 1).unwrap_or_default())
    }
}

/// Prints messages as they come.
struct Printer {
    json: bool,
    print: bool,
    body: bool,
}

impl Printer {
    fn message(&mut self, queue: &MessageQueue, message: &StoredMessage) -> Result<()> {
        if !self.print {
            return Ok(());
        }
        let broker = &queue.broker_name;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", message_text::object(broker, message, self.body))?,
            false => writeln!(out, "{}", message_text::line(broker, message, self.body))?,
        }
        Ok(())
    }
}

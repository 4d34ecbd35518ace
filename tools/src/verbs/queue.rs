//! Queues.

use clap::Args;
use ringmq_client::protocol::command::queue::QueryConsumeQueue;
use ringmq_client::wait;

use super::Verb;
use crate::context::Context;
use crate::error::Result;
use crate::report::{Report, Table};

/// Shows entries of a queue.
#[derive(Args)]
#[command(
    rename_all = "camelCase",
    after_help = "Example:\n  ringmq-admin queryCq -n 127.0.0.1:9876 -t TopicTest -q 0 -i 0 -c 10"
)]
pub struct QueryCq {
    /// The topic.
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: String,
    /// The queue.
    #[arg(short = 'q', long, value_name = "QUEUE")]
    queue: i32,
    /// The first offset to show; below 0, so many before the end.
    #[arg(short = 'i', long, value_name = "OFFSET", allow_hyphen_values = true)]
    index: i64,
    /// How many entries.
    #[arg(short = 'c', long, value_name = "COUNT", default_value_t = 10)]
    count: i32,
    /// The broker: `host:port`, or its name; the first that has the topic unless given.
    #[arg(short = 'b', long, value_name = "BROKER")]
    broker: Option<String>,
    /// Shows of each entry whether this group's filter passes it.
    #[arg(short = 'g', long, value_name = "GROUP")]
    consumer: Option<String>,
}

impl Verb for QueryCq {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let broker = match &self.broker {
            Some(broker) => context.broker_address(broker)?,
            None => match context.masters_with(&self.topic)?.into_iter().next() {
                Some(place) => place.address,
                None => return Err(context.no_such_topic(&self.topic)),
            },
        };
        let query = QueryConsumeQueue {
            topic: self.topic.as_str().into(),
            queue_id: self.queue,
            index: self.index,
            count: self.count,
            consumer_group: self.consumer.as_deref().map(Into::into),
        };
        let found = wait(context.admin.messages().queue_entries(&broker, &query))?;
        let mut table = Table::new(
            "entries",
            &["offset", "physicOffset", "physicSize", "tagsCode", "eval"],
        );
        let first = match self.index {
            below if below < 0 => (found.max_queue_index + below).max(found.min_queue_index),
            index => index,
        };
        for (offset, entry) in (first..).zip(&found.queue_data) {
            table.row([
                offset.into(),
                entry.physic_offset.into(),
                entry.physic_size.into(),
                entry.tags_code.into(),
                self.consumer.as_ref().map(|_| entry.eval).into(),
            ]);
        }
        let report = Report::new()
            .table(table)
            .fact("minOffset", found.min_queue_index);
        let report = report.fact("maxOffset", found.max_queue_index);
        Ok(
            match found.filter_data.filter(|_| self.consumer.is_some()) {
                Some(filter) => report.fact("filter", filter),
                None => report,
            },
        )
    }
}

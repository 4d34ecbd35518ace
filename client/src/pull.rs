//! Consumers that ask for themselves: any queue, any offset.

use bytes::Bytes;
use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::offset::{
    GetMaxOffset, OffsetResponse, QueryConsumerOffset, QueueQuery, UpdateConsumerOffset,
};
use ringmq_protocol::command::pull::{PullRequest, PullResponse, sys_flag};
use ringmq_protocol::record::{RecordView, Records};

use crate::client::Client;
use crate::error::ClientError;
use crate::queue::MessageQueue;

/// Pulls messages of one consumer group.
pub struct PullConsumer {
    client: Client,
    group: String,
}

/// How a pull went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// There are messages.
    Found,
    /// Nothing new is there yet.
    NoNewMessage,
    /// What was looked at does not match; go on from [`PullBatch::next_offset`].
    NoMatchedMessage,
    /// The offset lies outside the queue; go on from [`PullBatch::next_offset`].
    OffsetIllegal,
}

/// What a pull brought.
#[derive(Clone, Debug)]
pub struct PullBatch {
    /// How it went.
    pub status: PullStatus,
    /// Where to go on.
    pub next_offset: u64,
    /// The queue's minimum offset.
    pub min_offset: u64,
    /// The queue's maximum offset: that of the next message to come.
    pub max_offset: u64,
    records: Bytes,
}

impl PullBatch {
    /// The messages, borrowed from the answer. A record that cannot be read ends them.
    pub fn messages(&self) -> impl Iterator<Item = RecordView<'_>> {
        Records::new(&self.records).map_while(Result::ok)
    }
}

impl PullConsumer {
    /// A consumer of a group.
    pub fn new(client: &Client, group: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            group: group.into(),
        }
    }

    /// The queues that may be read.
    ///
    /// # Errors
    /// No route, or no name server answers.
    pub fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, ClientError> {
        let route = pollster::block_on(self.client.route(topic))?;
        Ok(route.readable.clone())
    }

    /// Pulls up to `max_messages` from `offset`; answers at once, with or without messages.
    ///
    /// # Errors
    /// A refusal by the broker, or no answer; pulling again is always safe.
    pub fn pull(
        &self,
        queue: &MessageQueue,
        offset: u64,
        max_messages: u32,
    ) -> Result<PullBatch, ClientError> {
        pollster::block_on(self.pull_async(queue, offset, max_messages, "*"))
    }

    /// As [`PullConsumer::pull`], with a tag expression (`*`, or tags joined by `||`).
    ///
    /// # Errors
    /// As [`PullConsumer::pull`].
    pub async fn pull_async(
        &self,
        queue: &MessageQueue,
        offset: u64,
        max_messages: u32,
        tags: &str,
    ) -> Result<PullBatch, ClientError> {
        let address = self.client.route(&queue.topic).await?.address(queue)?;
        let fields = PullRequest {
            consumer_group: self.group.as_str().into(),
            topic: (&*queue.topic).into(),
            queue_id: queue.queue_id as i32,
            queue_offset: offset as i64,
            max_messages: max_messages as i32,
            sys_flag: sys_flag::SUBSCRIPTION,
            subscription: Some(tags.into()),
            expression_type: Some("TAG".into()),
            ..PullRequest::default()
        };
        let answer = self
            .client
            .call(&address, request::PULL_MESSAGE, &[], |ext| fields.put(ext))
            .await?;
        let header = answer.header()?;
        let status = match header.code {
            response::SUCCESS => PullStatus::Found,
            response::PULL_NOT_FOUND => PullStatus::NoNewMessage,
            response::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatchedMessage,
            response::PULL_OFFSET_MOVED => PullStatus::OffsetIllegal,
            _ => {
                answer.success()?;
                return Err(ClientError::Malformed("an unknown pull status".into()));
            }
        };
        let fields = PullResponse::decode(&header.ext);
        Ok(PullBatch {
            status,
            next_offset: fields.next_begin_offset.max(0) as u64,
            min_offset: fields.min_offset.max(0) as u64,
            max_offset: fields.max_offset.max(0) as u64,
            records: answer.body.clone(),
        })
    }

    /// The queue's minimum and maximum offset.
    ///
    /// # Errors
    /// No route or no answer.
    pub fn bounds(&self, queue: &MessageQueue) -> Result<(u64, u64), ClientError> {
        pollster::block_on(async {
            let address = self.client.route(&queue.topic).await?.address(queue)?;
            let min = QueueQuery {
                topic: (&*queue.topic).into(),
                queue_id: queue.queue_id as i32,
                ..QueueQuery::default()
            };
            let max = GetMaxOffset {
                topic: (&*queue.topic).into(),
                queue_id: queue.queue_id as i32,
                committed: true,
                ..GetMaxOffset::default()
            };
            let min = self
                .client
                .call(&address, request::GET_MIN_OFFSET, &[], |ext| min.put(ext))
                .await?;
            let max = self
                .client
                .call(&address, request::GET_MAX_OFFSET, &[], |ext| max.put(ext))
                .await?;
            Ok((offset_of(&min)?, offset_of(&max)?))
        })
    }

    /// The group's committed offset of a queue; `None` when it has none.
    ///
    /// # Errors
    /// No route or no answer.
    pub fn committed(&self, queue: &MessageQueue) -> Result<Option<u64>, ClientError> {
        pollster::block_on(async {
            let address = self.client.route(&queue.topic).await?.address(queue)?;
            let fields = QueryConsumerOffset {
                consumer_group: self.group.as_str().into(),
                topic: (&*queue.topic).into(),
                queue_id: queue.queue_id as i32,
                zero_if_not_found: Some(false),
                ..QueryConsumerOffset::default()
            };
            let answer = self
                .client
                .call(&address, request::QUERY_CONSUMER_OFFSET, &[], |ext| {
                    fields.put(ext)
                })
                .await?;
            if answer.header()?.code == response::QUERY_NOT_FOUND {
                return Ok(None);
            }
            offset_of(&answer).map(Some)
        })
    }

    /// Commits the group's offset of a queue: the next one to be consumed.
    ///
    /// # Errors
    /// No route or no answer; committing again is safe.
    pub fn commit(&self, queue: &MessageQueue, offset: u64) -> Result<(), ClientError> {
        pollster::block_on(async {
            let address = self.client.route(&queue.topic).await?.address(queue)?;
            let fields = UpdateConsumerOffset {
                consumer_group: self.group.as_str().into(),
                topic: (&*queue.topic).into(),
                queue_id: queue.queue_id as i32,
                commit_offset: offset as i64,
                ..UpdateConsumerOffset::default()
            };
            let answer = self
                .client
                .call(&address, request::UPDATE_CONSUMER_OFFSET, &[], |ext| {
                    fields.put(ext)
                })
                .await?;
            answer.success().map(|_| ())
        })
    }
}

fn offset_of(answer: &crate::call::Answered) -> Result<u64, ClientError> {
    let offset = OffsetResponse::decode(&answer.success()?.ext).offset;
    u64::try_from(offset).map_err(|_| ClientError::Malformed("a negative offset".into()))
}

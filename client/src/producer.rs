//! Sending: one submit, three ways to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringmq_protocol::code::request;
use ringmq_protocol::command::send::{SendRequest, SendResponse};
use ringmq_protocol::{ExtWriter, Text};

use crate::client::{Client, now_ms};
use crate::error::ClientError;
use crate::message::Message;
use crate::queue::MessageQueue;
use crate::route::{DEFAULT_QUEUES, DEFAULT_TOPIC, Route};

/// Sends messages of one producer group.
pub struct Producer {
    client: Client,
    group: String,
    turn: AtomicUsize,
}

/// What an acknowledged message came to. It is durable as the broker's flush mode promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendResult {
    /// The unique id that this client gave it.
    pub message_id: String,
    /// The broker's id of it: its address and physical offset.
    pub offset_message_id: String,
    /// The queue it stands in.
    pub queue: MessageQueue,
    /// Its offset there.
    pub queue_offset: u64,
}

impl Producer {
    /// A producer of a group.
    pub fn new(client: &Client, group: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            group: group.into(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Sends and blocks until the message is acknowledged. Do not call it on a thread that runs an
    /// async runtime: await [`Producer::send_async`] there.
    ///
    /// # Errors
    /// Those of the last attempt: refused for good, unreachable, or of unknown outcome.
    pub fn send(&self, message: &Message) -> Result<SendResult, ClientError> {
        pollster::block_on(self.send_async(message))
    }

    /// Sends; the future is done when the message is acknowledged. It needs no runtime.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_async(&self, message: &Message) -> Result<SendResult, ClientError> {
        let unique_id = self.client.unique_id().to_string();
        let mut avoided: Option<Arc<str>> = None;
        let mut attempt = 1;
        loop {
            let route = self.client.publish_route(&message.topic).await?;
            let queue = self.next_queue(&route, &message.topic, avoided.as_ref())?;
            let outcome = self.send_once(message, &unique_id, &route, &queue).await;
            match outcome {
                Err(error)
                    if error.is_worth_another_queue()
                        && attempt < self.client.config().send_attempts =>
                {
                    tracing::debug!(%queue, %error, attempt, "sending again");
                    self.client.routes().forget(&message.topic);
                    avoided = Some(queue.broker_name);
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends to one queue, once; the future is done when the message is acknowledged.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_to_async(
        &self,
        message: &Message,
        queue: &MessageQueue,
    ) -> Result<SendResult, ClientError> {
        let unique_id = self.client.unique_id().to_string();
        let route = self.client.publish_route(&message.topic).await?;
        self.send_once(message, &unique_id, &route, queue).await
    }

    /// Sends without waiting for anything; whether it is stored is not known.
    ///
    /// # Errors
    /// Only what is known at once: an invalid message, no route, too many calls in flight.
    pub fn send_oneway(&self, message: &Message) -> Result<(), ClientError> {
        let unique_id = self.client.unique_id().to_string();
        let route = pollster::block_on(self.client.publish_route(&message.topic))?;
        let queue = self.next_queue(&route, &message.topic, None)?;
        let properties = message.encode_properties(&unique_id)?;
        let address = route.address(&queue)?;
        self.client
            .tell(&address, request::SEND_MESSAGE_V2, &message.body, |ext| {
                self.put_fields(message, &queue, &properties, ext);
            })
    }

    /// The queues that may be written.
    ///
    /// # Errors
    /// No route, or no name server answers.
    pub fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, ClientError> {
        let route = pollster::block_on(self.client.publish_route(topic))?;
        Ok(route.writable.clone())
    }

    async fn send_once(
        &self,
        message: &Message,
        unique_id: &str,
        route: &Route,
        queue: &MessageQueue,
    ) -> Result<SendResult, ClientError> {
        let properties = message.encode_properties(unique_id)?;
        let address = route.address(queue)?;
        let answer = self
            .client
            .call(&address, request::SEND_MESSAGE_V2, &message.body, |ext| {
                self.put_fields(message, queue, &properties, ext);
            })
            .await?;
        let header = answer.success()?;
        let response = SendResponse::decode(&header.ext);
        Ok(SendResult {
            message_id: unique_id.to_owned(),
            offset_message_id: response.msg_id.into_owned(),
            queue: MessageQueue {
                queue_id: u32::try_from(response.queue_id).unwrap_or(queue.queue_id),
                ..queue.clone()
            },
            queue_offset: u64::try_from(response.queue_offset)
                .map_err(|_| ClientError::Malformed("a negative queue offset".into()))?,
        })
    }

    fn put_fields(
        &self,
        message: &Message,
        queue: &MessageQueue,
        properties: &[u8],
        ext: &mut ExtWriter<'_>,
    ) {
        SendRequest {
            producer_group: Text::plain(self.group.as_bytes()),
            topic: message.topic.as_str().into(),
            default_topic: Text::plain(DEFAULT_TOPIC.as_bytes()),
            default_topic_queue_nums: DEFAULT_QUEUES as i32,
            queue_id: queue.queue_id as i32,
            born_timestamp: now_ms(),
            flag: message.flag,
            properties: Text::plain(properties),
            ..SendRequest::default()
        }
        .put(request::SEND_MESSAGE_V2, ext);
    }

    /// Round robin, leaving out a broker that just failed where there is another.
    fn next_queue(
        &self,
        route: &Route,
        topic: &str,
        avoided: Option<&Arc<str>>,
    ) -> Result<MessageQueue, ClientError> {
        let queues = &route.writable;
        if queues.is_empty() {
            return Err(ClientError::NoRoute(topic.to_owned()));
        }
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            (0..queues.len()).map(|step| &queues[start.wrapping_add(step) % queues.len()]);
        let other = in_turn
            .clone()
            .find(|queue| Some(&queue.broker_name) != avoided);
        let chosen = other.or_else(|| in_turn.clone().next());
        chosen
            .cloned()
            .ok_or_else(|| ClientError::NoRoute(topic.to_owned()))
    }
}

//! Requests of operators.

use std::sync::Arc;

use ringmq_protocol::code::request;
use ringmq_protocol::command::route::{ClusterInfo, TopicList};
use ringmq_protocol::command::topic::CreateTopic;

use crate::client::Client;
use crate::error::ClientError;
use crate::route::DEFAULT_TOPIC;

/// Administers a cluster.
pub struct Admin {
    client: Client,
}

impl Admin {
    /// An administrator of the client's cluster.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
        }
    }

    /// The topics that the first answering name server knows.
    ///
    /// # Errors
    /// No name server answers.
    pub fn topics(&self) -> Result<Vec<String>, ClientError> {
        let answer = self.ask_name_servers(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER)?;
        let list = TopicList::parse(&answer.body)
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        let mut topics: Vec<String> = list.topic_list.into_iter().collect();
        topics.sort();
        Ok(topics)
    }

    /// The clusters, their brokers and addresses.
    ///
    /// # Errors
    /// No name server answers.
    pub fn cluster(&self) -> Result<ClusterInfo, ClientError> {
        let answer = self.ask_name_servers(request::GET_BROKER_CLUSTER_INFO)?;
        ClusterInfo::parse(&answer.body).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// Creates a topic on one broker, or changes it.
    ///
    /// # Errors
    /// A refusal by the broker, or no answer; creating again is safe.
    pub fn create_topic(&self, broker: &str, topic: &str, queues: u32) -> Result<(), ClientError> {
        let fields = CreateTopic {
            topic: topic.into(),
            default_topic: DEFAULT_TOPIC.into(),
            read_queue_nums: queues as i32,
            write_queue_nums: queues as i32,
            perm: 6,
            topic_filter_type: "SINGLE_TAG".into(),
            ..CreateTopic::default()
        };
        let address: Arc<str> = broker.into();
        pollster::block_on(async {
            let answer = self
                .client
                .call(&address, request::UPDATE_AND_CREATE_TOPIC, &[], |ext| {
                    fields.put(ext)
                })
                .await?;
            answer.success().map(|_| ())
        })
    }

    fn ask_name_servers(&self, code: i32) -> Result<crate::call::Answered, ClientError> {
        let mut last = ClientError::Closed;
        for server in &self.client.config().name_servers {
            let address: Arc<str> = server.as_str().into();
            let outcome = pollster::block_on(self.client.call(&address, code, &[], |_| {}));
            match outcome.and_then(|answer| answer.success().map(|_| ()).map(|()| answer)) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

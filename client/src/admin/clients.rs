//! Connected clients.

use ringmq_protocol::code::request;
use ringmq_protocol::command::clients::{
    ConsumeDirectly, ConsumeDirectlyResult, ConsumerRunningInfo, ProducerTable, RunningInfoQuery,
};
use ringmq_protocol::command::heartbeat::GroupQuery;
use ringmq_protocol::command::stats::{ConsumerConnections, ProducerConnections, ProducerQuery};

use super::{Admin, read};
use crate::error::ClientError;

/// Clients connected to a broker; see [`Admin::clients`].
pub struct Clients<'a> {
    pub(super) admin: &'a Admin,
}

impl Clients<'_> {
    /// The members of a consumer group and what they consume. A group without members is refused
    /// with code 206.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn consumers(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<ConsumerConnections, ClientError> {
        let fields = GroupQuery {
            consumer_group: group.into(),
            broker_name: None,
        };
        let code = request::GET_CONSUMER_CONNECTION_LIST;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(ConsumerConnections::parse(&answer.body))
    }

    /// The members of a producer group. A group without members is refused with code 1.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn producers(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<ProducerConnections, ClientError> {
        let fields = ProducerQuery {
            producer_group: group.into(),
        };
        let code = request::GET_PRODUCER_CONNECTION_LIST;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(ProducerConnections::parse(&answer.body))
    }

    /// Every producer of a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn all_producers(&self, broker: &str) -> Result<ProducerTable, ClientError> {
        let code = request::GET_ALL_PRODUCER_INFO;
        let answer = self.admin.ask(broker, code, &[], |_| {}).await?;
        read(ProducerTable::parse(&answer.body))
    }

    /// What a consumer is doing; the broker asks it. `stacks` asks for those of its threads.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn running_info(
        &self,
        broker: &str,
        group: &str,
        client_id: &str,
        stacks: bool,
    ) -> Result<ConsumerRunningInfo, ClientError> {
        let fields = RunningInfoQuery {
            consumer_group: group.into(),
            client_id: client_id.into(),
            stacks,
        };
        let code = request::GET_CONSUMER_RUNNING_INFO;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(ConsumerRunningInfo::parse(&answer.body))
    }

    /// Has a consumer consume one stored message now; the broker hands it over.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn consume_directly(
        &self,
        broker: &str,
        request: &ConsumeDirectly<'_>,
    ) -> Result<ConsumeDirectlyResult, ClientError> {
        let code = request::CONSUME_MESSAGE_DIRECTLY;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| request.put(ext))
            .await?;
        read(ConsumeDirectlyResult::parse(&answer.body))
    }
}

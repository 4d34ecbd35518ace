//! Offsets of groups.

use ringmq_protocol::code::request;
use ringmq_protocol::command::offset::{
    CloneGroupOffset, ConsumerStatusQuery, ConsumerStatusTable, GetMaxOffset, OffsetResponse,
    OffsetTable, QueueQuery, ResetOffset, SearchOffset, TimestampResponse, UpdateConsumerOffset,
};
use ringmq_protocol::command::stats::{
    BrokerConsumeStats, BrokerConsumeStatsQuery, ConsumeStats, ConsumeTimeSpans, GetConsumeStats,
    TimeSpanQuery,
};

use super::{Admin, read};
use crate::call::Answered;
use crate::error::ClientError;

/// Offsets of groups and queues; see [`Admin::offsets`].
pub struct Offsets<'a> {
    pub(super) admin: &'a Admin,
}

impl Offsets<'_> {
    /// How far a group is in all its topics at a broker, or in one.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn progress(
        &self,
        broker: &str,
        group: &str,
        topic: Option<&str>,
    ) -> Result<ConsumeStats, ClientError> {
        let fields = GetConsumeStats {
            consumer_group: group.into(),
            topic: topic.map(Into::into),
        };
        let code = request::GET_CONSUME_STATS;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(ConsumeStats::parse(&answer.body))
    }

    /// How far every group of a broker is; `ordered` asks for those that consume in order.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn progress_of_all(
        &self,
        broker: &str,
        ordered: bool,
    ) -> Result<BrokerConsumeStats, ClientError> {
        let fields = BrokerConsumeStatsQuery { is_order: ordered };
        let code = request::GET_BROKER_CONSUME_STATS;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(BrokerConsumeStats::parse(&answer.body))
    }

    /// The store times around a group's place in a topic.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn time_spans(
        &self,
        broker: &str,
        topic: &str,
        group: &str,
    ) -> Result<ConsumeTimeSpans, ClientError> {
        let fields = TimeSpanQuery {
            topic: topic.into(),
            group: group.into(),
        };
        let code = request::QUERY_CONSUME_TIME_SPAN;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(ConsumeTimeSpans::parse(&answer.body))
    }

    /// Moves a group's offsets; answers the new ones.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn reset(
        &self,
        broker: &str,
        reset: &ResetOffset<'_>,
    ) -> Result<OffsetTable, ClientError> {
        let code = request::INVOKE_BROKER_TO_RESET_OFFSET;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| reset.put(ext))
            .await?;
        read(OffsetTable::parse(&answer.body))
    }

    /// Gives a group the offsets of another at a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn clone_group(
        &self,
        broker: &str,
        clone: &CloneGroupOffset<'_>,
    ) -> Result<(), ClientError> {
        let code = request::CLONE_GROUP_OFFSET;
        self.admin
            .ask(broker, code, &[], |ext| clone.put(ext))
            .await?;
        Ok(())
    }

    /// The offsets that the clients of a group stand at; the broker asks them.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn of_clients(
        &self,
        broker: &str,
        topic: &str,
        group: &str,
    ) -> Result<ConsumerStatusTable, ClientError> {
        let fields = ConsumerStatusQuery {
            topic: topic.into(),
            group: group.into(),
            client_address: Some("".into()),
        };
        let code = request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(ConsumerStatusTable::parse(&answer.body))
    }

    /// Commits a group's offset of a queue: the next one to be consumed.
    ///
    /// # Errors
    /// As [`Admin`]; committing again is safe.
    pub async fn commit(
        &self,
        broker: &str,
        group: &str,
        (topic, queue_id): (&str, i32),
        offset: i64,
    ) -> Result<(), ClientError> {
        let fields = UpdateConsumerOffset {
            consumer_group: group.into(),
            topic: topic.into(),
            queue_id,
            commit_offset: offset,
            ..UpdateConsumerOffset::default()
        };
        let code = request::UPDATE_CONSUMER_OFFSET;
        self.admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// The offset of a queue at a time in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn at_time(
        &self,
        broker: &str,
        topic: &str,
        queue_id: i32,
        time_ms: i64,
    ) -> Result<i64, ClientError> {
        let fields = SearchOffset {
            topic: topic.into(),
            queue_id,
            timestamp: time_ms,
            ..SearchOffset::default()
        };
        let code = request::SEARCH_OFFSET_BY_TIMESTAMP;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        offset_of(&answer)
    }

    /// The offset of a queue's first message, and that of its next one.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn bounds(
        &self,
        broker: &str,
        topic: &str,
        queue_id: i32,
    ) -> Result<(i64, i64), ClientError> {
        let min = queue(topic, queue_id);
        let max = GetMaxOffset {
            topic: topic.into(),
            queue_id,
            ..GetMaxOffset::default()
        };
        let code = request::GET_MIN_OFFSET;
        let min = self
            .admin
            .ask(broker, code, &[], |ext| min.put(ext))
            .await?;
        let code = request::GET_MAX_OFFSET;
        let max = self
            .admin
            .ask(broker, code, &[], |ext| max.put(ext))
            .await?;
        Ok((offset_of(&min)?, offset_of(&max)?))
    }

    /// When a queue's first message was stored, in milliseconds since 1970; nothing where there is
    /// none.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn earliest_store_time(
        &self,
        broker: &str,
        topic: &str,
        queue_id: i32,
    ) -> Result<Option<i64>, ClientError> {
        let fields = queue(topic, queue_id);
        let code = request::GET_EARLIEST_MSG_STORETIME;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        let time_ms = TimestampResponse::decode(&answer.header()?.ext).timestamp;
        Ok((time_ms >= 0).then_some(time_ms))
    }
}

fn queue(topic: &str, queue_id: i32) -> QueueQuery<'_> {
    QueueQuery {
        topic: topic.into(),
        queue_id,
        broker_name: None,
    }
}

fn offset_of(answer: &Answered) -> Result<i64, ClientError> {
    Ok(OffsetResponse::decode(&answer.header()?.ext).offset)
}

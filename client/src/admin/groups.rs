//! Consumer groups.

use ringmq_protocol::code::request;
use ringmq_protocol::command::route::TopicList;
use ringmq_protocol::command::topic::{
    DeleteGroup, GroupName, RequestMode, SubscriptionGroupConfig, SubscriptionGroupList,
    SubscriptionGroupTable,
};

use super::{Admin, read};
use crate::error::ClientError;

/// Consumer groups of a broker; see [`Admin::groups`].
pub struct Groups<'a> {
    pub(super) admin: &'a Admin,
}

impl Groups<'_> {
    /// The settings of all groups of a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn all(&self, broker: &str) -> Result<SubscriptionGroupTable, ClientError> {
        let code = request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
        let answer = self.admin.ask(broker, code, &[], |_| {}).await?;
        read(SubscriptionGroupTable::parse(&answer.body))
    }

    /// The settings of one group of a broker; nothing where it does not have it. (The request for
    /// one group creates it on a broker of 5.x, so all are asked for.)
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn settings(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<Option<SubscriptionGroupConfig>, ClientError> {
        let mut all = self.all(broker).await?;
        Ok(all.subscription_group_table.remove(group))
    }

    /// Creates a group on a broker, or changes it.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn create(
        &self,
        broker: &str,
        group: &SubscriptionGroupConfig,
    ) -> Result<(), ClientError> {
        let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        self.admin
            .ask(broker, code, &group.to_json(), |_| {})
            .await?;
        Ok(())
    }

    /// Creates or changes several groups at once (brokers from 5.x on).
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn create_many(
        &self,
        broker: &str,
        groups: &SubscriptionGroupList,
    ) -> Result<(), ClientError> {
        let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST;
        self.admin
            .ask(broker, code, &groups.to_json(), |_| {})
            .await?;
        Ok(())
    }

    /// Deletes a group from a broker, with its offsets where `clean_offsets`.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn delete(
        &self,
        broker: &str,
        group: &str,
        clean_offsets: bool,
    ) -> Result<(), ClientError> {
        let fields = DeleteGroup {
            group_name: group.into(),
            clean_offset: clean_offsets,
        };
        let code = request::DELETE_SUBSCRIPTIONGROUP;
        self.admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// The topics that a group consumes or has offsets of (brokers from 5.x on), sorted.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn topics(&self, broker: &str, group: &str) -> Result<Vec<String>, ClientError> {
        let fields = GroupName {
            group: group.into(),
        };
        let code = request::QUERY_TOPICS_BY_CONSUMER;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        let mut topics = read(TopicList::parse(&answer.body))?.topic_list;
        topics.sort();
        Ok(topics)
    }

    /// Makes a group pull a topic, or pop it (brokers from 5.x on).
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn set_mode(&self, broker: &str, mode: &RequestMode) -> Result<(), ClientError> {
        let code = request::SET_MESSAGE_REQUEST_MODE;
        self.admin
            .ask(broker, code, &mode.to_json(), |_| {})
            .await?;
        Ok(())
    }
}

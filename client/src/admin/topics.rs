//! Topics.

use std::collections::BTreeMap;

use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::kv::{KvKey, PutKvConfig};
use ringmq_protocol::command::registration::{TopicConfigTable, TopicInNamesrv};
use ringmq_protocol::command::route::{ClusterQuery, TopicList, TopicRouteData};
use ringmq_protocol::command::stats::{GroupList, TopicStats};
use ringmq_protocol::command::topic::{CreateTopic, TopicConfig, TopicConfigList, TopicName};
use ringmq_protocol::types::ORDER_TOPIC_NAMESPACE;

use super::{Admin, read};
use crate::call::Answered;
use crate::error::ClientError;
use crate::route::DEFAULT_TOPIC;

/// Topics of a cluster; see [`Admin::topics`].
pub struct Topics<'a> {
    pub(super) admin: &'a Admin,
}

impl Topics<'_> {
    /// The topics that the name servers know, sorted.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn list(&self) -> Result<Vec<String>, ClientError> {
        let code = request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        let answer = self.admin.ask_name_servers(code, |_| {}).await?;
        sorted(&answer)
    }

    /// The topics of one cluster, sorted.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn of_cluster(&self, cluster: &str) -> Result<Vec<String>, ClientError> {
        let fields = ClusterQuery {
            cluster: cluster.into(),
        };
        let code = request::GET_TOPICS_BY_CLUSTER;
        let answer = self
            .admin
            .ask_name_servers(code, |ext| fields.put(ext))
            .await?;
        sorted(&answer)
    }

    /// The brokers and queues of a topic.
    ///
    /// # Errors
    /// [`ClientError::NoRoute`] where no name server knows the topic; else as [`Admin`].
    pub async fn route(&self, topic: &str) -> Result<TopicRouteData, ClientError> {
        self.admin.client.ask_for_route(topic).await
    }

    /// The addresses of the masters that have a topic.
    ///
    /// # Errors
    /// As [`Topics::route`].
    pub async fn masters(&self, topic: &str) -> Result<Vec<String>, ClientError> {
        let route = self.route(topic).await?;
        let masters = route
            .broker_datas
            .iter()
            .filter_map(|broker| broker.master());
        Ok(masters.map(str::to_owned).collect())
    }

    /// Creates a topic on a broker, or changes it. Attributes are set one by one; to take one away
    /// give its name with a minus in front and an empty value.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn create(&self, broker: &str, topic: &TopicConfig) -> Result<(), ClientError> {
        let attributes = topic.attributes.as_ref().map(attribute_changes);
        let fields = CreateTopic {
            topic: topic.topic_name.as_str().into(),
            default_topic: DEFAULT_TOPIC.into(),
            read_queue_nums: topic.read_queue_nums,
            write_queue_nums: topic.write_queue_nums,
            perm: topic.perm,
            topic_filter_type: topic.topic_filter_type.as_str().into(),
            topic_sys_flag: Some(topic.topic_sys_flag),
            order: topic.order,
            attributes: attributes.map(Into::into),
            ..CreateTopic::default()
        };
        let code = request::UPDATE_AND_CREATE_TOPIC;
        self.admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// Creates or changes several topics at once (brokers from 5.x on).
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn create_many(
        &self,
        broker: &str,
        topics: &TopicConfigList,
    ) -> Result<(), ClientError> {
        let code = request::UPDATE_AND_CREATE_TOPIC_LIST;
        self.admin
            .ask(broker, code, &topics.to_json(), |_| {})
            .await?;
        Ok(())
    }

    /// Deletes a topic with its messages from a broker. The name servers must be told too:
    /// [`Topics::delete_routes`].
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn delete(&self, broker: &str, topic: &str) -> Result<(), ClientError> {
        let fields = named(topic);
        let code = request::DELETE_TOPIC_IN_BROKER;
        self.admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// Makes every name server forget a topic, or (5.x) its queues in one cluster.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn delete_routes(
        &self,
        topic: &str,
        cluster: Option<&str>,
    ) -> Result<(), ClientError> {
        let fields = TopicInNamesrv {
            topic: topic.into(),
            cluster_name: cluster.map(Into::into),
        };
        let code = request::DELETE_TOPIC_IN_NAMESRV;
        self.admin
            .ask_every_name_server(code, |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// The settings of all topics of a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn all(&self, broker: &str) -> Result<TopicConfigTable, ClientError> {
        let code = request::GET_ALL_TOPIC_CONFIG;
        let answer = self.admin.ask(broker, code, &[], |_| {}).await?;
        read(TopicConfigTable::parse(&answer.body))
    }

    /// The settings of one topic of a broker; nothing where it does not have it. Brokers before 5.x
    /// are asked for all.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn settings(
        &self,
        broker: &str,
        topic: &str,
    ) -> Result<Option<TopicConfig>, ClientError> {
        let fields = named(topic);
        let code = request::GET_TOPIC_CONFIG;
        match self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await
        {
            Ok(answer) => read(TopicConfig::parse(&answer.body)).map(Some),
            Err(error) if error.has_code(response::TOPIC_NOT_EXIST) => Ok(None),
            Err(error) if error.has_code(response::REQUEST_CODE_NOT_SUPPORTED) => {
                Ok(self.all(broker).await?.topic_config_table.remove(topic))
            }
            Err(error) => Err(error),
        }
    }

    /// The offsets of a topic's queues at a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn stats(&self, broker: &str, topic: &str) -> Result<TopicStats, ClientError> {
        let fields = named(topic);
        let code = request::GET_TOPIC_STATS_INFO;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        read(TopicStats::parse(&answer.body))
    }

    /// The groups that consume a topic, or have committed offsets of it, at a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn groups(&self, broker: &str, topic: &str) -> Result<Vec<String>, ClientError> {
        let fields = named(topic);
        let code = request::QUERY_TOPIC_CONSUME_BY_WHO;
        let answer = self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await?;
        let mut groups = read(GroupList::parse(&answer.body))?.group_list;
        groups.sort();
        Ok(groups)
    }

    /// The layout of an ordered topic's queues (`broker-a:4;broker-b:4`), where it has one.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn order(&self, topic: &str) -> Result<Option<String>, ClientError> {
        self.admin
            .name_servers()
            .value(ORDER_TOPIC_NAMESPACE, topic)
            .await
    }

    /// Gives an ordered topic a layout at every name server.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn set_order(&self, topic: &str, layout: &str) -> Result<(), ClientError> {
        let fields = PutKvConfig {
            namespace: Some(ORDER_TOPIC_NAMESPACE.into()),
            key: Some(topic.into()),
            value: layout.into(),
        };
        let code = request::PUT_KV_CONFIG;
        self.admin
            .ask_every_name_server(code, |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// Takes an ordered topic's layout away at every name server.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn delete_order(&self, topic: &str) -> Result<(), ClientError> {
        let fields = KvKey {
            namespace: ORDER_TOPIC_NAMESPACE.into(),
            key: topic.into(),
        };
        let code = request::DELETE_KV_CONFIG;
        self.admin
            .ask_every_name_server(code, |ext| fields.put(ext))
            .await?;
        Ok(())
    }
}

fn named(topic: &str) -> TopicName<'_> {
    TopicName {
        topic: topic.into(),
        broker_name: None,
    }
}

fn sorted(answer: &Answered) -> Result<Vec<String>, ClientError> {
    let mut topics = read(TopicList::parse(&answer.body))?.topic_list;
    topics.sort();
    topics.dedup();
    Ok(topics)
}

/// `+name=value`, or `-name` for a name that already begins with a minus.
fn attribute_changes(attributes: &BTreeMap<String, String>) -> String {
    let change = |(name, value): (&String, &String)| match name.strip_prefix('-') {
        Some(name) => format!("-{name}"),
        None => format!("+{name}={value}"),
    };
    attributes.iter().map(change).collect::<Vec<_>>().join(",")
}

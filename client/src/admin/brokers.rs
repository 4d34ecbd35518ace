//! Brokers.

use std::collections::BTreeMap;

use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::config::{parse_lines, to_lines};
use ringmq_protocol::command::ha::HaStatus;
use ringmq_protocol::command::kv::KvTable;
use ringmq_protocol::command::route::ClusterInfo;
use ringmq_protocol::command::stats::{BrokerStatsData, BrokerStatsQuery};

use super::{Admin, read};
use crate::error::ClientError;

/// Brokers of a cluster; see [`Admin::brokers`].
pub struct Brokers<'a> {
    pub(super) admin: &'a Admin,
}

impl Brokers<'_> {
    /// The clusters, their brokers and addresses.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn clusters(&self) -> Result<ClusterInfo, ClientError> {
        let code = request::GET_BROKER_CLUSTER_INFO;
        let answer = self.admin.ask_name_servers(code, |_| {}).await?;
        read(ClusterInfo::parse(&answer.body))
    }

    /// The addresses of a cluster's masters, sorted by broker name.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] where there is no such cluster; else as [`Admin`].
    pub async fn masters(&self, cluster: &str) -> Result<Vec<String>, ClientError> {
        let info = self.clusters().await?;
        let Some(names) = info.cluster_addr_table.get(cluster) else {
            return Err(ClientError::Invalid(format!(
                "the name servers know no cluster {cluster:?}"
            )));
        };
        let mut names: Vec<_> = names.iter().collect();
        names.sort();
        let master = |name: &String| info.broker_addr_table.get(name)?.master();
        Ok(names
            .into_iter()
            .filter_map(master)
            .map(str::to_owned)
            .collect())
    }

    /// Facts about a running broker, by name (`brokerVersionDesc`, `putTps`, ...), as text.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn status(&self, broker: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let code = request::GET_BROKER_RUNTIME_INFO;
        let answer = self.admin.ask(broker, code, &[], |_| {}).await?;
        Ok(read(KvTable::parse(&answer.body))?.table)
    }

    /// The configuration of a broker.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn config(&self, broker: &str) -> Result<BTreeMap<String, String>, ClientError> {
        self.admin
            .config_of(broker, request::GET_BROKER_CONFIG)
            .await
    }

    /// Changes keys of a broker's configuration.
    ///
    /// # Errors
    /// As [`Admin`]. Apache's brokers accept unknown keys and values that do not parse, and do
    /// nothing.
    pub async fn set_config(
        &self,
        broker: &str,
        pairs: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        let body = to_lines(pairs.iter().copied());
        let code = request::UPDATE_BROKER_CONFIG;
        self.admin
            .ask(broker, code, body.as_bytes(), |_| {})
            .await?;
        Ok(())
    }

    /// A rate (`TOPIC_PUT_NUMS` of a topic, `GROUP_GET_NUMS` of `topic@group`, ...); nothing where the
    /// broker has counted none.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn rate(
        &self,
        broker: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<BrokerStatsData>, ClientError> {
        let fields = BrokerStatsQuery {
            stats_name: name.into(),
            stats_key: key.into(),
        };
        let code = request::VIEW_BROKER_STATS_DATA;
        match self
            .admin
            .ask(broker, code, &[], |ext| fields.put(ext))
            .await
        {
            Ok(answer) => read(BrokerStatsData::parse(&answer.body)).map(Some),
            Err(error) if error.has_code(response::SYSTEM_ERROR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How replication stands (brokers from 5.x on).
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn ha_status(&self, broker: &str) -> Result<HaStatus, ClientError> {
        let code = request::GET_BROKER_HA_STATUS;
        let answer = self.admin.ask(broker, code, &[], |_| {}).await?;
        read(HaStatus::parse(&answer.body))
    }

    /// Removes what queues keep of messages that are gone.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn clean_expired_queues(&self, broker: &str) -> Result<(), ClientError> {
        let code = request::CLEAN_EXPIRED_CONSUMEQUEUE;
        self.admin.ask(broker, code, &[], |_| {}).await.map(drop)
    }

    /// Removes what is kept of topics that no longer exist.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn clean_unused_topics(&self, broker: &str) -> Result<(), ClientError> {
        let code = request::CLEAN_UNUSED_TOPIC;
        self.admin.ask(broker, code, &[], |_| {}).await.map(drop)
    }

    /// Deletes messages beyond their retention now.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn delete_expired_log(&self, broker: &str) -> Result<(), ClientError> {
        let code = request::DELETE_EXPIRED_COMMITLOG;
        self.admin.ask(broker, code, &[], |_| {}).await.map(drop)
    }
}

impl Admin {
    /// A configuration as lines `key=value`.
    pub(super) async fn config_of(
        &self,
        address: &str,
        code: i32,
    ) -> Result<BTreeMap<String, String>, ClientError> {
        let answer = self.ask(address, code, &[], |_| {}).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let pairs = parse_lines(&text).map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(pairs.collect())
    }
}

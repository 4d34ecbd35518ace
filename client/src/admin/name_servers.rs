//! Name servers. They do not tell each other, so what changes something goes to all of them.

use std::collections::BTreeMap;

use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::config::to_lines;
use ringmq_protocol::command::kv::{GetKvConfigResponse, KvKey, KvNamespace, KvTable, PutKvConfig};
use ringmq_protocol::command::route::{AddResponse, WipeResponse, WritePermission};

use super::{Admin, read};
use crate::error::ClientError;

/// Name servers; see [`Admin::name_servers`].
pub struct NameServers<'a> {
    pub(super) admin: &'a Admin,
}

impl<'a> NameServers<'a> {
    /// The addresses that the client was made with.
    pub fn addresses(&self) -> &'a [String] {
        &self.admin.client.config().name_servers
    }

    /// The configuration of one name server.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn config(&self, server: &str) -> Result<BTreeMap<String, String>, ClientError> {
        self.admin
            .config_of(server, request::GET_NAMESRV_CONFIG)
            .await
    }

    /// Changes keys of one name server's configuration.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn set_config(
        &self,
        server: &str,
        pairs: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        let body = to_lines(pairs.iter().copied());
        let code = request::UPDATE_NAMESRV_CONFIG;
        self.admin
            .ask(server, code, body.as_bytes(), |_| {})
            .await?;
        Ok(())
    }

    /// A value, where there is one.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn value(&self, namespace: &str, key: &str) -> Result<Option<String>, ClientError> {
        let fields = KvKey {
            namespace: namespace.into(),
            key: key.into(),
        };
        let code = request::GET_KV_CONFIG;
        match self
            .admin
            .ask_name_servers(code, |ext| fields.put(ext))
            .await
        {
            Ok(answer) => {
                let value = GetKvConfigResponse::decode(&answer.header()?.ext).value;
                Ok(value.map(|value| value.into_owned()))
            }
            Err(error) if error.has_code(response::QUERY_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All values of a namespace.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn values(&self, namespace: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let fields = KvNamespace {
            namespace: namespace.into(),
        };
        let code = request::GET_KVLIST_BY_NAMESPACE;
        match self
            .admin
            .ask_name_servers(code, |ext| fields.put(ext))
            .await
        {
            Ok(answer) => Ok(read(KvTable::parse(&answer.body))?.table),
            Err(error) if error.has_code(response::QUERY_NOT_FOUND) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts a value at every name server.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn put_value(
        &self,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Result<(), ClientError> {
        let fields = PutKvConfig {
            namespace: Some(namespace.into()),
            key: Some(key.into()),
            value: value.into(),
        };
        let code = request::PUT_KV_CONFIG;
        self.admin
            .ask_every_name_server(code, |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// Deletes a value at every name server.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn delete_value(&self, namespace: &str, key: &str) -> Result<(), ClientError> {
        let fields = KvKey {
            namespace: namespace.into(),
            key: key.into(),
        };
        let code = request::DELETE_KV_CONFIG;
        self.admin
            .ask_every_name_server(code, |ext| fields.put(ext))
            .await?;
        Ok(())
    }

    /// Makes one name server route no producer to a broker any more; answers how many topics changed.
    /// The broker's next registration of a topic gives the permission back.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn wipe_write_permission(
        &self,
        server: &str,
        broker_name: &str,
    ) -> Result<i32, ClientError> {
        let fields = permission(broker_name);
        let code = request::WIPE_WRITE_PERM_OF_BROKER;
        let answer = self
            .admin
            .ask(server, code, &[], |ext| fields.put(ext))
            .await?;
        Ok(WipeResponse::decode(&answer.header()?.ext).wipe_topic_count)
    }

    /// Makes one name server route producers to a broker again; answers how many topics changed.
    ///
    /// # Errors
    /// As [`Admin`].
    pub async fn add_write_permission(
        &self,
        server: &str,
        broker_name: &str,
    ) -> Result<i32, ClientError> {
        let fields = permission(broker_name);
        let code = request::ADD_WRITE_PERM_OF_BROKER;
        let answer = self
            .admin
            .ask(server, code, &[], |ext| fields.put(ext))
            .await?;
        Ok(AddResponse::decode(&answer.header()?.ext).add_topic_count)
    }
}

fn permission(broker_name: &str) -> WritePermission<'_> {
    WritePermission {
        broker_name: broker_name.into(),
    }
}

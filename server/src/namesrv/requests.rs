//! One request in, one answer out: everything a name server is asked (name server page 1).

use ringmq_protocol::types::ORDER_TOPIC_NAMESPACE;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::bodies::{self, Form};
use super::kv_config::KvConfig;
use super::min_broker::MinBrokerChange;
use super::registration::{Fields, Registration, RegistrationError, parse_json};
use super::routing_table::{
    BrokerKey, Gone, LIVENESS_MS, QueueData, RegisterRules, RoutingTable, SCAN_INTERVAL_MS,
};
use crate::broker::{ConnectionId, Permission, names};
use crate::data_version::DataVersion;

/// Clients from this version on read routes as JSON (V4_9_4).
const VERSION_WITH_STRICT_JSON: i32 = 401;

/// Brokers with slaves that may act for the master ask for this topic of their own to learn of each
/// other: they must see who really is there.
const MEMBER_SYNC_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

const SYSTEM_ERROR: i32 = 1;
const NOT_SUPPORTED: i32 = 3;
const TOPIC_NOT_EXIST: i32 = 17;
const QUERY_NOT_FOUND: i32 = 22;

/// A request, whatever its frame looked like.
pub struct Request<'a> {
    /// Request code.
    pub code: i32,
    /// Version of the sender.
    pub version: i32,
    /// Looks a header field up by name.
    pub field: Fields<'a>,
    /// Its body; empty when there is none.
    pub body: &'a [u8],
    /// Where it came from.
    pub connection: ConnectionId,
}

/// What to answer, unless the request was one-way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Response code.
    pub code: i32,
    /// Text for people.
    pub remark: Option<String>,
    /// Header fields.
    pub fields: Vec<(&'static str, String)>,
    /// Body; empty for none.
    pub body: Vec<u8>,
}

/// What an operator may choose (`NamesrvConfig.java`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServerSettings {
    /// `orderMessageEnable`: routes carry the order configuration of their topic.
    pub order_message: bool,
    /// `returnOrderTopicConfigToBroker`: registrations are answered with that configuration.
    pub return_order_topic_config: bool,
    /// `enableAllTopicList`: 206 is answered.
    pub all_topic_list: bool,
    /// `enableTopicList`: 224 and 311 to 313 are answered.
    pub topic_list: bool,
    /// `supportActingMaster`: routes show a slave in the place of a missing master.
    pub acting_masters: bool,
    /// `notifyMinBrokerIdChanged`: brokers are told when the smallest id under their name changes.
    pub tells_min_broker: bool,
    /// `needWaitForService` and `waitSecondsForService`: no routes for so long after the start.
    pub wait_for_service_ms: u64,
    /// `deleteTopicWithBrokerRegistration`: topics that a registration does not name are removed.
    pub removes_missing_topics: bool,
    /// `ringmq.brokerExpiredMillis`: brokers that do not say otherwise are dropped after this silence.
    pub liveness_ms: u64,
    /// `scanNotActiveBrokerInterval`: how often that is looked at.
    pub scan_interval_ms: u64,
    /// What 319 shows: lines of `key=value`.
    pub properties: String,
}

impl Default for NameServerSettings {
    fn default() -> Self {
        Self {
            order_message: false,
            return_order_topic_config: true,
            all_topic_list: true,
            topic_list: true,
            acting_masters: false,
            tells_min_broker: false,
            wait_for_service_ms: 0,
            removes_missing_topics: false,
            liveness_ms: LIVENESS_MS,
            scan_interval_ms: SCAN_INTERVAL_MS,
            properties: String::new(),
        }
    }
}

/// The name server's whole state.
#[derive(Debug, Default)]
pub struct NameServer {
    /// Brokers and topics.
    pub table: RoutingTable,
    /// The KV configuration.
    pub kv: KvConfig,
    settings: NameServerSettings,
    /// When it was first asked, or first looked for silent brokers.
    started_ms: Option<u64>,
}

impl NameServer {
    /// Knows nobody yet.
    pub fn new(settings: NameServerSettings, kv: KvConfig) -> Self {
        Self {
            table: RoutingTable::new(),
            kv,
            settings,
            started_ms: None,
        }
    }

    /// Goes by other settings from now on.
    pub fn set_settings(&mut self, settings: NameServerSettings) {
        self.settings = settings;
    }

    /// Answers one request. `monotonic_ms` is monotonic time.
    pub fn handle(&mut self, request: &Request<'_>, monotonic_ms: u64) -> Answer {
        self.started_ms.get_or_insert(monotonic_ms);
        let answer = match request.code {
            100 => self.put_kv(request),
            101 => self.get_kv(request),
            102 => self.delete_kv(request),
            103 => self.register(request, monotonic_ms),
            104 => self.unregister(request),
            105 => self.route(request, monotonic_ms),
            106 => Ok(Answer::body(bodies::cluster_info(&self.table))),
            205 => self.wipe_write_permission(request),
            206 => self.all_topics(),
            216 => self.delete_topic(request),
            217 => self.register_topic(request),
            219 => self.kv_namespace(request),
            224 => self.topics_of_cluster(request),
            304 => Ok(self.system_topics()),
            311 => self.topics_by_flag(|flag| flag & 1 != 0),
            312 => self.topics_by_flag(|flag| flag & 2 != 0),
            313 => self.topics_by_flag(|flag| flag & 2 != 0 && flag & 1 == 0),
            319 => Ok(Answer::body(self.settings.properties.clone().into_bytes())),
            322 => self.query_data_version(request, monotonic_ms),
            327 => self.add_write_permission(request),
            901 => self.member_group(request),
            904 => self.broker_heartbeat(request, monotonic_ms),
            code => Err(Answer::error(
                NOT_SUPPORTED,
                format!(" request type {code} not supported"),
            )),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    /// A connection has ended; returns the brokers that went with it.
    pub fn connection_closed(&mut self, connection: ConnectionId) -> Vec<Gone> {
        self.table.connection_closed(connection)
    }

    /// Drops silent brokers; call it every [`NameServer::scan_interval_ms`]. Their connections are of
    /// no more use and should be closed.
    pub fn expire(&mut self, monotonic_ms: u64) -> Vec<Gone> {
        self.started_ms.get_or_insert(monotonic_ms);
        self.table.expire(monotonic_ms)
    }

    /// How often silent brokers are looked for.
    pub fn scan_interval_ms(&self) -> u64 {
        self.settings.scan_interval_ms
    }

    /// What brokers must be told of since the last call (905).
    pub fn take_min_broker_changes(&mut self) -> Vec<MinBrokerChange> {
        let changes = self.table.take_min_broker_changes();
        if self.settings.tells_min_broker {
            changes
        } else {
            Vec::new()
        }
    }

    fn put_kv(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let field = request.field;
        let (Some(namespace), Some(key)) = (field("namespace"), field("key")) else {
            return Err(Answer::error(SYSTEM_ERROR, "namespace or key is null"));
        };
        let value = request.required("value")?;
        self.kv
            .put(&namespace, &key, &value)
            .map_err(|full| Answer::error(SYSTEM_ERROR, full.to_string()))?;
        Ok(Answer::default())
    }

    fn get_kv(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let namespace = request.required("namespace")?;
        let key = request.required("key")?;
        match self.kv.get(&namespace, &key) {
            Some(value) => Ok(Answer::field("value", value)),
            None => Err(Answer::error(
                QUERY_NOT_FOUND,
                format!("No config item, Namespace: {namespace} Key: {key}"),
            )),
        }
    }

    fn delete_kv(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let namespace = request.required("namespace")?;
        self.kv.delete(&namespace, &request.required("key")?);
        Ok(Answer::default())
    }

    fn kv_namespace(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let namespace = request.required("namespace")?;
        match self.kv.namespace(&namespace) {
            Some(keys) => Ok(Answer::body(bodies::kv_table(keys))),
            None => Err(Answer::error(
                QUERY_NOT_FOUND,
                format!("No config item, Namespace: {namespace}"),
            )),
        }
    }

    fn register(&mut self, request: &Request<'_>, now_ms: u64) -> Result<Answer, Answer> {
        let registration = Registration::parse(request.field, request.version, request.body)
            .map_err(|error| Answer::error(SYSTEM_ERROR, error.to_string()))?;
        let rules = RegisterRules {
            liveness_ms: self.settings.liveness_ms,
            removes_missing_topics: self.settings.removes_missing_topics,
        };
        let registered = self
            .table
            .register(&registration, &rules, request.connection, now_ms)
            .map_err(|error| Answer::error(SYSTEM_ERROR, error.to_string()))?;
        let mut answer = Answer::default();
        let ha = registered.ha_server_address.map(|a| ("haServerAddr", a));
        let master = registered.master_address.map(|a| ("masterAddr", a));
        answer.fields.extend(ha.into_iter().chain(master));
        if self.settings.return_order_topic_config
            && let Some(orders) = self.kv.namespace(ORDER_TOPIC_NAMESPACE)
        {
            answer.body = bodies::kv_table(orders);
        }
        Ok(answer)
    }

    fn unregister(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let key = request.broker_key()?;
        let name = request.required("brokerName")?;
        self.table.unregister(&key, &name);
        Ok(Answer::default())
    }

    fn route(&self, request: &Request<'_>, now_ms: u64) -> Result<Answer, Answer> {
        let started_ms = self.started_ms.unwrap_or(now_ms);
        if now_ms.saturating_sub(started_ms) < self.settings.wait_for_service_ms {
            return Err(Answer::error(SYSTEM_ERROR, "name server not ready"));
        }
        let topic = (request.field)("topic");
        let route = topic.as_deref().and_then(|topic| self.table.route(topic));
        let Some(mut route) = route else {
            let topic = topic.as_deref().unwrap_or("null");
            return Err(Answer::error(
                TOPIC_NOT_EXIST,
                format!(
                    "No topic route info in name server for the topic: {topic}\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
                ),
            ));
        };
        let is_member_sync = topic
            .as_ref()
            .is_some_and(|topic| topic.starts_with(MEMBER_SYNC_PREFIX));
        if self.settings.acting_masters && !is_member_sync {
            route.show_acting_masters();
        }
        if let Some(zone) = request.zone() {
            route.keep_zone(&zone);
        }
        let order = topic
            .filter(|_| self.settings.order_message)
            .and_then(|topic| self.kv.get(ORDER_TOPIC_NAMESPACE, &topic));
        let body = bodies::route(&route, order, request.route_form());
        Ok(Answer::body(body))
    }

    fn all_topics(&self) -> Result<Answer, Answer> {
        check_enabled(self.settings.all_topic_list)?;
        Ok(Answer::body(bodies::topic_list(self.table.topics(), None)))
    }

    fn topics_of_cluster(&self, request: &Request<'_>) -> Result<Answer, Answer> {
        check_enabled(self.settings.topic_list)?;
        let topics = self.table.topics_of_cluster(&request.required("cluster")?);
        Ok(Answer::body(bodies::topic_list(topics, None)))
    }

    /// Names of clusters and brokers, and any broker's address.
    fn system_topics(&self) -> Answer {
        let names = self
            .table
            .clusters()
            .flat_map(|(cluster, names)| [cluster].into_iter().chain(names.iter().map(|n| &**n)));
        let mut addresses = self.table.brokers().flat_map(|(_, data)| &data.addresses);
        let address = addresses.next().map(|(_, address)| address.as_str());
        Answer::body(bodies::topic_list(names, address))
    }

    fn topics_by_flag(&self, test: impl Fn(i32) -> bool) -> Result<Answer, Answer> {
        check_enabled(self.settings.topic_list)?;
        let topics = self.table.topics_by_flag(test);
        Ok(Answer::body(bodies::topic_list(topics, None)))
    }

    fn wipe_write_permission(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let name = request.required("brokerName")?;
        let change = Permission::without_write;
        let count = self.table.change_permission(&name, change);
        Ok(Answer::field("wipeTopicCount", count.to_string()))
    }

    fn add_write_permission(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let name = request.required("brokerName")?;
        let change = |_| Permission::READ_WRITE;
        let count = self.table.change_permission(&name, change);
        Ok(Answer::field("addTopicCount", count.to_string()))
    }

    fn delete_topic(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let topic = request.required("topic")?;
        let cluster = (request.field)("clusterName").filter(|cluster| !cluster.is_empty());
        self.table.delete_topic(&topic, cluster.as_deref());
        Ok(Answer::default())
    }

    fn register_topic(&mut self, request: &Request<'_>) -> Result<Answer, Answer> {
        let topic = request.required("topic")?;
        names::validate_topic(&topic)
            .map_err(|error| Answer::error(SYSTEM_ERROR, error.to_string()))?;
        if request.body.is_empty() {
            return Ok(Answer::default());
        }
        let route: RouteBody = request.json_body()?;
        let items = route.queue_datas.into_iter();
        let queues: Vec<_> = items.map(QueueItem::split).collect();
        self.table
            .register_topic(&topic, &queues)
            .map_err(|error| Answer::error(SYSTEM_ERROR, error.to_string()))?;
        Ok(Answer::default())
    }

    fn query_data_version(&mut self, request: &Request<'_>, now_ms: u64) -> Result<Answer, Answer> {
        let key = request.broker_key()?;
        let asked: Option<DataVersion> = match request.body {
            [] => None,
            _ => Some(request.json_body()?),
        };
        let known = self.table.data_version(&key);
        self.table.refresh(&key, now_ms);
        let is_changed = known.is_none() || known != asked;
        let mut answer = Answer::field("changed", is_changed.to_string());
        let body = known.map(|version| version.to_json().into_bytes());
        answer.body = body.unwrap_or_default();
        Ok(answer)
    }

    fn member_group(&self, request: &Request<'_>) -> Result<Answer, Answer> {
        let cluster = request.required("clusterName")?;
        let name = request.required("brokerName")?;
        let data = self.table.broker(&name);
        Ok(Answer::body(bodies::member_group(&cluster, &name, data)))
    }

    fn broker_heartbeat(&mut self, request: &Request<'_>, now_ms: u64) -> Result<Answer, Answer> {
        self.table.refresh(&request.broker_key()?, now_ms);
        Ok(Answer::default())
    }
}

impl Request<'_> {
    fn required(&self, name: &'static str) -> Result<String, Answer> {
        let missing = || Answer::error(SYSTEM_ERROR, format!("the custom field <{name}> is null"));
        (self.field)(name).ok_or_else(missing)
    }

    fn broker_key(&self) -> Result<BrokerKey, Answer> {
        Ok(BrokerKey {
            cluster: self.required("clusterName")?,
            address: self.required("brokerAddr")?,
        })
    }

    fn json_body<T: DeserializeOwned>(&self) -> Result<T, Answer> {
        parse_json(self.body)
            .map_err(|error: RegistrationError| Answer::error(SYSTEM_ERROR, error.to_string()))
    }

    /// The zone a client wants brokers of, when it wants only those (5.x).
    fn zone(&self) -> Option<String> {
        let mode = (self.field)("__ZONE_MODE")?;
        let is_on = mode.eq_ignore_ascii_case("true");
        (self.field)("__ZONE_NAME").filter(|zone| is_on && !zone.trim().is_empty())
    }

    fn route_form(&self) -> Form {
        let accepts = (self.field)("acceptStandardJsonOnly");
        let asks = accepts.is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if asks || self.version >= VERSION_WITH_STRICT_JSON {
            Form::Strict
        } else {
            Form::Legacy
        }
    }
}

fn check_enabled(is_enabled: bool) -> Result<(), Answer> {
    if is_enabled {
        return Ok(());
    }
    Err(Answer::error(SYSTEM_ERROR, "disable"))
}

impl Answer {
    fn body(body: Vec<u8>) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }

    fn field(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            fields: vec![(name, value.into())],
            ..Self::default()
        }
    }

    fn error(code: i32, remark: impl Into<String>) -> Self {
        Self {
            code,
            remark: Some(remark.into()),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteBody {
    #[serde(default)]
    queue_datas: Vec<QueueItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueItem {
    broker_name: String,
    perm: Permission,
    read_queue_nums: u32,
    write_queue_nums: u32,
    #[serde(default)]
    topic_sys_flag: i32,
}

impl QueueItem {
    fn split(self) -> (String, QueueData) {
        let data = QueueData {
            perm: self.perm,
            read_queue_nums: self.read_queue_nums,
            write_queue_nums: self.write_queue_nums,
            topic_sys_flag: self.topic_sys_flag,
        };
        (self.broker_name, data)
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

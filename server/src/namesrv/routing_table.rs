//! The routing table (`RouteInfoManager.java`, name server page 2.4 and 6): clusters, brokers,
//! topics, and how long each broker is believed to live.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::min_broker::MinBrokerChange;
use super::registration::Registration;
use super::topic_mapping::TopicMapping;
use crate::broker::{ConnectionId, Permission, TopicConfig};
use crate::data_version::DataVersion;
use crate::limits::{
    NAME_SERVER_BROKERS_MAX, NAME_SERVER_MAPPINGS_MAX, NAME_SERVER_MIN_BROKER_CHANGES_MAX,
    NAME_SERVER_QUEUE_DATA_MAX, NAME_SERVER_TOPICS_MAX,
};

/// A broker that does not say otherwise is dead after this silence.
pub const LIVENESS_MS: u64 = 120_000;
/// How often [`RoutingTable::expire`] is called, unless an operator says otherwise.
pub const SCAN_INTERVAL_MS: u64 = 5_000;
/// The id of a master.
pub const MASTER_ID: i64 = 0;

/// All processes that share a broker name: one master (id 0) and its slaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerData {
    /// Cluster of the broker.
    pub cluster: String,
    /// Addresses by broker id.
    pub addresses: BTreeMap<i64, String>,
    /// 5.x brokers: whether a slave may act for a missing master.
    pub enable_acting_master: bool,
    /// 5.x brokers.
    pub zone: Option<String>,
}

impl BrokerData {
    /// Whether the master is there.
    pub fn has_master(&self) -> bool {
        self.addresses.contains_key(&MASTER_ID)
    }

    fn min_id(&self) -> Option<i64> {
        self.addresses.keys().next().copied()
    }
}

/// What one broker name offers of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueData {
    /// Who may do what.
    pub perm: Permission,
    /// Queues to read.
    pub read_queue_nums: u32,
    /// Queues to write.
    pub write_queue_nums: u32,
    /// Bit 0 unit, bit 1 unit subscription.
    pub topic_sys_flag: i32,
}

impl QueueData {
    /// What a topic's configuration offers.
    pub fn of(config: &TopicConfig) -> Self {
        Self {
            perm: config.perm,
            read_queue_nums: config.read_queue_nums,
            write_queue_nums: config.write_queue_nums,
            topic_sys_flag: config.topic_sys_flag,
        }
    }
}

/// One broker process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerKey {
    /// Its cluster.
    pub cluster: String,
    /// `ip:port`.
    pub address: String,
}

/// What a slave learns from its registration; both empty for a master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Replication address of the master.
    pub ha_server_address: Option<String>,
    /// Address of the master.
    pub master_address: Option<String>,
}

/// Why a registration is refused (1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// A broker that is not known may not begin with one topic only: it was a change on its way.
    #[error("register broker failed: an unknown broker must register all of its topics, not one")]
    SingleTopic,
    /// The table is at a bound of `limits.rs`.
    #[error("register broker failed: this name server's routing table is full")]
    Full,
}

/// What a registration goes by beside what it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterRules {
    /// A broker that does not say otherwise is dead after this silence.
    pub liveness_ms: u64,
    /// A broker's topics that a registration does not name are removed.
    pub removes_missing_topics: bool,
}

impl Default for RegisterRules {
    fn default() -> Self {
        Self {
            liveness_ms: LIVENESS_MS,
            removes_missing_topics: false,
        }
    }
}

/// A broker that is no longer believed to live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub broker: BrokerKey,
    /// What it registered through.
    pub connection: ConnectionId,
}

/// What it takes to answer a route query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// By broker name.
    pub brokers: Vec<(&'a str, Cow<'a, BrokerData>)>,
    /// By broker name.
    pub queues: Vec<(&'a str, &'a QueueData)>,
    /// By address.
    pub filter_servers: Vec<(&'a str, &'a [String])>,
    /// Of a static topic: where its logical queues are, by broker name.
    pub mappings: Option<&'a BTreeMap<String, TopicMapping>>,
}

impl Route<'_> {
    /// Shows the slave with the smallest id as the master of a broker name that has none, where the
    /// brokers allow it and take no writes (5.x, `supportActingMaster`).
    pub fn show_acting_masters(&mut self) {
        for (name, data) in &mut self.brokers {
            let queue = self.queues.iter().find(|(broker, _)| broker == name);
            let is_writable = queue.is_none_or(|(_, queue)| queue.perm.is_writable());
            if !data.enable_acting_master || data.has_master() || is_writable {
                continue;
            }
            let addresses = &mut data.to_mut().addresses;
            if let Some((_, address)) = addresses.pop_first() {
                addresses.insert(MASTER_ID, address);
            }
        }
    }

    /// Leaves out brokers of other zones; those without a master stay, so that their messages can
    /// still be read (`ZoneRouteRPCHook.java`).
    pub fn keep_zone(&mut self, zone: &str) {
        let is_near = |data: &BrokerData| {
            let own = data.zone.as_deref();
            !data.has_master() || own.is_some_and(|own| own.eq_ignore_ascii_case(zone))
        };
        let (near, far): (Vec<_>, Vec<_>) = std::mem::take(&mut self.brokers)
            .into_iter()
            .partition(|(_, data)| is_near(data));
        self.brokers = near;
        let is_far = |name: &str| far.iter().any(|(removed, _)| *removed == name);
        self.queues.retain(|(name, _)| !is_far(name));
        let of_far = |address: &str| {
            let mut held = far.iter().flat_map(|(_, data)| data.addresses.values());
            held.any(|held| held == address)
        };
        self.filter_servers.retain(|(address, _)| !of_far(address));
    }
}

#[derive(Clone, Debug)]
struct Live {
    broker_name: String,
    heard_ms: u64,
    timeout_ms: u64,
    data_version: DataVersion,
    connection: ConnectionId,
    ha_server_address: String,
    filter_servers: Vec<String>,
}

/// See the module. All times are monotonic milliseconds.
#[derive(Debug, Default)]
pub struct RoutingTable {
    topics: BTreeMap<String, BTreeMap<String, QueueData>>,
    brokers: BTreeMap<String, BrokerData>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    live: BTreeMap<BrokerKey, Live>,
    /// Of static topics (5.x), by topic and broker name.
    mappings: BTreeMap<String, BTreeMap<String, TopicMapping>>,
    /// Number of (topic, broker name) pairs in `topics`.
    pairs: usize,
    /// Changes of the smallest id of a broker name that nobody has been told of.
    min_broker_changes: Vec<MinBrokerChange>,
}

impl RoutingTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a registration in (103). `connection` is what the broker registered through: its end is
    /// the broker's end.
    pub fn register(
        &mut self,
        registration: &Registration,
        rules: &RegisterRules,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Result<Registered, RegisterError> {
        let key = registration.key();
        self.check_room(registration, &key)?;
        if self.is_superseded(registration) {
            self.live.remove(&key);
            return Ok(Registered::default());
        }
        let known = self.brokers.get(&registration.broker_name);
        let is_known_id =
            known.is_some_and(|data| data.addresses.contains_key(&registration.broker_id));
        if !is_known_id && registration.topics.len() == 1 {
            return Err(RegisterError::SingleTopic);
        }
        let min_id = known.and_then(BrokerData::min_id);
        self.enter_broker(registration);
        if rules.removes_missing_topics && registration.mappings.is_empty() {
            self.remove_missing_topics(registration);
        }
        self.enter_topics(registration, &key, !is_known_id);
        self.live
            .insert(key, Live::of(registration, rules, connection, now_ms));
        if min_id.is_some_and(|min_id| registration.broker_id < min_id) {
            let ha = Some(registration.ha_server_address.clone());
            self.note_min_broker(&registration.broker_name, None, ha);
        }
        Ok(self.master_of(registration))
    }

    /// A broker leaves (104).
    pub fn unregister(&mut self, key: &BrokerKey, broker_name: &str) {
        self.live.remove(key);
        self.remove_address(broker_name, &key.address);
    }

    /// A connection has ended: the brokers that registered through it are gone at once.
    pub fn connection_closed(&mut self, connection: ConnectionId) -> Vec<Gone> {
        self.remove_where(|live| live.connection == connection)
    }

    /// Removes brokers that have been silent for longer than they promised; call it every few
    /// seconds.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Gone> {
        self.remove_where(|live| now_ms.saturating_sub(live.heard_ms) > live.timeout_ms)
    }

    /// Changes of the smallest broker id under a name since the last call.
    pub fn take_min_broker_changes(&mut self) -> Vec<MinBrokerChange> {
        std::mem::take(&mut self.min_broker_changes)
    }

    /// A sign of life without topics (904, and 322).
    pub fn refresh(&mut self, key: &BrokerKey, now_ms: u64) {
        if let Some(live) = self.live.get_mut(key) {
            live.heard_ms = now_ms;
        }
    }

    /// The version of the tables a broker registered last.
    pub fn data_version(&self, key: &BrokerKey) -> Option<DataVersion> {
        self.live.get(key).map(|live| live.data_version)
    }

    /// Where a topic lives (105); `None` when no broker or no queue of it is known.
    pub fn route(&self, topic: &str) -> Option<Route<'_>> {
        let queues: Vec<_> = self
            .topics
            .get(topic)?
            .iter()
            .map(|(name, data)| (name.as_str(), data))
            .collect();
        let brokers: Vec<_> = queues
            .iter()
            .filter_map(|(name, _)| {
                let (name, data) = self.brokers.get_key_value(*name)?;
                Some((name.as_str(), Cow::Borrowed(data)))
            })
            .collect();
        if brokers.is_empty() {
            return None;
        }
        let names = queues.iter().map(|(name, _)| *name);
        Some(Route {
            filter_servers: self.filter_servers(names),
            brokers,
            queues,
            mappings: self.mappings.get(topic),
        })
    }

    /// All brokers by name (106).
    pub fn brokers(&self) -> impl Iterator<Item = (&str, &BrokerData)> {
        self.brokers.iter().map(|(name, data)| (&**name, data))
    }

    /// One broker name (901).
    pub fn broker(&self, name: &str) -> Option<&BrokerData> {
        self.brokers.get(name)
    }

    /// All clusters with their broker names (106).
    pub fn clusters(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.clusters.iter().map(|(name, set)| (&**name, set))
    }

    /// All topics (206), sorted.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Topics with at least one queue in a cluster (224), sorted.
    pub fn topics_of_cluster(&self, cluster: &str) -> Vec<&str> {
        let Some(names) = self.clusters.get(cluster) else {
            return Vec::new();
        };
        self.topics
            .iter()
            .filter(|(_, queues)| queues.keys().any(|name| names.contains(name)))
            .map(|(topic, _)| topic.as_str())
            .collect()
    }

    /// Topics whose first broker's system flag passes a test (311 to 313), sorted.
    pub fn topics_by_flag(&self, test: impl Fn(i32) -> bool) -> Vec<&str> {
        let passes = |queues: &BTreeMap<String, QueueData>| {
            let first = queues.values().next();
            first.is_some_and(|data| test(data.topic_sys_flag))
        };
        self.topics
            .iter()
            .filter(|(_, queues)| passes(queues))
            .map(|(topic, _)| topic.as_str())
            .collect()
    }

    /// Changes the permission of all topics of a broker name (205, 327); returns how many topics it
    /// has.
    pub fn change_permission(
        &mut self,
        broker_name: &str,
        change: impl Fn(Permission) -> Permission,
    ) -> usize {
        let mut count = 0;
        for queues in self.topics.values_mut() {
            if let Some(data) = queues.get_mut(broker_name) {
                data.perm = change(data.perm);
                count += 1;
            }
        }
        count
    }

    /// Deletes a topic (216), everywhere or in one cluster.
    pub fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let names = cluster.and_then(|cluster| self.clusters.get(cluster));
        let Some(queues) = self.topics.get_mut(topic) else {
            return;
        };
        let before = queues.len();
        match (cluster, names) {
            (None, _) => queues.clear(),
            (Some(_), Some(names)) => queues.retain(|name, _| !names.contains(name)),
            (Some(_), None) => {}
        }
        self.pairs -= before - queues.len();
        if queues.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Enters a topic directly (217), unless it names a broker that is not known.
    pub fn register_topic(
        &mut self,
        topic: &str,
        queues: &[(String, QueueData)],
    ) -> Result<(), RegisterError> {
        if self.pairs + queues.len() > NAME_SERVER_QUEUE_DATA_MAX {
            return Err(RegisterError::Full);
        }
        if queues
            .iter()
            .all(|(name, _)| self.brokers.contains_key(name))
        {
            for (name, data) in queues {
                self.enter_topic(topic, name, *data);
            }
        }
        Ok(())
    }

    fn check_room(
        &self,
        registration: &Registration,
        key: &BrokerKey,
    ) -> Result<(), RegisterError> {
        let is_new = !self.live.contains_key(key);
        let has_room = self.pairs + registration.topics.len() <= NAME_SERVER_QUEUE_DATA_MAX
            && self.topics.len() + registration.topics.len() <= NAME_SERVER_TOPICS_MAX
            && (!is_new || self.live.len() < NAME_SERVER_BROKERS_MAX);
        // What is already there is only counted when the cheap bound is passed: a full table keeps
        // taking the renewals of those who are in it.
        if has_room || (!is_new && self.new_topics(registration) == 0) {
            return Ok(());
        }
        Err(RegisterError::Full)
    }

    fn new_topics(&self, registration: &Registration) -> usize {
        let is_new = |topic: &&String| {
            let queues = self.topics.get(topic.as_str());
            !queues.is_some_and(|queues| queues.contains_key(&registration.broker_name))
        };
        registration.topics.keys().filter(is_new).count()
    }

    /// Another address holds this id and has seen a later role change.
    fn is_superseded(&self, registration: &Registration) -> bool {
        let Some(data) = self.brokers.get(&registration.broker_name) else {
            return false;
        };
        let Some(old) = data.addresses.get(&registration.broker_id) else {
            return false;
        };
        let old = BrokerKey {
            cluster: registration.cluster.clone(),
            address: old.clone(),
        };
        old.address != registration.address
            && self.live.get(&old).is_some_and(|live| {
                live.data_version.state_version > registration.data_version.state_version
            })
    }

    fn enter_broker(&mut self, registration: &Registration) {
        let name = &registration.broker_name;
        self.clusters
            .entry(registration.cluster.clone())
            .or_default()
            .insert(name.clone());
        let data = self.brokers.entry(name.clone()).or_default();
        data.cluster.clone_from(&registration.cluster);
        data.enable_acting_master = registration.enable_acting_master.unwrap_or(false);
        data.zone.clone_from(&registration.zone);
        // A slave that became master (or the other way) has one id, not two.
        data.addresses.retain(|id, address| {
            *address != registration.address || *id == registration.broker_id
        });
        data.addresses
            .insert(registration.broker_id, registration.address.clone());
    }

    fn enter_topics(&mut self, registration: &Registration, key: &BrokerKey, is_first: bool) {
        let name = &registration.broker_name;
        let is_master = registration.broker_id == MASTER_ID;
        let is_prime_slave = self.is_prime_slave(registration);
        if !is_master && !is_prime_slave {
            return;
        }
        let is_read_only = is_prime_slave && registration.enable_acting_master == Some(true);
        let is_changed = is_first || self.data_version(key) != Some(registration.data_version);
        for (topic, data) in &registration.topics {
            let mut data = *data;
            if is_read_only {
                data.perm = data.perm.without_write();
            }
            let queues = self.topics.get(topic);
            let is_missing = !queues.is_some_and(|queues| queues.contains_key(name));
            if is_changed || is_missing {
                self.enter_topic(topic, name, data);
            }
        }
        if is_changed {
            self.enter_mappings(registration);
        }
    }

    fn enter_mappings(&mut self, registration: &Registration) {
        for (topic, mapping) in &registration.mappings {
            let is_known = self.mappings.contains_key(topic);
            if !is_known && self.mappings.len() >= NAME_SERVER_MAPPINGS_MAX {
                return;
            }
            let by_broker = self.mappings.entry(topic.clone()).or_default();
            if by_broker.len() < NAME_SERVER_BROKERS_MAX {
                by_broker.insert(mapping.broker_name.clone(), mapping.clone());
            }
        }
    }

    fn remove_missing_topics(&mut self, registration: &Registration) {
        let is_master = registration.broker_id == MASTER_ID;
        if !is_master && !self.is_prime_slave(registration) {
            return;
        }
        let name = &registration.broker_name;
        let mut removed = 0;
        self.topics.retain(|topic, queues| {
            if !registration.topics.contains_key(topic) {
                removed += usize::from(queues.remove(name).is_some());
            }
            !queues.is_empty()
        });
        self.pairs -= removed;
    }

    /// The slave with the smallest id of a 5.x broker name without a master.
    fn is_prime_slave(&self, registration: &Registration) -> bool {
        let data = self.brokers.get(&registration.broker_name);
        registration.broker_id != MASTER_ID
            && registration.enable_acting_master.is_some()
            && data.and_then(BrokerData::min_id) == Some(registration.broker_id)
    }

    fn enter_topic(&mut self, topic: &str, broker_name: &str, data: QueueData) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(queues) = self.topics.get_mut(topic)
            && queues.insert(broker_name.to_owned(), data).is_none()
        {
            self.pairs += 1;
        }
    }

    fn master_of(&self, registration: &Registration) -> Registered {
        if registration.broker_id == MASTER_ID {
            return Registered::default();
        }
        let data = self.brokers.get(&registration.broker_name);
        let Some(master) = data.and_then(|data| data.addresses.get(&MASTER_ID)) else {
            return Registered::default();
        };
        let key = BrokerKey {
            cluster: registration.cluster.clone(),
            address: master.clone(),
        };
        match self.live.get(&key) {
            Some(live) => Registered {
                ha_server_address: Some(live.ha_server_address.clone()),
                master_address: Some(master.clone()),
            },
            None => Registered::default(),
        }
    }

    fn filter_servers<'a>(
        &'a self,
        brokers: impl Iterator<Item = &'a str>,
    ) -> Vec<(&'a str, &'a [String])> {
        let mut found = Vec::new();
        for data in brokers.filter_map(|name| self.brokers.get(name)) {
            for address in data.addresses.values() {
                let key = BrokerKey {
                    cluster: data.cluster.clone(),
                    address: address.clone(),
                };
                if let Some(live) = self.live.get(&key)
                    && !live.filter_servers.is_empty()
                {
                    found.push((address.as_str(), live.filter_servers.as_slice()));
                }
            }
        }
        found
    }

    fn remove_where(&mut self, is_dead: impl Fn(&Live) -> bool) -> Vec<Gone> {
        let dead: Vec<(Gone, String)> = self
            .live
            .iter()
            .filter(|(_, live)| is_dead(live))
            .map(|(key, live)| {
                let (broker, connection) = (key.clone(), live.connection);
                (Gone { broker, connection }, live.broker_name.clone())
            })
            .collect();
        for (gone, broker_name) in &dead {
            self.unregister(&gone.broker, broker_name);
        }
        dead.into_iter().map(|(gone, _)| gone).collect()
    }

    /// Drops one address; with the last one the broker name goes from its cluster and its topics.
    fn remove_address(&mut self, broker_name: &str, address: &str) {
        let Some(data) = self.brokers.get_mut(broker_name) else {
            return;
        };
        let min_id = data.min_id();
        data.addresses.retain(|_, held| held != address);
        if data.addresses.is_empty() {
            self.remove_broker_name(broker_name);
        } else if data.enable_acting_master {
            let (has_master, is_min_changed) = (data.has_master(), data.min_id() != min_id);
            if !has_master {
                self.change_permission(broker_name, Permission::without_write);
            }
            if is_min_changed {
                self.note_min_broker(broker_name, Some(address.to_owned()), None);
            }
        }
    }

    /// Who is told: everybody that is left when one went, all but the new one when one came.
    fn note_min_broker(
        &mut self,
        broker_name: &str,
        offline_address: Option<String>,
        ha_address: Option<String>,
    ) {
        let Some(data) = self.brokers.get(broker_name) else {
            return;
        };
        let Some((&min_id, min_address)) = data.addresses.first_key_value() else {
            return;
        };
        let tells_all = offline_address.is_some() || data.addresses.len() == 1;
        let told = data
            .addresses
            .iter()
            .filter(|(id, _)| tells_all || **id != min_id);
        let change = MinBrokerChange {
            broker_name: broker_name.to_owned(),
            min_broker_id: min_id,
            min_broker_address: min_address.clone(),
            offline_address,
            ha_address,
            told: told.map(|(_, address)| address.clone()).collect(),
        };
        if self.min_broker_changes.len() < NAME_SERVER_MIN_BROKER_CHANGES_MAX {
            self.min_broker_changes.push(change);
        }
    }

    fn remove_broker_name(&mut self, broker_name: &str) {
        self.brokers.remove(broker_name);
        self.clusters.retain(|_, names| {
            names.remove(broker_name);
            !names.is_empty()
        });
        let mut removed = 0;
        self.topics.retain(|_, queues| {
            removed += usize::from(queues.remove(broker_name).is_some());
            !queues.is_empty()
        });
        self.pairs -= removed;
        self.mappings.retain(|_, by_broker| {
            by_broker.remove(broker_name);
            !by_broker.is_empty()
        });
    }
}

impl Live {
    fn of(
        registration: &Registration,
        rules: &RegisterRules,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Self {
        Self {
            broker_name: registration.broker_name.clone(),
            heard_ms: now_ms,
            timeout_ms: registration
                .heartbeat_timeout_ms
                .unwrap_or(rules.liveness_ms),
            data_version: registration.data_version,
            connection,
            ha_server_address: registration.ha_server_address.clone(),
            filter_servers: registration.filter_servers.clone(),
        }
    }
}

#[cfg(test)]
mod tests;

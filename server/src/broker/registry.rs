//! Who is connected: clients by connection, members of producer and consumer groups, and what each
//! group subscribes to (`ProducerManager.java`, `ConsumerManager.java`, `ConsumerGroupInfo.java`).
//!
//! Every change returns an [`Effect`]: which members must be told (40) and which group views the
//! other shards must get before the request is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ConnectionId;
use super::filter::TagExpression;
use super::group_config::GroupConfig;
use super::heartbeat::{ConsumeFromWhere, ConsumeType, ConsumerData, Heartbeat, MessageModel};
use super::names;
use crate::limits::MEMBERSHIPS_MAX;

/// A client that has not sent a heartbeat for this long is forgotten
/// (`ClientHousekeepingService`, frame page 9).
pub const CLIENT_SILENCE_MS: u64 = 120_000;

/// What a client's connection tells beside the heartbeat's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client's address as text, `ip:port`.
    pub address: String,
    /// Language name from the request's header, such as `JAVA`.
    pub language: String,
    /// Version ordinal from the request's header.
    pub version: i32,
}

/// One connection's membership of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The client's id.
    pub client_id: String,
    /// Address, language, version.
    pub info: ClientInfo,
    /// Monotonic time of its last heartbeat, in milliseconds.
    pub heard_ms: u64,
}

/// One topic that a group subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: Arc<str>,
    /// The expression as sent; empty when absent.
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// Version the clients gave it.
    pub version: i64,
    /// The tags, when it is a tag expression.
    pub tags: TagExpression,
    /// Carried for 203.
    pub class_filter_mode: bool,
}

/// What a pull on any shard must know of its group: shared and immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its settings.
    pub config: Arc<GroupConfig>,
    /// Whether any member is connected.
    pub is_online: bool,
    /// Broadcasting or clustering, as the newest member said.
    pub message_model: MessageModel,
    /// What it subscribes to, by topic.
    pub subscriptions: BTreeMap<Arc<str>, Arc<Subscription>>,
}

/// A consumer group with at least one connected member.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    /// How messages get to the members.
    pub consume_type: ConsumeType,
    /// How they share them.
    pub message_model: MessageModel,
    /// Where a group without offsets begins.
    pub consume_from_where: ConsumeFromWhere,
    members: BTreeMap<ConnectionId, Member>,
    subscriptions: BTreeMap<Arc<str>, Arc<Subscription>>,
}

impl ConsumerGroup {
    /// Connected members in the order of their connections.
    pub fn members(&self) -> impl Iterator<Item = (ConnectionId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// What the group subscribes to, by topic.
    pub fn subscriptions(&self) -> &BTreeMap<Arc<str>, Arc<Subscription>> {
        &self.subscriptions
    }
}

/// What follows from a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Send `NOTIFY_CONSUMER_IDS_CHANGED` (40) with this group to this connection.
    pub notify: Vec<(String, ConnectionId)>,
    /// Groups whose [`GroupView`] has changed: take [`Registry::view`] and give it to every shard.
    pub changed: BTreeSet<String>,
    /// Connections to close: their client has been silent for too long.
    pub close: Vec<ConnectionId>,
}

impl Effect {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.notify.is_empty() && self.changed.is_empty() && self.close.is_empty()
    }
}

/// See the module. Lives on the home shard, in memory only.
#[derive(Debug, Default)]
pub struct Registry {
    consumers: BTreeMap<String, ConsumerGroup>,
    producers: BTreeMap<String, ProducerGroup>,
    /// Groups of each connection, so that its end costs nothing but its own.
    connections: BTreeMap<ConnectionId, Memberships>,
    memberships: usize,
}

#[derive(Debug, Default)]
struct Memberships {
    consumer_groups: BTreeSet<String>,
    producer_groups: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct ProducerGroup {
    members: BTreeMap<ConnectionId, Member>,
    /// The member that was picked last, for the next round of [`Registry::pick_producer`].
    picked: Option<ConnectionId>,
}

impl Registry {
    /// Nobody connected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a heartbeat in. `config` gives a group's settings, `None` when the group does not exist
    /// (automatic groups are off): such a group is passed over silently. The caller has created
    /// missing groups and their `%RETRY%` topics before.
    pub fn heartbeat<'a>(
        &mut self,
        connection: ConnectionId,
        info: &ClientInfo,
        heartbeat: &Heartbeat,
        config: impl Fn(&str) -> Option<&'a Arc<GroupConfig>>,
        monotonic_ms: u64,
    ) -> Effect {
        let mut effect = Effect::default();
        let member = Member {
            client_id: heartbeat.client_id.clone(),
            info: info.clone(),
            heard_ms: monotonic_ms,
        };
        for consumer in &heartbeat.consumers {
            let Some(config) = config(&consumer.group_name) else {
                continue;
            };
            let keep = heartbeat.without_sub;
            self.join_consumers(connection, &member, consumer, config, keep, &mut effect);
        }
        for producer in &heartbeat.producers {
            if names::validate_group(&producer.group_name).is_ok() {
                self.join_producers(connection, &member, &producer.group_name);
            }
        }
        effect
    }

    /// A client leaves a producer group, a consumer group, or both (35). Empty names count as absent.
    pub fn unregister<'a>(
        &mut self,
        connection: ConnectionId,
        producer_group: Option<&str>,
        consumer_group: Option<&str>,
        config: impl Fn(&str) -> Option<&'a Arc<GroupConfig>>,
    ) -> Effect {
        let mut effect = Effect::default();
        if let Some(group) = producer_group.filter(|group| !group.is_empty()) {
            self.leave_producers(connection, group);
        }
        if let Some(group) = consumer_group.filter(|group| !group.is_empty()) {
            self.leave_consumers(connection, group, config(group), &mut effect);
        }
        self.forget_if_idle(connection);
        effect
    }

    /// A connection has ended: it leaves all its groups at once, and the other members are told.
    pub fn connection_closed<'a>(
        &mut self,
        connection: ConnectionId,
        config: impl Fn(&str) -> Option<&'a Arc<GroupConfig>>,
    ) -> Effect {
        let mut effect = Effect::default();
        let Some(memberships) = self.connections.remove(&connection) else {
            return effect;
        };
        for group in &memberships.producer_groups {
            self.remove_producer(connection, group);
        }
        for group in &memberships.consumer_groups {
            self.remove_consumer(connection, group, config(group), &mut effect);
        }
        effect
    }

    /// Forgets clients that have been silent for [`CLIENT_SILENCE_MS`]; call every ten seconds.
    /// Their connections are to be closed.
    pub fn expire<'a>(
        &mut self,
        monotonic_ms: u64,
        config: impl Fn(&str) -> Option<&'a Arc<GroupConfig>>,
    ) -> Effect {
        let mut effect = Effect::default();
        for connection in self.silent_connections(monotonic_ms) {
            let ended = self.connection_closed(connection, |_| None);
            effect.changed.extend(ended.changed);
            effect.close.push(connection);
        }
        // Once per group, after all have left: a group may lose thousands of members at a time.
        let changed: Vec<String> = effect.changed.iter().cloned().collect();
        for name in &changed {
            if let (Some(group), Some(config)) = (self.consumers.get(name), config(name)) {
                group.notify(name, config, &mut effect);
            }
        }
        effect
    }

    /// Client ids of a group's members (38), in the order of their connections; `None` when the
    /// group has no member.
    pub fn consumer_ids(&self, group: &str) -> Option<Vec<&str>> {
        let group = self.consumers.get(group)?;
        let ids = group.members.values().map(|m| m.client_id.as_str());
        Some(ids.collect())
    }

    /// A consumer group with connected members.
    pub fn consumer_group(&self, group: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(group)
    }

    /// Consumer groups with connected members, by name.
    pub fn consumer_groups(&self) -> impl Iterator<Item = (&str, &ConsumerGroup)> {
        self.consumers.iter().map(|(n, group)| (n.as_str(), group))
    }

    /// Members of a producer group in the order of their connections; `None` when it has none.
    pub fn producers(&self, group: &str) -> Option<impl Iterator<Item = (ConnectionId, &Member)>> {
        let group = self.producers.get(group)?;
        Some(group.members.iter().map(|(id, member)| (*id, member)))
    }

    /// All producer groups with their members, by name.
    pub fn producer_groups(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &Member>)> {
        let groups = self.producers.iter();
        groups.map(|(name, group)| (name.as_str(), group.members.values()))
    }

    /// The next member of a producer group in turn (transaction checks).
    pub fn pick_producer(&mut self, group: &str) -> Option<ConnectionId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let group = self.producers.get_mut(group)?;
        let after = group.picked.map_or(Unbounded, Excluded);
        let next = group.members.range((after, Unbounded)).next();
        let next = next.or_else(|| group.members.iter().next());
        group.picked = next.map(|(id, _)| *id);
        group.picked
    }

    /// The connection of the producer with this client id (request-reply).
    pub fn producer_with_id(&self, client_id: &str) -> Option<ConnectionId> {
        self.producers
            .values()
            .flat_map(|group| group.members.iter())
            .find(|(_, member)| member.client_id == client_id)
            .map(|(id, _)| *id)
    }

    /// What a group subscribes to on a topic.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<&Arc<Subscription>> {
        self.consumers.get(group)?.subscriptions.get(topic)
    }

    /// What the other shards need to know of a group that has these settings.
    pub fn view(&self, group: &str, config: &Arc<GroupConfig>) -> GroupView {
        let config = Arc::clone(config);
        match self.consumers.get(group) {
            Some(online) => GroupView {
                config,
                is_online: true,
                message_model: online.message_model,
                subscriptions: online.subscriptions.clone(),
            },
            None => GroupView {
                config,
                is_online: false,
                message_model: MessageModel::Clustering,
                subscriptions: BTreeMap::new(),
            },
        }
    }

    /// Connections that have sent a heartbeat.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn join_consumers(
        &mut self,
        connection: ConnectionId,
        member: &Member,
        data: &ConsumerData,
        config: &Arc<GroupConfig>,
        keep_subscriptions: bool,
        effect: &mut Effect,
    ) {
        let name = &data.group_name;
        let is_known = |group: &ConsumerGroup| group.members.contains_key(&connection);
        let is_new = !self.consumers.get(name).is_some_and(is_known);
        if is_new && !self.has_room() {
            return;
        }
        let group = self
            .consumers
            .entry(name.clone())
            .or_insert_with(|| ConsumerGroup::of(data));
        let was = (group.message_model, group.members.len());
        group.consume_type = data.consume_type;
        group.message_model = data.message_model;
        group.consume_from_where = data.consume_from_where;
        group.members.insert(connection, member.clone());
        let change = if keep_subscriptions {
            SubscriptionChange::None
        } else {
            group.update_subscriptions(data)
        };
        let is_view_changed = was != (group.message_model, group.members.len());
        if is_view_changed || change != SubscriptionChange::None {
            effect.changed.insert(name.clone());
        }
        if is_new || change == SubscriptionChange::Topics {
            group.notify(name, config, effect);
        }
        if is_new {
            self.memberships += 1;
            let memberships = self.connections.entry(connection).or_default();
            memberships.consumer_groups.insert(name.clone());
        }
    }

    fn join_producers(&mut self, connection: ConnectionId, member: &Member, name: &str) {
        let is_known = |group: &ProducerGroup| group.members.contains_key(&connection);
        let is_new = !self.producers.get(name).is_some_and(is_known);
        if is_new && !self.has_room() {
            return;
        }
        let group = self.producers.entry(name.to_owned()).or_default();
        group.members.insert(connection, member.clone());
        if is_new {
            self.memberships += 1;
            let memberships = self.connections.entry(connection).or_default();
            memberships.producer_groups.insert(name.to_owned());
        }
    }

    fn leave_producers(&mut self, connection: ConnectionId, group: &str) {
        if let Some(memberships) = self.connections.get_mut(&connection)
            && memberships.producer_groups.remove(group)
        {
            self.remove_producer(connection, group);
        }
    }

    fn leave_consumers(
        &mut self,
        connection: ConnectionId,
        group: &str,
        config: Option<&Arc<GroupConfig>>,
        effect: &mut Effect,
    ) {
        if let Some(memberships) = self.connections.get_mut(&connection)
            && memberships.consumer_groups.remove(group)
        {
            self.remove_consumer(connection, group, config, effect);
        }
    }

    fn remove_producer(&mut self, connection: ConnectionId, name: &str) {
        let Some(group) = self.producers.get_mut(name) else {
            return;
        };
        if group.members.remove(&connection).is_some() {
            self.memberships -= 1;
        }
        if group.members.is_empty() {
            self.producers.remove(name);
        }
    }

    fn remove_consumer(
        &mut self,
        connection: ConnectionId,
        name: &str,
        config: Option<&Arc<GroupConfig>>,
        effect: &mut Effect,
    ) {
        let Some(group) = self.consumers.get_mut(name) else {
            return;
        };
        if group.members.remove(&connection).is_none() {
            return;
        }
        self.memberships -= 1;
        effect.changed.insert(name.to_owned());
        if group.members.is_empty() {
            self.consumers.remove(name);
        } else if let Some(config) = config {
            group.notify(name, config, effect);
        }
    }

    fn forget_if_idle(&mut self, connection: ConnectionId) {
        let is_idle =
            |m: &Memberships| m.consumer_groups.is_empty() && m.producer_groups.is_empty();
        if self.connections.get(&connection).is_some_and(is_idle) {
            self.connections.remove(&connection);
        }
    }

    /// Connections none of whose memberships has been refreshed lately.
    fn silent_connections(&self, now: u64) -> Vec<ConnectionId> {
        let is_silent = |member: Option<&Member>| {
            member.is_none_or(|m| now.saturating_sub(m.heard_ms) > CLIENT_SILENCE_MS)
        };
        self.connections
            .iter()
            .filter(|(id, memberships)| {
                let consumers = memberships.consumer_groups.iter();
                let producers = memberships.producer_groups.iter();
                consumers
                    .map(|name| self.consumers.get(name).and_then(|g| g.members.get(id)))
                    .chain(producers.map(|n| self.producers.get(n).and_then(|g| g.members.get(id))))
                    .all(is_silent)
            })
            .map(|(id, _)| *id)
            .collect()
    }

    fn has_room(&self) -> bool {
        self.memberships < MEMBERSHIPS_MAX
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionChange {
    None,
    /// An entry was replaced by a newer version: members need not rebalance.
    Version,
    /// A topic came or went: members rebalance.
    Topics,
}

impl ConsumerGroup {
    fn of(data: &ConsumerData) -> Self {
        Self {
            consume_type: data.consume_type,
            message_model: data.message_model,
            consume_from_where: data.consume_from_where,
            members: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
        }
    }

    /// Entries are replaced by larger versions only, and topics that the heartbeat lacks go
    /// (`ConsumerGroupInfo.updateSubscription`).
    fn update_subscriptions(&mut self, data: &ConsumerData) -> SubscriptionChange {
        let mut change = SubscriptionChange::None;
        for sent in &data.subscriptions {
            let current = self.subscriptions.get(sent.topic.as_str());
            let is_newer = current.is_none_or(|current| sent.sub_version > current.version);
            if !is_newer {
                continue;
            }
            let is_known = current.is_some();
            let topic: Arc<str> = sent.topic.as_str().into();
            let entry = Subscription::of(sent, Arc::clone(&topic));
            self.subscriptions.insert(topic, Arc::new(entry));
            if !is_known {
                change = SubscriptionChange::Topics;
            } else if change == SubscriptionChange::None {
                change = SubscriptionChange::Version;
            }
        }
        let before = self.subscriptions.len();
        let sent: BTreeSet<&str> = data
            .subscriptions
            .iter()
            .map(|s| s.topic.as_str())
            .collect();
        self.subscriptions
            .retain(|topic, _| sent.contains(&**topic));
        if self.subscriptions.len() != before {
            change = SubscriptionChange::Topics;
        }
        change
    }

    /// All members are told, the one that caused it too; not those of a broadcasting group.
    fn notify(&self, name: &str, config: &GroupConfig, effect: &mut Effect) {
        if !config.notify_consumer_ids_changed_enable
            || self.message_model == MessageModel::Broadcasting
        {
            return;
        }
        if effect.notify.iter().any(|(told, _)| told == name) {
            return;
        }
        let members = self.members.keys();
        let entries = members.map(|connection| (name.to_owned(), *connection));
        effect.notify.extend(entries);
    }
}

impl Subscription {
    fn of(sent: &super::heartbeat::SubscriptionData, topic: Arc<str>) -> Self {
        Self {
            topic,
            expression: sent.sub_string.clone().unwrap_or_default(),
            expression_type: match sent.expression_type.as_deref() {
                None | Some("") => "TAG".to_owned(),
                Some(kind) => kind.to_owned(),
            },
            version: sent.sub_version,
            tags: sent.tags(),
            class_filter_mode: sent.class_filter_mode,
        }
    }
}

#[cfg(test)]
mod tests;

//! The broker's topics: what exists, what may be created, and what the name servers are told.
//!
//! A change goes in two steps, because a topic must be durable before its first message: the table
//! *plans* it (all checks, no effect), the caller makes the planned configuration durable in the
//! engine under a topic id, and then *puts* it. Between the two nobody sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmq_engine::types::TopicId;

use super::names::{self, AUTO_CREATE_TOPIC, NameError, RETRY_PREFIX};
use super::shared_map::SharedMap;
use super::system_topics::{SystemTopicSettings, system_topics};
use super::topic_config::{PayloadError, Permission, TopicConfig};
use crate::data_version::DataVersion;
use crate::limits::{TOPIC_QUEUES_MAX, TOPICS_MAX};

/// One incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Issued by the engine; a topic deleted and created again has another.
    pub id: TopicId,
    /// Its settings.
    pub config: TopicConfig,
}

/// What came of a request that may create a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is there.
    Exists(Arc<Topic>),
    /// It may be created: make this durable under a new topic id, then [`TopicTable::put`] it.
    Create(TopicConfig),
}

/// Why a topic is not created or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The name is not allowed (29).
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name belongs to the system (29).
    #[error("The topic[{0}] is conflict with system topic.")]
    System(String),
    /// Unknown, and the request may not create it (17).
    #[error(
        "topic[{0}] not exist, apply first please!\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )]
    NotCreatable(String),
    /// A number of queues outside of 1 to the limit (29).
    #[error("topic[{topic}] cannot have {queues} queues: between 1 and {max} are allowed")]
    Queues {
        /// The topic.
        topic: String,
        /// Asked for.
        queues: i64,
        /// Most allowed.
        max: u32,
    },
    /// The table is at its bound (1).
    #[error("this broker has {max} topics, the most it keeps: delete some first")]
    Full {
        /// Most topics kept.
        max: usize,
    },
}

/// Why the stored topics cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("topic {topic} as stored {source}")]
pub struct TopicRestoreError {
    topic: String,
    source: PayloadError,
}

/// See the module. Lives on the home shard.
#[derive(Debug)]
pub struct TopicTable {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    shared: SharedMap<Topic>,
    settings: SystemTopicSettings,
    /// The template topic while `autoCreateTopicEnable` is off: stored, and not shown to anyone.
    hidden_template: Option<Arc<Topic>>,
    reserved: Vec<String>,
    data_version: DataVersion,
}

impl TopicTable {
    /// Reads the stored topics back. `seed` is for the hash of [`TopicTable::shared`]. A stored
    /// template topic is left out when `autoCreateTopicEnable` is off.
    pub fn restore<'a>(
        settings: SystemTopicSettings,
        stored: impl Iterator<Item = (TopicId, &'a str, &'a [u8])>,
        seed: u64,
        now_ms: i64,
    ) -> Result<Self, TopicRestoreError> {
        let reserved = system_topics(&settings)
            .into_iter()
            .map(|topic| topic.topic_name)
            .collect();
        let mut table = Self {
            by_name: BTreeMap::new(),
            shared: SharedMap::new(seed),
            settings,
            hidden_template: None,
            reserved,
            data_version: DataVersion::starting_at(now_ms),
        };
        for (id, name, payload) in stored {
            let config =
                TopicConfig::from_payload(payload).map_err(|source| TopicRestoreError {
                    topic: name.to_owned(),
                    source,
                })?;
            if table.settings.auto_create || name != AUTO_CREATE_TOPIC {
                table.insert(id, config);
            } else {
                table.hidden_template = Some(Arc::new(Topic { id, config }));
            }
        }
        Ok(table)
    }

    /// `autoCreateTopicEnable` has changed: the template topic comes or goes. Where it has never been
    /// it is one of [`TopicTable::missing_system_topics`] then. Whether anything changed.
    pub fn set_auto_create(&mut self, auto_create: bool, now_ms: i64) -> bool {
        if self.settings.auto_create == auto_create {
            return false;
        }
        self.settings.auto_create = auto_create;
        if auto_create {
            if let Some(template) = self.hidden_template.take() {
                self.put(template.id, template.config.clone(), now_ms);
            }
        } else {
            self.hidden_template = self.remove(AUTO_CREATE_TOPIC, now_ms);
        }
        true
    }

    /// What name servers are told has changed, though no topic has.
    pub fn touch(&mut self, now_ms: i64) {
        self.data_version.advance(now_ms);
    }

    /// System topics that do not exist yet or whose queues follow a changed setting: make each
    /// durable and [`TopicTable::put`] it before serving.
    pub fn missing_system_topics(&self) -> Vec<TopicConfig> {
        system_topics(&self.settings)
            .into_iter()
            .filter(|config| match self.get(&config.topic_name) {
                None => true,
                Some(topic) => {
                    config.topic_name == AUTO_CREATE_TOPIC
                        && topic.config.write_queue_nums != config.write_queue_nums
                }
            })
            .collect()
    }

    /// Looks a topic up.
    pub fn get(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// All topics by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// Number of topics.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The copy that every shard looks topics up in; take a new one after each change.
    pub fn shared(&self) -> SharedMap<Topic> {
        self.shared.clone()
    }

    /// What name servers and slaves compare.
    pub fn data_version(&self) -> DataVersion {
        self.data_version
    }

    /// Whether a name belongs to the system of this broker (its cluster and broker names too):
    /// neither 17 nor 215 may touch it.
    pub fn is_system(&self, name: &str) -> bool {
        names::is_system_topic(name) || self.reserved.iter().any(|reserved| reserved == name)
    }

    /// Names of topics that belong to the system, whether they exist or not; sorted.
    pub fn system_names(&self) -> Vec<&str> {
        let existing = self.by_name.keys().map(|name| &**name);
        let existing = existing.filter(|name| names::is_system_topic(name));
        let mut all: Vec<&str> = self.reserved.iter().map(String::as_str).collect();
        all.extend(names::SYSTEM_TOPICS);
        all.extend(existing);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A send names a topic and the template it may be created after
    /// (`createTopicInSendMessageMethod`): `default_topic` is the request's, usually `TBW102`, and
    /// `default_queues` the request's `defaultTopicQueueNums`. A `%RETRY%` topic is created with one
    /// queue whatever the template says.
    pub fn plan_send(
        &self,
        name: &str,
        default_topic: &str,
        default_queues: i32,
    ) -> Result<Creation, TopicError> {
        if let Some(topic) = self.get(name) {
            return Ok(Creation::Exists(Arc::clone(topic)));
        }
        names::validate_topic(name)?;
        if let Some(config) = self.after_template(name, default_topic, default_queues) {
            return self.creation(config);
        }
        if name.starts_with(RETRY_PREFIX) {
            return self.creation(TopicConfig::new(name, 1, Permission::READ_WRITE));
        }
        Err(TopicError::NotCreatable(name.to_owned()))
    }

    /// The broker itself needs a topic (`createTopicInSendMessageBackMethod`): the retry or
    /// dead-letter topic of a group, or one of its own, with this many queues.
    pub fn plan_internal(&self, name: &str, queues: u32) -> Result<Creation, TopicError> {
        if let Some(topic) = self.get(name) {
            return Ok(Creation::Exists(Arc::clone(topic)));
        }
        names::validate_topic(name)?;
        check_queues(name, queues)?;
        self.creation(TopicConfig::new(name, queues, Permission::READ_WRITE))
    }

    /// A request to create or change a topic (17). Returns the configuration to make durable, under
    /// the existing topic's id or a new one, or `None` when nothing would change.
    pub fn plan_update(&self, config: TopicConfig) -> Result<Option<TopicConfig>, TopicError> {
        names::validate_topic(&config.topic_name)?;
        if self.is_system(&config.topic_name) {
            return Err(TopicError::System(config.topic_name));
        }
        check_queues(&config.topic_name, config.read_queue_nums)?;
        check_queues(&config.topic_name, config.write_queue_nums)?;
        match self.get(&config.topic_name) {
            Some(topic) if topic.config == config => Ok(None),
            Some(_) => Ok(Some(config)),
            None => {
                self.check_room()?;
                Ok(Some(config))
            }
        }
    }

    /// A request to delete a topic (215): the id to delete in the engine, `None` when there is no
    /// such topic (answered with 0 all the same).
    pub fn plan_delete(&self, name: &str) -> Result<Option<TopicId>, TopicError> {
        if self.is_system(name) {
            return Err(TopicError::System(name.to_owned()));
        }
        Ok(self.get(name).map(|topic| topic.id))
    }

    /// Takes in a topic that has become durable: a new one, or another configuration under the same id.
    pub fn put(&mut self, id: TopicId, config: TopicConfig, now_ms: i64) -> Arc<Topic> {
        self.data_version.advance(now_ms);
        self.insert(id, config)
    }

    /// Takes a deletion in that has become durable.
    pub fn remove(&mut self, name: &str, now_ms: i64) -> Option<Arc<Topic>> {
        let topic = self.by_name.remove(name)?;
        self.shared.remove(name);
        self.data_version.advance(now_ms);
        Some(topic)
    }

    fn insert(&mut self, id: TopicId, config: TopicConfig) -> Arc<Topic> {
        let name: Arc<str> = config.topic_name.as_str().into();
        let topic = Arc::new(Topic { id, config });
        self.shared.insert(Arc::clone(&name), Arc::clone(&topic));
        self.by_name.insert(name, Arc::clone(&topic));
        topic
    }

    fn after_template(&self, name: &str, template: &str, queues: i32) -> Option<TopicConfig> {
        let template = &self.get(template)?.config;
        if !template.perm.is_inherited() {
            return None;
        }
        // Apache takes a negative number as none at all and so creates no queue; one is the least
        // that makes sense.
        let asked = u32::try_from(queues).unwrap_or(0);
        let queues = asked.min(template.write_queue_nums).max(1);
        let mut config = TopicConfig::new(name, queues, template.perm.without_inherit());
        config.topic_filter_type = template.topic_filter_type;
        Some(config)
    }

    fn creation(&self, config: TopicConfig) -> Result<Creation, TopicError> {
        self.check_room()?;
        Ok(Creation::Create(config))
    }

    fn check_room(&self) -> Result<(), TopicError> {
        if self.by_name.len() < TOPICS_MAX {
            return Ok(());
        }
        Err(TopicError::Full { max: TOPICS_MAX })
    }
}

fn check_queues(topic: &str, queues: u32) -> Result<(), TopicError> {
    if (1..=TOPIC_QUEUES_MAX).contains(&queues) {
        return Ok(());
    }
    Err(TopicError::Queues {
        topic: topic.to_owned(),
        queues: i64::from(queues),
        max: TOPIC_QUEUES_MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(auto_create: bool) -> SystemTopicSettings {
        SystemTopicSettings {
            cluster: "DefaultCluster".into(),
            broker: "broker-a".into(),
            auto_create,
            default_queues: 8,
            trace: false,
        }
    }

    fn started(auto_create: bool) -> TopicTable {
        let mut table =
            TopicTable::restore(settings(auto_create), std::iter::empty(), 1, 1000).unwrap();
        for (id, config) in (1..).zip(table.missing_system_topics()) {
            table.put(TopicId(id), config, 1000);
        }
        table
    }

    #[test]
    fn the_template_goes_and_comes_back_with_automatic_topics() {
        let mut table = started(true);
        let id = table.get(AUTO_CREATE_TOPIC).unwrap().id;
        assert!(!table.set_auto_create(true, 2000));
        assert!(table.set_auto_create(false, 2000));
        assert!(table.get(AUTO_CREATE_TOPIC).is_none());
        assert!(table.shared().get(AUTO_CREATE_TOPIC).is_none());
        assert!(table.plan_send("New", AUTO_CREATE_TOPIC, 4).is_err());
        assert!(table.missing_system_topics().is_empty());
        assert!(table.set_auto_create(true, 3000));
        assert_eq!(table.get(AUTO_CREATE_TOPIC).unwrap().id, id);
        assert!(table.plan_send("New", AUTO_CREATE_TOPIC, 4).is_ok());
        let mut without = started(false);
        without.set_auto_create(true, 2000);
        let missing = without.missing_system_topics();
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].topic_name, AUTO_CREATE_TOPIC);
    }

    fn created(creation: Creation) -> TopicConfig {
        match creation {
            Creation::Create(config) => config,
            Creation::Exists(topic) => panic!("exists: {topic:?}"),
        }
    }

    #[test]
    fn a_send_to_an_unknown_topic_creates_it_after_the_template() {
        let table = started(true);
        let config = created(table.plan_send("New", "TBW102", 4).unwrap());
        assert_eq!((config.read_queue_nums, config.write_queue_nums), (4, 4));
        assert_eq!(config.perm, Permission::READ_WRITE);
        let config = created(table.plan_send("New", "TBW102", 100).unwrap());
        assert_eq!(
            config.write_queue_nums, 8,
            "never more than the template has"
        );
        assert!(table.get("New").is_none(), "a plan has no effect");
    }

    #[test]
    fn without_automatic_topics_only_retry_topics_are_created_by_sends() {
        let table = started(false);
        assert_eq!(
            table.plan_send("New", "TBW102", 4),
            Err(TopicError::NotCreatable("New".into()))
        );
        let config = created(table.plan_send("%RETRY%CG", "TBW102", 4).unwrap());
        assert_eq!(config.read_queue_nums, 1);
    }

    #[test]
    fn a_topic_that_is_no_template_is_not_inherited_from() {
        let table = started(true);
        assert!(table.plan_send("New", "BenchmarkTest", 4).is_err());
    }

    #[test]
    fn bad_names_and_queue_counts_are_refused() {
        let table = started(true);
        assert!(matches!(
            table.plan_send("a b", "TBW102", 4),
            Err(TopicError::Name(_))
        ));
        let config = created(table.plan_send("New", "TBW102", -5).unwrap());
        assert_eq!(config.write_queue_nums, 1);
        let none = TopicConfig::new("New", 0, Permission::READ_WRITE);
        assert!(matches!(
            table.plan_update(none),
            Err(TopicError::Queues { .. })
        ));
    }

    #[test]
    fn system_topics_cannot_be_changed_or_deleted() {
        let table = started(true);
        for name in ["TBW102", "broker-a", "DefaultCluster", "rmq_sys_x"] {
            let config = TopicConfig::new(name, 4, Permission::READ_WRITE);
            assert_eq!(
                table.plan_update(config).unwrap_err().to_string(),
                format!("The topic[{name}] is conflict with system topic.")
            );
            assert!(table.plan_delete(name).is_err());
        }
    }

    #[test]
    fn an_update_without_a_change_needs_no_write() {
        let mut table = started(true);
        let config = TopicConfig::new("T", 4, Permission::READ_WRITE);
        let planned = table.plan_update(config.clone()).unwrap().unwrap();
        table.put(TopicId(99), planned, 2000);
        assert_eq!(table.plan_update(config).unwrap(), None);
    }

    #[test]
    fn every_change_advances_the_data_version_and_the_shared_copy() {
        let mut table = started(true);
        let before = table.data_version();
        let copy = table.shared();
        let config = TopicConfig::new("T", 4, Permission::READ_WRITE);
        table.put(TopicId(99), config, 2000);
        assert_eq!(table.data_version().counter, before.counter + 1);
        assert_eq!(table.data_version().timestamp, 2000);
        assert!(copy.get("T").is_none());
        assert!(table.shared().get("T").is_some());
        assert_eq!(table.plan_delete("T"), Ok(Some(TopicId(99))));
        table.remove("T", 3000);
        assert_eq!(table.data_version().counter, before.counter + 2);
        assert!(table.shared().get("T").is_none());
        assert_eq!(table.plan_delete("T"), Ok(None));
    }

    #[test]
    fn stored_topics_come_back_and_only_missing_system_topics_are_asked_for() {
        let first = started(true);
        let stored: Vec<_> = first
            .iter()
            .map(|t| (t.id, t.config.topic_name.clone(), t.config.to_payload()))
            .collect();
        let read = || {
            stored
                .iter()
                .map(|(id, n, p)| (*id, n.as_str(), p.as_slice()))
        };
        let again = TopicTable::restore(settings(true), read(), 2, 5000).unwrap();
        assert!(again.missing_system_topics().is_empty());
        assert_eq!(again.len(), first.len());
        assert_eq!(again.data_version(), DataVersion::starting_at(5000));
        let closed = TopicTable::restore(settings(false), read(), 2, 5000).unwrap();
        assert!(
            closed.get("TBW102").is_none(),
            "the template goes with the setting"
        );
    }

    #[test]
    fn a_stored_topic_that_cannot_be_read_stops_the_start_and_is_named() {
        let bad = [(TopicId(1), "T", &b"\x07"[..])];
        let error = TopicTable::restore(settings(true), bad.into_iter(), 1, 1).unwrap_err();
        assert!(
            error.to_string().starts_with("topic T as stored"),
            "{error}"
        );
    }
}

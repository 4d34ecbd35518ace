//! The consumer groups' configurations. Changes are planned, made durable and then put, as those
//! of topics ([`super::topics`]); the groups of Apache's own tools are always there and not stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::group_config::GroupConfig;
use super::names::{self, NameError};
use super::topic_config::PayloadError;
use crate::data_version::DataVersion;
use crate::limits::GROUPS_MAX;

/// Groups that exist on every broker (broker page 8).
const PREDEFINED: [&str; 8] = [
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_PULL",
    "CID_RMQ_SYS_TRANS",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "TOOLS_CONSUMER",
];

/// What came of a request that may create a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCreation {
    /// It is there.
    Exists(Arc<GroupConfig>),
    /// It may be created: make this durable, then [`GroupTable::put`] it.
    Create(GroupConfig),
}

/// Why a group is not created or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The name is not allowed (29).
    #[error(transparent)]
    Name(#[from] NameError),
    /// Unknown, and `autoCreateSubscriptionGroup` is off (26).
    #[error(
        "subscription group [{0}] does not exist, \nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )]
    NotCreatable(String),
    /// The table is at its bound (1).
    #[error("this broker has {max} consumer groups, the most it keeps: delete some first")]
    Full {
        /// Most groups kept.
        max: usize,
    },
}

/// Why the stored groups cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("group {group} as stored {source}")]
pub struct GroupRestoreError {
    group: String,
    source: PayloadError,
}

/// See the module. Lives on the home shard.
#[derive(Debug)]
pub struct GroupTable {
    groups: BTreeMap<Arc<str>, Arc<GroupConfig>>,
    auto_create: bool,
    data_version: DataVersion,
}

impl GroupTable {
    /// Reads the stored groups back and adds the predefined ones. `auto_create` is
    /// `autoCreateSubscriptionGroup`.
    pub fn restore<'a>(
        auto_create: bool,
        stored: impl Iterator<Item = (&'a str, &'a [u8])>,
        now_ms: i64,
    ) -> Result<Self, GroupRestoreError> {
        let mut table = Self {
            groups: BTreeMap::new(),
            auto_create,
            data_version: DataVersion::starting_at(now_ms),
        };
        for name in PREDEFINED {
            table.insert(GroupConfig::new(name));
        }
        for (name, payload) in stored {
            let config = GroupConfig::from_payload(payload).map_err(|source| {
                let group = name.to_owned();
                GroupRestoreError { group, source }
            })?;
            table.insert(config);
        }
        Ok(table)
    }

    /// Looks a group up.
    pub fn get(&self, name: &str) -> Option<&Arc<GroupConfig>> {
        self.groups.get(name)
    }

    /// All groups by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<GroupConfig>> {
        self.groups.values()
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none (never: some are predefined).
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// What slaves compare.
    pub fn data_version(&self) -> DataVersion {
        self.data_version
    }

    /// `autoCreateSubscriptionGroup` has changed.
    pub fn set_auto_create(&mut self, auto_create: bool) {
        self.auto_create = auto_create;
    }

    /// A heartbeat, pull or send-back names a group: it is created with the defaults when allowed.
    /// System groups (`CID_RMQ_SYS_..`) are created even when automatic groups are off.
    pub fn plan_use(&self, name: &str) -> Result<GroupCreation, GroupError> {
        if let Some(config) = self.get(name) {
            return Ok(GroupCreation::Exists(Arc::clone(config)));
        }
        if !self.auto_create && !name.starts_with(names::SYSTEM_GROUP_PREFIX) {
            return Err(GroupError::NotCreatable(name.to_owned()));
        }
        names::validate_group(name)?;
        self.check_room()?;
        Ok(GroupCreation::Create(GroupConfig::new(name)))
    }

    /// A request to create or change a group (200). Returns what to make durable, or `None` when
    /// nothing would change.
    pub fn plan_update(&self, config: GroupConfig) -> Result<Option<GroupConfig>, GroupError> {
        names::validate_group(&config.group_name)?;
        match self.get(&config.group_name) {
            Some(current) if **current == config => Ok(None),
            Some(_) => Ok(Some(config)),
            None => {
                self.check_room()?;
                Ok(Some(config))
            }
        }
    }

    /// Takes in a group that has become durable.
    pub fn put(&mut self, config: GroupConfig, now_ms: i64) -> Arc<GroupConfig> {
        self.data_version.advance(now_ms);
        self.insert(config)
    }

    /// Takes a deletion in that has become durable. A predefined group goes back to its defaults.
    pub fn remove(&mut self, name: &str, now_ms: i64) -> Option<Arc<GroupConfig>> {
        let config = self.groups.remove(name)?;
        if PREDEFINED.contains(&name) {
            self.insert(GroupConfig::new(name));
        }
        self.data_version.advance(now_ms);
        Some(config)
    }

    fn insert(&mut self, config: GroupConfig) -> Arc<GroupConfig> {
        let config = Arc::new(config);
        self.groups
            .insert(config.group_name.as_str().into(), Arc::clone(&config));
        config
    }

    fn check_room(&self) -> Result<(), GroupError> {
        if self.groups.len() < GROUPS_MAX {
            return Ok(());
        }
        Err(GroupError::Full { max: GROUPS_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(auto_create: bool) -> GroupTable {
        GroupTable::restore(auto_create, std::iter::empty(), 1000).unwrap()
    }

    #[test]
    fn a_new_group_is_created_with_the_defaults() {
        let mut table = empty(true);
        let GroupCreation::Create(config) = table.plan_use("CG").unwrap() else {
            panic!("exists");
        };
        assert_eq!(config, GroupConfig::new("CG"));
        assert!(table.get("CG").is_none(), "a plan has no effect");
        table.put(config, 2000);
        assert!(matches!(table.plan_use("CG"), Ok(GroupCreation::Exists(_))));
        assert_eq!(table.data_version().counter, 1);
    }

    #[test]
    fn without_automatic_groups_only_known_and_system_groups_pass() {
        let table = empty(false);
        assert!(matches!(
            table.plan_use("CG"),
            Err(GroupError::NotCreatable(_))
        ));
        assert!(table.plan_use("TOOLS_CONSUMER").is_ok());
        assert!(table.plan_use("CID_RMQ_SYS_X").is_ok());
    }

    #[test]
    fn bad_group_names_are_refused() {
        let table = empty(true);
        assert!(matches!(table.plan_use("a b"), Err(GroupError::Name(_))));
        assert!(matches!(table.plan_use(""), Err(GroupError::Name(_))));
    }

    #[test]
    fn a_stored_change_of_a_predefined_group_wins_until_it_is_deleted() {
        let mut changed = GroupConfig::new("TOOLS_CONSUMER");
        changed.retry_max_times = 2;
        let payload = changed.to_payload();
        let stored = [("TOOLS_CONSUMER", payload.as_slice())];
        let mut table = GroupTable::restore(true, stored.into_iter(), 1).unwrap();
        let times = |table: &GroupTable| table.get("TOOLS_CONSUMER").unwrap().retry_max_times;
        assert_eq!(times(&table), 2);
        table.remove("TOOLS_CONSUMER", 5);
        assert_eq!(times(&table), 16);
    }

    #[test]
    fn an_update_without_a_change_needs_no_write() {
        let mut table = empty(true);
        let config = GroupConfig::new("CG");
        let planned = table.plan_update(config.clone()).unwrap().unwrap();
        table.put(planned, 1);
        assert_eq!(table.plan_update(config), Ok(None));
    }
}

//! A broker's settings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringmq_engine::{Hours, Policy};

use super::interfaces::{self, Choice};
use super::values::addresses;
use super::{ConfigError, ConfigFile, Values, apache_keys, keys, machine};
use crate::broker::system_topics::SystemTopicSettings;
use crate::control::name_servers::Source;
use crate::control::registration::Manner;
use crate::limits::REGISTRATION_TOPICS_MAX;

/// See the module; what each means is in [`keys::BROKER`].
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub name: String,
    /// `brokerId`.
    pub id: i64,
    /// `brokerIP1`.
    pub address: IpAddr,
    /// How it was chosen, where no setting says it.
    pub address_choice: Option<Choice>,
    /// `brokerIP2`.
    pub ha_address: IpAddr,
    /// `bindAddress`.
    pub bind_address: IpAddr,
    /// `listenPort`; 0 takes any.
    pub port: u16,
    /// `haListenPort`; `None` is the port after `port`.
    pub ha_port: Option<u16>,
    /// `namesrvAddr`: `host:port` each.
    pub name_servers: Vec<String>,
    /// Where they come from instead, and how often it is asked.
    pub name_server_source: Option<(Source, Duration)>,
    /// The store.
    pub store: StoreConfig,
    /// `autoCreateTopicEnable`.
    pub auto_create_topics: bool,
    /// `autoCreateSubscriptionGroup`.
    pub auto_create_groups: bool,
    /// `useServerSideResetOffset`.
    pub server_side_reset: bool,
    /// `defaultTopicQueueNums`.
    pub default_topic_queues: u32,
    /// `traceTopicEnable`.
    pub trace_topic: bool,
    /// `traceOn`.
    pub trace_on: bool,
    /// `regionId`.
    pub region: String,
    /// `maxMessageSize`, in bytes.
    pub message_bytes_max: usize,
    /// `syncFlushTimeout`.
    pub store_timeout: Duration,
    /// How it registers with them.
    pub register: Manner,
    /// `splitRegistrationSize` where registrations are split.
    pub register_split: usize,
    /// `brokerPermission` has its bit 4.
    pub is_readable: bool,
    /// `brokerPermission` has its bit 2.
    pub is_writable: bool,
    /// `longPollingEnable`.
    pub long_polling: bool,
    /// All settings as text, for `-p` and for 26.
    pub values: Values,
    /// Where settings that change while it runs are kept.
    pub file: ConfigFile,
}

/// What a broker's settings say of its store; `None` leaves a choice to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// `storePathRootDir`.
    pub folder: PathBuf,
    /// `ringmq.shards`.
    pub shards: Option<u8>,
    /// `mappedFileSizeCommitLog`, in bytes.
    pub segment_bytes: u64,
    /// `flushDiskType` is `SYNC_FLUSH`.
    pub is_sync_flush: bool,
    /// `fileReservedTime`.
    pub kept_for: Duration,
    /// `ringmq.retentionBytes`, per shard.
    pub kept_bytes: Option<u64>,
    /// `deleteWhen`.
    pub delete_when: Hours,
    /// `ringmq.hotTailBytes`, per shard.
    pub hot_tail_bytes: Option<usize>,
    /// `ringmq.coldBytes`, per shard.
    pub cold_bytes: Option<usize>,
    /// `ringmq.blocksInFlight`.
    pub blocks_in_flight: usize,
    /// `ringmq.lockWaitSeconds`.
    pub lock_wait: Duration,
    /// `ringmq.pinThreads`.
    pub pin_threads: bool,
}

/// Where a broker runs decides some of its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `ringmq broker`: as Apache's, reachable from everywhere.
    Network,
    /// `ringmq standalone`: on this machine only.
    Loopback,
}

impl BrokerConfig {
    /// The table of a broker's settings with nothing said yet.
    pub fn values() -> Values {
        Values::new(keys::BROKER, apache_keys::BROKER)
    }

    /// Fills in what is not said and takes the rest as said.
    pub fn new(mut values: Values, place: Place) -> Result<Self, ConfigError> {
        let address_choice = fill(&mut values, place)?;
        Ok(Self {
            address_choice,
            ..Self::of(values)?
        })
    }

    /// Takes settings that are filled in already.
    pub fn of(values: Values) -> Result<Self, ConfigError> {
        let ip = |key| values.ip(key).ok_or(ConfigError::Unset { key });
        let permission: u32 = values.number("brokerPermission");
        let config = Self {
            cluster: values.text("brokerClusterName").to_owned(),
            name: values.text("brokerName").to_owned(),
            id: values.number("brokerId"),
            address: ip("brokerIP1")?,
            address_choice: None,
            ha_address: ip("brokerIP2")?,
            bind_address: ip("bindAddress")?,
            port: values.number("listenPort"),
            ha_port: values
                .int("haListenPort")
                .and_then(|p| u16::try_from(p).ok()),
            name_servers: addresses(values.text("namesrvAddr"))
                .map(str::to_owned)
                .collect(),
            store: StoreConfig::new(&values),
            auto_create_topics: values.is("autoCreateTopicEnable"),
            auto_create_groups: values.is("autoCreateSubscriptionGroup"),
            server_side_reset: values.is("useServerSideResetOffset"),
            default_topic_queues: values.number("defaultTopicQueueNums"),
            trace_topic: values.is("traceTopicEnable"),
            trace_on: values.is("traceOn"),
            region: values.text("regionId").to_owned(),
            message_bytes_max: values.number("maxMessageSize"),
            store_timeout: Duration::from_millis(values.number("syncFlushTimeout")),
            name_server_source: name_server_source(&values)?,
            register: Manner {
                period: Duration::from_millis(values.number("registerNameServerPeriod")),
                timeout: Duration::from_millis(values.number("registerBrokerTimeoutMills")),
                asks_first: !values.is("forceRegister"),
                single_topics: values.is("enableSingleTopicRegister"),
            },
            register_split: if values.is("enableSplitRegistration") {
                values.number("splitRegistrationSize")
            } else {
                REGISTRATION_TOPICS_MAX
            },
            is_readable: permission & 4 != 0,
            is_writable: permission & 2 != 0,
            long_polling: values.is("longPollingEnable"),
            file: ConfigFile::own(own_file(values.text("storePathRootDir"))),
            values,
        };
        Ok(config)
    }

    /// What clients are told to connect to, once the port is known.
    pub fn advertised(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// What slaves are told to connect to, once the port is known.
    pub fn ha_advertised(&self, port: u16) -> SocketAddr {
        let after = port.checked_add(1).unwrap_or(0);
        SocketAddr::new(self.ha_address, self.ha_port.unwrap_or(after))
    }

    /// What the system topics depend on.
    pub fn system_topics(&self) -> SystemTopicSettings {
        SystemTopicSettings {
            cluster: self.cluster.clone(),
            broker: self.name.clone(),
            auto_create: self.auto_create_topics,
            default_queues: self.default_topic_queues,
            trace: self.trace_topic,
        }
    }

    /// `SYNC_FLUSH` or `ASYNC_FLUSH`.
    pub fn flush_mode(&self) -> &'static str {
        if self.store.is_sync_flush {
            "SYNC_FLUSH"
        } else {
            "ASYNC_FLUSH"
        }
    }
}

/// The file that keeps settings when `-c` names none.
pub fn own_file(data_folder: impl AsRef<Path>) -> PathBuf {
    data_folder.as_ref().join("broker.conf")
}

/// The data folder when nothing is said.
pub fn default_folder(place: Place) -> Result<PathBuf, ConfigError> {
    match place {
        Place::Loopback => Ok(PathBuf::from("ringmq-data")),
        Place::Network => {
            let key = "storePathRootDir";
            let home = machine::home_folder().ok_or(ConfigError::Unset { key })?;
            Ok(home.join("ringmq").join("store"))
        }
    }
}

/// Name servers that are not simply said. The list that is said wins over an endpoint; without the
/// endpoint's name nobody is asked, Apache's public default neither.
fn name_server_source(values: &Values) -> Result<Option<(Source, Duration)>, ConfigError> {
    let period = |key| Duration::from_millis(values.number(key));
    let said = values.text("namesrvAddr");
    if !said.is_empty() {
        let source = Source::Dns(said.to_owned());
        let looks_up = values.is("fetchNameSrvAddrByDnsLookup");
        return Ok(looks_up.then(|| (source, period("updateNameServerAddrPeriod"))));
    }
    if !values.is("fetchNamesrvAddrByAddressServer") {
        return Ok(None);
    }
    let key = "rmqAddressServerDomain";
    let domain = values.text(key).to_owned();
    if domain.is_empty() {
        return Err(ConfigError::Unset { key });
    }
    let group = values.text("rmqAddressServerSubGroup").to_owned();
    let source = Source::AddressServer { domain, group };
    Ok(Some((source, period("fetchNamesrvAddrInterval"))))
}

/// Gives a value to what was not said; returns how the address was chosen when it was.
fn fill(values: &mut Values, place: Place) -> Result<Option<Choice>, ConfigError> {
    let mut choice = None;
    let loopback = Ipv4Addr::LOCALHOST.to_string();
    match place {
        Place::Loopback => {
            values.fill("bindAddress", loopback.as_str());
            values.fill("brokerIP1", loopback);
            values.fill("brokerName", "broker-a");
        }
        Place::Network => {
            values.fill("brokerName", machine::host_name());
            if values.text("brokerIP1").is_empty() {
                let found = interfaces::choose();
                values.fill("brokerIP1", found.address.to_string());
                choice = Some(found);
            }
            let everywhere = match values.ip("brokerIP1") {
                Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            };
            values.fill("bindAddress", everywhere.to_string());
        }
    }
    if values.text("storePathRootDir").is_empty() {
        let folder = default_folder(place)?;
        values.fill("storePathRootDir", folder.to_string_lossy());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    values.fill("clientCallbackExecutorThreads", cores.to_string());
    let address = values.text("brokerIP1").to_owned();
    values.fill("brokerIP2", address);
    Ok(choice)
}

impl StoreConfig {
    /// How long records are kept.
    pub fn retention(&self) -> Policy {
        Policy {
            age_ms: i64::try_from(self.kept_for.as_millis()).unwrap_or(i64::MAX),
            bytes: self.kept_bytes,
            delete_when: self.delete_when,
            ..Policy::default()
        }
    }

    fn new(values: &Values) -> Self {
        let shards: u8 = values.number("ringmq.shards");
        let hours: u64 = values.number("fileReservedTime");
        let bytes: u64 = values.number("ringmq.retentionBytes");
        let memory = |key| {
            values
                .int(key)
                .and_then(|bytes| usize::try_from(bytes).ok())
        };
        Self {
            folder: PathBuf::from(values.text("storePathRootDir")),
            shards: (shards > 0).then_some(shards),
            segment_bytes: values.number("mappedFileSizeCommitLog"),
            is_sync_flush: values.text("flushDiskType") != "ASYNC_FLUSH",
            kept_for: Duration::from_secs(hours * 3600),
            kept_bytes: (bytes > 0).then_some(bytes),
            delete_when: Hours::parse(values.text("deleteWhen")).unwrap_or(Hours::ALL),
            hot_tail_bytes: memory("ringmq.hotTailBytes"),
            cold_bytes: memory("ringmq.coldBytes"),
            blocks_in_flight: values.number("ringmq.blocksInFlight"),
            lock_wait: Duration::from_secs(values.number("ringmq.lockWaitSeconds")),
            pin_threads: values.is("ringmq.pinThreads"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(place: Place, pairs: &[(&str, &str)]) -> BrokerConfig {
        let mut values = BrokerConfig::values();
        for (key, value) in pairs {
            assert_eq!(values.set_named(key, value), Ok(None));
        }
        BrokerConfig::new(values, place).unwrap()
    }

    #[test]
    fn a_standalone_broker_stays_on_loopback() {
        let config = config(Place::Loopback, &[]);
        assert!(config.bind_address.is_loopback() && config.address.is_loopback());
        assert_eq!(config.name, "broker-a");
        assert_eq!(config.flush_mode(), "SYNC_FLUSH");
        assert_eq!(config.ha_advertised(10_911).port(), 10_912);
    }

    #[test]
    fn a_broker_is_named_like_its_host_and_listens_everywhere() {
        let config = config(Place::Network, &[("storePathRootDir", "/data")]);
        assert_eq!(config.name, machine::host_name());
        assert!(config.bind_address.is_unspecified());
        assert_eq!(config.address, config.ha_address);
        assert!(!config.address.is_unspecified());
    }

    #[test]
    fn what_is_said_wins() {
        let config = config(
            Place::Loopback,
            &[
                ("brokerIP1", "192.0.2.7"),
                ("flushDiskType", "ASYNC_FLUSH"),
                ("fileReservedTime", "2"),
                ("ringmq.shards", "3"),
                ("brokerPermission", "4"),
                ("namesrvAddr", "a:1; b.example:2;"),
                ("mapedFileSizeCommitLog", "8388608"),
            ],
        );
        assert_eq!(config.advertised(1).to_string(), "192.0.2.7:1");
        assert_eq!(config.ha_address, config.address);
        assert!(!config.store.is_sync_flush);
        assert_eq!(config.store.kept_for, Duration::from_secs(7200));
        assert_eq!(config.store.shards, Some(3));
        assert_eq!(config.store.segment_bytes, 8_388_608);
        assert!(config.is_readable && !config.is_writable);
        assert_eq!(config.name_servers, ["a:1", "b.example:2"]);
    }
}

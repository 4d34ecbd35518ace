//! A name server's settings.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{ConfigError, ConfigFile, Values, apache_keys, keys, machine};
use crate::namesrv::NameServerSettings;

/// See the module; what each means is in [`keys::NAME_SERVER`].
#[derive(Clone, Debug)]
pub struct NameServerConfig {
    /// `bindAddress`.
    pub bind_address: IpAddr,
    /// `listenPort`; 0 takes any.
    pub port: u16,
    /// `kvConfigPath`; `None` keeps the KV configuration in memory only.
    pub kv_path: Option<PathBuf>,
    /// What the routing table and its requests go by.
    pub settings: NameServerSettings,
    /// All settings as text, for `-p`.
    pub values: Values,
    /// Where settings that change while it runs are kept.
    pub file: ConfigFile,
}

/// The file that keeps a name server's settings when `-c` names none: `namesrv.conf`, in `ringmq` in
/// the home folder, or standalone in the data folder.
pub fn own_file(data_folder: Option<&Path>) -> PathBuf {
    let folder = data_folder.map(Path::to_owned);
    let home = || machine::home_folder().unwrap_or_default().join("ringmq");
    folder.unwrap_or_else(home).join("namesrv.conf")
}

/// The file that keeps the KV configuration when no setting names one: beside [`own_file`].
pub fn own_kv_file(data_folder: Option<&Path>) -> PathBuf {
    own_file(data_folder).with_file_name("kvConfig.json")
}

impl NameServerConfig {
    /// The table of a name server's settings with nothing said yet.
    pub fn values() -> Values {
        Values::new(keys::NAME_SERVER, apache_keys::NAME_SERVER)
    }

    /// Takes the settings as said.
    pub fn new(values: Values) -> Result<Self, ConfigError> {
        let key = "bindAddress";
        let path = values.text("kvConfigPath");
        Ok(Self {
            bind_address: values.ip(key).ok_or(ConfigError::Unset { key })?,
            port: values.number("listenPort"),
            kv_path: (!path.is_empty()).then(|| PathBuf::from(path)),
            settings: NameServerSettings {
                order_message: values.is("orderMessageEnable"),
                return_order_topic_config: values.is("returnOrderTopicConfigToBroker"),
                all_topic_list: values.is("enableAllTopicList"),
                topic_list: values.is("enableTopicList"),
                acting_masters: values.is("supportActingMaster"),
                tells_min_broker: values.is("notifyMinBrokerIdChanged"),
                wait_for_service_ms: wait_for_service_ms(&values),
                removes_missing_topics: values.is("deleteTopicWithBrokerRegistration"),
                liveness_ms: values.number("ringmq.brokerExpiredMillis"),
                scan_interval_ms: values.number("scanNotActiveBrokerInterval"),
                properties: values.to_properties(false),
            },
            values,
            file: ConfigFile::own(own_file(None)),
        })
    }

    /// Where to listen.
    pub fn bind(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port)
    }
}

fn wait_for_service_ms(values: &Values) -> u64 {
    if !values.is("needWaitForService") {
        return 0;
    }
    values.number::<u64>("waitSecondsForService") * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_apaches() {
        let config = NameServerConfig::new(NameServerConfig::values()).unwrap();
        assert_eq!(config.bind().to_string(), "0.0.0.0:9876");
        assert_eq!(
            NameServerSettings {
                properties: String::new(),
                ..config.settings.clone()
            },
            NameServerSettings::default()
        );
        assert!(config.settings.properties.contains("listenPort=9876\n"));
    }
}

//! What both processes have alike: the log, and the HTTP endpoint of metrics and health.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{ConfigError, Values, keys};

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `ringmq.logLevel`.
    pub level: String,
    /// `ringmq.logDir`; `None` is standard error.
    pub folder: Option<PathBuf>,
    /// `ringmq.logFileBytes`.
    pub file_bytes: u64,
    /// `ringmq.logFiles`.
    pub files: u32,
    /// `ringmq.logFormat` is `json`.
    pub is_json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self::new(&Values::new(keys::BROKER, &[]))
    }
}

impl LogConfig {
    /// As the settings say.
    pub fn new(values: &Values) -> Self {
        let folder = values.text("ringmq.logDir");
        Self {
            level: values.text("ringmq.logLevel").to_owned(),
            folder: (!folder.is_empty()).then(|| PathBuf::from(folder)),
            file_bytes: values.number("ringmq.logFileBytes"),
            files: values.number("ringmq.logFiles"),
            is_json: values.text("ringmq.logFormat") == "json",
        }
    }
}

/// Where metrics and health are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// `metricsPromExporterHost` and `metricsPromExporterPort`; port 0 takes any.
    pub address: SocketAddr,
    /// The operator has chosen the port, so that it is a start error when it cannot be had; the usual
    /// one is only missed.
    pub is_chosen: bool,
    /// `ringmq.metricsRows`: topics and pairs of topic and group with figures of their own.
    pub rows_max: usize,
}

impl HttpConfig {
    /// As the settings say; `None` when there is to be no endpoint.
    pub fn new(values: &Values) -> Result<Option<Self>, ConfigError> {
        if !values.is("ringmq.httpEnable") {
            return Ok(None);
        }
        let (host, port) = ("metricsPromExporterHost", "metricsPromExporterPort");
        let ip: IpAddr = values.ip(host).ok_or(ConfigError::Unset { key: host })?;
        let usual = keys::find(values.table(), port).map_or("", |key| key.default);
        Ok(Some(Self {
            address: SocketAddr::new(ip, values.number(port)),
            is_chosen: values.text(port) != usual,
            rows_max: values.number("ringmq.metricsRows"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, NameServerConfig};

    #[test]
    fn metrics_are_served_on_loopback_unless_said_otherwise() {
        let broker = HttpConfig::new(&BrokerConfig::values()).unwrap().unwrap();
        let names = HttpConfig::new(&NameServerConfig::values())
            .unwrap()
            .unwrap();
        assert_eq!(broker.address.to_string(), "127.0.0.1:5557");
        assert_eq!(names.address.to_string(), "127.0.0.1:5558");
        assert!(!broker.is_chosen && !names.is_chosen);
        let mut values = BrokerConfig::values();
        values.set("metricsPromExporterPort", "1").unwrap();
        assert!(HttpConfig::new(&values).unwrap().unwrap().is_chosen);
        values.set("ringmq.httpEnable", "false").unwrap();
        assert_eq!(HttpConfig::new(&values).unwrap(), None);
    }

    #[test]
    fn the_log_goes_to_standard_error_unless_a_folder_is_named() {
        let mut values = BrokerConfig::values();
        let log = LogConfig::new(&values);
        assert_eq!((log.folder, log.level.as_str()), (None, "info"));
        values.set("ringmq.logDir", "/var/log/ringmq").unwrap();
        values.set("ringmq.logFormat", "json").unwrap();
        let log = LogConfig::new(&values);
        assert!(log.is_json && log.folder.is_some());
    }
}

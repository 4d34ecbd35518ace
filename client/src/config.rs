//! What a client is made with.

use std::time::Duration;

/// Settings of a [`crate::Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(crate) name_servers: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) send_attempts: u32,
}

impl ClientConfig {
    /// A client of these name servers: `host:port`, several separated by `;`.
    pub fn new(name_servers: &str) -> Self {
        Self {
            name_servers: name_servers
                .split(';')
                .map(str::trim)
                .filter(|address| !address.is_empty())
                .map(str::to_owned)
                .collect(),
            timeout: Duration::from_secs(3),
            send_attempts: 3,
        }
    }

    /// The name servers that the environment variable `NAMESRV_ADDR` names, if it is set.
    pub fn from_environment() -> Option<Self> {
        std::env::var("NAMESRV_ADDR")
            .ok()
            .map(|addresses| Self::new(&addresses))
            .filter(|config| !config.name_servers.is_empty())
    }

    /// How long a call may take (3 s unless set).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a blocking or awaited send is tried in all, each time on another queue where there
    /// is one (3 unless set, at least 1). A send whose answer was lost is tried again too, so a
    /// message may be stored more than once; with 1 it is not.
    pub fn send_attempts(mut self, attempts: u32) -> Self {
        self.send_attempts = attempts.max(1);
        self
    }
}

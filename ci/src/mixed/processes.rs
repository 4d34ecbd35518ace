//! The processes of a mixed cluster: each is started, stopped properly and started again where it was.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::apache::{BrokerSettings, Server, Version};
use crate::failure::Failure;
use crate::owned::Owned;
use crate::{ports, root};

/// How long a process may take to serve, and to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brand {
    /// Apache's.
    Apache(Version),
    /// Ours.
    Ringmq,
}

/// One place in a cluster: what runs there may be exchanged.
#[derive(Clone, Debug)]
pub struct Part {
    /// Who runs there.
    brand: Brand,
    folder: PathBuf,
    port: u16,
    broker: Option<BrokerPart>,
}

#[derive(Clone, Debug)]
struct BrokerPart {
    name: String,
    name_servers: String,
}

impl Part {
    /// A name server.
    pub fn name_server(brand: Brand, cluster: &Path) -> Result<Self, Failure> {
        let folder = cluster.join(format!("namesrv-{brand}").replace(' ', "-"));
        std::fs::create_dir_all(&folder)?;
        let port = ports::free()?;
        Ok(Self {
            brand,
            folder,
            port,
            broker: None,
        })
    }

    /// A broker, registered with these name servers.
    pub fn broker(
        brand: Brand,
        name: &str,
        name_servers: &str,
        cluster: &Path,
    ) -> Result<Self, Failure> {
        let folder = cluster.join(name);
        std::fs::create_dir_all(&folder)?;
        let broker = BrokerPart {
            name: name.to_owned(),
            name_servers: name_servers.to_owned(),
        };
        Ok(Self {
            brand,
            folder,
            port: ports::free()?,
            broker: Some(broker),
        })
    }

    /// The same place with another program.
    pub fn succeeded_by(&self, brand: Brand) -> Self {
        Self {
            brand,
            ..self.clone()
        }
    }

    /// Whether it is a name server.
    pub fn is_name_server(&self) -> bool {
        self.broker.is_none()
    }

    /// Its name, if it is a broker.
    pub fn broker_name(&self) -> Option<&str> {
        self.broker.as_ref().map(|broker| broker.name.as_str())
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it on what it left behind and waits until it serves.
    pub fn start(&self) -> Result<Process, Failure> {
        match (self.brand, &self.broker) {
            (Brand::Apache(version), None) => {
                Server::name_server(version, &self.folder, self.port).map(Process::Apache)
            }
            (Brand::Apache(version), Some(broker)) => {
                let settings = BrokerSettings {
                    folder: &self.folder,
                    heap: "512m",
                    name_servers: &broker.name_servers,
                    name: &broker.name,
                    port: self.port,
                    // A name server that was away knows its brokers again when they register next.
                    more: "flushDiskType=SYNC_FLUSH\nregisterNameServerPeriod=10000\n",
                };
                Server::broker(version, &settings).map(Process::Apache)
            }
            (Brand::Ringmq, None) => {
                let text = format!(
                    "bindAddress=127.0.0.1\nlistenPort={}\nkvConfigPath={}\n",
                    self.port,
                    self.folder.join("kvConfig.json").display()
                );
                self.start_ringmq("namesrv", &text)
            }
            (Brand::Ringmq, Some(broker)) => {
                let text = format!(
                    "brokerName={}\nnamesrvAddr={}\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\n\
                     listenPort={}\nstorePathRootDir={}\nringmq.shards=2\n\
                     mappedFileSizeCommitLog=33554432\n",
                    broker.name,
                    broker.name_servers,
                    self.port,
                    self.folder.join("store").display()
                );
                self.start_ringmq("broker", &text)
            }
        }
    }

    fn start_ringmq(&self, command: &str, settings: &str) -> Result<Process, Failure> {
        let conf = self.folder.join("ringmq.conf");
        std::fs::write(&conf, settings)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("ringmq.log"))?;
        let mut program = Command::new(root::release("ringmq"));
        program.arg(command).arg("-c").arg(&conf);
        program.stdout(Stdio::null()).stderr(log);
        let mut process = Owned::start(program)?;
        process.wait_for_port(&self.address(), LIMIT)?;
        Ok(Process::Ringmq(process))
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apache(version) => write!(f, "Apache {}", version.text()),
            Self::Ringmq => f.write_str("RingMQ"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.broker {
            Some(broker) => write!(f, "{} {}", self.brand, broker.name),
            None => write!(f, "{} name server", self.brand),
        }
    }
}

/// A running process; killed when dropped.
pub enum Process {
    /// Apache's.
    Apache(Server),
    /// Ours.
    Ringmq(Owned),
}

impl Process {
    /// Asks it to stop and waits until it has.
    pub fn stop(self) -> Result<(), Failure> {
        match self {
            Self::Apache(server) => server.stop(LIMIT),
            Self::Ringmq(process) => process.terminate(LIMIT).map(|_| ()),
        }
    }
}

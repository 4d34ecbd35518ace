//! The servers that are compared, each started on an empty store and stopped again.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::apache::{Apache, Version};
use crate::broker::{Broker, Settings};
use crate::failure::Failure;
use crate::owned::Owned;
use crate::root;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The ceiling of the machine.
    Null,
    /// RingMQ as it comes: acknowledged means durable.
    RingmqSync,
    /// RingMQ with `flushDiskType=ASYNC_FLUSH`.
    RingmqAsync,
    /// Apache RocketMQ 5.5.0 with `flushDiskType=SYNC_FLUSH`.
    ApacheSync,
    /// Apache RocketMQ 5.5.0 as it comes.
    ApacheAsync,
}

impl Kind {
    /// All, in the order of a round.
    pub const ALL: &[Self] = &[
        Self::Null,
        Self::RingmqSync,
        Self::RingmqAsync,
        Self::ApacheSync,
        Self::ApacheAsync,
    ];

    /// Whether it needs a Java machine.
    pub fn is_apache(self) -> bool {
        matches!(self, Self::ApacheSync | Self::ApacheAsync)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null broker",
            Self::RingmqSync => "RingMQ SYNC_FLUSH",
            Self::RingmqAsync => "RingMQ ASYNC_FLUSH",
            Self::ApacheSync => "Apache SYNC_FLUSH",
            Self::ApacheAsync => "Apache ASYNC_FLUSH",
        })
    }
}

/// A running server.
pub struct Server {
    address: String,
    running: Running,
}

enum Running {
    Null(Owned),
    Ringmq(Broker),
    Apache(Apache),
}

impl Server {
    /// Starts one on an empty store.
    pub fn start(kind: Kind) -> Result<Self, Failure> {
        let folder = root::scratch("perf")?;
        let flush = match kind {
            Kind::RingmqAsync | Kind::ApacheAsync => "ASYNC_FLUSH",
            _ => "SYNC_FLUSH",
        };
        let settings = Settings::new(folder, 1, flush)?;
        let address = settings.address();
        let running = match kind {
            Kind::Null => Running::Null(start_null(&settings)?),
            Kind::RingmqSync | Kind::RingmqAsync => Running::Ringmq(Broker::start(&settings)?),
            Kind::ApacheSync | Kind::ApacheAsync => {
                Running::Apache(Apache::start(Version::Five, &settings, "2g")?)
            }
        };
        Ok(Self { address, running })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Stops it.
    pub fn stop(self) -> Result<(), Failure> {
        match self.running {
            Running::Ringmq(broker) => broker.stop(),
            Running::Null(null) => null.stop(),
            Running::Apache(apache) => apache.stop(),
        }
    }
}

fn start_null(settings: &Settings) -> Result<Owned, Failure> {
    let mut command = Command::new(root::release("ringmq-bench"));
    command
        .args([
            "null",
            "--listen",
            &settings.address(),
            "--cpu",
            "0",
            "--file",
        ])
        .arg(settings.folder.join("null.log"))
        .stdout(Stdio::null());
    let mut server = Owned::start(command)?;
    server.wait_for_port(&settings.address(), Duration::from_secs(20))?;
    Ok(server)
}

//! Apache RocketMQ's own servers from their own jars, on loopback, with small heaps.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::broker::Settings;
use crate::failure::Failure;
use crate::jars;
use crate::owned::Owned;

/// What its classes need of the Java machine.
const OPENED: &[&str] = &[
    "sun.nio.ch",
    "java.nio",
    "java.lang",
    "java.util",
    "jdk.internal.ref",
    "java.net",
];
const START_LIMIT: Duration = Duration::from_secs(120);

/// Which of the two that are the judges: the last of the fourth generation, and the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 4.9.7.
    Four,
    /// 5.5.0.
    Five,
}

impl Version {
    /// Both.
    pub const ALL: &[Self] = &[Self::Four, Self::Five];

    /// As Maven knows it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Four => "4.9.7",
            Self::Five => "5.5.0",
        }
    }

    fn pom(self) -> String {
        format!("server-{}", self.text())
    }
}

/// Copies the jars, once.
pub fn fetch(version: Version) -> Result<(), Failure> {
    jars::copy(&version.pom()).map(|_| ())
}

/// One running process, a name server or a broker; killed when dropped.
pub struct Server(Owned);

impl Server {
    /// Starts a name server on loopback and waits until it accepts connections.
    pub fn name_server(version: Version, folder: &Path, port: u16) -> Result<Self, Failure> {
        let conf = folder.join("namesrv.conf");
        write_logging(folder)?;
        let text = format!("listenPort={port}\nbindAddress=127.0.0.1\n");
        std::fs::write(&conf, text)?;
        let class = "org.apache.rocketmq.namesrv.NamesrvStartup";
        let mut program = java(version, folder, "128m", class);
        program.arg("-c").arg(&conf);
        let mut server = Owned::start(program)?;
        server.wait_for_port(&format!("127.0.0.1:{port}"), START_LIMIT)?;
        Ok(Self(server))
    }

    /// Starts a broker and waits until it accepts connections.
    pub fn broker(version: Version, settings: &BrokerSettings<'_>) -> Result<Self, Failure> {
        let folder = settings.folder;
        write_logging(folder)?;
        let conf = folder.join("apache.conf");
        std::fs::write(&conf, settings.text())?;
        let class = "org.apache.rocketmq.broker.BrokerStartup";
        let mut program = java(version, folder, settings.heap, class);
        program.args(["-n", settings.name_servers, "-c"]).arg(&conf);
        let mut server = Owned::start(program)?;
        server.wait_for_port(&format!("127.0.0.1:{}", settings.port), START_LIMIT)?;
        Ok(Self(server))
    }

    /// Stops it as its own script does.
    pub fn stop(self, limit: Duration) -> Result<(), Failure> {
        self.0.terminate(limit).map(|_| ())
    }

    /// Ends it at once.
    pub fn kill(self) -> Result<(), Failure> {
        self.0.stop()
    }
}

/// What to start a broker with.
pub struct BrokerSettings<'a> {
    /// Where its store, its configuration and its logs go.
    pub folder: &'a Path,
    /// Its heap, as Java writes it.
    pub heap: &'a str,
    /// Where the name servers are, as in `namesrvAddr`.
    pub name_servers: &'a str,
    /// `brokerName`.
    pub name: &'a str,
    /// `listenPort`.
    pub port: u16,
    /// More lines of its configuration.
    pub more: &'a str,
}

impl BrokerSettings<'_> {
    fn text(&self) -> String {
        let store = self.folder.join("store");
        format!(
            "brokerClusterName=DefaultCluster\nbrokerName={}\nbrokerId=0\nbrokerIP1=127.0.0.1\n\
             bindAddress=127.0.0.1\nlistenPort={}\nstorePathRootDir={}\nstorePathCommitLog={}\n\
             diskMaxUsedSpaceRatio=98\n{}",
            self.name,
            self.port,
            store.display(),
            store.join("commitlog").display(),
            self.more,
        )
    }
}

/// A name server and a broker, both on an empty store.
pub struct Apache {
    namesrv: Server,
    broker: Server,
}

impl Apache {
    /// Starts both and waits until they accept connections.
    pub fn start(version: Version, settings: &Settings, heap: &str) -> Result<Self, Failure> {
        let namesrv = Server::name_server(version, &settings.folder, settings.namesrv_port)?;
        let broker = BrokerSettings {
            folder: &settings.folder,
            heap,
            name_servers: &settings.namesrv(),
            name: "broker-a",
            port: settings.broker_port,
            more: &format!("flushDiskType={}\n", settings.flush),
        };
        let broker = Server::broker(version, &broker)?;
        Ok(Self { namesrv, broker })
    }

    /// Ends both.
    pub fn stop(self) -> Result<(), Failure> {
        self.broker.kill()?;
        self.namesrv.kill()
    }
}

/// The fourth generation reads its logging from its home folder and refuses to start without.
fn write_logging(folder: &Path) -> Result<(), Failure> {
    let conf: PathBuf = folder.join("conf");
    std::fs::create_dir_all(&conf)?;
    for server in ["namesrv", "broker", "tools"] {
        std::fs::write(
            conf.join(format!("logback_{server}.xml")),
            "<configuration><root level=\"OFF\"/></configuration>\n",
        )?;
    }
    Ok(())
}

fn java(version: Version, folder: &Path, heap: &str, class: &str) -> Command {
    let folder = folder.display();
    let mut command = Command::new("java");
    command
        .args([format!("-Xms{heap}"), format!("-Xmx{heap}")])
        .args(["-XX:MaxDirectMemorySize=1g", "--add-exports"])
        .arg("java.base/sun.nio.ch=ALL-UNNAMED");
    for package in OPENED {
        command.args(["--add-opens", &format!("java.base/{package}=ALL-UNNAMED")]);
    }
    command
        .arg(format!("-Drocketmq.home.dir={folder}"))
        .arg(format!("-Duser.home={folder}"))
        .args(["-Drocketmq.broker.diskSpaceWarningLevelRatio=0.98"])
        .args(["-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.97"])
        .arg("-cp")
        .arg(jars::base(&version.pom()).join("jars").join("*"))
        .arg(class)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

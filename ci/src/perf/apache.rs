//! Apache RocketMQ 5.5.0 from its own jars, on loopback, with a small heap.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::servers::{Owned, await_port};
use crate::broker::Settings;
use crate::failure::Failure;
use crate::process::{command, run};
use crate::root;

/// What its classes need of the Java machine.
const OPENED: &[&str] = &[
    "sun.nio.ch",
    "java.nio",
    "java.lang",
    "java.util",
    "jdk.internal.ref",
    "java.net",
];
const START_LIMIT: Duration = Duration::from_secs(60);

/// A name server and a broker.
pub struct Apache {
    namesrv: Owned,
    broker: Owned,
}

/// Copies the jars, once.
pub fn fetch() -> Result<(), Failure> {
    let done = base().join("jars.done");
    if done.exists() {
        return Ok(());
    }
    let mut maven = command("mvn", &["-q", "-B", "-f"]);
    maven
        .arg(root::repository().join("ci/compat/java/pom-server-5.5.0.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!(
            "-DoutputDirectory={}",
            base().join("jars").display()
        ));
    run(maven, Duration::from_secs(300))?;
    std::fs::write(done, "")?;
    Ok(())
}

fn base() -> PathBuf {
    root::target().join("compat-java").join("server-5.5.0")
}

impl Apache {
    /// Starts both on an empty store and waits until they accept connections.
    pub fn start(settings: &Settings) -> Result<Self, Failure> {
        let folder = &settings.folder;
        std::fs::create_dir_all(folder.join("conf"))?;
        let namesrv_conf = folder.join("namesrv.conf");
        std::fs::write(
            &namesrv_conf,
            format!(
                "listenPort={}\nbindAddress=127.0.0.1\n",
                settings.namesrv_port
            ),
        )?;
        let broker_conf = folder.join("apache.conf");
        std::fs::write(&broker_conf, configuration(settings))?;
        let mut namesrv = java(
            settings,
            "128m",
            "org.apache.rocketmq.namesrv.NamesrvStartup",
        );
        namesrv.arg("-c").arg(&namesrv_conf);
        let namesrv = Owned::start(namesrv)?;
        await_port(&settings.namesrv(), START_LIMIT)?;
        let mut broker = java(settings, "2g", "org.apache.rocketmq.broker.BrokerStartup");
        broker
            .args(["-n", &settings.namesrv(), "-c"])
            .arg(&broker_conf);
        let broker = Owned::start(broker)?;
        await_port(&settings.address(), START_LIMIT)?;
        Ok(Self { namesrv, broker })
    }
}

impl Apache {
    /// Ends both.
    pub fn stop(self) -> Result<(), Failure> {
        self.broker.stop()?;
        self.namesrv.stop()
    }
}

fn configuration(settings: &Settings) -> String {
    let store = settings.folder.join("store");
    format!(
        "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\nbrokerIP1=127.0.0.1\n\
         bindAddress=127.0.0.1\nlistenPort={}\nstorePathRootDir={}\nstorePathCommitLog={}\n\
         flushDiskType={}\ndiskMaxUsedSpaceRatio=98\n",
        settings.broker_port,
        store.display(),
        store.join("commitlog").display(),
        settings.flush
    )
}

fn java(settings: &Settings, heap: &str, class: &str) -> Command {
    let folder = settings.folder.display();
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
        .arg(format!("-Drocketmq.namesrv.addr={}", settings.namesrv()))
        .args(["-Drocketmq.broker.diskSpaceWarningLevelRatio=0.98"])
        .args(["-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.97"])
        .arg("-cp")
        .arg(base().join("jars").join("*"))
        .arg(class)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

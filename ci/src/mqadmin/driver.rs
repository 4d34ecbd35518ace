//! The Java program that runs the commands, compiled against one version of the tool, and the
//! servers it is pointed at.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use regex_lite::Regex;

use super::{Run, Target, folder};
use crate::apache::{Apache, Version};
use crate::broker::{Broker, Settings};
use crate::failure::Failure;
use crate::process::{command, run};
use crate::{jars, root};

/// The longest that the sequence may take.
const SEQUENCE_LIMIT: Duration = Duration::from_secs(400);
/// Small: nothing here needs more, and two brokers may run side by side.
const BROKER_HEAP: &str = "320m";

/// One version of the tool.
pub struct Driver {
    version: Version,
    class_path: String,
}

impl Driver {
    /// Copies the jars (once) and compiles the program against them.
    pub fn prepare(version: Version) -> Result<Self, Failure> {
        let jars = jars::copy(version.text())?;
        let classes = jars::base(version.text()).join("mqadmin");
        std::fs::create_dir_all(&classes)?;
        compile(&jars, &classes)?;
        Ok(Self {
            version,
            class_path: format!("{}:{}/*", classes.display(), jars.display()),
        })
    }

    /// Starts the servers on an empty store, runs the sequence, and keeps what was printed, with
    /// the addresses and folders of this run replaced.
    pub fn run(&self, run: &Run) -> Result<(), Failure> {
        let settings = Settings::new(root::scratch(&run.name())?, 2, "ASYNC_FLUSH")?;
        let text = match run.target {
            Target::Apache => {
                let apache = Apache::start(self.version, &settings, BROKER_HEAP)?;
                let text = self.sequence(&settings)?;
                apache.stop()?;
                text
            }
            Target::Ringmq => {
                let broker = Broker::start(&settings)?;
                let text = self.sequence(&settings)?;
                broker.stop()?;
                text
            }
        };
        Ok(std::fs::write(
            run.file(),
            without_places(text, &settings)?,
        )?)
    }

    fn sequence(&self, settings: &Settings) -> Result<String, Failure> {
        let home = settings.folder.join("tool");
        let report = home.join("report.txt");
        std::fs::create_dir_all(home.join("conf"))?;
        std::fs::write(
            home.join("conf/logback_tools.xml"),
            "<configuration><root level=\"OFF\"/></configuration>\n",
        )?;
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Djava.security.manager=allow", "-Dfile.encoding=UTF-8"])
            .arg("-Duser.timezone=UTC")
            .arg(format!("-Duser.home={}", home.display()))
            .arg(format!("-Djava.io.tmpdir={}", home.display()))
            .arg(format!("-Drocketmq.home.dir={}", home.display()))
            .arg("-cp")
            .arg(&self.class_path)
            .args(["ringmq.Driver", self.version.text()])
            .args([settings.namesrv(), settings.address()])
            .arg(&home)
            .arg(folder().join("sequence.txt"))
            .arg(&report)
            .current_dir(&home);
        run(java, SEQUENCE_LIMIT)?;
        Ok(std::fs::read_to_string(report)?)
    }
}

/// Replaces what only this run has: ports and folders.
fn without_places(text: String, settings: &Settings) -> Result<String, Failure> {
    let (namesrv, broker) = (settings.namesrv_port, settings.broker_port);
    let folder = settings.folder.display().to_string();
    let mut text = text.replace(&folder, "FOLDER");
    for (port, name) in [(namesrv, "NAMESRV"), (broker, "BROKER"), (broker + 1, "HA")] {
        text = text.replace(&format!("127.0.0.1:{port}"), name);
        let alone =
            Regex::new(&format!(r"\b{port}\b")).map_err(|error| Failure::new(error.to_string()))?;
        let name = format!("{name}_PORT");
        text = alone.replace_all(&text, name.as_str()).into_owned();
    }
    Ok(text)
}

fn compile(jars: &Path, classes: &Path) -> Result<(), Failure> {
    let mut javac = command("javac", &["-nowarn", "-encoding", "UTF-8", "-d"]);
    javac
        .arg(classes)
        .arg("-cp")
        .arg(format!("{}/*", jars.display()));
    for entry in std::fs::read_dir(folder().join("src/ringmq"))? {
        javac.arg(entry?.path());
    }
    run(javac, Duration::from_secs(120)).map(|_| ())
}

//! The static build, and what is installed of it: one file that needs nothing of the machine, a
//! Debian package, a unit that systemd understands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::broker::Settings;
use crate::failure::{Failure, Outcome};
use crate::owned::Owned;
use crate::process::{command, exists, run};
use crate::root;

const MINUTE: Duration = Duration::from_secs(60);
const TARGET: &str = "x86_64-unknown-linux-musl";
/// What a user installs.
const PROGRAMS: [&str; 2] = ["ringmq", "ringmq-admin"];

/// Builds the programs for musl (unoptimised: whether it builds and works is asked, not how fast),
/// checks that nothing is left to a loader, sends and reads a message with them, packs them.
pub fn run_all() -> Outcome {
    build()?;
    for name in PROGRAMS {
        refuse_loader(&program(name))?;
    }
    let folder = root::scratch("static")?;
    serve(&folder)?;
    let package = pack(&folder)?;
    let unit = verify_unit(&folder)?;
    Ok(format!(
        "{} static programs serve, {package}, {unit}",
        PROGRAMS.len()
    ))
}

fn build() -> Result<(), Failure> {
    if !exists("rustup", &["target", "add", TARGET]) {
        return Err(Failure::new(format!("`rustup target add {TARGET}` fails")));
    }
    let arguments = [
        "build",
        "--quiet",
        "--target",
        TARGET,
        "-p",
        "ringmq-server",
        "-p",
        "ringmq-tools",
    ];
    run(command("cargo", &arguments), 15 * MINUTE).map(|_| ())
}

fn program(name: &str) -> PathBuf {
    root::target().join(TARGET).join("debug").join(name)
}

/// A program that wants a loader has a segment of type `PT_INTERP`.
fn refuse_loader(file: &Path) -> Result<(), Failure> {
    const PT_INTERP: u32 = 3;
    let bytes = std::fs::read(file)?;
    let word = |at: usize, len: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + len)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    let header = (word(32, 8), word(54, 2), word(56, 2));
    let (Some(start), Some(size), Some(count)) = header else {
        return Err(Failure::new(format!("{} is no program", file.display())));
    };
    for segment in 0..count {
        let kind = word((start + segment * size) as usize, 4);
        if kind == Some(u64::from(PT_INTERP)) {
            return Err(Failure::new(format!("{} wants a loader", file.display())));
        }
    }
    Ok(())
}

/// A message goes in and comes out.
fn serve(folder: &Path) -> Result<(), Failure> {
    let settings = Settings::new(folder.to_path_buf(), 2, "SYNC_FLUSH")?;
    let mut server = Command::new(program("ringmq"));
    server
        .args(["standalone", "--shards", "2", "--data"])
        .arg(folder.join("data"))
        .args(["--namesrv-port", &settings.namesrv_port.to_string()])
        .args(["--broker-port", &settings.broker_port.to_string()])
        .stdout(std::fs::File::create(folder.join("printed"))?)
        .stderr(std::fs::File::create(folder.join("broker.log"))?);
    let server = Owned::start(server)?;
    await_boot(&folder.join("printed"))?;
    let admin = program("ringmq-admin").display().to_string();
    let name_server = settings.namesrv();
    let create = [
        "updateTopic",
        "-n",
        &name_server,
        "-c",
        "DefaultCluster",
        "-t",
        "Static",
    ];
    run(command(&admin, &create), MINUTE)?;
    run(
        command(
            &admin,
            &["send", "-n", &name_server, "-t", "Static", "-p", "hello"],
        ),
        MINUTE,
    )?;
    let read = run(
        command(&admin, &["consume", "-n", &name_server, "-t", "Static"]),
        MINUTE,
    )?;
    if !read.contains("hello") {
        return Err(Failure::new(format!(
            "the message does not come back:\n{read}"
        )));
    }
    let ended = server.terminate(MINUTE)?;
    if !ended.success() {
        return Err(Failure::new(format!("the server stopped with {ended}")));
    }
    Ok(())
}

/// The broker says that it serves only once the name server knows it.
fn await_boot(printed: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + MINUTE;
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(printed)?;
        if text
            .lines()
            .any(|line| line.starts_with("The broker[") && line.contains("boot success"))
        {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Err(Failure::new(
        "the static server does not say that it serves",
    ))
}

/// Makes the Debian package and looks into it.
fn pack(folder: &Path) -> Outcome {
    if !exists("dpkg-deb", &["--version"]) {
        return Ok("no dpkg-deb here".into());
    }
    let binaries = root::target().join(TARGET).join("debug");
    let arguments = [binaries.display().to_string(), folder.display().to_string()];
    let script = root::repository().join("server/packaging/deb.sh");
    let made = run(
        command(
            &script.display().to_string(),
            &arguments.each_ref().map(String::as_str),
        ),
        2 * MINUTE,
    )?;
    let package = made.trim().to_owned();
    let listed = run(command("dpkg-deb", &["--contents", &package]), MINUTE)?;
    for file in [
        "./usr/bin/ringmq\n",
        "./usr/bin/ringmq-admin\n",
        "./etc/ringmq/broker.conf\n",
        "ringmq@.service\n",
    ] {
        if !listed.contains(file) {
            return Err(Failure::new(format!(
                "{package} lacks {}:\n{listed}",
                file.trim()
            )));
        }
    }
    Ok("packed for Debian".into())
}

/// systemd reads the unit without a complaint, with a program in its place that is there.
fn verify_unit(folder: &Path) -> Outcome {
    if !exists("systemd-analyze", &["--version"]) {
        return Ok("no systemd-analyze here".into());
    }
    let unit =
        std::fs::read_to_string(root::repository().join("server/packaging/ringmq@.service"))?;
    let there = program("ringmq").display().to_string();
    let copy = folder.join("ringmq@broker.service");
    std::fs::write(&copy, unit.replace("/usr/bin/ringmq", &there))?;
    let said = run(
        command(
            "systemd-analyze",
            &["verify", "--man=no", &copy.display().to_string()],
        ),
        MINUTE,
    )?;
    match said.trim() {
        "" => Ok("the unit is understood".into()),
        complaint => Err(Failure::new(format!("systemd-analyze says: {complaint}"))),
    }
}

//! Running other programs: bounded in time, output kept for when it matters.

use std::io::{Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::root;

/// How much of a failed program's output is shown.
const SHOWN_BYTES: usize = 12_000;

/// A command at the top of the repository.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root::repository());
    command
}

/// Runs a program to its end; its output comes back, or is shown (the last part) when it fails.
pub fn run(mut command: Command, limit: Duration) -> Outcome {
    let shown = describe(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("`{shown}` cannot be started: {error}")))?;
    let output = collect(&mut child);
    let ended = wait(&mut child, limit)?;
    let text: String = output.iter().collect();
    match ended {
        Some(status) if status.success() => Ok(text),
        Some(status) => Err(Failure::new(format!(
            "`{shown}` ended with {status}:\n{}",
            last_part(&text)
        ))),
        None => Err(Failure::new(format!(
            "`{shown}` was not done after {} s:\n{}",
            limit.as_secs(),
            last_part(&text)
        ))),
    }
}

/// Waits for the end within a limit; kills the program and returns `None` past it.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<std::process::ExitStatus>, Failure> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Reads both streams on threads of their own, so that neither pipe can fill up.
fn collect(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stream) = child.stdout.take() {
        drain(stream, sender.clone());
    }
    if let Some(stream) = child.stderr.take() {
        drain(stream, sender);
    }
    receiver
}

fn drain(mut stream: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        loop {
            let count = match stream.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if count == 0
                || sender
                    .send(String::from_utf8_lossy(&chunk[..count]).into())
                    .is_err()
            {
                break;
            }
        }
    });
}

fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn last_part(text: &str) -> &str {
    let start = text.len().saturating_sub(SHOWN_BYTES);
    let start = (start..text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len());
    &text[start..]
}

/// Whether a program can be started at all.
pub fn exists(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Prints at once, also into a pipe.
pub fn say(text: &str) {
    println!("{text}");
    // A closed pipe is no reason to fail a check.
    let _ = std::io::stdout().flush();
}

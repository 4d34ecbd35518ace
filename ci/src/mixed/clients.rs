//! The Java program that sends and consumes meanwhile (`ci/compat/java/src/ringmq/Exchange.java`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::failure::{Failure, Outcome};
use crate::java::Java;

/// The longest that the program may think about one line.
const ANSWER_LIMIT: Duration = Duration::from_secs(180);

/// See the module; killed when dropped.
pub struct Clients {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Clients {
    /// Starts it with the clients of one version.
    pub fn start(
        version: &str,
        name_servers: &str,
        topic: &str,
        brokers: &[&str],
    ) -> Result<Self, Failure> {
        let java = Java::prepare(version)?;
        let mut program = java.command(&["ringmq.Exchange", name_servers, topic]);
        let mut child = program
            .args(brokers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (tell, answers) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                for line in
                    lines.filter(|line| line.starts_with("ok ") || line.starts_with("FAIL "))
                {
                    if tell.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            orders: child.stdin.take(),
            child,
            answers,
        })
    }

    /// Waits until every broker takes messages and all of them are consumed; returns the counts.
    pub fn settle(&mut self) -> Outcome {
        self.ask("settle")
    }

    /// Stops sending, waits for the rest; returns the counts.
    pub fn end(mut self) -> Outcome {
        self.ask("end")
    }

    fn ask(&mut self, order: &str) -> Outcome {
        if let Some(orders) = &mut self.orders {
            orders.write_all(format!("{order}\n").as_bytes())?;
            orders.flush()?;
        }
        let answer = self.answers.recv_timeout(ANSWER_LIMIT);
        let answer = answer.map_err(|_| Failure::new(format!("no answer to `{order}`")))?;
        match answer.strip_prefix("ok ") {
            Some(counts) if counts.contains(" 0 missing,") => Ok(counts.to_owned()),
            _ => Err(Failure::new(answer)),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

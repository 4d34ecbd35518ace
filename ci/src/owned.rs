//! A program that a check started: it ends with the check.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process::{command, run};

/// A process that is killed when nobody owns it any more.
pub struct Owned(Child);

impl Owned {
    /// Starts a program.
    pub fn start(mut command: Command) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|error| Failure::new(format!("`{program}` cannot be started: {error}")))
    }

    /// Asks it to end (`SIGTERM`) and waits so long for it; returns how it ended.
    pub fn terminate(mut self, limit: Duration) -> Result<ExitStatus, Failure> {
        let pid = self.0.id().to_string();
        run(command("kill", &["-TERM", &pid]), Duration::from_secs(5))?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Err(Failure::new(format!(
            "process {pid} did not stop within {} s",
            limit.as_secs()
        )))
    }

    /// Waits until somebody accepts connections at the address; fails at once when the program has ended.
    pub fn wait_for_port(&mut self, address: &str, limit: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                let text = format!("what was to listen on {address} ended with {status}");
                return Err(Failure::new(text));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Err(Failure::new(format!(
            "nobody listens on {address} after {} s",
            limit.as_secs()
        )))
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

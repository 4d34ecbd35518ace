//! Whether the process works, and whether it serves.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the control thread may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Where the process is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The store is opened and recovered.
    Recovering,
    /// The name servers are told.
    Registering,
    /// It serves.
    Serving,
    /// It stops as it was asked to.
    Stopping,
    /// A write or a thread has failed: it is about to end.
    Failed,
}

/// See the module. Told by the control thread, asked by the HTTP threads.
#[derive(Debug)]
pub struct Health(Mutex<(State, Option<Instant>)>);

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new((State::Recovering, None)))
    }
}

impl Health {
    /// The process has come to a state.
    pub fn enter(&self, state: State) {
        self.with(|inner| inner.0 = state);
    }

    /// The control thread goes round. From the first call on it must be called again and again.
    pub fn beat(&self) {
        self.with(|inner| inner.1 = Some(Instant::now()));
    }

    /// Where the process is.
    pub fn state(&self) -> State {
        self.with(|inner| inner.0)
    }

    /// Whether the process works at all; else why not.
    pub fn is_live(&self) -> Result<(), String> {
        let (state, beat) = self.with(|inner| *inner);
        let silence = beat.map_or(Duration::ZERO, |beat| beat.elapsed());
        if state == State::Failed {
            Err("a write or a thread has failed: the process ends".to_owned())
        } else if state == State::Serving && silence > SILENCE_MAX {
            let seconds = silence.as_secs();
            Err(format!(
                "the control thread has not gone round for {seconds} s"
            ))
        } else {
            Ok(())
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut (State, Option<Instant>)) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Why the process does not serve, if it does not.
    pub fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Recovering => Some("starting: the store is being recovered"),
            Self::Registering => Some("starting: the name servers are being told"),
            Self::Serving => None,
            Self::Stopping => Some("stopping: no more sends are taken"),
            Self::Failed => Some("failed: the process ends"),
        }
    }
}

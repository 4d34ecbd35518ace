//! The control thread: listens to the shards, keeps the name servers informed, writes the log out,
//! and takes everything down in order.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flume::{Receiver, Sender};
use ringmq_ring::Wake;
use ringmq_ring::uring::UringWaker;

use super::log;
use super::registration::{Bodies, Registrar};
use crate::broker::{SharedMap, Topic};
use crate::data_version::DataVersion;
use crate::error::{StartError, exit_code};
use crate::link::{Command, ControlLink, Notice};

/// How often the shards are listened to while one is waited for.
const BUSY_INTERVAL: Duration = Duration::from_millis(1);
/// How often otherwise.
const IDLE_INTERVAL: Duration = Duration::from_millis(10);
/// How long requests in flight and the store may take to finish.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last answers may take to leave, with some room.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked: everything is on the disk.
    Stopped,
    /// A write failed or a thread was lost; [`exit_code::FAIL_STOP`].
    Failed,
}

impl Ended {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Stopped => exit_code::OK,
            Self::Failed => exit_code::FAIL_STOP,
        }
    }
}

/// One shard's thread as the control thread sees it.
pub(super) struct ShardThread {
    pub link: ControlLink<UringWaker>,
    pub waker: Option<UringWaker>,
    pub thread: Option<JoinHandle<io::Result<()>>>,
    pub is_stopped: bool,
}

/// See the module.
pub(super) struct Supervisor {
    pub shards: Vec<ShardThread>,
    pub registrar: Option<Registrar>,
    /// The newest topics that name servers have not been told of.
    pub topics: Option<(SharedMap<Topic>, DataVersion)>,
    pub is_ready: bool,
    /// Not before this time are the topics told again: telling takes longer the more there are.
    pub tell_not_before: Instant,
    pub failures: Receiver<StartError>,
}

/// What a look at the shards found.
enum Look {
    Fine,
    Failed,
}

impl Supervisor {
    /// Waits until the home shard serves.
    pub fn wait_ready(&mut self) -> Result<(), StartError> {
        loop {
            if let Ok(error) = self.failures.try_recv() {
                return Err(error);
            }
            if let Look::Failed = self.look() {
                return Err(self.failures.try_recv().unwrap_or(StartError::Lost));
            }
            log::flush();
            if self.is_ready {
                return Ok(());
            }
            std::thread::sleep(BUSY_INTERVAL);
        }
    }

    /// Runs until told to stop or until a shard fails.
    pub fn run(mut self, stop: &Receiver<()>, ended: &Sender<Ended>) {
        let outcome = loop {
            if let Look::Failed = self.look() {
                break self.fail();
            }
            self.tell_topics();
            log::flush();
            match stop.recv_timeout(IDLE_INTERVAL) {
                Err(flume::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(flume::RecvTimeoutError::Disconnected) => break self.stop(),
            }
        };
        log::flush();
        // Nobody may be waiting any more.
        let _ = ended.send(outcome);
    }

    /// Registers the newest topics, if there are newer ones.
    pub fn tell_topics(&mut self) {
        let began = Instant::now();
        if began < self.tell_not_before {
            return;
        }
        if let Some(registrar) = &self.registrar
            && let Some((topics, version)) = self.topics.take()
        {
            registrar.register(Bodies::new(&topics, version));
            self.tell_not_before = Instant::now() + began.elapsed() * 10;
        }
    }

    /// Takes down what has been started, without a word about stopping properly.
    pub fn abandon(mut self) {
        self.leave();
    }

    fn look(&mut self) -> Look {
        let mut look = Look::Fine;
        for shard in &mut self.shards {
            while let Some(notice) = shard.link.notice() {
                match notice {
                    Notice::Started(waker) => shard.waker = Some(waker),
                    Notice::Ready => self.is_ready = true,
                    Notice::Topics(topics, version) => self.topics = Some((topics, version)),
                    Notice::Stopped => shard.is_stopped = true,
                    Notice::Failed => look = Look::Failed,
                }
            }
            if shard.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                look = Look::Failed;
            }
        }
        look
    }

    /// Takes no more sends, answers what is in flight, deregisters, finishes the store.
    fn stop(mut self) -> Ended {
        tracing::info!("stopping: no more sends are taken");
        self.command(Command::Stop);
        if let Some(registrar) = self.registrar.take() {
            registrar.stop();
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !self.shards.iter().all(|shard| shard.is_stopped) {
            if let Look::Failed = self.look() {
                return self.fail();
            }
            if Instant::now() > deadline {
                tracing::error!("the store did not finish in 30 s; the next start recovers it");
                return self.fail();
            }
            log::flush();
            std::thread::sleep(BUSY_INTERVAL);
        }
        self.leave();
        tracing::info!("stopped");
        Ended::Stopped
    }

    /// What is left to do when a disk cannot be trusted any more: send clients elsewhere.
    fn fail(mut self) -> Ended {
        tracing::error!("a shard has failed: nothing more is acknowledged, the process ends");
        if let Some(registrar) = self.registrar.take() {
            registrar.stop();
        }
        self.leave();
        Ended::Failed
    }

    /// Lets the last answers go, closes all connections, ends the threads.
    fn leave(&mut self) {
        self.command(Command::Exit);
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        for shard in &mut self.shards {
            let Some(thread) = shard.thread.take() else {
                continue;
            };
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(BUSY_INTERVAL);
            }
            if !thread.is_finished() {
                tracing::error!("a shard's thread did not end in time");
                continue;
            }
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a shard's ring has failed"),
                Err(_) => tracing::error!("a shard's thread has panicked"),
            }
        }
    }

    fn command(&mut self, command: Command) {
        for shard in &mut self.shards {
            // The rings are far larger than the few commands a process ever gives.
            let is_taken = shard.link.command(command);
            debug_assert!(is_taken, "a shard's command ring is full");
            if let Some(waker) = &shard.waker {
                waker.wake();
            }
        }
    }
}

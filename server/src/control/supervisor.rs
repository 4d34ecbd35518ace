//! The control thread: listens to the shards, keeps the name servers informed, writes the log out,
//! and takes everything down in order.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::{Receiver, Sender};
use ringmq_ring::Wake;
use ringmq_ring::uring::UringWaker;

use super::desk::Desk;
use super::http::{Source, State as ProcessState};
use super::min_brokers::MinBrokers;
use super::registration::{Registrar, State};
use super::threads::Threads;
use super::{kv_file, log, panics};
use crate::broker::{SharedMap, Topic};
use crate::data_version::DataVersion;
use crate::desk::Reply;
use crate::error::{StartError, exit_code};
use crate::limits::REGISTRATION_TOPICS_MAX;
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
pub(super) struct ShardLine {
    pub link: ControlLink<UringWaker>,
    waker: Option<UringWaker>,
    /// Replies that found the ring full.
    replies: VecDeque<Box<Reply>>,
    is_stopped: bool,
}

impl ShardLine {
    /// A line to a thread that has not been heard of yet.
    pub fn new(link: ControlLink<UringWaker>) -> Self {
        Self {
            link,
            waker: None,
            replies: VecDeque::new(),
            is_stopped: false,
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.replies.push_back(Box::new(reply));
    }

    fn flush_replies(&mut self) {
        let mut any = false;
        while self.link.has_room_for_replies()
            && let Some(reply) = self.replies.pop_front()
        {
            any |= self.link.command(Command::Reply(reply));
        }
        if any && let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

/// See the module.
pub(super) struct Supervisor {
    shards: Vec<ShardLine>,
    threads: Threads,
    registrar: Option<Registrar>,
    /// Most topics of one registration.
    register_split: usize,
    /// Tells brokers what the name server in this process has for them.
    min_brokers: MinBrokers,
    /// The newest topics that name servers have not been told of.
    topics: Option<(SharedMap<Topic>, DataVersion)>,
    is_ready: bool,
    failures: Receiver<StartError>,
    /// Where the name server's KV configuration is kept, if it is.
    kv_path: Option<PathBuf>,
    /// Answers the shards' questions.
    desk: Desk,
    /// Where it is said how the process does.
    source: Arc<Source>,
}

/// What a look at the shards found.
enum Look {
    Fine,
    Failed,
}

impl Supervisor {
    /// Supervises threads that have just been started; `failures` says why one cannot serve.
    pub fn new(
        threads: Threads,
        links: Vec<ControlLink<UringWaker>>,
        failures: Receiver<StartError>,
        kv_path: Option<PathBuf>,
        desk: Desk,
        source: Arc<Source>,
    ) -> Self {
        Self {
            shards: links.into_iter().map(ShardLine::new).collect(),
            threads,
            registrar: None,
            register_split: REGISTRATION_TOPICS_MAX,
            min_brokers: MinBrokers::default(),
            topics: None,
            is_ready: false,
            failures,
            kv_path,
            desk,
            source,
        }
    }

    /// Registers the topics as they are, waits for the first answers, and keeps them informed.
    pub fn register(&mut self, registrar: Registrar, split: usize, timeout: Duration) {
        self.source.health().enter(ProcessState::Registering);
        self.registrar = Some(registrar);
        self.register_split = split;
        self.tell_topics();
        if let Some(registrar) = &mut self.registrar {
            registrar.wait_first_round(timeout);
        }
    }

    /// Waits until the home shard serves.
    pub fn wait_ready(&mut self) -> Result<(), StartError> {
        loop {
            if let Ok(error) = self.failures.try_recv() {
                return Err(error);
            }
            if let Look::Failed = self.look() {
                return Err(self.failures.try_recv().unwrap_or(StartError::Lost));
            }
            if self.is_ready {
                return Ok(());
            }
            std::thread::sleep(BUSY_INTERVAL);
        }
    }

    /// Runs until told to stop or until a shard fails.
    pub fn run(mut self, stop: &Receiver<()>, ended: &Sender<Ended>) {
        self.source.health().enter(ProcessState::Serving);
        let outcome = loop {
            self.source.health().beat();
            if let Look::Failed = self.look() {
                break self.fail();
            }
            self.tell_topics();
            self.tell_rates();
            match stop.recv_timeout(IDLE_INTERVAL) {
                Err(flume::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(flume::RecvTimeoutError::Disconnected) => break self.stop(),
            }
        };
        log::flush();
        // Nobody may be waiting any more.
        let _ = ended.send(outcome);
    }

    /// Registers the newest topics, if there are newer ones; follows the list of name servers.
    fn tell_topics(&mut self) {
        let Some(registrar) = &mut self.registrar else {
            return;
        };
        registrar.poll();
        if let Some(servers) = self.desk.take_name_servers()
            && let Err(error) = registrar.set_servers(&servers)
        {
            tracing::error!(%error, "cannot start a thread to register with a name server");
        }
        if let Some((topics, version)) = self.topics.take() {
            let state = State::new(topics, version, self.register_split);
            registrar.register(state.within(self.desk.broker_permission()));
        }
    }

    fn tell_rates(&mut self) {
        if let Some(rates) = self.desk.tick() {
            for shard in &mut self.shards {
                shard.reply(Reply::Rates(Arc::clone(&rates)));
                shard.flush_replies();
            }
        }
    }

    /// Ends what has been started and never served. The threads are not waited for: the process
    /// ends.
    pub fn abandon(mut self) {
        self.command(&Command::Exit);
    }

    fn look(&mut self) -> Look {
        let mut look = Look::Fine;
        let mut kv = None;
        let mut questions = Vec::new();
        for (index, shard) in self.shards.iter_mut().enumerate() {
            while let Some(notice) = shard.link.notice() {
                match notice {
                    Notice::Started(waker) => shard.waker = Some(waker),
                    Notice::Ready => self.is_ready = true,
                    Notice::Topics(topics, version) => self.topics = Some((topics, version)),
                    Notice::Kv(file) => kv = Some(file),
                    Notice::Ask(question) => questions.push((index, question)),
                    Notice::MinBrokers(changes) => self.min_brokers.tell(changes),
                    Notice::Stopped => shard.is_stopped = true,
                    Notice::Failed => look = Look::Failed,
                }
            }
            if shard.link.is_abandoned() {
                look = Look::Failed;
            }
        }
        if let (Some(path), Some(file)) = (&self.kv_path, kv)
            && let Err(error) = kv_file::write(path, &file)
        {
            tracing::error!(%error, path = %path.display(), "the KV configuration is not saved");
        }
        for (index, question) in questions {
            let reply = self.desk.answer(*question);
            self.shards[index].reply(reply);
        }
        self.shards.iter_mut().for_each(ShardLine::flush_replies);
        if self.threads.failure().is_some() || panics::has_any() {
            look = Look::Failed;
        }
        look
    }

    /// Takes no more sends, answers what is in flight, deregisters, finishes the store.
    fn stop(mut self) -> Ended {
        tracing::info!("stopping: no more sends are taken");
        self.source.health().enter(ProcessState::Stopping);
        self.command(&Command::Stop);
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
        // What came with the last requests is saved too.
        self.look();
        self.leave()
    }

    /// What is left to do when a disk cannot be trusted any more: answer that outcomes are unknown,
    /// send clients elsewhere, and end without waiting for anything that may never come.
    fn fail(mut self) -> Ended {
        self.source.health().enter(ProcessState::Failed);
        if let Some(reason) = self.threads.failure() {
            tracing::error!("{reason}");
        }
        tracing::error!("nothing more is acknowledged, the process ends");
        self.wait_left();
        if let Some(registrar) = self.registrar.take() {
            registrar.stop();
        }
        Ended::Failed
    }

    /// Lets the last answers go, closes all connections, ends the threads.
    fn leave(mut self) -> Ended {
        if !self.wait_left() {
            tracing::error!("a shard's thread did not end in time");
            return Ended::Failed;
        }
        match self.threads.join() {
            Ok(()) => {
                tracing::info!("stopped");
                Ended::Stopped
            }
            Err(error) => {
                tracing::error!("{error}");
                Ended::Failed
            }
        }
    }

    fn wait_left(&mut self) -> bool {
        self.command(&Command::Exit);
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while !self.shards.iter().all(|shard| shard.link.is_abandoned()) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(BUSY_INTERVAL);
        }
        true
    }

    fn command(&mut self, command: &Command) {
        for shard in &mut self.shards {
            // The rings are far larger than the few commands a process ever gives.
            let is_taken = shard.link.command(command.clone());
            debug_assert!(is_taken, "a shard's command ring is full");
            if let Some(waker) = &shard.waker {
                waker.wake();
            }
        }
    }
}

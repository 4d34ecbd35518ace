//! A store on this machine: open the folder, start one pinned thread per shard and the control plane's,
//! and join them when the services have stopped.
//!
//! ```text
//! Engine::open  -> store file, locks, recovery      (on the control plane's thread)
//!   .start      -> a ring, a shard and a service per thread; the control plane works from now on
//!   Running::join <- every service has ended its loop
//! ```

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringmq_ring::turn::{Service, TurnLoop};
use ringmq_ring::uring::{Uring, UringConfig, UringWaker};
use ringmq_ring::{Io, affinity, probe};

use crate::config::Config;
use crate::control::open::StoreChance;
use crate::control::plane::{self, Opening};
use crate::error::Error;
use crate::limits::STOP_CONTROL;
use crate::placement::default_shard_count;
use crate::shard::{Shard, ShardStart};
use crate::types::ShardIndex;

/// An open and recovered store whose shards have not been started.
pub struct Engine {
    config: Config,
    ring: UringConfig,
    spins: bool,
    opening: Opening,
    control: JoinHandle<()>,
    failure: Arc<OnceLock<Error>>,
    /// Tells the control plane whom to wake; from then on it works.
    wakers: Sender<Vec<UringWaker>>,
}

/// What the service of one shard is made from, on the shard's thread.
pub struct ShardContext<'a> {
    /// The shard.
    pub shard: Shard<Uring>,
    /// The thread's ring.
    pub io: &'a mut Uring,
    /// The wakers of all shards' threads, in their order.
    pub wakers: Arc<[UringWaker]>,
}

/// A store whose shards run.
pub struct Running {
    shards: Vec<JoinHandle<Result<(), Error>>>,
    control: JoinHandle<()>,
    failure: Arc<OnceLock<Error>>,
    wakers: Arc<[UringWaker]>,
}

impl Engine {
    /// Opens the store in the configured folder, or makes a new one; waits for its locks and recovers it.
    ///
    /// # Errors
    /// Why it must not be served, or why the kernel's ring cannot be used; the text says what to do.
    pub fn open(config: &Config) -> Result<Self, Error> {
        config.validate()?;
        probe::check().map_err(|refused| Error::Ring(refused.to_string()))?;
        let cores = affinity::cores().map_or(1, |cores| cores.len());
        let chance = chance(default_shard_count(cores))?;
        let (wakers, wakers_told) = channel();
        let (opened, opening) = channel();
        let for_control = config.clone();
        let failure = Arc::new(OnceLock::new());
        let watch = LostThread(Arc::clone(&failure), "control");
        let control = thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                let _watch = watch;
                plane::run(&for_control, chance, &opened, &wakers_told);
            })
            .map_err(Error::io("start the thread", "control"))?;
        let opening = match opening.recv() {
            Ok(opening) => opening?,
            Err(_) => return Err(Error::ThreadLost("control")),
        };
        Ok(Self {
            config: config.clone(),
            ring: UringConfig::default(),
            spins: true,
            opening,
            control,
            failure,
            wakers,
        })
    }

    /// How many shards the store has.
    pub fn shard_count(&self) -> u8 {
        self.opening.store.shards
    }

    /// Lines for the operator: what recovery found, what was decided about the configuration.
    pub fn notices(&self) -> &[String] {
        &self.opening.notices
    }

    /// Sizes of every shard thread's ring, instead of the defaults.
    #[must_use]
    pub fn with_ring(mut self, ring: UringConfig) -> Self {
        self.ring = ring;
        self
    }

    /// Shard threads sleep whenever they wait, and never spin: a commit takes one turn instead of two, and
    /// the time of a wake-up longer.
    #[must_use]
    pub fn sleeping(mut self) -> Self {
        self.spins = false;
        self
    }

    /// Starts every shard on a thread of its own. `make` is called here once per shard; what it returns is
    /// called on the shard's thread and makes the service that the thread runs until it stops.
    ///
    /// # Errors
    /// When a ring or a thread cannot be made. The process is then to end: other shards may run.
    pub fn start<S, F>(self, mut make: impl FnMut(ShardIndex) -> F) -> Result<Running, Error>
    where
        S: Service<Uring>,
        F: FnOnce(ShardContext<'_>) -> S + Send + 'static,
    {
        let failure = self.failure;
        let count = self.opening.shards.len();
        let (ready, readies) = channel();
        let (mut shards, mut tell) = (Vec::new(), Vec::new());
        for start in self.opening.shards {
            let (wakers, told) = channel();
            tell.push(wakers);
            let seat = Seat {
                index: start.shard,
                count,
                pin: self.config.pin_threads,
                ring: self.ring.clone(),
                spins: self.spins,
                failure: Arc::clone(&failure),
            };
            let service = make(start.shard);
            let ready = ready.clone();
            let shard = thread::Builder::new()
                .name(format!("shard-{}", start.shard))
                .spawn(move || seat.run(start, service, &ready, &told))
                .map_err(Error::io("start the thread", "shard"))?;
            shards.push(shard);
        }
        drop(ready);
        let wakers = gather(&readies, count)?;
        for shard in tell {
            // A thread that is gone has told why through its handle.
            let _ = shard.send(Arc::clone(&wakers));
        }
        let _ = self.wakers.send(wakers.to_vec());
        Ok(Running {
            shards,
            control: self.control,
            failure,
            wakers,
        })
    }
}

impl Running {
    /// The wakers of the shard threads, in their order: for threads that leave word for a service.
    pub fn wakers(&self) -> &Arc<[UringWaker]> {
        &self.wakers
    }

    /// Why the store cannot go on, if it cannot: a write or flush has failed, or the control plane's thread
    /// has panicked. The shards are then to be stopped and the process to end with [`Error::exit_code`].
    pub fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// Waits until every service has stopped, and then for a while until the control plane is done.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a write or flush has failed; the process is to exit with code 70.
    /// [`Error::Unfinished`] when the control plane still waits for the disk.
    pub fn join(self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for shard in self.shards {
            let ended = shard.join().unwrap_or(Err(Error::ThreadLost("shard")));
            outcome = outcome.and(ended);
        }
        let control = join_within(self.control, STOP_CONTROL);
        if let Some(failure) = Arc::into_inner(self.failure).and_then(OnceLock::into_inner) {
            return Err(failure);
        }
        outcome.and(control)
    }
}

/// Waits for the control plane's thread; one that waits for a disk that never answers is left behind.
fn join_within(thread: JoinHandle<()>, patience: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + patience;
    while !thread.is_finished() {
        if Instant::now() > deadline {
            return Err(Error::Unfinished);
        }
        thread::park_timeout(JOIN_PAUSE);
    }
    thread.join().map_err(|_| Error::ThreadLost("control"))
}

/// Between two looks at a thread that is to end.
const JOIN_PAUSE: Duration = Duration::from_millis(1);

/// Goes with a thread, and tells when it panics: nobody joins it before the end.
struct LostThread(Arc<OnceLock<Error>>, &'static str);

impl Drop for LostThread {
    fn drop(&mut self) {
        if thread::panicking() {
            // The first failure is the one to be told.
            let _ = self.0.set(Error::ThreadLost(self.1));
        }
    }
}

/// Where one shard runs.
struct Seat {
    index: ShardIndex,
    count: usize,
    pin: bool,
    ring: UringConfig,
    spins: bool,
    failure: Arc<OnceLock<Error>>,
}

type Ready = Result<(ShardIndex, UringWaker), Error>;

impl Seat {
    fn run<S, F>(
        self,
        start: ShardStart<File>,
        make: F,
        ready: &Sender<Ready>,
        told: &Receiver<Arc<[UringWaker]>>,
    ) -> Result<(), Error>
    where
        S: Service<Uring>,
        F: FnOnce(ShardContext<'_>) -> S,
    {
        self.pin();
        let mut io = match Uring::new(&self.ring) {
            Ok(io) => io,
            Err(refused) => {
                let _ = ready.send(Err(Error::Ring(refused.to_string())));
                return Err(Error::Ring(refused.to_string()));
            }
        };
        let _ = ready.send(Ok((self.index, io.waker())));
        let Ok(wakers) = told.recv() else {
            return Err(Error::ThreadLost("start"));
        };
        let shard = Shard::new(start, &mut io).map_err(Error::io("take over", "log files"))?;
        let shard = shard.report_failure(self.failure);
        let mut service = make(ShardContext {
            shard,
            io: &mut io,
            wakers,
        });
        let mut turns = if self.spins {
            TurnLoop::default()
        } else {
            TurnLoop::sleeping()
        };
        turns
            .run(&mut io, &mut service)
            .map_err(|error| Error::Ring(format!("the kernel's ring failed: {error}")))
    }

    fn pin(&self) {
        if !self.pin {
            return;
        }
        let pinned = affinity::cores()
            .map(|cores| affinity::place(usize::from(self.index.0), self.count, &cores))
            .and_then(affinity::pin);
        if let Err(error) = pinned {
            tracing::warn!(shard = self.index.0, %error, "the thread is not pinned to a core");
        }
    }
}

fn gather(readies: &Receiver<Ready>, count: usize) -> Result<Arc<[UringWaker]>, Error> {
    let mut wakers = Vec::new();
    for _ in 0..count {
        match readies.recv() {
            Ok(ready) => wakers.push(ready?),
            Err(_) => return Err(Error::ThreadLost("shard")),
        }
    }
    wakers.sort_by_key(|(index, _)| *index);
    Ok(wakers.into_iter().map(|(_, waker)| waker).collect())
}

/// The one place where the engine asks the machine for chance and the date.
fn chance(shards: u8) -> Result<StoreChance, Error> {
    let mut bytes = [0; 40];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Config(format!("the system gives no random bytes: {error}")))?;
    let mut chance = StoreChance {
        store_id: [0; 16],
        salt: [0; 16],
        table_seed: 0,
        shards,
        wall_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0)),
    };
    chance.store_id.copy_from_slice(&bytes[..16]);
    chance.salt.copy_from_slice(&bytes[16..32]);
    let mut seed = [0; 8];
    seed.copy_from_slice(&bytes[32..]);
    chance.table_seed = u64::from_le_bytes(seed);
    Ok(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_and_one_that_ends_is_not() {
        for panics in [false, true] {
            let failure = Arc::new(OnceLock::new());
            let watch = LostThread(Arc::clone(&failure), "control");
            let thread = thread::spawn(move || {
                let _watch = watch;
                assert!(!panics, "as asked by the test");
            });
            let joined = join_within(thread, Duration::from_secs(60));
            assert_eq!(joined.is_err(), panics);
            assert_eq!(failure.get().map(Error::exit_code), panics.then_some(70));
        }
    }

    #[test]
    fn a_control_plane_that_does_not_end_is_not_waited_for_without_limit() {
        let (go_on, wait) = channel::<()>();
        let thread = thread::spawn(move || assert!(wait.recv().is_err()));
        let joined = join_within(thread, Duration::from_millis(5));
        assert!(matches!(joined, Err(Error::Unfinished)));
        drop(go_on);
    }
}

//! The world: one seed, one clock, one disk, one network, and who is next.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::client::SimClient;
use super::disk::SimDisk;
use super::faults::{Faults, Fired};
use super::io::{IoNumber, SimIo};
use super::net::SimListener;
use super::state::{IoState, State};
use super::tasks::{self, Outcome, Tasks};
use crate::io::{Moment, Wait};

/// A process in a world: it owns open files, sockets, ios and tasks, and dies as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process(pub(super) u32);

impl Process {
    /// The world's own: survives kills and power cuts; for the tasks of a test.
    pub const OUTSIDE: Self = Self(0);
}

/// What [`World::step`] did, or wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This io's thread is to have a turn: the caller begins it ([`SimIo::begin`]) and ends it with
    /// [`crate::Io::turn`].
    Turn(IoNumber),
    /// A task was polled.
    Ran,
    /// Nothing will ever happen by itself.
    Idle,
    /// A planned fault asks for the end: call [`World::power_cut`] or [`World::kill`].
    Halted(Halt),
}

/// An end that a planned fault asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// [`World::power_cut`].
    PowerCut,
    /// [`World::kill`] of this process.
    Kill(Process),
}

/// A world. Cloning gives another hand on the same one; it lives on one thread.
#[derive(Clone)]
pub struct World {
    inner: Rc<Inner>,
}

struct Inner {
    seed: u64,
    state: RefCell<State>,
    tasks: RefCell<Tasks>,
}

impl World {
    /// A world in which everything that happens follows from the seed and the plan of faults.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            inner: Rc::new(Inner {
                seed,
                state: RefCell::new(State::new(seed, faults)),
                tasks: RefCell::default(),
            }),
        }
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.inner.state.borrow_mut())
    }

    // Who lives in it -------------------------------------------------------------------------

    /// A new process.
    pub fn process(&self) -> Process {
        self.with(|state| {
            state.dead.push(false);
            Process(state.dead.len() as u32 - 1)
        })
    }

    /// The disk, for a process.
    pub fn disk(&self, process: Process) -> SimDisk {
        SimDisk::new(self.clone(), process.0)
    }

    /// A new shard thread of a process.
    pub fn io(&self, process: Process) -> SimIo {
        let number = self.with(|state| {
            state.ios.push(IoState {
                process: process.0,
                ready: Default::default(),
                failures: Vec::new(),
                wait: Wait::Poll,
                woken: Arc::default(),
                files: Vec::new(),
                sockets: Vec::new(),
                listeners: Vec::new(),
            });
            state.ios.len() - 1
        });
        SimIo::new(self.clone(), number)
    }

    /// Runs a future as a task of a process; it is polled by [`World::step`].
    pub fn spawn<T: 'static>(
        &self,
        process: Process,
        future: impl Future<Output = T> + 'static,
    ) -> Outcome<T> {
        let slot = Rc::new(RefCell::new(None));
        let result = Rc::clone(&slot);
        let task = async move {
            let value = future.await;
            *result.borrow_mut() = Some(value);
        };
        self.inner.tasks.borrow_mut().add(process.0, task);
        Outcome(slot)
    }

    /// Binds a port for a process.
    pub fn listen(&self, process: Process, port: u16) -> io::Result<SimListener> {
        self.with(|state| state.network.listen(process.0, port))
    }

    /// Opens a connection to a port.
    pub fn connect(&self, port: u16) -> SimClient {
        let connection = self.with(|state| state.connect(port));
        SimClient::new(self.clone(), connection)
    }

    // What happens ----------------------------------------------------------------------------

    /// Lets the next thing happen: a task or a shard's turn, chosen by the seed among those that
    /// can run; when none can, time passes until one can.
    pub fn step(&self) -> Step {
        match self.choose() {
            Chosen::Step(step) => step,
            Chosen::Task(index) => {
                tasks::poll(&self.inner.tasks, index);
                Step::Ran
            }
        }
    }

    fn choose(&self) -> Chosen {
        let mut state = self.inner.state.borrow_mut();
        let mut runnable = Vec::new();
        let mut ios = Vec::new();
        loop {
            if let Some(halt) = state.halted {
                return Chosen::Step(Step::Halted(halt));
            }
            state.run_due();
            self.inner.tasks.borrow().runnable(&mut runnable);
            state.runnable_ios(&mut ios);
            if !runnable.is_empty() || !ios.is_empty() {
                break;
            }
            let event = state.next_event_ns();
            let deadline = state.next_deadline_ns();
            let Some(time) = event.into_iter().chain(deadline).min() else {
                return Chosen::Step(Step::Idle);
            };
            state.now_ns = state.now_ns.max(time);
        }
        state.now_ns += state.schedule.between(100, 3_000);
        let chosen = state.schedule.index(runnable.len() + ios.len());
        match runnable.get(chosen) {
            Some(task) => {
                let now = state.now_ns;
                state
                    .trace
                    .record(now, &[7, *task as u64], format_args!("task {task}"));
                Chosen::Task(*task)
            }
            None => {
                let io = ios[chosen - runnable.len()];
                let now = state.now_ns;
                let ready = state.ios[io].ready.len();
                state.trace.record(
                    now,
                    &[8, io as u64, ready as u64],
                    format_args!("turn of io {io}, {ready} completions"),
                );
                Chosen::Step(Step::Turn(IoNumber(io)))
            }
        }
    }

    /// Runs a future to its end while tasks run and time passes. Shards get no turns: what needs
    /// one of them never ends, which panics.
    pub fn block_on<T: 'static>(
        &self,
        process: Process,
        future: impl Future<Output = T> + 'static,
    ) -> T {
        let outcome = self.spawn(process, future);
        loop {
            if let Some(value) = outcome.take() {
                return value;
            }
            match self.step() {
                Step::Ran => {}
                Step::Turn(io) => self.with(|state| state.ios[io.0].wait = Wait::Forever),
                step => panic!("the future cannot end: {step:?}, seed {}", self.inner.seed),
            }
        }
    }

    /// Kills a process (`kill -9`): memory, tasks, sockets and locks are gone. Bytes it had in
    /// flight may still arrive, and hold its locks until then.
    pub fn kill(&self, process: Process) {
        let tasks = self.inner.tasks.borrow_mut().kill(process.0);
        drop(tasks);
        self.with(|state| state.kill(process.0));
    }

    /// The power goes off and comes back: every process is dead, and of the disk remains what was
    /// durable and any part of what was not.
    pub fn power_cut(&self) {
        let processes = self.with(|state| state.dead.len() as u32);
        for process in 1..processes {
            let tasks = self.inner.tasks.borrow_mut().kill(process);
            drop(tasks);
        }
        self.with(State::power_cut);
    }

    /// Ends the errors that had come for good.
    pub fn heal(&self) {
        self.with(|state| state.device.heal());
    }

    /// Changes the plan of faults.
    pub fn set_faults(&self, faults: Faults) {
        self.with(|state| state.faults = faults);
    }

    // Clocks ----------------------------------------------------------------------------------

    /// Both clocks.
    pub fn now(&self) -> Moment {
        self.with(|state| state.moment())
    }

    /// The wall clock jumps, either way.
    pub fn jump_wall_ms(&self, milliseconds: i64) {
        self.with(|state| state.wall_offset_ms += milliseconds);
    }

    /// Lets time pass, whatever wants to run.
    pub fn pass_ns(&self, nanoseconds: u64) {
        self.with(|state| state.now_ns += nanoseconds);
    }

    /// A number for the test's own choices, part of the same seed.
    pub fn choose_below(&self, bound: u64) -> u64 {
        self.with(|state| state.schedule.below(bound))
    }

    // The disk from outside -------------------------------------------------------------------

    /// Bytes of the disk; less than is in use means full.
    pub fn set_capacity(&self, bytes: u64) {
        self.with(|state| state.device.capacity = bytes);
    }

    /// Bytes of the disk.
    pub fn capacity(&self) -> u64 {
        self.with(|state| state.device.capacity)
    }

    /// Bytes of the disk not in use.
    pub fn free(&self) -> u64 {
        self.with(|state| state.device.free())
    }

    /// All files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.with(|state| state.device.names())
    }

    /// What a read of the whole file would see.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(|state| Ok(state.device.image(path)?.live().to_vec()))
    }

    /// Replaces a file's bytes at rest.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.device.image(path)?.replace(bytes);
            Ok(())
        })
    }

    /// Flips one bit of a file at rest.
    pub fn flip(&self, path: &Path, position: u64, bit: u8) -> io::Result<()> {
        self.with(|state| {
            state.device.image(path)?.flip(position, bit);
            Ok(())
        })
    }

    // What happened ---------------------------------------------------------------------------

    /// File operations submitted so far; the next one's number is one more.
    pub fn operations(&self) -> u64 {
        self.with(|state| state.operations)
    }

    /// The faults that have happened, oldest first.
    pub fn fired(&self) -> Vec<Fired> {
        self.with(|state| state.device.fired.clone())
    }

    /// Writes and flushes of a file by a process that knew that one of that file had failed: what
    /// promise 6 forbids.
    pub fn retried(&self) -> Vec<Fired> {
        self.with(|state| state.device.retried.clone())
    }

    /// One number for everything that has happened: equal for equal seeds and tests.
    pub fn trace_hash(&self) -> u64 {
        self.with(|state| state.trace.hash())
    }

    /// Keeps the last lines of the story from now on.
    pub fn keep_trace(&self, lines: usize) {
        self.with(|state| state.trace.keep(lines));
    }

    /// The lines kept.
    pub fn trace(&self) -> Vec<String> {
        self.with(|state| state.trace.lines())
    }

    /// Puts a test's own event into the story and the hash.
    pub fn note(&self, number: u64, line: &str) {
        self.with(|state| {
            let now = state.now_ns;
            state.trace.record(now, &[9, number], line);
        });
    }
}

enum Chosen {
    Step(Step),
    Task(usize),
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World(seed {})", self.inner.seed)
    }
}

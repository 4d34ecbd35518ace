//! The one place that enters the kernel.

use std::collections::VecDeque;
use std::io;

use io_uring::{EnterFlags, IoUring, cqueue, squeue, types};

use super::UringConfig;
use super::clock;
use crate::io::{Glance, Wait};
use crate::probe::{Refused, Step};

/// The two queues shared with the kernel, and what waits for room in them.
pub(super) struct Kernel {
    ring: IoUring,
    /// Entries that found the submission queue full, in order.
    backlog: VecDeque<squeue::Entry>,
    flags: EnterFlags,
    enters: u64,
}

impl Kernel {
    /// Sets a ring up with the best set of flags that this kernel takes.
    pub(super) fn new(config: &UringConfig) -> Result<Self, Refused> {
        let ring = Self::set_up(config).map_err(|error| Refused::because(Step::SetUp, error))?;
        let parameters = ring.params();
        if !parameters.is_feature_ext_arg() || !parameters.is_feature_nodrop() {
            return Err(Refused::too_old("timeouts on entering the ring"));
        }
        let mut flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        if parameters.is_feature_no_iowait() {
            flags |= EnterFlags::NO_IOWAIT;
        }
        Ok(Self {
            ring,
            backlog: VecDeque::new(),
            flags,
            enters: 0,
        })
    }

    /// Completions are worked off by this thread alone and only when it enters; an older kernel
    /// does it a little less neatly.
    fn set_up(config: &UringConfig) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder
            .setup_clamp()
            .setup_submit_all()
            .setup_cqsize(config.completions)
            .setup_coop_taskrun()
            .setup_taskrun_flag();
        let older = builder.clone();
        builder.setup_single_issuer().setup_defer_taskrun();
        match builder.build(config.submissions) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                older.build(config.submissions)
            }
            other => other,
        }
    }

    pub(super) fn ring(&self) -> &IoUring {
        &self.ring
    }

    /// Queues an entry for the next turn, in order.
    ///
    /// # Safety
    /// All memory that the entry points to stays valid, and is not used in a way that conflicts
    /// with the kernel's use, until the entry's last completion (for memory that the kernel reads
    /// only while it takes the entry: until the turn that submits it is over).
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() {
            return self.backlog.push_back(entry);
        }
        // SAFETY: the caller's promise.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        if pushed.is_err() {
            self.backlog.push_back(entry);
        }
    }

    /// Submits, sleeps as told, and lets the kernel post completions. Exactly one system call.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let wait = if self.backlog.is_empty() {
            wait
        } else {
            // What is left over after this entry must not wait for somebody else's completion.
            Wait::Poll
        };
        let (want, timeout) = Self::patience(wait);
        let timespec =
            types::Timespec::from(std::time::Duration::from_nanos(timeout.unwrap_or_default()));
        let mut arguments = types::SubmitArgs::new();
        if timeout.is_some() {
            arguments = arguments.timespec(&timespec);
        }
        let queued = self.ring.submission().len() as u32;
        self.enters += 1;
        // SAFETY: the arguments live until the call is over; they are of the kind that `EXT_ARG`
        // announces; every queued entry was pushed with its promise.
        let entered = unsafe {
            self.ring
                .submitter()
                .enter(queued, want, self.flags.bits(), Some(&arguments))
        };
        self.refill();
        Self::judge(entered)
    }

    /// How many completions to wait for, and how long at most.
    fn patience(wait: Wait) -> (u32, Option<u64>) {
        match wait {
            Wait::Poll => (0, None),
            Wait::Forever => (1, None),
            Wait::Until(at) => match at.checked_sub(clock::monotonic_ns()) {
                None | Some(0) => (0, None),
                left => (1, left),
            },
        }
    }

    /// Moves the backlog into the queue as far as there is room.
    fn refill(&mut self) {
        let mut queue = self.ring.submission();
        while let Some(entry) = self.backlog.front() {
            // SAFETY: promised when the entry was pushed first.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.backlog.pop_front();
        }
    }

    /// A timeout, a signal or a busy kernel only end the wait: what was not submitted is still
    /// queued, and goes with the next turn.
    fn judge(entered: io::Result<usize>) -> io::Result<()> {
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// How many completions are there to take.
    pub(super) fn completed(&mut self) -> usize {
        self.ring.completion().len()
    }

    /// Takes one completion.
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }

    pub(super) fn glance(&mut self) -> Glance {
        let completed = !self.ring.completion().is_empty();
        let submissions = self.ring.submission();
        Glance {
            queued: !submissions.is_empty() || !self.backlog.is_empty(),
            ready: completed || submissions.taskrun() || submissions.cq_overflow(),
            monotonic_ns: clock::monotonic_ns(),
        }
    }

    /// Whether everything pushed is submitted.
    pub(super) fn is_submitted(&mut self) -> bool {
        self.backlog.is_empty() && self.ring.submission().is_empty()
    }

    /// System calls made to enter the kernel so far.
    pub(super) fn enters(&self) -> u64 {
        self.enters
    }
}

//! Can there be a ring here, and if not, why, and what is to be done about it.

use std::io;

use io_uring::{IoUring, Probe, opcode};

use crate::io::{Io, Wait};
use crate::uring::{Uring, UringConfig};

/// Sets a small ring up, turns it once, and takes it down again.
pub fn check() -> Result<(), Refused> {
    let mut ring = Uring::new(&UringConfig {
        submissions: 8,
        completions: 16,
        files: 8,
        receive_buffers: 1,
        receive_buffer_bytes: 4096,
    })?;
    let turned = ring.turn(Wait::Poll, &mut Vec::new());
    turned.map_err(|error| Refused::because(Step::Enter, error))
}

/// Lets this process open as many files as it is allowed to; says how many those are now. Call it
/// before the first ring is made: a ring holds no more files and sockets than the limit of its day.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(limit.maximum)
}

/// Why there is no ring. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The administrator has switched io_uring off.
    #[error(
        "io_uring is switched off on this machine (kernel.io_uring_disabled = {level}). \
         Switch it on with `sysctl kernel.io_uring_disabled=0`{}",
        .hint
    )]
    Disabled {
        /// 1: for processes without privilege; 2: for all.
        level: u32,
        /// What else would do.
        hint: &'static str,
    },
    /// A seccomp filter, most likely a container's default profile.
    #[error(
        "io_uring is forbidden to this process, most likely by a seccomp filter (containers have \
         one by default). Allow the system calls io_uring_setup, io_uring_enter and \
         io_uring_register in the profile, or run with `--security-opt seccomp=unconfined`"
    )]
    Filtered,
    /// The kernel has no io_uring, or a filter pretends so.
    #[error(
        "this kernel ({release}) answers that it has no io_uring. Linux 6.1 or newer is needed; \
         if it is that, a seccomp filter hides io_uring: allow io_uring_setup, io_uring_enter and \
         io_uring_register"
    )]
    Missing {
        /// As `uname -r` shows it.
        release: String,
    },
    /// The kernel's io_uring lacks something.
    #[error(
        "this kernel ({release}) is too old: its io_uring lacks {lacks}. Linux 6.1 or newer is needed"
    )]
    TooOld {
        /// As `uname -r` shows it.
        release: String,
        /// What is missing.
        lacks: String,
    },
    /// The memory a process may lock is used up.
    #[error(
        "there is not enough lockable memory for a ring (limit now: {limit}). Raise it: \
         `ulimit -l unlimited`, `LimitMEMLOCK=infinity` in a systemd unit, or \
         `--ulimit memlock=-1` for a container"
    )]
    LockedMemory {
        /// As `ulimit -l` shows it, in bytes.
        limit: String,
    },
    /// The files a process may open are used up.
    #[error(
        "no file descriptor is left for a ring (limit now: {limit}). Raise it: `ulimit -n 65536` \
         or `LimitNOFILE=65536` in a systemd unit"
    )]
    OpenFiles {
        /// As `ulimit -n` shows it.
        limit: String,
    },
    /// Anything else.
    #[error("io_uring cannot be used here: {step} failed: {source}")]
    Other {
        /// What was tried.
        step: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// What was being done when the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    SetUp,
    Probe,
    RegisteredFiles,
    ReceiveBuffers,
    Waker,
    Enter,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::SetUp => "setting a ring up",
            Self::Probe => "asking for its operations",
            Self::RegisteredFiles => "making the table of registered files",
            Self::ReceiveBuffers => "registering receive buffers",
            Self::Waker => "making an event descriptor",
            Self::Enter => "entering the ring",
        }
    }
}

impl Refused {
    pub(crate) fn because(step: Step, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::forbidden(disabled_level()),
            Some(libc::ENOSYS) => Self::Missing { release: release() },
            Some(libc::ENOMEM) => Self::LockedMemory {
                limit: limit(rustix::process::Resource::Memlock),
            },
            Some(libc::EMFILE | libc::ENFILE) => Self::OpenFiles {
                limit: limit(rustix::process::Resource::Nofile),
            },
            Some(libc::EINVAL) => Self::too_old(step.name()),
            _ => Self::Other {
                step: step.name(),
                source: error,
            },
        }
    }

    pub(crate) fn too_old(lacks: impl Into<String>) -> Self {
        Self::TooOld {
            release: release(),
            lacks: lacks.into(),
        }
    }

    fn forbidden(level: Option<u32>) -> Self {
        match level {
            None | Some(0) => Self::Filtered,
            Some(1) => Self::Disabled {
                level: 1,
                hint: ", or put this process into the group named by kernel.io_uring_group",
            },
            Some(level) => Self::Disabled { level, hint: "" },
        }
    }
}

/// Every operation that [`Uring`] uses must be there.
pub(crate) fn operations(ring: &IoUring) -> Result<(), Refused> {
    let mut probe = Probe::new();
    let asked = ring.submitter().register_probe(&mut probe);
    asked.map_err(|error| Refused::because(Step::Probe, error))?;
    let needed = [
        (opcode::Read::CODE, "read"),
        (opcode::Write::CODE, "write"),
        (opcode::Fsync::CODE, "fsync"),
        (opcode::AcceptMulti::CODE, "accept"),
        (opcode::RecvMulti::CODE, "receive"),
        (opcode::Send::CODE, "send"),
        (opcode::SendMsg::CODE, "gather send"),
        (opcode::AsyncCancel2::CODE, "cancel"),
        (opcode::FilesUpdate::CODE, "register a file"),
        (opcode::Close::CODE, "close"),
        (opcode::Shutdown::CODE, "shutdown"),
        (opcode::MsgRingData::CODE, "messages between rings"),
    ];
    match needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((_, name)) => Err(Refused::too_old(*name)),
    }
}

/// Makes the table of registered files; says for how many. The kernel takes no more than the
/// process may open.
pub(crate) fn registered_files(ring: &IoUring, wanted: u32) -> Result<u32, Refused> {
    let open = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = open.map_or(wanted, |open| {
        u32::try_from(open).unwrap_or(u32::MAX).min(wanted)
    });
    let made = ring.submitter().register_files_sparse(files);
    made.map_err(|error| Refused::because(Step::RegisteredFiles, error))?;
    Ok(files)
}

fn disabled_level() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}

fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

fn limit(resource: rustix::process::Resource) -> String {
    let current = rustix::process::getrlimit(resource).current;
    current.map_or_else(|| "unlimited".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn because(errno: i32) -> Refused {
        Refused::because(Step::SetUp, io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn this_machine_has_a_ring_for_us() {
        check().unwrap();
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_what_is_allowed() {
        let raised = raise_open_files().unwrap();
        let now = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(now.current, raised);
    }

    #[test]
    fn each_refusal_says_why_and_what_to_do() {
        let cases = [
            (Refused::forbidden(Some(2)), "kernel.io_uring_disabled = 2"),
            (Refused::forbidden(Some(1)), "kernel.io_uring_group"),
            (Refused::forbidden(Some(0)), "seccomp"),
            (because(libc::ENOSYS), "Linux 6.1 or newer"),
            (because(libc::EINVAL), "too old"),
            (because(libc::ENOMEM), "ulimit -l"),
            (because(libc::EMFILE), "ulimit -n"),
            (because(libc::EIO), "setting a ring up failed"),
        ];
        for (refused, expected) in cases {
            let text = refused.to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}

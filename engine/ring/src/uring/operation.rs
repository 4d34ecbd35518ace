//! What the kernel has been asked for and has not answered: every buffer it may still touch lives
//! here, whatever the caller does meanwhile.

use std::io;

use bytes::Bytes;
use io_uring::{opcode, squeue, types};
use slab::Slab;

use super::gather::Gather;
use super::handles::Handle;
use crate::buffer::AlignedBuf;
use crate::io::Token;
use crate::limits::{OPERATION_BYTES_MAX, OPERATION_TRIES_MAX};
use crate::partial::{Next, after_read, after_write};

/// One operation from its submission to its last completion.
pub(super) struct Operation {
    generation: u32,
    tries: u8,
    pub(super) token: Token,
    pub(super) on: Handle,
    pub(super) kind: Kind,
}

/// What is being done, with the memory it needs.
pub(super) enum Kind {
    Read {
        position: u64,
        buffer: AlignedBuf,
        filled: usize,
    },
    Write {
        position: u64,
        data: Bytes,
        written: usize,
        durable: bool,
    },
    Flush,
    Accept,
    Receive,
    Send(Box<Gather>),
    /// Ends everything on a socket that is being closed.
    Cancel,
    /// Ends what a cancellation did not find. The kernel looks the socket up late, in a worker, so
    /// the slot must not have its next tenant before this is over.
    Shutdown,
}

/// What a result means for an operation that moves a given number of bytes.
#[derive(Debug)]
pub(super) enum Step {
    /// Part of it is done, or it was interrupted: submit the rest.
    Again,
    /// It is over.
    Done(io::Result<usize>),
}

impl Operation {
    /// Takes a result of the kernel into account (negative: an error number).
    pub(super) fn advance(&mut self, result: i32) -> Step {
        let answer = match usize::try_from(result) {
            Ok(moved) => Ok(moved),
            Err(_) if self.is_interrupted(-result) => return Step::Again,
            Err(_) => Err(io::Error::from_raw_os_error(-result)),
        };
        match &mut self.kind {
            Kind::Read { buffer, filled, .. } => {
                Self::step(after_read(buffer.len(), *filled, answer), filled)
            }
            Kind::Write { data, written, .. } => {
                Self::step(after_write(data.len(), *written, answer), written)
            }
            Kind::Send(gather) => match answer {
                Ok(moved) => gather.advance(moved),
                Err(error) => Step::Done(Err(error)),
            },
            _ => Step::Done(answer),
        }
    }

    fn step(next: Next, moved: &mut usize) -> Step {
        match next {
            Next::Done(count) => Step::Done(Ok(count)),
            Next::Again(count) => {
                *moved = count;
                Step::Again
            }
            Next::Failed(error) => Step::Done(Err(error)),
        }
    }

    /// An interruption moved nothing and is tried again; anything else is final. Bounded, so that
    /// a device that never stops interrupting is an error.
    fn is_interrupted(&mut self, errno: i32) -> bool {
        let again = matches!(errno, libc::EINTR | libc::EAGAIN) && self.tries < OPERATION_TRIES_MAX;
        self.tries += u8::from(again);
        again
    }

    /// The submission of what is left of this operation.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        let fd = self.on.fixed();
        match &mut self.kind {
            Kind::Read {
                position,
                buffer,
                filled,
            } => {
                let rest = &mut buffer[*filled..];
                opcode::Read::new(fd, rest.as_mut_ptr(), bounded(rest.len()))
                    .offset(*position + *filled as u64)
                    .build()
            }
            Kind::Write {
                position,
                data,
                written,
                durable,
            } => {
                let rest = &data[*written..];
                opcode::Write::new(fd, rest.as_ptr(), bounded(rest.len()))
                    .offset(*position + *written as u64)
                    .rw_flags(if *durable { libc::RWF_DSYNC } else { 0 })
                    .build()
            }
            Kind::Flush => opcode::Fsync::new(fd)
                .flags(types::FsyncFlags::DATASYNC)
                .build(),
            Kind::Accept => opcode::AcceptMulti::new(fd)
                .flags(libc::SOCK_CLOEXEC)
                .build(),
            Kind::Receive => opcode::RecvMulti::new(fd, super::receive::GROUP).build(),
            Kind::Send(gather) => gather.entry(fd),
            Kind::Cancel => opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd).all()).build(),
            Kind::Shutdown => opcode::Shutdown::new(fd, libc::SHUT_RDWR).build(),
        }
    }
}

fn bounded(len: usize) -> u32 {
    len.min(OPERATION_BYTES_MAX as usize) as u32
}

/// The table of operations in flight. Its keys travel as user data: a slab index below a
/// generation, so that an answer nobody waits for finds nothing.
pub(super) struct Operations {
    slab: Slab<Operation>,
    generation: u32,
}

impl Operations {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            slab: Slab::with_capacity(capacity),
            generation: 0,
        }
    }

    /// Files an operation; returns its user data (below 2^63).
    pub(super) fn insert(&mut self, on: Handle, token: Token, kind: Kind) -> u64 {
        self.generation = (self.generation + 1) & (u32::MAX >> 1);
        let key = self.slab.insert(Operation {
            generation: self.generation,
            tries: 0,
            token,
            on,
            kind,
        });
        (u64::from(self.generation) << 32) | key as u64
    }

    pub(super) fn get_mut(&mut self, user_data: u64) -> Option<&mut Operation> {
        let operation = self.slab.get_mut(Self::key(user_data))?;
        (u64::from(operation.generation) == user_data >> 32).then_some(operation)
    }

    pub(super) fn remove(&mut self, user_data: u64) -> Option<Operation> {
        self.get_mut(user_data)?;
        self.slab.try_remove(Self::key(user_data))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    fn key(user_data: u64) -> usize {
        (user_data & u64::from(u32::MAX)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(kind: Kind) -> Operation {
        let mut table = Operations::with_capacity(1);
        let user_data = table.insert(Handle::new(0, 0), 1, kind);
        table.remove(user_data).unwrap()
    }

    fn write(len: usize) -> Operation {
        operation(Kind::Write {
            position: 4096,
            data: Bytes::from(vec![1; len]),
            written: 0,
            durable: true,
        })
    }

    fn read(len: usize) -> Operation {
        operation(Kind::Read {
            position: 0,
            buffer: AlignedBuf::zeroed(len),
            filled: 0,
        })
    }

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        let mut write = write(8192);
        assert!(matches!(write.advance(4096), Step::Again));
        assert!(matches!(write.advance(4096), Step::Done(Ok(8192))));
    }

    #[test]
    fn a_write_without_progress_is_an_error() {
        match write(4096).advance(0) {
            Step::Done(Err(error)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn a_failed_write_is_not_tried_again() {
        match write(4096).advance(-libc::EIO) {
            Step::Done(Err(error)) => assert_eq!(error.raw_os_error(), Some(libc::EIO)),
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn interruptions_are_retried_but_not_for_ever() {
        let mut write = write(4096);
        for _ in 0..OPERATION_TRIES_MAX {
            assert!(matches!(write.advance(-libc::EINTR), Step::Again));
        }
        assert!(matches!(write.advance(-libc::EAGAIN), Step::Done(Err(_))));
    }

    #[test]
    fn a_read_ends_at_the_end_of_the_file() {
        assert!(matches!(read(8192).advance(0), Step::Done(Ok(0))));
        let mut long = read(8192);
        assert!(matches!(long.advance(4096), Step::Again));
        assert!(matches!(long.advance(0), Step::Done(Ok(4096))));
    }

    #[test]
    fn a_late_answer_finds_nothing() {
        let mut table = Operations::with_capacity(1);
        let first = table.insert(Handle::new(0, 0), 1, Kind::Flush);
        assert!(table.remove(first).is_some());
        let second = table.insert(Handle::new(0, 0), 2, Kind::Flush);
        assert_eq!(first & 0xffff_ffff, second & 0xffff_ffff, "the same place");
        assert!(table.get_mut(first).is_none());
        assert!(table.remove(first).is_none());
        assert_eq!(
            table.remove(second).map(|operation| operation.token),
            Some(2)
        );
    }
}

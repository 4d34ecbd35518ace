//! A gather send: parts that leave a socket in order, as one message header per submission.

use bytes::Bytes;
use io_uring::{opcode, squeue, types};

use super::operation::Step;
use crate::limits::{GATHER_PARTS_MAX, GATHERS_KEPT};

/// The parts of one send and the kernel's view of those that are left. It stays in its box from
/// submission to completion, because the kernel reads `header` and `iovecs` where they lie.
pub(super) struct Gather {
    parts: Vec<Bytes>,
    /// First part that is not wholly sent, and how much of it is.
    part: usize,
    offset: usize,
    sent: usize,
    total: usize,
    iovecs: Vec<libc::iovec>,
    header: libc::msghdr,
}

const FLAGS: i32 = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

impl Gather {
    fn empty() -> Self {
        Self {
            parts: Vec::new(),
            part: 0,
            offset: 0,
            sent: 0,
            total: 0,
            iovecs: Vec::with_capacity(8),
            // SAFETY: the structure consists of integers and pointers; all zero is its empty value.
            header: unsafe { std::mem::zeroed() },
        }
    }

    fn load(&mut self, parts: Vec<Bytes>) {
        self.total = parts.iter().map(Bytes::len).sum();
        self.parts = parts;
        (self.part, self.offset, self.sent) = (0, 0, 0);
    }

    /// The kernel has taken `moved` more bytes.
    pub(super) fn advance(&mut self, moved: usize) -> Step {
        self.sent += moved;
        self.offset += moved;
        while let Some(part) = self.parts.get(self.part) {
            if self.offset < part.len() {
                break;
            }
            self.offset -= part.len();
            self.part += 1;
        }
        if self.sent >= self.total {
            Step::Done(Ok(self.sent))
        } else if moved == 0 {
            Step::Done(Err(std::io::ErrorKind::WriteZero.into()))
        } else {
            Step::Again
        }
    }

    /// The submission of what is left, at most [`GATHER_PARTS_MAX`] parts of it.
    pub(super) fn entry(&mut self, fd: types::Fixed) -> squeue::Entry {
        self.fill_iovecs();
        if let [only] = self.iovecs[..] {
            let len = only.iov_len.min(i32::MAX as usize) as u32;
            return opcode::Send::new(fd, only.iov_base.cast(), len)
                .flags(FLAGS)
                .build();
        }
        self.header.msg_iov = self.iovecs.as_mut_ptr();
        self.header.msg_iovlen = self.iovecs.len() as _;
        opcode::SendMsg::new(fd, &raw const self.header)
            .flags(FLAGS as u32)
            .build()
    }

    fn fill_iovecs(&mut self) {
        self.iovecs.clear();
        let mut offset = self.offset;
        let rest = self.parts.get(self.part..).unwrap_or_default();
        for part in rest.iter().take(GATHER_PARTS_MAX) {
            let bytes = &part[offset..];
            offset = 0;
            if !bytes.is_empty() {
                self.iovecs.push(libc::iovec {
                    iov_base: bytes.as_ptr().cast_mut().cast(),
                    iov_len: bytes.len(),
                });
            }
        }
    }

    fn unload(&mut self) -> Vec<Bytes> {
        let mut parts = std::mem::take(&mut self.parts);
        parts.clear();
        self.iovecs.clear();
        parts
    }
}

/// Spent gathers for the next sends: a send allocates nothing in steady state.
#[derive(Default)]
pub(super) struct Gathers {
    #[expect(clippy::vec_box, reason = "a gather keeps its address while in flight")]
    spare: Vec<Box<Gather>>,
}

impl Gathers {
    pub(super) fn take(&mut self, parts: Vec<Bytes>) -> Box<Gather> {
        let spare = self.spare.pop();
        let mut gather = spare.unwrap_or_else(|| Box::new(Gather::empty()));
        gather.load(parts);
        gather
    }

    /// Takes a finished gather back; returns its emptied list.
    pub(super) fn give_back(&mut self, mut gather: Box<Gather>) -> Vec<Bytes> {
        let parts = gather.unload();
        if self.spare.len() < GATHERS_KEPT {
            self.spare.push(gather);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(gather: &mut Gather) -> Vec<usize> {
        gather.fill_iovecs();
        gather.iovecs.iter().map(|iovec| iovec.iov_len).collect()
    }

    #[test]
    fn a_short_send_goes_on_inside_the_part_where_it_stopped() {
        let parts = [3, 0, 5, 2].map(|len| Bytes::from(vec![7; len])).to_vec();
        let mut gather = Gathers::default().take(parts);
        assert_eq!(lens(&mut gather), [3, 5, 2]);
        assert!(matches!(gather.advance(4), Step::Again));
        assert_eq!(lens(&mut gather), [4, 2]);
        assert!(matches!(gather.advance(4), Step::Again));
        assert_eq!(lens(&mut gather), [2]);
        assert!(matches!(gather.advance(2), Step::Done(Ok(10))));
        assert!(lens(&mut gather).is_empty());
    }

    #[test]
    fn more_parts_than_the_kernel_takes_go_in_several_rounds() {
        let parts = vec![Bytes::from_static(b"x"); GATHER_PARTS_MAX + 5];
        let mut gather = Gathers::default().take(parts);
        assert_eq!(lens(&mut gather).len(), GATHER_PARTS_MAX);
        assert!(matches!(gather.advance(GATHER_PARTS_MAX), Step::Again));
        assert_eq!(lens(&mut gather).len(), 5);
    }

    #[test]
    fn a_spent_gather_and_its_list_are_used_again() {
        let mut gathers = Gathers::default();
        let gather = gathers.take(Vec::with_capacity(16));
        let address = &raw const *gather;
        let list = gathers.give_back(gather);
        assert!(list.is_empty() && list.capacity() >= 16);
        assert_eq!(&raw const *gathers.take(list), address);
    }
}

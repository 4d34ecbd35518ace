//! A thread that serves makes one kind of system call. The kernel itself is the judge: a seccomp
//! filter on the thread ends the process at any call but `io_uring_enter`.
#![expect(unsafe_code, reason = "there is no safe way to install the filter")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ringmq_ring::uring::UringCompletion;
use ringmq_ring::{
    FileId, Io, Moment, Pace, Payload, Service, SocketId, TurnLoop, Uring, UringConfig,
};

use crate::driver::{connected, direct_file, pattern};

const ROUNDS: u64 = 2_000;
const COMMIT: u64 = 7;

#[test]
fn a_serving_thread_makes_no_system_call_but_entering_its_ring() {
    let (ours, mut peer) = connected();
    let commits = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&commits);
    // It is never joined: even leaving would take a forbidden call. It sleeps until the process ends.
    std::thread::spawn(move || serve(ours, &seen));
    for round in 0..ROUNDS {
        exchange(&mut peer, round as u8);
    }
    assert_eq!(commits.load(Ordering::Relaxed), ROUNDS);
}

fn exchange(peer: &mut TcpStream, byte: u8) {
    peer.write_all(&[byte; 64]).unwrap();
    let mut echo = [0; 64];
    peer.read_exact(&mut echo).unwrap();
    assert_eq!(echo, [1; 64]);
}

fn serve(stream: TcpStream, commits: &AtomicU64) {
    let mut ring = Uring::new(&UringConfig::default()).unwrap();
    let file = ring.adopt_file(direct_file(4096)).unwrap();
    let socket = ring.adopt_socket(stream).unwrap();
    ring.receive(socket, 1);
    let mut service = DurableEcho {
        file,
        socket,
        data: pattern(4096, 3),
        received: 0,
        committing: false,
        reply: Bytes::from(vec![1; 64]),
        list: Some(Vec::with_capacity(1)),
        commits,
    };
    let mut turns = TurnLoop::default();
    // The first turn's list of completions comes from the heap.
    let mut completions = Vec::with_capacity(64);
    allow_only_entering();
    loop {
        turns
            .once(&mut ring, &mut service, &mut completions)
            .unwrap();
    }
}

/// Answers 64 bytes with 64 others once a block is durable.
struct DurableEcho<'a> {
    file: FileId,
    socket: SocketId,
    data: Bytes,
    received: usize,
    committing: bool,
    reply: Bytes,
    list: Option<Vec<Bytes>>,
    commits: &'a AtomicU64,
}

impl Service<Uring> for DurableEcho<'_> {
    fn completion(&mut self, io: &mut Uring, completion: UringCompletion) {
        match completion.payload {
            Payload::Received(bytes) => self.received += bytes.as_ref().len(),
            Payload::Sent(list) => self.list = Some(list),
            _ if completion.token == COMMIT => {
                assert_eq!(completion.result.unwrap(), 4096);
                self.committing = false;
                self.commits.fetch_add(1, Ordering::Relaxed);
                let mut list = self.list.take().unwrap();
                list.push(self.reply.clone());
                io.send(self.socket, list, 2);
            }
            payload => panic!("{payload:?}"),
        }
    }

    fn turn(&mut self, io: &mut Uring, _: Moment) -> Pace {
        if self.received == 64 {
            self.received = 0;
            self.committing = true;
            io.write_durable(self.file, 0, self.data.clone(), COMMIT);
        }
        Pace {
            in_flight: self.committing,
            deadline_ns: None,
            stop: false,
        }
    }
}

/// From here on this thread's only system call is `io_uring_enter`.
fn allow_only_entering() {
    let load_number = instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
    let enter = libc::SYS_io_uring_enter as u32;
    let is_enter = instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, enter);
    let allow = instruction(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW);
    let kill = instruction(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_KILL_PROCESS);
    let mut filter = [load_number, is_enter, allow, kill];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: changes a flag of this thread.
    let flagged = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(flagged, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel copies the program, which is alive, during the call.
    let filtered = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(filtered, 0, "{}", std::io::Error::last_os_error());
}

fn instruction(code: u32, when_true: u8, when_false: u8, operand: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: when_true,
        jf: when_false,
        k: operand,
    }
}

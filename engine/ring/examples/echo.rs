//! One shard thread in a hundred lines: it accepts connections, writes a durable block for
//! everything that came in while the last one was being written, and then sends it all back.
//!
//! ```text
//! cargo run -p ringmq-ring --example echo -- [--seconds 3] [--connections 16] [--in-flight 4] [--sleep]
//! ```
//!
//! The clients are plain threads in the same process. At the end it prints the turns, the entries
//! to the kernel and the commits of the shard thread; `strace -f -c` (or `perf trace -s`) beside it
//! shows that the thread named `shard` makes no other system call while connections are open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmq_ring::turn::TurnCounts;
use ringmq_ring::uring::{UringCompletion, UringWaker};
use ringmq_ring::{
    AlignedBuf, FileId, Io, Moment, Pace, Payload, Service, SocketId, TurnLoop, Uring, UringConfig,
    Wake,
};

const MESSAGE: usize = 1024;
const BLOCK: usize = 4096;
const ACCEPT: u64 = u64::MAX;
const COMMIT: u64 = u64::MAX - 1;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let options = Options::read();
    let stop = Arc::new(AtomicBool::new(false));
    let (ready, started) = mpsc::channel();
    let shard = {
        let (stop, options) = (Arc::clone(&stop), options.clone());
        let thread = std::thread::Builder::new().name("shard".to_owned());
        thread.spawn(move || serve(&options, &stop, &ready))?
    };
    let (address, waker) = started.recv()?;
    let echoed = drive(&options, address);
    stop.store(true, Ordering::Release);
    waker.wake();
    let report = shard.join().map_err(|_| "the shard panicked")??;
    println!(
        "{:.0} messages/s; {} commits, {} turns ({:.2} a commit), {} entries; {:?}",
        echoed as f64 / options.seconds,
        report.commits,
        report.counts.turns,
        report.counts.turns as f64 / report.commits as f64,
        report.enters,
        report.counts,
    );
    Ok(())
}

#[derive(Clone)]
struct Options {
    seconds: f64,
    connections: usize,
    in_flight: usize,
    sleep: bool,
}

impl Options {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let number = |name: &str, default: f64| {
            let at = arguments.iter().position(|argument| argument == name);
            at.and_then(|at| arguments.get(at + 1)?.parse().ok())
                .unwrap_or(default)
        };
        Self {
            seconds: number("--seconds", 3.0),
            connections: number("--connections", 16.0) as usize,
            in_flight: number("--in-flight", 4.0) as usize,
            sleep: arguments.iter().any(|argument| argument == "--sleep"),
        }
    }
}

struct Report {
    commits: u64,
    enters: u64,
    counts: TurnCounts,
}

fn serve(
    options: &Options,
    stop: &AtomicBool,
    ready: &mpsc::Sender<(SocketAddr, UringWaker)>,
) -> Result<Report, Error> {
    let mut ring = Uring::new(&UringConfig::default())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let listener = ring.adopt_listener(listener)?;
    ring.accept(listener, ACCEPT);
    let mut shard = Shard::new(ring.adopt_file(prepared_file()?)?, stop);
    ready.send((address, ring.waker()))?;
    let mut turns = if options.sleep {
        TurnLoop::sleeping()
    } else {
        TurnLoop::default()
    };
    turns.run(&mut ring, &mut shard)?;
    Ok(Report {
        commits: shard.commits,
        enters: ring.enters(),
        counts: turns.counters().read(),
    })
}

/// A zeroed and flushed file in the build folder, as a segment would be.
fn prepared_file() -> Result<std::fs::File, Error> {
    let folder = tempfile::tempdir_in(std::env::current_exe()?.parent().ok_or("no folder")?)?;
    let path = folder.path().join("log");
    std::fs::write(&path, vec![0; 16 * BLOCK])?;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_DIRECT);
    let file = options.open(path)?;
    file.sync_all()?;
    Ok(file)
}

struct Shard<'a> {
    file: FileId,
    block: Bytes,
    connections: Vec<Connection>,
    /// Connections whose bytes wait for the commit in flight, and for the next one.
    writing: Vec<usize>,
    gathered: Vec<usize>,
    reply: Bytes,
    commits: u64,
    stop: &'a AtomicBool,
}

struct Connection {
    socket: SocketId,
    /// Bytes received, durable, and taken by a send.
    gathered: usize,
    writing: usize,
    durable: usize,
    list: Option<Vec<Bytes>>,
}

impl<'a> Shard<'a> {
    fn new(file: FileId, stop: &'a AtomicBool) -> Self {
        Self {
            file,
            block: Bytes::from_owner(AlignedBuf::zeroed(BLOCK)),
            connections: Vec::new(),
            writing: Vec::new(),
            gathered: Vec::new(),
            reply: Bytes::from(vec![1; 64 * MESSAGE]),
            commits: 0,
            stop,
        }
    }

    fn accept(&mut self, io: &mut Uring, stream: TcpStream) {
        let Ok(socket) = io.adopt_socket(stream) else {
            return;
        };
        io.receive(socket, self.connections.len() as u64);
        self.connections.push(Connection {
            socket,
            gathered: 0,
            writing: 0,
            durable: 0,
            list: Some(Vec::with_capacity(1)),
        });
    }

    fn received(&mut self, io: &mut Uring, at: usize, count: usize, more: bool) {
        let connection = &mut self.connections[at];
        if count == 0 {
            return io.close_socket(connection.socket);
        }
        if connection.gathered == 0 {
            self.gathered.push(at);
        }
        connection.gathered += count;
        if !more {
            io.receive(connection.socket, at as u64);
        }
    }

    fn committed(&mut self, io: &mut Uring) {
        self.commits += 1;
        for at in std::mem::take(&mut self.writing) {
            let connection = &mut self.connections[at];
            connection.durable += std::mem::take(&mut connection.writing);
            self.send(io, at);
        }
    }

    fn send(&mut self, io: &mut Uring, at: usize) {
        let connection = &mut self.connections[at];
        if connection.durable == 0 {
            return;
        }
        if let Some(mut list) = connection.list.take() {
            let count = connection.durable.min(self.reply.len());
            connection.durable -= count;
            list.push(self.reply.slice(..count));
            io.send(connection.socket, list, at as u64);
        }
    }
}

impl Service<Uring> for Shard<'_> {
    fn completion(&mut self, io: &mut Uring, completion: UringCompletion) {
        let at = completion.token as usize;
        match completion.payload {
            Payload::Accepted(stream) => self.accept(io, stream),
            Payload::Received(bytes) => {
                self.received(io, at, bytes.as_ref().len(), completion.more);
            }
            Payload::Sent(list) => {
                self.connections[at].list = Some(list);
                self.send(io, at);
            }
            Payload::None if completion.token == COMMIT => match completion.result {
                Ok(_) => self.committed(io),
                Err(error) => panic!("the block is not durable: {error}"),
            },
            // Out of receive buffers, or ended by closing.
            Payload::None | Payload::Buffer(_) => {
                if let Some(connection) = self.connections.get(at) {
                    io.receive(connection.socket, completion.token);
                }
            }
        }
    }

    fn turn(&mut self, io: &mut Uring, _: Moment) -> Pace {
        if self.writing.is_empty() && !self.gathered.is_empty() {
            std::mem::swap(&mut self.writing, &mut self.gathered);
            for &at in &self.writing {
                let connection = &mut self.connections[at];
                connection.writing = std::mem::take(&mut connection.gathered);
            }
            io.write_durable(self.file, 0, self.block.clone(), COMMIT);
        }
        Pace {
            in_flight: !self.writing.is_empty(),
            deadline_ns: None,
            stop: self.stop.load(Ordering::Acquire),
        }
    }
}

/// Runs the clients; says how many messages came back.
fn drive(options: &Options, address: SocketAddr) -> u64 {
    let echoed = AtomicU64::new(0);
    let until = Instant::now() + Duration::from_secs_f64(options.seconds);
    std::thread::scope(|scope| {
        for _ in 0..options.connections {
            scope.spawn(|| {
                let counted = client(address, options.in_flight, until);
                match counted {
                    Ok(count) => {
                        echoed.fetch_add(count, Ordering::Relaxed);
                    }
                    Err(error) => eprintln!("a client gave up: {error}"),
                }
            });
        }
    });
    echoed.into_inner()
}

fn client(address: SocketAddr, in_flight: usize, until: Instant) -> Result<u64, Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut bytes = vec![0; MESSAGE * in_flight];
    let mut count = 0;
    while Instant::now() < until {
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        count += in_flight as u64;
    }
    Ok(count)
}

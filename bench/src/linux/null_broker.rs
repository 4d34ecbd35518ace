//! The null broker: the least that a durable broker of this protocol can do on one ring.
//!
//! It splits real frames, copies each body and its header into a block, writes the block with one
//! durable write while the next one gathers, and answers every frame of it with a constant. No
//! queue, no index, no checks: what it reaches is the ceiling for a real broker on this machine.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{Head, Header};
use ringmq_ring::buffer::Reclaim;
use ringmq_ring::turn::{self, Pace, Service};
use ringmq_ring::uring::{Uring, UringConfig};
use ringmq_ring::{
    AlignedBuf, Completion, FileId, Io, ListenerId, Moment, Payload, SocketId, Token,
};
use rustix::fs::{Mode, OFlags};

use super::arguments::Null;
use super::counters::Counters;
use super::error::{BenchError, Result};

/// The file is written round and round.
const FILE_BYTES: u64 = 256 << 20;
/// The largest block.
const BLOCK_BYTES: usize = 1 << 20;
const FRAME_BYTES_MAX: usize = 16 << 20;
/// Bytes in front of each record in a block: its length.
const RECORD_HEAD_BYTES: usize = 8;

const TOKEN_ACCEPT: Token = 1 << 32;
const TOKEN_WRITE: Token = 2 << 32;
const TOKEN_RECEIVE: Token = 3 << 32;
const TOKEN_SEND: Token = 4 << 32;
const TOKEN_KIND: Token = !0 << 32;

/// A null broker on a thread of its own.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    thread: std::thread::JoinHandle<Result<()>>,
}

/// Serves until the process is ended.
pub fn serve(options: &Null) -> Result<()> {
    let server = start(options)?;
    println!("the null broker listens on {}", server.address);
    server
        .thread
        .join()
        .map_err(|_| BenchError::Usage("the null broker's thread panicked".into()))?
}

/// Starts its thread; it serves for as long as the process lives.
pub fn start(options: &Null) -> Result<Server> {
    let file = prepare(&options.file)?;
    let listener = TcpListener::bind(&options.listen)?;
    let address = listener.local_addr()?;
    let cpu = options.cpu;
    let thread = std::thread::Builder::new()
        .name("null-broker".into())
        .spawn(move || {
            if let Some(cpu) = cpu {
                pin(cpu)?;
            }
            let mut io = Uring::new(&UringConfig::default())
                .map_err(|refused| BenchError::Usage(refused.to_string()))?;
            let mut broker = NullBroker::new(&mut io, file, listener)?;
            turn::run(&mut io, &mut broker)?;
            Ok(())
        })?;
    Ok(Server { address, thread })
}

fn pin(cpu: usize) -> Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(cpu);
    rustix::thread::sched_setaffinity(None, &cpus).map_err(std::io::Error::from)?;
    Ok(())
}

/// A file whose every byte has been written once, as segments are.
fn prepare(path: &Path) -> Result<std::fs::File> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(std::io::Error::from)?;
    let zeros = AlignedBuf::zeroed(BLOCK_BYTES);
    for position in (0..FILE_BYTES).step_by(BLOCK_BYTES) {
        let mut written = 0;
        while written < zeros.len() {
            written += rustix::io::pwrite(&file, &zeros[written..], position + written as u64)
                .map_err(std::io::Error::from)?;
        }
    }
    rustix::fs::fsync(&file).map_err(std::io::Error::from)?;
    Ok(file.into())
}

/// Two blocks: one gathers while the other is written.
struct NullBroker {
    listener: ListenerId,
    accepting: bool,
    file: FileId,
    position: u64,
    gathering: Block,
    /// Whom the block in flight belongs to.
    waiting: Vec<(usize, u32)>,
    reclaim: VecDeque<Reclaim>,
    writing: bool,
    connections: Vec<Connection>,
    /// Connections that hold whole frames which found no room in the block.
    stalled: VecDeque<usize>,
    answer: Vec<u8>,
    opaque_at: usize,
    counters: Counters,
}

struct Block {
    buffer: AlignedBuf,
    filled: usize,
    waiting: Vec<(usize, u32)>,
}

struct Connection {
    socket: SocketId,
    received: Vec<u8>,
    out: BytesMut,
    sending: bool,
    parts: Vec<Bytes>,
    open: bool,
    stalled: bool,
    receiving: bool,
}

impl NullBroker {
    fn new(io: &mut Uring, file: std::fs::File, listener: TcpListener) -> Result<Self> {
        let mut answer = Vec::new();
        Head::response(0, 0)
            .encode_frame(HeaderKind::Json, &mut answer, &[], |ext| {
                ext.put("msgId", "7F00000100002A9F0000000000000000");
                ext.put("queueId", "0");
                ext.put("queueOffset", "0");
                ext.put("offset", "0");
            })
            .map_err(|error| BenchError::Malformed(error.to_string()))?;
        let opaque_at = widen_opaque(&mut answer)?;
        Ok(Self {
            listener: io.adopt_listener(listener)?,
            accepting: false,
            file: io.adopt_file(file)?,
            position: 0,
            gathering: Block::empty(AlignedBuf::zeroed(BLOCK_BYTES)),
            waiting: Vec::new(),
            reclaim: VecDeque::new(),
            writing: false,
            connections: Vec::new(),
            stalled: VecDeque::new(),
            answer,
            opaque_at,
            counters: Counters::default(),
        })
    }

    fn accepted(&mut self, io: &mut Uring, stream: <Uring as Io>::Stream) {
        if let Ok(socket) = io.adopt_socket(stream) {
            self.connections.push(Connection {
                socket,
                received: Vec::new(),
                out: BytesMut::new(),
                sending: false,
                parts: Vec::new(),
                open: true,
                stalled: false,
                receiving: true,
            });
            io.receive(
                socket,
                TOKEN_RECEIVE | (self.connections.len() - 1) as Token,
            );
        }
    }

    fn received(&mut self, io: &mut Uring, index: usize, bytes: &[u8]) {
        let connection = &mut self.connections[index];
        connection.received.extend_from_slice(bytes);
        self.gather(io, index);
    }

    /// Copies whole frames into the block until it is full.
    fn gather(&mut self, io: &mut Uring, index: usize) {
        let connection = &mut self.connections[index];
        let mut consumed = 0;
        loop {
            match frame::split(&connection.received[consumed..], FRAME_BYTES_MAX) {
                Ok(Split::Incomplete { .. }) => break,
                Ok(Split::Frame(request)) => {
                    if request.body.is_empty() && asks_for_counters(&request) {
                        consumed += request.total;
                        tell_counters(&request, self.counters, &mut connection.out);
                        continue;
                    }
                    if !self.gathering.take(index, &request) {
                        if !connection.stalled {
                            connection.stalled = true;
                            self.stalled.push_back(index);
                            io.stop_receiving(connection.socket);
                        }
                        break;
                    }
                    consumed += request.total;
                }
                Err(_) => {
                    connection.open = false;
                    io.close_socket(connection.socket);
                    break;
                }
            }
        }
        connection.received.drain(..consumed);
        self.flush(io, index);
    }

    /// The block in flight is durable: answer everyone in it.
    fn written(&mut self, io: &mut Uring) {
        self.writing = false;
        self.counters.commits += 1;
        let mut waiting = std::mem::take(&mut self.waiting);
        for (index, opaque) in waiting.drain(..) {
            let connection = &mut self.connections[index];
            let at = connection.out.len() + self.opaque_at;
            connection.out.extend_from_slice(&self.answer);
            write_digits(&mut connection.out[at..at + 10], opaque);
        }
        self.waiting = waiting;
        for index in 0..self.connections.len() {
            self.flush(io, index);
        }
        while let Some(index) = self.stalled.pop_front() {
            let connection = &mut self.connections[index];
            connection.stalled = false;
            self.gather(io, index);
            if self.connections[index].stalled {
                break;
            }
        }
    }

    fn flush(&mut self, io: &mut Uring, index: usize) {
        let connection = &mut self.connections[index];
        if connection.sending || connection.out.is_empty() || !connection.open {
            return;
        }
        let mut parts = std::mem::take(&mut connection.parts);
        parts.push(connection.out.split().freeze());
        connection.sending = true;
        io.send(connection.socket, parts, TOKEN_SEND | index as Token);
    }

    /// Writes the gathered block if nothing is in flight.
    fn submit(&mut self, io: &mut Uring) {
        if self.writing || self.gathering.filled == 0 {
            return;
        }
        let next = self.next_buffer();
        let block = std::mem::replace(&mut self.gathering, Block::empty(next));
        let len = block.filled.next_multiple_of(ringmq_ring::ALIGNMENT);
        if self.position + len as u64 > FILE_BYTES {
            self.position = 0;
        }
        self.reclaim.push_back(block.buffer.reclaim());
        self.waiting = block.waiting;
        let data = Bytes::from_owner(block.buffer).slice(..len);
        io.write_durable(self.file, self.position, data, TOKEN_WRITE);
        self.position += len as u64;
        self.writing = true;
    }

    fn next_buffer(&mut self) -> AlignedBuf {
        match self.reclaim.pop_front().map(Reclaim::try_take) {
            Some(Ok(buffer)) => buffer,
            Some(Err(busy)) => {
                self.reclaim.push_back(busy);
                AlignedBuf::zeroed(BLOCK_BYTES)
            }
            None => AlignedBuf::zeroed(BLOCK_BYTES),
        }
    }

    /// Receives again on connections whose frames have found room.
    fn resume(&mut self, io: &mut Uring) {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if connection.open && !connection.receiving && !connection.stalled {
                connection.receiving = true;
                io.receive(connection.socket, TOKEN_RECEIVE | index as Token);
            }
        }
    }
}

impl Service<Uring> for NullBroker {
    fn completion(
        &mut self,
        io: &mut Uring,
        completion: Completion<<Uring as Io>::Stream, <Uring as Io>::Received>,
    ) {
        let index = (completion.token & !TOKEN_KIND) as usize;
        match (completion.token & TOKEN_KIND, completion.payload) {
            (TOKEN_ACCEPT, payload) => {
                self.accepting &= completion.more;
                if let Payload::Accepted(stream) = payload {
                    self.accepted(io, stream);
                }
            }
            (TOKEN_RECEIVE, payload) => {
                self.connections[index].receiving &= completion.more;
                match payload {
                    Payload::Received(bytes) if !bytes.as_ref().is_empty() => {
                        self.received(io, index, bytes.as_ref());
                    }
                    _ if matches!(completion.result, Ok(0)) && self.connections[index].open => {
                        self.connections[index].open = false;
                        io.close_socket(self.connections[index].socket);
                    }
                    _ => {}
                }
            }
            (TOKEN_SEND, payload) => {
                let connection = &mut self.connections[index];
                connection.sending = false;
                if let Payload::Sent(parts) = payload {
                    connection.parts = parts;
                }
                self.flush(io, index);
            }
            (TOKEN_WRITE, _) => match completion.result {
                Ok(_) => self.written(io),
                Err(error) => {
                    eprintln!("ringmq-bench: the null broker's write failed: {error}");
                    std::process::exit(1);
                }
            },
            _ => {}
        }
    }

    fn turn(&mut self, io: &mut Uring, _now: Moment) -> Pace {
        self.counters.turns += 1;
        if !self.accepting {
            self.accepting = true;
            io.accept(self.listener, TOKEN_ACCEPT);
        }
        self.resume(io);
        self.submit(io);
        Pace {
            in_flight: self.writing,
            ..Pace::default()
        }
    }
}

impl Block {
    fn empty(buffer: AlignedBuf) -> Self {
        Self {
            buffer,
            filled: 0,
            waiting: Vec::new(),
        }
    }

    /// Copies a frame as a record; `false` when there is no room. A frame larger than a block is
    /// cut: this server keeps nothing that anybody reads.
    fn take(&mut self, connection: usize, request: &frame::Frame<'_>) -> bool {
        let header = request.header.len().min(BLOCK_BYTES / 4);
        let body = request.body.len().min(BLOCK_BYTES / 2);
        let total = RECORD_HEAD_BYTES + header + body;
        let Some(room) = self.buffer.get_mut(self.filled..self.filled + total) else {
            return false;
        };
        let (head, rest) = room.split_at_mut(RECORD_HEAD_BYTES);
        head.copy_from_slice(&(total as u64).to_le_bytes());
        let (for_header, for_body) = rest.split_at_mut(header);
        for_header.copy_from_slice(&request.header[..header]);
        for_body.copy_from_slice(&request.body[..body]);
        self.filled += total;
        if let Ok(header) = Header::decode(request.kind, request.header) {
            self.waiting.push((connection, header.opaque as u32));
        }
        true
    }
}

fn asks_for_counters(request: &frame::Frame<'_>) -> bool {
    let header = Header::decode(request.kind, request.header);
    header.is_ok_and(|header| header.code == Counters::REQUEST)
}

/// Answers at once, as a broker answers questions about itself.
fn tell_counters(request: &frame::Frame<'_>, counters: Counters, out: &mut BytesMut) {
    let Ok(header) = Header::decode(request.kind, request.header) else {
        return;
    };
    let mut answer = Vec::new();
    let head = Head::response(0, header.opaque);
    let body = counters.to_body();
    // A header without remark and fields is never too long.
    if head
        .encode_frame(request.kind, &mut answer, body.as_bytes(), |_| ())
        .is_ok()
    {
        out.extend_from_slice(&answer);
    }
}

/// Makes room for ten digits where the constant answer has its number, and says where.
fn widen_opaque(answer: &mut Vec<u8>) -> Result<usize> {
    const OPAQUE: &[u8] = b"\"opaque\":";
    let missing = || BenchError::Malformed("the constant answer has no number".into());
    let at = memchr::memmem::find(answer, OPAQUE).ok_or_else(missing)? + OPAQUE.len();
    answer.splice(at..at + 1, *b"0000000000");
    for (place, added) in [(0, 9u32), (4, 9)] {
        let word = answer[place..place + 4]
            .first_chunk::<4>()
            .ok_or_else(missing)?;
        let longer = u32::from_be_bytes(*word) + added;
        answer[place..place + 4].copy_from_slice(&longer.to_be_bytes());
    }
    // Leading zeros are no JSON number, but spaces in front of one are allowed.
    answer[at..at + 9].fill(b' ');
    Ok(at)
}

fn write_digits(place: &mut [u8], mut value: u32) {
    place.fill(b' ');
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
}

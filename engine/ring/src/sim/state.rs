//! Everything in a world but its tasks: clock, events, operations, and who waits for them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use bytes::Bytes;

use super::device::{Answer, Device, Holder, Landing, Outcome, Request};
use super::faults::{Fault, Faults};
use super::net::{ConnectionNumber, Network, Segment, Side, SimListener, SimStream};
use super::rng::Rng;
use super::trace::Trace;
use super::{Halt, Process};
use crate::io::{Completion, Moment, Payload, Token, Wait};

const ECANCELED: i32 = 125;
const ECONNRESET: i32 = 104;
const ENOBUFS: i32 = 105;

/// The wall clock of a new world, in milliseconds: some day in 2024.
const WALL_START_MS: i64 = 1_710_000_000_000;

pub(super) type Done = Completion<SimStream, Bytes>;

/// Who learns of an operation's end.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Io { io: usize, token: Token },
    Task(u64),
    Nobody(Landing),
}

#[derive(Debug)]
struct Operation {
    number: u64,
    process: u32,
    owner: Owner,
    request: Request,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Event {
    Land(u64),
    Timer(u64),
    Connect {
        connection: ConnectionNumber,
        port: u16,
    },
    Arrival {
        connection: ConnectionNumber,
        side: Side,
        segment: Segment,
    },
}

/// A future's side of an operation or a pause.
#[derive(Debug)]
struct Waiter {
    process: u32,
    result: Option<io::Result<Outcome>>,
    waker: Option<Waker>,
}

/// A socket as an io knows it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: SimStream,
    pub(super) receiving: Option<Token>,
    /// Its token, its emptied list, and its bytes in all.
    pub(super) sending: Option<(Token, Vec<Bytes>, usize)>,
}

/// A listener as an io knows it.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) listener: SimListener,
    pub(super) accepting: Option<Token>,
}

/// One shard thread's door.
#[derive(Debug)]
pub(super) struct IoState {
    pub(super) process: u32,
    pub(super) ready: VecDeque<Done>,
    /// Descriptions whose failed writes are among `ready`.
    pub(super) failures: Vec<u32>,
    pub(super) wait: Wait,
    pub(super) woken: Arc<AtomicBool>,
    pub(super) files: Vec<Option<(u32, Holder)>>,
    pub(super) sockets: Vec<Option<Socket>>,
    pub(super) listeners: Vec<Option<Listening>>,
}

impl IoState {
    fn runnable(&self, now_ns: u64) -> bool {
        let due = match self.wait {
            Wait::Poll => true,
            Wait::Until(at) => at <= now_ns,
            Wait::Forever => false,
        };
        due || !self.ready.is_empty() || self.woken.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) now_ns: u64,
    pub(super) wall_offset_ms: i64,
    pub(super) schedule: Rng,
    pub(super) trace: Trace,
    pub(super) faults: Faults,
    pub(super) device: Device,
    pub(super) network: Network,
    pub(super) ios: Vec<IoState>,
    pub(super) dead: Vec<bool>,
    pub(super) halted: Option<Halt>,
    pub(super) operations: u64,
    events: BTreeMap<(u64, u64), Event>,
    in_flight: BTreeMap<u64, Operation>,
    waiters: BTreeMap<u64, Waiter>,
    next: u64,
}

impl State {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            now_ns: 1_000_000,
            wall_offset_ms: 0,
            device: Device::new(rng.fork()),
            network: Network::new(rng.fork()),
            schedule: rng,
            trace: Trace::new(),
            faults,
            ios: Vec::new(),
            dead: vec![false],
            halted: None,
            operations: 0,
            events: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            waiters: BTreeMap::new(),
            next: 1,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            monotonic_ns: self.now_ns,
            wall_ms: WALL_START_MS + (self.now_ns / 1_000_000) as i64 + self.wall_offset_ms,
        }
    }

    fn unique(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn at(&mut self, time_ns: u64, event: Event) {
        let order = self.unique();
        self.events.insert((time_ns, order), event);
    }

    pub(super) fn is_dead(&self, process: u32) -> bool {
        self.dead.get(process as usize).copied().unwrap_or(true)
    }

    // Submission ------------------------------------------------------------------------------

    pub(super) fn submit_io(&mut self, io: usize, token: Token, request: Request) {
        let process = self.ios[io].process;
        self.submit(process, Owner::Io { io, token }, request);
    }

    /// The number under which a future asks for the result.
    pub(super) fn submit_task(&mut self, process: u32, request: Request) -> u64 {
        let waiter = self.new_waiter(process);
        self.submit(process, Owner::Task(waiter), request);
        waiter
    }

    pub(super) fn submit_pause(&mut self, process: u32, nanoseconds: u64) -> u64 {
        let waiter = self.new_waiter(process);
        self.at(
            self.now_ns.saturating_add(nanoseconds),
            Event::Timer(waiter),
        );
        waiter
    }

    fn new_waiter(&mut self, process: u32) -> u64 {
        let number = self.unique();
        let waiter = Waiter {
            process,
            result: None,
            waker: None,
        };
        self.waiters.insert(number, waiter);
        number
    }

    pub(super) fn result(&mut self, waiter: u64, waker: &Waker) -> Option<io::Result<Outcome>> {
        let entry = self.waiters.get_mut(&waiter)?;
        if entry.result.is_some() {
            return self.waiters.remove(&waiter)?.result;
        }
        entry.waker = Some(waker.clone());
        None
    }

    fn submit(&mut self, process: u32, owner: Owner, mut request: Request) {
        if self.is_dead(process) {
            return;
        }
        let landed = self.device.sequence();
        if let Request::Flush { covers, .. } | Request::SyncFolder { covers, .. } = &mut request {
            *covers = landed;
        }
        self.operations += 1;
        let number = self.operations;
        let fault = self.choose_fault(number, &request);
        self.device.check_trust(number, process, &request);
        let (position, len) = request.range();
        let device = &self.device;
        let numbers = [1, number, position, len, fault.map_or(99, |f| f as u64)];
        self.trace.record(
            self.now_ns,
            &numbers,
            format_args!(
                "#{number} {} {} at {position} len {len}{}",
                request.name(),
                device.path_of(&request).display(),
                fault.map_or(String::new(), |f| format!(" FAULT {f:?}")),
            ),
        );
        self.device.begin(&request);
        let latency = self.latency(&request, fault);
        let id = self.unique();
        let operation = Operation {
            number,
            process,
            owner,
            request,
            fault,
        };
        self.in_flight.insert(id, operation);
        match fault {
            Some(Fault::Never) => {}
            Some(Fault::PowerCut) => self.halted = Some(Halt::PowerCut),
            Some(Fault::Kill) => self.halted = Some(Halt::Kill(Process(process))),
            _ => self.at(self.now_ns + latency, Event::Land(id)),
        }
    }

    fn latency(&mut self, request: &Request, fault: Option<Fault>) -> u64 {
        let rng = &mut self.device.rng;
        let figures = &self.faults.latency;
        let (low, high) = match request {
            Request::Write { durable: false, .. } => figures.write_ns,
            Request::Write { .. } | Request::Flush { .. } | Request::SyncFolder { .. } => {
                figures.flush_ns
            }
            _ => figures.read_ns,
        };
        let base = rng.between(low, high);
        if fault == Some(Fault::Stall) {
            base + rng.between(figures.stall_ns.0, figures.stall_ns.1)
        } else if rng.chance(figures.tail_per_million) {
            base * figures.tail_factor.max(1)
        } else {
            base
        }
    }

    fn choose_fault(&mut self, number: u64, request: &Request) -> Option<Fault> {
        if let Some(fault) = self.faults.planned.get(&number) {
            return Some(*fault);
        }
        if !self.faults.paths.is_empty() {
            let path = self.device.path_of(request).to_string_lossy().into_owned();
            if !self.faults.paths.iter().any(|part| path.contains(part)) {
                return None;
            }
        }
        self.random_fault(request)
    }

    fn random_fault(&mut self, request: &Request) -> Option<Fault> {
        let faults = &self.faults;
        let rng = &mut self.device.rng;
        let failed = match request {
            Request::Read { .. } => faults.read_error,
            Request::Write { .. } => faults.write_error,
            Request::Flush { .. } | Request::SyncFolder { .. } => faults.flush_error,
            _ => 0,
        };
        if rng.chance(failed) {
            let for_good = rng.chance(faults.error_for_good);
            return Some(if for_good {
                Fault::ErrorForGood
            } else {
                Fault::Error
            });
        }
        let candidates: &[(u32, Fault)] = match request {
            Request::Read { .. } => &[
                (faults.short_read, Fault::Short),
                (faults.flip, Fault::Flip),
            ],
            Request::Write { .. } => &[
                (faults.short_write, Fault::Short),
                (faults.torn_write, Fault::Torn),
                (faults.lost_write, Fault::Lost),
                (faults.misdirected_write, Fault::Misdirected),
                (faults.flip, Fault::Flip),
                (faults.no_space, Fault::NoSpace),
            ],
            Request::Open { .. } => &[(faults.no_space, Fault::NoSpace)],
            _ => &[],
        };
        let slow = [(faults.stall, Fault::Stall), (faults.never, Fault::Never)];
        candidates
            .iter()
            .chain(&slow)
            .find(|(rate, _)| rng.chance(*rate))
            .map(|(_, fault)| *fault)
    }

    // Events ----------------------------------------------------------------------------------

    /// When something happens by itself, if ever.
    pub(super) fn next_event_ns(&self) -> Option<u64> {
        self.events.first_key_value().map(|((time, _), _)| *time)
    }

    /// Lets everything happen that is due.
    pub(super) fn run_due(&mut self) {
        while self.next_event_ns().is_some_and(|time| time <= self.now_ns) {
            if let Some((_, event)) = self.events.pop_first() {
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Land(id) => self.land_operation(id),
            Event::Timer(waiter) => self.wake_waiter(waiter, Ok(Outcome::Done)),
            Event::Connect { connection, port } => self.connection_arrives(connection, port),
            Event::Arrival {
                connection,
                side,
                segment,
            } => self.segment_arrives(connection, side, segment),
        }
    }

    fn land_operation(&mut self, id: u64) {
        let Some(operation) = self.in_flight.remove(&id) else {
            return;
        };
        let Operation {
            number,
            process,
            owner,
            request,
            fault,
        } = operation;
        let landing = match owner {
            Owner::Nobody(landing) => landing,
            _ => Landing::Whole,
        };
        let description = request.description();
        let written = request.written();
        let answer = self
            .device
            .execute(number, process, request, fault, landing);
        let ok = !matches!(answer, Answer::Final(Err(_)) | Answer::FailedRead(..));
        self.trace.record(
            self.now_ns,
            &[2, number, u64::from(ok)],
            format_args!("#{number} {}", if ok { "done" } else { "FAILED" }),
        );
        if let Answer::Rest(request) = answer {
            let latency = self.latency(&request, None);
            let again = Operation {
                number,
                process,
                owner,
                request,
                fault: None,
            };
            self.in_flight.insert(id, again);
            return self.at(self.now_ns + latency, Event::Land(id));
        }
        self.device.end(description);
        if let Some(written) = written.filter(|_| !ok) {
            self.remember_failure(process, owner, written);
        }
        self.deliver(owner, answer);
    }

    /// The process knows of the failure when it takes the answer.
    fn remember_failure(&mut self, process: u32, owner: Owner, written: u32) {
        match owner {
            Owner::Io { io, .. } => self.ios[io].failures.push(written),
            Owner::Task(_) => self.device.distrust(process, written),
            Owner::Nobody(_) => {}
        }
    }

    /// What an io has to reap.
    pub(super) fn reap(&mut self, io: usize, completions: &mut Vec<Done>) {
        let entry = &mut self.ios[io];
        completions.extend(entry.ready.drain(..));
        for written in entry.failures.drain(..) {
            self.device.distrust(entry.process, written);
        }
    }

    fn deliver(&mut self, owner: Owner, answer: Answer) {
        match owner {
            Owner::Nobody(_) => {}
            Owner::Task(waiter) => {
                let result = match answer {
                    Answer::Final(result) => result,
                    Answer::FailedRead(error, _) => Err(error),
                    Answer::Rest(_) => return,
                };
                self.wake_waiter(waiter, result);
            }
            Owner::Io { io, token } => {
                let (result, payload) = match answer {
                    Answer::Final(Ok(Outcome::Buffer(buffer, count))) => {
                        (Ok(count), Payload::Buffer(buffer))
                    }
                    Answer::Final(Ok(Outcome::Number(number))) => {
                        (Ok(number as usize), Payload::None)
                    }
                    Answer::Final(Ok(_)) => (Ok(0), Payload::None),
                    Answer::Final(Err(error)) => (Err(error), Payload::None),
                    Answer::FailedRead(error, buffer) => (Err(error), Payload::Buffer(buffer)),
                    Answer::Rest(_) => return,
                };
                self.complete(io, token, result, false, payload);
            }
        }
    }

    fn wake_waiter(&mut self, waiter: u64, result: io::Result<Outcome>) {
        if let Some(entry) = self.waiters.get_mut(&waiter) {
            entry.result = Some(result);
            if let Some(waker) = entry.waker.take() {
                waker.wake();
            }
        }
    }

    fn complete(
        &mut self,
        io: usize,
        token: Token,
        result: io::Result<usize>,
        more: bool,
        payload: Payload<SimStream, Bytes>,
    ) {
        self.ios[io].ready.push_back(Completion {
            token,
            result,
            more,
            payload,
        });
    }

    // Ends ------------------------------------------------------------------------------------

    /// A process dies. Its operations in flight arrive whole, in part, or not at all.
    pub(super) fn kill(&mut self, process: u32) {
        self.trace
            .record(self.now_ns, &[3, u64::from(process)], "KILL");
        self.bury(process);
        let ids: Vec<u64> = self.in_flight.keys().copied().collect();
        for id in ids {
            self.orphan(id, process);
        }
        self.device.kill(process);
        for connection in self.network.kill(process) {
            self.send_segment(connection, Side::Client, Segment::Reset);
        }
    }

    /// Writes may arrive later, as on a ring; calls for names and lengths are over or not begun.
    fn orphan(&mut self, id: u64, process: u32) {
        let Some(operation) = self.in_flight.get_mut(&id) else {
            return;
        };
        if operation.process != process || matches!(operation.owner, Owner::Nobody(_)) {
            return;
        }
        let write = matches!(operation.request, Request::Write { .. });
        let pending = matches!(
            operation.fault,
            Some(Fault::Never | Fault::PowerCut | Fault::Kill)
        );
        let rng = &mut self.device.rng;
        let landing = match rng.below(4) {
            0 => {
                let description = operation.request.description();
                self.in_flight.remove(&id);
                self.device.end(description);
                return;
            }
            1 if write => Landing::Partly,
            2 => Landing::Cached,
            _ => Landing::Whole,
        };
        operation.owner = Owner::Nobody(landing);
        if !write {
            self.land_operation(id);
        } else if pending {
            let (low, high) = self.faults.latency.flush_ns;
            let delay = rng.between(low, high);
            self.at(self.now_ns + delay, Event::Land(id));
        }
    }

    /// All processes but the world's own die, and the disk forgets what was not durable.
    pub(super) fn power_cut(&mut self) {
        self.trace.record(self.now_ns, &[4], "POWER CUT");
        for process in 1..self.dead.len() as u32 {
            self.bury(process);
        }
        let in_flight = std::mem::take(&mut self.in_flight);
        self.events
            .retain(|_, event| matches!(event, Event::Timer(_)));
        let requests = in_flight.into_values().map(|o| o.request).collect();
        let tear = self.faults.tear_bytes;
        self.device.cut(requests, tear);
        self.network.ports.clear();
        for connection in self.network.connections.values_mut() {
            connection.to_client.reset = true;
            connection.to_server.reset = true;
        }
    }

    fn bury(&mut self, process: u32) {
        self.dead[process as usize] = true;
        self.waiters.retain(|_, waiter| waiter.process != process);
        for io in self.ios.iter_mut().filter(|io| io.process == process) {
            io.ready.clear();
            io.wait = Wait::Forever;
            io.woken.store(false, Ordering::Release);
            io.files.clear();
            io.sockets.clear();
            io.listeners.clear();
        }
        self.halted = None;
    }

    /// Ios that may have a turn now.
    pub(super) fn runnable_ios(&self, out: &mut Vec<usize>) {
        out.extend(
            self.ios
                .iter()
                .enumerate()
                .filter(|(_, io)| !self.is_dead(io.process) && io.runnable(self.now_ns))
                .map(|(index, _)| index),
        );
    }

    /// The earliest deadline of a sleeping io.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        self.ios
            .iter()
            .filter(|io| !self.is_dead(io.process))
            .filter_map(|io| match io.wait {
                Wait::Until(at) => Some(at),
                _ => None,
            })
            .min()
    }

    // Network ---------------------------------------------------------------------------------

    pub(super) fn connect(&mut self, port: u16) -> ConnectionNumber {
        let connection = self.network.connect();
        let delay = self.network_delay();
        self.at(self.now_ns + delay, Event::Connect { connection, port });
        connection
    }

    fn network_delay(&mut self) -> u64 {
        let (low, high) = self.faults.latency.network_ns;
        self.network.rng.between(low, high)
    }

    fn connection_arrives(&mut self, connection: ConnectionNumber, port: u16) {
        let listening = self.network.arrive(connection, port);
        self.trace.record(
            self.now_ns,
            &[5, u64::from(connection), u64::from(listening)],
            format_args!("connection {connection} arrives at {port}: {listening}"),
        );
        self.run_accepts(port);
    }

    /// Hands waiting connections to an armed accept.
    pub(super) fn run_accepts(&mut self, port: u16) {
        let Some((io, listener)) = self.network.ports.get(&port).and_then(|p| p.adopted) else {
            return;
        };
        let armed = self.ios[io]
            .listeners
            .get(listener as usize)
            .and_then(|l| l.as_ref()?.accepting);
        let Some(token) = armed else { return };
        while let Some(stream) = self.network.accept(port) {
            self.complete(io, token, Ok(0), true, Payload::Accepted(stream));
        }
    }

    /// Puts on the way what the window lets through.
    pub(super) fn pump(&mut self, connection: ConnectionNumber, side: Side) {
        loop {
            let Network {
                connections, rng, ..
            } = &mut self.network;
            let Some(entry) = connections.get_mut(&connection) else {
                return;
            };
            let pipe = entry.towards(side);
            if pipe.reset {
                return;
            }
            let Some(piece) = pipe.next_piece(rng) else {
                break;
            };
            if rng.chance(self.faults.reset) {
                self.send_segment(connection, side, Segment::Reset);
                self.send_segment(connection, side.other(), Segment::Reset);
                return;
            }
            self.send_segment(connection, side, piece);
        }
        if side == Side::Client {
            self.finish_send(connection);
        }
    }

    pub(super) fn send_segment(
        &mut self,
        connection: ConnectionNumber,
        side: Side,
        segment: Segment,
    ) {
        let delay = self.network_delay();
        let Some(entry) = self.network.connections.get_mut(&connection) else {
            return;
        };
        let pipe = entry.towards(side);
        let time = pipe.last_arrival_ns.max(self.now_ns + delay);
        pipe.last_arrival_ns = time;
        let event = Event::Arrival {
            connection,
            side,
            segment,
        };
        self.at(time, event);
    }

    /// The accepted end's send is over when all its bytes are on the way.
    fn finish_send(&mut self, connection: ConnectionNumber) {
        let Some((io, socket)) = self.adopted(connection) else {
            return;
        };
        let waiting = self
            .network
            .connections
            .get(&connection)
            .is_some_and(|c| !c.to_client.waiting.is_empty());
        if waiting {
            return;
        }
        if let Some((token, parts, len)) = self.socket(io, socket).and_then(|s| s.sending.take()) {
            self.complete(io, token, Ok(len), false, Payload::Sent(parts));
        }
    }

    fn adopted(&self, connection: ConnectionNumber) -> Option<(usize, u32)> {
        self.network.connections.get(&connection)?.adopted
    }

    pub(super) fn socket(&mut self, io: usize, socket: u32) -> Option<&mut Socket> {
        self.ios[io].sockets.get_mut(socket as usize)?.as_mut()
    }

    fn segment_arrives(&mut self, connection: ConnectionNumber, side: Side, segment: Segment) {
        let Some(entry) = self.network.connections.get_mut(&connection) else {
            return;
        };
        let closed = side == Side::Client && entry.client_closed;
        let pipe = entry.towards(side);
        let (kind, len) = match &segment {
            Segment::Bytes(bytes) => (0, bytes.len()),
            Segment::End => (1, 0),
            Segment::Reset => (2, 0),
        };
        self.trace.record(
            self.now_ns,
            &[6, u64::from(connection), side as u64, kind, len as u64],
            format_args!("connection {connection} to {side:?}: {len} bytes, kind {kind}"),
        );
        match segment {
            Segment::Bytes(bytes) => {
                pipe.travelling -= bytes.len();
                if closed {
                    return self.send_segment(connection, Side::Server, Segment::Reset);
                }
                pipe.arrived.extend(bytes.iter());
            }
            Segment::End => pipe.ended = true,
            Segment::Reset => {
                pipe.reset = true;
                pipe.arrived.clear();
                entry.towards(side.other()).reset = true;
            }
        }
        if side == Side::Server {
            self.offer(connection);
        }
    }

    /// Gives arrived bytes, the end or the reset to an armed receive of the accepted end.
    pub(super) fn offer(&mut self, connection: ConnectionNumber) {
        let Some((io, socket)) = self.adopted(connection) else {
            return;
        };
        while let Some(token) = self.socket(io, socket).and_then(|s| s.receiving) {
            let Some(done) = self.next_received(connection, token) else {
                break;
            };
            if !done.more
                && let Some(socket) = self.socket(io, socket)
            {
                socket.receiving = None;
            }
            self.ios[io].ready.push_back(done);
        }
        let reset = |c: &super::net::Connection| c.to_server.reset;
        if self.network.connections.get(&connection).is_some_and(reset)
            && let Some((token, mut parts, _)) =
                self.socket(io, socket).and_then(|s| s.sending.take())
        {
            parts.clear();
            let error = Err(super::device::error(ECONNRESET));
            self.complete(io, token, error, false, Payload::Sent(parts));
        }
        self.pump(connection, Side::Server);
    }

    fn next_received(&mut self, connection: ConnectionNumber, token: Token) -> Option<Done> {
        let Network {
            connections, rng, ..
        } = &mut self.network;
        let pipe = connections.get_mut(&connection)?.towards(Side::Server);
        let (result, payload) = if pipe.reset {
            (Err(super::device::error(ECONNRESET)), Payload::None)
        } else if !pipe.arrived.is_empty() {
            if rng.chance(self.faults.no_buffers) {
                (Err(super::device::error(ENOBUFS)), Payload::None)
            } else {
                let most = pipe.arrived.len() as u64;
                let count = if rng.chance(500_000) {
                    rng.between(1, most)
                } else {
                    most
                };
                let bytes: Bytes = pipe.arrived.drain(..count as usize).collect();
                (Ok(bytes.len()), Payload::Received(bytes))
            }
        } else if pipe.ended {
            (Ok(0), Payload::Received(Bytes::new()))
        } else {
            return None;
        };
        let more = matches!(result, Ok(count) if count > 0);
        Some(Completion {
            token,
            result,
            more,
            payload,
        })
    }

    /// Ends an armed receive without an error of the connection.
    pub(super) fn stop_receiving(&mut self, io: usize, socket: u32) {
        if let Some(token) = self.socket(io, socket).and_then(|s| s.receiving.take()) {
            let error = Err(super::device::error(ECANCELED));
            self.complete(io, token, error, false, Payload::None);
        }
    }

    pub(super) fn close_socket(&mut self, io: usize, socket: u32) {
        self.stop_receiving(io, socket);
        if let Some((token, mut parts, _)) = self.socket(io, socket).and_then(|s| s.sending.take())
        {
            parts.clear();
            let error = Err(super::device::error(ECANCELED));
            self.complete(io, token, error, false, Payload::Sent(parts));
        }
        let Some(closed) = self.ios[io]
            .sockets
            .get_mut(socket as usize)
            .and_then(Option::take)
        else {
            return;
        };
        let number = closed.stream.connection;
        let Some(connection) = self.network.connections.get_mut(&number) else {
            return;
        };
        connection.adopted = None;
        if connection.to_server.arrived.is_empty() {
            connection.to_client.waiting.clear();
            connection.to_client.ending = true;
            self.pump(number, Side::Client);
        } else {
            self.send_segment(number, Side::Client, Segment::Reset);
        }
    }
}

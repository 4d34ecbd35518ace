//! The service of a shard thread: sockets on one side, the engine's shard on the other.
//!
//! ```text
//! completion: bytes in -> frames -> dispatch -> handler -> engine, or a letter to another shard
//! turn:       letters -> events of the engine -> timers -> engine's turn -> events -> answers out
//! ```
//! A reader who knows [`ShardService::completion`] and [`ShardService::turn`] knows the server.

use bytes::Bytes;
use ringmq_engine::{Event, ShardPace};
use ringmq_protocol::code::response;
use ringmq_protocol::command::send::SendRequest;
use ringmq_protocol::frame::{self, Split};
use ringmq_ring::turn::{Pace, Service};
use ringmq_ring::{Completion, Io, Moment, Payload};

use crate::connection::{self, CloseReason, ConnectionId, Flow, Operation, Port};
use crate::context::{Context, Request};
use crate::desk::{Reply, WholeReply};
use crate::dispatch;
use crate::doors::Doors;
use crate::front::{Front, HOME};
use crate::handlers;
use crate::handlers::names::NameService;
use crate::limits;
use crate::link::{Command, Notice, ShardLink};
use crate::listener::Listeners;
use crate::metrics::{BacklogWalk, Recorder, ShardState};
use crate::mux::{Letter, Mux, Origin};
use crate::reply::ReplyTo;
use crate::sends::Sends;
use crate::shard::{BrokerShard, Waiter};

/// See the module.
pub struct ShardService<I: Io> {
    front: Front<I>,
    broker: Option<BrokerShard<I>>,
    names: Option<NameService>,
    listeners: Listeners<I>,
    link: ShardLink<I::Waker>,
    stage: Stage,
    /// What a frame was found guilty of while its connection's bytes were being cut.
    fault: Option<CloseReason>,
    overdue: Vec<(ConnectionId, CloseReason)>,
    walk: BacklogWalk,
}

/// Where a service is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Not one turn yet.
    New,
    /// Tables are being made complete.
    Starting,
    /// Serving.
    Open,
    /// No more sends; the engine finishes.
    Stopping,
    /// The engine is done; requests are still refused properly.
    Stopped,
    /// Last answers leave until this time, then the loop ends.
    Leaving(u64),
    /// A write failed: answers of unknown outcome leave, then the loop ends.
    Failed(u64),
}

impl<I: Io> ShardService<I> {
    /// A service with its letters and its link to the control plane. `broker` is what a broker has on
    /// every shard, `names` the name server on the home shard of a process that is one.
    pub fn new(
        mux: Mux<I, crate::tables::Tables>,
        broker: Option<BrokerShard<I>>,
        names: Option<NameService>,
        link: ShardLink<I::Waker>,
    ) -> Self {
        let listeners = Listeners::new(mux.shards());
        Self {
            front: Front::new(mux),
            broker,
            names,
            listeners,
            link,
            stage: Stage::New,
            fault: None,
            overdue: Vec::new(),
            walk: BacklogWalk::default(),
        }
    }

    /// Gives the home shard a bound and listening socket; accepted from once the port's service is
    /// ready.
    pub fn listen(&mut self, listener: I::Listener, port: Port) {
        self.listeners.add(listener, port);
    }

    /// Counts in the metrics of the process instead of in its own.
    #[must_use]
    pub fn counting_in(mut self, metrics: Recorder) -> Self {
        self.front.metrics = metrics;
        self
    }

    /// Decides who may come in; the defaults hold until then.
    pub fn set_doors(&mut self, doors: Doors) {
        self.front.doors = doors;
        self.front
            .connections
            .set_first_frame_ns(doors.first_frame_ns);
    }

    /// Connections of this thread.
    pub fn connections(&self) -> usize {
        self.front.connections.len()
    }

    fn is_home(&self) -> bool {
        self.front.me() == HOME
    }

    fn context<'s>(&'s mut self, io: &'s mut I) -> Option<Context<'s, I>> {
        let broker = self.broker.as_mut()?;
        let front = &mut self.front;
        Some(Context { io, front, broker })
    }
}

/// Bytes in.
impl<I: Io> ShardService<I> {
    fn socket(&mut self, io: &mut I, completion: Completion<I::Stream, I::Received>) {
        let me = self.front.me();
        let Some((operation, id)) = ConnectionId::from_token(me, completion.token) else {
            return;
        };
        match (operation, completion.payload) {
            (Operation::Accept, payload) => {
                if let Payload::Accepted(stream) = payload {
                    self.accepted(io, id.slot(), stream);
                }
                if !completion.more {
                    self.listeners.ended(id.slot(), self.front.now.monotonic_ns);
                }
            }
            (Operation::Receive, payload) => {
                let bytes = completion.result.map(|_| payload);
                self.received(io, id, bytes, completion.more);
            }
            (Operation::Send, payload) => {
                let Payload::Sent(parts) = payload else {
                    return;
                };
                let (ok, now_ns) = (completion.result.is_ok(), self.front.now.monotonic_ns);
                if !self.front.connections.sent(io, id, parts, ok, now_ns) {
                    self.close(io, id, CloseReason::Broken);
                }
            }
        }
    }

    fn accepted(&mut self, io: &mut I, listener: usize, stream: I::Stream) {
        if self.listeners.load() >= self.front.doors.connections {
            return self.front.turned_away(CloseReason::Crowded);
        }
        let Some((port, shard)) = self.listeners.assign(listener) else {
            return;
        };
        if shard == self.front.me() {
            if !self.front.open(io, stream, port) {
                self.listeners.released(shard);
            }
        } else {
            self.front
                .mux
                .write(shard, Letter::Connection { stream, port });
        }
    }

    fn received(
        &mut self,
        io: &mut I,
        id: ConnectionId,
        received: std::io::Result<Payload<I::Stream, I::Received>>,
        more: bool,
    ) {
        let Some(connection) = self.front.connections.get_mut(id) else {
            return;
        };
        if !more {
            connection.receiving = false;
            connection.stopping = false;
        }
        match received {
            Ok(Payload::Received(bytes)) if !bytes.as_ref().is_empty() => {
                self.feed(io, id, bytes.as_ref());
            }
            Ok(_) => return self.close(io, id, CloseReason::Peer),
            Err(error) if is_transient(&error) => {}
            Err(_) => return self.close(io, id, CloseReason::Broken),
        }
        self.front.connections.receive(io, id);
    }

    fn feed(&mut self, io: &mut I, id: ConnectionId, bytes: &[u8]) {
        let now_ns = self.front.now.monotonic_ns;
        let Some((mut inbound, is_paused)) = self.front.connections.lend_inbound(id) else {
            return;
        };
        let outcome = if is_paused {
            inbound.hold(bytes, now_ns);
            Ok(Flow::Continue)
        } else {
            inbound.feed(bytes, now_ns, &mut |frame| self.frame(io, id, frame))
        };
        self.fed(io, id, inbound, outcome);
    }

    /// Goes on with connections that were held back and have room again.
    fn resume(&mut self, io: &mut I) {
        let mut index = 0;
        while self.front.connections.any_paused()
            && !self.front.mux.is_backed_up()
            && let Some(id) = self.front.connections.resumable(&mut index)
            && let Some((mut inbound, _)) = self.front.connections.lend_inbound(id)
        {
            let now_ns = self.front.now.monotonic_ns;
            let outcome = inbound.resume(now_ns, &mut |frame| self.frame(io, id, frame));
            self.fed(io, id, inbound, outcome);
            self.front.connections.receive(io, id);
        }
    }

    fn fed(
        &mut self,
        io: &mut I,
        id: ConnectionId,
        inbound: connection::Inbound,
        outcome: Result<Flow, CloseReason>,
    ) {
        let now_ns = self.front.now.monotonic_ns;
        let fits = self.front.connections.return_inbound(id, inbound, now_ns);
        let outcome = if fits {
            outcome
        } else {
            Err(CloseReason::Crowded)
        };
        let outcome = self.fault.take().map_or(outcome, Err);
        match outcome {
            Ok(Flow::Continue | Flow::Stop) => {}
            Ok(Flow::Pause) => self.front.connections.pause(io, id),
            Err(reason) => self.close(io, id, reason),
        }
    }

    fn frame(&mut self, io: &mut I, id: ConnectionId, bytes: &[u8]) -> Flow {
        let Some(connection) = self.front.connections.get_mut(id) else {
            return Flow::Stop;
        };
        let origin = Origin {
            connection: id,
            peer: connection.peer,
            port: connection.port,
            charge: bytes.len() + limits::REQUEST_OVERHEAD_BYTES,
            received_ns: self.front.now.monotonic_ns,
        };
        connection.charged += origin.charge;
        connection.first_frame_due_ns = None;
        if let Err(reason) = self.handle(io, origin, bytes, true) {
            self.fault = Some(reason);
            return Flow::Stop;
        }
        let is_full = self.front.connections.account(id);
        if is_full || self.front.mux.is_backed_up() {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    /// Decodes a whole frame and hands the request to its handler. `is_new`: it comes from its
    /// socket, not from another shard or from waiting for a change of the tables.
    fn handle(
        &mut self,
        io: &mut I,
        origin: Origin,
        bytes: &[u8],
        is_new: bool,
    ) -> Result<(), CloseReason> {
        let frame = match frame::split(bytes, limits::FRAME_BYTES_MAX) {
            Ok(Split::Frame(frame)) => frame,
            Ok(Split::Incomplete { .. }) | Err(_) => return Err(CloseReason::FrameLength),
        };
        let mut send = SendRequest::default();
        let decoded = SendRequest::decode_header(frame.kind, frame.header, &mut send);
        let (header, is_send) = decoded.map_err(|_| CloseReason::Header)?;
        let request = Request {
            to: ReplyTo::new(origin, &header),
            header: &header,
            send: is_send.then_some(&send),
            body: frame.body,
            frame: bytes,
        };
        if header.is_response() {
            match self.context(io) {
                Some(mut context) if origin.port == Port::Broker => {
                    context.client_answered(&request);
                }
                _ => self.front.settle(origin),
            }
            return Ok(());
        }
        self.front.metrics.requested(header.code, is_new);
        match origin.port {
            Port::Broker => {
                if let Some(mut context) = self.context(io) {
                    dispatch::broker(&mut context, &request);
                }
            }
            Port::NameServer => {
                handlers::names::handle(&mut self.front, self.names.as_mut(), &request);
            }
        }
        Ok(())
    }
}

/// Letters, events and timers.
impl<I: Io> ShardService<I> {
    /// A shard whose engine cannot append yet leaves its letters: that the home shard's tables are
    /// not acknowledged keeps the ports closed.
    fn letters(&mut self, io: &mut I) {
        if self.stage <= Stage::Starting && !self.is_engine_ready() {
            return;
        }
        let any = self.front.mux.begin();
        if any && let Some(mut context) = self.context(io) {
            context.pass_fences();
        }
        while let Some((shard, letter)) = self.front.mux.next_letter() {
            self.letter(io, shard, letter);
            self.front.mux.acknowledge(shard);
        }
    }

    fn letter(&mut self, io: &mut I, shard: u8, letter: Letter<I::Stream, crate::tables::Tables>) {
        match letter {
            Letter::Requests(requests) => {
                for (origin, frame) in requests.iter() {
                    // It was decoded before it was forwarded, so it has no fault.
                    let _decoded_before = self.handle(io, origin, frame, false);
                }
            }
            Letter::Answers(answers) => {
                for (id, charge, parts) in answers.iter() {
                    if let Some(outbound) = self.front.connections.answer(id, charge) {
                        parts.iter().for_each(|part| outbound.push(part.clone()));
                    }
                }
            }
            Letter::Connection { stream, port } => {
                self.front.open(io, stream, port);
            }
            Letter::Closed(id) => self.forget(io, id),
            Letter::Released(address) => {
                self.listeners.released(shard);
                address
                    .into_iter()
                    .for_each(|ip| self.front.guests.leave(ip));
            }
            Letter::Entered(id, address) => {
                if !self.front.guests.enter(address, &self.front.doors) {
                    self.front
                        .mux
                        .write(shard, Letter::Close(id, CloseReason::TooMany));
                }
            }
            Letter::Close(id, reason) => self.close(io, id, reason),
            Letter::Tables(tables) => {
                if let Some(broker) = &mut self.broker {
                    broker.take_tables(tables);
                }
            }
            Letter::Ask(round, question) => {
                if let Some(mut context) = self.context(io) {
                    context.take_question(shard, round, question);
                }
            }
            Letter::Told(round, found) => {
                if let Some(mut context) = self.context(io) {
                    context.take_found(shard, round, found);
                }
            }
            Letter::Unask(round) => {
                if let Some(mut context) = self.context(io) {
                    context.drop_task(shard, round);
                }
            }
        }
    }

    /// Closes a connection of this shard; a name from another shard is sent there.
    fn close(&mut self, io: &mut I, id: ConnectionId, reason: CloseReason) {
        if id.shard() != self.front.me() {
            let shard = id.shard();
            return self.front.mux.write(shard, Letter::Close(id, reason));
        }
        let Some(is_known) = self.front.close(io, id, reason) else {
            return;
        };
        if is_known {
            self.forget(io, id);
        }
        if self.is_home() {
            self.listeners.released(HOME);
        }
    }

    /// A connection is gone: what is kept for it here goes too.
    fn forget(&mut self, io: &mut I, id: ConnectionId) {
        let is_home = self.is_home();
        if let Some(mut context) = self.context(io) {
            for (ticket, _) in context.broker.waiters.take_held(id) {
                context.broker.engine.cancel(ticket);
            }
            context.drop_rounds(id);
            if is_home {
                context.drop_calls(id);
                context.client_gone(id);
            }
        }
        if let Some(names) = &mut self.names {
            names.connection_closed(id);
        }
    }

    fn events(&mut self, io: &mut I) {
        let Some(mut context) = self.context(io) else {
            return;
        };
        while let Some(event) = context.broker.engine.next_event() {
            handle_event(&mut context, event);
        }
    }

    fn gathers(&mut self, io: &mut I) {
        if let Some(mut context) = self.context(io) {
            context.step_gathers();
        }
    }

    /// Requests that waited for a change of the tables.
    fn run_parked(&mut self, io: &mut I) {
        while let Some(broker) = &mut self.broker
            && let Some(home) = &mut broker.home
            && let Some((origin, frame)) = home.next_runnable()
        {
            let frame: Bytes = frame;
            // It was decoded before it was parked, so it has no fault.
            let _decoded_before = self.handle(io, origin, &frame, false);
        }
    }

    fn timers(&mut self, io: &mut I) {
        let now_ns = self.front.now.monotonic_ns;
        let mut overdue = std::mem::take(&mut self.overdue);
        self.front.connections.sweep(now_ns, &mut overdue);
        if let Some(mut context) = self.context(io) {
            while handlers::send::time_out(&mut context, now_ns) {}
            context.expire_calls();
            let silent = context.expire_home().into_iter();
            overdue.extend(silent.map(|id| (id, CloseReason::Expired)));
        }
        if let Some(names) = &mut self.names {
            let silent = names.expire(now_ns).into_iter();
            overdue.extend(silent.map(|id| (id, CloseReason::Expired)));
        }
        for (id, reason) in overdue.drain(..) {
            self.close(io, id, reason);
        }
        self.overdue = overdue;
        self.listeners.rearm(io, now_ns);
    }
}

/// From start to end.
impl<I: Io> ShardService<I> {
    fn commands(&mut self, io: &mut I) {
        while let Some(command) = self.link.command() {
            match command {
                Command::Stop => {
                    self.listeners.close(io);
                    if let Some(broker) = &mut self.broker {
                        broker.engine.stop();
                    }
                    self.stage = Stage::Stopping;
                }
                Command::Exit => {
                    let until_ns = self.front.now.monotonic_ns + limits::LAST_ANSWERS_NS;
                    self.stage = Stage::Leaving(until_ns);
                }
                Command::Reply(reply) => self.replied(io, *reply),
            }
        }
    }

    /// The control plane has answered.
    fn replied(&mut self, io: &mut I, reply: Reply) {
        match reply {
            Reply::Whole(to, whole) => self.front.answer_whole(&to, &whole),
            Reply::Rates(rates) => self.front.rates = rates,
            Reply::BrokerSettings(to, settings) => {
                if let Some(mut context) = self.context(io) {
                    context.take_settings(to, settings);
                }
            }
            Reply::NameServerSettings(to, settings) => {
                if let Some(names) = &mut self.names {
                    names.take_settings(settings);
                }
                self.front.answer_whole(&to, &WholeReply::default());
            }
        }
    }

    fn tell_questions(&mut self) {
        while self.link.is_abandoned()
            && let Some(question) = self.front.next_question()
        {
            let remark = "the control plane of this process is gone";
            let refusal = WholeReply::refusal(response::SERVICE_NOT_AVAILABLE, remark);
            self.front.answer_whole(&question.to, &refusal);
        }
        while self.link.has_room_for_questions()
            && let Some(question) = self.front.next_question()
        {
            self.link.tell(Notice::Ask(question));
        }
    }

    /// One step from stage to stage, after the engine's turn.
    fn advance(&mut self, io: &mut I, engine: ShardPace) {
        if engine.failed && !matches!(self.stage, Stage::Failed(_)) {
            self.link.tell(Notice::Failed);
            self.stage = Stage::Failed(self.front.now.monotonic_ns + limits::LAST_ANSWERS_NS);
        }
        match self.stage {
            Stage::New => self.begin(io),
            Stage::Starting => self.try_open(io),
            Stage::Stopping
                if (self.broker.is_none() || engine.stopped) && self.link.tell(Notice::Stopped) =>
            {
                self.stage = Stage::Stopped;
            }
            _ => {}
        }
        self.tell_topics();
        self.tell_names();
        self.tell_questions();
    }

    fn begin(&mut self, io: &mut I) {
        self.front.mux.publish(io.waker());
        self.link.tell(Notice::Started(io.waker()));
        self.stage = Stage::Starting;
        if self.is_home() {
            self.open_port(io, Port::NameServer);
        }
        self.try_open(io);
    }

    fn is_engine_ready(&self) -> bool {
        self.broker.as_ref().is_none_or(|b| b.engine.is_ready())
    }

    /// The broker's ports open when every shard has the tables, system topics included.
    fn try_open(&mut self, io: &mut I) {
        let are_tables_ready = match self.context(io) {
            Some(mut context) if context.front.me() == HOME => context.make_ready(),
            _ => true,
        };
        if !are_tables_ready || !self.is_engine_ready() || !self.link.has_room() {
            return;
        }
        if self.is_home() {
            self.open_port(io, Port::Broker);
            self.tell_topics();
            self.link.tell(Notice::Ready);
        }
        self.stage = Stage::Open;
    }

    fn open_port(&mut self, io: &mut I, port: Port) {
        if let Err(error) = self.listeners.open(io, port) {
            tracing::error!(%error, ?port, "cannot accept connections: is the ring's file table full?");
            self.link.tell(Notice::Failed);
        }
    }

    fn tell_topics(&mut self) {
        if self.link.has_room()
            && let Some(home) = self.broker.as_mut().and_then(|b| b.home.as_mut())
            && home.take_topics_changed()
        {
            let topics = Notice::Topics(home.topics.shared(), home.topics.data_version());
            self.link.tell(topics);
        }
    }

    /// What the name server has for the control plane: a file to write, brokers to tell.
    fn tell_names(&mut self) {
        let Some(names) = &mut self.names else {
            return;
        };
        if self.link.has_room()
            && let Some(file) = names.take_kv()
        {
            self.link.tell(Notice::Kv(file));
        }
        if self.link.has_room() {
            let changes = names.take_min_broker_changes();
            if !changes.is_empty() {
                self.link.tell(Notice::MinBrokers(changes));
            }
        }
    }

    fn is_over(&mut self, io: &mut I) -> bool {
        let (Stage::Leaving(until_ns) | Stage::Failed(until_ns)) = self.stage else {
            return false;
        };
        let is_quiet = self.front.connections.is_sent() && !self.front.mux.has_work();
        if !is_quiet && self.front.now.monotonic_ns < until_ns {
            return false;
        }
        for id in self.front.connections.ids() {
            self.front.close(io, id, CloseReason::Stopping);
        }
        true
    }

    fn deadline_ns(&mut self, engine: ShardPace) -> Option<u64> {
        let now_ns = self.front.now.monotonic_ns;
        let stage = match self.stage {
            Stage::Leaving(until_ns) | Stage::Failed(until_ns) => Some(until_ns),
            Stage::Starting => Some(now_ns + limits::START_RETRY_NS),
            _ => None,
        };
        let mut due = [
            engine.deadline_ns,
            stage,
            self.front.connections.sweep_due_ns(),
            self.listeners.rearm_due_ns(),
            self.names.as_ref().map(NameService::expire_due_ns),
            None,
            None,
            None,
            None,
            self.front.connections.has_resumable().then_some(now_ns),
            self.front.metrics.state_due_ns(),
            // The control plane takes from a full ring without telling.
            self.front
                .has_questions()
                .then_some(now_ns + limits::START_RETRY_NS),
            self.front.others_due_ns(),
            self.broker
                .as_ref()
                .and_then(|_| self.walk.due_ns(now_ns, self.front.metrics.frames())),
        ];
        if let Some(broker) = &mut self.broker {
            due[5] = broker.sends.next_due_ns();
            due[7] = broker.gathers.due_ns(now_ns);
            due[8] = broker.calls.due_ns();
            if let Some(home) = &broker.home {
                let is_runnable = home.has_runnable();
                due[6] = Some(if is_runnable {
                    now_ns
                } else {
                    home.expire_due_ns()
                });
            }
        }
        due.into_iter().flatten().min()
    }
}

/// What is counted.
impl<I: Io> ShardService<I> {
    /// Last of a turn: the answers are with the ring.
    fn measure(&mut self, io: &mut I) {
        let now_ns = self.front.now.monotonic_ns;
        if self.front.metrics.end_turn() {
            // The ring's own time is that of the turn's beginning.
            let glance = io.glance();
            let done_ns = glance.map_or(now_ns, |glance| glance.monotonic_ns);
            self.front.metrics.answered(done_ns);
        }
        if self.front.metrics.is_state_due(now_ns) {
            self.show_state();
        }
        if let Some(broker) = &self.broker {
            let frames = self.front.metrics.frames();
            if let Some(backlog) = self.walk.step(&broker.engine, now_ns, frames) {
                self.front.metrics.show_backlog(backlog);
            }
        }
    }

    fn show_state(&mut self) {
        self.front.tell_others();
        let connections = &self.front.connections;
        let broker = self.broker.as_ref();
        let state = ShardState {
            read_ns: self.front.now.monotonic_ns,
            connections: connections.len(),
            paused: connections.paused(),
            in_flight_bytes: connections.in_flight_bytes(),
            held_bytes: connections.held_bytes(),
            waiting: broker.map_or(0, |broker| broker.waiters.len()),
            engine: broker.map(|broker| broker.engine.status()),
            tables: broker
                .filter(|broker| broker.home.is_some())
                .map(|broker| broker.tables.clone()),
            names: self.names.as_ref().map(NameService::state),
        };
        self.front.metrics.show_state(state, |topic, name| {
            broker.is_some_and(|broker| broker.tables.knows(topic, name))
        });
    }
}

impl<I: Io> Service<I> for ShardService<I> {
    fn completion(&mut self, io: &mut I, completion: Completion<I::Stream, I::Received>) {
        self.front.now = io.now();
        if let Some(broker) = &mut self.broker {
            broker.engine.observe(self.front.now);
        }
        match completion.token >> 56 {
            0 => {
                if let Some(broker) = &mut self.broker {
                    broker.engine.completion(io, completion);
                }
            }
            connection::TOKEN_OWNER => self.socket(io, completion),
            _ => {}
        }
    }

    fn turn(&mut self, io: &mut I, now: Moment) -> Pace {
        self.front.now = now;
        if let Some(broker) = &mut self.broker {
            // What letters and parked requests append gets this turn's time too.
            broker.engine.observe(now);
        }
        self.letters(io);
        self.commands(io);
        self.events(io);
        self.timers(io);
        self.run_parked(io);
        self.gathers(io);
        self.resume(io);
        let engine = match &mut self.broker {
            Some(broker) => broker.engine.turn(io, now),
            None => ShardPace::default(),
        };
        self.events(io);
        self.advance(io, engine);
        self.front.connections.flush(io, now.monotonic_ns);
        self.front.mux.flush(io);
        self.measure(io);
        Pace {
            in_flight: engine.in_flight || self.front.mux.has_work(),
            deadline_ns: self.deadline_ns(engine),
            stop: self.is_over(io),
        }
    }
}

fn handle_event<I: Io>(context: &mut Context<'_, I>, event: Event) {
    match event {
        Event::Stored { ticket } if Sends::owns(ticket) => {
            handlers::send::stored(context, ticket);
        }
        Event::Failed { ticket } if Sends::owns(ticket) => {
            handlers::send::failed(context, ticket);
        }
        Event::Stored { ticket } => {
            if let Some(Waiter::Change(change)) = context.broker.waiters.take(ticket) {
                context.change_stored(change);
            }
        }
        Event::Failed { ticket } => {
            if let Some(Waiter::Change(change)) = context.broker.waiters.take(ticket) {
                context.change_failed(change);
            }
        }
        Event::Pulled { ticket, result } => match context.broker.waiters.take(ticket) {
            Some(Waiter::Pull(pull)) => handlers::pull::answer_waited(context, &pull, result),
            Some(Waiter::Probe(probe)) => context.probe_pulled(&probe, &result),
            Some(Waiter::Entries(entries)) => {
                handlers::entries::pulled(context, entries, &result);
            }
            _ => {}
        },
        Event::Viewed { ticket, view } => match context.broker.waiters.take(ticket) {
            Some(Waiter::View { to, offset }) => {
                handlers::query::answer_view(context, &to, offset, view);
            }
            Some(Waiter::Probe(probe)) => context.probe_viewed(&probe, view),
            _ => {}
        },
        Event::OffsetFound { ticket, offset } => match context.broker.waiters.take(ticket) {
            Some(Waiter::OffsetByTime(to)) => {
                handlers::offset::answer_offset(context, &to, offset);
            }
            Some(Waiter::Probe(probe)) => context.probe_offset(&probe, offset),
            _ => {}
        },
    }
}

/// Errors after which a receive is simply armed again: the ring ran out of receive buffers, or we
/// stopped it ourselves.
fn is_transient(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::NOBUFS, Errno::CANCELED, Errno::INTR, Errno::AGAIN]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

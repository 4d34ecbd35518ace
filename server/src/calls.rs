//! Requests of the broker's own that a client has to answer (307, 309, 221), on behalf of an
//! administrator who waits.
//!
//! ```text
//! admin ── 307 ──> home shard ── 307, a number of ours ──> the client's connection
//!       <─ answer ──      <── the client's answer, forwarded by the shard of its connection
//! ```
//! A call ends with the answer, with its time, or with either connection. The table has a bound.

use std::collections::BTreeMap;

use ringmq_protocol::code::response;
use ringmq_protocol::header::{ExtWriter, Header};
use ringmq_ring::Io;

use crate::connection::ConnectionId;
use crate::context::{Context, Handled, Request};
use crate::front::HOME;
use crate::limits;
use crate::reply::{self, Refusal, ReplyTo};

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The client has answered.
    Answer(&'a Header<'a>, &'a [u8]),
    /// It has not, in time.
    Late,
    /// Its connection is gone.
    Gone,
}

/// What follows a call.
type Then<I> = Box<dyn FnOnce(&mut Context<'_, I>, &ReplyTo, Outcome<'_>) -> Handled + Send>;

/// Calls that wait, on the home shard.
pub struct Calls<I: Io> {
    by_number: BTreeMap<i32, Call<I>>,
    next: i32,
}

struct Call<I: Io> {
    client: ConnectionId,
    to: ReplyTo,
    due_ns: u64,
    then: Then<I>,
}

/// What to ask a client.
#[derive(Debug)]
pub struct Asking<'a, F> {
    /// Request code.
    pub code: i32,
    /// Writes the fields.
    pub ext: F,
    /// The body; may be empty.
    pub body: &'a [u8],
    /// How long the client may take.
    pub timeout_ns: u64,
}

impl<I: Io> Default for Calls<I> {
    fn default() -> Self {
        Self {
            by_number: BTreeMap::new(),
            next: 1,
        }
    }
}

impl<I: Io> Calls<I> {
    /// When the first call has taken too long.
    pub fn due_ns(&self) -> Option<u64> {
        self.by_number.values().map(|call| call.due_ns).min()
    }

    fn number(&mut self) -> i32 {
        while self.by_number.contains_key(&self.next) {
            self.next = self.next.checked_add(1).unwrap_or(1);
        }
        let number = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        number
    }
}

impl<I: Io> Context<'_, I> {
    /// Asks a client; `then` answers the administrator's request.
    pub fn call(
        &mut self,
        to: &ReplyTo,
        client: ConnectionId,
        asking: Asking<'_, impl FnOnce(&mut ExtWriter<'_>)>,
        then: impl FnOnce(&mut Context<'_, I>, &ReplyTo, Outcome<'_>) -> Handled + Send + 'static,
    ) -> Handled {
        let calls = &mut self.broker.calls;
        if calls.by_number.len() >= limits::CLIENT_CALLS_MAX {
            let remark = "too many requests to clients are under way: ask again in a moment";
            return Err(Refusal::new(response::SYSTEM_BUSY, remark));
        }
        let number = calls.number();
        let call = Call {
            client,
            to: *to,
            due_ns: self.front.now.monotonic_ns + asking.timeout_ns,
            then: Box::new(then),
        };
        calls.by_number.insert(number, call);
        self.front.is_known_to(to.origin.connection, HOME);
        self.front.push(client, |out| {
            reply::call(out, asking.code, number, asking.body, asking.ext);
        });
        Ok(())
    }

    /// A frame that answers something: the call is found at home.
    pub fn client_answered(&mut self, request: &Request<'_>) {
        if !self.is_home(request) {
            return;
        }
        let origin = request.to.origin;
        self.front.settle(origin);
        let number = request.header.opaque;
        let calls = &mut self.broker.calls.by_number;
        let is_its = |call: &Call<I>| call.client == origin.connection;
        if calls.get(&number).is_some_and(is_its) {
            self.end_call(number, Outcome::Answer(request.header, request.body));
        }
    }

    /// Ends calls that have taken too long.
    pub fn expire_calls(&mut self) {
        let now_ns = self.front.now.monotonic_ns;
        self.end_calls(Outcome::Late, |call| call.due_ns <= now_ns);
    }

    /// A connection is gone: calls to it fail, and nobody waits for those it wanted.
    pub fn drop_calls(&mut self, connection: ConnectionId) {
        let calls = &mut self.broker.calls.by_number;
        calls.retain(|_, call| call.to.origin.connection != connection);
        self.end_calls(Outcome::Gone, |call| call.client == connection);
    }

    fn end_calls(&mut self, outcome: Outcome<'_>, is_over: impl Fn(&Call<I>) -> bool) {
        let calls = self.broker.calls.by_number.iter();
        let over = calls.filter(|(_, call)| is_over(call)).map(|(&n, _)| n);
        for number in over.collect::<Vec<_>>() {
            self.end_call(number, outcome);
        }
    }

    fn end_call(&mut self, number: i32, outcome: Outcome<'_>) {
        let Some(Call { to, then, .. }) = self.broker.calls.by_number.remove(&number) else {
            return;
        };
        if let Err(refusal) = then(self, &to, outcome) {
            self.refuse(&to, &refusal);
        }
    }
}

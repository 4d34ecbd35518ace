//! What a handler works with: the request, the broker's state on this shard, and the way back.

use ringmq_engine::placement::shard_of;
use ringmq_protocol::command::send::SendRequest;
use ringmq_protocol::header::Header;
use ringmq_ring::Io;

use crate::front::{Front, HOME};
use crate::reply::{Refusal, ReplyTo};
use crate::shard::BrokerShard;

/// A decoded request. `frame` is the whole of it as received, for the shard that owns what it names.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whom to answer.
    pub to: ReplyTo,
    /// The header.
    pub header: &'a Header<'a>,
    /// The fields of a send, decoded in the same pass as its header.
    pub send: Option<&'a SendRequest<'a>>,
    /// The body; an absent one is empty.
    pub body: &'a [u8],
    /// The whole frame.
    pub frame: &'a [u8],
}

/// What came of a request: it is answered or will be, or it is refused.
pub type Handled = Result<(), Refusal>;

/// See the module.
pub struct Context<'s, I: Io> {
    /// The ring.
    pub io: &'s mut I,
    /// Connections and letters.
    pub front: &'s mut Front<I>,
    /// Engine, tables, waiters; on the home shard the registry too.
    pub broker: &'s mut BrokerShard<I>,
}

impl<I: Io> Context<'_, I> {
    /// Whether `shard` is this one; otherwise the request is on its way there and nothing is left
    /// to do.
    pub fn is_here(&mut self, shard: u8, request: &Request<'_>) -> bool {
        if shard == self.front.me() {
            return true;
        }
        self.front.forward(shard, request.to.origin, request.frame);
        false
    }

    /// Whether this is the home shard; otherwise the request is on its way there.
    pub fn is_home(&mut self, request: &Request<'_>) -> bool {
        self.is_here(HOME, request)
    }

    /// Whether this shard owns the queue; otherwise the request is on its way to the one that does.
    pub fn owns(&mut self, topic: &str, queue_id: u32, request: &Request<'_>) -> bool {
        let shard = shard_of(topic, queue_id, self.front.mux.shards());
        self.is_here(shard.0, request)
    }

    /// Answers with a code and nothing else.
    pub fn answer_code(&mut self, to: &ReplyTo, code: i32, remark: Option<&str>) {
        self.front
            .answer(to, |out| to.whole(out, code, remark, &[], |_| ()));
    }

    /// Answers with a body.
    pub fn answer_body(&mut self, to: &ReplyTo, body: &[u8]) {
        self.front
            .answer(to, |out| to.whole(out, 0, None, body, |_| ()));
    }

    /// Answers a refused request.
    pub fn refuse(&mut self, to: &ReplyTo, refusal: &Refusal) {
        self.front.refused(to, refusal.code, &refusal.remark);
        self.answer_code(to, refusal.code, Some(&refusal.remark));
    }
}

//! Sends that are appended and not yet stored, in the order of their appends, which is the order in which
//! the engine tells of them.
//!
//! Tickets of sends are consecutive numbers with the top bit set, apart from those of
//! [`Waiters`](crate::waiters::Waiters): the engine keeps one entry for all sends of a commit block, and
//! whose turn it is needs no table.

use std::collections::VecDeque;

use ringmq_engine::{PhysicalOffset, Ticket};

use crate::metrics::MeterId;
use crate::reply::ReplyTo;

/// The bit by which a send's ticket is known.
const MARK: Ticket = 1 << 63;

/// What the answer of a send needs.
#[derive(Debug)]
pub struct SendWaiter {
    /// Whom to answer.
    pub to: ReplyTo,
    /// When it is answered with 10 at the latest.
    pub due_ns: u64,
    /// The queue it went to.
    pub queue_id: u32,
    /// Offset of its first record.
    pub queue_offset: u64,
    /// Where its records lie.
    pub places: Places,
    /// The message's unique key, which clients call its transaction id.
    pub unique_key: SmallText,
    /// Bytes of its records as stored.
    pub bytes: u32,
    /// The topic's meter.
    pub meter: MeterId,
    /// When it was appended.
    pub appended_ns: u64,
}

/// Physical offsets of a send.
#[derive(Debug)]
pub enum Places {
    /// A single message.
    One(PhysicalOffset),
    /// The items of a batch.
    Many(Box<[PhysicalOffset]>),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sends {
    waiting: VecDeque<SendWaiter>,
    /// Number of the first that waits; the others follow without gaps.
    first: u64,
}

impl Sends {
    /// Whether a ticket is a send's.
    pub fn owns(ticket: Ticket) -> bool {
        ticket & MARK != 0
    }

    /// The ticket that the next [`Sends::push`] gives: the append must have it before its place is known.
    pub fn next_ticket(&self) -> Ticket {
        MARK | (self.first + self.waiting.len() as u64)
    }

    /// Adds a send that was appended with [`Sends::next_ticket`]; its limit is not before that of the one
    /// before.
    pub fn push(&mut self, send: SendWaiter) {
        self.waiting.push_back(send);
    }

    /// The send of a ticket that the engine has told of; nothing when its time was up before. It waits
    /// until [`Sends::done`].
    pub fn told(&self, ticket: Ticket) -> Option<&SendWaiter> {
        let number = ticket & !MARK;
        debug_assert!(number <= self.first, "a send before it has not been told");
        self.waiting.front().filter(|_| number == self.first)
    }

    /// The next send whose limit is reached. It waits until [`Sends::done`].
    pub fn due(&self, now_ns: u64) -> Option<&SendWaiter> {
        self.waiting.front().filter(|send| send.due_ns <= now_ns)
    }

    /// The first one is answered.
    pub fn done(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// When the first limit is reached.
    pub fn next_due_ns(&self) -> Option<u64> {
        self.waiting.front().map(|send| send.due_ns)
    }
}

/// Text kept without allocation while it is short, as unique keys are.
#[derive(Debug)]
pub enum SmallText {
    /// Up to 60 bytes.
    Short(u8, [u8; 60]),
    /// More.
    Long(Box<str>),
}

impl Default for SmallText {
    fn default() -> Self {
        Self::Short(0, [0; 60])
    }
}

impl SmallText {
    /// Keeps a copy.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; 60];
        match bytes.get_mut(..text.len()) {
            Some(short) => {
                short.copy_from_slice(text.as_bytes());
                Self::Short(text.len() as u8, bytes)
            }
            None => Self::Long(text.into()),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Short(len, bytes) => {
                std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use ringmq_protocol::frame::HeaderKind;

    use super::*;
    use crate::connection::{ConnectionId, Port};
    use crate::mux::Origin;

    fn send(opaque: i32, due_ns: u64) -> SendWaiter {
        let origin = Origin {
            connection: ConnectionId::new(0, 1, 1),
            peer: ([127, 0, 0, 1], 1).into(),
            port: Port::Broker,
            charge: 0,
            received_ns: 0,
        };
        SendWaiter {
            to: ReplyTo {
                code: 310,
                origin,
                opaque,
                version: 0,
                kind: HeaderKind::Json,
                oneway: false,
            },
            due_ns,
            queue_id: 0,
            queue_offset: 0,
            places: Places::One(PhysicalOffset(0)),
            unique_key: SmallText::new("k"),
            bytes: 0,
            meter: MeterId::NONE,
            appended_ns: 0,
        }
    }

    #[test]
    fn sends_are_told_in_order_and_those_whose_time_was_up_are_passed_over() {
        let mut sends = Sends::default();
        let tickets = [10, 20, 30].map(|due_ns| {
            let ticket = sends.next_ticket();
            sends.push(send(due_ns as i32, due_ns));
            ticket
        });
        assert!(tickets.into_iter().all(Sends::owns));
        let opaque = |send: Option<&SendWaiter>| send.map(|send| send.to.opaque);
        assert_eq!(opaque(sends.due(9)), None);
        assert_eq!(opaque(sends.due(10)), Some(10));
        sends.done();
        assert_eq!(opaque(sends.told(tickets[0])), None, "it was answered");
        assert_eq!(opaque(sends.told(tickets[1])), Some(20));
        sends.done();
        assert_eq!(sends.next_due_ns(), Some(30));
        assert_eq!(opaque(sends.told(tickets[2])), Some(30));
        sends.done();
        assert_eq!(sends.next_due_ns(), None);
    }

    #[test]
    fn texts_of_any_length_come_back() {
        for length in [0, 1, 32, 56, 60, 61, 1000] {
            let text = "k".repeat(length);
            assert_eq!(SmallText::new(&text).as_str(), text);
        }
    }
}

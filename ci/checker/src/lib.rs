//! Decides from clients' histories and the final queues whether the contract held.
//!
//! Producers write down every send: what was sent, when, and how it was answered. Afterwards all
//! queues are read from their minimum to their maximum offset. Every message carries its client and
//! its number in the body, so each check is a join, linear in the size of the history.
//!
//! The invariants decided here, by the names the tests use:
//!
//! | id | what must hold |
//! |---|---|
//! | I-01 | every acknowledged message is at the queue and offset of its answer, with identical content |
//! | I-02 | nothing is there that no client sent, and nothing that was definitely refused |
//! | I-03 | offsets of a queue are dense, and one offset never held two contents |
//! | I-04 | what one client sent to one queue, each send begun after the ack of the one before, is stored in that order |
//! | I-05 | the maximum is never below an acknowledged offset; neither bound ever goes back |
#![forbid(unsafe_code)]

mod history;
mod verdict;

pub use history::{History, MessageId, Observation, Outcome, QueueName, Send, Stored};
pub use verdict::{Invariant, Verdict, Violation, check};

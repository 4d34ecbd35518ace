//! One question to several shards, one answer to whoever asked: what an administrator wants to know
//! (or to change) about queues that different shards own.
//!
//! ```text
//! handler     ctx.gather(to, shards, question, then)
//!   asker     a Round is kept; one letter to each shard (to itself: a Task at once)
//!   shards    a Task walks its queues, some rows a turn, and reads the records it needs; one letter back
//!   asker     when all are in, `then` answers the request
//! ```
//! Nothing waits in place: a round ends with its last letter, with its time, or with the connection
//! that asked. Too many rounds, a crowded mailbox or too many rows are refused.

mod found;
mod question;
mod round;
mod task;

pub use found::{Found, GroupOffset, QueueFigures};
pub use question::{Question, Reset, ResetMode, ResetTarget, Times};
pub use round::{Asked, Gathers};
pub use task::Probe;

//! The wire driver: one thread, one epoll, frames that were encoded before the clock started.
//!
//! It does as little as a client can: a request is a copy of ready bytes with its number in place,
//! an answer is cut, matched by its number and counted. What it measures is the server.

mod answer;
mod connection;
mod driver;

pub use answer::Answer;
pub use driver::{Arrivals, Driver, Load, Outcome};

//! The server over real sockets and rings, spoken to in raw bytes.
//!
//! `connections`: what a connection may and may not do; `names`: the name server's port;
//! `golden`: captured requests replayed.
#![forbid(unsafe_code)]

mod connections;
mod harness;
mod names;
mod simulated;
mod wire;

//! The latency suite: drives any server of the protocol with the same code
#![forbid(unsafe_code)]

//! Decides from clients' histories and the final queues whether the contract held
#![forbid(unsafe_code)]

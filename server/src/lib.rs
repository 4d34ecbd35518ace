//! RingMQ's name server and broker
#![forbid(unsafe_code)]

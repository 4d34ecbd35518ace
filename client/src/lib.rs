//! Producers and consumers for RingMQ and Apache RocketMQ
#![forbid(unsafe_code)]

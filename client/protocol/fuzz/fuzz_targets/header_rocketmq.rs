//! See `ringmq_protocol::fuzzing::header_rocketmq`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_protocol::fuzzing::header_rocketmq(bytes));

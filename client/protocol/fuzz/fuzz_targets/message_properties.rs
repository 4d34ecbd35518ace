//! See `ringmq_protocol::fuzzing::message_properties`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_protocol::fuzzing::message_properties(bytes));

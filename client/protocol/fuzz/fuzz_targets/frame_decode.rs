//! See `ringmq_protocol::fuzzing::frame_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_protocol::fuzzing::frame_decode(bytes));

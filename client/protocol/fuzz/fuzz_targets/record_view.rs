//! See `ringmq_protocol::fuzzing::record_view`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_protocol::fuzzing::record_view(bytes));

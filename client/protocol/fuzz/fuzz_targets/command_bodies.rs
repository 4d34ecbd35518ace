//! See `ringmq_protocol::fuzzing::command_bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_protocol::fuzzing::command_bodies(bytes));

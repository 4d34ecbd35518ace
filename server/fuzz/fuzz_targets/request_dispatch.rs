//! Arbitrary requests to a broker.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ringmq_server_fuzz::request_dispatch::check(input));

//! Arbitrary registrations with a name server.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ringmq_server_fuzz::register_broker_body::check(input));

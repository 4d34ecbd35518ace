//! Arbitrary bytes in the log, the manifest, the witness and the state file of a shard.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ringmq_engine_fuzz::log_recovery::check(input));

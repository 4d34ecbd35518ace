//! Behaviour of the codec, against captured bytes and against itself.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop here"
)]

mod commands;
mod fixture;
mod fuzz_smoke;
mod golden;
mod records;
mod round_trip;

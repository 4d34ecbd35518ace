//! The bodies of the fuzz targets. `engine/tests/it/` runs the same ones over seeded inputs.
#![forbid(unsafe_code)]

pub mod log_recovery;

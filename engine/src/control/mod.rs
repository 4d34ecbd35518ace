//! The control plane: what prepares, writes, recycles and checks files beside the shards.

#[cfg(not(target_env = "musl"))]
pub mod glommio_disk;
pub mod index_files;
pub mod link;
pub mod open;
pub(crate) mod plane;
pub mod segment_files;
pub mod state_files;
pub mod worker;

#[cfg(test)]
mod tests;

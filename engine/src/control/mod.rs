//! The control plane: what prepares, writes, recycles and checks files beside the shards.

pub mod index_files;
pub mod link;
pub mod segment_files;
pub mod state_files;
pub mod worker;

#[cfg(test)]
mod tests;

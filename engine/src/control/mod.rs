//! The control plane: what prepares, writes, recycles and checks files beside the shards.

pub mod index_files;
pub mod link;

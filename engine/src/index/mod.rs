//! Immutable index segments: where each record of a log segment lies, by queue, and when each block
//! was stored. One file per log segment, derivable from it. Byte by byte in
//! `FORMAT.md`, section 7.
//!
//! Reading never blocks: a lookup is a small state machine that asks for pages and is fed them.

mod bisect;
pub mod block;
pub mod builder;
pub mod cache;
pub mod header;
pub mod lookup;
pub mod page;
pub mod rebuild;
pub mod row;
pub mod scan;
pub mod segment;
pub mod set;
pub mod time;

pub use block::{BlockLookup, BlockOutcome};
pub use builder::Builder;
pub use cache::PageCache;
pub use header::Header;
pub use lookup::{Cursor, Found, Lookup, Outcome};
pub use page::{Damage, Identity, PAGE_LEN};
pub use row::Row;
pub use scan::DirectoryScan;
pub use segment::OpenSegment;
pub use set::{IndexSet, PageRead, Step};
pub use time::{TimeLookup, TimeOutcome};

#[cfg(test)]
mod tests;

//! RocketMQ's remoting protocol as a pure codec: frames, headers, commands, stored records.
//!
//! No I/O, no clock, no randomness; hot paths borrow from the bytes they are given and allocate
//! nothing. Everything between a client and a server, and between the log on disk and a consumer,
//! is described here once.
//!
//! ```text
//! frame   | total 4 | kind 1 | header length 3 | header | body |          one request or response
//! record  | size | magic | crc | ... | body | topic | properties |        one stored message
//! ```
//!
//! All integers on the wire and in records are big-endian.
#![forbid(unsafe_code)]

pub mod checksum;
pub mod code;
pub mod command;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
pub mod limits;
pub mod message_id;
pub mod properties;
pub mod record;
mod stops;
pub mod tags;
pub mod types;

pub use frame::{Frame, FrameError, HeaderKind, Split};
pub use header::{Ext, ExtWriter, Head, Header, HeaderError, Language, Text};
pub use properties::Properties;
pub use record::{RecordError, RecordParts, RecordView, Records, Stamp};
pub use types::{GroupName, NameError, TopicName};

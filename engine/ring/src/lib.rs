//! The one seam to the kernel.
//!
//! Two traits, each with a real and a simulated implementation:
//!
//! * [`Io`]: the data plane. A shard thread submits reads, durable writes, sends and receives by
//!   token and reaps their completions, one kernel entry a turn.
//! * [`Disk`]: the control plane. `async` file operations that prepare, recycle, scan and publish
//!   files before the data plane gets them or after it is done with them.
//!
//! Everything above this crate is plain state machines over these two. It is the only crate that
//! may hold `unsafe`.

#![expect(
    unsafe_code,
    reason = "the kernel's interfaces; each use carries its argument"
)]

pub mod affinity;
pub mod blocking;
pub mod buffer;
pub mod disk;
pub mod io;
pub mod limits;
pub mod mailbox;
pub mod partial;
pub mod planted;
pub mod probe;
pub mod sim;
pub mod spin;
pub mod turn;
pub mod uring;

pub use blocking::{BlockingDisk, block_on};
pub use buffer::{ALIGNMENT, AlignedBuf, Reclaim};
pub use disk::{Disk, OpenMode};
pub use io::{
    Completion, FileId, Glance, Io, ListenerId, Moment, Payload, SocketId, Token, Wait, Wake,
};
pub use mailbox::{Mailboxes, Peer};
pub use spin::Spin;
pub use turn::{Pace, Service, TurnLoop, run};
pub use uring::{Uring, UringConfig};

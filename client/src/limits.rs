//! Every bound of the client.

use std::time::Duration;

/// Calls without an answer that one client may have; more are refused at once. (The Java client's
/// bound on asynchronous calls.)
pub const CALLS_IN_FLIGHT_MAX: usize = 65_535;
/// Bytes gathered for one connection that are not yet written; beyond it the connection takes no
/// further calls from its queue.
pub const OUT_BYTES_MAX: usize = 4 << 20;
/// The largest answer that is accepted; the protocol's own bound.
pub const FRAME_BYTES_MAX: usize = ringmq_protocol::limits::FRAME_BYTES_MAX;
/// Calls taken from the queue of a connection before it writes.
pub const CALLS_PER_WRITE_MAX: usize = 1024;
/// How often calls are looked through for missed deadlines.
pub const DEADLINE_TICK: Duration = Duration::from_millis(20);
/// How long connecting may take.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A route is asked for again after this long.
pub const ROUTE_AGE_MAX: Duration = Duration::from_secs(30);
/// Routes kept; beyond it all are forgotten and asked for again.
pub const ROUTES_MAX: usize = 100_000;
/// Bytes that the compressed body of a message may inflate to.
pub const INFLATED_BYTES_MAX: usize = FRAME_BYTES_MAX;

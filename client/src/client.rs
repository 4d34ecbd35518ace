//! What producers and consumers share: the I/O thread, the numbers of requests, the routes.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ringmq_protocol::message_id::{UniqueId, UniqueIds};
use ringmq_protocol::{ExtWriter, Head, HeaderKind};

use crate::call::{Answered, Reply};
use crate::config::ClientConfig;
use crate::error::ClientError;
use crate::io_thread::{self, Submission};
use crate::limits::CALLS_IN_FLIGHT_MAX;
use crate::route::Routes;

/// A connection to a cluster; cheap to clone, closed when the last clone is gone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    submissions: flume::Sender<Submission>,
    next_opaque: AtomicI32,
    in_flight: Arc<AtomicUsize>,
    unique_ids: Mutex<UniqueIds>,
    routes: Routes,
}

impl Client {
    /// Starts the I/O thread. Nothing is connected before the first call.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        if config.name_servers.is_empty() {
            return Err(ClientError::Invalid(
                "no name server is named: give host:port, or set NAMESRV_ADDR".into(),
            ));
        }
        let submissions = io_thread::start()
            .map_err(|error| ClientError::Invalid(format!("no I/O thread: {error}")))?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                submissions,
                next_opaque: AtomicI32::new(0),
                in_flight: Arc::default(),
                unique_ids: Mutex::new(own_unique_ids()),
                routes: Routes::default(),
            }),
        })
    }

    /// The settings it was made with.
    pub(crate) fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// The routes that are known.
    pub(crate) fn routes(&self) -> &Routes {
        &self.shared.routes
    }

    /// A new unique message id.
    pub(crate) fn unique_id(&self) -> UniqueId {
        let mut ids = self
            .shared
            .unique_ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ids.issue(now_ms())
    }

    /// Sends a request and waits for its answer, whatever its code.
    pub(crate) async fn call(
        &self,
        address: &Arc<str>,
        code: i32,
        body: &[u8],
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<Answered, ClientError> {
        let (reply, pending) = Reply::pair(&self.shared.in_flight, CALLS_IN_FLIGHT_MAX)?;
        self.submit(address, code, body, ext, Some(reply))?;
        pending.answer().await
    }

    /// Sends a request that wants no answer.
    pub(crate) fn tell(
        &self,
        address: &Arc<str>,
        code: i32,
        body: &[u8],
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<(), ClientError> {
        self.submit(address, code, body, ext, None)
    }

    fn submit(
        &self,
        address: &Arc<str>,
        code: i32,
        body: &[u8],
        ext: impl FnOnce(&mut ExtWriter<'_>),
        reply: Option<Reply>,
    ) -> Result<(), ClientError> {
        let opaque = self.shared.next_opaque.fetch_add(1, Ordering::Relaxed);
        let head = match reply {
            Some(_) => Head::request(code, opaque),
            None => Head::oneway(code, opaque),
        };
        let mut frame = Vec::with_capacity(512 + body.len());
        head.encode_frame(HeaderKind::Json, &mut frame, body, ext)
            .map_err(|error| ClientError::Invalid(error.to_string()))?;
        let submission = Submission {
            address: Arc::clone(address),
            opaque,
            frame,
            reply,
            deadline: Instant::now() + self.shared.config.timeout,
        };
        self.shared
            .submissions
            .try_send(submission)
            .map_err(|error| match error {
                flume::TrySendError::Full(_) => ClientError::Busy,
                flume::TrySendError::Disconnected(_) => ClientError::Closed,
            })
    }
}

/// Unique ids of this process: two clients of one process differ in the third part.
fn own_unique_ids() -> UniqueIds {
    static CLIENTS: AtomicI32 = AtomicI32::new(1);
    let client = CLIENTS.fetch_add(1, Ordering::Relaxed) as u32;
    let start = now_ms() as u32;
    let ip = std::net::Ipv4Addr::LOCALHOST.into();
    UniqueIds::new(
        ip,
        std::process::id() as u16,
        start.wrapping_add(client << 20),
    )
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

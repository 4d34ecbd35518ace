//! One request and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ringmq_protocol::{Header, HeaderKind};

use crate::error::ClientError;
use crate::io_thread::Outcome;

/// A response frame, owned.
pub struct Answered {
    kind: HeaderKind,
    header: Bytes,
    /// The body.
    pub body: Bytes,
}

impl Answered {
    /// Takes a frame over.
    pub fn new(kind: HeaderKind, header: Bytes, body: Bytes) -> Self {
        Self { kind, header, body }
    }

    /// The decoded header.
    pub fn header(&self) -> Result<Header<'_>, ClientError> {
        Header::decode(self.kind, &self.header)
            .map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// The decoded header of a success; the error that the response code stands for otherwise.
    pub fn success(&self) -> Result<Header<'_>, ClientError> {
        let header = self.header()?;
        let remark = || header.remark.map(|text| text.to_cow().into_owned());
        match ClientError::of_response(header.code, || remark().unwrap_or_default()) {
            None => Ok(header),
            Some(error) => Err(error),
        }
    }
}

/// The waiting end of a call.
pub struct Pending(flume::Receiver<Outcome>);

impl Pending {
    /// Waits for the answer. The I/O thread keeps the deadline, so this always ends.
    pub async fn answer(self) -> Outcome {
        self.0
            .recv_async()
            .await
            .unwrap_or(Err(ClientError::Closed))
    }
}

/// The giving end of a call; it counts as in flight until it is gone.
pub struct Reply {
    sender: flume::Sender<Outcome>,
    in_flight: Arc<AtomicUsize>,
}

impl Reply {
    /// Both ends, unless `limit` calls are in flight already.
    pub fn pair(
        in_flight: &Arc<AtomicUsize>,
        limit: usize,
    ) -> Result<(Self, Pending), ClientError> {
        if in_flight.fetch_add(1, Ordering::Relaxed) >= limit {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(ClientError::Busy);
        }
        let (sender, receiver) = flume::bounded(1);
        let reply = Self {
            sender,
            in_flight: Arc::clone(in_flight),
        };
        Ok((reply, Pending(receiver)))
    }

    /// Gives the outcome to whoever still waits.
    pub fn give(self, outcome: Outcome) {
        // A caller that has gone needs no answer.
        let _ = self.sender.try_send(outcome);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

//! The one thread of a client that touches sockets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::call::{Answered, Reply};
use crate::connection;
use crate::error::ClientError;
use crate::limits::CALLS_IN_FLIGHT_MAX;

/// One encoded request on its way to a server.
pub struct Submission {
    /// `host:port`.
    pub address: Arc<str>,
    /// The request's number, as it stands in the frame.
    pub opaque: i32,
    /// The frame.
    pub frame: Vec<u8>,
    /// Who waits; nobody for one-way requests.
    pub reply: Option<Reply>,
    /// When waiting ends.
    pub deadline: Instant,
}

impl Submission {
    /// Ends it without an answer.
    pub fn fail(self, error: ClientError) {
        if let Some(reply) = self.reply {
            reply.give(Err(error));
        }
    }
}

/// Starts the thread; it ends when the last sender is gone.
pub fn start() -> std::io::Result<flume::Sender<Submission>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (sender, submissions) = flume::bounded(CALLS_IN_FLIGHT_MAX);
    std::thread::Builder::new()
        .name("ringmq-client".into())
        .spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            runtime.block_on(tasks.run_until(distribute(submissions)));
        })?;
    Ok(sender)
}

/// Hands each submission to the connection of its address, opening it where there is none.
async fn distribute(submissions: flume::Receiver<Submission>) {
    let mut connections: HashMap<Arc<str>, flume::Sender<Submission>> = HashMap::new();
    while let Ok(submission) = submissions.recv_async().await {
        let address = Arc::clone(&submission.address);
        let open = connections
            .get(&address)
            .filter(|connection| !connection.is_disconnected());
        let connection = match open {
            Some(connection) => connection.clone(),
            None => {
                let (sender, receiver) = flume::unbounded();
                tokio::task::spawn_local(connection::run(Arc::clone(&address), receiver));
                connections.insert(address, sender.clone());
                sender
            }
        };
        if let Err(flume::SendError(submission)) = connection.send(submission) {
            // It ended between the look and the send: nothing left this process.
            let address = submission.address.to_string();
            submission.fail(ClientError::Unreachable {
                address,
                reason: "the connection was just lost".into(),
            });
        }
    }
}

/// What a connection gives back: an answer or the reason why there is none.
pub type Outcome = Result<Answered, ClientError>;

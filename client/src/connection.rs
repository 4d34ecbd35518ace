//! One socket: calls go out coalesced, answers are matched by their numbers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use ringmq_protocol::frame::{self, Split};
use ringmq_protocol::{Header, HeaderKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::call::{Answered, Reply};
use crate::error::ClientError;
use crate::io_thread::Submission;
use crate::limits::{
    CALLS_PER_WRITE_MAX, CONNECT_LIMIT, DEADLINE_TICK, FRAME_BYTES_MAX, OUT_BYTES_MAX,
};

/// Connects, then serves calls until the socket is lost or nobody can submit any more.
pub async fn run(address: Arc<str>, submissions: flume::Receiver<Submission>) {
    let stream = match connect(&address).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%address, %error, "connecting failed");
            return refuse_all(&address, &submissions, &error.to_string());
        }
    };
    let (reader, writer) = stream.into_split();
    let mut connection = Connection {
        reader,
        writer,
        waiting: HashMap::new(),
        out: Vec::new(),
        written: 0,
        input: BytesMut::new(),
    };
    let reason = match connection.serve(&submissions).await {
        Ok(()) => "the client was closed".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::debug!(%address, reason, "connection ended");
    connection.end(&reason);
    refuse_all(&address, &submissions, &reason);
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What is still in the queue has not left: its callers may safely try again.
fn refuse_all(address: &str, submissions: &flume::Receiver<Submission>, reason: &str) {
    for submission in submissions.drain() {
        submission.fail(ClientError::Unreachable {
            address: address.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

struct Waiting {
    reply: Reply,
    deadline: Instant,
}

struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    waiting: HashMap<i32, Waiting>,
    out: Vec<u8>,
    written: usize,
    input: BytesMut,
}

impl Connection {
    async fn serve(&mut self, submissions: &flume::Receiver<Submission>) -> io::Result<()> {
        let mut tick = tokio::time::interval(DEADLINE_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let unwritten = self.out.len() - self.written;
            tokio::select! {
                submission = submissions.recv_async(), if unwritten < OUT_BYTES_MAX => {
                    let Ok(submission) = submission else {
                        return Ok(());
                    };
                    self.take(submission);
                    for more in submissions.try_iter().take(CALLS_PER_WRITE_MAX) {
                        self.take(more);
                    }
                    self.write_now()?;
                }
                count = self.reader.read_buf(&mut self.input) => {
                    if count? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.take_answers()?;
                }
                count = self.writer.write(&self.out[self.written..]), if unwritten > 0 => {
                    self.wrote(count?);
                }
                _ = tick.tick(), if !self.waiting.is_empty() => self.expire(),
            }
        }
    }

    fn take(&mut self, submission: Submission) {
        self.out.extend_from_slice(&submission.frame);
        if let Some(reply) = submission.reply {
            let waiting = Waiting {
                reply,
                deadline: submission.deadline,
            };
            self.waiting.insert(submission.opaque, waiting);
        }
    }

    /// Writes what the socket takes at once.
    fn write_now(&mut self) -> io::Result<()> {
        match self.writer.try_write(&self.out[self.written..]) {
            Ok(count) => {
                self.wrote(count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > OUT_BYTES_MAX {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    fn take_answers(&mut self) -> io::Result<()> {
        loop {
            let (kind, header_len, total) = match frame::split(&self.input, FRAME_BYTES_MAX) {
                Ok(Split::Incomplete { .. }) => return Ok(()),
                Ok(Split::Frame(frame)) => (frame.kind, frame.header.len(), frame.total),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            let mut frame = self.input.split_to(total).freeze();
            let header_at = frame::PREFIX_BYTES;
            let body = frame.split_off(header_at + header_len);
            self.answer(kind, frame.slice(header_at..), body)?;
        }
    }

    /// Requests from the server (notices to consumers) have nobody to take them here.
    fn answer(
        &mut self,
        kind: HeaderKind,
        header: bytes::Bytes,
        body: bytes::Bytes,
    ) -> io::Result<()> {
        let (opaque, is_response) = Header::decode(kind, &header)
            .map(|header| (header.opaque, header.is_response()))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if is_response && let Some(waiting) = self.waiting.remove(&opaque) {
            waiting.reply.give(Ok(Answered::new(kind, header, body)));
        }
        Ok(())
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for (_, late) in self
            .waiting
            .extract_if(|_, waiting| waiting.deadline <= now)
        {
            late.reply
                .give(Err(ClientError::Unknown("no answer in time".into())));
        }
    }

    /// Whatever was taken may have reached the server.
    fn end(&mut self, reason: &str) {
        for (_, waiting) in self.waiting.drain() {
            let text = format!("the connection was lost ({reason})");
            waiting.reply.give(Err(ClientError::Unknown(text)));
        }
    }
}

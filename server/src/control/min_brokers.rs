//! Tells brokers that the smallest id under their name has changed (905), one-way, from a thread of
//! its own: a broker that does not answer must hold nothing up.

use std::thread;
use std::time::Duration;

use flume::{Receiver, Sender};
use ringmq_protocol::code;

use super::remoting::{CallError, Connection};
use crate::limits::NAME_SERVER_MIN_BROKER_CHANGES_MAX;
use crate::namesrv::MinBrokerChange;

/// How long one broker may take to hear it.
const TELL_TIMEOUT: Duration = Duration::from_millis(300);

/// See the module. Nothing runs until there is something to tell.
#[derive(Debug, Default)]
pub struct MinBrokers {
    changes: Option<Sender<MinBrokerChange>>,
}

impl MinBrokers {
    /// Tells these changes, as far as those before them have been told; a broker that is not told
    /// finds out when it asks.
    pub fn tell(&mut self, changes: Vec<MinBrokerChange>) {
        let Some(line) = self.line() else {
            return;
        };
        for change in changes {
            if line.try_send(change).is_err() {
                tracing::warn!("too many changes of broker ids at once: some brokers are not told");
                return;
            }
        }
    }

    fn line(&mut self) -> Option<Sender<MinBrokerChange>> {
        if self.changes.is_none() {
            let (line, changes) = flume::bounded(NAME_SERVER_MIN_BROKER_CHANGES_MAX);
            let started = thread::Builder::new()
                .name("min-brokers".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || run(&changes));
            match started {
                Ok(_) => self.changes = Some(line),
                Err(error) => tracing::error!(%error, "cannot tell brokers of a changed id"),
            }
        }
        self.changes.clone()
    }
}

fn run(changes: &Receiver<MinBrokerChange>) {
    for change in changes.iter() {
        for address in &change.told {
            if let Err(error) = tell(address, &change) {
                tracing::warn!(%address, broker = %change.broker_name, %error, "a broker is not told that the smallest id under its name has changed");
            }
        }
    }
}

fn tell(address: &str, change: &MinBrokerChange) -> Result<(), CallError> {
    let mut connection = Connection::open_within(address, TELL_TIMEOUT)?;
    let code = code::request::NOTIFY_MIN_BROKER_ID_CHANGE;
    connection.tell(code, TELL_TIMEOUT, |ext| {
        for (name, value) in change.fields() {
            ext.put(name, value.as_str());
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use ringmq_protocol::frame::{self, Split};
    use ringmq_protocol::header::Header;

    use super::*;

    #[test]
    fn everyone_who_is_left_hears_of_it_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut brokers = MinBrokers::default();
        let change = MinBrokerChange {
            broker_name: "broker-a".into(),
            min_broker_id: 1,
            min_broker_address: address.clone(),
            offline_address: Some("127.0.0.1:1".into()),
            ha_address: None,
            // The first is not there: the second hears of it all the same.
            told: vec!["127.0.0.1:1".into(), address],
        };
        brokers.tell(vec![change.clone()]);
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let Ok(Split::Frame(frame)) = frame::split(&bytes, 1 << 20) else {
            panic!("no frame in {bytes:?}");
        };
        let header = Header::decode(frame.kind, frame.header).unwrap();
        assert!(header.is_oneway());
        assert_eq!((header.code, frame.total), (905, bytes.len()));
        for (name, value) in change.fields() {
            let sent = header.ext.get(name).map(|text| text.to_cow().into_owned());
            assert_eq!(sent, Some(value));
        }
    }
}

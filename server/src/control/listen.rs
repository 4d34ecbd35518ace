//! Listening sockets, bound before anything else is done: a busy port must not cost a recovery.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::{LISTEN_BACKLOG, LISTEN_PATIENCE, LISTEN_PAUSE};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has it.
    #[error(
        "{address} is in use by another process: stop that one, or choose another port with {setting}"
    )]
    InUse {
        /// Which.
        address: SocketAddr,
        /// Where to choose it.
        setting: &'static str,
    },
    /// A port below 1024 without the right to it.
    #[error(
        "{address} may not be listened on by this user: choose a port above 1023 with {setting}, or grant CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// Which.
        address: SocketAddr,
        /// Where to choose it.
        setting: &'static str,
    },
    /// No interface of this machine has it.
    #[error("{address} is no address of this machine: correct bindAddress")]
    NoSuchAddress {
        /// Which.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Binds and listens. `setting` names where the port was chosen. The port is shared with nobody.
///
/// The kernel takes a ring down after its process is gone, and its sockets with it: a broker that
/// was killed and is started again finds its port busy for a moment, and waits for that long.
pub fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ListenError> {
    listen_within(address, setting, LISTEN_PATIENCE)
}

fn listen_within(
    address: SocketAddr,
    setting: &'static str,
    patience: Duration,
) -> Result<TcpListener, ListenError> {
    let until = Instant::now() + patience;
    let mut bound = bind(address);
    while matches!(&bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse)
        && Instant::now() < until
    {
        std::thread::sleep(LISTEN_PAUSE);
        bound = bind(address);
    }
    bound.map_err(|source| refusal(source, address, setting))
}

fn refusal(source: io::Error, address: SocketAddr, setting: &'static str) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, setting },
        io::ErrorKind::PermissionDenied => ListenError::Permission { address, setting },
        io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress { address },
        _ => ListenError::Other { address, source },
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Only lets a port be taken whose last connections linger; two listeners still exclude each other.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_busy_port_is_an_error_that_says_what_to_do() {
        let first = listen(loopback(0), "listenPort").unwrap();
        let address = first.local_addr().unwrap();
        let error = listen_within(address, "listenPort", Duration::ZERO).unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }));
        assert!(
            error
                .to_string()
                .contains("choose another port with listenPort")
        );
        drop(first);
        listen(address, "listenPort").unwrap();
    }

    #[test]
    fn a_port_that_is_given_up_soon_is_waited_for() {
        let first = listen(loopback(0), "listenPort").unwrap();
        let address = first.local_addr().unwrap();
        let waiting = std::thread::spawn(move || listen(address, "listenPort").is_ok());
        drop(first);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_privileged_port_names_the_right_that_is_missing() {
        // The tests may run with that right.
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = refusal(denied, loopback(80), "listenPort").to_string();
        assert_eq!(
            error,
            "127.0.0.1:80 may not be listened on by this user: choose a port above 1023 with listenPort, or grant CAP_NET_BIND_SERVICE"
        );
    }

    #[test]
    fn an_ipv6_address_is_listened_on() {
        let listener = listen("[::1]:0".parse().unwrap(), "listenPort").unwrap();
        assert!(listener.local_addr().unwrap().is_ipv6());
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let address = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = listen(address, "listenPort").unwrap_err();
        assert!(matches!(error, ListenError::NoSuchAddress { .. }));
    }
}

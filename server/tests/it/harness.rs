//! A server in this process: real rings, real sockets, ports of the kernel's choice.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringmq_ring::uring::UringWaker;
use ringmq_ring::{Mailboxes, TurnLoop, Uring, UringConfig, Wake};
use ringmq_server::connection::Port;
use ringmq_server::handlers::names::NameService;
use ringmq_server::limits;
use ringmq_server::link::{self, Command, ControlLink, Notice};
use ringmq_server::mux::Mux;
use ringmq_server::namesrv::{KvConfig, NameServer, NameServerSettings};
use ringmq_server::service::ShardService;

/// A running server; stopped when dropped.
pub struct Server {
    pub names: SocketAddr,
    threads: Vec<Thread>,
}

struct Thread {
    link: ControlLink<UringWaker>,
    waker: UringWaker,
    handle: Option<JoinHandle<()>>,
}

impl Server {
    /// A name server whose connections are spread over `shards` threads.
    pub fn names(shards: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let names = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        let threads = Mailboxes::mesh(shards, limits::MAILBOX_SLOTS)
            .into_iter()
            .map(|mailboxes| {
                let listener = listener.take();
                start(move |link| {
                    let service = listener.is_some().then(|| {
                        let server =
                            NameServer::new(NameServerSettings::default(), KvConfig::default());
                        NameService::new(server)
                    });
                    let mut service = ShardService::new(Mux::new(mailboxes), None, service, link);
                    if let Some(listener) = listener {
                        service.listen(listener, Port::NameServer);
                    }
                    service
                })
            })
            .collect();
        Self { names, threads }
    }
}

/// Starts a thread that makes its service itself, and waits for its first notice.
fn start(
    make: impl FnOnce(link::ShardLink<UringWaker>) -> ShardService<Uring> + Send + 'static,
) -> Thread {
    let (shard, mut link) = link::pair();
    let handle = std::thread::spawn(move || {
        let mut io = Uring::new(&UringConfig::default()).unwrap();
        let mut service = make(shard);
        TurnLoop::default().run(&mut io, &mut service).unwrap();
    });
    let waker = loop {
        match wait_for(&mut link) {
            Notice::Started(waker) => break waker,
            other => panic!("{other:?} before it was started"),
        }
    };
    Thread {
        link,
        waker,
        handle: Some(handle),
    }
}

fn wait_for(link: &mut ControlLink<UringWaker>) -> Notice<UringWaker> {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(notice) = link.notice() {
            return notice;
        }
        assert!(
            Instant::now() < limit,
            "no notice from the shard within 10 s"
        );
        std::thread::yield_now();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.link.command(Command::Exit);
            thread.waker.wake();
        }
        for thread in &mut self.threads {
            let ended = thread.handle.take().map(JoinHandle::join);
            if !std::thread::panicking() {
                assert!(matches!(ended, Some(Ok(()))), "a shard thread panicked");
            }
        }
    }
}

//! The name server behind its port: all of it lives on the home shard.

use ringmq_protocol::code::request::UPDATE_NAMESRV_CONFIG;
use ringmq_ring::Io;

use crate::broker::ConnectionId as ChannelId;
use crate::config::Process;
use crate::connection::ConnectionId;
use crate::context::Request;
use crate::desk::{Ask, WholeReply};
use crate::front::{Front, HOME};
use crate::limits;
use crate::metrics::NamesState;
use crate::namesrv::{self, Answer, MinBrokerChange, NameServer, NameServerSettings};

/// A name server with its timer.
#[derive(Debug)]
pub struct NameService {
    server: NameServer,
    expire_due_ns: u64,
    /// Changes of the KV configuration that the control plane knows of.
    kv_told: u64,
}

impl NameService {
    /// A name server that serves at once.
    pub fn new(server: NameServer) -> Self {
        let kv_told = server.kv.changes();
        Self {
            server,
            expire_due_ns: 0,
            kv_told,
        }
    }

    /// The KV configuration's file, if it has changed since the last call.
    pub fn take_kv(&mut self) -> Option<String> {
        let changes = self.server.kv.changes();
        if changes == self.kv_told {
            return None;
        }
        self.kv_told = changes;
        Some(self.server.kv.to_json())
    }

    /// Goes by other settings from now on.
    pub fn take_settings(&mut self, settings: NameServerSettings) {
        self.server.set_settings(settings);
    }

    /// A registering connection is gone, and its brokers with it.
    pub fn connection_closed(&mut self, connection: ConnectionId) {
        let gone = self
            .server
            .connection_closed(ChannelId(connection.to_u64()));
        for gone in gone {
            let broker = gone.broker;
            tracing::info!(address = %broker.address, cluster = %broker.cluster, "broker gone with its connection");
        }
    }

    /// Drops silent brokers, when it is time; their connections must be closed, so that those that
    /// live after all register anew.
    pub fn expire(&mut self, now_ns: u64) -> Vec<ConnectionId> {
        if now_ns < self.expire_due_ns {
            return Vec::new();
        }
        self.expire_due_ns = now_ns + self.server.scan_interval_ms() * limits::MILLISECOND_NS;
        let gone = self.server.expire(now_ns / limits::MILLISECOND_NS);
        for broker in gone.iter().map(|gone| &gone.broker) {
            tracing::warn!(address = %broker.address, cluster = %broker.cluster, "broker dropped: it was silent for too long");
        }
        let connections = gone
            .iter()
            .map(|gone| ConnectionId::from_u64(gone.connection.0));
        connections.collect()
    }

    /// What brokers must be told of since the last call.
    pub fn take_min_broker_changes(&mut self) -> Vec<MinBrokerChange> {
        self.server.take_min_broker_changes()
    }

    /// How much it knows.
    pub fn state(&self) -> NamesState {
        let table = &self.server.table;
        NamesState {
            brokers: table.brokers().count(),
            clusters: table.clusters().count(),
            topics: table.topic_count(),
        }
    }

    /// When [`NameService::expire`] has something to do.
    pub fn expire_due_ns(&self) -> u64 {
        self.expire_due_ns
    }
}

/// Any request of the name server's port.
pub fn handle<I: Io>(front: &mut Front<I>, names: Option<&mut NameService>, request: &Request<'_>) {
    let to = &request.to;
    if front.me() != HOME {
        return front.forward(HOME, to.origin, request.frame);
    }
    let Some(names) = names else {
        return front.settle(to.origin);
    };
    front.is_known_to(to.origin.connection, HOME);
    if request.header.code == UPDATE_NAMESRV_CONFIG {
        let lines = String::from_utf8_lossy(request.body).into_owned();
        if let Err(refusal) = front.ask(*to, Ask::ChangeSettings(Process::NameServer, lines)) {
            let whole = WholeReply::refusal(refusal.code, refusal.remark);
            front.answer_whole(to, &whole);
        }
        return;
    }
    let ext = &request.header.ext;
    let asked = namesrv::Request {
        code: request.header.code,
        version: request.header.version,
        field: &|name| ext.get(name).map(|text| text.to_cow().into_owned()),
        body: request.body,
        connection: ChannelId(to.origin.connection.to_u64()),
    };
    let now_ms = front.now.monotonic_ns / limits::MILLISECOND_NS;
    let answer = names.server.handle(&asked, now_ms);
    write(front, request, &answer);
}

fn write<I: Io>(front: &mut Front<I>, request: &Request<'_>, answer: &Answer) {
    let to = &request.to;
    front.answer(to, |out| {
        let remark = answer.remark.as_deref();
        to.whole(out, answer.code, remark, &answer.body, |ext| {
            for (name, value) in &answer.fields {
                ext.put(name, value.as_str());
            }
        });
    });
}

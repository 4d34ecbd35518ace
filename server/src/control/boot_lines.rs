//! What is printed when a process serves: Apache's lines first, which scripts wait for, then what to
//! try next.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::start::reachable;
use crate::config::Config;

/// All lines for a configuration that runs at these addresses.
pub fn boot_lines(
    config: &Config,
    broker: Option<SocketAddr>,
    name_server: Option<SocketAddr>,
) -> String {
    let mut out = String::new();
    if let Some(address) = name_server {
        let _ = writeln!(
            out,
            "The Name Server boot success. serializeType=JSON, address {address}"
        );
    }
    let (Some(settings), Some(address)) = (&config.broker, broker) else {
        return out;
    };
    let mut servers = settings.name_servers.clone();
    servers.extend(name_server.map(|address| reachable(address).to_string()));
    let name = &settings.name;
    let _ = write!(
        out,
        "The broker[{name}, {address}] boot success. serializeType=JSON"
    );
    if !servers.is_empty() {
        let _ = write!(out, " and name server is {}", servers.join(";"));
    }
    let promise = if settings.store.is_sync_flush {
        "every SEND_OK is on the disk"
    } else {
        "a SEND_OK survives the process, not a power cut within 500 ms"
    };
    let _ = write!(
        out,
        "\nflushDiskType={} ({promise}); data in {}\n",
        settings.flush_mode(),
        settings.store.folder.display()
    );
    if config.is_quickstart {
        let server = servers.first().map_or("", String::as_str);
        let _ = write!(
            out,
            "\nTry next, in another terminal (in the source tree, ringmq-admin is\n\
             `cargo run --release -p ringmq-tools --`):\n  \
             ringmq-admin send -n {server} -t TopicTest -p hello\n  \
             ringmq-admin consume -n {server} -t TopicTest\n\
             or any RocketMQ client with the name server address {server}. Ctrl-C stops.\n"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::broker::Place;
    use crate::config::{BrokerConfig, NameServerConfig};

    fn standalone() -> Config {
        let broker = BrokerConfig::new(BrokerConfig::values(), Place::Loopback).unwrap();
        let names = NameServerConfig::new(NameServerConfig::values()).unwrap();
        Config {
            name_server: Some(names),
            broker: Some(broker),
            is_quickstart: true,
        }
    }

    fn address(port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn the_first_lines_are_apaches() {
        let text = boot_lines(&standalone(), address(10_911), address(9876));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "The Name Server boot success. serializeType=JSON, address 127.0.0.1:9876",
                "The broker[broker-a, 127.0.0.1:10911] boot success. serializeType=JSON and name server is 127.0.0.1:9876",
                "flushDiskType=SYNC_FLUSH (every SEND_OK is on the disk); data in ringmq-data",
            ]
        );
        assert!(text.contains("ringmq-admin send -n 127.0.0.1:9876 -t TopicTest"));
    }

    #[test]
    fn a_broker_without_name_servers_names_none() {
        let mut config = standalone();
        config.name_server = None;
        config.is_quickstart = false;
        let text = boot_lines(&config, address(10_911), None);
        assert!(text.starts_with(
            "The broker[broker-a, 127.0.0.1:10911] boot success. serializeType=JSON\n"
        ));
        assert!(!text.contains("Try next"));
    }
}

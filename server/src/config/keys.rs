//! The table of settings: what each is called, what it may be, what it is when nothing is said.
//! Parsing, checking, `-p` and `-m` all go by this table.

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text without line breaks.
    Text,
    /// A name of letters, digits, `_` and `-`: it becomes part of topic names.
    Name,
    /// `true` or `false`.
    Bool,
    /// A whole number between two, inclusive.
    Int(i64, i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IP address.
    Ip,
    /// `host:port`, several separated by `;`.
    Addresses,
    /// A folder or file.
    Path,
    /// Hours of the day, several separated by `;`.
    Hours,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in files and in `-p`.
    pub name: &'static str,
    /// Older spelling that is read too.
    pub alias: Option<&'static str>,
    /// What it may be.
    pub kind: Kind,
    /// Its value when nothing is said; empty where it depends on the machine or on another setting.
    pub default: &'static str,
    /// Whether it can be changed while the process runs (`mqadmin updateBrokerConfig` and
    /// `updateNamesrvConfig`); then it changes at once and in the configuration file.
    pub is_live: bool,
    /// Whether it is what it is and only shown: tools ask for it, and files may name it.
    pub is_fixed: bool,
    /// Whether `-m` prints it.
    pub is_important: bool,
    /// What it does, in one line.
    pub meaning: &'static str,
    /// What it is in Apache RocketMQ, where that differs: another default or another effect.
    pub apache: Option<&'static str>,
}

/// The processes that have settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// `ringmq broker`, and the broker in `ringmq standalone`.
    Broker,
    /// `ringmq namesrv`, and the name server in `ringmq standalone`.
    NameServer,
}

/// All settings there are, for whoever writes them down.
pub fn keys() -> impl Iterator<Item = (Process, &'static Key)> {
    let broker = BROKER.iter().map(|key| (Process::Broker, key));
    let names = NAME_SERVER.iter().map(|key| (Process::NameServer, key));
    broker.chain(names)
}

const fn key(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        alias: None,
        kind,
        default,
        is_live: false,
        is_fixed: false,
        is_important: false,
        meaning,
        apache: None,
    }
}

/// One that can be changed while the process runs.
const fn live(key: Key) -> Key {
    Key {
        is_live: true,
        ..key
    }
}

/// One that nothing changes.
const fn fixed(name: &'static str, value: &'static str, meaning: &'static str) -> Key {
    Key {
        is_fixed: true,
        ..key(name, Kind::Text, value, meaning)
    }
}

/// One that is not quite the same in Apache RocketMQ.
const fn unlike_apache(key: Key, apache: &'static str) -> Key {
    Key {
        apache: Some(apache),
        ..key
    }
}

const fn important(key: Key) -> Key {
    Key {
        is_important: true,
        ..key
    }
}

const fn also_called(key: Key, alias: &'static str) -> Key {
    Key {
        alias: Some(alias),
        ..key
    }
}

const PORT: Kind = Kind::Int(0, 65_535);

/// Settings of `ringmq broker` and of the broker in `ringmq standalone`, sorted by name.
pub const BROKER: &[Key] = &[
    live(key(
        "autoCreateSubscriptionGroup",
        Kind::Bool,
        "true",
        "Create a consumer group at its first use.",
    )),
    unlike_apache(
        live(important(key(
            "autoCreateTopicEnable",
            Kind::Bool,
            "true",
            "Create a topic at the first send to it.",
        ))),
        "Changed while the broker runs, false counts at once, true only if it was true at the start.",
    ),
    key(
        "bindAddress",
        Kind::Ip,
        "",
        "Address to listen on: 0.0.0.0 for a broker, 127.0.0.1 standalone.",
    ),
    important(key(
        "brokerClusterName",
        Kind::Name,
        "DefaultCluster",
        "Cluster the broker belongs to.",
    )),
    important(key(
        "brokerIP1",
        Kind::Ip,
        "",
        "Address that clients are told: the machine's first one for a broker, 127.0.0.1 standalone.",
    )),
    important(key(
        "brokerIP2",
        Kind::Ip,
        "",
        "Address of the replication port: that of brokerIP1.",
    )),
    unlike_apache(
        important(key(
            "brokerId",
            Kind::Int(0, 0),
            "0",
            "0 is a master, the only role there is yet.",
        )),
        "Other numbers are slaves.",
    ),
    important(key(
        "brokerName",
        Kind::Name,
        "",
        "Name of the broker: the host's for a broker, broker-a standalone.",
    )),
    live(key(
        "brokerPermission",
        Kind::Int(0, 6),
        "6",
        "2 writable, 4 readable, 6 both.",
    )),
    unlike_apache(
        important(key(
            "brokerRole",
            Kind::Choice(&["ASYNC_MASTER"]),
            "ASYNC_MASTER",
            "The only role there is yet.",
        )),
        "SYNC_MASTER and SLAVE too.",
    ),
    fixed(
        "clientCallbackExecutorThreads",
        "",
        "Cores of the machine, which tools read here.",
    ),
    key(
        "defaultTopicQueueNums",
        Kind::Int(1, 1024),
        "8",
        "Queues of the template topic; clients ask for 4 of them.",
    ),
    unlike_apache(
        live(key(
            "deleteWhen",
            Kind::Hours,
            "04",
            "Hours of the day, in UTC, in which messages older than fileReservedTime go.",
        )),
        "Hours of the machine's time zone.",
    ),
    fixed(
        "enablePropertyFilter",
        "false",
        "There are no SQL92 filters yet.",
    ),
    key(
        "enableSingleTopicRegister",
        Kind::Bool,
        "false",
        "Register changed topics one by one, which name servers of 5.x know.",
    ),
    key(
        "enableSplitRegistration",
        Kind::Bool,
        "false",
        "Register at most splitRegistrationSize topics at once, the rest right after.",
    ),
    key(
        "fetchNameSrvAddrByDnsLookup",
        Kind::Bool,
        "false",
        "namesrvAddr is one name: register with all its addresses.",
    ),
    key(
        "fetchNamesrvAddrByAddressServer",
        Kind::Bool,
        "false",
        "Without namesrvAddr: ask rmqAddressServerDomain for the name servers.",
    ),
    key(
        "fetchNamesrvAddrInterval",
        Kind::Int(1_000, 86_400_000),
        "10000",
        "Milliseconds between two such questions.",
    ),
    live(important(key(
        "fileReservedTime",
        Kind::Int(1, 87_600),
        "72",
        "Hours that messages are kept.",
    ))),
    fixed("filterServerNums", "0", "There are no filter servers."),
    unlike_apache(
        important(key(
            "flushDiskType",
            Kind::Choice(&["SYNC_FLUSH", "ASYNC_FLUSH"]),
            "SYNC_FLUSH",
            "When a send is acknowledged: SYNC_FLUSH survives a power cut, ASYNC_FLUSH the death of the process.",
        )),
        "The default is ASYNC_FLUSH, which acknowledges before the message is on the disk.",
    ),
    key(
        "forceRegister",
        Kind::Bool,
        "true",
        "Register every period; else ask first whether the name server knows the topics.",
    ),
    key(
        "haListenPort",
        PORT,
        "",
        "Replication port that name servers are told: listenPort + 1.",
    ),
    important(key(
        "listenPort",
        PORT,
        "10911",
        "Port for clients; the one two below is served too. 0 takes any.",
    )),
    unlike_apache(
        live(key(
            "longPollingEnable",
            Kind::Bool,
            "true",
            "Hold pulls that find nothing until something comes.",
        )),
        "Pulls are looked at again every 5 s, here when something comes or their time is over.",
    ),
    unlike_apache(
        also_called(
            key(
                "mappedFileSizeCommitLog",
                Kind::Int(4_194_304, 4_294_963_200),
                "268435456",
                "Bytes of a log segment of a new store.",
            ),
            "mapedFileSizeCommitLog",
        ),
        "The default is 1 GiB; it can be changed for an existing store.",
    ),
    live(key(
        "maxMessageSize",
        Kind::Int(1, 16_777_216),
        "4194304",
        "Longest message body in bytes.",
    )),
    fixed(
        "messageDelayLevel",
        "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h",
        "Delays of the levels from 1 on.",
    ),
    unlike_apache(
        key(
            "metricsPromExporterHost",
            Kind::Ip,
            "127.0.0.1",
            "Address of the HTTP endpoint of metrics, health and the status page.",
        ),
        "All interfaces. There is no access control on it, so here it stays on this machine.",
    ),
    unlike_apache(
        key(
            "metricsPromExporterPort",
            PORT,
            "5557",
            "Port of the HTTP endpoint. 0 takes any; when the usual one is taken there is none.",
        ),
        "Used only with metricsExporterType=PROM.",
    ),
    fixed(
        "msgTraceTopicName",
        "RMQ_SYS_TRACE_TOPIC",
        "Topic for message traces.",
    ),
    live(important(key(
        "namesrvAddr",
        Kind::Addresses,
        "",
        "Name servers to register with.",
    ))),
    live(key(
        "regionId",
        Kind::Text,
        "DefaultRegion",
        "Region that message traces carry.",
    )),
    key(
        "registerBrokerTimeoutMills",
        Kind::Int(100, 600_000),
        "24000",
        "Milliseconds that one registration may take.",
    ),
    key(
        "registerNameServerPeriod",
        Kind::Int(10_000, 60_000),
        "30000",
        "Milliseconds between registrations.",
    ),
    key(
        "ringmq.blocksInFlight",
        Kind::Int(1, 64),
        "1",
        "Log blocks on their way to the disk at once.",
    ),
    key(
        "ringmq.coldBytes",
        Kind::Int(2_097_152, 17_179_869_184),
        "",
        "Memory for reads from the disk, per shard; a built-in size when not set.",
    ),
    key(
        "ringmq.connectionsMax",
        Kind::Int(1, 65_536),
        "65536",
        "Connections of all ports together; more are closed at once.",
    ),
    key(
        "ringmq.connectionsPerAddressMax",
        Kind::Int(0, 65_536),
        "0",
        "Connections from one address; 0 for no bound but the one above.",
    ),
    key(
        "ringmq.firstFrameMillis",
        Kind::Int(0, 3_600_000),
        "60000",
        "Milliseconds after which a connection that has asked nothing is closed; 0 for no bound.",
    ),
    key(
        "ringmq.hotTailBytes",
        Kind::Int(1_048_576, 68_719_476_736),
        "",
        "Memory for the newest messages, per shard; a built-in size when not set.",
    ),
    key(
        "ringmq.httpEnable",
        Kind::Bool,
        "true",
        "Serve metrics, health and the status page by HTTP.",
    ),
    key(
        "ringmq.lockWaitSeconds",
        Kind::Int(0, 3600),
        "30",
        "How long to wait for a data folder that another broker still holds.",
    ),
    key(
        "ringmq.logDir",
        Kind::Path,
        "",
        "Folder of the log's files; standard error when not set.",
    ),
    key(
        "ringmq.logFileBytes",
        Kind::Int(4096, 1_099_511_627_776),
        "67108864",
        "Size at which a log file is put aside and a new one begun.",
    ),
    key(
        "ringmq.logFiles",
        Kind::Int(1, 1000),
        "10",
        "Log files kept, the newest included.",
    ),
    key(
        "ringmq.logFormat",
        Kind::Choice(&["text", "json"]),
        "text",
        "Lines for people, or one JSON object a line.",
    ),
    live(key(
        "ringmq.logLevel",
        Kind::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
        "info",
        "What is logged; the environment's RINGMQ_LOG wins at the start and may name modules.",
    )),
    key(
        "ringmq.metricsRows",
        Kind::Int(0, 1_000_000),
        "1000",
        "Topics, and groups in topics, with metrics of their own; all others count together.",
    ),
    key(
        "ringmq.pinThreads",
        Kind::Bool,
        "true",
        "Pin each shard's thread to a core.",
    ),
    live(key(
        "ringmq.retentionBytes",
        Kind::Int(0, i64::MAX),
        "0",
        "Bytes of log kept per shard; 0 for no bound but the time.",
    )),
    key(
        "ringmq.shards",
        Kind::Int(0, 16),
        "0",
        "Shards of a new store; 0 for half of the cores. An existing store keeps its own.",
    ),
    key(
        "rmqAddressServerDomain",
        Kind::Text,
        "",
        "Host, or host:port, of http://HOST:8080/rocketmq/GROUP, which answers with the name servers.",
    ),
    key(
        "rmqAddressServerSubGroup",
        Kind::Text,
        "nsaddr",
        "GROUP in it.",
    ),
    fixed(
        "slaveReadEnable",
        "false",
        "There are no slaves to read from yet.",
    ),
    key(
        "splitRegistrationSize",
        Kind::Int(2, 20_000),
        "800",
        "Topics of one registration when it is split.",
    ),
    unlike_apache(
        important(key(
            "storePathRootDir",
            Kind::Path,
            "",
            "Data folder: ringmq/store in the home folder for a broker, ringmq-data standalone.",
        )),
        "The default is store in the home folder.",
    ),
    unlike_apache(
        live(key(
            "syncFlushTimeout",
            Kind::Int(1, 600_000),
            "5000",
            "Milliseconds after which a send that is not durable yet is answered with FLUSH_DISK_TIMEOUT.",
        )),
        "Only for SYNC_FLUSH.",
    ),
    live(key(
        "traceOn",
        Kind::Bool,
        "true",
        "Tell producers to send message traces.",
    )),
    key(
        "traceTopicEnable",
        Kind::Bool,
        "false",
        "Create the topic for message traces.",
    ),
    key(
        "updateNameServerAddrPeriod",
        Kind::Int(1_000, 86_400_000),
        "120000",
        "Milliseconds between two lookups of the name in namesrvAddr.",
    ),
    live(key(
        "useServerSideResetOffset",
        Kind::Bool,
        "true",
        "Reset a group's offsets in the broker, as 5.x does; without it the group's clients are told to.",
    )),
    fixed("useTLS", "false", "There is no TLS yet."),
];

/// Settings of `ringmq namesrv`, sorted by name.
pub const NAME_SERVER: &[Key] = &[
    important(key(
        "bindAddress",
        Kind::Ip,
        "0.0.0.0",
        "Address to listen on.",
    )),
    live(key(
        "deleteTopicWithBrokerRegistration",
        Kind::Bool,
        "false",
        "Remove a broker's topics that its registration does not name; its brokers need enableSingleTopicRegister.",
    )),
    live(key(
        "enableAllTopicList",
        Kind::Bool,
        "true",
        "Answer requests for the list of all topics.",
    )),
    live(key(
        "enableTopicList",
        Kind::Bool,
        "true",
        "Answer requests for other lists of topics.",
    )),
    important(key(
        "kvConfigPath",
        Kind::Path,
        "",
        "File that keeps the KV configuration: kvConfig.json in ringmq in the home folder, or standalone in the data folder.",
    )),
    important(key(
        "listenPort",
        PORT,
        "9876",
        "Port for brokers and clients. 0 takes any.",
    )),
    unlike_apache(
        key(
            "metricsPromExporterHost",
            Kind::Ip,
            "127.0.0.1",
            "Address of the HTTP endpoint of metrics, health and the status page.",
        ),
        "All interfaces. There is no access control on it, so here it stays on this machine.",
    ),
    unlike_apache(
        key(
            "metricsPromExporterPort",
            PORT,
            "5558",
            "Port of the HTTP endpoint. 0 takes any; when the usual one is taken there is none.",
        ),
        "Used only with metricsExporterType=PROM.",
    ),
    live(key(
        "needWaitForService",
        Kind::Bool,
        "false",
        "Answer no routes for waitSecondsForService after the start.",
    )),
    live(key(
        "notifyMinBrokerIdChanged",
        Kind::Bool,
        "false",
        "Tell brokers when the smallest id under their name changes.",
    )),
    live(key(
        "orderMessageEnable",
        Kind::Bool,
        "false",
        "Add the order configuration to routes.",
    )),
    live(key(
        "returnOrderTopicConfigToBroker",
        Kind::Bool,
        "true",
        "Tell brokers the order configuration when they register.",
    )),
    live(key(
        "ringmq.brokerExpiredMillis",
        Kind::Int(1_000, 86_400_000),
        "120000",
        "Milliseconds of silence after which a broker that does not say otherwise is dropped.",
    )),
    key(
        "ringmq.connectionsMax",
        Kind::Int(1, 65_536),
        "65536",
        "Connections of all ports together; more are closed at once.",
    ),
    key(
        "ringmq.connectionsPerAddressMax",
        Kind::Int(0, 65_536),
        "0",
        "Connections from one address; 0 for no bound but the one above.",
    ),
    key(
        "ringmq.firstFrameMillis",
        Kind::Int(0, 3_600_000),
        "60000",
        "Milliseconds after which a connection that has asked nothing is closed; 0 for no bound.",
    ),
    key(
        "ringmq.httpEnable",
        Kind::Bool,
        "true",
        "Serve metrics, health and the status page by HTTP.",
    ),
    key(
        "ringmq.logDir",
        Kind::Path,
        "",
        "Folder of the log's files; standard error when not set.",
    ),
    key(
        "ringmq.logFileBytes",
        Kind::Int(4096, 1_099_511_627_776),
        "67108864",
        "Size at which a log file is put aside and a new one begun.",
    ),
    key(
        "ringmq.logFiles",
        Kind::Int(1, 1000),
        "10",
        "Log files kept, the newest included.",
    ),
    key(
        "ringmq.logFormat",
        Kind::Choice(&["text", "json"]),
        "text",
        "Lines for people, or one JSON object a line.",
    ),
    live(key(
        "ringmq.logLevel",
        Kind::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
        "info",
        "What is logged; the environment's RINGMQ_LOG wins at the start and may name modules.",
    )),
    key(
        "ringmq.metricsRows",
        Kind::Int(0, 1_000_000),
        "1000",
        "Topics, and groups in topics, with metrics of their own; all others count together.",
    ),
    live(key(
        "scanNotActiveBrokerInterval",
        Kind::Int(100, 600_000),
        "5000",
        "Milliseconds between two looks for silent brokers.",
    )),
    live(key(
        "supportActingMaster",
        Kind::Bool,
        "false",
        "Show a slave in the place of a missing master, where its brokers allow it.",
    )),
    live(key(
        "waitSecondsForService",
        Kind::Int(0, 86_400),
        "45",
        "See needWaitForService.",
    )),
];

/// Finds a key by its name or its older spelling.
pub fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    table
        .iter()
        .find(|key| key.name == name || key.alias == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_no_key_is_listed_as_without_effect() {
        let lists = [
            (BROKER, super::super::apache_keys::BROKER),
            (NAME_SERVER, super::super::apache_keys::NAME_SERVER),
        ];
        for (table, without_effect) in lists {
            assert!(table.is_sorted_by_key(|key| key.name));
            assert!(without_effect.is_sorted());
            let both = |key: &&Key| without_effect.binary_search(&key.name).is_ok();
            assert!(!table.iter().any(|key| both(&key)));
        }
    }
}

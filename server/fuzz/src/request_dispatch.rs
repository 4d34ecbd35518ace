//! Any requests at all to a broker in the simulated world: nothing panics, each one is answered or its
//! connection closed within bounded time and work, and a good request is served afterwards.
//!
//! The input is a list of requests; what it lacks at its end is zero:
//!
//! ```text
//! | flags u8 | code u16 | fields u8 | { name u8, value } .. | body |
//! value: kind u8; a known one, or a number (8 bytes), or text (length u8, bytes)
//! body:  kind u8; none, a known one, bytes (length u8, bytes), or kilobytes of zeros
//! ```
//!
//! Codes come from all over their range, so that a new request is covered without a change here.

use std::sync::Arc;

use ringmq_engine::Shard;
use ringmq_engine::config::Config;
use ringmq_engine::control::open::{OpenedShard, StoreChance, open_store};
use ringmq_engine::control::worker::Worker;
use ringmq_protocol::code::{request, response};
use ringmq_protocol::frame::{self, HeaderKind, Split};
use ringmq_protocol::header::{ExtWriter, Head, Header, Language};
use ringmq_ring::sim::{ClientState, Faults, SimClient, SimIo, SimThread, SimWaker, Step, World};
use ringmq_ring::{Io, Mailboxes, Wake};
use ringmq_server::config::Process;
use ringmq_server::connection::Port;
use ringmq_server::desk::{Ask, Reply, WholeReply};
use ringmq_server::limits;
use ringmq_server::link::{self, Command, ControlLink, Notice};
use ringmq_server::mux::Mux;
use ringmq_server::service::ShardService;
use ringmq_server::shard::Settings;

use crate::harness::{broker_shard, settings};

const PORT: u16 = 10911;
const REQUESTS_MAX: usize = 24;
/// A held pull is answered after a minute at the latest; everything else comes sooner.
const PATIENCE_NS: u64 = 100 * limits::SECOND_NS;
/// Steps of the world that no input may need.
const STEPS_MAX: u64 = 1_000_000;
/// Longest answer: lists of all there is in a broker that has next to nothing.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// A topic that no input can name.
const KEPT: &str = "Kept7f3a91";

const ONEWAY: u8 = 1;
const BINARY: u8 = 2;
const OLD_CLIENT: u8 = 4;
const SECOND_PEER: u8 = 8;
const RAW: u8 = 16;
const GO_ON: u8 = 32;
const RESPONSE: u8 = 64;

/// Every name of a field that a request may have, with those of SEND_MESSAGE_V2.
#[rustfmt::skip]
const NAMES: [&str; 126] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n",
    "topic", "queueId", "consumerGroup", "producerGroup", "group", "groupName", "clientID", "clientId",
    "queueOffset", "commitOffset", "offset", "maxMsgNums", "maxMsgBytes", "maxNum", "sysFlag", "flag",
    "suspendTimeoutMillis", "subscription", "subVersion", "expressionType", "requestSource",
    "proxyFrowardClientId", "defaultTopic", "defaultTopicQueueNums", "bornTimestamp", "properties",
    "reconsumeTimes", "unitMode", "maxReconsumeTimes", "batch", "bname", "timestamp", "boundaryType",
    "committed", "setZeroIfNotFound", "readQueueNums", "writeQueueNums", "perm", "topicFilterType",
    "topicSysFlag", "order", "attributes", "force", "isForce", "isOrder", "cleanOffset", "srcGroup",
    "destGroup", "offline", "compareGroup", "filterGroups", "statsName", "statsKey", "brokerName",
    "brokerAddr", "brokerId", "clusterName", "cluster", "namespace", "key", "value", "index", "count",
    "originMsgId", "originTopic", "delayLevel", "msgId", "transactionId", "tranStateTableOffset",
    "commitLogOffset", "commitOrRollback", "fromTransactionCheck", "extraInfo", "beginTimestamp",
    "endTimestamp", "indexType", "lastKey", "uniqMsgID", "jstackEnable", "clientAddr", "lang", "lo",
    "mode", "popShareQueueNum", "pollTime", "bornTime", "invisibleTime", "initMode", "exp", "expType",
    "masterAddr", "masterHAAddr", "masterFlushOffset", "haServerAddr", "compressed", "bodyCrc32",
    "heartbeatTimeoutMillis", "enableActingMaster", "topicName", "confirmOffset", "epoch", "brokerConfig",
    "pos", "size", "maxOffset", "resetTimestamp", "topicList", "ns", "nsd", "dstGroup", "liteTopic",
    "unknown",
];

/// Values that mean something somewhere.
#[rustfmt::skip]
const VALUES: [&str; 64] = [
    "Fuzz", "Fuzz2", "", "TBW102", "%RETRY%readers", "%DLQ%readers", "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC", "OFFSET_MOVED_EVENT", "broker-a", "DefaultCluster", "BenchmarkTest",
    "readers", "writers", "TOOLS_CONSUMER", "CID_RMQ_SYS_x", "client-1", "127.0.0.1:10911", "[::1]:1",
    "10.0.0.1:99999", "0", "1", "2", "3", "4", "6", "7", "8", "15", "16", "32", "100", "1000", "-1", "-2",
    "65536", "2147483647", "-2147483648", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "1e9", "0x10", " 5", "1.5", "true", "false", "TRUE", "null", "*", "a || b",
    "a > 3 AND b IS NULL", "TAG", "SQL92", "LOWER", "UPPER", "KEYS\u{1}k\u{2}TAGS\u{1}a\u{2}",
    "TAGS\u{1}", "+message.type=NORMAL,-x", "{}", "[1,2", "00000000000000000000000000000000",
    "../../etc/passwd", "\u{0}\u{1}\u{7f}\u{e9}\u{4e2d}",
];

/// Bodies that mean something to some request.
#[rustfmt::skip]
const BODIES: [&str; 24] = [
    "hello",
    r#"{"clientID":"client-1","consumerDataSet":[{"groupName":"readers","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","unitMode":false,"subscriptionDataSet":[{"topic":"Fuzz","subString":"*","tagsSet":[],"codeSet":[],"subVersion":1,"expressionType":"TAG","classFilterMode":false}]}],"producerDataSet":[{"groupName":"writers"}]}"#,
    r#"{"clientID":"","consumerDataSet":[{}],"producerDataSet":[{}]}"#,
    r#"{"consumerGroup":"readers","clientId":"client-1","mqSet":[{"topic":"Fuzz","brokerName":"broker-a","queueId":0},{"topic":"Fuzz","brokerName":"broker-a","queueId":-1}]}"#,
    r#"{"groupName":"readers","consumeEnable":false,"consumeFromMinEnable":true,"consumeBroadcastEnable":true,"retryQueueNums":2147483647,"retryMaxTimes":-5,"brokerId":0,"whichBrokerWhenConsumeSlowly":1}"#,
    r#"{"topicConfigList":[{"topicName":"Fuzz2","readQueueNums":3,"writeQueueNums":1,"perm":6,"order":true},{"topicName":"","perm":99}]}"#,
    r#"{"topicList":["Fuzz","Fuzz2"]}"#,
    r#"{"groupConfigList":[{"groupName":"g2"},{"groupName":"%%"}]}"#,
    "brokerPermission=4\nautoCreateTopicEnable=false\n",
    "fileReservedTime=1\nflushDiskType=ASYNC_FLUSH\nnonsense=1\n",
    "maxMessageSize=1\nlistenPort=1\n=\n\u{0}\n",
    r#"{"offsetTable":{{"topic":"Fuzz","queueId":0,"brokerName":"broker-a"}:5}}"#,
    r#"{"offsetTable":{"Fuzz@readers":{0:3,1:99}},"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1}}"#,
    r#"{"topicSubscriptionTable":{}}"#,
    r#"{"dataVersion":{"counter":9223372036854775807,"timestamp":-1},"topicConfigTable":{"Fuzz":{"topicName":"Fuzz"}}}"#,
    "{", "[]", "null", "\"text\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    r#"{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}"#,
    "\u{0}\u{0}\u{0}\u{10}", "\u{7f}\u{7f}\u{7f}\u{7f}", "consumeType=1&x=%00",
];

/// One input.
///
/// # Panics
/// When the broker breaks its word.
pub fn check(input: &[u8]) {
    let mut reader = Reader(input);
    let shards = 1 + reader.byte() % 2;
    let mut town = Town::new(shards);
    town.prepare();
    let mut peers = [Peer::new(&town), Peer::new(&town)];
    let mut reconfigured = false;
    for opaque in 0..REQUESTS_MAX as i32 {
        if reader.is_empty() {
            break;
        }
        let flags = reader.byte();
        let peer = &mut peers[usize::from(flags & SECOND_PEER > 0)];
        if flags & RAW > 0 {
            peer.client.send(reader.bytes().to_vec());
            peer.is_broken = true;
        } else {
            let code = reader.code();
            reconfigured |= code == request::UPDATE_BROKER_CONFIG;
            peer.ask(code, flags, opaque, &mut reader);
        }
        if flags & GO_ON > 0 {
            town.go_on(200);
        }
    }
    town.run_until_answered(&mut peers);
    town.check_service(reconfigured);
}

/// The input, read to its end and then zeros.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// Mostly the range where codes are, now and then any.
    fn code(&mut self) -> i32 {
        let (low, high) = (i32::from(self.byte()), self.byte());
        match high {
            0..=0x0F => i32::from(high) * 256 + low,
            0x10..=0x7F => i32::from(high % 2) * 256 + low,
            0x80..=0x9F => 200_000 + low,
            0xA0..=0xBF => 32_700 + low,
            _ => i32::from(i16::from_le_bytes([low as u8, high])),
        }
    }

    fn value(&mut self) -> String {
        match self.byte() {
            kind @ 0..=191 => VALUES[usize::from(kind) % VALUES.len()].to_owned(),
            192..=223 => {
                let bytes = [0; 8].map(|_: u8| self.byte());
                i64::from_le_bytes(bytes).to_string()
            }
            224..=253 => String::from_utf8_lossy(self.bytes()).into_owned(),
            kind => "long".repeat(usize::from(kind) * 8),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        match self.byte() {
            0..=63 => Vec::new(),
            kind @ 64..=191 => BODIES[usize::from(kind) % BODIES.len()].as_bytes().to_vec(),
            192..=239 => self.bytes().to_vec(),
            kind => vec![0; usize::from(kind - 239) * 4096],
        }
    }
}

/// A broker in a world of its own.
struct Town {
    world: World,
    process: ringmq_ring::sim::Process,
    threads: Vec<SimThread<ShardService<SimIo>>>,
    controls: Vec<ControlLink<SimWaker>>,
    settings: Arc<Settings>,
    steps: u64,
}

impl Town {
    fn new(shards: u8) -> Self {
        let world = World::new(1, Faults::default());
        let process = world.process();
        let disk = world.disk(process);
        let mut config = Config::new("/data");
        config.shards = Some(shards);
        config.segment_bytes = 1 << 20;
        let chance = StoreChance {
            store_id: [1; 16],
            salt: [2; 16],
            table_seed: 3,
            shards,
            wall_ms: 1_700_000_000_000,
        };
        let opened = {
            let disk = disk.clone();
            world.block_on(
                process,
                async move { open_store(&disk, &config, chance).await },
            )
        };
        let opened = opened.expect("a faultless disk takes a new store");
        let listener = world.listen(process, PORT);
        let mut listener = Some(listener.expect("nobody else listens"));
        let settings = Arc::new(settings(([127, 0, 0, 1], PORT).into()));
        let mesh = Mailboxes::mesh(usize::from(shards), limits::MAILBOX_SLOTS);
        let (mut threads, mut controls) = (Vec::new(), Vec::new());
        for (shard, mailboxes) in opened.shards.into_iter().zip(mesh) {
            let OpenedShard {
                start,
                worker,
                link: worker_link,
                ..
            } = shard;
            let mut io = world.io(process);
            let engine = Shard::new(start, &mut io).expect("a simulated io takes every file");
            let worker = Worker::new(disk.clone(), worker, worker_link, io.waker());
            world.spawn(process, worker.run());
            let listener = listener.take();
            let broker = broker_shard(engine, Arc::clone(&settings), listener.is_some());
            let (link, control) = link::pair();
            controls.push(control);
            let mut service = ShardService::new(Mux::new(mailboxes), Some(broker), None, link);
            if let Some(listener) = listener {
                service.listen(listener, Port::Broker);
            }
            threads.push(SimThread::new(io, service));
        }
        Self {
            world,
            process,
            threads,
            controls,
            settings,
            steps: 0,
        }
    }

    /// A topic and a group with a message each, so that requests find something.
    fn prepare(&mut self) {
        let mut peer = Peer::new(self);
        for (opaque, topic) in ["Fuzz", KEPT].into_iter().enumerate() {
            peer.send_message(opaque as i32, topic);
        }
        let heartbeat = BODIES[1].as_bytes();
        peer.frame(request::HEART_BEAT, 0, 2, heartbeat, |_| ());
        self.run_until_answered(std::slice::from_mut(&mut peer));
        assert_eq!(peer.codes(), [0, 0, 0], "the broker serves at all");
    }

    /// What every client may count on, whatever others have asked.
    fn check_service(&mut self, reconfigured: bool) {
        let mut peer = Peer::new(self);
        peer.send_message(1, KEPT);
        peer.frame(request::HEART_BEAT, 0, 2, BODIES[1].as_bytes(), |_| ());
        self.run_until_answered(std::slice::from_mut(&mut peer));
        let codes = peer.codes();
        assert_eq!(codes.len(), 2, "a good request is not answered");
        assert_eq!(codes[1], response::SUCCESS, "a heartbeat is refused");
        // An operator may forbid sending.
        assert!(
            reconfigured || codes[0] == response::SUCCESS,
            "a message is refused: {}",
            codes[0]
        );
    }

    fn go_on(&mut self, steps: u64) {
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "too much work");
        match self.world.step() {
            Step::Turn(number) => {
                let thread = self.threads.iter_mut().find(|t| t.number() == number);
                thread.expect("a thread of the town").turn();
                self.answer_questions();
            }
            Step::Ran => {}
            step => panic!("{step:?}"),
        }
    }

    /// As the control plane does, at once: with some text, or with the settings as they were.
    fn answer_questions(&mut self) {
        for (control, thread) in self.controls.iter_mut().zip(&self.threads) {
            while control.has_room_for_replies()
                && let Some(notice) = control.notice()
            {
                let Notice::Ask(question) = notice else {
                    continue;
                };
                let reply = match question.ask {
                    Ask::ChangeSettings(Process::Broker, _) => {
                        Reply::BrokerSettings(question.to, Arc::clone(&self.settings))
                    }
                    _ => Reply::Whole(question.to, WholeReply::body("{}")),
                };
                control.command(Command::Reply(Box::new(reply)));
                thread.io.waker().wake();
            }
        }
    }

    fn run_until_answered(&mut self, peers: &mut [Peer]) {
        let until_ns = self.world.now().monotonic_ns + PATIENCE_NS;
        while !peers.iter_mut().all(Peer::is_content) {
            let now_ns = self.world.now().monotonic_ns;
            assert!(now_ns < until_ns, "a request is never answered");
            self.step();
        }
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        // Its tasks hold the world that holds them.
        self.world.kill(self.process);
    }
}

/// A client that collects the codes of its answers.
struct Peer {
    client: SimClient,
    received: Vec<u8>,
    /// Requests that are not answered.
    waiting: Vec<i32>,
    answers: Vec<(i32, i32)>,
    /// It has sent what is no frame, so the next frames mean nothing.
    is_broken: bool,
}

impl Peer {
    fn new(town: &Town) -> Self {
        Self {
            client: town.world.connect(PORT),
            received: Vec::new(),
            waiting: Vec::new(),
            answers: Vec::new(),
            is_broken: false,
        }
    }

    fn ask(&mut self, code: i32, flags: u8, opaque: i32, reader: &mut Reader<'_>) {
        let fields: Vec<_> = (0..reader.byte() % 32)
            .map(|_| {
                let name = NAMES[usize::from(reader.byte()) % NAMES.len()];
                (name, reader.value())
            })
            .collect();
        let body = reader.body();
        self.frame(code, flags, opaque, &body, |ext| {
            for (name, value) in &fields {
                ext.put(name, value.as_str());
            }
        });
    }

    fn frame(
        &mut self,
        code: i32,
        flags: u8,
        opaque: i32,
        body: &[u8],
        put: impl FnOnce(&mut ExtWriter<'_>),
    ) {
        let oneway = if flags & ONEWAY > 0 { 2 } else { 0 };
        let flag = oneway | i32::from(flags & RESPONSE > 0);
        let head = Head {
            code,
            language: Language::Java,
            version: if flags & OLD_CLIENT > 0 { 401 } else { 513 },
            opaque,
            flag,
            remark: None,
        };
        let kind = match flags & BINARY > 0 && i16::try_from(code).is_ok() {
            true => HeaderKind::Binary,
            false => HeaderKind::Json,
        };
        let mut out = Vec::new();
        // What cannot be encoded is not sent.
        if head.encode_frame(kind, &mut out, body, put).is_err() {
            return;
        }
        self.client.send(out);
        if flag == 0 {
            self.waiting.push(opaque);
        }
    }

    fn send_message(&mut self, opaque: i32, topic: &str) {
        self.frame(request::SEND_MESSAGE_V2, 0, opaque, b"kept", |ext| {
            let fields = [
                ("a", "writers"),
                ("b", topic),
                ("c", "TBW102"),
                ("d", "4"),
                ("e", "0"),
                ("f", "0"),
                ("g", "1700000000000"),
                ("h", "0"),
                ("i", ""),
                ("j", "0"),
                ("k", "false"),
                ("m", "false"),
            ];
            for (name, value) in fields {
                ext.put(name, value);
            }
        });
    }

    /// Everything is answered, or the connection is closed.
    fn is_content(&mut self) -> bool {
        self.received.extend(self.client.receive());
        assert!(self.received.len() < ANSWER_BYTES_MAX, "an endless answer");
        self.take_frames();
        let closed = matches!(self.client.state(), ClientState::Ended | ClientState::Reset);
        self.waiting.is_empty() || self.is_broken || closed
    }

    fn take_frames(&mut self) {
        loop {
            let split = frame::split(&self.received, ANSWER_BYTES_MAX);
            let Split::Frame(frame) = split.expect("a broker sends frames") else {
                return;
            };
            let header = Header::decode(frame.kind, frame.header);
            let header = header.expect("a broker sends headers");
            // Others are the broker's own requests.
            if header.flag & 1 == 1 {
                self.answers.push((header.opaque, header.code));
                let opaque = header.opaque;
                self.waiting.retain(|&waiting| waiting != opaque);
            }
            let total = frame.total;
            self.received.drain(..total);
        }
    }

    /// The codes of the answers by the numbers of their requests.
    fn codes(&self) -> Vec<i32> {
        let mut answers = self.answers.clone();
        answers.sort_unstable();
        answers.into_iter().map(|(_, code)| code).collect()
    }
}

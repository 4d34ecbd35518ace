//! Every bound of the server, in one place. At a bound the peer is refused or slowed, never served
//! from memory that grows.

use std::time::Duration;

/// Longest topic name, in bytes (`TopicValidator.TOPIC_MAX_LENGTH`).
pub const TOPIC_NAME_BYTES_MAX: usize = 127;
/// Longest `%RETRY%` or `%DLQ%` topic name, in bytes.
pub const RETRY_TOPIC_NAME_BYTES_MAX: usize = 255;
/// Longest group name, in bytes (4.9.x; newer clients stop at 120 on their own).
pub const GROUP_NAME_BYTES_MAX: usize = 255;
/// Longest client id, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 1024;
/// Most queues one topic may have.
pub const TOPIC_QUEUES_MAX: u32 = 65_536;
/// Most topics in one broker's table.
pub const TOPICS_MAX: usize = 1_000_000;
/// Most consumer group configurations.
pub const GROUPS_MAX: usize = 1_000_000;
/// Most attributes of one topic or group.
pub const ATTRIBUTES_MAX: usize = 64;
/// Longest attribute key or value, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// Most producer and consumer groups in one heartbeat.
pub const HEARTBEAT_GROUPS_MAX: usize = 4096;
/// Most subscriptions of one group in one heartbeat.
pub const GROUP_SUBSCRIPTIONS_MAX: usize = 4096;
/// Longest subscription expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 64 * 1024;
/// Most tags in one subscription expression.
pub const EXPRESSION_TAGS_MAX: usize = 4096;
/// Most (group, connection) memberships, producers and consumers together.
pub const MEMBERSHIPS_MAX: usize = 1_000_000;
/// Most queue locks held at once, all groups together.
pub const QUEUE_LOCKS_MAX: usize = 1_000_000;
/// Most queues in one lock or unlock request.
pub const LOCK_REQUEST_QUEUES_MAX: usize = 65_536;

/// Longest inflated body of a compressed broker registration, in bytes.
pub const REGISTRATION_INFLATED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Highest ratio of inflated to compressed bytes of a registration.
pub const REGISTRATION_INFLATION_RATIO_MAX: usize = 100;
/// Most brokers (addresses) in the name server's table.
pub const NAME_SERVER_BROKERS_MAX: usize = 16_384;
/// Most topics in the name server's table, all brokers together.
pub const NAME_SERVER_TOPICS_MAX: usize = 1_000_000;
/// Most (topic, broker) pairs in the name server's table.
pub const NAME_SERVER_QUEUE_DATA_MAX: usize = 4_000_000;
/// Most static topics (5.x) whose mappings the name server keeps.
pub const NAME_SERVER_MAPPINGS_MAX: usize = 65_536;
/// Most changes of a smallest broker id that wait to be told; later ones brokers find out by asking.
pub const NAME_SERVER_MIN_BROKER_CHANGES_MAX: usize = 1024;
/// Longest cluster, broker, address or zone name a broker may register, in bytes.
pub const NAME_SERVER_NAME_BYTES_MAX: usize = 1024;
/// Most filter servers (a 3.x feature, carried only) one broker may register.
pub const FILTER_SERVERS_MAX: usize = 64;
/// Most bytes of keys and values in the name server's KV configuration.
pub const NAME_SERVER_KV_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest answer of an endpoint that says which name servers there are, in bytes.
pub const ADDRESS_SERVER_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most name servers a broker registers with.
pub const NAME_SERVERS_MAX: usize = 64;
/// Longest answer accepted from a name server, in bytes.
pub const NAME_SERVER_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most topics in one registration; more go in several, so that none outgrows a frame.
pub const REGISTRATION_TOPICS_MAX: usize = 20_000;
/// Threads that answer HTTP requests: as many slow readers can hold the endpoint up.
pub const HTTP_THREADS: usize = 4;
/// How long one may take to send its request, and to read each part of the answer.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of an HTTP request, in bytes.
pub const HTTP_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Most headers of one.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Log events of one thread that wait to be written; more are counted only.
pub const LOG_EVENTS_MAX: usize = 512;
/// How long a busy port is waited for at the start.
pub const LISTEN_PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries.
pub const LISTEN_PAUSE: Duration = Duration::from_millis(5);
/// Connections the kernel keeps for us until they are accepted.
pub const LISTEN_BACKLOG: i32 = 1024;
/// Longest configuration file, in bytes.
pub const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest frame accepted, its four length bytes included (`com.rocketmq.remoting.frameMaxLength`).
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Shortest frame: the length word and the header-length word.
pub const FRAME_BYTES_MIN: usize = 8;

/// Bytes a connection may have in flight (requests not answered and answers not sent) before it is
/// read no further.
pub const CONNECTION_IN_FLIGHT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Below this many bytes in flight a connection is read again.
pub const CONNECTION_IN_FLIGHT_BYTES_RESUME: usize = CONNECTION_IN_FLIGHT_BYTES_MAX / 2;
/// Bytes in flight of all connections of a shard; beyond it each connection's own bound shrinks to
/// [`CONNECTION_IN_FLIGHT_BYTES_CROWDED`].
pub const SHARD_IN_FLIGHT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of started frames of all connections of a shard; whoever adds much beyond it is closed.
pub const SHARD_HELD_BYTES_MAX: usize = 512 * 1024 * 1024;
/// A connection's bound while its shard is crowded.
pub const CONNECTION_IN_FLIGHT_BYTES_CROWDED: usize = 256 * 1024;
/// What a request in flight costs beside its own bytes.
pub const REQUEST_OVERHEAD_BYTES: usize = 64;

/// Body slices shorter than this are copied into the answer, longer ones ride as parts of the gather
/// send: below it copying is cheaper than one more part.
pub const GATHER_SLICE_BYTES_MIN: usize = 2048;
/// Parts of one gather send; the kernel takes at most 1024.
pub const SEND_PARTS_MAX: usize = 512;
/// Bytes of one gather send. It bounds how long a healthy but slow reader can keep one send busy.
pub const SEND_BYTES_MAX: usize = 1024 * 1024;
/// An output or receive buffer kept for reuse is never larger.
pub const SPARE_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Buffers kept for reuse per shard.
pub const SPARE_BUFFERS_MAX: usize = 64;

/// A connection on which nothing moves is closed (Apache's all-idle time).
pub const IDLE_CLOSE_NS: u64 = 120 * SECOND_NS;
/// A frame that has started may take this long whatever its pace.
pub const FRAME_GRACE_NS: u64 = 2 * SECOND_NS;
/// Pace a started frame must keep after the grace, in bytes per second.
pub const FRAME_BYTES_PER_SECOND_MIN: u64 = 1024;
/// A new connection must have sent a whole frame within this time, unless an operator says otherwise.
pub const FIRST_FRAME_NS: u64 = 60 * SECOND_NS;
/// A gather send that does not finish within this time ends its connection.
pub const SEND_STALL_NS: u64 = 30 * SECOND_NS;
/// How often the connections are looked over for the three times above.
pub const SWEEP_INTERVAL_NS: u64 = SECOND_NS / 4;
/// A full sweep takes this many intervals.
pub const SWEEP_STEPS: usize = 4;

/// Lines about closed connections of one reason, or refusals of one code, in each interval.
pub const LIKE_EVENTS_MAX: u32 = 5;
/// After that they are only counted, and the count is told when this time is over.
pub const LIKE_EVENTS_INTERVAL_NS: u64 = 60 * SECOND_NS;
/// Bytes of a refusal's remark that a line of the log shows.
pub const LOGGED_REMARK_BYTES_MAX: usize = 512;
/// Reasons and codes told apart for that.
pub const SPARING_KINDS_MAX: usize = 256;

/// Rows of queues or group offsets that a shard looks at in one turn for its figures.
pub const BACKLOG_STEP_ROWS: usize = 256;
/// Time from one walk through them to the next.
pub const BACKLOG_INTERVAL_NS: u64 = 5 * SECOND_NS;
/// Meters (topics, and groups in topics) of one shard in one page of counters.
pub const METERS_PER_PAGE: usize = 256;
/// Pages of meters of one shard; what comes later counts in the shard's totals only.
pub const METER_PAGES: usize = 1024;

/// Connections of one shard (24 bits of a token).
pub const CONNECTIONS_MAX: usize = 1 << 16;

/// Slots of a mailbox ring in each direction between two shards.
pub const MAILBOX_SLOTS: usize = 256;
/// Bytes of requests gathered for another shard in one envelope.
pub const ENVELOPE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Requests parked until a topic or group they need exists.
pub const PARKED_REQUESTS_MAX: usize = 16_384;
/// How often silent clients and expired locks are looked for.
pub const EXPIRE_INTERVAL_NS: u64 = 10 * SECOND_NS;
/// Accepting pauses this long when the process has no file descriptors left.
pub const ACCEPT_PAUSE_NS: u64 = SECOND_NS / 10;
/// Slots of each ring between a shard and the control plane.
pub const LINK_SLOTS: usize = 64;
/// Entries of a queue in one answer (321).
pub const ENTRIES_MAX: usize = 4096;
/// Topics, and groups in topics, whose rates over a minute, an hour and a day are kept: about a
/// kilobyte each after a day.
pub const STATISTICS_ITEMS_MAX: usize = 65_536;
/// Requests of one shard that wait for the control plane.
pub const QUESTIONS_MAX: usize = 1024;
/// How long the last answers may take to leave when the process ends.
pub const LAST_ANSWERS_NS: u64 = SECOND_NS;
/// How soon an engine that was busy at the start is asked again.
pub const START_RETRY_NS: u64 = SECOND_NS / 100;
/// Topics and groups being made durable at one time.
pub const CHANGES_IN_FLIGHT_MAX: usize = 4096;

/// Gathers that one shard has asked for and waits for.
pub const GATHERS_MAX: usize = 64;
/// A gather that is not complete after this time is given up.
pub const GATHER_NS: u64 = 10 * SECOND_NS;
/// Letters that may wait for room in a mailbox before a gather is refused.
pub const GATHER_LETTERS_WAITING_MAX: usize = 64;
/// Rows that a shard adds to gathers in one turn.
pub const GATHER_STEP_ROWS: usize = 128;
/// Committed offsets that a shard looks at in one turn for gathers that look for some of them.
pub const GATHER_STEP_LOOKS: usize = 1024;
/// Reads from the disk that one gather has in flight on a shard.
pub const GATHER_READS_MAX: usize = 8;
/// Rows of one gather on one shard.
pub const GATHER_ROWS_MAX: usize = 100_000;
/// How soon a gather that found the disk busy tries again.
pub const GATHER_RETRY_NS: u64 = MILLISECOND_NS;

/// Topics or groups on one page of an answer (`splitMetadataSize`).
pub const PAGE_ROWS_MAX: usize = 2000;

/// Requests of the broker's own that wait for a client's answer.
pub const CLIENT_CALLS_MAX: usize = 1024;

/// Queues of groups whose last pulled offset a shard remembers.
pub const PROGRESS_ROWS_MAX: usize = 1_000_000;

/// Topics that a shard remembers from recent sends.
pub const ROUTES: usize = 64;
/// Queues of such a topic that are remembered, by queue id; of wider ones the rest is looked up.
pub const ROUTE_QUEUES_MAX: usize = 256;

/// Longest property string of a record (a signed 16-bit length).
pub const PROPERTIES_BYTES_MAX: usize = 32767;
/// Messages of one batch.
pub const BATCH_MESSAGES_MAX: usize = 16 * 1024;

/// Most messages of one pull. Apache stops at 32 whatever the consumer asks for; what a consumer asks
/// for it can take.
pub const PULL_MESSAGES_MAX: u32 = 1024;
/// Most bytes of one pull, as Apache has for messages in memory.
pub const PULL_BYTES_MAX: u32 = 256 * 1024;
/// Longest time a pull is held.
pub const PULL_HOLD_MS_MAX: u64 = 60_000;

/// One millisecond.
pub const MILLISECOND_NS: u64 = 1_000_000;
/// One second.
pub const SECOND_NS: u64 = 1_000_000_000;

const _: () = assert!(CONNECTION_IN_FLIGHT_BYTES_RESUME < CONNECTION_IN_FLIGHT_BYTES_MAX);
const _: () = assert!(SEND_PARTS_MAX <= 1024);
const _: () = assert!(CONNECTIONS_MAX <= 1 << 24);
const _: () = assert!(TOPIC_NAME_BYTES_MAX <= RETRY_TOPIC_NAME_BYTES_MAX);
const _: () = assert!(NAME_SERVER_TOPICS_MAX <= NAME_SERVER_QUEUE_DATA_MAX);

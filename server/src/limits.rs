//! Every bound of the server, in one place. At a bound the peer is refused or slowed, never served
//! from memory that grows.

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
/// Most bytes of keys and values in the name server's KV configuration.
pub const NAME_SERVER_KV_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most name servers a broker registers with.
pub const NAME_SERVERS_MAX: usize = 64;
/// Longest answer accepted from a name server, in bytes.
pub const NAME_SERVER_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest configuration file, in bytes.
pub const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

const _: () = assert!(TOPIC_NAME_BYTES_MAX <= RETRY_TOPIC_NAME_BYTES_MAX);
const _: () = assert!(NAME_SERVER_TOPICS_MAX <= NAME_SERVER_QUEUE_DATA_MAX);

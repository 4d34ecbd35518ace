//! Which names topics and groups may have, and which of them belong to the system.

use crate::limits::{
    CLIENT_ID_BYTES_MAX, GROUP_NAME_BYTES_MAX, RETRY_TOPIC_NAME_BYTES_MAX, TOPIC_NAME_BYTES_MAX,
};

use ringmq_protocol::types::is_forbidden_for_sends;
pub use ringmq_protocol::types::{
    AUTO_CREATE_TOPIC, BENCHMARK_TOPIC, DLQ_PREFIX, OFFSET_MOVED_EVENT, RETRY_PREFIX,
    SCHEDULE_TOPIC, SELF_TEST_TOPIC, TRACE_TOPIC, TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC,
    TRANS_OP_HALF_TOPIC,
};

/// Prefix of consumer groups that belong to the system.
pub const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";
/// Prefix of topics that belong to the system.
pub const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";

/// Topics of the system beside those with [`SYSTEM_TOPIC_PREFIX`].
pub const SYSTEM_TOPICS: [&str; 9] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    TRANS_HALF_TOPIC,
    TRACE_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
];

/// Why a name is refused. The text is the answer's remark, in Apache 5.5.0's words; the code is 29.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or white space only.
    #[error("The specified {kind} is blank.")]
    Blank {
        /// `topic` or `group`.
        kind: &'static str,
    },
    /// A character outside of letters, digits, `_`, `-`, `%` and `|`.
    #[error(
        "The specified {kind}: {name}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
    )]
    Illegal {
        /// `topic` or `group`.
        kind: &'static str,
        /// The name as given, shortened when very long.
        name: String,
    },
    /// More bytes than allowed.
    #[error("The specified {kind}: {name}, is longer than {kind} max length: {max}")]
    TooLong {
        /// `topic` or `group`.
        kind: &'static str,
        /// The name as given, shortened when very long.
        name: String,
        /// Longest allowed, in bytes.
        max: usize,
    },
}

/// Checks a topic's name (`TopicValidator.validateTopic`).
pub fn validate_topic(name: &str) -> Result<(), NameError> {
    let max = if name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX) {
        RETRY_TOPIC_NAME_BYTES_MAX
    } else {
        TOPIC_NAME_BYTES_MAX
    };
    validate("topic", name, max)
}

/// Checks a consumer or producer group's name (`TopicValidator.validateGroup`).
pub fn validate_group(name: &str) -> Result<(), NameError> {
    validate("group", name, GROUP_NAME_BYTES_MAX)
}

/// Whether a client id can be kept: not empty and of sane length. Its content is opaque.
pub fn is_valid_client_id(client_id: &str) -> bool {
    !client_id.is_empty() && client_id.len() <= CLIENT_ID_BYTES_MAX
}

/// Whether a client may not send to this topic (answer 16).
pub fn is_forbidden_to_send(topic: &str) -> bool {
    is_forbidden_for_sends(topic)
}

/// Whether a topic belongs to every broker's system, so that it may be neither created (17) nor
/// deleted (215) by request. Names that only this broker reserves are known to the topic table.
pub fn is_system_topic(topic: &str) -> bool {
    topic.starts_with(SYSTEM_TOPIC_PREFIX) || SYSTEM_TOPICS.contains(&topic)
}

/// The topic from which a group gets back what it could not consume.
pub fn retry_topic(group: &str) -> String {
    [RETRY_PREFIX, group].concat()
}

/// The topic that keeps what a group has given up on.
pub fn dlq_topic(group: &str) -> String {
    [DLQ_PREFIX, group].concat()
}

fn validate(kind: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank { kind });
    }
    if !name.bytes().all(is_name_byte) {
        return Err(NameError::Illegal {
            kind,
            name: shortened(name),
        });
    }
    if name.len() > max {
        return Err(NameError::TooLong {
            kind,
            name: shortened(name),
            max,
        });
    }
    Ok(())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'%' | b'|')
}

/// At most 300 characters of a refused name: it goes into an answer.
fn shortened(name: &str) -> String {
    name.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["TopicTest", "%RETRY%CG", "NS1%Topic", "a|b", "A_1-2"] {
            assert_eq!(validate_topic(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn refusals_use_the_words_of_apache() {
        assert_eq!(
            validate_topic("Topic$Raw").unwrap_err().to_string(),
            "The specified topic: Topic$Raw, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
        );
        assert_eq!(
            validate_topic("  ").unwrap_err().to_string(),
            "The specified topic is blank."
        );
        let long = "T".repeat(128);
        assert_eq!(
            validate_topic(&long).unwrap_err().to_string(),
            format!("The specified topic: {long}, is longer than topic max length: 127")
        );
        assert_eq!(
            validate_group("CG$raw").unwrap_err().to_string(),
            "The specified group: CG$raw, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
        );
    }

    #[test]
    fn retry_topics_may_be_longer_than_others() {
        assert_eq!(validate_topic(&retry_topic(&"G".repeat(200))), Ok(()));
        assert!(validate_topic(&retry_topic(&"G".repeat(249))).is_err());
        assert!(validate_topic("é").is_err());
    }

    #[test]
    fn a_refused_name_is_not_echoed_at_any_length() {
        let error = validate_topic(&"$".repeat(1_000_000)).unwrap_err();
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn forbidden_and_system_topics_are_told_apart() {
        assert!(is_forbidden_to_send("SELF_TEST_TOPIC"));
        assert!(!is_forbidden_to_send("BenchmarkTest"));
        assert!(is_system_topic("BenchmarkTest"));
        assert!(is_system_topic("rmq_sys_wheel_timer"));
        assert!(!is_system_topic("TopicTest"));
    }
}

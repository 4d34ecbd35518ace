//! Validated names, the names that have a meaning, and the small words shared by all commands.

use std::fmt;
use std::ops::Deref;

use crate::limits::{DERIVED_TOPIC_BYTES_MAX, GROUP_BYTES_MAX, TOPIC_BYTES_MAX};

/// Prefix of the topic that holds a group's messages to be tried again.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of the topic that holds what a group could not consume.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// The topic whose route and settings stand in for topics that do not exist yet.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Where delayed messages wait.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Where half messages of transactions wait.
pub const TRANS_HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Where decisions about half messages are kept.
pub const TRANS_OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Where half messages end that nobody decided.
pub const TRANS_CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// The broker's self test.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Events about groups whose offsets were moved.
pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// Pre-created for the reference benchmark.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// Message traces.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Name server namespace of ordered topics' queue layouts.
pub const ORDER_TOPIC_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

/// Permission bit: a topic created automatically inherits from this one.
pub const PERM_INHERIT: i32 = 1;
/// Permission bit: may be written.
pub const PERM_WRITE: i32 = 2;
/// Permission bit: may be read.
pub const PERM_READ: i32 = 4;

/// A topic name that passed [`TopicName::check`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Box<str>);

impl TopicName {
    /// Validates and keeps `name`.
    pub fn new(name: &str) -> Result<Self, NameError> {
        Self::check(name)?;
        Ok(Self(name.into()))
    }

    /// The rule for a topic that a client names: 1 to 127 bytes (255 where it starts with
    /// `%RETRY%` or `%DLQ%`) of letters, digits, `_`, `-`, `%` and `|`.
    pub fn check(name: &str) -> Result<(), NameError> {
        let derived = name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX);
        let limit = if derived {
            DERIVED_TOPIC_BYTES_MAX
        } else {
            TOPIC_BYTES_MAX
        };
        check_name(name, limit)
    }

    /// The topic of `group`'s messages to be tried again.
    pub fn retry_of(group: &str) -> Result<Self, NameError> {
        Self::new(&format!("{RETRY_PREFIX}{group}"))
    }

    /// The topic of what `group` could not consume.
    pub fn dlq_of(group: &str) -> Result<Self, NameError> {
        Self::new(&format!("{DLQ_PREFIX}{group}"))
    }
}

/// Whether clients may not send to `topic` directly (answered with code 16).
pub fn is_forbidden_for_sends(topic: &str) -> bool {
    matches!(
        topic,
        SCHEDULE_TOPIC
            | TRANS_HALF_TOPIC
            | TRANS_OP_HALF_TOPIC
            | TRANS_CHECK_MAX_TIME_TOPIC
            | SELF_TEST_TOPIC
            | OFFSET_MOVED_EVENT
    )
}

/// A group name that passed [`GroupName::check`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Box<str>);

impl GroupName {
    /// Validates and keeps `name`.
    pub fn new(name: &str) -> Result<Self, NameError> {
        Self::check(name)?;
        Ok(Self(name.into()))
    }

    /// The rule for a group name: 1 to 255 bytes of the characters allowed in topics.
    pub fn check(name: &str) -> Result<(), NameError> {
        check_name(name, GROUP_BYTES_MAX)
    }
}

/// Why a topic or group name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or only white space.
    #[error("the name is blank: give it at least one character")]
    Blank,
    /// Longer than the kind of name allows.
    #[error("the name has {bytes} bytes: use at most {limit}")]
    TooLong {
        /// Length of the name in bytes.
        bytes: usize,
        /// Longest length allowed in bytes.
        limit: usize,
    },
    /// A character outside the allowed set.
    #[error("the name contains {0:?}: use letters, digits, '_', '-', '%' and '|' only")]
    IllegalCharacter(char),
}

fn check_name(name: &str, limit: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank);
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '%' | '|');
    if let Some(illegal) = name.chars().find(|c| !legal(*c)) {
        return Err(NameError::IllegalCharacter(illegal));
    }
    if name.len() > limit {
        return Err(NameError::TooLong {
            bytes: name.len(),
            limit,
        });
    }
    Ok(())
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}
text_newtype!(TopicName);
text_newtype!(GroupName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_reference_are_accepted() {
        for name in [
            "TopicTest",
            "%RETRY%CG_push",
            "%DLQ%g",
            "a|b-c_d",
            AUTO_CREATE_TOPIC,
        ] {
            assert_eq!(TopicName::check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn bad_names_say_what_is_wrong() {
        assert_eq!(TopicName::check("  "), Err(NameError::Blank));
        assert_eq!(
            TopicName::check("a b"),
            Err(NameError::IllegalCharacter(' '))
        );
        assert_eq!(
            TopicName::check("gr\u{fc}n"),
            Err(NameError::IllegalCharacter('\u{fc}'))
        );
        let long = "x".repeat(128);
        assert_eq!(
            TopicName::check(&long),
            Err(NameError::TooLong {
                bytes: 128,
                limit: 127
            })
        );
        assert!(TopicName::retry_of(&long).is_ok());
    }
}

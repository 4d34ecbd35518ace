//! The property string of a message: `name 0x01 value 0x02`, repeated.
//!
//! Parsing follows `MessageDecoder.string2messageProperties`: pieces without a separator, with an
//! empty name or with an empty value are skipped, the last of equal names wins, and a trailing
//! 0x02 may be there (5.x) or not (4.x).

use crate::stops::Stops;
use crate::tags::tags_code;

/// Ends a name.
pub const NAME_END: u8 = 1;
/// Ends a pair.
pub const PAIR_END: u8 = 2;

/// Index keys, separated by one space.
pub const KEYS: &str = "KEYS";
/// The tag.
pub const TAGS: &str = "TAGS";
/// `false`: the producer does not wait for the disk.
pub const WAIT: &str = "WAIT";
/// Delay level, 1 to 18.
pub const DELAY: &str = "DELAY";
/// Original topic of a message in a retry topic.
pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
/// Target topic of a parked message.
pub const REAL_TOPIC: &str = "REAL_TOPIC";
/// Target queue id of a parked message.
pub const REAL_QUEUE_ID: &str = "REAL_QID";
/// `true` on transactional messages.
pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
/// Producer group of a transactional message.
pub const PRODUCER_GROUP: &str = "PGROUP";
/// The client's unique id.
pub const UNIQUE_KEY: &str = "UNIQ_KEY";
/// Offset id of the first copy of a retried message.
pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// Region of the broker, in send responses and stored by 5.x.
pub const MSG_REGION: &str = "MSG_REGION";
/// Whether tracing is on.
pub const TRACE_ON: &str = "TRACE_ON";
/// Name of the broker's cluster.
pub const CLUSTER: &str = "CLUSTER";
/// Relative delay in seconds.
pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
/// Relative delay in milliseconds.
pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
/// Absolute delivery time in milliseconds.
pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
/// Receipt handle of a popped message; stripped from incoming sends.
pub const POP_CK: &str = "POP_CK";
/// Ordering key.
pub const SHARDING_KEY: &str = "__SHARDINGKEY";
/// `reply` marks a reply of the request-reply exchange.
pub const MSG_TYPE: &str = "MSG_TYPE";
/// Correlates a reply with its request.
pub const CORRELATION_ID: &str = "CORRELATION_ID";
/// Client id that a reply is pushed to.
pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";

/// A borrowed property string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// Any bytes are a property string; what is no pair is skipped.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The string as it stands.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The pairs in order, repeated names included.
    #[inline]
    pub fn iter(self) -> Pairs<'a> {
        Pairs {
            stops: Stops::new(self.0),
            at: 0,
        }
    }

    /// The value of `name`: the last one where the name is repeated.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        let wanted = |(found, _): &(&[u8], &[u8])| *found == name.as_bytes();
        self.iter().filter(wanted).last().map(|(_, value)| value)
    }

    /// The tag code that a queue entry keeps: that of [`TAGS`], or 0.
    pub fn tags_code(self) -> i64 {
        self.get(TAGS).map_or(0, tags_code)
    }

    /// The value of `name` as text; absent where it is not UTF-8.
    pub fn get_str(self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.get(name)?).ok()
    }
}

/// Walks over the pairs of a property string.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    stops: Stops<'a, NAME_END, PAIR_END>,
    at: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.stops.bytes();
        while self.at < bytes.len() {
            let name_at = self.at;
            let name_end = self.stops.find(name_at);
            if bytes.get(name_end) != Some(&NAME_END) {
                self.at = name_end + 1;
                continue;
            }
            // A value may contain what ends a name.
            let mut end = self.stops.find(name_end + 1);
            while bytes.get(end) == Some(&NAME_END) {
                end = self.stops.find(end + 1);
            }
            self.at = end + 1;
            let name = &bytes[name_at..name_end];
            let value = &bytes[name_end + 1..end.min(bytes.len())];
            if !name.is_empty() && !value.is_empty() {
                return Some((name, value));
            }
        }
        None
    }
}

/// What must stand between `existing` and pairs appended to it: one 0x02, or nothing where
/// `existing` is empty or ends in one. Lets a caller gather the pieces without copying.
pub fn separator_after(existing: &[u8]) -> &'static [u8] {
    match existing.last() {
        None | Some(&PAIR_END) => &[],
        Some(_) => &[PAIR_END],
    }
}

/// Appends one pair to a property string, with the separator before it where one is needed and
/// the closing 0x02 after it.
///
/// A name or value that is empty or contains a separator cannot be represented.
pub fn append(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), PropertyError> {
    for (text, other) in [(name, value), (value, name)] {
        if text.is_empty() {
            return Err(PropertyError::Empty {
                beside: other.into(),
            });
        }
        if text
            .bytes()
            .any(|byte| byte == NAME_END || byte == PAIR_END)
        {
            return Err(PropertyError::Separator { name: name.into() });
        }
    }
    out.extend_from_slice(separator_after(out));
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_END);
    out.extend_from_slice(value.as_bytes());
    out.push(PAIR_END);
    Ok(())
}

/// Why a pair cannot be part of a property string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// A reader would drop the pair.
    #[error("the property beside {beside:?} is empty: give name and value at least one character")]
    Empty {
        /// The other half of the pair.
        beside: Box<str>,
    },
    /// A reader would see other pairs.
    #[error("property {name:?} contains byte 1 or 2, which separate properties: remove them")]
    Separator {
        /// Name of the offending property.
        name: Box<str>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_pieces_are_skipped_and_the_last_name_wins() {
        let properties =
            Properties::new(b"\x02A\x01\x02\x01x\x02novalue\x02K\x01one\x02K\x01two\x01three");
        assert_eq!(properties.iter().count(), 2);
        assert_eq!(properties.get("K"), Some(&b"two\x01three"[..]));
        assert_eq!(properties.get("A"), None);
        assert_eq!(properties.get_str("novalue"), None);
    }

    #[test]
    fn appending_separates_whether_or_not_the_string_was_closed() {
        for start in [&b""[..], b"a\x01b", b"a\x01b\x02"] {
            let mut out = start.to_vec();
            append(&mut out, "CLUSTER", "c").unwrap();
            assert_eq!(Properties::new(&out).get_str(CLUSTER), Some("c"));
            assert_eq!(
                Properties::new(&out).iter().count(),
                1 + usize::from(!start.is_empty())
            );
        }
    }

    #[test]
    fn pairs_that_cannot_be_represented_are_refused() {
        let mut out = Vec::new();
        assert!(append(&mut out, "", "x").is_err());
        assert!(append(&mut out, "x", "").is_err());
        assert!(append(&mut out, "x", "a\x02b").is_err());
        assert!(out.is_empty());
    }
}

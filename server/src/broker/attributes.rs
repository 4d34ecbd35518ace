//! Attributes of topics and groups, as 5.x has them: named settings that requests change with signs,
//! `+key=value` and `-key` (`AttributeUtil.java`, `TopicAttributes.java`,
//! `SubscriptionGroupAttributes.java`).

use std::collections::BTreeMap;

use crate::limits::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX};

/// Attributes by name.
pub type Attributes = BTreeMap<String, String>;

/// An attribute that can be set.
#[derive(Debug)]
struct Known {
    name: &'static str,
    /// Whether it can be changed once the topic or group exists.
    is_changeable: bool,
    values: Values,
}

/// What an attribute may be.
#[derive(Debug)]
enum Values {
    OneOf(&'static [&'static str]),
    Range(i64, i64),
    Bool,
    Text,
}

const fn known(name: &'static str, is_changeable: bool, values: Values) -> Known {
    Known {
        name,
        is_changeable,
        values,
    }
}

/// What a topic may have. The order of the words is the one in which Apache names them.
const OF_TOPICS: &[Known] = &[
    known("queue.type", false, Values::OneOf(&["BatchCQ", "SimpleCQ"])),
    known(
        "cleanup.policy",
        false,
        Values::OneOf(&["COMPACTION", "DELETE"]),
    ),
    known(
        "message.type",
        true,
        Values::OneOf(&[
            "UNSPECIFIED",
            "MIXED",
            "TRANSACTION",
            "PRIORITY",
            "FIFO",
            "DELAY",
            "LITE",
            "NORMAL",
        ]),
    ),
    known("reserve.time", true, Values::Range(-1, i64::MAX)),
    known("lite.topic.expiration", true, Values::Range(-1, 30)),
];

/// What a group may have.
const OF_GROUPS: &[Known] = &[
    known("priority.factor", true, Values::Range(0, 100)),
    known("lite.bind.topic", true, Values::Text),
    known(
        "lite.sub.model",
        true,
        Values::OneOf(&["Shared", "Exclusive"]),
    ),
    known("lite.sub.reset.offset.exclusive", true, Values::Bool),
    known("lite.sub.reset.offset.unsubscribe", true, Values::Bool),
    known("lite.sub.client.quota", true, Values::Range(-1, i64::MAX)),
    known(
        "lite.sub.client.max.event.cnt",
        true,
        Values::Range(10, i64::MAX),
    ),
    known("lite.sub.wildcard", true, Values::Text),
];

/// Whose attributes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A topic's.
    Topics,
    /// A group's.
    Groups,
}

/// The attributes of 17 as text, `+key=value,-key`, cut into keys with their signs and values. The
/// error is the answer's remark.
pub fn parse(text: &str) -> Result<Attributes, String> {
    let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
    let mut changes = Attributes::new();
    for item in items {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let is_complete = item.starts_with('-') || item.contains('=');
        if !is_complete {
            return Err(format!(
                "attribute {item} is wrong: write +key=value or -key"
            ));
        }
        changes.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(changes)
}

/// Applies changes, whose keys have signs, to what is there; `None` is what does not exist yet. The
/// error is the answer's remark.
pub fn alter(
    of: Of,
    current: Option<&Attributes>,
    changes: &Attributes,
) -> Result<Attributes, String> {
    let mut altered = current.cloned().unwrap_or_default();
    for (signed, value) in changes {
        if signed.len() + value.len() > ATTRIBUTE_BYTES_MAX {
            return Err(format!(
                "an attribute is longer than {ATTRIBUTE_BYTES_MAX} bytes"
            ));
        }
        let mut letters = signed.chars();
        let sign = letters.next();
        let key = letters.as_str();
        if key.is_empty() || key.contains(['+', '-']) {
            return Err("kv string format wrong.".to_owned());
        }
        match (sign, current) {
            (Some('+'), _) if altered.get(key) == Some(value) => {}
            (Some('+'), _) => {
                check(of, key, Some(value), current.is_none())?;
                altered.insert(key.to_owned(), value.clone());
            }
            (_, None) => {
                return Err(format!(
                    "only add attribute is supported while creating topic. key: {key}"
                ));
            }
            (Some('-'), Some(_)) => {
                if altered.remove(key).is_none() {
                    return Err(format!("attempt to delete a nonexistent key: {key}"));
                }
                check(of, key, None, false)?;
            }
            _ => return Err(format!("wrong format key: {key}")),
        }
    }
    if altered.len() > ATTRIBUTES_MAX {
        return Err(format!("more than {ATTRIBUTES_MAX} attributes"));
    }
    Ok(altered)
}

/// Whether an attribute may be set to a value, or removed.
fn check(of: Of, key: &str, value: Option<&str>, is_new: bool) -> Result<(), String> {
    let known = match of {
        Of::Topics => OF_TOPICS,
        Of::Groups => OF_GROUPS,
    };
    let Some(known) = known.iter().find(|known| known.name == key) else {
        return Err(format!("unsupported key: {key}"));
    };
    if !is_new && !known.is_changeable {
        return Err(format!(
            "attempt to update an unchangeable attribute. key: {key}"
        ));
    }
    let Some(value) = value else {
        return Ok(());
    };
    match known.values {
        Values::OneOf(words) if !words.contains(&value) => {
            Err(format!("value is not in set: [{}]", words.join(", ")))
        }
        Values::Range(min, max) => match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(()),
            Ok(_) => Err(format!("value is not in range({min}, {max})")),
            Err(_) => Err(format!("For input string: \"{value}\"")),
        },
        Values::Bool if !matches!(value.to_ascii_lowercase().as_str(), "true" | "false") => {
            Err("boolean attribute format is wrong.".to_owned())
        }
        Values::OneOf(_) | Values::Bool | Values::Text => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(current: Option<&Attributes>, text: &str) -> Result<Attributes, String> {
        alter(Of::Topics, current, &parse(text)?)
    }

    fn error(current: Option<&Attributes>, text: &str) -> String {
        topic(current, text).unwrap_err()
    }

    #[test]
    fn attributes_are_added_changed_and_removed_by_their_signs() {
        let new = topic(None, "+message.type=FIFO, +reserve.time=5").unwrap();
        assert_eq!(new["message.type"], "FIFO");
        let changed = topic(Some(&new), "+message.type=NORMAL,-reserve.time").unwrap();
        assert_eq!(changed.len(), 1);
        assert_eq!(changed["message.type"], "NORMAL");
        assert_eq!(topic(Some(&new), ""), Ok(new));
    }

    #[test]
    fn what_is_wrong_is_said_in_apaches_words() {
        assert_eq!(error(None, "+no.such=1"), "unsupported key: no.such");
        assert_eq!(
            error(None, "+message.type=NOSUCH"),
            "value is not in set: [UNSPECIFIED, MIXED, TRANSACTION, PRIORITY, FIFO, DELAY, LITE, NORMAL]"
        );
        assert_eq!(
            error(None, "-message.type"),
            "only add attribute is supported while creating topic. key: message.type"
        );
        assert_eq!(error(None, "+reserve.time=x"), r#"For input string: "x""#);
        let simple = topic(None, "+queue.type=SimpleCQ").unwrap();
        assert_eq!(
            error(Some(&simple), "-message.type"),
            "attempt to delete a nonexistent key: message.type"
        );
        assert_eq!(
            error(Some(&simple), "+queue.type=BatchCQ"),
            "attempt to update an unchangeable attribute. key: queue.type"
        );
        assert_eq!(
            error(Some(&simple), "queue.type=BatchCQ"),
            "wrong format key: ueue.type"
        );
        assert_eq!(error(Some(&simple), "+=1"), "kv string format wrong.");
        assert_eq!(
            topic(Some(&simple), "+queue.type=SimpleCQ"),
            Ok(simple.clone()),
            "what is there already is no change"
        );
    }

    #[test]
    fn a_groups_attributes_are_others_than_a_topics() {
        let changes = parse("+priority.factor=7").unwrap();
        let group = alter(Of::Groups, None, &changes).unwrap();
        assert_eq!(group["priority.factor"], "7");
        assert!(alter(Of::Topics, None, &changes).is_err());
        let beyond = alter(Of::Groups, None, &parse("+priority.factor=101").unwrap());
        assert_eq!(beyond.unwrap_err(), "value is not in range(0, 100)");
    }
}

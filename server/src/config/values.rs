//! Values of the settings in a table: defaults, overlaid by files and flags, each checked when it is
//! set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use ringmq_engine::Hours;

use super::keys::{self, Key, Kind};
use super::nearest::nearest;

/// See the module.
#[derive(Clone, Debug)]
pub struct Values {
    table: &'static [Key],
    without_effect: &'static [&'static str],
    values: BTreeMap<&'static str, String>,
}

/// A value that a setting cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value}: {allowed}")]
pub struct ValueError {
    /// Which setting.
    pub key: String,
    /// The value as given.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

/// A key that does nothing: worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Apache's, but without effect here.
    #[error("{0} is a setting of Apache RocketMQ that has no effect here")]
    WithoutEffect(String),
    /// Apache's, and never other than it is here.
    #[error("{0} cannot be set here: what it is about does not exist, or has no choice")]
    Fixed(&'static str),
    /// Nobody's.
    #[error("{key} is no setting; the nearest is {nearest}")]
    Unknown {
        /// As given.
        key: String,
        /// The most similar key there is.
        nearest: &'static str,
    },
}

impl Values {
    /// All defaults.
    pub fn new(table: &'static [Key], without_effect: &'static [&'static str]) -> Self {
        let values = table.iter().map(|key| (key.name, key.default.to_owned()));
        Self {
            table,
            without_effect,
            values: values.collect(),
        }
    }

    /// Sets a value that a file names; an unknown key is a warning.
    pub fn set_named(&mut self, name: &str, value: &str) -> Result<Option<Warning>, ValueError> {
        if let Some(key) = keys::find(self.table, name) {
            if key.is_fixed {
                let is_so = value.trim() == self.text(key.name) || value.trim().is_empty();
                return Ok((!is_so).then_some(Warning::Fixed(key.name)));
            }
            return self.set(key.name, value).map(|()| None);
        }
        if self.without_effect.binary_search(&name).is_ok() {
            return Ok(Some(Warning::WithoutEffect(name.to_owned())));
        }
        Ok(Some(Warning::Unknown {
            key: name.to_owned(),
            nearest: nearest(name, self.table.iter().map(|key| key.name)),
        }))
    }

    /// Sets a value; an empty one is the default.
    pub fn set(&mut self, name: &'static str, value: &str) -> Result<(), ValueError> {
        let Some(key) = keys::find(self.table, name) else {
            return Ok(());
        };
        let value = value.trim();
        if value.is_empty() {
            self.values.insert(key.name, key.default.to_owned());
            return Ok(());
        }
        if let Some(allowed) = refusal(key.kind, value) {
            return Err(ValueError {
                key: key.name.to_owned(),
                value: value.to_owned(),
                allowed,
            });
        }
        self.values.insert(key.name, value.to_owned());
        Ok(())
    }

    /// Gives a value to a setting that has none yet.
    pub fn fill(&mut self, name: &'static str, value: impl Into<String>) {
        let slot = self.values.entry(name).or_default();
        if slot.is_empty() {
            *slot = value.into();
        }
    }

    /// The keys there are.
    pub fn table(&self) -> &'static [Key] {
        self.table
    }

    /// The text of a setting; empty when it has none.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// A setting of [`Kind::Bool`].
    pub fn is(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    /// A setting of [`Kind::Int`]; `None` when it has no value.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// A setting of [`Kind::Int`] that has a default, as any integer type that holds its range.
    pub fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        let value = self.int(name).unwrap_or_default();
        T::try_from(value).unwrap_or_default()
    }

    /// A setting of [`Kind::Ip`].
    pub fn ip(&self, name: &str) -> Option<IpAddr> {
        self.text(name).parse().ok()
    }

    /// Lines of `key=value`, sorted; all, or the important ones.
    pub fn to_properties(&self, only_important: bool) -> String {
        let mut out = String::new();
        for key in self.table {
            if key.is_important || !only_important {
                let _ = writeln!(out, "{}={}", key.name, self.text(key.name));
            }
        }
        out
    }
}

/// What a value of this kind may be, when this one may not.
fn refusal(kind: Kind, value: &str) -> Option<String> {
    let is_right = match kind {
        Kind::Text | Kind::Path => !value.contains(['\n', '\r', '\0']),
        Kind::Name => {
            let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            value.len() <= 100 && value.bytes().all(is_legal)
        }
        Kind::Bool => ["true", "false"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word)),
        Kind::Int(min, max) => value.parse::<i64>().is_ok_and(|n| (min..=max).contains(&n)),
        Kind::Choice(words) => words.contains(&value),
        Kind::Ip => value.parse::<IpAddr>().is_ok(),
        Kind::Addresses => addresses(value).all(is_address),
        Kind::Hours => Hours::parse(value).is_some(),
    };
    (!is_right).then(|| allowed(kind))
}

/// What a value of this kind may be, in words.
pub fn allowed(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Path => "a text without line breaks is allowed".to_owned(),
        Kind::Name => "up to 100 letters, digits, _ and - are allowed".to_owned(),
        Kind::Bool => "true or false is allowed".to_owned(),
        Kind::Int(min, max) if min == max => format!("only {min} is allowed"),
        Kind::Int(min, max) => format!("a whole number from {min} to {max} is allowed"),
        Kind::Choice([word]) => format!("only {word} is allowed"),
        Kind::Choice(words) => format!("one of {} is allowed", words.join(", ")),
        Kind::Ip => "an IP address such as 127.0.0.1 is allowed".to_owned(),
        Kind::Addresses => "host:port is allowed, several separated by ;".to_owned(),
        Kind::Hours => "hours from 00 to 23 are allowed, several separated by ;".to_owned(),
    }
}

/// The single addresses of a list.
pub fn addresses(list: &str) -> impl Iterator<Item = &str> {
    list.split(';')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Whether a text is `host:port`.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::super::apache_keys;
    use super::*;

    fn values() -> Values {
        Values::new(keys::BROKER, apache_keys::BROKER)
    }

    #[test]
    fn a_wrong_value_names_key_value_and_what_is_allowed() {
        let cases = [
            (
                "listenPort",
                "70000",
                "listenPort=70000: a whole number from 0 to 65535 is allowed",
            ),
            (
                "flushDiskType",
                "SYNC",
                "flushDiskType=SYNC: one of SYNC_FLUSH, ASYNC_FLUSH is allowed",
            ),
            (
                "autoCreateTopicEnable",
                "yes",
                "autoCreateTopicEnable=yes: true or false is allowed",
            ),
            (
                "brokerIP1",
                "here",
                "brokerIP1=here: an IP address such as 127.0.0.1 is allowed",
            ),
            (
                "namesrvAddr",
                "a",
                "namesrvAddr=a: host:port is allowed, several separated by ;",
            ),
            ("brokerId", "1", "brokerId=1: only 0 is allowed"),
            (
                "deleteWhen",
                "x",
                "deleteWhen=x: hours from 00 to 23 are allowed, several separated by ;",
            ),
            (
                "brokerRole",
                "SLAVE",
                "brokerRole=SLAVE: only ASYNC_MASTER is allowed",
            ),
            (
                "brokerName",
                "a b",
                "brokerName=a b: up to 100 letters, digits, _ and - are allowed",
            ),
        ];
        for (key, value, text) in cases {
            let error = values().set_named(key, value).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn unknown_keys_are_warned_of_with_the_nearest() {
        let mut values = values();
        let warning = values.set_named("flushDiskTyp", "SYNC_FLUSH").unwrap();
        assert_eq!(
            warning.unwrap().to_string(),
            "flushDiskTyp is no setting; the nearest is flushDiskType"
        );
        let warning = values.set_named("sendMessageThreadPoolNums", "8").unwrap();
        assert_eq!(
            warning,
            Some(Warning::WithoutEffect(
                "sendMessageThreadPoolNums".to_owned()
            ))
        );
    }

    #[test]
    fn the_older_spelling_is_read() {
        let mut values = values();
        assert_eq!(
            values.set_named("mapedFileSizeCommitLog", "8388608"),
            Ok(None)
        );
        assert_eq!(values.number::<u64>("mappedFileSizeCommitLog"), 8_388_608);
    }

    #[test]
    fn an_empty_value_is_the_default() {
        let mut values = values();
        values.set_named("listenPort", "1").unwrap();
        values.set_named("listenPort", " ").unwrap();
        assert_eq!(values.number::<u16>("listenPort"), 10_911);
    }

    #[test]
    fn every_default_is_allowed() {
        for table in [keys::BROKER, keys::NAME_SERVER] {
            for key in table.iter().filter(|key| !key.default.is_empty()) {
                assert_eq!(refusal(key.kind, key.default), None, "{}", key.name);
            }
        }
    }

    #[test]
    fn properties_are_printed_one_a_line() {
        let all = values().to_properties(false);
        assert!(all.lines().any(|line| line == "listenPort=10911"));
        let important = values().to_properties(true);
        assert!(important.lines().count() < all.lines().count());
        assert!(
            important
                .lines()
                .any(|line| line == "flushDiskType=SYNC_FLUSH")
        );
    }
}

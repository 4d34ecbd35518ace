//! The body of a heartbeat (34, broker page 6.1) and of a filter check (46).
//!
//! Three families of clients write it in three ways: Java (enum names, numeric codes), Go (names in
//! any case, codes as strings) and C++ (ordinals, versions as strings, sets left out). All are read;
//! what a client computed from the expression itself (tags, codes) is computed again here, because
//! C++ sends zeros.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use super::filter::TagExpression;
use super::names;
use crate::limits::{EXPRESSION_BYTES_MAX, GROUP_SUBSCRIPTIONS_MAX, HEARTBEAT_GROUPS_MAX};

/// One client's report of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// `ip@instance`; opaque, unique among live clients.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// The consumer groups it is a member of.
    #[serde(default, rename = "consumerDataSet", deserialize_with = "or_default")]
    pub consumers: Vec<ConsumerData>,
    /// The producer groups it is a member of.
    #[serde(default, rename = "producerDataSet", deserialize_with = "or_default")]
    pub producers: Vec<ProducerData>,
    /// 5.x: refreshes the connection only; subscriptions are left out.
    #[serde(default)]
    pub without_sub: bool,
}

/// Membership of one producer group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerData {
    /// The group.
    pub group_name: String,
}

/// Membership of one consumer group, and what is consumed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerData {
    /// The group.
    pub group_name: String,
    /// How messages get to the client.
    #[serde(default)]
    pub consume_type: ConsumeType,
    /// How members share the messages.
    #[serde(default)]
    pub message_model: MessageModel,
    /// Where a new group begins; carried for 203.
    #[serde(default)]
    pub consume_from_where: ConsumeFromWhere,
    /// Topics and expressions.
    #[serde(
        default,
        rename = "subscriptionDataSet",
        deserialize_with = "or_default"
    )]
    pub subscriptions: Vec<SubscriptionData>,
    /// Carried, without effect.
    #[serde(default)]
    pub unit_mode: bool,
}

/// One topic a group subscribes to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionData {
    /// The topic.
    pub topic: String,
    /// The expression; absent means all.
    #[serde(default)]
    pub sub_string: Option<String>,
    /// `TAG` (also when absent) or `SQL92`.
    #[serde(default)]
    pub expression_type: Option<String>,
    /// Rises with every change of the subscription: milliseconds (Java) or nanoseconds (Go).
    #[serde(default, deserialize_with = "number_or_text")]
    pub sub_version: i64,
    /// Carried for 203.
    #[serde(default)]
    pub class_filter_mode: bool,
}

impl SubscriptionData {
    /// Whether the expression is one of tags.
    pub fn is_tag_type(&self) -> bool {
        match self.expression_type.as_deref() {
            None | Some("") => true,
            Some(kind) => kind.eq_ignore_ascii_case("TAG"),
        }
    }

    /// The tags it names; everything when it is no tag expression.
    pub fn tags(&self) -> TagExpression {
        if !self.is_tag_type() {
            return TagExpression::all();
        }
        TagExpression::parse(self.sub_string.as_deref()).unwrap_or_default()
    }
}

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }
        impl $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $text)),*];
            /// The name RocketMQ writes.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
        impl<'de> Deserialize<'de> for $name {
            /// A name in any case, or an ordinal.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = match Value::deserialize(deserializer)? {
                    Value::String(text) => Self::ALL
                        .iter()
                        .find(|(_, name)| name.eq_ignore_ascii_case(&text)),
                    Value::Number(number) => number
                        .as_u64()
                        .and_then(|ordinal| Self::ALL.get(usize::try_from(ordinal).ok()?)),
                    Value::Null => Self::ALL.first(),
                    _ => None,
                };
                found
                    .map(|(value, _)| *value)
                    .ok_or_else(|| D::Error::custom(concat!("no ", stringify!($name))))
            }
        }
    };
}

wire_enum! {
    /// How messages get to a consumer (`ConsumeType.java`, in the order of its ordinals).
    ConsumeType {
        /// Pull and lite pull.
        Actively = "CONSUME_ACTIVELY",
        /// Push.
        #[default]
        Passively = "CONSUME_PASSIVELY",
        /// POP.
        Pop = "CONSUME_POP",
    }
}

wire_enum! {
    /// How the members of a group share the messages (`MessageModel.java`).
    MessageModel {
        /// Every member gets all of them.
        Broadcasting = "BROADCASTING",
        /// Every message goes to one member.
        #[default]
        Clustering = "CLUSTERING",
    }
}

wire_enum! {
    /// Where a group without offsets begins (`ConsumeFromWhere.java`).
    ConsumeFromWhere {
        /// At the end.
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the beginning.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// Why a heartbeat is refused (1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    /// Not the JSON it should be.
    #[error("the heartbeat cannot be read: {0}")]
    Malformed(String),
    /// No usable client id.
    #[error("the heartbeat names no client, or one with too long an id")]
    ClientId,
    /// More groups or subscriptions than `limits.rs` allows, or too long an expression.
    #[error(
        "the heartbeat has more than {HEARTBEAT_GROUPS_MAX} groups, {GROUP_SUBSCRIPTIONS_MAX} subscriptions in a group, or an expression of more than {EXPRESSION_BYTES_MAX} bytes"
    )]
    TooLarge,
}

impl Heartbeat {
    /// Parses a heartbeat's body and checks its bounds. Names of groups and topics are checked where
    /// they are used: one bad name must not cost a client its other groups.
    pub fn parse(body: &[u8]) -> Result<Self, HeartbeatError> {
        let heartbeat: Self = serde_json::from_slice(body)
            .map_err(|error| HeartbeatError::Malformed(error.to_string()))?;
        if !names::is_valid_client_id(&heartbeat.client_id) {
            return Err(HeartbeatError::ClientId);
        }
        if heartbeat.is_within_bounds() {
            Ok(heartbeat)
        } else {
            Err(HeartbeatError::TooLarge)
        }
    }

    fn is_within_bounds(&self) -> bool {
        let groups = self.consumers.len() + self.producers.len();
        groups <= HEARTBEAT_GROUPS_MAX
            && self.consumers.iter().all(|consumer| {
                consumer.subscriptions.len() <= GROUP_SUBSCRIPTIONS_MAX
                    && consumer.subscriptions.iter().all(|subscription| {
                        subscription
                            .sub_string
                            .as_ref()
                            .is_none_or(|text| text.len() <= EXPRESSION_BYTES_MAX)
                    })
            })
    }
}

/// `null` counts as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A number, or a number written as text.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null => Some(0),
        _ => None,
    }
    .ok_or_else(|| D::Error::custom("no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_heartbeat_is_read() {
        let body = br#"{"clientID":"192.0.2.2@7861#2077","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"CG_push","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[2598919,2598920],"expressionType":"TAG","subString":"TagA || TagB","subVersion":1795160794813,"tagsSet":["TagA","TagB"],"topic":"TopicTest"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"CLIENT_INNER_PRODUCER"}],"withoutSub":false}"#;
        let heartbeat = Heartbeat::parse(body).unwrap();
        let consumer = &heartbeat.consumers[0];
        assert_eq!(consumer.consume_from_where, ConsumeFromWhere::FirstOffset);
        let subscription = &consumer.subscriptions[0];
        assert_eq!(subscription.sub_version, 1_795_160_794_813);
        assert_eq!(
            subscription.tags().codes(),
            Some(vec![2_598_919, 2_598_920])
        );
        assert_eq!(heartbeat.producers[0].group_name, "CLIENT_INNER_PRODUCER");
    }

    #[test]
    fn the_c_plus_plus_clients_ordinals_and_texts_are_read() {
        let body = b"{\"clientID\":\"26573-127.0.0.1@DEFAULT\",\"consumerDataSet\":[{\"consumeFromWhere\":0,\"consumeType\":1,\"groupName\":\"CG_cpp\",\"messageModel\":1,\"subscriptionDataSet\":[{\"subString\":\"*\",\"subVersion\":\"1795161179971\",\"topic\":\"%RETRY%CG_cpp\"},{\"codeSet\":[0,0],\"subString\":\"TagA || TagB\",\"subVersion\":\"1795161179971\",\"tagsSet\":[\"TagA\",\"TagB\"],\"topic\":\"TopicTest\"}]}]}\n";
        let heartbeat = Heartbeat::parse(body).unwrap();
        let consumer = &heartbeat.consumers[0];
        assert_eq!(consumer.consume_type, ConsumeType::Passively);
        assert_eq!(consumer.message_model, MessageModel::Clustering);
        assert_eq!(consumer.subscriptions[1].sub_version, 1_795_161_179_971);
        assert_eq!(
            consumer.subscriptions[1].tags().codes(),
            Some(vec![2_598_919, 2_598_920]),
            "computed from the expression, not taken from the client"
        );
        assert!(heartbeat.producers.is_empty());
    }

    #[test]
    fn gos_codes_as_strings_and_names_in_any_case_are_read() {
        let body = br#"{"clientID":"192.0.2.2@25053","producerDataSet":null,"consumerDataSet":[{"groupName":"CG_go","consumeType":"CONSUME_PASSIVELY","messageModel":"BroadCasting","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","subscriptionDataSet":[{"classFilterMode":false,"topic":"TopicTest","subString":"TagA","tagsSet":["TagA"],"codeSet":["2598919"],"subVersion":1795161162137611078,"expressionType":"TAG"}],"unitMode":false}]}"#;
        let heartbeat = Heartbeat::parse(body).unwrap();
        assert_eq!(
            heartbeat.consumers[0].message_model,
            MessageModel::Broadcasting
        );
    }

    #[test]
    fn hostile_bodies_are_errors() {
        for body in [
            &b""[..],
            b"[]",
            b"{}",
            br#"{"clientID":""}"#,
            br#"{"clientID":7}"#,
            br#"{"clientID":"a","consumerDataSet":[{"groupName":"g","messageModel":9}]}"#,
            br#"{"clientID":"a","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"t","subVersion":{}}]}]}"#,
        ] {
            assert!(Heartbeat::parse(body).is_err(), "{body:?}");
        }
        let deep = ["{\"clientID\":\"a\",\"x\":", &"[".repeat(100_000)].concat();
        assert!(Heartbeat::parse(deep.as_bytes()).is_err());
        let many = r#"{"groupName":"g"},"#.repeat(5000);
        let many = format!(r#"{{"clientID":"a","producerDataSet":[{many}{{"groupName":"g"}}]}}"#);
        assert_eq!(
            Heartbeat::parse(many.as_bytes()),
            Err(HeartbeatError::TooLarge)
        );
    }
}

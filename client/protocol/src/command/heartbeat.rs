//! Clients and groups: 34, 35, 38, 40, 46.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{json_body, lenient};

/// 34: everything a client produces to and consumes from.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// The client's id, opaque to the broker.
    #[serde(rename = "clientID", deserialize_with = "lenient::text")]
    pub client_id: String,
    /// Consumer groups.
    #[serde(deserialize_with = "lenient::or_default")]
    pub consumer_data_set: Vec<ConsumerData>,
    /// Hash of the subscriptions (5.x, second version of the heartbeat).
    #[serde(
        deserialize_with = "lenient::some_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub heartbeat_fingerprint: Option<i32>,
    /// Producer groups.
    #[serde(deserialize_with = "lenient::or_default")]
    pub producer_data_set: Vec<ProducerData>,
    /// Only the connection is to be refreshed (5.x, second version of the heartbeat).
    #[serde(
        deserialize_with = "lenient::some_flag",
        skip_serializing_if = "Option::is_none"
    )]
    pub without_sub: Option<bool>,
}

/// A producer group of a client.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Name.
    #[serde(deserialize_with = "lenient::text")]
    pub group_name: String,
}

/// A consumer group of a client.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where a new group begins.
    pub consume_from_where: ConsumeFromWhere,
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Name.
    #[serde(deserialize_with = "lenient::text")]
    pub group_name: String,
    /// Shared or broadcast.
    pub message_model: MessageModel,
    /// What it consumes.
    #[serde(deserialize_with = "lenient::or_default")]
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Unit mode.
    #[serde(
        deserialize_with = "lenient::some_flag",
        skip_serializing_if = "Option::is_none"
    )]
    pub unit_mode: Option<bool>,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Filter by class.
    #[serde(deserialize_with = "lenient::flag")]
    pub class_filter_mode: bool,
    /// Tag codes; the C++ client sends zeros, so trust `sub_string` instead.
    #[serde(deserialize_with = "lenient::numbers")]
    pub code_set: Vec<i32>,
    /// `TAG` or `SQL92`; absent is `TAG`.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub expression_type: Option<String>,
    /// The expression.
    #[serde(deserialize_with = "lenient::text")]
    pub sub_string: String,
    /// Version; milliseconds (nanoseconds from Go).
    #[serde(deserialize_with = "lenient::number")]
    pub sub_version: i64,
    /// Tags.
    #[serde(deserialize_with = "lenient::or_default")]
    pub tags_set: Vec<String>,
    /// Topic.
    #[serde(deserialize_with = "lenient::text")]
    pub topic: String,
}

/// Declares an enum that travels by name, and from C++ by number.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            const NAMES: &[(Self, &'static str)] = &[$((Self::$variant, $wire),)*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(lenient::variant(deserializer, Self::NAMES)?.unwrap_or_default())
            }
        }
    };
}

wire_enum! {
    /// Where a new group begins. In the order of the reference's numbers.
    ConsumeFromWhere {
        /// At the end.
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated.
        LastOffsetAndMinWhenFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
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

wire_enum! {
    /// How a group consumes.
    ConsumeType {
        /// Pull and lite pull.
        Actively = "CONSUME_ACTIVELY",
        /// Push.
        #[default]
        Passively = "CONSUME_PASSIVELY",
        /// Pop.
        Pop = "CONSUME_POP",
    }
}

wire_enum! {
    /// Who of a group gets a message.
    MessageModel {
        /// Everyone.
        Broadcasting = "BROADCASTING",
        /// One of them.
        #[default]
        Clustering = "CLUSTERING",
    }
}

fields! {
    /// 35: a client leaves its groups. The C++ client sends "" for the group it does not mean.
    pub struct UnregisterClient<'a> {
        /// The client's id.
        required "clientID" => client_id: Cow<'a, str>,
        /// Producer group to leave.
        "producerGroup" => producer_group: Option<Cow<'a, str>>,
        /// Consumer group to leave.
        "consumerGroup" => consumer_group: Option<Cow<'a, str>>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 38 (who is in a group) and 40 (the members changed).
    pub struct GroupQuery<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

/// Body of the answer to 38.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerList {
    /// Ids of the group's clients.
    #[serde(deserialize_with = "lenient::or_default")]
    pub consumer_id_list: Vec<String>,
}

/// 46: whether a subscription compiles.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientConfig {
    /// The client's id.
    #[serde(deserialize_with = "lenient::text")]
    pub client_id: String,
    /// Consumer group.
    #[serde(deserialize_with = "lenient::text")]
    pub group: String,
    /// Namespace.
    #[serde(
        deserialize_with = "lenient::some_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,
    /// The subscription.
    #[serde(deserialize_with = "lenient::or_default")]
    pub subscription_data: SubscriptionData,
}

json_body! {
    HeartbeatData => "heartbeat",
    ConsumerList => "list of consumers",
    CheckClientConfig => "client configuration",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpp_form_with_numbers_and_gaps_is_read() {
        let body = br#"{"clientID":"26573-127.0.0.1@DEFAULT","consumerDataSet":[{"consumeFromWhere":0,"consumeType":1,"groupName":"CG_cpp","messageModel":1,"subscriptionDataSet":[{"subString":"*","subVersion":"1795161179971","topic":"%RETRY%CG_cpp"},{"codeSet":[0,0],"subString":"TagA || TagB","tagsSet":["TagA","TagB"],"topic":"TopicTest"}]}]}
"#;
        let data = HeartbeatData::parse(body).unwrap();
        let group = &data.consumer_data_set[0];
        assert_eq!(group.consume_from_where, ConsumeFromWhere::LastOffset);
        assert_eq!(group.consume_type, ConsumeType::Passively);
        assert_eq!(group.message_model, MessageModel::Clustering);
        assert_eq!(
            group.subscription_data_set[0].sub_version,
            1_795_161_179_971
        );
        assert_eq!(group.subscription_data_set[1].code_set, [0, 0]);
        assert!(data.producer_data_set.is_empty());
    }

    #[test]
    fn the_go_form_with_strings_for_numbers_is_read() {
        let body = br#"{"clientID":"c","producerDataSet":null,"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"Clustering","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","subscriptionDataSet":[{"classFilterMode":false,"topic":"t","subString":"TagA","codeSet":["2598919"],"subVersion":1795161166200000000,"expressionType":""}],"unitMode":false}]}"#;
        let group = HeartbeatData::parse(body)
            .unwrap()
            .consumer_data_set
            .remove(0);
        assert_eq!(group.message_model, MessageModel::Clustering);
        assert_eq!(group.consume_from_where, ConsumeFromWhere::FirstOffset);
        assert_eq!(group.subscription_data_set[0].code_set, [2_598_919]);
    }

    #[test]
    fn unknown_names_and_hostile_shapes_do_not_panic() {
        let data = HeartbeatData::parse(br#"{"consumerDataSet":[{"consumeType":"CONSUME_X","messageModel":{},"unknown":[{}]}]}"#).unwrap();
        assert_eq!(
            data.consumer_data_set[0].consume_type,
            ConsumeType::Passively
        );
        assert!(HeartbeatData::parse(b"[]").is_err());
        assert!(HeartbeatData::parse(b"").is_err());
        assert!(HeartbeatData::parse(&b"[".repeat(1 << 20)).is_err());
        assert!(HeartbeatData::parse(b"\xFF").is_err());
    }
}

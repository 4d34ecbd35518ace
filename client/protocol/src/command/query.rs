//! Looking messages up: 12 by key, 33 by physical offset.

use std::borrow::Cow;

fields! {
    /// 12: messages with a key. Answered with the records that may match; the client compares.
    pub struct QueryMessage<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Key, or unique key.
        required "key" => key: Cow<'a, str>,
        /// Most messages wanted.
        required "maxNum" => max_messages: i32,
        /// Earliest store time in milliseconds.
        required "beginTimestamp" => begin_timestamp: i64,
        /// Latest store time in milliseconds.
        required "endTimestamp" => end_timestamp: i64,
        /// Whether `key` is a unique key.
        "_UNIQUE_KEY_QUERY" => unique_key: bool,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// Answer to 12, on code 22 too.
    pub struct QueryMessageResponse {
        /// When the index was last extended, in milliseconds.
        required "indexLastUpdateTimestamp" => index_last_update_timestamp: i64,
        /// Up to which physical offset.
        required "indexLastUpdatePhyoffset" => index_last_update_offset: i64,
    }
}

fields! {
    /// 33: the record at a physical offset.
    pub struct ViewMessage<'a> {
        /// Physical offset.
        required "offset" => offset: i64,
        /// Topic, where the client knows it.
        "topic" => topic: Option<Cow<'a, str>>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

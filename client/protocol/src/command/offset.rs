//! Offsets: 14, 15, 29, 30, 31, 32.

use std::borrow::Cow;

fields! {
    /// 14: what offset a group has committed.
    pub struct QueryConsumerOffset<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// False: answer 22 rather than 0 where nothing is committed.
        "setZeroIfNotFound" => zero_if_not_found: Option<bool>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 15: commit an offset, usually one-way.
    pub struct UpdateConsumerOffset<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Offset after the last one consumed.
        required "commitOffset" => commit_offset: i64,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 29: the offset at a time.
    pub struct SearchOffset<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Milliseconds.
        required "timestamp" => timestamp: i64,
        /// `LOWER` (first at or after) or `UPPER` (last at or before); absent is `LOWER`.
        "boundaryType" => boundary_type: Option<Cow<'a, str>>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

impl SearchOffset<'_> {
    /// Whether the last offset at or before the time is wanted.
    pub fn is_upper(&self) -> bool {
        self.boundary_type
            .as_deref()
            .is_some_and(|bound| bound.eq_ignore_ascii_case("upper"))
    }
}

fields! {
    /// 30: the offset that the next message gets.
    pub struct GetMaxOffset<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Whether only what consumers can see counts.
        "committed" => committed: bool = true,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// 31 and 32: the first offset of a queue, and when its message was stored.
    pub struct QueueQuery<'a> {
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

fields! {
    /// Answer to 14, 29, 30 and 31.
    pub struct OffsetResponse {
        /// The offset.
        required "offset" => offset: i64,
    }
}

fields! {
    /// Answer to 32.
    pub struct TimestampResponse {
        /// Milliseconds; -1 where the queue is empty.
        required "timestamp" => timestamp: i64,
    }
}

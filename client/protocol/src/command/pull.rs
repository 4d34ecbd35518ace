//! Pulling: 11, and 361 with the same fields.

use std::borrow::Cow;

/// Bits of [`PullRequest::sys_flag`] (`PullSysFlag`).
pub mod sys_flag {
    /// `commit_offset` is to be stored.
    pub const COMMIT_OFFSET: i32 = 1;
    /// Wait for a message instead of answering 19.
    pub const SUSPEND: i32 = 2;
    /// `subscription` counts; otherwise the one registered by heartbeat does.
    pub const SUBSCRIPTION: i32 = 4;
    /// Class filter.
    pub const CLASS_FILTER: i32 = 8;
    /// Sent by a lite pull consumer.
    pub const LITE_PULL: i32 = 16;
}

fields! {
    /// Header of a pull.
    pub struct PullRequest<'a> {
        /// Consumer group.
        required "consumerGroup" => consumer_group: Cow<'a, str>,
        /// Topic.
        required "topic" => topic: Cow<'a, str>,
        /// Queue id.
        required "queueId" => queue_id: i32,
        /// First offset wanted.
        required "queueOffset" => queue_offset: i64,
        /// Most messages wanted; 0 still gets one.
        required "maxMsgNums" => max_messages: i32,
        /// Bits of [`sys_flag`].
        required "sysFlag" => sys_flag: i32,
        /// Offset to commit.
        required "commitOffset" => commit_offset: i64,
        /// How long to wait for a message.
        required "suspendTimeoutMillis" => suspend_timeout_ms: i64,
        /// Filter expression.
        "subscription" => subscription: Option<Cow<'a, str>>,
        /// Version of the subscription that the client holds.
        required "subVersion" => subscription_version: i64,
        /// `TAG` or `SQL92`; absent is `TAG`.
        "expressionType" => expression_type: Option<Cow<'a, str>>,
        /// Most bytes wanted.
        "maxMsgBytes" => max_bytes: Option<i32>,
        /// Who asks: -1 a client, 0 to 2 a proxy.
        "requestSource" => request_source: Option<i32>,
        /// Client behind a proxy (the upstream spelling).
        "proxyFrowardClientId" => proxy_client_id: Option<Cow<'a, str>>,
        /// Broker name.
        "bname" => broker_name: Option<Cow<'a, str>>,
    }
}

impl PullRequest<'_> {
    /// Whether a bit of [`sys_flag`] is set.
    pub fn has(&self, bit: i32) -> bool {
        self.sys_flag & bit != 0
    }
}

fields! {
    /// Header of the answer to a pull. Clients want the first four on codes 19, 20 and 21 too.
    pub struct PullResponse {
        /// Broker id to pull from next.
        required "suggestWhichBrokerId" => suggested_broker_id: i64,
        /// Offset to pull next.
        required "nextBeginOffset" => next_begin_offset: i64,
        /// First offset of the queue.
        required "minOffset" => min_offset: i64,
        /// Offset after the last one of the queue.
        required "maxOffset" => max_offset: i64,
        /// Difference to apply to the offsets of the records.
        "offsetDelta" => offset_delta: Option<i64>,
        /// Topic's flags.
        "topicSysFlag" => topic_sys_flag: Option<i32>,
        /// Group's flags.
        "groupSysFlag" => group_sys_flag: Option<i32>,
        /// On code 16: 1 broker, 2 group, 3 topic, 4 broadcasting, 5 subscription.
        "forbiddenType" => forbidden_type: Option<i32>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HeaderKind;
    use crate::header::{Head, Header};

    #[test]
    fn a_pull_of_the_cpp_client_reads_with_its_numbers_and_strings() {
        let json = br#"{"code":11,"extFields":{"consumerGroup":"CG_cpp","maxMsgNums":32,"queueId":2,"queueOffset":"7","subVersion":"1795161179971","sysFlag":6,"topic":"T","subscription":"TagA || TagB","suspendTimeoutMillis":"15000","commitOffset":"-1"}}"#;
        let header = Header::decode(HeaderKind::Json, json).unwrap();
        let pull = PullRequest::decode(&header.ext);
        assert_eq!(
            (pull.queue_id, pull.queue_offset, pull.commit_offset),
            (2, 7, -1)
        );
        assert!(pull.has(sys_flag::SUSPEND) && pull.has(sys_flag::SUBSCRIPTION));
        assert!(!pull.has(sys_flag::COMMIT_OFFSET));
        assert_eq!(pull.expression_type, None);
        assert_eq!(PullRequest::first_missing(&header.ext), None);
    }

    #[test]
    fn a_response_without_optional_fields_has_the_four_that_clients_unbox() {
        let mut out = Vec::new();
        let response = PullResponse {
            next_begin_offset: 5,
            ..Default::default()
        };
        Head::response(19, 3).encode_header(HeaderKind::Json, &mut out, |ext| response.put(ext));
        let header = Header::decode(HeaderKind::Json, &out).unwrap();
        assert_eq!(header.ext.iter().count(), 4);
        assert_eq!(PullResponse::decode(&header.ext), response);
    }
}

//! Queue locks of orderly consumers: 41 and 42.

use serde::{Deserialize, Serialize};

use super::{MessageQueue, json_body, lenient};

/// 41 and 42: queues to lock or to unlock.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockRequest {
    /// The client's id.
    #[serde(deserialize_with = "lenient::text")]
    pub client_id: String,
    /// Consumer group.
    #[serde(deserialize_with = "lenient::text")]
    pub consumer_group: String,
    /// The queues.
    #[serde(deserialize_with = "lenient::or_default")]
    pub mq_set: Vec<MessageQueue>,
    /// Do not ask other brokers (5.x).
    #[serde(
        deserialize_with = "lenient::some_flag",
        skip_serializing_if = "Option::is_none"
    )]
    pub only_this_broker: Option<bool>,
}

/// Answer to 41.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockResponse {
    /// The queues that the client holds now.
    #[serde(rename = "lockOKMQSet", deserialize_with = "lenient::or_default")]
    pub locked: Vec<MessageQueue>,
}

json_body! {
    LockRequest => "list of queues to lock",
    LockResponse => "list of locked queues",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_the_reference_reads_and_writes_the_same_bytes() {
        let body = br#"{"clientId":"c","consumerGroup":"g","mqSet":[{"brokerName":"b","queueId":1,"topic":"t"}],"onlyThisBroker":false}"#;
        let request = LockRequest::parse(body).unwrap();
        assert_eq!(request.mq_set[0].queue_id, 1);
        assert_eq!(request.to_json(), body);
    }
}

//! Queue locks of orderly consumers (41, 42; semantics page 3): at any time at most one client of a
//! group holds a queue, and a holder that falls silent loses it after a lease.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names;
use crate::limits::{LOCK_REQUEST_QUEUES_MAX, QUEUE_LOCKS_MAX};

/// A lock not renewed for this long is free (`rocketmq.broker.rebalance.lockMaxLiveTime`).
pub const LEASE_MS: u64 = 60_000;

/// A queue as lock requests name it and as the answer repeats it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueKey {
    /// The broker that serves it.
    #[serde(default)]
    pub broker_name: String,
    /// Its number.
    #[serde(default)]
    pub queue_id: i32,
    /// Its topic.
    #[serde(default)]
    pub topic: String,
}

/// The body of 41 and 42.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockRequest {
    /// The group the queues are consumed for.
    pub consumer_group: String,
    /// Who asks.
    pub client_id: String,
    /// Which queues.
    #[serde(default)]
    pub mq_set: Vec<QueueKey>,
}

/// Why a lock request is refused (29).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockRequestError {
    /// Not the JSON it should be.
    #[error("the lock request cannot be read: {0}")]
    Malformed(String),
    /// A bound of `limits.rs`, or an impossible client id or group.
    #[error(
        "the lock request names no valid group or client, or more than {LOCK_REQUEST_QUEUES_MAX} queues"
    )]
    OutOfBounds,
}

impl LockRequest {
    /// Parses the body of 41 or 42.
    pub fn parse(body: &[u8]) -> Result<Self, LockRequestError> {
        let request: Self = serde_json::from_slice(body)
            .map_err(|error| LockRequestError::Malformed(error.to_string()))?;
        let is_valid = names::validate_group(&request.consumer_group).is_ok()
            && names::is_valid_client_id(&request.client_id)
            && request.mq_set.len() <= LOCK_REQUEST_QUEUES_MAX;
        if is_valid {
            Ok(request)
        } else {
            Err(LockRequestError::OutOfBounds)
        }
    }
}

/// The body that answers 41.
pub fn lock_answer(granted: &[QueueKey]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        #[serde(rename = "lockOKMQSet")]
        granted: &'a [QueueKey],
    }
    serde_json::to_vec(&Answer { granted }).unwrap_or_default()
}

/// See the module. Lives on the home shard, in memory only: after a restart every lock is free, and
/// clients ask again within 20 s.
#[derive(Debug, Default)]
pub struct LockTable {
    groups: BTreeMap<String, BTreeMap<QueueKey, Lock>>,
    len: usize,
}

#[derive(Debug)]
struct Lock {
    client_id: String,
    renewed_ms: u64,
}

impl Lock {
    fn is_expired(&self, monotonic_ms: u64) -> bool {
        monotonic_ms.saturating_sub(self.renewed_ms) > LEASE_MS
    }
}

impl LockTable {
    /// No locks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants what is free, held by the same client, or expired; returns the granted queues in the
    /// order asked. `monotonic_ms` is monotonic time.
    pub fn lock(&mut self, request: &LockRequest, monotonic_ms: u64) -> Vec<QueueKey> {
        let mut granted = Vec::new();
        for queue in &request.mq_set {
            if self.lock_one(
                &request.consumer_group,
                queue,
                &request.client_id,
                monotonic_ms,
            ) {
                granted.push(queue.clone());
            }
        }
        granted
    }

    /// Releases what the client holds of the queues; others' locks stay.
    pub fn unlock(&mut self, request: &LockRequest) {
        let Some(locks) = self.groups.get_mut(&request.consumer_group) else {
            return;
        };
        for queue in &request.mq_set {
            if locks
                .get(queue)
                .is_some_and(|l| l.client_id == request.client_id)
            {
                locks.remove(queue);
                self.len -= 1;
            }
        }
        if locks.is_empty() {
            self.groups.remove(&request.consumer_group);
        }
    }

    /// Whether any queue of the group is held (a message sent back then goes to the dead letters,
    /// broker page 2.6).
    pub fn is_any_held(&self, group: &str, monotonic_ms: u64) -> bool {
        self.groups
            .get(group)
            .is_some_and(|locks| locks.values().any(|l| !l.is_expired(monotonic_ms)))
    }

    /// Forgets expired locks; call every few seconds.
    pub fn expire(&mut self, monotonic_ms: u64) {
        self.groups.retain(|_, locks| {
            locks.retain(|_, lock| !lock.is_expired(monotonic_ms));
            !locks.is_empty()
        });
        self.len = self.groups.values().map(BTreeMap::len).sum();
    }

    /// Locks in the table, expired ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn lock_one(&mut self, group: &str, queue: &QueueKey, client: &str, now: u64) -> bool {
        let fresh = || Lock {
            client_id: client.to_owned(),
            renewed_ms: now,
        };
        if let Some(lock) = self.groups.get_mut(group).and_then(|l| l.get_mut(queue)) {
            let is_granted = lock.client_id == client || lock.is_expired(now);
            if is_granted {
                *lock = fresh();
            }
            return is_granted;
        }
        if self.len >= QUEUE_LOCKS_MAX {
            return false;
        }
        self.groups
            .entry(group.to_owned())
            .or_default()
            .insert(queue.clone(), fresh());
        self.len += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(group: &str, client: &str, queues: &[i32]) -> LockRequest {
        LockRequest {
            consumer_group: group.into(),
            client_id: client.into(),
            mq_set: queues
                .iter()
                .map(|queue_id| QueueKey {
                    broker_name: "broker-a".into(),
                    queue_id: *queue_id,
                    topic: "TopicTest".into(),
                })
                .collect(),
        }
    }

    fn granted(table: &mut LockTable, request: &LockRequest, now: u64) -> Vec<i32> {
        let queues = table.lock(request, now);
        queues.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn a_queue_held_by_another_client_is_not_granted() {
        let mut table = LockTable::new();
        assert_eq!(granted(&mut table, &request("G", "a", &[0]), 0), [0]);
        assert_eq!(granted(&mut table, &request("G", "b", &[0, 1]), 10), [1]);
        assert_eq!(granted(&mut table, &request("G", "a", &[0]), 20), [0]);
    }

    #[test]
    fn groups_lock_independently() {
        let mut table = LockTable::new();
        assert_eq!(granted(&mut table, &request("G1", "a", &[0]), 0), [0]);
        assert_eq!(granted(&mut table, &request("G2", "b", &[0]), 0), [0]);
    }

    #[test]
    fn a_lease_ends_after_sixty_seconds_without_renewal() {
        let mut table = LockTable::new();
        table.lock(&request("G", "a", &[0]), 0);
        table.lock(&request("G", "a", &[0]), 30_000);
        let other = request("G", "b", &[0]);
        assert!(granted(&mut table, &other, 90_000).is_empty());
        assert!(table.is_any_held("G", 90_000));
        assert!(!table.is_any_held("G", 90_001));
        assert_eq!(granted(&mut table, &other, 90_001), [0]);
        assert!(granted(&mut table, &request("G", "a", &[0]), 90_002).is_empty());
    }

    #[test]
    fn only_the_holder_unlocks() {
        let mut table = LockTable::new();
        table.lock(&request("G", "a", &[0]), 0);
        table.unlock(&request("G", "b", &[0]));
        assert!(granted(&mut table, &request("G", "b", &[0]), 1).is_empty());
        table.unlock(&request("G", "a", &[0]));
        assert_eq!(granted(&mut table, &request("G", "b", &[0]), 2), [0]);
    }

    #[test]
    fn expired_locks_are_swept() {
        let mut table = LockTable::new();
        table.lock(&request("G", "a", &[0, 1]), 0);
        table.lock(&request("H", "a", &[0]), 50_000);
        table.expire(70_000);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn requests_of_java_and_go_are_read_and_bad_ones_refused() {
        let java = br#"{"clientId":"raw@2","consumerGroup":"CG","mqSet":[{"brokerName":"broker-a","queueId":1,"topic":"T"}],"onlyThisBroker":false}"#;
        let parsed = LockRequest::parse(java).unwrap();
        assert_eq!(parsed.mq_set[0].queue_id, 1);
        assert_eq!(
            lock_answer(&parsed.mq_set),
            br#"{"lockOKMQSet":[{"brokerName":"broker-a","queueId":1,"topic":"T"}]}"#
        );
        assert!(LockRequest::parse(b"{}").is_err());
        assert!(LockRequest::parse(br#"{"clientId":"","consumerGroup":"CG"}"#).is_err());
        assert!(LockRequest::parse(&br#"{"clientId":"#[..]).is_err());
    }
}

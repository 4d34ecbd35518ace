//! The topics every broker has from its first start (broker page 2.5).

use super::names::{
    AUTO_CREATE_TOPIC, BENCHMARK_TOPIC, OFFSET_MOVED_EVENT, SCHEDULE_TOPIC, SELF_TEST_TOPIC,
    TRACE_TOPIC, TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC,
};
use super::topic_config::{Permission, TopicConfig};

/// What the set of system topics depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemTopicSettings {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub broker: String,
    /// `autoCreateTopicEnable`: whether [`AUTO_CREATE_TOPIC`] exists.
    pub auto_create: bool,
    /// `defaultTopicQueueNums`: its queues.
    pub default_queues: u32,
    /// `traceTopicEnable`: whether [`TRACE_TOPIC`] exists.
    pub trace: bool,
}

/// All of them, sorted by name.
pub fn system_topics(settings: &SystemTopicSettings) -> Vec<TopicConfig> {
    let SystemTopicSettings {
        cluster, broker, ..
    } = settings;
    let inherited = Permission(7);
    let both = Permission::READ_WRITE;
    let mut topics = vec![
        TopicConfig::new(SELF_TEST_TOPIC, 1, both),
        TopicConfig::new(BENCHMARK_TOPIC, 1024, both),
        TopicConfig::new(cluster.clone(), 16, inherited),
        TopicConfig::new(broker.clone(), 1, inherited),
        TopicConfig::new(OFFSET_MOVED_EVENT, 1, both),
        TopicConfig::new(SCHEDULE_TOPIC, 18, both),
        TopicConfig::new(reply_topic(cluster), 1, both),
        TopicConfig::new(revive_topic(cluster), 8, both),
        TopicConfig::new(
            format!("rmq_sys_SYNC_BROKER_MEMBER_{broker}"),
            1,
            Permission(Permission::INHERIT),
        ),
        TopicConfig::new(TRANS_HALF_TOPIC, 1, both),
        TopicConfig::new(TRANS_OP_HALF_TOPIC, 1, both),
        TopicConfig::new("rmq_sys_wheel_timer", 1, both),
    ];
    if settings.auto_create {
        topics.push(TopicConfig::new(
            AUTO_CREATE_TOPIC,
            settings.default_queues,
            inherited,
        ));
    }
    if settings.trace {
        topics.push(TopicConfig::new(TRACE_TOPIC, 1, both));
    }
    topics.sort_by(|a, b| a.topic_name.cmp(&b.topic_name));
    topics.dedup_by(|a, b| a.topic_name == b.topic_name);
    topics
}

/// Where replies of request-reply go.
pub fn reply_topic(cluster: &str) -> String {
    format!("{cluster}_REPLY_TOPIC")
}

/// Where receipts of POP deliveries go.
pub fn revive_topic(cluster: &str) -> String {
    format!("rmq_sys_REVIVE_LOG_{cluster}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SystemTopicSettings {
        SystemTopicSettings {
            cluster: "DefaultCluster".into(),
            broker: "broker-a".into(),
            auto_create: true,
            default_queues: 8,
            trace: false,
        }
    }

    #[test]
    fn they_have_apaches_queues_and_permissions() {
        let topics = system_topics(&settings());
        let shape = |name: &str| {
            topics
                .iter()
                .find(|t| t.topic_name == name)
                .map(|t| (t.read_queue_nums, t.write_queue_nums, t.perm.0))
        };
        assert_eq!(shape("TBW102"), Some((8, 8, 7)));
        assert_eq!(shape("BenchmarkTest"), Some((1024, 1024, 6)));
        assert_eq!(shape("DefaultCluster"), Some((16, 16, 7)));
        assert_eq!(shape("broker-a"), Some((1, 1, 7)));
        assert_eq!(shape("SCHEDULE_TOPIC_XXXX"), Some((18, 18, 6)));
        assert_eq!(
            shape("rmq_sys_SYNC_BROKER_MEMBER_broker-a"),
            Some((1, 1, 1))
        );
        assert_eq!(shape("RMQ_SYS_TRACE_TOPIC"), None);
    }

    #[test]
    fn without_automatic_topics_there_is_no_template() {
        let topics = system_topics(&SystemTopicSettings {
            auto_create: false,
            trace: true,
            ..settings()
        });
        assert!(!topics.iter().any(|t| t.topic_name == "TBW102"));
        assert!(topics.iter().any(|t| t.topic_name == "RMQ_SYS_TRACE_TOPIC"));
    }

    #[test]
    fn a_cluster_named_like_its_broker_gives_one_topic() {
        let topics = system_topics(&SystemTopicSettings {
            broker: "DefaultCluster".into(),
            ..settings()
        });
        let count = topics.iter().filter(|t| t.topic_name == "DefaultCluster");
        assert_eq!(count.count(), 1);
    }
}

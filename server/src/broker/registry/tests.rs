use super::*;
use crate::broker::heartbeat::{ProducerData, SubscriptionData};

struct World {
    registry: Registry,
    config: Arc<GroupConfig>,
    now: u64,
}

fn world() -> World {
    World {
        registry: Registry::new(),
        config: Arc::new(GroupConfig::new("CG")),
        now: 1000,
    }
}

fn info() -> ClientInfo {
    ClientInfo {
        address: "192.0.2.1:5000".into(),
        language: "JAVA".into(),
        version: 513,
    }
}

fn beat(client: &str, topics: &[(&str, i64)]) -> Heartbeat {
    Heartbeat {
        client_id: client.into(),
        consumers: vec![ConsumerData {
            group_name: "CG".into(),
            consume_type: ConsumeType::Passively,
            message_model: MessageModel::Clustering,
            consume_from_where: ConsumeFromWhere::LastOffset,
            subscriptions: topics
                .iter()
                .map(|(topic, version)| SubscriptionData {
                    topic: (*topic).into(),
                    sub_string: Some("TagA".into()),
                    expression_type: None,
                    sub_version: *version,
                    class_filter_mode: false,
                })
                .collect(),
            unit_mode: false,
        }],
        producers: vec![ProducerData {
            group_name: "PG".into(),
        }],
        without_sub: false,
    }
}

impl World {
    fn beat(&mut self, connection: u64, heartbeat: &Heartbeat) -> Effect {
        let config = &self.config;
        let find = |name: &str| (name == "CG").then_some(config);
        let id = ConnectionId(connection);
        self.registry
            .heartbeat(id, &info(), heartbeat, find, self.now)
    }

    fn close(&mut self, connection: u64) -> Effect {
        let config = &self.config;
        self.registry
            .connection_closed(ConnectionId(connection), |_| Some(config))
    }
}

fn notified(effect: &Effect) -> Vec<u64> {
    effect.notify.iter().map(|(_, id)| id.0).collect()
}

#[test]
fn a_new_member_is_told_to_all_members_and_itself() {
    let mut world = world();
    let first = world.beat(1, &beat("a", &[("T", 1)]));
    assert_eq!(notified(&first), [1]);
    let second = world.beat(2, &beat("b", &[("T", 1)]));
    assert_eq!(notified(&second), [1, 2]);
    assert!(second.changed.contains("CG"));
    assert_eq!(world.registry.consumer_ids("CG"), Some(vec!["a", "b"]));
}

#[test]
fn a_heartbeat_without_news_has_no_effect() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 1)]));
    assert!(world.beat(1, &beat("a", &[("T", 1)])).is_empty());
}

#[test]
fn a_newer_version_replaces_the_entry_without_notification() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 5)]));
    let effect = world.beat(1, &beat("a", &[("T", 6)]));
    assert!(effect.notify.is_empty());
    assert!(effect.changed.contains("CG"), "shards must see the version");
    assert_eq!(world.registry.subscription("CG", "T").unwrap().version, 6);
    world.beat(1, &beat("a", &[("T", 4)]));
    assert_eq!(
        world.registry.subscription("CG", "T").unwrap().version,
        6,
        "an older version is not taken"
    );
}

#[test]
fn topics_that_come_or_go_are_told() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 1)]));
    let added = world.beat(1, &beat("a", &[("T", 1), ("U", 1)]));
    assert_eq!(notified(&added), [1]);
    let removed = world.beat(1, &beat("a", &[("U", 1)]));
    assert_eq!(notified(&removed), [1]);
    assert!(world.registry.subscription("CG", "T").is_none());
}

#[test]
fn a_heartbeat_without_subscriptions_refreshes_only() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 1)]));
    let mut light = beat("a", &[]);
    light.without_sub = true;
    assert!(world.beat(1, &light).is_empty());
    assert!(world.registry.subscription("CG", "T").is_some());
}

#[test]
fn members_of_a_broadcasting_group_are_not_told() {
    let mut world = world();
    let mut broadcast = beat("a", &[("T", 1)]);
    broadcast.consumers[0].message_model = MessageModel::Broadcasting;
    assert!(world.beat(1, &broadcast).notify.is_empty());
}

#[test]
fn a_group_with_notifications_off_is_not_told() {
    let mut world = world();
    let mut config = GroupConfig::new("CG");
    config.notify_consumer_ids_changed_enable = false;
    world.config = Arc::new(config);
    let effect = world.beat(1, &beat("a", &[("T", 1)]));
    assert!(effect.notify.is_empty());
    assert!(effect.changed.contains("CG"));
}

#[test]
fn an_unknown_group_is_passed_over() {
    let mut world = world();
    let mut other = beat("a", &[("T", 1)]);
    other.consumers[0].group_name = "OTHER".into();
    assert!(world.beat(1, &other).is_empty());
    assert!(world.registry.consumer_group("OTHER").is_none());
    assert!(world.registry.producers("PG").is_some());
}

#[test]
fn the_end_of_a_connection_leaves_its_groups_and_tells_the_rest() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 1)]));
    world.beat(2, &beat("b", &[("T", 1)]));
    let effect = world.close(1);
    assert_eq!(notified(&effect), [2]);
    assert_eq!(world.registry.consumer_ids("CG"), Some(vec!["b"]));
    let effect = world.close(2);
    assert!(effect.notify.is_empty());
    assert!(effect.changed.contains("CG"));
    assert_eq!(world.registry.consumer_ids("CG"), None);
    assert!(world.registry.producers("PG").is_none());
    assert_eq!(world.registry.connections(), 0);
    assert!(world.close(2).is_empty(), "a second end is nothing new");
}

#[test]
fn unregistering_leaves_only_the_named_groups() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 1)]));
    world.beat(2, &beat("b", &[("T", 1)]));
    let config = Arc::clone(&world.config);
    let find = |_: &str| Some(&config);
    let effect = world
        .registry
        .unregister(ConnectionId(1), Some(""), Some("CG"), find);
    assert_eq!(notified(&effect), [2]);
    assert_eq!(world.registry.producers("PG").unwrap().count(), 2);
    let effect = world
        .registry
        .unregister(ConnectionId(1), Some("PG"), None, find);
    assert!(effect.is_empty());
    assert_eq!(world.registry.connections(), 1);
    let effect = world
        .registry
        .unregister(ConnectionId(9), Some("PG"), Some("CG"), find);
    assert!(effect.is_empty(), "a stranger changes nothing");
}

#[test]
fn a_client_silent_for_two_minutes_is_forgotten_and_its_connection_closed() {
    let mut world = world();
    world.beat(1, &beat("a", &[("T", 1)]));
    world.now += 60_000;
    world.beat(2, &beat("b", &[("T", 1)]));
    let config = Arc::clone(&world.config);
    let find = |_: &str| Some(&config);
    assert!(world.registry.expire(121_000, find).is_empty());
    let effect = world.registry.expire(121_001, find);
    assert_eq!(effect.close, [ConnectionId(1)]);
    assert_eq!(notified(&effect), [2]);
    assert_eq!(world.registry.consumer_ids("CG"), Some(vec!["b"]));
}

#[test]
fn producers_are_picked_in_turn() {
    let mut world = world();
    for connection in 1..=3 {
        world.beat(connection, &beat("c", &[("T", 1)]));
    }
    let mut pick = || world.registry.pick_producer("PG").unwrap().0;
    assert_eq!([pick(), pick(), pick(), pick()], [1, 2, 3, 1]);
    world.close(2);
    assert_eq!(world.registry.pick_producer("PG"), Some(ConnectionId(3)));
    assert_eq!(world.registry.pick_producer("NO"), None);
}

#[test]
fn the_view_of_a_group_carries_what_a_pull_checks() {
    let mut world = world();
    let config = Arc::clone(&world.config);
    let offline = world.registry.view("CG", &config);
    assert!(!offline.is_online && offline.subscriptions.is_empty());
    world.beat(1, &beat("a", &[("T", 7)]));
    let online = world.registry.view("CG", &config);
    assert!(online.is_online);
    let subscription = &online.subscriptions["T"];
    assert_eq!(subscription.version, 7);
    assert_eq!(subscription.tags.codes(), Some(vec![2_598_919]));
}

use super::*;

fn queues(perm: u32) -> QueueData {
    QueueData {
        perm: Permission(perm),
        read_queue_nums: 4,
        write_queue_nums: 4,
        topic_sys_flag: 0,
    }
}

fn broker(name: &str, id: i64, topics: &[&str]) -> Registration {
    Registration {
        cluster: "C".into(),
        broker_name: name.into(),
        address: format!("{name}-{id}:1"),
        broker_id: id,
        ha_server_address: format!("{name}-{id}:2"),
        data_version: DataVersion::starting_at(1),
        topics: topics
            .iter()
            .map(|t| ((*t).to_owned(), queues(6)))
            .collect(),
        ..Registration::default()
    }
}

fn register(table: &mut RoutingTable, registration: &Registration, now: u64) {
    let id = u64::from(registration.broker_id.unsigned_abs() as u32);
    let connection = ConnectionId(id + registration.broker_name.len() as u64 * 10);
    table.register(registration, connection, now).unwrap();
}

fn brokers_of(table: &RoutingTable, topic: &str) -> Vec<String> {
    let route = table.route(topic);
    let brokers = route.map(|route| route.brokers).unwrap_or_default();
    brokers.iter().map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn a_registered_topic_has_a_route_and_an_unknown_one_has_none() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    register(&mut table, &broker("bb", 0, &["T", "V"]), 0);
    assert_eq!(brokers_of(&table, "T"), ["a", "bb"]);
    assert_eq!(brokers_of(&table, "U"), ["a"]);
    assert!(table.route("X").is_none());
    assert_eq!(table.topics().collect::<Vec<_>>(), ["T", "U", "V"]);
    assert_eq!(table.topics_of_cluster("C"), ["T", "U", "V"]);
    assert!(table.topics_of_cluster("D").is_empty());
}

#[test]
fn a_broker_is_removed_when_silent_for_too_long() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    let mut hasty = broker("bb", 0, &["T", "V"]);
    hasty.heartbeat_timeout_ms = Some(10_000);
    register(&mut table, &hasty, 0);
    assert!(table.expire(10_000).is_empty());
    assert_eq!(table.expire(10_001).len(), 1);
    assert_eq!(brokers_of(&table, "T"), ["a"]);
    assert!(table.route("V").is_none());
    table.refresh(&broker("a", 0, &[]).key(), 100_000);
    assert!(table.expire(220_000).is_empty());
    assert_eq!(table.expire(220_001).len(), 1);
    assert_eq!(table.topics().count(), 0);
    assert_eq!(table.clusters().count(), 0);
    assert_eq!(table.pairs, 0);
}

#[test]
fn the_end_of_the_registering_connection_removes_the_broker_at_once() {
    let mut table = RoutingTable::new();
    let registration = broker("a", 0, &["T", "U"]);
    table.register(&registration, ConnectionId(7), 0).unwrap();
    assert!(table.connection_closed(ConnectionId(8)).is_empty());
    assert_eq!(
        table.connection_closed(ConnectionId(7)),
        [registration.key()]
    );
    assert!(table.route("T").is_none());
}

#[test]
fn a_broker_that_registers_anew_lives_by_its_newest_connection() {
    let mut table = RoutingTable::new();
    let registration = broker("a", 0, &["T", "U"]);
    table.register(&registration, ConnectionId(7), 0).unwrap();
    table.register(&registration, ConnectionId(8), 0).unwrap();
    assert!(table.connection_closed(ConnectionId(7)).is_empty());
    assert!(table.route("T").is_some());
}

#[test]
fn a_slave_learns_its_master_and_adds_no_topics() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    let slave = broker("a", 1, &["T", "U", "V"]);
    let registered = table.register(&slave, ConnectionId(1), 0).unwrap();
    assert_eq!(registered.master_address.as_deref(), Some("a-0:1"));
    assert_eq!(registered.ha_server_address.as_deref(), Some("a-0:2"));
    assert!(table.route("V").is_none());
    let route = table.route("T").unwrap();
    assert_eq!(route.brokers[0].1.addresses.len(), 2);
    table.unregister(&slave.key(), "a");
    assert_eq!(table.route("T").unwrap().brokers[0].1.addresses.len(), 1);
}

#[test]
fn a_slave_that_becomes_master_has_one_id() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    register(&mut table, &broker("a", 1, &[]), 0);
    let mut promoted = broker("a", 0, &["T", "U"]);
    promoted.address = "a-1:1".into();
    register(&mut table, &promoted, 0);
    let addresses = &table.broker("a").unwrap().addresses;
    assert_eq!(addresses.len(), 1);
    assert_eq!(addresses[&0], "a-1:1");
}

#[test]
fn an_older_state_does_not_take_an_id_over() {
    let mut table = RoutingTable::new();
    let mut current = broker("a", 0, &["T", "U"]);
    current.data_version.state_version = 5;
    register(&mut table, &current, 0);
    let mut old = broker("a", 0, &["T", "U"]);
    old.address = "old:1".into();
    assert_eq!(
        table.register(&old, ConnectionId(3), 0),
        Ok(Registered::default())
    );
    assert_eq!(table.broker("a").unwrap().addresses[&0], "a-0:1");
}

#[test]
fn a_single_topic_from_an_unknown_broker_is_refused() {
    let mut table = RoutingTable::new();
    assert_eq!(
        table.register(&broker("a", 0, &["T"]), ConnectionId(1), 0),
        Err(RegisterError::SingleTopic)
    );
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    let mut change = broker("a", 0, &["V"]);
    change.data_version.counter = 1;
    register(&mut table, &change, 0);
    assert!(table.route("V").is_some());
    assert!(table.route("T").is_some(), "missing topics stay");
}

#[test]
fn topics_change_only_with_the_data_version() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    let perm = |table: &RoutingTable| table.route("T").unwrap().queues[0].1.perm.0;
    let mut again = broker("a", 0, &["T", "U"]);
    again.topics.insert("T".into(), queues(4));
    register(&mut table, &again, 0);
    assert_eq!(perm(&table), 6);
    again.data_version.counter = 1;
    register(&mut table, &again, 0);
    assert_eq!(perm(&table), 4);
}

#[test]
fn a_deleted_topic_is_gone_in_its_cluster_or_everywhere() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    table.delete_topic("T", Some("D"));
    assert!(table.route("T").is_some());
    table.delete_topic("T", Some("C"));
    assert!(table.route("T").is_none());
    table.delete_topic("U", None);
    table.delete_topic("U", None);
    assert_eq!(table.pairs, 0);
}

#[test]
fn write_permission_is_taken_and_given_for_all_topics_of_a_broker() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    register(&mut table, &broker("bb", 0, &["T", "U"]), 0);
    assert_eq!(table.change_permission("a", Permission::without_write), 2);
    let route = table.route("T").unwrap();
    assert_eq!(route.queues[0].1.perm.0, 4);
    assert_eq!(route.queues[1].1.perm.0, 6);
    assert_eq!(table.change_permission("x", Permission::without_write), 0);
}

#[test]
fn without_its_master_a_5_x_broker_that_may_act_is_read_only() {
    let mut table = RoutingTable::new();
    let mut master = broker("a", 0, &["T", "U"]);
    master.enable_acting_master = Some(true);
    register(&mut table, &master, 0);
    let mut slave = broker("a", 1, &["T", "U"]);
    slave.enable_acting_master = Some(true);
    register(&mut table, &slave, 0);
    table.unregister(&master.key(), "a");
    assert_eq!(table.route("T").unwrap().queues[0].1.perm.0, 4);
    slave.data_version.counter = 9;
    register(&mut table, &slave, 1);
    assert_eq!(table.route("T").unwrap().queues[0].1.perm.0, 4);
}

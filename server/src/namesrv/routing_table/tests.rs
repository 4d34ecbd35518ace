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
    let rules = RegisterRules::default();
    table
        .register(registration, &rules, connection, now)
        .unwrap();
}

fn register_over(table: &mut RoutingTable, registration: &Registration, connection: u64) {
    let rules = RegisterRules::default();
    let connection = ConnectionId(connection);
    table.register(registration, &rules, connection, 0).unwrap();
}

fn try_register(
    table: &mut RoutingTable,
    registration: &Registration,
) -> Result<Registered, RegisterError> {
    table.register(registration, &RegisterRules::default(), ConnectionId(1), 0)
}

fn keys(gone: Vec<Gone>) -> Vec<BrokerKey> {
    gone.into_iter().map(|gone| gone.broker).collect()
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
    register_over(&mut table, &registration, 7);
    assert!(table.connection_closed(ConnectionId(8)).is_empty());
    let gone = table.connection_closed(ConnectionId(7));
    assert_eq!(keys(gone), [registration.key()]);
    assert!(table.route("T").is_none());
}

#[test]
fn a_broker_that_registers_anew_lives_by_its_newest_connection() {
    let mut table = RoutingTable::new();
    let registration = broker("a", 0, &["T", "U"]);
    register_over(&mut table, &registration, 7);
    register_over(&mut table, &registration, 8);
    assert!(table.connection_closed(ConnectionId(7)).is_empty());
    assert!(table.route("T").is_some());
}

#[test]
fn a_slave_learns_its_master_and_adds_no_topics() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    let slave = broker("a", 1, &["T", "U", "V"]);
    let registered = try_register(&mut table, &slave).unwrap();
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
    assert_eq!(try_register(&mut table, &old), Ok(Registered::default()));
    assert_eq!(table.broker("a").unwrap().addresses[&0], "a-0:1");
}

#[test]
fn a_single_topic_from_an_unknown_broker_is_refused() {
    let mut table = RoutingTable::new();
    assert_eq!(
        try_register(&mut table, &broker("a", 0, &["T"])),
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

/// A master and a slave that may act for it.
fn acting_pair(table: &mut RoutingTable) -> (Registration, Registration) {
    let mut master = broker("a", 0, &["T", "U"]);
    master.enable_acting_master = Some(true);
    register(table, &master, 0);
    let mut slave = broker("a", 1, &["T", "U"]);
    slave.enable_acting_master = Some(true);
    register(table, &slave, 0);
    (master, slave)
}

#[test]
fn a_slave_is_shown_in_the_place_of_a_missing_master_where_that_is_allowed() {
    let mut table = RoutingTable::new();
    let (master, _) = acting_pair(&mut table);
    let mut route = table.route("T").unwrap();
    route.show_acting_masters();
    assert_eq!(route.brokers[0].1.addresses.len(), 2, "the master is there");
    table.unregister(&master.key(), "a");
    let mut route = table.route("T").unwrap();
    assert_eq!(route.brokers[0].1.addresses[&1], "a-1:1");
    route.show_acting_masters();
    assert_eq!(route.brokers[0].1.addresses[&0], "a-1:1");
    assert_eq!(route.brokers[0].1.addresses.len(), 1);

    let mut old = RoutingTable::new();
    let slave = broker("b", 1, &["T", "U"]);
    register(&mut old, &slave, 0);
    assert!(old.route("T").is_none(), "slaves of 4.x add no topics");
}

#[test]
fn brokers_of_other_zones_are_left_out_of_a_route_but_not_those_without_a_master() {
    let mut table = RoutingTable::new();
    for (name, id, zone) in [("near", 0, "z1"), ("far", 0, "z2"), ("headless", 1, "z2")] {
        let mut member = broker(name, id, &["T", "U"]);
        member.zone = Some(zone.to_owned());
        member.enable_acting_master = Some(true);
        register(&mut table, &member, 0);
    }
    let mut route = table.route("T").unwrap();
    route.keep_zone("Z1");
    let names = |route: &Route<'_>| -> Vec<String> {
        let names = route.brokers.iter().map(|(name, _)| (*name).to_owned());
        names.collect()
    };
    assert_eq!(names(&route), ["headless", "near"]);
    assert_eq!(route.queues.len(), 2);
}

#[test]
fn brokers_are_to_be_told_when_the_smallest_id_under_their_name_changes() {
    let mut table = RoutingTable::new();
    let (master, slave) = acting_pair(&mut table);
    assert!(table.take_min_broker_changes().is_empty());
    table.unregister(&master.key(), "a");
    let changes = table.take_min_broker_changes();
    assert_eq!(changes.len(), 1);
    let change = &changes[0];
    assert_eq!(
        (change.min_broker_id, change.told.as_slice()),
        (1, &["a-1:1".to_owned()][..])
    );
    assert_eq!(change.offline_address.as_deref(), Some("a-0:1"));
    // The master comes back: the slave is told, the master knows.
    register(&mut table, &master, 1);
    let changes = table.take_min_broker_changes();
    assert_eq!(changes.len(), 1);
    let change = &changes[0];
    assert_eq!(
        (change.min_broker_id, change.told.as_slice()),
        (0, &["a-1:1".to_owned()][..])
    );
    assert_eq!(change.ha_address.as_deref(), Some("a-0:2"));
    // A slave that goes changes nothing.
    table.unregister(&slave.key(), "a");
    assert!(table.take_min_broker_changes().is_empty());
}

#[test]
fn topics_that_a_registration_does_not_name_go_only_where_that_is_set() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U", "V"]), 0);
    register(&mut table, &broker("bb", 0, &["T", "U"]), 0);
    let mut fewer = broker("a", 0, &["T", "W"]);
    fewer.data_version.counter = 1;
    register(&mut table, &fewer, 0);
    assert_eq!(brokers_of(&table, "V"), ["a"]);
    let rules = RegisterRules {
        removes_missing_topics: true,
        ..RegisterRules::default()
    };
    fewer.data_version.counter = 2;
    table.register(&fewer, &rules, ConnectionId(1), 0).unwrap();
    assert!(table.route("V").is_none());
    assert_eq!(brokers_of(&table, "U"), ["bb"]);
    assert_eq!(table.pairs, 4);
}

#[test]
fn the_time_of_silence_is_a_setting_that_a_broker_may_override() {
    let mut table = RoutingTable::new();
    let rules = RegisterRules {
        liveness_ms: 3_000,
        ..RegisterRules::default()
    };
    let mut patient = broker("a", 0, &["T", "U"]);
    patient.heartbeat_timeout_ms = Some(10_000);
    let hasty = broker("bb", 0, &["T", "U"]);
    for registration in [&patient, &hasty] {
        table
            .register(registration, &rules, ConnectionId(1), 0)
            .unwrap();
    }
    assert_eq!(keys(table.expire(3_001)), [hasty.key()]);
    assert_eq!(keys(table.expire(10_001)), [patient.key()]);
}

#[test]
fn mappings_of_static_topics_go_with_their_broker() {
    let mut table = RoutingTable::new();
    let mut registration = broker("a", 0, &["T", "U"]);
    let mapping = TopicMapping {
        broker_name: "a".into(),
        curr_id_map: [(0, 0), (1, 2)].into(),
        epoch: 7,
        total_queues: 2,
        ..TopicMapping::default()
    };
    registration.mappings = [("T".to_owned(), mapping.clone())].into();
    register(&mut table, &registration, 0);
    let route = table.route("T").unwrap();
    assert_eq!(route.mappings.unwrap()["a"], mapping);
    assert!(table.route("U").unwrap().mappings.is_none());
    table.unregister(&registration.key(), "a");
    assert!(table.mappings.is_empty());
}

#[test]
fn a_topic_with_a_broker_that_is_not_known_is_not_entered() {
    let mut table = RoutingTable::new();
    register(&mut table, &broker("a", 0, &["T", "U"]), 0);
    let both = [("a".to_owned(), queues(6)), ("x".to_owned(), queues(6))];
    table.register_topic("N", &both).unwrap();
    assert!(table.route("N").is_none());
    table.register_topic("N", &both[..1]).unwrap();
    assert!(table.route("N").is_some());
}

//! Every captured exchange goes through the types of its code: fields read, nothing is missing
//! where the server answered 0, and what is encoded again means the same.

use std::collections::BTreeMap;

use ringmq_protocol::code::{request, response};
use ringmq_protocol::command::clients::{
    ConsumeDirectly, ConsumeDirectlyResult, ConsumerRunningInfo, ProducerTable, RunningInfoQuery,
};
use ringmq_protocol::command::ha::HaStatus;
use ringmq_protocol::command::heartbeat::{
    CheckClientConfig, ConsumerList, GroupQuery, HeartbeatData, UnregisterClient,
};
use ringmq_protocol::command::kv::{GetKvConfigResponse, KvKey, KvNamespace, KvTable, PutKvConfig};
use ringmq_protocol::command::lock::{LockRequest, LockResponse};
use ringmq_protocol::command::offset::{
    AllConsumerOffsets, CloneGroupOffset, ConsumerStatusQuery, ConsumerStatusTable,
    CorrectionOffsets, CorrectionQuery, GetMaxOffset, OffsetResponse, OffsetTable,
    QueryConsumerOffset, QueueQuery, ResetOffset, SearchOffset, TimestampResponse,
    UpdateConsumerOffset,
};
use ringmq_protocol::command::pull::{PullRequest, PullResponse};
use ringmq_protocol::command::query::{QueryMessage, QueryMessageResponse, ViewMessage};
use ringmq_protocol::command::queue::{ConsumeQueueEntries, QueryConsumeQueue};
use ringmq_protocol::command::registration::{
    BrokerHeartbeat, BrokerIdentity, DataVersion, QueryDataVersionResponse, RegisterBroker,
    RegisterBrokerBody, RegisterBrokerResponse, TopicConfigTable, TopicInNamesrv,
};
use ringmq_protocol::command::route::{
    AddResponse, ClusterInfo, ClusterQuery, RouteRequest, TopicList, TopicRouteData, WipeResponse,
    WritePermission,
};
use ringmq_protocol::command::send::{BatchItems, SendRequest, SendResponse};
use ringmq_protocol::command::stats::{
    BrokerConsumeStats, BrokerConsumeStatsQuery, BrokerStatsData, BrokerStatsQuery, ConsumeStats,
    ConsumeTimeSpans, ConsumerConnections, GetConsumeStats, GroupList, ProducerConnections,
    ProducerQuery, TimeSpanQuery, TopicStats,
};
use ringmq_protocol::command::topic::{
    CreateTopic, DeleteGroup, GroupForbidden, GroupName, GroupOfTopic, GroupSubscription,
    RequestMode, SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupTable,
    TopicConfig, TopicConfigList, TopicName,
};
use ringmq_protocol::frame::HeaderKind;
use ringmq_protocol::header::{Ext, ExtWriter, Head, Header};

use crate::fixture::{Fixture, exchanges};

#[test]
fn every_exchange_fits_the_types_of_its_code() {
    let mut typed = BTreeMap::new();
    for fixture in exchanges() {
        let frame = fixture.frames[0].frame();
        let header = Header::decode(frame.kind, frame.header).unwrap();
        let side = Side {
            fixture: &fixture,
            header: &header,
            body: frame.body,
        };
        *typed.entry(header.code).or_insert(0) += 1;
        side.request();
        for answer in &fixture.frames[1..] {
            let answer = answer.frame();
            let answered = Header::decode(answer.kind, answer.header).unwrap();
            if answered.code == response::SUCCESS {
                let side = Side {
                    fixture: &fixture,
                    header: &answered,
                    body: answer.body,
                };
                side.response(header.code);
            }
        }
    }
    assert!(typed.len() > 50, "codes met: {typed:?}");
}

/// One direction of an exchange.
struct Side<'f> {
    fixture: &'f Fixture,
    header: &'f Header<'f>,
    body: &'f [u8],
}

/// Decodes the fields as `$type`, encodes them again and expects the same fields; where the server
/// answered 0 none of the required ones is missing.
macro_rules! fields {
    ($side:expr, $type:ty) => {{
        let fields = <$type>::decode(&$side.header.ext);
        if $side.succeeded() {
            let missing = <$type>::first_missing(&$side.header.ext);
            assert_eq!(missing, None, "{}", $side.fixture.name);
        }
        $side.same_fields(
            |ext| fields.put(ext),
            |ext| assert_eq!(<$type>::decode(ext), fields),
        );
        fields
    }};
}

/// Parses the body as `$type`, writes it again and expects the same; the same bytes where the
/// writer is Java and no map decides the order.
macro_rules! body {
    ($side:expr, $type:ty, same_bytes: $same:expr) => {{
        let parsed = <$type>::parse($side.body);
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", $side.fixture.name));
        let written = parsed.to_json();
        assert_eq!(
            <$type>::parse(&written).unwrap(),
            parsed,
            "{}",
            $side.fixture.name
        );
        if $same {
            let (ours, theirs) = (
                String::from_utf8_lossy(&written),
                String::from_utf8_lossy($side.body),
            );
            assert_eq!(ours, theirs, "{}", $side.fixture.name);
        }
        parsed
    }};
}

impl Side<'_> {
    fn succeeded(&self) -> bool {
        self.fixture.fact("response") == Some("0")
    }

    /// Whether fastjson wrote the body: not Go, not C++, and not by hand.
    fn is_from_java(&self) -> bool {
        let sender = self.fixture.fact("from").unwrap_or_default();
        let by_hand = sender.contains("field by field") && !self.header.is_response();
        self.header.language.name() == "JAVA" && !by_hand
    }

    /// What is put again is a subset of what was captured, value by value, and decodes the same.
    fn same_fields(&self, put: impl Fn(&mut ExtWriter<'_>), check: impl Fn(&Ext<'_>)) {
        for kind in [HeaderKind::Json, HeaderKind::Binary] {
            let mut out = Vec::new();
            Head::request(self.header.code, 1).encode_header(kind, &mut out, &put);
            let again = Header::decode(kind, &out).unwrap();
            check(&again.ext);
            for (name, value) in again.ext.iter() {
                if let Some(captured) = self.header.ext.get(&name.to_cow()) {
                    let same = captured == value
                        || captured.parse_bool() == value.parse_bool() && !captured.is_empty();
                    assert!(same, "{}: {name} {captured} {value}", self.fixture.name);
                }
            }
        }
    }

    fn send(&self) {
        let code = self.header.code;
        let send = SendRequest::decode(code, &self.header.ext);
        if self.succeeded() {
            assert_eq!(
                SendRequest::first_missing(code, &self.header.ext),
                None,
                "{}",
                self.fixture.name
            );
            assert!(!send.topic.is_empty());
        }
        self.same_fields(
            |ext| send.put(code, ext),
            |ext| assert_eq!(SendRequest::decode(code, ext), send),
        );
        if send.batch {
            let mut again = Vec::new();
            for item in BatchItems::new(self.body) {
                assert!(item.unwrap().encode(&mut again));
            }
            assert_eq!(again, self.body, "{}", self.fixture.name);
        }
    }

    fn request(&self) {
        match self.header.code {
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                self.send()
            }
            request::PULL_MESSAGE | request::LITE_PULL_MESSAGE => {
                _ = fields!(self, PullRequest<'_>)
            }
            request::QUERY_CONSUMER_OFFSET => _ = fields!(self, QueryConsumerOffset<'_>),
            request::UPDATE_CONSUMER_OFFSET => _ = fields!(self, UpdateConsumerOffset<'_>),
            request::SEARCH_OFFSET_BY_TIMESTAMP => _ = fields!(self, SearchOffset<'_>),
            request::GET_MAX_OFFSET => _ = fields!(self, GetMaxOffset<'_>),
            request::GET_MIN_OFFSET | request::GET_EARLIEST_MSG_STORETIME => {
                _ = fields!(self, QueueQuery<'_>)
            }
            request::VIEW_MESSAGE_BY_ID => _ = fields!(self, ViewMessage<'_>),
            request::QUERY_MESSAGE => _ = fields!(self, QueryMessage<'_>),
            request::UNREGISTER_CLIENT => _ = fields!(self, UnregisterClient<'_>),
            request::GET_CONSUMER_LIST_BY_GROUP
            | request::NOTIFY_CONSUMER_IDS_CHANGED
            | request::GET_CONSUMER_CONNECTION_LIST => _ = fields!(self, GroupQuery<'_>),
            request::GET_PRODUCER_CONNECTION_LIST => _ = fields!(self, ProducerQuery<'_>),
            request::GET_CONSUME_STATS => _ = fields!(self, GetConsumeStats<'_>),
            request::UPDATE_AND_CREATE_TOPIC => _ = fields!(self, CreateTopic<'_>),
            request::DELETE_TOPIC_IN_BROKER
            | request::GET_TOPIC_STATS_INFO
            | request::QUERY_TOPIC_CONSUME_BY_WHO
            | request::GET_TOPIC_CONFIG => _ = fields!(self, TopicName<'_>),
            request::DELETE_SUBSCRIPTIONGROUP => _ = fields!(self, DeleteGroup<'_>),
            request::GET_SUBSCRIPTIONGROUP_CONFIG | request::QUERY_TOPICS_BY_CONSUMER => {
                _ = fields!(self, GroupName<'_>);
            }
            request::PUT_KV_CONFIG => _ = fields!(self, PutKvConfig<'_>),
            request::GET_KV_CONFIG | request::DELETE_KV_CONFIG => _ = fields!(self, KvKey<'_>),
            request::GET_KVLIST_BY_NAMESPACE => _ = fields!(self, KvNamespace<'_>),
            request::UNREGISTER_BROKER => _ = fields!(self, BrokerIdentity<'_>),
            request::GET_ROUTEINFO_BY_TOPIC => _ = fields!(self, RouteRequest<'_>),
            request::DELETE_TOPIC_IN_NAMESRV | request::REGISTER_TOPIC_IN_NAMESRV => {
                _ = fields!(self, TopicInNamesrv<'_>);
            }
            request::GET_TOPICS_BY_CLUSTER => _ = fields!(self, ClusterQuery<'_>),
            request::WIPE_WRITE_PERM_OF_BROKER | request::ADD_WRITE_PERM_OF_BROKER => {
                _ = fields!(self, WritePermission<'_>);
            }
            request::BROKER_HEARTBEAT => _ = fields!(self, BrokerHeartbeat<'_>),
            _ => self.tools_request(),
        }
    }

    fn tools_request(&self) {
        match self.header.code {
            request::INVOKE_BROKER_TO_RESET_OFFSET => _ = fields!(self, ResetOffset<'_>),
            request::RESET_CONSUMER_CLIENT_OFFSET => {
                fields!(self, ResetOffset<'_>);
                let table = body!(self, OffsetTable, same_bytes: false);
                let again = OffsetTable::parse(&table.to_fastjson()).unwrap();
                assert_eq!(again, table, "{}", self.fixture.name);
            }
            request::GET_CONSUMER_STATUS_FROM_CLIENT
            | request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => {
                _ = fields!(self, ConsumerStatusQuery<'_>);
            }
            request::CLONE_GROUP_OFFSET => _ = fields!(self, CloneGroupOffset<'_>),
            request::QUERY_CORRECTION_OFFSET => _ = fields!(self, CorrectionQuery<'_>),
            request::QUERY_CONSUME_TIME_SPAN => _ = fields!(self, TimeSpanQuery<'_>),
            request::GET_CONSUMER_RUNNING_INFO => _ = fields!(self, RunningInfoQuery<'_>),
            request::CONSUME_MESSAGE_DIRECTLY => _ = fields!(self, ConsumeDirectly<'_>),
            request::VIEW_BROKER_STATS_DATA => _ = fields!(self, BrokerStatsQuery<'_>),
            request::GET_BROKER_CONSUME_STATS => _ = fields!(self, BrokerConsumeStatsQuery),
            request::QUERY_CONSUME_QUEUE => _ = fields!(self, QueryConsumeQueue<'_>),
            request::QUERY_SUBSCRIPTION_BY_CONSUMER | request::UPDATE_AND_GET_GROUP_FORBIDDEN => {
                _ = fields!(self, GroupOfTopic<'_>);
            }
            _ => self.request_with_body(),
        }
    }

    fn request_with_body(&self) {
        let java = self.is_from_java();
        match self.header.code {
            request::HEART_BEAT => _ = body!(self, HeartbeatData, same_bytes: java),
            request::CHECK_CLIENT_CONFIG => _ = body!(self, CheckClientConfig, same_bytes: java),
            request::LOCK_BATCH_MQ | request::UNLOCK_BATCH_MQ => {
                _ = body!(self, LockRequest, same_bytes: java);
            }
            request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => {
                _ = body!(self, SubscriptionGroupConfig, same_bytes: java);
            }
            request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => {
                _ = body!(self, SubscriptionGroupList, same_bytes: false);
            }
            request::UPDATE_AND_CREATE_TOPIC_LIST => {
                _ = body!(self, TopicConfigList, same_bytes: false)
            }
            request::QUERY_DATA_VERSION => {
                fields!(self, BrokerIdentity<'_>);
                body!(self, DataVersion, same_bytes: java);
            }
            request::REGISTER_BROKER => self.registration(),
            request::SET_MESSAGE_REQUEST_MODE => _ = body!(self, RequestMode, same_bytes: java),
            _ => assert!(
                self.body.is_empty() || !self.succeeded(),
                "{}",
                self.fixture.name
            ),
        }
    }

    fn registration(&self) {
        let register = fields!(self, RegisterBroker<'_>);
        assert_eq!(
            register.body_matches(self.body),
            self.succeeded() || !self.fixture.name.contains("badcrc")
        );
        let parsed = RegisterBrokerBody::parse(self.body, register.compressed, self.header.version);
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", self.fixture.name));
        let again = RegisterBrokerBody::parse(&parsed.to_json(), false, self.header.version);
        assert_eq!(again.unwrap(), parsed, "{}", self.fixture.name);
        assert!(
            !parsed
                .topic_config_serialize_wrapper
                .topic_config_table
                .is_empty()
        );
    }

    fn response(&self, code: i32) {
        match code {
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                let sent = fields!(self, SendResponse<'_>);
                assert!(
                    sent.msg_id.len() >= 32 && sent.region.is_some(),
                    "{}",
                    self.fixture.name
                );
            }
            request::PULL_MESSAGE | request::LITE_PULL_MESSAGE => _ = fields!(self, PullResponse),
            request::QUERY_CONSUMER_OFFSET
            | request::SEARCH_OFFSET_BY_TIMESTAMP
            | request::GET_MAX_OFFSET
            | request::GET_MIN_OFFSET => _ = fields!(self, OffsetResponse),
            request::GET_EARLIEST_MSG_STORETIME => _ = fields!(self, TimestampResponse),
            request::QUERY_MESSAGE => _ = fields!(self, QueryMessageResponse),
            request::GET_KV_CONFIG => _ = fields!(self, GetKvConfigResponse<'_>),
            request::QUERY_DATA_VERSION => _ = fields!(self, QueryDataVersionResponse),
            request::WIPE_WRITE_PERM_OF_BROKER => _ = fields!(self, WipeResponse),
            request::ADD_WRITE_PERM_OF_BROKER => _ = fields!(self, AddResponse),
            request::REGISTER_BROKER => {
                fields!(self, RegisterBrokerResponse<'_>);
                if !self.body.is_empty() {
                    body!(self, KvTable, same_bytes: true);
                }
            }
            _ => self.response_with_body(code),
        }
    }

    fn response_with_body(&self, code: i32) {
        match code {
            request::GET_CONSUMER_LIST_BY_GROUP => _ = body!(self, ConsumerList, same_bytes: true),
            request::LOCK_BATCH_MQ => _ = body!(self, LockResponse, same_bytes: true),
            request::GET_ROUTEINFO_BY_TOPIC => self.route(),
            request::GET_BROKER_CLUSTER_INFO => {
                let info = body!(self, ClusterInfo, same_bytes: false);
                let legacy = ClusterInfo::parse(&info.to_legacy_json()).unwrap();
                assert_eq!(legacy, info, "{}", self.fixture.name);
                if info.broker_addr_table.len() == 1 {
                    assert_eq!(info.to_legacy_json(), self.body, "{}", self.fixture.name);
                }
            }
            request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER
            | request::GET_TOPICS_BY_CLUSTER
            | request::GET_SYSTEM_TOPIC_LIST_FROM_NS
            | request::GET_UNIT_TOPIC_LIST
            | request::GET_HAS_UNIT_SUB_TOPIC_LIST
            | request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST
            | request::QUERY_TOPICS_BY_CONSUMER => _ = body!(self, TopicList, same_bytes: true),
            request::GET_KVLIST_BY_NAMESPACE => _ = body!(self, KvTable, same_bytes: true),
            request::GET_ALL_TOPIC_CONFIG => {
                let table = body!(self, TopicConfigTable, same_bytes: false);
                assert!(
                    table.topic_config_table.contains_key("TBW102"),
                    "{}",
                    self.fixture.name
                );
            }
            request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => {
                let table = body!(self, SubscriptionGroupTable, same_bytes: false);
                assert!(
                    !table.subscription_group_table.is_empty(),
                    "{}",
                    self.fixture.name
                );
            }
            request::GET_TOPIC_CONFIG => _ = body!(self, TopicConfig, same_bytes: false),
            request::GET_SUBSCRIPTIONGROUP_CONFIG => {
                _ = body!(self, SubscriptionGroupConfig, same_bytes: false);
            }
            request::GET_TOPIC_STATS_INFO => _ = body!(self, TopicStats, same_bytes: false),
            request::GET_CONSUME_STATS => _ = body!(self, ConsumeStats, same_bytes: false),
            request::GET_CONSUMER_CONNECTION_LIST => {
                _ = body!(self, ConsumerConnections, same_bytes: false);
            }
            request::GET_PRODUCER_CONNECTION_LIST => {
                _ = body!(self, ProducerConnections, same_bytes: false);
            }
            request::QUERY_TOPIC_CONSUME_BY_WHO => _ = body!(self, GroupList, same_bytes: true),
            request::VIEW_MESSAGE_BY_ID => assert!(!self.body.is_empty()),
            _ => self.tools_response(code),
        }
    }

    fn tools_response(&self, code: i32) {
        match code {
            request::INVOKE_BROKER_TO_RESET_OFFSET => {
                let table = body!(self, OffsetTable, same_bytes: false);
                assert!(!table.offset_table.is_empty(), "{}", self.fixture.name);
            }
            request::GET_CONSUMER_STATUS_FROM_CLIENT
            | request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => {
                _ = body!(self, ConsumerStatusTable, same_bytes: false);
            }
            request::QUERY_CORRECTION_OFFSET => {
                _ = body!(self, CorrectionOffsets, same_bytes: false);
            }
            request::GET_ALL_CONSUMER_OFFSET => {
                let offsets = body!(self, AllConsumerOffsets, same_bytes: false);
                assert!(!offsets.offset_table.is_empty(), "{}", self.fixture.name);
            }
            request::QUERY_CONSUME_TIME_SPAN => {
                _ = body!(self, ConsumeTimeSpans, same_bytes: false);
            }
            request::GET_CONSUMER_RUNNING_INFO => {
                let info = body!(self, ConsumerRunningInfo, same_bytes: false);
                assert!(!info.mq_table.is_empty(), "{}", self.fixture.name);
            }
            request::CONSUME_MESSAGE_DIRECTLY => {
                _ = body!(self, ConsumeDirectlyResult, same_bytes: true);
            }
            request::GET_ALL_PRODUCER_INFO => _ = body!(self, ProducerTable, same_bytes: false),
            request::VIEW_BROKER_STATS_DATA => _ = body!(self, BrokerStatsData, same_bytes: true),
            request::GET_BROKER_CONSUME_STATS => {
                _ = body!(self, BrokerConsumeStats, same_bytes: false);
            }
            request::QUERY_CONSUME_QUEUE => _ = body!(self, ConsumeQueueEntries, same_bytes: false),
            request::GET_BROKER_HA_STATUS => _ = body!(self, HaStatus, same_bytes: true),
            request::QUERY_SUBSCRIPTION_BY_CONSUMER => {
                _ = body!(self, GroupSubscription, same_bytes: false);
            }
            request::UPDATE_AND_GET_GROUP_FORBIDDEN => {
                _ = body!(self, GroupForbidden, same_bytes: true);
            }
            _ => assert!(
                self.body.is_empty(),
                "{}: a body nobody reads",
                self.fixture.name
            ),
        }
    }

    fn route(&self) {
        let standard = !self
            .body
            .windows(16)
            .any(|bytes| bytes == b"\"brokerAddrs\":{0");
        let route = body!(self, TopicRouteData, same_bytes: false);
        if route.broker_datas.len() == 1 {
            let again = if standard {
                route.to_json()
            } else {
                route.to_legacy_json()
            };
            let (ours, theirs) = (
                String::from_utf8_lossy(&again),
                String::from_utf8_lossy(self.body),
            );
            assert_eq!(ours, theirs, "{}", self.fixture.name);
        }
        assert!(!route.queue_datas.is_empty());
        assert_eq!(route.broker_datas[0].cluster, "DefaultCluster");
    }
}

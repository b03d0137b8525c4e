//! Every body against the text that the reference writes for it; see testdata/README.md.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

fn texts() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("../../testdata/reference_bodies.json")).unwrap()
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    from_json(texts()[name].as_bytes()).unwrap()
}

fn compact<T: DeserializeOwned + Serialize>(text: &str) -> String {
    let value: T = from_json(text.as_bytes()).unwrap();
    String::from_utf8(to_json(&value, Style::Fastjson)).unwrap()
}

fn pretty<T: DeserializeOwned + Serialize>(text: &str) -> String {
    to_json_pretty(&from_json::<T>(text.as_bytes()).unwrap())
}

type Rewrite = fn(&str) -> String;

#[test]
fn the_references_bodies_are_written_back_byte_for_byte() {
    let bodies: &[(&str, Rewrite)] = &[
        ("AclConfig", compact::<AclConfig>),
        ("BrokerConsumeStats", compact::<BrokerConsumeStats>),
        ("CheckClientConfig", compact::<CheckClientConfig>),
        ("ClusterInfo", compact::<ClusterInfo>),
        ("ConsumeDirectlyResult", compact::<ConsumeDirectlyResult>),
        ("ConsumeQueueUnits", compact::<ConsumeQueueUnits>),
        ("ConsumeStats", compact::<ConsumeStats>),
        ("ConsumerConnection", compact::<ConsumerConnection>),
        ("ConsumerIds", compact::<ConsumerIds>),
        ("ConsumerStatus.broker", compact::<ConsumerStatus>),
        ("ConsumerStatus.client", compact::<ConsumerStatus>),
        ("CorrectionOffsets", compact::<CorrectionOffsets>),
        ("DelayOffsets", compact::<DelayOffsets>),
        ("DelayOffsets.pretty", pretty::<DelayOffsets>),
        ("GroupList", compact::<GroupList>),
        ("HeartbeatData", compact::<HeartbeatData>),
        ("KvTable", compact::<KvTable>),
        ("LockReply", compact::<LockReply>),
        ("LockRequest", compact::<LockRequest>),
        ("OffsetMovedEvent", compact::<OffsetMovedEvent>),
        ("OffsetTable", compact::<OffsetTable>),
        ("OffsetTable.pretty", pretty::<OffsetTable>),
        ("ProducerConnection", compact::<ProducerConnection>),
        ("RegisterBrokerBody", compact::<RegisterBrokerBody>),
        ("ResetOffset", compact::<ResetOffset>),
        ("ResetOffsetList", compact::<ResetOffsetList>),
        ("SubscriptionGroupTable", compact::<SubscriptionGroupTable>),
        ("SubscriptionGroupTable.pretty", pretty::<SubscriptionGroupTable>),
        ("TopicConfigTable", compact::<TopicConfigTable>),
        ("TopicConfigTable.pretty", pretty::<TopicConfigTable>),
        ("TopicList", compact::<TopicList>),
        ("TopicList.broker_addr", compact::<TopicList>),
        ("TopicRouteData", compact::<TopicRouteData>),
        ("TopicRouteData.null_filter_server", compact::<TopicRouteData>),
        ("TopicStats", compact::<TopicStats>),
        ("UnlockRequest", compact::<UnlockRequest>),
    ];
    let texts = texts();
    for (name, rewrite) in bodies {
        assert_eq!(&rewrite(&texts[*name]), &texts[*name], "{name}");
    }
}

#[test]
fn what_the_reference_adds_or_leaves_out_does_not_hinder_reading() {
    // Texts made by getters, which no reader takes back.
    let spans: ConsumeTimeSpans = read("ConsumeTimeSpans");
    assert_eq!(spans.consume_time_span_set[0].delay_time, 4);
    assert_eq!(spans.consume_time_span_set[0].message_queue.broker_name, "broker-a");
    // A number that is none is written as null.
    let stats: BrokerStatsData = read("BrokerStatsData.nan");
    assert_eq!((stats.stats_day.avgpt, stats.stats_minute.sum), (0.0, 5));
    // An object written before is written as a reference to it; its members count as absent.
    let stats: BrokerStatsData = read("BrokerStatsData.same_twice");
    assert_eq!((stats.stats_hour, stats.stats_minute.avgpt), (BrokerStatsItem::default(), 1.0));
    // Settings may be numbers.
    let info: ConsumerRunningInfo = read("ConsumerRunningInfo");
    assert_eq!(info.properties["PROP_N"], "5");
    let (queue, state) = &info.mq_table.0[0];
    assert_eq!((queue.topic.as_str(), state.cached_msg_size_in_mib, state.droped), ("T", 3, true));
    assert_eq!((info.status_table["T"].consume_ok_tps, info.status_table["T"].pull_rt), (2.0, 1.25));
}

#[test]
fn what_a_peer_leaves_out_has_the_references_default() {
    let topic: TopicConfig = from_json(b"{}").unwrap();
    assert_eq!((topic.perm, topic.read_queue_nums, topic.write_queue_nums), (6, 16, 16));
    let group: SubscriptionGroupConfig = from_json(br#"{"groupName":"G"}"#).unwrap();
    assert!(group.consume_enable && group.consume_broadcast_enable && group.consume_from_min_enable);
    assert_eq!((group.retry_max_times, group.retry_queue_nums, group.which_broker_when_consume_slowly), (16, 1, 1));
    let subscription: SubscriptionData = from_json(b"{}").unwrap();
    assert_eq!(subscription.expression_type, EXPRESSION_TAG);
    let result: ConsumeDirectlyResult = from_json(b"{}").unwrap();
    assert!(result.auto_commit);
}

#[test]
fn heartbeats_of_other_clients_are_understood() {
    // Hashes in quotes, lists that are null, an enum value of a later version.
    let text =
        br#"{"clientID":"c","producerDataSet":null,"consumerDataSet":[{"groupName":"G","consumeType":"CONSUME_POP",
        "messageModel":"Clustering","subscriptionDataSet":[{"topic":"T","codeSet":["2598919",-1],"tagsSet":["TagA"],
        "subVersion":"7","classFilterMode":"false"}],"unitMode":false}],"heartbeatFingerprint":0}"#;
    let heartbeat: HeartbeatData = from_json(text).unwrap();
    let consumer = &heartbeat.consumer_data_set[0];
    assert_eq!((consumer.consume_type, consumer.message_model), (ConsumeType::Unset, MessageModel::Unset));
    let subscription = &consumer.subscription_data_set[0];
    assert_eq!(subscription.code_set, [-1, 2_598_919].into());
    assert_eq!((subscription.sub_version, subscription.class_filter_mode), (7, false));
}

#[test]
fn tables_of_5_x_load_and_a_topic_keeps_its_attributes() {
    let table: TopicConfigTable = from_json(
        br#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":2},
        "topicConfigTable":{"T":{"attributes":{"message.type":"FIFO"},"topicName":"T"}}}"#,
    )
    .unwrap();
    assert_eq!(table.topic_config_table["T"].attributes["message.type"], "FIFO");
    assert!(to_json_pretty(&table).contains("\"attributes\":{\n"));
    let offsets: OffsetTable =
        from_json(br#"{"dataVersion":{"counter":0},"groupTopicMap":{"G":["T"]},"offsetTable":{"T@G":{"0":12,1:13}}}"#)
            .unwrap();
    assert_eq!(offsets.offset_table["T@G"], [(0, 12), (1, 13)].into());
    let route: TopicRouteData = from_json(
        br#"{"brokerDatas":[{"brokerAddrs":{"0":"a:1"},"enableActingMaster":false}],"queueDatas":[{"topicSysFlag":1}]}"#,
    )
    .unwrap();
    assert_eq!((route.queue_datas[0].topic_syn_flag, &*route.broker_datas[0].broker_addrs[&0]), (1, "a:1"));
}

#[test]
fn the_flag_of_a_route_is_read_under_either_name_and_under_both() {
    for (json, flag) in [
        (r#"{"topicSynFlag":2}"#, 2),
        (r#"{"topicSysFlag":1}"#, 1),
        (r#"{"topicSynFlag":3,"topicSysFlag":3}"#, 3),
        (r#"{"topicSysFlag":3,"perm":6,"topicSynFlag":3}"#, 3),
        ("{}", 0),
    ] {
        let queues: QueueData = from_json(json.as_bytes()).unwrap();
        assert_eq!(queues.topic_syn_flag, flag, "{json}");
    }
}

#[test]
fn queues_are_ordered_by_topic_then_broker_then_number() {
    let queue = |topic: &str, broker: &str, queue_id| MessageQueue {
        broker_name: broker.to_owned(),
        queue_id,
        topic: topic.to_owned(),
    };
    let ordered = [queue("S", "b", 9), queue("T", "a", 2), queue("T", "a", 10), queue("T", "b", 0)];
    assert!(ordered.is_sorted());
}

#[test]
fn no_secret_is_shown_for_debugging() {
    let acl: AclConfig = read("AclConfig");
    assert_eq!(acl.plain_access_configs[0].secret_key.as_deref(), Some("secretsecret"));
    assert!(!format!("{acl:?}").contains("secretsecret"));
}

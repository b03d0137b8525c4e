//! Groups: offsets, members, who hears of changes, and queue locks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::*;
use kerolox_wire::body::{
    CheckClientConfig, ConsumeStats, ConsumerConnection, ConsumerIds, ConsumerStatus, HeartbeatData, LockReply,
    LockRequest, MessageQueue, ProducerData, ProducerTable, Style, SubscriptionData, SubscriptionGroupConfig,
    SubscriptionGroupTable, TopicConfig, TopicConfigTable, from_json, to_json,
};
use kerolox_wire::command::client::{ConsumerGroup, ProducerGroup, UnregisterClient};
use kerolox_wire::command::offset::{
    OffsetResult, QueryConsumerOffset, QueueRef, SearchOffset, TimestampResult, UpdateConsumerOffset,
};
use kerolox_wire::command::{NoFields, RequestCode, admin, call};
use kerolox_wire::frame::Frame;
use kerolox_wire::response::ResponseCode;

fn query(of: &str, queue_id: i32) -> QueryConsumerOffset {
    QueryConsumerOffset { consumer_group: group(of), topic: topic("orders"), queue_id }
}

fn update(of: &str, queue_id: i32, commit_offset: i64) -> UpdateConsumerOffset {
    UpdateConsumerOffset { consumer_group: group(of), topic: topic("orders"), queue_id, commit_offset }
}

async fn members(client: &Client, of: &str) -> Vec<String> {
    let answer = client.ask::<call::GetConsumerList>(&ConsumerGroup { consumer_group: group(of) }, "").await;
    if code(&answer) != ResponseCode::SUCCESS {
        refused(&answer, ResponseCode::SYSTEM_ERROR, &format!("no consumer for this group, {of}"));
        return Vec::new();
    }
    let mut ids = from_json::<ConsumerIds>(&answer.body).unwrap().consumer_id_list;
    ids.sort();
    ids
}

fn leave(id: &str, of: &str) -> UnregisterClient {
    UnregisterClient { client_id: id.to_owned(), producer_group: None, consumer_group: Some(of.to_owned()) }
}

fn is_notice_of(notice: &Frame, of: &str) {
    assert_eq!(notice.code, RequestCode::NOTIFY_CONSUMER_IDS_CHANGED.0);
    assert!(notice.is_oneway());
    assert_eq!(notice.fields.get("consumerGroup"), Some(of));
}

#[tokio::test]
async fn offsets_are_stored_as_told_also_backwards() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    for offset in [5, 9, 3] {
        ok(&client.ask::<call::UpdateConsumerOffset>(&update("g", 0, offset), "").await);
        let stored = client.ask::<call::QueryConsumerOffset>(&query("g", 0), "").await;
        assert_eq!(header::<OffsetResult>(&stored).offset, offset);
    }
    let of_other = client.ask::<call::QueryConsumerOffset>(&query("h", 0), "").await;
    assert_eq!(header::<OffsetResult>(&of_other).offset, 0, "a new group on a young queue begins at 0");
    let negative = client.ask::<call::UpdateConsumerOffset>(&update("g", -1, 3), "").await;
    refused(&negative, ResponseCode::SYSTEM_ERROR, "queueId[-1]");
    node.stop().await;
}

#[tokio::test]
async fn the_ends_of_a_queue_and_places_by_time_are_told() {
    let node = Setup::new().start().await;
    let client = node.client();
    let queue = QueueRef { topic: topic("orders"), queue_id: 0 };
    let earliest = client.ask::<call::GetEarliestStoreTime>(&queue, "").await;
    assert_eq!(header::<TimestampResult>(&earliest).timestamp, -1, "no message yet");
    for n in 0..3 {
        node.clock.advance(Duration::from_secs(60));
        client.send(&message("orders", 0), format!("m{n}")).await;
    }
    client.read("orders", 0, 0, 3).await;
    let max = client.ask::<call::GetMaxOffset>(&queue, "").await;
    let min = client.ask::<call::GetMinOffset>(&queue, "").await;
    assert_eq!((header::<OffsetResult>(&max).offset, header::<OffsetResult>(&min).offset), (3, 0));
    let earliest = client.ask::<call::GetEarliestStoreTime>(&queue, "").await;
    let first = header::<TimestampResult>(&earliest).timestamp;
    for (after, place) in [(i64::MIN / 2, 0), (0, 0), (62_000, 1), (110_000, 2), (i64::MAX / 2, 2)] {
        let asked = SearchOffset { topic: topic("orders"), queue_id: 0, timestamp: first.saturating_add(after) };
        let found = client.ask::<call::SearchOffset>(&asked, "").await;
        assert_eq!(header::<OffsetResult>(&found).offset, place, "{after} ms after the first");
    }
    node.stop().await;
}

#[tokio::test]
async fn absurd_offsets_do_not_hurt_the_figures_made_of_them() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await);
    for offset in [i64::MAX, i64::MIN, -1] {
        for queue in 0..4 {
            ok(&client.ask::<call::UpdateConsumerOffset>(&update("g", queue, offset), "").await);
        }
        let stats = admin::ConsumeStats { consumer_group: group("g"), topic: None };
        let answer = client.ask::<call::GetConsumeStats>(&stats, "").await;
        ok(&answer);
        assert_eq!(from_json::<ConsumeStats>(&answer.body).unwrap().offset_table.len(), 4);
        ok(&client.ask::<call::GetBrokerConsumeStats>(&admin::BrokerConsumeStats { is_order: false }, "").await);
        let span = admin::TopicAndGroup { topic: topic("orders"), group: group("g") };
        ok(&client.ask::<call::QueryConsumeTimeSpan>(&span, "").await);
        let correction =
            admin::CorrectionOffset { filter_groups: None, compare_group: group("h"), topic: topic("orders") };
        ok(&client.ask::<call::QueryCorrectionOffset>(&correction, "").await);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_heartbeat_makes_the_group_and_its_retry_topic() {
    let node = Setup::new().start().await;
    let client = node.client();
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await);
    let topics = client.ask::<call::GetAllTopics>(&NoFields {}, "").await;
    let topics: TopicConfigTable = from_json(&topics.body).unwrap();
    let retry = &topics.topic_config_table["%RETRY%g"];
    assert_eq!((retry.read_queue_nums, retry.write_queue_nums, retry.perm), (1, 1, 6));
    let groups = client.ask::<call::GetAllGroups>(&NoFields {}, "").await;
    let groups: SubscriptionGroupTable = from_json(&groups.body).unwrap();
    assert_eq!(groups.subscription_group_table["g"].retry_max_times, 16);
    node.stop().await;
}

#[tokio::test]
async fn an_unknown_group_does_not_join_when_creation_is_off() {
    let setup = Setup::new();
    setup.switch("auto_create_group", false);
    let node = setup.start().await;
    let client = node.client();
    let answer = client.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await;
    refused(&answer, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [g] does not exist");
    assert!(members(&client, "g").await.is_empty());
    node.stop().await;
}

#[tokio::test]
async fn members_hear_of_those_who_come_and_go() {
    let node = Setup::new().start().await;
    let (first, second) = (node.client(), node.client());
    let group_data = || vec![consumer("g", &[("orders", "*", 1)])];
    ok(&first.heartbeat("c1", group_data()).await);
    is_notice_of(&first.hear().await, "g");
    ok(&first.heartbeat("c1", group_data()).await);
    ok(&second.heartbeat("c2", group_data()).await);
    is_notice_of(&first.hear().await, "g");
    is_notice_of(&second.hear().await, "g");
    assert_eq!(members(&first, "g").await, ["c1", "c2"]);

    // Another expression for the same topic concerns nobody; another set of topics does.
    ok(&second.heartbeat("c2", vec![consumer("g", &[("orders", "a", 2)])]).await);
    ok(&second.heartbeat("c2", vec![consumer("g", &[("orders", "a", 2), ("bills", "*", 1)])]).await);
    is_notice_of(&first.hear().await, "g");
    is_notice_of(&second.hear().await, "g");

    ok(&second.ask::<call::UnregisterClient>(&leave("c2", "g"), "").await);
    is_notice_of(&first.hear().await, "g");
    assert_eq!(members(&first, "g").await, ["c1"]);
    ok(&second.heartbeat("c2", group_data()).await);
    is_notice_of(&first.hear().await, "g");
    second.close();
    is_notice_of(&first.hear().await, "g");
    assert_eq!(members(&first, "g").await, ["c1"]);
    node.stop().await;
}

#[tokio::test]
async fn nobody_hears_anything_when_notices_are_off() {
    let setup = Setup::new();
    setup.switch("notify_ids_changed", false);
    let node = setup.start().await;
    let (first, second) = (node.client(), node.client());
    ok(&first.heartbeat("c1", vec![consumer("g", &[])]).await);
    ok(&second.heartbeat("c2", vec![consumer("g", &[])]).await);
    setup.switch("notify_ids_changed", true);
    ok(&second.ask::<call::UnregisterClient>(&leave("c2", "g"), "").await);
    // The first notice is that of the leaving, not one of the two arrivals.
    is_notice_of(&first.hear().await, "g");
    assert_eq!(members(&first, "g").await, ["c1"]);
    node.stop().await;
}

#[tokio::test]
async fn connections_are_listed_with_what_they_subscribe_to() {
    let node = Setup::new().start().await;
    let client = node.client();
    let of = ConsumerGroup { consumer_group: group("g") };
    let answer = client.ask::<call::GetConsumerConnections>(&of, "").await;
    refused(&answer, ResponseCode::CONSUMER_NOT_ONLINE, "not online");
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "a || b", 4)])]).await);
    let answer = client.ask::<call::GetConsumerConnections>(&of, "").await;
    ok(&answer);
    let shown: ConsumerConnection = from_json(&answer.body).unwrap();
    assert_eq!(shown.connection_set[0].client_id, "c1");
    assert_eq!(shown.subscription_table["orders"].sub_string, "a || b");

    let of = ProducerGroup { producer_group: "p".to_owned() };
    let answer = client.ask::<call::GetProducerConnections>(&of, "").await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "the producer group[p] not exist");
    let producing = HeartbeatData {
        client_id: "p1".to_owned(),
        producer_data_set: vec![ProducerData { group_name: "p".to_owned() }],
        consumer_data_set: vec![],
        unreadable: Vec::new(),
    };
    ok(&client.ask::<call::Heartbeat>(&NoFields {}, to_json(&producing, Style::Fastjson)).await);
    ok(&client.ask::<call::GetProducerConnections>(&of, "").await);
    let answer = client.ask::<call::GetAllProducers>(&NoFields, "").await;
    ok(&answer);
    let all: ProducerTable = from_json(&answer.body).unwrap();
    assert_eq!(all.data["p"][0].client_id, "p1");
    node.stop().await;
}

#[tokio::test]
async fn a_client_that_is_not_connected_cannot_be_asked() {
    let node = Setup::new().start().await;
    let client = node.client();
    for code in [RequestCode::GET_CONSUMER_RUNNING_INFO, RequestCode::CONSUME_MESSAGE_DIRECTLY] {
        let answer = client.call(code, &[("consumerGroup", "g"), ("clientId", "c1")], "").await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, "The Consumer <g> <c1> not online");
    }
    let fields = [("topic", "orders"), ("group", "g"), ("timestamp", "-1"), ("isForce", "true")];
    client.send(&message("orders", 0), "m").await;
    let answer = client.call(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &fields, "").await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "THe consumer group <g> not exist");
    for queue in 0..4 {
        ok(&client.ask::<call::UpdateConsumerOffset>(&update("g", queue, 0), "").await);
    }
    let answer = client.call(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &fields, "").await;
    refused(&answer, ResponseCode::CONSUMER_NOT_ONLINE, "Consumer not online");
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await);
    is_notice_of(&client.hear().await, "g");
    ok(&client.call(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &fields, "").await);
    assert_eq!(client.hear().await.code, RequestCode::RESET_CONSUMER_CLIENT_OFFSET.0);
    node.stop().await;
}

#[tokio::test]
async fn questions_about_a_consumer_reach_it_and_its_answers_come_back() {
    let node = Setup::new().start().await;
    let (operator, member) = (node.client(), node.client());
    let sent = operator.send(&message("orders", 0), "m").await;
    ok(&member.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await);
    is_notice_of(&member.hear().await, "g");
    let fields = [("consumerGroup", "g"), ("clientId", "c1"), ("jstackEnable", "false"), ("msgId", &sent.msg_id)];
    for asked in [RequestCode::GET_CONSUMER_RUNNING_INFO, RequestCode::CONSUME_MESSAGE_DIRECTLY] {
        let answer = operator.call(asked, &fields, "").await;
        ok(&answer);
        assert_eq!(answer.body, format!("answer to {}", asked.0));
        let heard = member.hear().await;
        assert_eq!((heard.code, heard.fields.get("clientId")), (asked.0, Some("c1")));
        if asked == RequestCode::CONSUME_MESSAGE_DIRECTLY {
            assert_eq!(heard.fields.get("brokerName"), Some(BROKER));
            assert_eq!(bodies(&messages_of(&heard)), ["m"]);
        }
    }
    for id in ["", "x", "7F00000100002A9F7FFFFFFFFFFFFFFF"] {
        let fields = [("consumerGroup", "g"), ("clientId", "c1"), ("msgId", id)];
        let answer = operator.call(RequestCode::CONSUME_MESSAGE_DIRECTLY, &fields, "").await;
        assert_eq!(code(&answer), ResponseCode::SYSTEM_ERROR, "{id}");
    }
    let fields = [("topic", "orders"), ("group", "g"), ("clientAddr", "")];
    let answer = operator.call(RequestCode::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, &fields, "").await;
    ok(&answer);
    let status: ConsumerStatus = from_json(&answer.body).unwrap();
    assert_eq!(status.consumer_table["c1"].iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), [7]);
    let fields = [("topic", "orders"), ("group", "nobody")];
    let answer = operator.call(RequestCode::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, &fields, "").await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "No Any Consumer online");
    node.stop().await;
}

#[tokio::test]
async fn subscriptions_are_checked_before_a_consumer_starts() {
    let node = Setup::new().start().await;
    let client = node.client();
    let check = |kind: &str, expression: &str| {
        let subscription_data = SubscriptionData {
            topic: "orders".to_owned(),
            expression_type: kind.to_owned(),
            sub_string: expression.to_owned(),
            ..SubscriptionData::default()
        };
        let asked = CheckClientConfig { client_id: "c1".to_owned(), group: "g".to_owned(), subscription_data };
        request::<call::CheckClientConfig>(&NoFields {}, to_json(&asked, Style::Fastjson))
    };
    ok(&client.exchange(check("TAG", "a || b")).await);
    refused(&client.exchange(check("SQL92", "a > 1")).await, ResponseCode::SYSTEM_ERROR, "SQL92");
    let answer = client.exchange(check("SQL92", "")).await;
    refused(&answer, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "null");
    node.stop().await;
}

#[tokio::test]
async fn a_queue_lock_lasts_until_it_is_given_back_or_runs_out() {
    let node = Setup::new().start().await;
    let client = node.client();
    let queue = |queue_id| MessageQueue { topic: "orders".to_owned(), broker_name: BROKER.to_owned(), queue_id };
    let asked = |id: &str, queues: &[i32]| {
        let mq_set = queues.iter().copied().map(queue).collect();
        let asked =
            LockRequest { client_id: id.to_owned(), consumer_group: "g".to_owned(), mq_set, unreadable: Vec::new() };
        to_json(&asked, Style::Fastjson)
    };
    let lock = async |id: &str, queues: &[i32]| {
        let answer = client.ask::<call::LockBatch>(&NoFields {}, asked(id, queues)).await;
        ok(&answer);
        let granted = from_json::<LockReply>(&answer.body).unwrap().lock_ok_mq_set;
        granted.iter().map(|q| q.queue_id).collect::<Vec<_>>()
    };
    assert_eq!(lock("c1", &[0, 1]).await, [0, 1]);
    assert_eq!(lock("c2", &[1, 2]).await, [2]);
    node.clock.advance(Duration::from_secs(50));
    assert_eq!(lock("c1", &[1]).await, [1], "renewed");
    node.clock.advance(Duration::from_secs(50));
    assert_eq!(lock("c2", &[0, 1]).await, [0], "what was not renewed has run out");
    ok(&client.ask::<call::UnlockBatch>(&NoFields {}, asked("c2", &[1])).await);
    assert!(lock("c2", &[1]).await.is_empty(), "only the owner gives back");
    ok(&client.ask::<call::UnlockBatch>(&NoFields {}, asked("c1", &[1])).await);
    assert_eq!(lock("c2", &[1]).await, [1]);
    node.stop().await;
}

#[tokio::test]
async fn one_topic_and_one_group_can_be_asked_for() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let answer = client.ask::<call::GetTopic>(&admin::TopicRef { topic: topic("orders") }, "").await;
    ok(&answer);
    let config: TopicConfig = from_json(&answer.body).unwrap();
    assert_eq!((config.topic_name.as_str(), config.perm), ("orders", 6));
    let answer = client.ask::<call::GetTopic>(&admin::TopicRef { topic: topic("bills") }, "").await;
    refused(&answer, ResponseCode::TOPIC_NOT_EXIST, "No topic in this broker. topic: bills");

    let of = |name: &str| admin::GroupRef { group: group(name) };
    let answer = client.ask::<call::GetGroup>(&of("g"), "").await;
    ok(&answer);
    let config: SubscriptionGroupConfig = from_json(&answer.body).unwrap();
    assert_eq!(config, SubscriptionGroupConfig { group_name: "g".to_owned(), ..SubscriptionGroupConfig::default() });
    setup.switch("auto_create_group", false);
    let answer = client.ask::<call::GetGroup>(&of("other"), "").await;
    refused(&answer, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [other] does not exist");
    node.stop().await;
}

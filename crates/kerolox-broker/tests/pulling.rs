//! Pulls: what comes back, what is held, and every reason for which a pull is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::*;
use kerolox_wire::body::{ConsumerData, ConsumerRunningInfo, MessageModel, Style, SubscriptionGroupConfig, to_json};
use kerolox_wire::command::admin::CreateTopic;
use kerolox_wire::command::client::UnregisterClient;
use kerolox_wire::command::offset::{OffsetResult, QueryConsumerOffset};
use kerolox_wire::command::pull::PullMessage;
use kerolox_wire::command::{NoFields, RequestCode, call};
use kerolox_wire::frame::Frame;
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::pull as flags;

/// The same pull, held for so long.
fn held(pull: PullMessage, by: Duration) -> PullMessage {
    let suspend_timeout_millis = i64::try_from(by.as_millis()).unwrap();
    PullMessage { sys_flag: pull.sys_flag | flags::SUSPEND, suspend_timeout_millis, ..pull }
}

fn pull_frame(header: &PullMessage) -> Frame {
    request::<call::PullMessage>(header, "")
}

fn moved(answer: &Frame, status: &str, next: i64) {
    assert_eq!(code(answer), ResponseCode::PULL_OFFSET_MOVED);
    assert_eq!(answer.remark.as_deref(), Some(status));
    assert_eq!(pull_result(answer).next_begin_offset, next);
}

#[tokio::test]
async fn messages_come_back_with_the_range_of_the_queue() {
    let node = Setup::new().start().await;
    let client = node.client();
    for n in 0..5 {
        client.send(&message("orders", 0), format!("m{n}")).await;
    }
    client.read("orders", 0, 0, 5).await;
    let answer = client.pull(&PullMessage { max_msg_nums: 2, ..pull("g", "orders", 0, 1) }).await;
    ok(&answer);
    assert_eq!(bodies(&messages_of(&answer)), ["m1", "m2"]);
    let result = pull_result(&answer);
    assert_eq!((result.next_begin_offset, result.min_offset, result.max_offset), (3, 0, 5));
    assert_eq!(result.suggest_which_broker_id, 0);
    assert_eq!(answer.remark.as_deref(), Some("FOUND"));
    node.stop().await;
}

#[tokio::test]
async fn a_consumer_that_polls_is_answered_by_the_number_of_newer_clients_too() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    let answer = client.ask::<call::LitePullMessage>(&pull("g", "orders", 0, 0), "").await;
    ok(&answer);
    assert_eq!(bodies(&messages_of(&answer)), ["m"]);
    assert_eq!(pull_result(&answer).next_begin_offset, 1);
    node.stop().await;
}

#[tokio::test]
async fn an_offset_outside_of_the_queue_is_corrected() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    // At the end there is nothing yet; nobody asked to wait.
    let answer = client.pull(&pull("g", "orders", 0, 1)).await;
    assert_eq!(code(&answer), ResponseCode::PULL_NOT_FOUND);
    assert_eq!(pull_result(&answer).next_begin_offset, 1);
    moved(&client.pull(&pull("g", "orders", 0, 7)).await, "OFFSET_OVERFLOW_BADLY", 0);
    moved(&client.pull(&pull("g", "orders", 0, i64::MAX)).await, "OFFSET_OVERFLOW_BADLY", 0);
    moved(&client.pull(&pull("g", "orders", 0, -1)).await, "OFFSET_TOO_SMALL", 0);
    // A queue without messages.
    let answer = client.pull(&pull("g", "orders", 1, 0)).await;
    assert_eq!(code(&answer), ResponseCode::PULL_NOT_FOUND);
    let answer = client.pull(&pull("g", "orders", 1, 5)).await;
    assert_eq!((code(&answer), pull_result(&answer).next_begin_offset), (ResponseCode::PULL_OFFSET_MOVED, 0));
    node.stop().await;
}

#[tokio::test]
async fn after_retention_a_pull_of_what_is_gone_is_sent_to_the_first_message() {
    let (mut setup, _) = Setup::simulated();
    setup.store.segment_size = 80 * 1024;
    setup.store.queue_file_size = 40;
    setup.store.reserved = Duration::ZERO;
    setup.store.delete_when = (0..24).collect();
    setup.store.clean_interval = Duration::from_millis(20);
    setup.store.queue_flush_interval = Duration::from_millis(20);
    setup.store.delete_pause = Duration::ZERO;
    let node = setup.start().await;
    let client = node.client();
    for _ in 0..20 {
        client.send(&message("orders", 0), vec![b'x'; 30_000]).await;
    }
    let shortened = || async {
        let answer = client.pull(&pull("g", "orders", 0, 0)).await;
        let range = pull_result(&answer);
        (range.min_offset > 0 && range.max_offset == 20).then_some(answer)
    };
    let answer = until(shortened).await;
    assert_eq!(answer.remark.as_deref(), Some("OFFSET_TOO_SMALL"));
    assert_eq!(code(&answer), ResponseCode::PULL_OFFSET_MOVED);
    let first = pull_result(&answer);
    assert!(first.next_begin_offset > 0 && first.next_begin_offset == first.min_offset, "{first:?}");
    let answer = client.pull(&pull("g", "orders", 0, 1_000)).await;
    assert_eq!(pull_result(&answer).next_begin_offset, 20, "an offset behind the end goes to the end now");
    node.stop().await;
}

#[tokio::test]
async fn a_held_pull_is_answered_by_a_later_send() {
    let node = Setup::new().start().await;
    node.client().send(&message("orders", 0), "m0").await;
    node.client().read("orders", 0, 0, 1).await;
    let mut wire = node.wire().await;
    // One connection is served in order, so the pull waits before the message comes.
    let waiting = pull_frame(&held(pull("g", "orders", 0, 1), LONG * 2));
    wire.write(1, [waiting, request::<call::SendMessage>(&message("orders", 0), "m1")]).await;
    let answers = [wire.next().await.unwrap(), wire.next().await.unwrap()];
    let pulled = answers.iter().find(|a| a.opaque == 1).unwrap();
    ok(pulled);
    assert_eq!(bodies(&messages_of(pulled)), ["m1"]);
    node.stop().await;
}

#[tokio::test]
async fn a_held_pull_wakes_for_its_own_queue_and_tags_only() {
    let node = Setup::new().start().await;
    node.client().send(&message("orders", 0), "m").await;
    node.client().read("orders", 0, 0, 1).await;
    let of_tags = PullMessage { subscription: Some("a || b".to_owned()), ..pull("g", "orders", 0, 1) };
    let of_other_queue = held(pull("g", "orders", 1, 0), Duration::from_millis(50));
    let send = |queue, tag| request::<call::SendMessage>(&message_with("orders", queue, &[("TAGS", tag)]), tag);
    let mut wire = node.wire().await;
    let pulls = [pull_frame(&held(of_tags, LONG * 2)), pull_frame(&of_other_queue)];
    wire.write(1, pulls.into_iter().chain([send(0, "c"), send(2, "a"), send(0, "b")])).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(wire.next().await.unwrap());
    }
    let of = |opaque| answers.iter().find(|a| a.opaque == opaque).unwrap();
    assert_eq!(bodies(&messages_of(of(1))), ["b"], "the message of another tag is left out");
    assert_eq!(code(of(2)), ResponseCode::PULL_NOT_FOUND);
    node.stop().await;
}

#[tokio::test]
async fn a_hold_ends_when_its_time_is_over() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    for wait in [0, 1, 50] {
        let answer = client.pull(&held(pull("g", "orders", 0, 1), Duration::from_millis(wait))).await;
        assert_eq!(code(&answer), ResponseCode::PULL_NOT_FOUND);
        assert_eq!(pull_result(&answer).next_begin_offset, 1);
    }
    let negative = PullMessage { suspend_timeout_millis: -5, ..held(pull("g", "orders", 0, 1), Duration::ZERO) };
    assert_eq!(code(&client.pull(&negative).await), ResponseCode::PULL_NOT_FOUND);
    // Where long polling is off, the broker's own short time holds whatever the client asks.
    setup.switch("long_polling", false);
    assert!(setup.live.set_number("short_polling_ms", 20));
    let answer = client.pull(&held(pull("g", "orders", 0, 1), LONG * 100)).await;
    assert_eq!(code(&answer), ResponseCode::PULL_NOT_FOUND);
    node.stop().await;
}

#[tokio::test]
async fn a_later_hold_with_an_earlier_end_ends_first() {
    let node = Setup::new().start().await;
    node.client().send(&message("orders", 0), "m").await;
    node.client().read("orders", 0, 0, 1).await;
    let mut wire = node.wire().await;
    let long = pull_frame(&held(pull("g", "orders", 0, 1), LONG * 2));
    let short = pull_frame(&held(pull("g", "orders", 0, 1), Duration::from_millis(20)));
    wire.write(1, [long, short]).await;
    assert_eq!(wire.next().await.unwrap().opaque, 2);
    node.stop().await;
}

#[tokio::test]
async fn a_connection_that_closes_takes_its_holds_along() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m0").await;
    client.read("orders", 0, 0, 1).await;
    let mut wire = node.wire().await;
    let known = request::<call::GetAllDelayOffsets>(&NoFields {}, "");
    wire.write(1, [pull_frame(&held(pull("g", "orders", 0, 1), LONG * 2)), known]).await;
    assert_eq!(wire.next().await.unwrap().opaque, 2, "the pull waits");
    let watch = node.handle().watch();
    let held_pulls = || watch.figures(0).unwrap().held_pulls;
    assert_eq!(held_pulls(), 1);
    drop(wire);
    until(|| async { Some(()).filter(|()| held_pulls() == 0) }).await;
    assert_eq!(node.counters.snapshot().open, 1);
    client.send(&message("orders", 0), "m1").await;
    assert_eq!(bodies(&client.read("orders", 0, 1, 1).await), ["m1"]);
    node.stop().await;
}

#[tokio::test]
async fn a_one_way_pull_that_is_held_leaves_the_connection_alone() {
    let node = Setup::new().start().await;
    let mut wire = node.wire().await;
    node.client().send(&message("orders", 0), "m").await;
    node.client().read("orders", 0, 0, 1).await;
    let silent = pull_frame(&held(pull("g", "orders", 0, 1), Duration::from_millis(20))).oneway();
    let answered = pull_frame(&held(pull("g", "orders", 0, 1), Duration::from_millis(60)));
    wire.write(1, [silent, answered]).await;
    assert_eq!(wire.next().await.unwrap().opaque, 2);
    node.stop().await;
}

#[tokio::test]
async fn tags_are_filtered_by_their_hash() {
    let node = Setup::new().start().await;
    let client = node.client();
    // "Aa" and "BB" share a hash; the client tells them apart.
    for tag in ["Aa", "x", "BB", "y", ""] {
        client.send(&message_with("orders", 0, &[("TAGS", tag)]), tag).await;
    }
    client.read("orders", 0, 0, 5).await;
    for (expression, expected) in [
        ("Aa", &["Aa", "BB"][..]),
        ("x || y", &["x", "y"]),
        ("*", &["Aa", "x", "BB", "y", ""]),
        ("", &["Aa", "x", "BB", "y", ""]),
    ] {
        let answer =
            client.pull(&PullMessage { subscription: Some(expression.to_owned()), ..pull("g", "orders", 0, 0) }).await;
        assert_eq!(bodies(&messages_of(&answer)), expected, "{expression}");
        assert_eq!(pull_result(&answer).next_begin_offset, 5);
    }
    let none = PullMessage { subscription: Some("z".to_owned()), ..pull("g", "orders", 0, 0) };
    let answer = client.pull(&none).await;
    assert_eq!(code(&answer), ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert_eq!(pull_result(&answer).next_begin_offset, 5, "what does not match is passed over");
    // Nor is it held: the client goes on from there.
    assert_eq!(code(&client.pull(&held(none, LONG * 2)).await), ResponseCode::PULL_RETRY_IMMEDIATELY);
    node.stop().await;
}

#[tokio::test]
async fn a_pull_without_a_subscription_relies_on_the_heartbeat() {
    let node = Setup::new().start().await;
    let client = node.client();
    for tag in ["a", "b"] {
        client.send(&message_with("orders", 0, &[("TAGS", tag)]), tag).await;
    }
    client.read("orders", 0, 0, 2).await;
    let relying =
        |version| PullMessage { sys_flag: 0, subscription: None, sub_version: version, ..pull("g", "orders", 0, 0) };
    let missing = ResponseCode::SUBSCRIPTION_NOT_EXIST;
    refused(&client.pull(&relying(0)).await, missing, "group info not exist");
    ok(&client.heartbeat("c1", vec![consumer("g", &[("other", "*", 5)])]).await);
    refused(&client.pull(&relying(0)).await, missing, "subscription not exist");
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "b", 5)])]).await);
    refused(&client.pull(&relying(6)).await, ResponseCode::SUBSCRIPTION_NOT_LATEST, "not latest");
    assert_eq!(bodies(&messages_of(&client.pull(&relying(5)).await)), ["b"]);
    let leave =
        UnregisterClient { client_id: "c1".to_owned(), producer_group: None, consumer_group: Some("g".to_owned()) };
    ok(&client.ask::<call::UnregisterClient>(&leave, "").await);
    refused(&client.pull(&relying(5)).await, missing, "group info not exist");
    node.stop().await;
}

#[tokio::test]
async fn a_consumer_whose_heartbeat_did_not_tell_is_asked_what_it_subscribes_to() {
    let node = Setup::new().start().await;
    let client = node.client();
    for tag in ["a", "b"] {
        client.send(&message_with("orders", 0, &[("TAGS", tag)]), tag).await;
    }
    client.read("orders", 0, 0, 2).await;
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "b", 5)])]).await);
    let info = ConsumerRunningInfo {
        subscription_set: consumer("g", &[("orders", "a", 6)]).subscription_data_set,
        ..ConsumerRunningInfo::default()
    };
    let told = String::from_utf8(to_json(&info, Style::Fastjson)).unwrap();
    client.will_say(RequestCode::GET_CONSUMER_RUNNING_INFO, told);
    let later = PullMessage { sys_flag: 0, subscription: None, sub_version: 6, ..pull("g", "orders", 0, 0) };
    refused(&client.pull(&later).await, ResponseCode::SUBSCRIPTION_NOT_LATEST, "not latest");
    let again = || async { Some(client.pull(&later).await).filter(|answer| code(answer) == ResponseCode::SUCCESS) };
    assert_eq!(bodies(&messages_of(&until(again).await)), ["a"]);
    node.stop().await;
}

#[tokio::test]
async fn expressions_that_cannot_be_served_are_refused() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    let with = |expression: &str, kind: &str| PullMessage {
        subscription: Some(expression.to_owned()),
        expression_type: Some(kind.to_owned()),
        ..pull("g", "orders", 0, 0)
    };
    let answer = client.pull(&with(" || ", "TAG")).await;
    assert_eq!(code(&answer), ResponseCode::PULL_RETRY_IMMEDIATELY, "no tag, so no message, as with Java");
    refused(&client.pull(&with("||", "TAG")).await, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "subscription");
    refused(&client.pull(&with("a > 1", "SQL92")).await, ResponseCode::SYSTEM_ERROR, "SQL92");
    refused(&client.pull(&with("", "SQL92")).await, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "null");
    node.stop().await;
}

#[tokio::test]
async fn unknown_groups_topics_and_queues_are_refused() {
    let setup = Setup::new();
    setup.switch("auto_create_group", false);
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let unknown = client.pull(&pull("g", "orders", 0, 0)).await;
    refused(&unknown, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [g] does not exist");
    setup.switch("auto_create_group", true);
    refused(&client.pull(&pull("g", "nothing", 0, 0)).await, ResponseCode::TOPIC_NOT_EXIST, "topic[nothing] not exist");
    for queue in [4, -1, i32::MIN, i32::MAX] {
        let answer = client.pull(&pull("g", "orders", queue, 0)).await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, &format!("queueId[{queue}] is illegal"));
    }
    node.stop().await;
}

#[tokio::test]
async fn what_operators_forbid_is_refused() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    let make_group = |change: fn(&mut SubscriptionGroupConfig)| {
        let mut made = SubscriptionGroupConfig { group_name: "g".to_owned(), ..SubscriptionGroupConfig::default() };
        change(&mut made);
        to_json(&made, Style::Fastjson)
    };
    let no = ResponseCode::NO_PERMISSION;

    ok(&client.ask::<call::CreateGroup>(&NoFields {}, make_group(|g| g.consume_enable = false)).await);
    refused(&client.pull(&pull("g", "orders", 0, 0)).await, no, "subscription group no permission, g");

    ok(&client.ask::<call::CreateGroup>(&NoFields {}, make_group(|g| g.consume_broadcast_enable = false)).await);
    let broadcasting =
        ConsumerData { message_model: MessageModel::Broadcasting, ..consumer("g", &[("orders", "*", 1)]) };
    ok(&client.heartbeat("c1", vec![broadcasting]).await);
    let relying = PullMessage { sys_flag: 0, ..pull("g", "orders", 0, 0) };
    refused(&client.pull(&relying).await, no, "broadcast");
    ok(&client.pull(&pull("g", "orders", 0, 0)).await);

    let write_only = CreateTopic {
        topic: topic("orders"),
        default_topic: String::new(),
        read_queue_nums: 4,
        write_queue_nums: 4,
        perm: 2,
        topic_filter_type: None,
        topic_sys_flag: 0,
        order: false,
    };
    ok(&client.ask::<call::CreateTopic>(&write_only, "").await);
    refused(&client.pull(&pull("g", "orders", 0, 0)).await, no, "the topic[orders] pulling message is forbidden");
    ok(&client.ask::<call::CreateTopic>(&CreateTopic { perm: 6, ..write_only }, "").await);

    assert!(setup.live.set_number("permission", 2));
    refused(&client.pull(&pull("g", "orders", 0, 0)).await, no, "pulling message is forbidden");
    assert!(setup.live.set_number("permission", 6));
    ok(&client.pull(&pull("g", "orders", 0, 0)).await);
    node.stop().await;
}

#[tokio::test]
async fn a_pull_may_bring_an_offset_to_commit() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    let stored = QueryConsumerOffset { consumer_group: group("g"), topic: topic("orders"), queue_id: 0 };
    let committing = PullMessage {
        sys_flag: flags::SUBSCRIPTION | flags::COMMIT_OFFSET,
        commit_offset: 1,
        ..pull("g", "orders", 0, 1)
    };
    client.pull(&PullMessage { sys_flag: flags::SUBSCRIPTION, ..committing.clone() }).await;
    let before = client.ask::<call::QueryConsumerOffset>(&stored, "").await;
    assert_eq!(header::<OffsetResult>(&before).offset, 0, "without the flag it means nothing");
    client.pull(&committing).await;
    let after = client.ask::<call::QueryConsumerOffset>(&stored, "").await;
    assert_eq!(header::<OffsetResult>(&after).offset, 1);
    node.stop().await;
}

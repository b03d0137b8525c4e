//! Messages that are handed back, and messages that wait.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use kerolox_wire::body::{DelayOffsets, Style, SubscriptionGroupConfig, from_json, to_json};
use kerolox_wire::command::admin::CreateTopic;
use kerolox_wire::command::offset::{OffsetResult, QueueRef};
use kerolox_wire::command::send::{SendBack, SendMessage};
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::id::MessageId;
use kerolox_wire::names::LogOffset;
use kerolox_wire::response::ResponseCode;

/// How many messages a queue has.
async fn len(client: &Client, name: &str, queue_id: i32) -> i64 {
    let queue = QueueRef { topic: topic(name), queue_id };
    header::<OffsetResult>(&client.ask::<call::GetMaxOffset>(&queue, "").await).offset
}

/// Opens a dead letter topic for reading, as an operator does.
async fn open_dead_letters(client: &Client, of: &str) {
    let open = CreateTopic {
        topic: topic(&format!("%DLQ%{of}")),
        default_topic: String::new(),
        read_queue_nums: 1,
        write_queue_nums: 1,
        perm: 6,
        topic_filter_type: None,
        topic_sys_flag: 0,
        order: false,
    };
    ok(&client.ask::<call::CreateTopic>(&open, "").await);
}

#[tokio::test]
async fn a_message_handed_back_comes_again_after_its_delay_and_ends_as_a_dead_letter() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message_with("orders", 0, &[("TAGS", "a"), ("KEYS", "k")]), "m").await;
    let first = client.read("orders", 0, 0, 1).await.remove(0);

    ok(&client.ask::<call::SendBack>(&back("g", first.log_offset), "").await);
    let waiting = client.read("SCHEDULE_TOPIC_XXXX", 2, 0, 1).await.remove(0);
    let again = client.read("%RETRY%g", 0, 0, 1).await.remove(0);
    assert!(again.stored_ms >= waiting.stored_ms + 1000, "it waits first");
    assert_eq!((again.topic.as_str(), again.body.as_str(), again.reconsume_times), ("%RETRY%g", "m", 1));
    assert_eq!(again.property("RETRY_TOPIC"), Some("orders"));
    assert_eq!((again.property("TAGS"), again.property("KEYS")), (Some("a"), Some("k")));
    let id = MessageId { host: node_host(&again), offset: LogOffset::new(first.log_offset.cast_unsigned()) };
    assert_eq!(again.property("ORIGIN_MESSAGE_ID"), Some(id.to_string().as_str()));

    let last = SendBack { max_reconsume_times: Some(1), ..back("g", again.log_offset) };
    ok(&client.ask::<call::SendBack>(&last, "").await);
    let answer = client.pull(&pull("reader", "%DLQ%g", 0, 0)).await;
    refused(&answer, ResponseCode::NO_PERMISSION, "pulling message is forbidden");
    open_dead_letters(&client, "g").await;
    let dead = client.read("%DLQ%g", 0, 0, 1).await.remove(0);
    assert_eq!((dead.body.as_str(), dead.reconsume_times), ("m", 2));
    assert_eq!((dead.property("RETRY_TOPIC"), dead.property("DELAY")), (Some("orders"), None));
    assert_eq!(dead.property("ORIGIN_MESSAGE_ID"), Some(id.to_string().as_str()));
    node.stop().await;
}

/// The broker that the message names as its origin.
fn node_host(message: &Message) -> std::net::SocketAddr {
    MessageId::parse(message.property("ORIGIN_MESSAGE_ID").unwrap()).unwrap().host
}

#[tokio::test]
async fn a_negative_level_means_a_dead_letter_at_once() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let first = client.read("orders", 0, 0, 1).await.remove(0);
    ok(&client.ask::<call::SendBack>(&SendBack { delay_level: -1, ..back("g", first.log_offset) }, "").await);
    until(async || (len(&client, "%DLQ%g", 0).await == 1).then_some(())).await;
    node.stop().await;
}

#[tokio::test]
async fn a_level_beyond_the_last_is_the_last() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let first = client.read("orders", 0, 0, 1).await.remove(0);
    ok(&client.ask::<call::SendBack>(&SendBack { delay_level: i32::MAX, ..back("g", first.log_offset) }, "").await);
    client.send(&message_with("orders", 0, &[("DELAY", "99")]), "m").await;
    until(async || (len(&client, "SCHEDULE_TOPIC_XXXX", 3).await == 2).then_some(())).await;
    node.stop().await;
}

#[tokio::test]
async fn a_group_without_retry_queues_drops_what_is_handed_back() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let first = client.read("orders", 0, 0, 1).await.remove(0);
    for retry_queue_nums in [0, -3] {
        let none = SubscriptionGroupConfig {
            group_name: "g".to_owned(),
            retry_queue_nums,
            ..SubscriptionGroupConfig::default()
        };
        ok(&client.ask::<call::CreateGroup>(&NoFields {}, to_json(&none, Style::Fastjson)).await);
        ok(&client.ask::<call::SendBack>(&back("g", first.log_offset), "").await);
        ok(&client.heartbeat("c1", vec![consumer("g", &[])]).await);
    }
    assert_eq!(len(&client, "SCHEDULE_TOPIC_XXXX", 2).await, 0);
    node.stop().await;
}

#[tokio::test]
async fn an_offset_that_is_no_message_cannot_be_handed_back() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.send(&message("orders", 0), "n").await;
    for offset in [-1, i64::MIN, i64::MAX, 1, 40, 1 << 40] {
        let answer = client.ask::<call::SendBack>(&back("g", offset), "").await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, &format!("look message by offset failed, {offset}"));
    }
    setup.switch("auto_create_group", false);
    let answer = client.ask::<call::SendBack>(&back("unknown", 0), "").await;
    refused(&answer, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "unknown");
    assert!(setup.live.set_number("permission", 4));
    let answer = client.ask::<call::SendBack>(&back("g", 0), "").await;
    refused(&answer, ResponseCode::NO_PERMISSION, "forbidden");
    node.stop().await;
}

#[tokio::test]
async fn a_record_made_up_inside_of_a_body_is_no_way_around_the_rules() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let first = client.read("orders", 0, 0, 1).await.remove(0);
    let viewed = client.call(kerolox_wire::command::RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", "0")], "").await;
    // A body that begins like a record but is cut, claims too much, or says that it stands elsewhere.
    let mut huge = viewed.body.to_vec();
    huge[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    let elsewhere = viewed.body.to_vec();
    for body in [huge, elsewhere, viewed.body[..60].to_vec()] {
        let sent = client.send(&message("orders", 1), body).await;
        let inside = MessageId::parse(&sent.msg_id).unwrap().offset.to_wire() + 88;
        let answer = client.ask::<call::SendBack>(&back("g", inside), "").await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, "look message by offset failed");
        let offset = inside.to_string();
        let answer =
            client.call(kerolox_wire::command::RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", &offset)], "").await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, "can not find message by the offset");
    }
    assert_eq!(first.log_offset, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_delayed_message_reaches_its_topic_and_queue_when_it_is_due() {
    let node = Setup::new().start().await;
    let client = node.client();
    let sent = client.send(&message_with("orders", 2, &[("DELAY", "1"), ("TAGS", "a")]), "later").await;
    assert_eq!(sent.queue_id, 2, "the answer names the queue it was sent to");
    let waiting = client.read("SCHEDULE_TOPIC_XXXX", 0, 0, 1).await.remove(0);
    let read = client.read("orders", 2, 0, 1).await.remove(0);
    assert!(read.stored_ms >= waiting.stored_ms + 1000, "not before it is due");
    assert_eq!((read.topic.as_str(), read.body.as_str()), ("orders", "later"));
    assert_eq!((read.property("TAGS"), read.property("CLUSTER")), (Some("a"), Some(CLUSTER)));
    let progress = async || {
        let answer = client.ask::<call::GetAllDelayOffsets>(&NoFields {}, "").await;
        let offsets: DelayOffsets = from_json(&answer.body).unwrap();
        offsets.offset_table.get(&1).copied().filter(|next| *next == 1)
    };
    until(progress).await;
    for level in ["0", "-1", "x"] {
        client.send(&message_with("orders", 3, &[("DELAY", level)]), "now").await;
    }
    client.read("orders", 3, 0, 3).await;
    node.stop().await;
}

#[tokio::test]
async fn a_retry_sent_by_the_consumer_itself_becomes_a_dead_letter_in_the_end() {
    let node = Setup::new().start().await;
    let client = node.client();
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await);
    let retry = |times| SendMessage { reconsume_times: times, max_reconsume_times: Some(2), ..message("%RETRY%g", 0) };
    client.send(&retry(1), "again").await;
    assert_eq!(bodies(&client.read("%RETRY%g", 0, 0, 1).await), ["again"]);
    // As an orderly consumer sends it: with the level of the retry that there is not.
    let text = properties_text(&[("DELAY", "4"), ("KEYS", "k")]);
    client.send(&SendMessage { properties: Some(text), ..retry(2) }, "dead").await;
    open_dead_letters(&client, "g").await;
    let dead = client.read("%DLQ%g", 0, 0, 1).await.remove(0);
    assert_eq!((dead.body.as_str(), dead.property("DELAY"), dead.property("KEYS")), ("dead", None, Some("k")));
    assert_eq!((dead.property("REAL_TOPIC"), dead.property("CLUSTER")), (None, Some(CLUSTER)));
    // Without the header field the group's own limit counts.
    client.send(&SendMessage { max_reconsume_times: None, ..retry(2) }, "again").await;
    client.read("%RETRY%g", 0, 1, 1).await;
    node.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_neither_loses_nor_holds_up_a_delay_level() {
    let mut setup = Setup::new();
    setup.store.delay_levels = kerolox_store::DelayLevels::parse("1s 2h").unwrap();
    let node = setup.start().await;
    let client = node.client();
    client.send(&message_with("orders", 0, &[("DELAY", "1")]), "back").await;
    node.clock.set_by(-3_600_000);
    client.read("orders", 0, 0, 1).await;
    client.send(&message_with("orders", 0, &[("DELAY", "2")]), "forward").await;
    until(async || (len(&client, "SCHEDULE_TOPIC_XXXX", 1).await == 1).then_some(())).await;
    assert_eq!(len(&client, "orders", 0).await, 1);
    node.clock.set_by(2 * 3_600_000);
    assert_eq!(client.read("orders", 0, 1, 1).await.remove(0).body, "forward");
    node.stop().await;
}

#[tokio::test]
async fn large_delayed_messages_are_delivered_a_part_at_a_time_and_each_once() {
    const COUNT: i64 = 50;
    let node = Setup::new().start().await;
    let client = node.client();
    let body = |n: i64| format!("{n} {}", "x".repeat(60_000));
    for n in 0..COUNT {
        client.send(&message_with("orders", 0, &[("DELAY", "1")]), body(n)).await;
    }
    // More of them are due at once than one append takes.
    node.clock.advance(std::time::Duration::from_secs(5));
    until(async || (len(&client, "orders", 0).await >= COUNT).then_some(())).await;
    for n in 0..COUNT {
        assert_eq!(client.read("orders", 0, n, 1).await.remove(0).body, body(n));
    }
    assert_eq!(len(&client, "orders", 0).await, COUNT);
    node.stop().await;
}

#[tokio::test]
async fn a_stop_amid_deliveries_repeats_none_of_them() {
    let setup = Setup::new();
    let mut node = setup.start().await;
    for n in 0..600 {
        node.client().send(&message_with("orders", 0, &[("DELAY", "1")]), n.to_string()).await;
    }
    node.clock.advance(std::time::Duration::from_secs(5));
    for _ in 0..4 {
        // At once: deliveries are likely under way.
        node.stop().await;
        node = setup.start().await;
    }
    let client = node.client();
    until(async || (len(&client, "orders", 0).await >= 600).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(len(&client, "orders", 0).await, 600);
    node.stop().await;
}

//! What the answers promise when the disk is slow, full or broken, and what is there after a restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use kerolox_store::FlushMode;
use kerolox_store::disk::Disk;
use kerolox_store::disk::sim::Loss;
use kerolox_wire::body::{OffsetTable, Style, SubscriptionGroupConfig, from_json, to_json};
use kerolox_wire::command::offset::{OffsetResult, QueryConsumerOffset, UpdateConsumerOffset};
use kerolox_wire::command::send::{SendMessage, SendResult};
use kerolox_wire::command::{NoFields, RequestCode, call};
use kerolox_wire::response::ResponseCode;

/// How many bytes of the log are not durable yet, as the broker tells: exact below a KiB, more than that above.
async fn undurable(client: &Client) -> u64 {
    let answer = client.ask::<call::GetRuntimeInfo>(&NoFields {}, "").await;
    let table: kerolox_wire::body::KvTable = from_json(&answer.body).unwrap();
    let text = &table.table["remainHowManyDataToFlush"];
    text.strip_suffix(" B").map_or(1024, |bytes| bytes.parse().unwrap())
}

#[tokio::test]
async fn with_synchronous_flush_an_answer_means_that_the_message_survives_everything() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.flush = FlushMode::Sync;
    let node = setup.start().await;
    let client = node.client();
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let sent = client.send(&message("orders", 0), format!("m{n}")).await;
        assert_eq!(sent.queue_offset, n);
        assert_eq!(undurable(&client).await, 0);
        acknowledged.push(format!("m{n}"));
    }
    let mut wire = node.wire().await;
    wire.write(1, (0..50).map(|n| request::<call::SendMessageV2>(&message("orders", 1), format!("w{n}")))).await;
    for _ in 0..50 {
        ok(&wire.next().await.unwrap());
    }
    node.kill();
    disk.crash(Loss::Everything);
    let node = setup.start().await;
    let client = node.client();
    assert_eq!(bodies(&client.read("orders", 0, 0, 20).await), acknowledged);
    assert_eq!(client.read("orders", 1, 0, 50).await.len(), 50);
    node.stop().await;
}

#[tokio::test]
async fn whoever_does_not_want_to_wait_for_the_disk_is_answered_at_once() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.flush = FlushMode::Sync;
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    // The write is the last thing that works.
    disk.stop_after(1);
    let answer = client.ask::<call::SendMessage>(&message_with("orders", 0, &[("WAIT", "false")]), "m").await;
    ok(&answer);
    let _ = node;
}

#[tokio::test]
async fn a_one_way_send_with_synchronous_flush_leaves_the_connection_alone() {
    let (mut setup, _) = Setup::simulated();
    setup.store.flush = FlushMode::Sync;
    let node = setup.start().await;
    let mut wire = node.wire().await;
    let silent = || request::<call::SendMessage>(&message("orders", 0), "m").oneway();
    wire.write(1, [silent(), silent()]).await;
    wire.write(3, [request::<call::SendMessage>(&message("orders", 0), "m")]).await;
    let answer = wire.next().await.unwrap();
    assert_eq!((answer.opaque, header::<SendResult>(&answer).queue_offset), (3, 2));
    node.stop().await;
}

#[tokio::test]
async fn a_failing_sync_refuses_with_the_reason_and_reads_go_on() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.flush = FlushMode::Sync;
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "safe").await;
    let safe = client.read("orders", 0, 0, 1).await.remove(0);
    disk.stop_after(1);
    let answer = client.ask::<call::SendMessage>(&message("orders", 0), "written, not durable").await;
    refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the log is sealed: syncing");
    assert_eq!(answer.fields.get("MSG_REGION"), Some("DefaultRegion"));
    // From then on nothing is taken, and the first reason is still told.
    let answer = client.ask::<call::SendMessage>(&message("orders", 0), "m").await;
    refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the log is sealed: syncing");
    let back = back("g", safe.log_offset);
    let answer = client.ask::<call::SendBack>(&back, "").await;
    refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the log is sealed");
    assert_eq!(bodies(&messages_of(&client.pull(&pull("g", "orders", 0, 0)).await))[..1], ["safe"]);

    node.kill();
    disk.crash(Loss::Everything);
    let node = setup.start().await;
    let client = node.client();
    assert_eq!(client.send(&message("orders", 0), "after").await.queue_offset, 1);
    assert_eq!(bodies(&client.read("orders", 0, 0, 2).await), ["safe", "after"]);
    node.stop().await;
}

#[tokio::test]
async fn a_handed_back_message_is_not_confirmed_by_a_disk_that_fails() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.flush = FlushMode::Sync;
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "safe").await;
    let safe = client.read("orders", 0, 0, 1).await.remove(0);
    let back = [("offset", safe.log_offset.to_string()), ("group", "g".to_owned()), ("delayLevel", "0".to_owned())];
    let back: Vec<(&str, &str)> = back.iter().map(|(k, v)| (*k, v.as_str())).collect();
    // The first time makes the group and the topics.
    ok(&client.call(RequestCode::CONSUMER_SEND_MSG_BACK, &back, "").await);
    client.read("SCHEDULE_TOPIC_XXXX", 2, 0, 1).await;
    disk.stop_after(1);
    let answer = client.call(RequestCode::CONSUMER_SEND_MSG_BACK, &back, "").await;
    refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the log is sealed");
    let _ = node;
}

#[tokio::test]
async fn a_failing_write_refuses_with_the_reason_and_reads_go_on() {
    let (setup, disk) = Setup::simulated();
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "safe").await;
    client.read("orders", 0, 0, 1).await;
    until(async || (undurable(&client).await == 0).then_some(())).await;
    disk.stop_after(0);
    for _ in 0..2 {
        let answer = client.ask::<call::SendMessage>(&message("orders", 0), "lost").await;
        refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the log is sealed: writing the log");
    }
    assert_eq!(bodies(&messages_of(&client.pull(&pull("reader", "orders", 0, 0)).await)), ["safe"]);
    let _ = node;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.clean_interval = Duration::from_millis(10);
    setup.store.disk_full_ratio = 90;
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "before").await;
    client.read("orders", 0, 0, 1).await;
    let usage = disk.usage(Path::new("/store")).unwrap();
    disk.set_capacity(usage.total - usage.free + 8192);
    let send = async || client.ask::<call::SendMessage>(&message("orders", 0), "during").await;
    let answer = until(async || Some(send().await).filter(|a| code(a) != ResponseCode::SUCCESS)).await;
    refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the disk is full");
    let batch = SendMessage { batch: true, ..message("orders", 0) };
    let answer = client.ask::<call::SendBatch>(&batch, batch_body(&[("b", "")])).await;
    refused(&answer, ResponseCode::SERVICE_NOT_AVAILABLE, "the disk is full");
    assert_eq!(bodies(&messages_of(&client.pull(&pull("reader", "orders", 0, 0)).await))[0], "before");
    disk.set_capacity(1 << 40);
    until(async || (code(&send().await) == ResponseCode::SUCCESS).then_some(())).await;
    node.stop().await;
}

/// Sends, commits, delays; returns what must be there afterwards.
async fn fill(client: &Client) -> Vec<String> {
    let mut sent = Vec::new();
    for n in 0..100 {
        let body = format!("m{n}");
        client.send(&message_with("orders", 1, &[("KEYS", "k")]), body.clone()).await;
        sent.push(body);
    }
    let batch = SendMessage { batch: true, ..message("orders", 1) };
    ok(&client.ask::<call::SendBatch>(&batch, batch_body(&[("b0", ""), ("b1", "")])).await);
    sent.extend(["b0".to_owned(), "b1".to_owned()]);
    client.send(&message_with("orders", 2, &[("DELAY", "1")]), "later").await;
    let made = SubscriptionGroupConfig {
        group_name: "g".to_owned(),
        retry_max_times: 5,
        ..SubscriptionGroupConfig::default()
    };
    ok(&client.ask::<call::CreateGroup>(&NoFields {}, to_json(&made, Style::Fastjson)).await);
    let update =
        UpdateConsumerOffset { consumer_group: group("g"), topic: topic("orders"), queue_id: 1, commit_offset: 42 };
    ok(&client.ask::<call::UpdateConsumerOffset>(&update, "").await);
    sent
}

async fn is_all_there(client: &Client, sent: &[String]) {
    assert_eq!(bodies(&client.read("orders", 1, 0, sent.len()).await), sent);
    assert_eq!(bodies(&client.read("orders", 2, 0, 1).await), ["later"]);
    let groups = client.ask::<call::GetAllGroups>(&NoFields {}, "").await;
    let groups: kerolox_wire::body::SubscriptionGroupTable = from_json(&groups.body).unwrap();
    assert_eq!(groups.subscription_group_table["g"].retry_max_times, 5);
    assert_eq!(client.send(&message("orders", 1), "next").await.queue_offset, 102);
}

#[tokio::test]
async fn everything_is_there_after_an_orderly_stop() {
    let setup = Setup::new();
    let node = setup.start().await;
    let sent = fill(&node.client()).await;
    node.stop().await;
    // Topics are known without being created again.
    setup.switch("auto_create_topic", false);
    let node = setup.start().await;
    let client = node.client();
    let query = QueryConsumerOffset { consumer_group: group("g"), topic: topic("orders"), queue_id: 1 };
    let stored = client.ask::<call::QueryConsumerOffset>(&query, "").await;
    assert_eq!(header::<OffsetResult>(&stored).offset, 42);
    is_all_there(&client, &sent).await;
    let keyed = [("topic", "orders"), ("key", "k"), ("maxNum", "64"), ("beginTimestamp", "0")];
    let keyed = [&keyed[..], &[("endTimestamp", "9223372036854775807")]].concat();
    let found = client.call(RequestCode::QUERY_MESSAGE, &keyed, "").await;
    ok(&found);
    assert_eq!(messages_of(&found).len(), 64);
    node.stop().await;
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_kill() {
    let (setup, disk) = Setup::simulated();
    let node = setup.start().await;
    let sent = fill(&node.client()).await;
    node.kill();
    disk.crash(Loss::Nothing);
    setup.switch("auto_create_topic", false);
    let node = setup.start().await;
    is_all_there(&node.client(), &sent).await;
    node.stop().await;
}

#[tokio::test]
async fn the_tables_are_files_that_java_reads() {
    let setup = Setup::new();
    let node = setup.start().await;
    fill(&node.client()).await;
    node.client().read("orders", 2, 0, 1).await;
    node.stop().await;
    let file = |name: &str| {
        let path = setup.store.root.join("config").join(name);
        String::from_utf8(setup.disk.read_file(&path).unwrap()).unwrap()
    };
    let offsets: OffsetTable = from_json(file("consumerOffset.json").as_bytes()).unwrap();
    assert_eq!(offsets.offset_table["orders@g"][&1], 42);
    assert!(file("topics.json").contains("\"topicName\":\"orders\""));
    assert!(file("subscriptionGroup.json").contains("\"groupName\":\"g\""));
    assert!(file("delayOffset.json").replace(['\n', '\t'], "").contains("1:1"), "{}", file("delayOffset.json"));
    assert!(!setup.store.root.join("abort").exists());
}

#[tokio::test]
async fn two_brokers_cannot_share_a_directory() {
    let (setup, _disk) = Setup::simulated();
    let node = setup.start().await;
    let again = setup.try_start().await;
    assert!(again.is_err_and(|why| why.to_string().contains("in use")));
    node.client().send(&message("orders", 0), "m").await;
    node.stop().await;
}

#[tokio::test]
async fn a_table_that_cannot_be_read_stops_the_start_with_its_name() {
    let setup = Setup::new();
    setup.start().await.stop().await;
    let config = setup.store.root.join("config");
    setup.disk.create_dir_all(&config).unwrap();
    for name in ["topics.json", "subscriptionGroup.json", "consumerOffset.json", "delayOffset.json"] {
        let path = config.join(name);
        for copy in [path.clone(), path.with_extension("json.bak")] {
            std::fs::write(&copy, "{ this is no table").unwrap();
        }
        let why = setup.try_start().await.err().unwrap().to_string();
        assert!(why.contains(name), "{why}");
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(path.with_extension("json.bak")).unwrap();
    }
    setup.start().await.stop().await;
}

//! Saved positions and the log they speak of: written after it, held against it at the start, never believed over it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::*;
use kerolox_store::DelayLevels;
use kerolox_store::disk::sim::Loss;
use kerolox_store::disk::{Disk, RealDisk};
use kerolox_wire::body::{HeartbeatData, ProducerData, Style, to_json};
use kerolox_wire::clock::Clock;
use kerolox_wire::command::offset::{OffsetResult, QueryConsumerOffset, UpdateConsumerOffset};
use kerolox_wire::command::send::SendMessage;
use kerolox_wire::command::{NoFields, RequestCode, call};

async fn commit(client: &Client, queue_id: i32, commit_offset: i64) {
    let update = UpdateConsumerOffset { consumer_group: group("g"), topic: topic("orders"), queue_id, commit_offset };
    ok(&client.ask::<call::UpdateConsumerOffset>(&update, "").await);
}

async fn committed(client: &Client, name: &str, queue_id: i32) -> i64 {
    let query = QueryConsumerOffset { consumer_group: group("g"), topic: topic(name), queue_id };
    header::<OffsetResult>(&client.ask::<call::QueryConsumerOffset>(&query, "").await).offset
}

/// Replaces a table while no broker runs.
fn put(setup: &Setup, name: &str, text: &str) {
    setup.disk.create_dir_all(&setup.store.root.join("config")).unwrap();
    setup.disk.write_file_atomic(&setup.table(name), text.as_bytes()).unwrap();
}

#[tokio::test]
async fn an_offset_that_outlives_the_power_has_its_messages() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.flush_interval = Duration::from_secs(3600);
    setup.save_interval = Duration::from_millis(10);
    let node = setup.start().await;
    let client = node.client();
    for n in 0..10 {
        client.send(&message("orders", 0), format!("before {n}")).await;
    }
    client.read("orders", 0, 0, 10).await;
    commit(&client, 0, 10).await;
    let saved = || disk.read_file(&setup.table("consumerOffset.json")).unwrap_or_default();
    until(async || String::from_utf8(saved()).unwrap().contains("0:10").then_some(())).await;
    node.kill();
    disk.crash(Loss::Everything);
    let node = setup.start().await;
    let client = node.client();
    assert_eq!(committed(&client, "orders", 0).await, 10);
    assert_eq!(client.send(&message("orders", 0), "after").await.queue_offset, 10);
    node.stop().await;
}

#[tokio::test]
async fn delivered_messages_outlive_the_power_with_the_progress_of_their_level() {
    let (mut setup, disk) = Setup::simulated();
    setup.store.flush_interval = Duration::from_secs(3600);
    setup.save_interval = Duration::from_millis(10);
    let node = setup.start().await;
    let client = node.client();
    client.send(&message_with("orders", 0, &[("DELAY", "1")]), "delayed").await;
    client.read("orders", 0, 0, 1).await;
    let saved = || disk.read_file(&setup.table("delayOffset.json")).unwrap_or_default();
    until(async || String::from_utf8(saved()).unwrap().contains("1:1").then_some(())).await;
    node.kill();
    disk.crash(Loss::Everything);
    let node = setup.start().await;
    assert_eq!(bodies(&node.client().read("orders", 0, 0, 1).await), ["delayed"]);
    node.stop().await;
}

#[tokio::test]
async fn offsets_beyond_the_end_are_set_to_it() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for n in 0..3 {
        client.send(&message("orders", 0), format!("m{n}")).await;
        client.send(&message("orders", 1), format!("m{n}")).await;
    }
    client.read("orders", 1, 0, 3).await;
    node.stop().await;
    put(&setup, "consumerOffset.json", "{\"offsetTable\":{\"orders@g\":{0:500,1:2,2:7},\"gone@g\":{0:9}}}");
    let node = setup.start().await;
    let client = node.client();
    for (name, queue, expected) in [("orders", 0, 3), ("orders", 1, 2), ("orders", 2, 0), ("gone", 0, 0)] {
        assert_eq!(committed(&client, name, queue).await, expected, "{name} {queue}");
    }
    let first = client.send(&message("orders", 2), "first").await.queue_offset;
    assert_eq!(first, committed(&client, "orders", 2).await, "the group gets what comes");
    node.stop().await;
}

#[tokio::test]
async fn a_delay_level_beyond_its_end_delivers_what_waits_and_comes() {
    let mut setup = Setup::new();
    setup.store.delay_levels = DelayLevels::parse("1s 1h").unwrap();
    put(&setup, "delayOffset.json", "{\"offsetTable\":{1:5000,2:5000}}");
    let node = setup.start().await;
    let client = node.client();
    client.send(&message_with("orders", 0, &[("DELAY", "1")]), "on an empty log").await;
    client.send(&message_with("orders", 1, &[("DELAY", "2")]), "waits").await;
    assert_eq!(client.read("orders", 0, 0, 1).await[0].body, "on an empty log");
    client.read("SCHEDULE_TOPIC_XXXX", 1, 0, 1).await;
    node.stop().await;

    put(&setup, "delayOffset.json", "{\"offsetTable\":{1:5000,2:5000}}");
    let node = setup.start().await;
    let client = node.client();
    node.clock.advance(Duration::from_secs(3601));
    client.send(&message_with("orders", 0, &[("DELAY", "1")]), "comes").await;
    assert_eq!(bodies(&client.read("orders", 1, 0, 1).await), ["waits"]);
    assert_eq!(bodies(&client.read("orders", 0, 1, 1).await), ["comes"], "and what was delivered does not come again");
    node.stop().await;
}

#[tokio::test]
async fn a_half_message_below_a_made_up_offset_is_asked_for() {
    let setup = Setup::new();
    assert!(setup.live.set_number("transaction_timeout_ms", 0));
    assert!(setup.live.set_number("transaction_check_interval_ms", 3_600_000));
    let node = setup.start().await;
    let client = node.client();
    let properties = [("TRAN_MSG", "true"), ("PGROUP", "payers"), ("UNIQ_KEY", "K")];
    let half = SendMessage {
        producer_group: "payers".to_owned(),
        sys_flag: 4,
        born_timestamp: node.clock.wall_ms(),
        ..message_with("orders", 0, &properties)
    };
    client.send(&half, "m").await;
    node.stop().await;
    let (half, op) = ("RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC");
    let text =
        format!("{{\"offsetTable\":{{\"{half}@CID_RMQ_SYS_TRANS\":{{0:70}},\"{op}@CID_RMQ_SYS_TRANS\":{{0:0}}}}}}");
    put(&setup, "consumerOffset.json", &text);
    assert!(setup.live.set_number("transaction_check_interval_ms", 20));
    let node = setup.start().await;
    let client = node.client();
    let data = HeartbeatData {
        client_id: "p".to_owned(),
        consumer_data_set: vec![],
        producer_data_set: vec![ProducerData { group_name: "payers".to_owned() }],
        ..HeartbeatData::default()
    };
    ok(&client.ask::<call::Heartbeat>(&NoFields {}, to_json(&data, Style::Fastjson)).await);
    assert_eq!(RequestCode(client.hear().await.code), RequestCode::CHECK_TRANSACTION_STATE);
    node.stop().await;
}

/// A stopped broker with messages, whose table of topics is then replaced.
async fn with_topics(text: Option<&str>) -> Setup {
    let setup = Setup::new();
    let node = setup.start().await;
    node.client().send(&message("orders", 0), "m").await;
    node.client().send(&message("bills", 0), "m").await;
    node.client().read("bills", 0, 0, 1).await;
    node.stop().await;
    let path = setup.table("topics.json");
    // There is one once the table was written twice.
    let _ = std::fs::remove_file(path.with_extension("json.bak"));
    match text {
        Some(text) => std::fs::write(&path, text).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    }
    setup
}

#[tokio::test]
async fn queues_without_a_table_of_topics_stop_the_start() {
    for text in [None, Some(""), Some("{\"topicConfigTable\":{}}"), Some("{}")] {
        let setup = with_topics(text).await;
        for _ in 0..2 {
            let why = setup.try_start().await.err().unwrap().to_string();
            assert!(why.contains("topics.json") && why.contains("2 topics"), "{text:?}: {why}");
            assert!(why.contains("kerolox store repair") && why.contains("--topics"), "{why}");
        }
        assert!(!setup.store.root.join("abort").exists(), "nothing was touched");
    }
}

#[tokio::test]
async fn a_log_alone_and_a_new_directory_start() {
    let setup = with_topics(None).await;
    for gone in ["consumequeue", "config"] {
        std::fs::remove_dir_all(setup.store.root.join(gone)).unwrap();
    }
    let _ = std::fs::remove_file(setup.store.root.join("checkpoint"));
    for _ in 0..2 {
        let node = setup.start().await;
        assert!(RealDisk.exists(&setup.table("topics.json")), "a kill now must not stop the next start");
        node.stop().await;
    }
    Setup::new().start().await.stop().await;
}

//! A disk that fails reads for a while, or has damaged a record: what is there is delivered afterwards, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::faulty::{Fault, Faults};
use common::*;
use kerolox_store::DelayLevels;
use kerolox_wire::body::{HeartbeatData, ProducerData, Style, to_json};
use kerolox_wire::clock::Clock;
use kerolox_wire::command::offset::{OffsetResult, QueueRef, SearchOffset};
use kerolox_wire::command::pull::{PullMessage, QueryMessage, ViewMessage};
use kerolox_wire::command::send::{CheckTransactionState, EndTransaction, SendMessage};
use kerolox_wire::command::{Header, NoFields, RequestCode, call};
use kerolox_wire::id::MessageId;
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::{COMMIT, pull as flags};

/// Where reads of open files fail, and how.
const FAULTS_OF_OPEN_FILES: [(&str, Fault); 4] = [
    ("commitlog", Fault::BadSector),
    ("commitlog", Fault::ShortRead),
    ("consumequeue", Fault::BadSector),
    ("consumequeue", Fault::ShortRead),
];

/// Waits until the fault was met by whatever the broker does by itself.
async fn met(faults: &Faults) {
    until(async || (faults.met() > 0).then_some(())).await;
}

/// Sends `m0` to `m9` and leaves no file of a queue open.
async fn ten_messages(setup: &Setup) -> Node {
    let node = setup.start().await;
    let client = node.client();
    for n in 0..10 {
        client.send(&message_with("orders", 0, &[("KEYS", "k")]), format!("m{n}")).await;
    }
    client.read("orders", 0, 0, 10).await;
    node.stop().await;
    setup.start().await
}

#[tokio::test]
async fn a_pull_is_refused_and_its_offset_stays() {
    for (folder, fault) in FAULTS_OF_OPEN_FILES.into_iter().chain([("consumequeue", Fault::NoDescriptors)]) {
        let (setup, faults) = Setup::faulty();
        let node = ten_messages(&setup).await;
        let client = node.client();
        faults.begin(folder, fault);
        for held in [0, flags::SUSPEND] {
            let asked = pull("g", "orders", 0, 3);
            let asked = PullMessage { sys_flag: asked.sys_flag | held, suspend_timeout_millis: 20, ..asked };
            let answer = client.pull(&asked).await;
            refused(&answer, ResponseCode::SYSTEM_ERROR, "READ_FAILED: reading");
            assert_eq!(pull_result(&answer).next_begin_offset, 3, "{folder} {fault:?}");
            assert!(answer.body.is_empty());
        }
        faults.end();
        assert_eq!(client.read("orders", 0, 3, 7).await[0].body, "m3");
        node.stop().await;
    }
}

#[tokio::test]
async fn a_held_pull_meets_a_failing_read() {
    let (setup, faults) = Setup::faulty();
    let node = ten_messages(&setup).await;
    let mut wire = node.wire().await;
    let asked = pull("g", "orders", 0, 10);
    let asked = PullMessage { sys_flag: asked.sys_flag | flags::SUSPEND, suspend_timeout_millis: 60_000, ..asked };
    faults.begin("commitlog", Fault::BadSector);
    wire.write(
        1,
        [request::<call::PullMessage>(&asked, ""), request::<call::SendMessage>(&message("orders", 0), "m10")],
    )
    .await;
    let answers = [wire.next().await.unwrap(), wire.next().await.unwrap()];
    let answer = answers.iter().find(|answer| answer.opaque == 1).unwrap();
    refused(answer, ResponseCode::SYSTEM_ERROR, "reading the log at");
    assert_eq!(pull_result(answer).next_begin_offset, 10);
    faults.end();
    assert_eq!(bodies(&node.client().read("orders", 0, 10, 1).await), ["m10"]);
    node.stop().await;
}

#[tokio::test]
async fn delayed_messages_wait_for_the_disk() {
    for (folder, fault) in FAULTS_OF_OPEN_FILES {
        let (setup, faults) = Setup::faulty();
        let node = setup.start().await;
        let client = node.client();
        client.send(&message("orders", 0), "plain").await;
        client.read("orders", 0, 0, 1).await;
        faults.begin(folder, fault);
        for n in 0..3 {
            client.send(&message_with("orders", 0, &[("DELAY", "1")]), format!("delayed {n}")).await;
        }
        met(&faults).await;
        assert_eq!(end_of(&client).await, 1, "{folder} {fault:?}: none is delivered yet");
        faults.end();
        assert_eq!(client.read("orders", 0, 1, 3).await[2].body, "delayed 2");
        node.stop().await;
    }
}

async fn end_of(client: &Client) -> i64 {
    let queue = QueueRef { topic: topic("orders"), queue_id: 0 };
    let answer = client.ask::<call::GetMaxOffset>(&queue, "").await;
    header::<OffsetResult>(&answer).offset
}

#[tokio::test]
async fn timed_messages_wait_for_the_disk() {
    for (folder, fault) in FAULTS_OF_OPEN_FILES {
        let (setup, faults) = Setup::faulty();
        let node = setup.start().await;
        let client = node.client();
        let timed = |key: &'static str, seconds: &'static str| {
            message_with("orders", 0, &[("UNIQ_KEY", key), ("TIMER_DELAY_SEC", seconds)])
        };
        // One is read in before the disk fails, so that its delivery meets it; the other when it comes in.
        client.send(&timed("early", "3600"), "early").await;
        let watch = node.handle().watch();
        let pending = || watch.figures(0).unwrap().runtime["timerPending"].clone();
        until(async || (pending() == "1").then_some(())).await;
        faults.begin(folder, fault);
        client.send(&timed("late", "3600"), "late").await;
        met(&faults).await;
        node.clock.advance(Duration::from_secs(3601));
        let before = faults.met();
        until(async || (faults.met() > before).then_some(())).await;
        assert_eq!(end_of(&client).await, 0, "{folder} {fault:?}: none is delivered yet");
        faults.end();
        assert_eq!(bodies(&client.read("orders", 0, 0, 2).await), ["early", "late"]);
        node.stop().await;
    }
}

fn half(node: &Node, key: &str) -> SendMessage {
    let properties = [("TRAN_MSG", "true"), ("PGROUP", "payers"), ("UNIQ_KEY", key)];
    SendMessage {
        producer_group: "payers".to_owned(),
        sys_flag: 4,
        born_timestamp: node.clock.wall_ms(),
        ..message_with("orders", 0, &properties)
    }
}

#[tokio::test]
async fn half_messages_wait_for_the_disk() {
    for (folder, fault) in FAULTS_OF_OPEN_FILES {
        let (setup, faults) = Setup::faulty();
        assert!(setup.live.set_number("transaction_check_interval_ms", 20));
        assert!(setup.live.set_number("transaction_timeout_ms", 0));
        let node = setup.start().await;
        let client = node.client();
        // The disk is broken from the first half message on: neither it nor its end can be read by a round.
        faults.begin(folder, fault);
        let ended = client.send(&half(&node, "ended"), "m").await;
        faults.end();
        let end = EndTransaction {
            producer_group: "payers".to_owned(),
            tran_state_table_offset: ended.queue_offset,
            commit_log_offset: MessageId::parse(&ended.msg_id).unwrap().offset.to_wire(),
            commit_or_rollback: COMMIT,
            from_transaction_check: false,
            msg_id: "ended".to_owned(),
            transaction_id: None,
        };
        ok(&client.ask::<call::EndTransaction>(&end, "").await);
        faults.begin(folder, fault);
        client.send(&half(&node, "open"), "m").await;
        met(&faults).await;
        let data = HeartbeatData {
            client_id: "p".to_owned(),
            consumer_data_set: vec![],
            producer_data_set: vec![ProducerData { group_name: "payers".to_owned() }],
            ..HeartbeatData::default()
        };
        ok(&client.ask::<call::Heartbeat>(&NoFields {}, to_json(&data, Style::Fastjson)).await);
        faults.end();
        let heard = client.hear().await;
        assert_eq!(RequestCode(heard.code), RequestCode::CHECK_TRANSACTION_STATE);
        let asked = CheckTransactionState::decode(&heard.fields).unwrap();
        assert_eq!(asked.msg_id.as_deref(), Some("open"), "{folder} {fault:?}");
        node.stop().await;
    }
}

#[tokio::test]
async fn single_messages_are_refused_with_the_reason() {
    let (setup, faults) = Setup::faulty();
    let node = ten_messages(&setup).await;
    let client = node.client();
    let at = client.read("orders", 0, 0, 1).await[0].log_offset;
    let query = QueryMessage {
        topic: topic("orders"),
        key: "k".to_owned(),
        max_num: 5,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        unique_key: false,
    };
    let search = SearchOffset { topic: topic("orders"), queue_id: 0, timestamp: 1_700_000_000_000 };
    let queue = QueueRef { topic: topic("orders"), queue_id: 0 };
    for round in ["fails", "works"] {
        if round == "fails" {
            faults.begin("commitlog", Fault::BadSector);
        } else {
            faults.end();
        }
        for answer in [
            client.ask::<call::QueryMessage>(&query, "").await,
            client.ask::<call::ViewMessage>(&ViewMessage { offset: at }, "").await,
            client.ask::<call::SearchOffset>(&search, "").await,
            client.ask::<call::GetEarliestStoreTime>(&queue, "").await,
            client.ask::<call::SendBack>(&back("g", at), "").await,
        ] {
            if round == "fails" {
                refused(&answer, ResponseCode::SYSTEM_ERROR, "reading the log at");
            } else {
                ok(&answer);
            }
        }
    }
    faults.begin("index", Fault::BadSector);
    refused(&client.ask::<call::QueryMessage>(&query, "").await, ResponseCode::SYSTEM_ERROR, "reading the key index");
    node.stop().await;
}

#[tokio::test]
async fn a_damaged_message_is_passed_over_and_those_around_it_are_delivered() {
    let mut setup = Setup::new();
    setup.store.delay_levels = DelayLevels::parse("1h").unwrap();
    let node = setup.start().await;
    let client = node.client();
    for body in ["first", "broken", "last"] {
        client.send(&message_with("orders", 0, &[("DELAY", "1")]), body).await;
        client.send(&message_with("orders", 1, &[("TIMER_DELAY_SEC", "3600"), ("UNIQ_KEY", body)]), body).await;
        client.send(&message("orders", 2), body).await;
    }
    client.read("orders", 2, 0, 3).await;
    node.stop().await;
    let log = setup.store.root.join("commitlog").join("0".repeat(20));
    let mut bytes = std::fs::read(&log).unwrap();
    while let Some(at) = bytes.windows(6).position(|found| found == b"broken") {
        bytes[at] = b'B';
    }
    std::fs::write(&log, bytes).unwrap();
    let node = setup.start().await;
    let client = node.client();
    node.clock.advance(Duration::from_secs(3601));
    for queue in 0..3 {
        assert_eq!(bodies(&client.read("orders", queue, 0, 2).await), ["first", "last"], "queue {queue}");
    }
    node.stop().await;
}

//! Transactions over loopback: half messages, their ends, the questions to producers, and what is forged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use common::{Client, Node, Setup, code, message, message_with, ok, properties_text, refused, until};
use kerolox_store::disk::Disk as _;
use kerolox_store::disk::sim::Loss;
use kerolox_wire::body::{HeartbeatData, KvTable, ProducerData, Style, from_json, to_json};
use kerolox_wire::command::admin::ResumeCheckHalf;
use kerolox_wire::command::send::{CheckTransactionState, EndTransaction, SendMessage, SendResult};
use kerolox_wire::command::{Header, NoFields, RequestCode, call};
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::LogOffset;
use kerolox_wire::record::{BodyCheck, Record};
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::{COMMIT, ROLLBACK, TRANSACTION_MASK};

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

/// A broker that asks often, and at any age.
fn eager() -> Setup {
    let setup = Setup::new();
    assert!(setup.live.set_number("transaction_check_interval_ms", 20));
    assert!(setup.live.set_number("transaction_timeout_ms", 0));
    setup
}

fn half(node: &Node, key: &str, more: &[(&str, &str)]) -> SendMessage {
    use kerolox_wire::clock::Clock;
    let own = [("TRAN_MSG", "true"), ("PGROUP", "payers"), ("UNIQ_KEY", key), ("TAGS", "T")];
    let properties = properties_text(&[&own[..], more].concat());
    SendMessage {
        properties: Some(properties),
        sys_flag: 0x5,
        born_timestamp: node.clock.wall_ms(),
        producer_group: "payers".to_owned(),
        flag: 7,
        ..message("orders", 2)
    }
}

/// What a producer says of a half message that was answered with `sent`.
fn end(sent: &SendResult, key: &str, outcome: i32) -> EndTransaction {
    EndTransaction {
        producer_group: "payers".to_owned(),
        tran_state_table_offset: sent.queue_offset,
        commit_log_offset: MessageId::parse(&sent.msg_id).unwrap().offset.to_wire(),
        commit_or_rollback: outcome,
        from_transaction_check: false,
        msg_id: key.to_owned(),
        transaction_id: Some(key.to_owned()),
    }
}

/// The answer to a question.
fn answer_to(question: &Frame, outcome: i32) -> EndTransaction {
    let asked = CheckTransactionState::decode(&question.fields).unwrap();
    EndTransaction {
        producer_group: "payers".to_owned(),
        tran_state_table_offset: asked.tran_state_table_offset,
        commit_log_offset: asked.commit_log_offset,
        commit_or_rollback: outcome,
        from_transaction_check: true,
        msg_id: asked.msg_id.unwrap(),
        transaction_id: asked.transaction_id,
    }
}

async fn ends(client: &Client, asked: &EndTransaction) -> Frame {
    client.ask::<call::EndTransaction>(asked, Bytes::new()).await
}

/// A connection that produces for the group.
async fn producer(node: &Node) -> Client {
    let client = node.client();
    let data = HeartbeatData {
        client_id: "p".to_owned(),
        consumer_data_set: vec![],
        producer_data_set: vec![ProducerData { group_name: "payers".to_owned() }],
        unreadable: Vec::new(),
    };
    ok(&client.ask::<call::Heartbeat>(&NoFields {}, to_json(&data, Style::Fastjson)).await);
    client
}

async fn question(client: &Client) -> Frame {
    let heard = client.hear().await;
    assert_eq!(RequestCode(heard.code), RequestCode::CHECK_TRANSACTION_STATE);
    heard
}

async fn figures(client: &Client) -> BTreeMap<String, String> {
    let answer = client.ask::<call::GetRuntimeInfo>(&NoFields {}, Bytes::new()).await;
    from_json::<KvTable>(&answer.body).unwrap().table
}

/// Waits until a figure of the runtime information has this value.
async fn figure(client: &Client, key: &str, value: &str) {
    until(|| async { (figures(client).await[key] == value).then_some(()) }).await;
}

async fn raw(client: &Client, topic: &str, queue: i32, offset: i64) -> Bytes {
    until(|| async move {
        let answer = client.pull(&common::pull("reader", topic, queue, offset)).await;
        (code(&answer) == ResponseCode::SUCCESS).then_some(answer.body)
    })
    .await
}

#[tokio::test]
async fn a_commit_makes_the_message_visible_as_it_was_sent() {
    let node = Setup::new().start().await;
    let client = node.client();
    let sent = client.send(&half(&node, "K1", &[]), "paid").await;
    assert_eq!((sent.queue_id, sent.queue_offset), (2, 0), "the queue it is for, the place where it waits");
    let waiting = raw(&client, HALF, 0, 0).await;
    let waiting = Record::parse(&waiting, BodyCheck::Crc).unwrap();
    assert_eq!(waiting.sys_flag() & 0xF, 0x1, "neither prepared nor anything else, but compressed as before");
    assert_eq!(code(&client.pull(&common::pull("reader", "orders", 2, 0)).await), ResponseCode::PULL_NOT_FOUND);

    let asked = end(&sent, "K1", COMMIT);
    ok(&ends(&client, &asked).await);
    let shown = raw(&client, "orders", 2, 0).await;
    let record = Record::parse(&shown, BodyCheck::Crc).unwrap();
    assert_eq!((record.body(), record.flag(), record.topic()), (&b"paid"[..], 7, "orders"));
    assert_eq!(record.sys_flag() & TRANSACTION_MASK, COMMIT);
    assert_eq!(record.prepared_transaction_offset(), asked.commit_log_offset);
    assert_eq!(record.born_timestamp(), waiting.born_timestamp());
    for (name, value) in [("UNIQ_KEY", "K1"), ("TAGS", "T"), ("REAL_TOPIC", "orders"), ("REAL_QID", "2")] {
        assert_eq!(kerolox_wire::properties::find(record.properties(), name), Some(value), "{name}");
    }
    let mark = raw(&client, OP, 0, 0).await;
    let mark = Record::parse(&mark, BodyCheck::Crc).unwrap();
    assert_eq!((mark.body(), mark.properties()), (&b"0"[..], "WAIT\u{1}true\u{2}TAGS\u{1}d\u{2}"));
    node.stop().await;
}

#[tokio::test]
async fn a_rollback_shows_nothing_and_an_unknown_outcome_changes_nothing() {
    let node = Setup::new().start().await;
    let client = node.client();
    let sent = client.send(&half(&node, "K1", &[]), "m").await;
    ok(&ends(&client, &end(&sent, "K1", 0)).await);
    assert_eq!(code(&client.pull(&common::pull("reader", OP, 0, 0)).await), ResponseCode::PULL_NOT_FOUND);
    ok(&ends(&client, &end(&sent, "K1", ROLLBACK)).await);
    assert_eq!(Record::parse(&raw(&client, OP, 0, 0).await, BodyCheck::Crc).unwrap().body(), b"0");
    client.send(&message("orders", 2), "visible").await;
    let read = client.read("orders", 2, 0, 1).await;
    assert_eq!(common::bodies(&read), ["visible"]);
    let table = figures(&client).await;
    assert_eq!((&*table["transactionRollbackTotal"], &*table["transactionCommitTotal"]), ("1", "0"));
    node.stop().await;
}

#[tokio::test]
async fn forged_ends_are_refused_with_the_reason() {
    let node = Setup::new().start().await;
    let client = node.client();
    let sent = client.send(&half(&node, "K1", &[]), "m").await;
    let plain = client.send(&message_with("orders", 2, &[("PGROUP", "payers")]), "plain").await;
    let good = end(&sent, "K1", COMMIT);
    let plain_offset = MessageId::parse(&plain.msg_id).unwrap().offset.to_wire();
    for (asked, why) in [
        (EndTransaction { producer_group: "thieves".to_owned(), ..good.clone() }, "producer group wrong"),
        (EndTransaction { producer_group: String::new(), ..good.clone() }, "producer group wrong"),
        (EndTransaction { tran_state_table_offset: 1, ..good.clone() }, "state table offset wrong"),
        (EndTransaction { tran_state_table_offset: i64::MIN, ..good.clone() }, "state table offset wrong"),
        (EndTransaction { transaction_id: Some("K2".to_owned()), ..good.clone() }, "transaction id wrong"),
        (EndTransaction { commit_log_offset: plain_offset, ..good.clone() }, "stands no half message"),
        (EndTransaction { commit_log_offset: good.commit_log_offset + 1, ..good.clone() }, "message failed"),
        (EndTransaction { commit_log_offset: -1, ..good.clone() }, "no log offset is negative"),
        (EndTransaction { commit_log_offset: i64::MAX, ..good.clone() }, "message failed"),
        (EndTransaction { commit_or_rollback: 4, ..good.clone() }, "commitOrRollback is 4"),
        (EndTransaction { commit_or_rollback: i32::MIN, ..good.clone() }, "commitOrRollback is"),
    ] {
        refused(&ends(&client, &asked).await, ResponseCode::SYSTEM_ERROR, why);
    }
    // A half message made up inside of a body, at the very place that it claims.
    let mut forged = raw(&client, HALF, 0, 0).await.to_vec();
    let place = |sent: &SendResult| MessageId::parse(&sent.msg_id).unwrap().offset.to_wire();
    let first = place(&client.send(&message("orders", 0), forged.clone()).await);
    let second = place(&client.send(&message("orders", 0), forged.clone()).await);
    let inside = second + (second - first) + 88;
    forged[28..36].copy_from_slice(&inside.to_be_bytes());
    assert_eq!(place(&client.send(&message("orders", 0), forged).await) + 88, inside);
    let asked = EndTransaction { commit_log_offset: inside, ..good.clone() };
    refused(&ends(&client, &asked).await, ResponseCode::SYSTEM_ERROR, "message failed");
    let missing = client.call(RequestCode::END_TRANSACTION, &[("producerGroup", "payers")], Bytes::new()).await;
    refused(&missing, ResponseCode::SYSTEM_ERROR, "tranStateTableOffset");
    assert_eq!(figures(&client).await["transactionEndRefusedTotal"], "12");
    // Nobody may write the marks but the broker.
    for topic in [HALF, OP] {
        let answer = client.ask::<call::SendMessage>(&message(topic, 0), "0").await;
        refused(&answer, ResponseCode::NO_PERMISSION, "forbidden");
    }
    ok(&ends(&client, &good).await);
    node.stop().await;
}

#[tokio::test]
async fn half_messages_need_the_brokers_leave_and_stand_alone() {
    let setup = Setup::new();
    setup.switch("reject_transactions", true);
    let node = setup.start().await;
    let client = node.client();
    let answer = client.ask::<call::SendMessageV2>(&half(&node, "K1", &[]), "m").await;
    refused(&answer, ResponseCode::NO_PERMISSION, "sending transaction message is forbidden");
    setup.switch("reject_transactions", false);
    let batch = SendMessage { batch: true, ..half(&node, "K1", &[]) };
    let answer = client.ask::<call::SendMessageV2>(&batch, common::batch_body(&[("a", "")])).await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, "batch");
    // A consumer hands a committed message back by sending it.
    let back = SendMessage { reconsume_times: 1, ..half(&node, "K1", &[("DELAY", "1")]) };
    client.send(&back, "again").await;
    assert_eq!(common::bodies(&client.read("orders", 2, 0, 1).await), ["again"]);
    // A half message waits in one place only.
    client.send(&half(&node, "K2", &[("DELAY", "4")]), "m").await;
    let read = client.read(HALF, 0, 0, 1).await;
    assert_eq!((read[0].property("DELAY"), read[0].property("REAL_QID")), (None, Some("2")));
    node.stop().await;
}

#[tokio::test]
async fn a_producer_is_asked_until_it_knows() {
    let node = eager().start().await;
    let client = producer(&node).await;
    let sent = client.send(&half(&node, "K1", &[]), "m").await;
    for times in 1..=3 {
        let heard = question(&client).await;
        assert!(heard.is_oneway());
        let asked = CheckTransactionState::decode(&heard.fields).unwrap();
        assert_eq!((asked.msg_id.as_deref(), asked.transaction_id.as_deref()), (Some("K1"), Some("K1")));
        let record = Record::parse(&heard.body, BodyCheck::Crc).unwrap();
        assert_eq!((record.topic(), record.queue_id().get(), record.body()), ("orders", 2, &b"m"[..]));
        let checks = kerolox_wire::properties::find(record.properties(), "TRANSACTION_CHECK_TIMES");
        assert_eq!(checks, Some(times.to_string().as_str()));
        assert_eq!(asked.tran_state_table_offset, sent.queue_offset + times, "a copy took its place");
        if times == 3 {
            ok(&ends(&client, &answer_to(&heard, COMMIT)).await);
        }
    }
    let read = client.read("orders", 2, 0, 1).await;
    assert_eq!((common::bodies(&read), read[0].flag), (vec!["m"], 7));
    figure(&client, "transactionHalfOpen", "0").await;
    let table = figures(&client).await;
    assert_eq!(table["transactionHalfOffset"], "4,4");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(figures(&client).await["transactionCheckTotal"], table["transactionCheckTotal"], "asked no more");
    node.stop().await;
}

#[tokio::test]
async fn what_has_ended_is_never_asked_for() {
    let node = eager().start().await;
    let client = producer(&node).await;
    for n in 0..100 {
        let key = format!("K{n}");
        let outcome = if n % 3 == 0 { ROLLBACK } else { COMMIT };
        // Rounds come between, and put some back before their end.
        let sent = client.send(&half(&node, &key, &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "9")]), "m").await;
        ok(&ends(&client, &end(&sent, &key, outcome)).await);
    }
    until(|| async {
        let table = figures(&client).await;
        let (next, max) = table["transactionHalfOffset"].split_once(',').unwrap();
        (next == max && table["transactionHalfOpen"] == "0").then_some(())
    })
    .await;
    // The immunity is over, and no copy that was made during it is left.
    node.clock.advance(Duration::from_secs(10));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let table = figures(&client).await;
    assert_eq!((&*table["transactionCheckTotal"], &*table["transactionGivenUpTotal"]), ("0", "0"));
    assert_eq!((&*table["transactionCommitTotal"], &*table["transactionRollbackTotal"]), ("66", "34"));
    node.stop().await;
}

#[tokio::test]
async fn nobody_is_asked_during_the_immunity_and_its_end_still_counts() {
    let node = eager().start().await;
    let client = producer(&node).await;
    let sent = client.send(&half(&node, "K1", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "100")]), "m").await;
    let copy = client.read(HALF, 0, 3, 1).await;
    assert_eq!(copy[0].property("TRAN_PREPARED_QUEUE_OFFSET"), Some("0"));
    assert_eq!(copy[0].property("TRANSACTION_CHECK_TIMES"), None, "nobody was asked");
    // The producer knows the first place only.
    ok(&ends(&client, &end(&sent, "K1", ROLLBACK)).await);
    figure(&client, "transactionHalfOpen", "0").await;
    node.clock.advance(Duration::from_secs(101));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(figures(&client).await["transactionCheckTotal"], "0");
    // One whose producer stays silent is asked for afterwards.
    client.send(&half(&node, "K2", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "100")]), "m").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(figures(&client).await["transactionCheckTotal"], "0");
    node.clock.advance(Duration::from_secs(101));
    assert_eq!(answer_to(&question(&client).await, 0).msg_id, "K2");
    node.stop().await;
}

#[tokio::test]
async fn after_too_many_questions_it_is_kept_for_operators() {
    let setup = eager();
    assert!(setup.live.set_number("transaction_check_max", 2));
    let node = setup.start().await;
    let client = producer(&node).await;
    client.send(&half(&node, "K1", &[]), "m").await;
    question(&client).await;
    question(&client).await;
    let kept = client.read(GIVEN_UP, 0, 0, 1).await;
    assert_eq!(
        (kept[0].property("REAL_TOPIC"), kept[0].property("TRANSACTION_CHECK_TIMES")),
        (Some("orders"), Some("2"))
    );
    figure(&client, "transactionGivenUpTotal", "1").await;
    figure(&client, "transactionHalfOpen", "0").await;

    let id = |offset| MessageId { host: "127.0.0.1:1".parse().unwrap(), offset: LogOffset::from_wire(offset).unwrap() };
    for (msg_id, why) in [
        (String::new(), "no offset message id"),
        (id(1).to_string(), "no message at log offset 1"),
        (id(0).to_string(), "only those of TRANS_CHECK_MAX_TIME_TOPIC"),
    ] {
        let answer = client.ask::<call::ResumeCheckHalf>(&ResumeCheckHalf { msg_id }, Bytes::new()).await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, why);
    }
    let resume = ResumeCheckHalf { msg_id: id(kept[0].log_offset).to_string() };
    ok(&client.ask::<call::ResumeCheckHalf>(&resume, Bytes::new()).await);
    let heard = question(&client).await;
    ok(&ends(&client, &answer_to(&heard, COMMIT)).await);
    assert_eq!(common::bodies(&client.read("orders", 2, 0, 1).await), ["m"]);
    node.stop().await;
}

#[tokio::test]
async fn a_kill_after_a_round_does_not_double_what_is_open() {
    let (setup, disk) = Setup::simulated();
    assert!(setup.live.set_number("transaction_check_interval_ms", 20));
    assert!(setup.live.set_number("transaction_timeout_ms", 0));
    let node = setup.start().await;
    let client = producer(&node).await;
    client.send(&half(&node, "K1", &[]), "m").await;
    question(&client).await;
    assert!(setup.live.set_number("transaction_check_interval_ms", 3_600_000));
    // Long before offsets are saved by the clock.
    let saved = std::path::Path::new("/store/config/consumerOffset.json");
    until(|| async {
        let next = figures(&client).await["transactionHalfOffset"].split_once(',').unwrap().0.to_owned();
        let text = String::from_utf8(disk.read_file(saved).unwrap_or_default()).unwrap();
        (next != "0" && text.contains(&format!("\"{HALF}@CID_RMQ_SYS_TRANS\":{{0:{next}"))).then_some(())
    })
    .await;
    node.kill();
    disk.crash(Loss::Nothing);

    assert!(setup.live.set_number("transaction_check_interval_ms", 20));
    let node = setup.start().await;
    let client = producer(&node).await;
    // Whatever is asked is answered, for some rounds.
    while let Ok(heard) = tokio::time::timeout(Duration::from_millis(300), question(&client)).await {
        ok(&ends(&client, &answer_to(&heard, COMMIT)).await);
    }
    assert_eq!(common::bodies(&client.read("orders", 2, 0, 1).await), ["m"], "once");
    node.stop().await;
}

#[tokio::test]
async fn what_is_older_than_the_log_keeps_messages_is_given_up_unasked() {
    let node = eager().start().await;
    let client = producer(&node).await;
    let old = SendMessage { born_timestamp: 1_600_000_000_000, ..half(&node, "K1", &[]) };
    client.send(&old, "m").await;
    assert_eq!(client.read(GIVEN_UP, 0, 0, 1).await[0].property("TRANSACTION_CHECK_TIMES"), None);
    assert_eq!(figures(&client).await["transactionCheckTotal"], "0");
    node.stop().await;
}

#[tokio::test]
async fn the_state_survives_the_broker_and_the_producer() {
    let (setup, disk) = Setup::simulated();
    assert!(setup.live.set_number("transaction_timeout_ms", 0));
    let node = setup.start().await;
    let client = node.client();
    let ended = client.send(&half(&node, "K1", &[]), "1").await;
    ok(&ends(&client, &end(&ended, "K1", COMMIT)).await);
    let known = client.send(&half(&node, "K2", &[]), "2").await;
    client.send(&half(&node, "K3", &[]), "3").await;
    // Threads of the one that is killed must not write into the files of the next.
    client.read(HALF, 0, 0, 3).await;
    node.kill();
    disk.crash(Loss::Nothing);

    let node = setup.start().await;
    let client = node.client();
    // Its producer says so after the crash only.
    ok(&ends(&client, &end(&known, "K2", COMMIT)).await);
    node.stop().await;
    assert!(setup.live.set_number("transaction_check_interval_ms", 20));
    let node = setup.start().await;
    let another = producer(&node).await;
    let heard = question(&another).await;
    assert_eq!(answer_to(&heard, 0).msg_id, "K3", "the two others have ended");
    ok(&ends(&another, &answer_to(&heard, COMMIT)).await);
    assert_eq!(common::bodies(&another.read("orders", 2, 0, 3).await), ["1", "2", "3"]);
    figure(&another, "transactionHalfOpen", "0").await;
    node.stop().await;

    let node = setup.start().await;
    let client = producer(&node).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(figures(&client).await["transactionCheckTotal"], "0", "all is settled");
    node.stop().await;
}

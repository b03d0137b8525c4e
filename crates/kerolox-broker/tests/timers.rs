//! Messages with a time of their own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::*;
use kerolox_store::disk::sim::Loss;
use kerolox_wire::clock::Clock;
use kerolox_wire::command::call;
use kerolox_wire::command::offset::{OffsetResult, QueueRef};
use kerolox_wire::command::pull::QueryMessage;
use kerolox_wire::command::send::SendMessage;
use kerolox_wire::response::ResponseCode;

const WHEEL: &str = "rmq_sys_wheel_timer";
const HOUR: Duration = Duration::from_secs(3600);

fn timed(name: &str, key: &str, properties: &[(&str, &str)]) -> SendMessage {
    message_with(name, 0, &[&[("UNIQ_KEY", key)], properties].concat())
}

async fn len(client: &Client, name: &str) -> i64 {
    let queue = QueueRef { topic: topic(name), queue_id: 0 };
    header::<OffsetResult>(&client.ask::<call::GetMaxOffset>(&queue, "").await).offset
}

async fn has(client: &Client, name: &str, count: i64) {
    until(async || (len(client, name).await == count).then_some(())).await;
}

#[tokio::test]
async fn a_message_is_delivered_at_its_time_with_all_that_it_had() {
    let node = Setup::new().start().await;
    let client = node.client();
    let at = (node.clock.wall_ms() + 700).to_string();
    client
        .send(&timed("orders", "at", &[("TIMER_DELIVER_MS", &at), ("TAGS", "x"), ("KEYS", "k"), ("mine", "yes")]), "at")
        .await;
    client.send(&timed("orders", "ms", &[("TIMER_DELAY_MS", "400")]), "ms").await;
    client.send(&timed("orders", "sec", &[("TIMER_DELAY_SEC", "1")]), "sec").await;
    assert_eq!(len(&client, "orders").await, 0);
    let found = client.read("orders", 0, 0, 3).await;
    let bodies: Vec<_> = found.iter().map(|m| m.body.as_str()).collect();
    assert_eq!(bodies, ["ms", "at", "sec"]);
    for message in &found {
        let due: i64 = message.property("TIMER_OUT_MS").unwrap().parse().unwrap();
        assert!(message.stored_ms >= due, "never early");
        assert!(message.stored_ms <= due + 2_000, "{} ms late", message.stored_ms - due);
    }
    let at = &found[1];
    assert_eq!((at.topic.as_str(), at.property("TAGS"), at.property("KEYS")), ("orders", Some("x"), Some("k")));
    assert_eq!((at.property("mine"), at.property("UNIQ_KEY")), (Some("yes"), Some("at")));
    // Sent again with all its properties, as a consumer may do, it does not wait once more.
    client.send(&SendMessage { properties: Some(at.properties.clone()), ..message("orders", 0) }, "again").await;
    assert_eq!(client.read("orders", 0, 3, 1).await.remove(0).body, "again");
    node.stop().await;
}

#[tokio::test]
async fn what_is_past_comes_at_once_and_a_level_wins() {
    let node = Setup::new().start().await;
    let client = node.client();
    for (n, past) in
        [("TIMER_DELAY_MS", "0"), ("TIMER_DELAY_SEC", "-5"), ("TIMER_DELIVER_MS", "1")].into_iter().enumerate()
    {
        client.send(&timed("orders", "k", &[past]), "m").await;
        client.read("orders", 0, i64::try_from(n).unwrap(), 1).await;
    }
    client.send(&timed("orders", "k", &[("DELAY", "1"), ("TIMER_DELAY_SEC", "9999")]), "level").await;
    let level = client.read("orders", 0, 3, 1).await.remove(0);
    assert_eq!((level.body.as_str(), level.property("TIMER_DELAY_SEC")), ("level", None));
    node.stop().await;
}

#[tokio::test]
async fn bad_times_are_refused_with_value_and_limit_and_nothing_is_stored() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let limit = (366 * 86_400_000_i64).to_string();
    for (properties, told) in [
        (vec![("TIMER_DELAY_SEC", "31622401")], limit.as_str()),
        (vec![("TIMER_DELAY_MS", "9223372036854775807")], "timerMaxDelaySec"),
        (vec![("TIMER_DELIVER_MS", "9223372036854775807")], limit.as_str()),
        (vec![("TIMER_DELAY_MS", "soon")], "TIMER_DELAY_MS is \"soon\""),
        (vec![("TIMER_DELAY_SEC", "1.5")], "1.5"),
        (vec![("TIMER_DEL_UNIQKEY", "k")], "needs the time"),
        (vec![("TIMER_DEL_UNIQKEY", "k"), ("TIMER_DELAY_MS", "0")], "time to come"),
        (vec![("TIMER_DEL_UNIQKEY", "other+k"), ("TIMER_DELAY_MS", "5000")], "another topic"),
    ] {
        let answer = client.ask::<call::SendMessage>(&timed("orders", "u", &properties), "m").await;
        refused(&answer, ResponseCode::MESSAGE_ILLEGAL, told);
    }
    let batch = SendMessage { batch: true, ..message("orders", 0) };
    let answer =
        client.ask::<call::SendMessage>(&batch, batch_body(&[("a", ""), ("b", "TIMER_DELAY_MS\u{1}5\u{2}")])).await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, "one by one");
    let answer = client.ask::<call::SendMessage>(&message(WHEEL, 0), "m").await;
    refused(&answer, ResponseCode::NO_PERMISSION, "forbidden");
    has(&client, "orders", 1).await;
    assert_eq!(len(&client, WHEEL).await, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_broker_without_timers_says_so() {
    let mut setup = Setup::new();
    setup.timers = false;
    let node = setup.start().await;
    let client = node.client();
    let answer = client.ask::<call::SendMessage>(&timed("orders", "u", &[("TIMER_DELAY_MS", "500")]), "m").await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "timerWheelEnable is false");
    node.stop().await;
}

#[tokio::test]
async fn a_pending_message_is_listed_by_key_and_cancelled() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for key in ["a", "b", "c"] {
        client.send(&timed("orders", key, &[("TIMER_DELAY_SEC", "3600"), ("KEYS", "all mine")]), key).await;
    }
    client.send(&timed("others", "d", &[("TIMER_DELAY_SEC", "3600"), ("KEYS", "mine")]), "d").await;
    let (orders, handle) = (topic("orders"), node.handle());
    until(async || (handle.pending_timers(&orders, "mine").unwrap().len() == 3).then_some(())).await;
    until(async || (handle.pending_timers(&topic("others"), "d").unwrap().len() == 1).then_some(())).await;
    assert_eq!(handle.pending_timers(&orders, "d"), Ok(vec![]));
    let b = handle.pending_timers(&orders, "b").unwrap().remove(0);
    assert_eq!((b.unique_key.as_str(), b.keys.as_str(), b.topic.as_str()), ("b", "all mine", "orders"));
    assert!((b.due_ms - node.clock.wall_ms() - 3_600_000).abs() < 60_000);

    // By time, over the wire, without a key.
    let listed = async |from: i64, to: i64, most: i32| {
        let query = QueryMessage {
            topic: topic(WHEEL),
            key: String::new(),
            max_num: most,
            begin_timestamp: from,
            end_timestamp: to,
            unique_key: false,
        };
        let answer = client.ask::<call::QueryMessage>(&query, "").await;
        assert_eq!(answer.code, ResponseCode::SUCCESS.0);
        messages_of(&answer).into_iter().map(|message| message.body).collect::<Vec<_>>()
    };
    assert_eq!(listed(0, i64::MAX, 100).await, ["a", "b", "c", "d"]);
    assert_eq!(listed(0, i64::MAX, 2).await, ["a", "b"]);
    assert!(listed(b.due_ms, b.due_ms, 100).await.contains(&"b".to_owned()));
    assert_eq!(listed(0, node.clock.wall_ms(), 100).await, [""; 0]);

    // By the broker's own function, and by a client that names another time than the message's.
    assert_eq!(handle.cancel_timer(&orders, "b"), Ok(true));
    assert_eq!(handle.cancel_timer(&orders, "nobody"), Ok(false));
    let cancel = [("TIMER_DEL_UNIQKEY", "orders+a"), ("TIMER_DELAY_SEC", "10")];
    client.send(&timed("orders", "a", &cancel), "x").await;
    until(async || (handle.pending_timers(&orders, "mine").unwrap().len() == 1).then_some(())).await;
    assert_eq!(handle.cancel_timer(&orders, "b"), Ok(false));
    node.stop().await;

    // A cancellation holds over a restart.
    let node = setup.start().await;
    let client = node.client();
    node.clock.advance(HOUR);
    has(&client, "others", 1).await;
    has(&client, "orders", 1).await;
    assert_eq!(client.read("orders", 0, 0, 1).await.remove(0).body, "c");
    assert_eq!(node.handle().pending_timers(&orders, "mine"), Ok(vec![]));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(len(&client, "orders").await, 1);
    node.stop().await;
}

#[tokio::test]
async fn a_cancellation_counts_for_its_whole_moment_also_over_a_stop() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    let due = (node.clock.wall_ms() + 3_600_000).to_string();
    for n in 0..700 {
        client.send(&timed("orders", &n.to_string(), &[("TIMER_DELIVER_MS", &due)]), n.to_string()).await;
    }
    let cancel = [("TIMER_DEL_UNIQKEY", "orders+699"), ("TIMER_DELIVER_MS", due.as_str())];
    client.send(&timed("orders", "x", &cancel), "x").await;
    let handle = node.handle();
    until(async || (handle.pending_timers(&topic("orders"), "699").unwrap().is_empty()).then_some(())).await;
    node.clock.advance(HOUR);
    node.stop().await;
    let node = setup.start().await;
    let client = node.client();
    has(&client, "orders", 699).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut bodies: Vec<u32> = client.read("orders", 0, 0, 699).await.iter().map(|m| m.body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert!(bodies.into_iter().eq(0..699), "each once, but the one taken back");
    assert_eq!(len(&client, "orders").await, 699);
    node.stop().await;
}

#[tokio::test]
async fn timers_outlive_a_stop_and_come_once() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for n in 0..200 {
        let delay = (100 + n * 10).to_string();
        client.send(&timed("orders", &n.to_string(), &[("TIMER_DELAY_MS", &delay)]), n.to_string()).await;
    }
    until(async || (len(&client, "orders").await > 20).then_some(())).await;
    node.stop().await;
    let node = setup.start().await;
    node.clock.advance(HOUR);
    let client = node.client();
    has(&client, "orders", 200).await;
    let mut bodies: Vec<u32> = client.read("orders", 0, 0, 200).await.iter().map(|m| m.body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert!(bodies.into_iter().eq(0..200), "each once");
    node.stop().await;
}

#[tokio::test]
async fn a_kill_loses_no_timer_and_repeats_each_once_at_most() {
    for loss in [Loss::Nothing, Loss::Torn(7)] {
        let (mut setup, disk) = Setup::simulated();
        setup.store.flush = kerolox_store::FlushMode::Sync;
        let node = setup.start().await;
        let client = node.client();
        for n in 0..100 {
            let delay = (50 + n * 20).to_string();
            client.send(&timed("orders", &n.to_string(), &[("TIMER_DELAY_MS", &delay)]), n.to_string()).await;
        }
        until(async || (len(&client, "orders").await > 10).then_some(())).await;
        node.kill();
        disk.crash(loss);
        let node = setup.start().await;
        node.clock.advance(HOUR);
        let client = node.client();
        let times = until(async || {
            let count = usize::try_from(len(&client, "orders").await).unwrap();
            let mut times = BTreeMap::<u32, u32>::new();
            for message in client.read("orders", 0, 0, count).await {
                *times.entry(message.body.parse().unwrap()).or_default() += 1;
            }
            (times.len() == 100).then_some(times)
        })
        .await;
        assert!(times.values().all(|times| *times <= 2), "{loss:?}: {times:?}");
        node.stop().await;
    }
}

#[tokio::test]
async fn setting_the_clock_neither_loses_nor_repeats() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&timed("orders", "1", &[("TIMER_DELAY_SEC", "7200")]), "late").await;
    node.clock.set_by(-3_600_000);
    client.send(&timed("orders", "2", &[("TIMER_DELAY_MS", "300")]), "soon").await;
    has(&client, "orders", 1).await;
    node.clock.set_by(4 * 3_600_000);
    has(&client, "orders", 2).await;
    node.clock.set_by(-2 * 3_600_000);
    client.send(&timed("orders", "3", &[("TIMER_DELAY_MS", "300")]), "again").await;
    has(&client, "orders", 3).await;
    let bodies: Vec<_> = client.read("orders", 0, 0, 3).await.into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["soon", "late", "again"]);
    node.stop().await;
}

#[tokio::test]
async fn long_waits_are_stored_anew_so_that_old_files_can_go() {
    let mut setup = Setup::new();
    setup.store.reserved = Duration::from_secs(8);
    let node = setup.start().await;
    let client = node.client();
    client.send(&timed("orders", "far", &[("TIMER_DELAY_SEC", "3600"), ("KEYS", "k")]), "far").await;
    let orders = topic("orders");
    let first = until(async || node.handle().pending_timers(&orders, "far").unwrap().pop()).await;
    for round in 1..=3 {
        node.clock.advance(Duration::from_secs(5));
        has(&client, WHEEL, 1 + round).await;
    }
    let now = until(async || node.handle().pending_timers(&orders, "far").unwrap().pop()).await;
    assert_eq!(now.due_ms, first.due_ms);
    assert!(now.log_offset > first.log_offset);
    assert_eq!(len(&client, "orders").await, 0);
    // It can be cancelled wherever it is now.
    assert_eq!(node.handle().cancel_timer(&orders, "far"), Ok(true));
    client.send(&timed("orders", "other", &[("TIMER_DELAY_SEC", "3600")]), "other").await;
    node.clock.advance(2 * HOUR);
    let only = client.read("orders", 0, 0, 1).await.remove(0);
    assert_eq!(only.body, "other");
    assert_eq!(len(&client, "orders").await, 1);
    node.stop().await;
}

#[tokio::test]
async fn a_backlog_of_waits_to_be_stored_anew_does_not_hold_up_what_is_due() {
    let mut setup = Setup::new();
    // Stored anew 20 to 40 seconds after they were sent.
    setup.store.reserved = Duration::from_secs(80);
    let node = setup.start().await;
    let client = node.client();
    for n in 0..3000 {
        client.send(&timed("orders", &n.to_string(), &[("TIMER_DELAY_SEC", "3600")]), "far").await;
    }
    node.clock.advance(Duration::from_millis(17_000));
    let due = node.clock.wall_ms() + 19_000;
    client.send(&timed("orders", "soon", &[("TIMER_DELIVER_MS", &due.to_string())]), "soon").await;
    node.stop().await;
    setup.clock.advance(Duration::from_millis(19_200));
    let node = setup.start().await;
    let client = node.client();
    has(&client, "orders", 1).await;
    let soon = client.read("orders", 0, 0, 1).await.remove(0);
    until(async || (len(&client, WHEEL).await > 3001 + 1500).then_some(())).await;
    let again = client.read(WHEEL, 0, 3001, 1500).await;
    let before = again.iter().filter(|message| message.log_offset < soon.log_offset).count();
    assert!(before <= 1024, "{before} were stored anew before");
    node.stop().await;

    // All of it is kept, and nothing came twice.
    let node = setup.start().await;
    node.clock.advance(HOUR);
    let client = node.client();
    has(&client, "orders", 3001).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(len(&client, "orders").await, 3001);
    node.stop().await;
}

#[tokio::test]
async fn deliveries_wait_for_room_on_the_disk() {
    let (mut setup, disk) = Setup::simulated();
    // How often the store looks whether there is room again.
    setup.store.clean_interval = Duration::from_millis(100);
    let node = setup.start().await;
    let client = node.client();
    let body = "x".repeat(60_000);
    for n in 0..20 {
        client.send(&timed("orders", &n.to_string(), &[("TIMER_DELAY_SEC", "60")]), body.clone()).await;
    }
    has(&client, WHEEL, 20).await;
    disk.set_capacity(1 << 20);
    node.clock.advance(HOUR);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(len(&client, "orders").await < 20);
    disk.set_capacity(1 << 30);
    has(&client, "orders", 20).await;
    node.stop().await;
}

#[tokio::test]
async fn damaged_files_of_timers_are_made_anew() {
    let (setup, disk) = Setup::simulated();
    let node = setup.start().await;
    let client = node.client();
    for n in 0..20 {
        client.send(&timed("orders", &n.to_string(), &[("TIMER_DELAY_SEC", "60")]), "m").await;
    }
    node.stop().await;
    disk.flip_bit(std::path::Path::new("/store/timer/state"), 30, 2);
    let node = setup.start().await;
    node.clock.advance(HOUR);
    has(&node.client(), "orders", 20).await;
    node.stop().await;
}

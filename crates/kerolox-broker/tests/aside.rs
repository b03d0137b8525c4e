//! Requests that take long: what is served meanwhile, and that each has one answer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::await_holding_lock, reason = "the lock is what a request is made to wait for")]

mod common;

use std::collections::BTreeSet;

use common::*;
use kerolox_wire::command::offset::QueueRef;
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::frame::Frame;
use kerolox_wire::response::ResponseCode;

const SETTING: &str = "flushDelayOffsetInterval=5";

fn update_config(text: &str) -> Frame {
    request::<call::UpdateBrokerConfig>(&NoFields {}, text.to_owned())
}

fn max_offset() -> Frame {
    request::<call::GetMaxOffset>(&QueueRef { topic: topic("orders"), queue_id: 0 }, "")
}

#[tokio::test]
async fn slow_request_does_not_hold_up_its_connection() {
    let (setup, _) = Setup::simulated();
    let node = setup.start().await;
    let mut wire = node.wire().await;
    let applied = setup.settings.applied.lock();
    wire.write(1, [update_config(SETTING), max_offset(), max_offset()]).await;
    for opaque in [2, 3] {
        assert_eq!(wire.next().await.unwrap().opaque, opaque);
    }
    drop(applied);
    let answer = wire.next().await.unwrap();
    assert_eq!(answer.opaque, 1);
    ok(&answer);
    node.stop().await;
}

#[tokio::test]
async fn slow_requests_of_a_connection_are_bounded() {
    const MANY: i32 = 300;
    let (setup, _) = Setup::simulated();
    let node = setup.start().await;
    let mut wire = node.wire().await;
    let applied = setup.settings.applied.lock();
    wire.write(1, (0..MANY).map(|_| update_config(SETTING))).await;
    let mut answered = BTreeSet::new();
    let busy = wire.next().await.unwrap();
    refused(&busy, ResponseCode::SYSTEM_BUSY, "on this connection");
    answered.insert(busy.opaque);
    drop(applied);
    while answered.len() < usize::try_from(MANY).unwrap() {
        assert!(answered.insert(wire.next().await.unwrap().opaque), "answered twice");
    }
    wire.write(MANY + 1, [max_offset()]).await;
    assert_eq!(wire.next().await.unwrap().opaque, MANY + 1);
    node.stop().await;
}

#[tokio::test]
async fn panic_of_a_slow_request_is_answered() {
    let (setup, _) = Setup::simulated();
    let node = setup.start().await;
    let mut wire = node.wire().await;
    wire.write(1, [update_config(PANICKING_SETTING)]).await;
    refused(&wire.next().await.unwrap(), ResponseCode::SYSTEM_ERROR, "ended without an answer");
    wire.write(2, [update_config(SETTING)]).await;
    ok(&wire.next().await.unwrap());
    assert_eq!(node.panics(), 1);
    node.kill();
}

#[tokio::test]
async fn stop_waits_for_slow_requests() {
    let (setup, _) = Setup::simulated();
    let node = setup.start().await;
    let mut wire = node.wire().await;
    let applied = setup.settings.applied.lock();
    wire.write(1, [update_config(SETTING), max_offset()]).await;
    assert_eq!(wire.next().await.unwrap().opaque, 2);
    let stopping = tokio::spawn(node.stop());
    tokio::task::yield_now().await;
    drop(applied);
    let answer = wire.next().await.unwrap();
    assert_eq!(answer.opaque, 1);
    ok(&answer);
    stopping.await.unwrap();
}

#[tokio::test]
async fn cold_messages_are_pulled_and_sent_back() {
    let (mut setup, _) = Setup::simulated();
    // Nothing counts as being in memory.
    setup.store.memory_ratio = 0;
    let node = setup.start().await;
    let client = node.client();
    for n in 0..5 {
        client.send(&message("orders", 0), format!("m{n}")).await;
    }
    let found = client.read("orders", 0, 0, 5).await;
    assert_eq!(bodies(&found), ["m0", "m1", "m2", "m3", "m4"]);
    ok(&client.ask::<call::SendBack>(&back("g", found[0].log_offset), "").await);
    node.stop().await;
}

//! Filters by properties: what they let through, when they are refused, and what is kept of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::*;
use kerolox_wire::body::{
    CheckClientConfig, ConsumerData, EXPRESSION_SQL92, FilterTable, Style, SubscriptionData, from_json, to_json,
};
use kerolox_wire::command::pull::PullMessage;
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::pull as flags;

/// A node with filters by properties, or without.
async fn node(on: bool) -> Node {
    let setup = Setup::new();
    setup.switch("property_filter", on);
    setup.start().await
}

fn by_sql(of: &str, expression: &str, version: i64) -> ConsumerData {
    let data = SubscriptionData {
        topic: "orders".to_owned(),
        sub_string: expression.to_owned(),
        sub_version: version,
        expression_type: EXPRESSION_SQL92.to_owned(),
        ..SubscriptionData::default()
    };
    ConsumerData { group_name: of.to_owned(), subscription_data_set: vec![data], ..ConsumerData::default() }
}

/// A pull that brings its own filter.
fn pull_by_sql(expression: &str, offset: i64) -> PullMessage {
    PullMessage {
        subscription: Some(expression.to_owned()),
        expression_type: Some(EXPRESSION_SQL92.to_owned()),
        ..pull("g", "orders", 0, offset)
    }
}

/// A pull by what the group's heartbeat said.
fn pull_of_group(offset: i64, version: i64) -> PullMessage {
    PullMessage { sys_flag: 0, subscription: None, sub_version: version, ..pull("g", "orders", 0, offset) }
}

async fn send(client: &Client, n: i32) {
    client.send(&message_with("orders", 0, &[("n", &n.to_string())]), format!("m{n}")).await;
}

async fn sent(client: &Client, count: i32) {
    for n in 0..count {
        send(client, n).await;
    }
    client.read("orders", 0, 0, usize::try_from(count).unwrap()).await;
}

#[tokio::test]
async fn pulls_bring_messages_that_pass_by_their_own_filter_and_by_the_groups() {
    let node = node(true).await;
    let client = node.client();
    sent(&client, 10).await;
    let own = client.pull(&pull_by_sql("n BETWEEN 3 AND 5 OR n = 8", 0)).await;
    assert_eq!(bodies(&messages_of(&own)), ["m3", "m4", "m5", "m8"]);
    assert_eq!(pull_result(&own).next_begin_offset, 10);
    ok(&client.heartbeat("c1", vec![by_sql("g", "n > 7", 4)]).await);
    let groups = client.pull(&pull_of_group(0, 4)).await;
    assert_eq!(bodies(&messages_of(&groups)), ["m8", "m9"]);
    let none = client.pull(&pull_by_sql("n > 99", 2)).await;
    assert_eq!(code(&none), ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert_eq!(pull_result(&none).next_begin_offset, 10, "what was looked at is not looked at again");
    node.stop().await;
}

#[tokio::test]
async fn wrong_filters_are_refused_with_the_place() {
    let node = node(true).await;
    let client = node.client();
    sent(&client, 1).await;
    let pulled = client.pull(&pull_by_sql("n >", 0)).await;
    refused(&pulled, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "character 4: it ends too early");
    let deep = client.pull(&pull_by_sql(&"(".repeat(60_000), 0)).await;
    refused(&deep, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "nested deeper than 100 levels");
    let long = client.pull(&pull_by_sql(&format!("n = '{}'", "x".repeat(70_000)), 0)).await;
    refused(&long, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "65536 are allowed");
    ok(&client.heartbeat("c1", vec![by_sql("g", "n >", 1)]).await);
    let groups = client.pull(&pull_of_group(0, 1)).await;
    refused(&groups, ResponseCode::FILTER_DATA_NOT_EXIST, "Your expression may be wrong");
    for (expression, expected) in [("n > 1", ResponseCode::SUCCESS), ("n >", ResponseCode::SUBSCRIPTION_PARSE_FAILED)] {
        let data = by_sql("g", expression, 1).subscription_data_set.remove(0);
        let check = CheckClientConfig { subscription_data: data, ..CheckClientConfig::default() };
        let answer = client.ask::<call::CheckClientConfig>(&NoFields {}, to_json(&check, Style::Fastjson)).await;
        assert_eq!(code(&answer), expected, "{expression}");
    }
    node.stop().await;
}

#[tokio::test]
async fn later_versions_are_waited_for_and_languages_that_are_off_are_refused() {
    let setup = Setup::new();
    setup.switch("property_filter", true);
    let node = setup.start().await;
    let client = node.client();
    sent(&client, 1).await;
    ok(&client.heartbeat("c1", vec![by_sql("g", "n > 1", 4)]).await);
    let newer = client.pull(&pull_of_group(0, 5)).await;
    refused(&newer, ResponseCode::SUBSCRIPTION_NOT_LATEST, "not latest");
    setup.switch("property_filter", false);
    for asked in [pull_of_group(0, 4), pull_by_sql("n > 1", 0)] {
        let off = client.pull(&asked).await;
        refused(&off, ResponseCode::SYSTEM_ERROR, "does not support consumer to filter message by SQL92");
    }
    setup.switch("property_filter", true);
    let other = PullMessage { expression_type: Some("JS".to_owned()), ..pull_by_sql("true", 0) };
    refused(&client.pull(&other).await, ResponseCode::SYSTEM_ERROR, "filter message by JS");
    node.stop().await;
}

#[tokio::test]
async fn a_held_pull_waits_on_past_messages_that_do_not_pass() {
    let node = node(true).await;
    let (client, sender) = (node.client(), node.client());
    sent(&client, 1).await;
    let held = PullMessage {
        sys_flag: flags::SUBSCRIPTION | flags::SUSPEND,
        suspend_timeout_millis: 60_000,
        ..pull_by_sql("n = 7", 1)
    };
    let waiting = tokio::spawn(async move { client.pull(&held).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    for n in 1..10 {
        send(&sender, n).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = waiting.await.unwrap();
    assert_eq!(bodies(&messages_of(&answer)), ["m7"], "{:?}", answer.remark);
    node.stop().await;
}

#[tokio::test]
async fn messages_tried_again_are_filtered_again_when_that_is_on() {
    let setup = Setup::new();
    setup.switch("property_filter", true);
    setup.switch("filter_retry", true);
    let node = setup.start().await;
    let client = node.client();
    sent(&client, 1).await;
    ok(&client.heartbeat("c1", vec![by_sql("g", "n > 5", 1)]).await);
    for n in ["3", "6"] {
        let again = message_with("%RETRY%g", 0, &[("RETRY_TOPIC", "orders"), ("n", n)]);
        client.send(&again, format!("again{n}")).await;
    }
    client.send(&message_with("%RETRY%g", 0, &[("RETRY_TOPIC", "other"), ("n", "1")]), "other").await;
    let found = client.read("%RETRY%g", 0, 0, 2).await;
    assert_eq!(bodies(&found), ["again6", "other"]);
    node.stop().await;
}

#[tokio::test]
async fn filters_are_kept_over_a_restart() {
    let setup = Setup::new();
    setup.switch("property_filter", true);
    let node = setup.start().await;
    let client = node.client();
    sent(&client, 3).await;
    ok(&client.heartbeat("c1", vec![by_sql("g", "n > 1", 4)]).await);
    client.close();
    node.stop().await;
    let text = std::fs::read(setup.store.root.join("config/consumerFilter.json")).unwrap();
    let stored = from_json::<FilterTable>(&text).unwrap();
    let data = &stored.filter_data_by_topic["orders"].group_filter_data["g"];
    assert_eq!((data.expression.as_str(), data.client_version), ("n > 1", 4));
    let node = setup.start().await;
    let client = node.client();
    ok(&client.heartbeat("c1", vec![by_sql("g", "n > 1", 4)]).await);
    assert_eq!(bodies(&messages_of(&client.pull(&pull_of_group(0, 4)).await)), ["m2"]);
    node.stop().await;
}

//! Clients, data and settings as they are out there: what is bad is refused by itself, what is old stays.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::*;
use kerolox_wire::body::{HeartbeatData, KvTable, ProducerData, Style, from_json, to_json};
use kerolox_wire::command::client::ProducerGroup;
use kerolox_wire::command::{NoFields, RequestCode, call};
use kerolox_wire::properties::KEYS;
use kerolox_wire::record::{BodyCheck, Record};
use kerolox_wire::response::ResponseCode;

/// A figure of the running broker.
async fn figure(client: &Client, name: &str) -> Option<String> {
    let answer = client.ask::<call::GetRuntimeInfo>(&NoFields {}, "").await;
    from_json::<KvTable>(&answer.body).unwrap().table.remove(name)
}

#[tokio::test]
async fn one_bad_group_of_a_heartbeat_is_refused_by_itself() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    let beat = HeartbeatData {
        client_id: "c1".to_owned(),
        consumer_data_set: ["a/b", "", "com.shop.order", "good"]
            .map(|of| {
                let mut group = consumer("g", &[("orders", "*", 1)]);
                of.clone_into(&mut group.group_name);
                group
            })
            .into(),
        producer_data_set: ["..", "shop"].map(|name| ProducerData { group_name: name.to_owned() }).into(),
        unreadable: Vec::new(),
    };
    let answer = client.ask::<call::Heartbeat>(&NoFields {}, to_json(&beat, Style::Fastjson)).await;
    ok(&answer);
    assert!(answer.remark.unwrap().starts_with("3 not served: "));
    for of in ["com.shop.order", "good"] {
        let members = client.call(RequestCode(38), &[("consumerGroup", of)], "").await;
        assert!(String::from_utf8_lossy(&members.body).contains("c1"), "{of}: {members:?}");
    }
    let shop = ProducerGroup { producer_group: "shop".to_owned() };
    ok(&client.ask::<call::GetProducerConnections>(&shop, "").await);
    assert!(figure(&client, "unservedGroup_a/b").await.unwrap().contains("illegal characters"));
    node.stop().await;
}

#[tokio::test]
async fn a_group_with_a_long_name_is_served() {
    let node = Setup::new().start().await;
    let client = node.client();
    for len in [121, 248, 255] {
        let name = "g".repeat(len);
        ok(&client.heartbeat("c1", vec![consumer(&name, &[("orders", "*", 1)])]).await);
        let members = client.call(RequestCode(38), &[("consumerGroup", &name)], "").await;
        assert!(String::from_utf8_lossy(&members.body).contains("c1"), "{len}");
    }
    node.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_replaced_and_counted() {
    let node = Setup::new().start().await;
    let mut wire = node.wire().await;
    let frame = request::<call::SendMessage>(&message_with("orders", 0, &[("TAGS", "@@")]), "m");
    let bytes: Vec<u8> = frame.to_bytes().to_vec();
    let at = bytes.windows(2).position(|pair| pair == b"@@").unwrap();
    let bytes = [&bytes[..at], b"\xb6\xa9", &bytes[at + 2..]].concat();
    wire.write_bytes(&bytes).await;
    ok(&wire.next().await.unwrap());
    let client = node.client();
    let stored = client.read("orders", 0, 0, 1).await;
    assert_eq!(stored[0].property("TAGS"), Some("\u{FFFD}\u{FFFD}"));
    assert_eq!(figure(&client, "headersReplacedTotal").await.as_deref(), Some("1"));
    node.stop().await;
}

#[tokio::test]
async fn a_key_is_found_in_the_millisecond_its_message_was_stored() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for n in 0..4 {
        client.send(&message_with("orders", 0, &[(KEYS, &format!("k{n}"))]), "m").await;
        setup.clock.advance(Duration::from_millis(333));
    }
    client.read("orders", 0, 0, 4).await;
    let pulled = client.pull(&pull("g", "orders", 0, 0)).await.body;
    let mut rest: &[u8] = &pulled;
    let mut n = 0;
    while !rest.is_empty() {
        let size = usize::try_from(u32::from_be_bytes(*rest.first_chunk().unwrap())).unwrap();
        let at = Record::parse(&rest[..size], BodyCheck::Skip).unwrap().store_timestamp();
        let key = format!("k{n}");
        let ask = |from: i64, to: i64| {
            let (from, to, key) = (from.to_string(), to.to_string(), key.clone());
            let client = &client;
            async move {
                let fields = [
                    ("topic", "orders"),
                    ("key", &*key),
                    ("maxNum", "8"),
                    ("beginTimestamp", &*from),
                    ("endTimestamp", &*to),
                ];
                code(&client.call(RequestCode(12), &fields, Bytes::new()).await)
            }
        };
        until(|| async { (ask(at, at).await == ResponseCode::SUCCESS).then_some(()) }).await;
        assert_eq!(ask(at + 1, at + 900).await, ResponseCode::QUERY_NOT_FOUND, "{n}");
        assert_eq!(ask(at - 900, at - 1).await, ResponseCode::QUERY_NOT_FOUND, "{n}");
        (rest, n) = (&rest[size..], n + 1);
    }
    assert_eq!(n, 4);
    node.stop().await;
}

#[tokio::test]
async fn old_names_survive_the_next_save_and_their_messages_are_read() {
    const OLD: &str = "order.created";
    let setup = Setup::new();
    let config = setup.store.root.join("config");
    std::fs::create_dir_all(&config).unwrap();
    let topics = format!(
        "{{\"topicConfigTable\":{{\"{OLD}\":{{\"topicName\":\"{OLD}\",\"readQueueNums\":1,\"writeQueueNums\":1}}}}}}"
    );
    std::fs::write(config.join("topics.json"), topics).unwrap();
    // An offset beyond the end of its queue would be corrected.
    let node = setup.start().await;
    for _ in 0..7 {
        node.client().send(&message(OLD, 0), "m").await;
    }
    node.stop().await;
    let offsets = format!("{{\"offsetTable\":{{\"{OLD}@com.shop\":{{0:7}},\"a/b@g\":{{0:1}}}}}}");
    std::fs::write(config.join("consumerOffset.json"), offsets).unwrap();
    for start in 0..2 {
        let node = setup.start().await;
        let client = node.client();
        client.send(&message("new", 0), "m").await;
        client.send(&message(OLD, 0), format!("m{start}")).await;
        let read = client.read(OLD, 0, 0, start + 8).await;
        assert_eq!(bodies(&read)[start + 7], format!("m{start}"));
        let queue = [("consumerGroup", "com.shop"), ("topic", OLD), ("queueId", "0")];
        assert_eq!(client.call(RequestCode(14), &queue, "").await.fields.get("offset"), Some("7"));
        let commit = [("consumerGroup", "g"), ("topic", "new"), ("queueId", "0"), ("commitOffset", "1")];
        client.call(RequestCode(15), &commit, "").await;
        node.stop().await;
        let saved = |file: &str| std::fs::read_to_string(config.join(file)).unwrap();
        assert!(saved("topics.json").contains(OLD) && saved("topics.json").contains("new"));
        assert!(saved("consumerOffset.json").contains("order.created@com.shop"));
        assert!(saved("consumerOffset.json").contains("a/b@g"), "what cannot be used stays for RocketMQ");
    }
}

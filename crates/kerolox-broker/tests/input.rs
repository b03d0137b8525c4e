//! Requests as nobody should send them: each gets an answer, and neither its connection nor anybody else suffers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::{Bytes, BytesMut};
use common::*;
use kerolox_wire::command::{COMMANDS, CommandSpec, NoFields, RequestCode, Served, call};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::{Frame, Serialization};
use kerolox_wire::response::ResponseCode;

#[tokio::test]
async fn unknown_codes_are_not_supported() {
    let node = Setup::new().start().await;
    let client = node.client();
    for number in [0, -1, 9, 13, 399, 1000, 200_050, i32::MAX, i32::MIN] {
        let answer = client.call(RequestCode(number), &[], "").await;
        refused(&answer, ResponseCode::REQUEST_CODE_NOT_SUPPORTED, &format!("request type {number} not supported"));
    }
    // Filter servers started programs; what belongs to name servers and clients is not served either.
    let offer = [("filterServerAddr", "127.0.0.1:1")];
    let answer = client.call(RequestCode::REGISTER_FILTER_SERVER, &offer, "").await;
    assert_eq!(code(&answer), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    let answer = client.call(RequestCode::GET_ROUTEINFO_BY_TOPIC, &[("topic", "orders")], "").await;
    assert_eq!(code(&answer), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    node.stop().await;
}

#[tokio::test]
async fn a_missing_field_and_a_wrong_number_are_named() {
    let node = Setup::new().start().await;
    let client = node.client();
    let whole = request::<call::SendMessage>(&message("orders", 0), "m");
    for spec in COMMANDS.iter().find(|c| c.code == RequestCode::SEND_MESSAGE).unwrap().request.fields {
        let fields: Fields = whole.fields.iter().filter(|(name, _)| *name != spec.name).collect();
        let answer = client.exchange(Frame { fields, ..whole.clone() }).await;
        if spec.required {
            refused(&answer, ResponseCode::SYSTEM_ERROR, &format!("lacks the field {}", spec.name));
        } else {
            ok(&answer);
        }
        if matches!(spec.kind, "i32" | "i64") {
            for value in ["x", "1.5", "0x10", "99999999999999999999"] {
                let mut fields = whole.fields.clone();
                fields.set(spec.name, value);
                let answer = client.exchange(Frame { fields, ..whole.clone() }).await;
                refused(&answer, ResponseCode::SYSTEM_ERROR, spec.name);
                refused(&answer, ResponseCode::SYSTEM_ERROR, value);
            }
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_the_place() {
    let node = Setup::new().start().await;
    let client = node.client();
    let deep = "[".repeat(100_000);
    let deep_member = format!("{{\"clientID\":{deep}");
    let deep_objects = "{\"a\":".repeat(100_000);
    let texts = [
        "",
        "{",
        "null",
        "{}garbage",
        "{\"clientID\":{}}",
        "{\"consumerDataSet\":7}",
        "{\"consumerDataSet\":[{\"subscriptionDataSet\":\"x\"}]}",
        "{\"mqSet\":{\"a\":1}}",
        "{\"groupName\":[]}",
        "{\"retryQueueNums\":99999999999}",
        "{\"subscriptionData\":[]}",
        "{\"@type\":\"java.lang.Class\",\"val\":1",
        "\u{0}",
        &deep,
        &deep_member,
        &deep_objects,
    ];
    let mut bodies: Vec<Bytes> = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
    bodies.push(Bytes::from_static(b"{\"clientID\":\"\xff\xfe\"}"));
    for number in [34, 41, 42, 46, 200] {
        for body in &bodies {
            let answer = client.call(RequestCode(number), &[], body.clone()).await;
            let shown: String = String::from_utf8_lossy(body).chars().take(40).collect();
            // Java's own peers leave most members out, so an object without them may be taken.
            let may_be_taken = body.first() == Some(&b'{') && body.last() == Some(&b'}') && number != 46;
            if !may_be_taken {
                assert_ne!(code(&answer), ResponseCode::SUCCESS, "{number}: {shown}");
                assert!(answer.remark.is_some_and(|r| !r.is_empty() && r.len() < 1000), "{number}: {shown}");
            }
        }
    }
    assert_eq!(node.panics(), 0);
    node.stop().await;
}

#[tokio::test]
async fn illegal_names_in_bodies_make_nothing() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for name in ["../x", "a/b", "", " ", "a\\u0000b", "..", &"g".repeat(256)] {
        let heartbeat = format!("{{\"clientID\":\"c\",\"consumerDataSet\":[{{\"groupName\":\"{name}\"}}]}}");
        let subscription = format!(
            "{{\"clientID\":\"c\",\"consumerDataSet\":[{{\"groupName\":\"g\",\"subscriptionDataSet\":\
             [{{\"topic\":\"{name}\",\"subString\":\"*\"}}]}}]}}"
        );
        let lock = format!("{{\"clientId\":\"c\",\"consumerGroup\":\"{name}\",\"mqSet\":[]}}");
        let made = format!("{{\"groupName\":\"{name}\"}}");
        // The group itself is good and is served.
        let answer = client.call(RequestCode(34), &[], subscription.clone()).await;
        ok(&answer);
        assert!(answer.remark.is_some_and(|told| told.contains("not served")), "{subscription}");
        for (number, body) in [(34, heartbeat), (41, lock), (200, made)] {
            let answer = client.call(RequestCode(number), &[], body.clone()).await;
            // A group name may be longer than a topic name.
            assert_ne!(code(&answer), ResponseCode::SUCCESS, "{body}");
        }
        let made = [("topic", name), ("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")];
        let answer = client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &made, "").await;
        assert_ne!(code(&answer), ResponseCode::SUCCESS, "{name}");
    }
    let above = setup.store.root.parent().unwrap();
    let entries: Vec<_> = std::fs::read_dir(above).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(entries, ["store"], "nothing was made beside the store");
    node.stop().await;
}

#[tokio::test]
async fn a_heartbeat_of_very_many_groups_is_refused_at_once() {
    let node = Setup::new().start().await;
    let client = node.client();
    let groups = vec![r#"{"groupName":"g"}"#; 200_000].join(",");
    for (set, what) in [("consumerDataSet", "200000 consumer groups"), ("producerDataSet", "200000 producer groups")] {
        let body = format!("{{\"clientID\":\"c\",\"{set}\":[{groups}]}}");
        refused(&client.call(RequestCode(34), &[], body).await, ResponseCode::SYSTEM_ERROR, what);
    }
    node.stop().await;
}

#[tokio::test]
async fn settings_that_name_a_path_cannot_be_changed_remotely() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for text in [
        "brokerConfigPath=/tmp/x",
        "rocketmqHome=/tmp/x",
        "storePathRootDir=/tmp/x",
        "flushDelayOffsetInterval=1\nrocketmqHome=$(touch x)",
    ] {
        let answer = client.call(RequestCode::UPDATE_BROKER_CONFIG, &[], text).await;
        refused(&answer, ResponseCode::NO_PERMISSION, "cannot be changed");
    }
    let answer = client.call(RequestCode::UPDATE_BROKER_CONFIG, &[], &b"a=\xff"[..]).await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "properties text");
    assert!(setup.settings.applied.lock().is_empty());
    ok(&client.call(RequestCode::UPDATE_BROKER_CONFIG, &[], "flushDelayOffsetInterval=1").await);
    assert_eq!(*setup.settings.applied.lock(), ["flushDelayOffsetInterval=1"]);
    let shown = client.call(RequestCode::GET_BROKER_CONFIG, &[], "").await;
    ok(&shown);
    assert_eq!(shown.body, "brokerName=broker-t\n");
    node.stop().await;
}

/// Commands that a broker answers by asking somebody else first, or by doing what the test does not want.
fn is_answered_alone(spec: &CommandSpec) -> bool {
    spec.served != Served::Client
}

/// Fields of a command, each with the value that `choose` has for its kind.
fn fields_of(spec: &CommandSpec, choose: impl Fn(&str, &str) -> String) -> Fields {
    let mut fields = Fields::new();
    for field in spec.request.fields {
        // A pull that waits is answered too, but not now.
        let value = if field.name == "suspendTimeoutMillis" { "0".to_owned() } else { choose(field.name, field.kind) };
        fields.push(field.name, &value);
    }
    fields
}

#[tokio::test]
async fn every_command_is_answered_whatever_its_fields_and_body() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    ok(&client.heartbeat("c1", vec![consumer("g", &[("orders", "*", 1)])]).await);
    let value = |name: &str, kind: &str, number: &str| match kind {
        "i32" if number.len() > 5 => (number.parse::<i64>().unwrap() >> 32).to_string(),
        "i32" | "i64" => number.to_owned(),
        "bool" => (number != "0").to_string(),
        "TopicName" => "orders".to_owned(),
        "GroupName" => "g".to_owned(),
        _ if name == "statsName" => "TOPIC_PUT_NUMS".to_owned(),
        _ => "c2".to_owned(),
    };
    let max = i64::MAX.to_string();
    let min = i64::MIN.to_string();
    let mut asked = 0;
    for spec in COMMANDS.iter().filter(|spec| is_answered_alone(spec)) {
        let mut tries = vec![
            Fields::new(),
            fields_of(spec, |_, _| String::new()),
            fields_of(spec, |_, _| "\u{1}\u{2}é".to_owned()),
        ];
        for number in ["0", "1", "-1", &max, &min] {
            tries.push(fields_of(spec, |name, kind| value(name, kind, number)));
        }
        for fields in tries {
            for body in ["", "{}", "a=b", "[[[["] {
                for serialization in [Serialization::Json, Serialization::Binary] {
                    let frame = Frame { serialization, ..Frame::request(spec.code, fields.clone(), Bytes::from(body)) };
                    let answer = client.exchange(frame).await;
                    assert!(answer.is_response(), "{} {fields:?}", spec.name);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 3000, "{asked}");
    assert_eq!(node.panics(), 0);
    assert_eq!(node.counters.snapshot().accepted, 1, "all on one connection");
    node.stop().await;
}

#[tokio::test]
async fn extreme_numbers_are_no_way_into_arithmetic() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    let numbers: Vec<String> =
        [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, 2, i64::MAX / 20, i64::MAX / 20 + 1, i64::MAX - 1, i64::MAX]
            .iter()
            .map(ToString::to_string)
            .collect();
    for number in &numbers {
        for (code, fields) in [
            (11, vec![("queueOffset", number.as_str()), ("maxMsgNums", "2147483647"), ("commitOffset", number)]),
            (29, vec![("timestamp", number)]),
            (33, vec![("offset", number)]),
            (321, vec![("index", number), ("count", "2147483647")]),
            (321, vec![("index", number), ("count", "-1")]),
            (12, vec![("key", "k"), ("maxNum", "2147483647"), ("beginTimestamp", number), ("endTimestamp", number)]),
            (12, vec![("key", ""), ("maxNum", "-1"), ("beginTimestamp", "0"), ("endTimestamp", number)]),
            (222, vec![("timestamp", number), ("isForce", "true")]),
        ] {
            let fixed = [
                ("consumerGroup", "g"),
                ("group", "g"),
                ("topic", "orders"),
                ("queueId", "0"),
                ("sysFlag", "7"),
                ("suspendTimeoutMillis", "0"),
                ("subVersion", number),
            ];
            let fields: Vec<(&str, &str)> = fixed.into_iter().chain(fields).collect();
            let answer = client.call(RequestCode(code), &fields, "").await;
            assert!(answer.is_response());
        }
    }
    assert_eq!(node.panics(), 0);
    node.stop().await;
}

/// Bytes that look random and are the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[7]).collect()
    }
}

#[tokio::test]
async fn garbage_costs_its_connection_and_nothing_else() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..300 {
        let len = random.below(200);
        let mut bytes = BytesMut::new();
        let mut garbage = random.bytes(len + 4);
        if round % 2 == 0 {
            // A header length and form that may be right, so that the header itself is looked at.
            garbage[0] = u8::try_from(round / 2 % 2).unwrap();
            garbage[1] = 0;
            garbage[2] = 0;
            garbage[3] = u8::try_from(len).unwrap();
        }
        bytes.extend_from_slice(&u32::try_from(garbage.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&garbage);
        let mut wire = node.wire().await;
        wire.write_bytes(&bytes).await;
        // Either it was a frame after all, or the connection is closed.
        wire.write(1, [request::<call::GetAllDelayOffsets>(&NoFields {}, "")]).await;
        while wire.next().await.is_some_and(|answer| answer.opaque != 1) {}
    }
    let counted = node.counters.snapshot();
    assert!(counted.malformed > 0, "{counted:?}");
    assert_eq!(counted.panics, 0);
    assert_eq!(bodies(&client.read("orders", 0, 0, 1).await), ["m"], "everybody else is served");
    node.stop().await;
}

#[tokio::test]
async fn damaged_requests_cost_at_most_their_connection() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.read("orders", 0, 0, 1).await;
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let batch = kerolox_wire::command::send::SendMessage { batch: true, ..message("orders", 0) };
    let whole = [
        request::<call::SendMessage>(&message_with("orders", 0, &[("TAGS", "a"), ("DELAY", "1")]), "body"),
        request::<call::SendBatch>(&batch, batch_body(&[("a", ""), ("b", "TAGS\u{1}x\u{2}")])),
        request::<call::PullMessage>(&pull("g", "orders", 0, 0), ""),
    ];
    let mut wire = node.wire().await;
    for round in 0..600 {
        let serialization = if round % 2 == 0 { Serialization::Json } else { Serialization::Binary };
        let frame = Frame { serialization, opaque: 7, ..whole[round % whole.len()].clone() };
        let mut bytes = frame.to_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = 8 + random.below(bytes.len() - 8);
            bytes[at] = random.bytes(1)[0];
        }
        wire.write_bytes(&bytes).await;
        wire.write(1_000_000, [request::<call::GetAllDelayOffsets>(&NoFields {}, "")]).await;
        loop {
            match wire.next().await {
                Some(answer) if answer.opaque == 1_000_000 => break,
                Some(_) => {}
                None => {
                    wire = node.wire().await;
                    break;
                }
            }
        }
    }
    assert_eq!(node.panics(), 0);
    node.stop().await;
}

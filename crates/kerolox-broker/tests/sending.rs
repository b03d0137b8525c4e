//! Sends: what is taken, and every reason for which one is not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use common::*;
use kerolox_wire::body::{TopicConfigTable, from_json};
use kerolox_wire::command::admin::TopicRef;
use kerolox_wire::command::offset::QueueRef;
use kerolox_wire::command::send::{SendMessage, SendResult};
use kerolox_wire::command::{NoFields, RequestCode, call};
use kerolox_wire::frame::{Frame, Serialization};
use kerolox_wire::id::MessageId;
use kerolox_wire::response::ResponseCode;

#[tokio::test]
async fn a_message_is_stored_with_the_clusters_name_and_can_be_read() {
    let node = Setup::new().start().await;
    let client = node.client();
    let header = SendMessage { flag: 9, reconsume_times: 2, ..message_with("orders", 1, &[("KEYS", "k1")]) };
    for n in 0..3 {
        let sent = client.send(&header, format!("m{n}")).await;
        assert_eq!((sent.queue_id, sent.queue_offset), (1, n));
    }
    let read = client.read("orders", 1, 0, 3).await;
    assert_eq!(bodies(&read), ["m0", "m1", "m2"]);
    assert_eq!(read[1].queue_offset, 1);
    assert_eq!((read[0].flag, read[0].reconsume_times), (9, 2));
    assert_eq!(read[0].property("KEYS"), Some("k1"));
    assert_eq!(read[0].property("CLUSTER"), Some(CLUSTER));
    node.stop().await;
}

#[tokio::test]
async fn the_id_in_the_answer_is_where_the_message_is() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "first").await;
    let sent = client.send(&message("orders", 0), "second").await;
    let id = MessageId::parse(&sent.msg_id).unwrap();
    let offset = id.offset.to_wire();
    let viewed = client.call(RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", &offset.to_string())], "").await;
    ok(&viewed);
    assert_eq!(bodies(&messages_of(&viewed)), ["second"]);
    node.stop().await;
}

#[tokio::test]
async fn every_answer_tells_the_region_and_whether_to_trace() {
    let node = Setup::new().start().await;
    let client = node.client();
    let taken = client.ask::<call::SendMessageV2>(&message("orders", 0), "m").await;
    let refused = client.ask::<call::SendMessageV2>(&message("orders", 99), "m").await;
    for answer in [taken, refused] {
        let field = |name| answer.fields.get(name);
        assert_eq!((field("MSG_REGION"), field("TRACE_ON")), (Some("DefaultRegion"), Some("true")), "{answer:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn short_names_and_binary_headers_mean_the_same() {
    let node = Setup::new().start().await;
    let client = node.client();
    let header = message_with("orders", 2, &[("TAGS", "a")]);
    for serialization in [Serialization::Json, Serialization::Binary] {
        let short = Frame { serialization, ..request::<call::SendMessageV2>(&header, "short") };
        let long = Frame { serialization, ..request::<call::SendMessage>(&header, "long") };
        for frame in [short, long] {
            let answer = client.exchange(frame).await;
            assert_eq!(answer.serialization, serialization, "the answer takes the request's form");
            assert_eq!(self::header::<SendResult>(&answer).queue_id, 2);
        }
    }
    let read = client.read("orders", 2, 0, 4).await;
    assert_eq!(bodies(&read), ["short", "long", "short", "long"]);
    assert!(read.iter().all(|m| m.property("TAGS") == Some("a")));
    node.stop().await;
}

#[tokio::test]
async fn sends_that_arrive_together_are_answered_each_and_in_order() {
    let node = Setup::new().start().await;
    let mut wire = node.wire().await;
    let frames = (0..20).map(|n| {
        // One of them is refused, which must not touch its neighbours.
        let queue = if n == 7 { 99 } else { 0 };
        request::<call::SendMessageV2>(&message("orders", queue), format!("m{n}"))
    });
    wire.write(100, frames).await;
    let mut offsets = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..20 {
        let answer = wire.next().await.unwrap();
        seen.push(answer.opaque);
        if answer.opaque == 107 {
            refused(&answer, ResponseCode::SYSTEM_ERROR, "queueId[99] is illegal");
        } else {
            offsets.push(header::<SendResult>(&answer).queue_offset);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (100..120).collect::<Vec<_>>());
    assert_eq!(offsets, (0..19).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test]
async fn a_one_way_send_is_stored_and_not_answered() {
    let node = Setup::new().start().await;
    let mut wire = node.wire().await;
    let silent = request::<call::SendMessage>(&message("orders", 0), "silent").oneway();
    let refused = request::<call::SendMessage>(&message("orders", 99), "refused").oneway();
    let answered = request::<call::SendMessage>(&message("orders", 0), "answered");
    wire.write(1, [silent, refused, answered]).await;
    let answer = wire.next().await.unwrap();
    assert_eq!(answer.opaque, 3);
    assert_eq!(bodies(&node.client().read("orders", 0, 0, 2).await), ["silent", "answered"]);
    node.stop().await;
}

#[tokio::test]
async fn with_a_trace_topic_messages_carry_what_newer_consumers_need_for_a_trace() {
    let mut setup = Setup::new();
    let sent_again = "MSG_REGION\u{1}elsewhere\u{2}TRACE_ON\u{1}false\u{2}";
    for (trace, expected) in [(false, None), (true, Some(("DefaultRegion", "true")))] {
        setup.trace = trace;
        let node = setup.start().await;
        let client = node.client();
        let from = client.send(&message("orders", 0), "m").await.queue_offset;
        let batch = SendMessage { batch: true, ..message("orders", 0) };
        let answer = client.ask::<call::SendBatch>(&batch, batch_body(&[("b0", ""), ("b1", "TAGS\u{1}x")])).await;
        ok(&answer);
        let again = SendMessage { properties: Some(sent_again.to_owned()), ..message("orders", 0) };
        client.send(&again, "again").await;
        let read = client.read("orders", 0, from, 4).await;
        let marks = |m: &Message| Some((m.property("MSG_REGION")?.to_owned(), m.property("TRACE_ON")?.to_owned()));
        let expected = expected.map(|(region, on): (&str, &str)| (region.to_owned(), on.to_owned()));
        assert!(read[..3].iter().all(|message| marks(message) == expected), "{trace}");
        assert_eq!((bodies(&read)[2], read[2].property("TAGS")), ("b1", Some("x")));
        assert_eq!(marks(&read[3]), Some(("elsewhere".to_owned(), "false".to_owned())));
        assert_eq!(read[3].properties.matches("MSG_REGION").count(), 1);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_batch_gets_consecutive_places_and_an_id_each() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "before").await;
    let header = SendMessage { batch: true, ..message("orders", 0) };
    let body = batch_body(&[("b0", ""), ("b1", "TAGS\u{1}x\u{2}"), ("b2", "")]);
    let answer = client.ask::<call::SendBatch>(&header, body).await;
    let sent: SendResult = self::header(&answer);
    assert_eq!(sent.queue_offset, 1);
    let ids: Vec<_> = sent.msg_id.split(',').map(|id| MessageId::parse(id).unwrap().offset.to_wire()).collect();
    let read = client.read("orders", 0, 1, 3).await;
    assert_eq!(bodies(&read), ["b0", "b1", "b2"]);
    assert_eq!(read.iter().map(|m| m.queue_offset).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(read.iter().map(|m| m.log_offset).collect::<Vec<_>>(), ids);
    assert_eq!((read[1].property("TAGS"), read[1].flag), (Some("x"), 3));
    // The plain send with the batch flag means the same.
    let answer = client.ask::<call::SendMessageV2>(&header, batch_body(&[("b3", "")])).await;
    assert_eq!(self::header::<SendResult>(&answer).queue_offset, 4);
    node.stop().await;
}

#[tokio::test]
async fn a_broken_batch_is_refused_as_a_whole() {
    let node = Setup::new().start().await;
    let client = node.client();
    let whole = batch_body(&[("b0", ""), ("b1", "")]);
    let item = whole.len() / 2;
    let with = |at: usize, bytes: &[u8]| {
        let mut broken = whole.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        broken
    };
    let too_many = vec![0; 22 * (RECORD_MAX / 22 + 1)];
    for (what, body) in [
        ("nothing", Vec::new()),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("a byte too much", [&whole[..], &[1]].concat()),
        ("a negative body length", with(item + 16, &(-1_i32).to_be_bytes())),
        ("a body length beyond the end", with(item + 16, &i32::MAX.to_be_bytes())),
        ("a negative properties length", with(item + 22, &(-1_i16).to_be_bytes())),
        ("a properties length beyond the end", with(item + 22, &i16::MAX.to_be_bytes())),
        ("more bytes than a message may have", too_many),
    ] {
        let header = SendMessage { batch: true, ..message("orders", 0) };
        let answer = client.ask::<call::SendBatch>(&header, body).await;
        assert_eq!(code(&answer), ResponseCode::MESSAGE_ILLEGAL, "{what}: {:?}", answer.remark);
    }
    let retry = SendMessage { batch: true, ..message("%RETRY%g", 0) };
    let answer = client.ask::<call::SendBatch>(&retry, whole.clone()).await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, "retry topic");
    assert_eq!(client.send(&message("orders", 0), "after").await.queue_offset, 0, "nothing of them was stored");
    node.stop().await;
}

#[tokio::test]
async fn an_unknown_topic_is_created_when_that_is_allowed() {
    let node = Setup::new().start().await;
    let client = node.client();
    let few = SendMessage { default_topic_queues: 3, ..message("few", -1) };
    let many = SendMessage { default_topic_queues: 1000, ..message("many", -1) };
    let after_cluster = SendMessage { default_topic: CLUSTER.to_owned(), ..message("clustered", -1) };
    for (header, queues) in [(few, 3), (many, 8), (after_cluster, 4)] {
        client.send(&header, "m").await;
        let out_of_range = SendMessage { queue_id: queues, ..header.clone() };
        let answer = client.ask::<call::SendMessage>(&out_of_range, "m").await;
        refused(&answer, ResponseCode::SYSTEM_ERROR, &format!("queueId[{queues}] is illegal"));
        client.send(&SendMessage { queue_id: queues - 1, ..header }, "m").await;
    }
    node.stop().await;
}

#[tokio::test]
async fn an_unknown_topic_is_refused_with_the_reason_when_it_is_not() {
    let setup = Setup::new();
    setup.switch("auto_create_topic", false);
    let node = setup.start().await;
    let client = node.client();
    let after = |default: &str| SendMessage { default_topic: default.to_owned(), ..message("orders", 0) };
    let missing = ResponseCode::TOPIC_NOT_EXIST;
    for (default, why) in [
        ("TBW102", "autoCreateTopicEnable is false"),
        ("no-such-topic", "the default topic[no-such-topic] not exist"),
        ("SELF_TEST_TOPIC", "the default topic[SELF_TEST_TOPIC] has no perm [6]"),
    ] {
        let answer = client.ask::<call::SendMessage>(&after(default), "m").await;
        refused(&answer, missing, "topic[orders] not exist, apply first please!");
        refused(&answer, missing, why);
    }
    client.send(&message("%RETRY%g", 0), "retry topics are always made").await;
    node.stop().await;
}

#[tokio::test]
async fn creation_that_is_switched_on_again_creates_again() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    for round in 0..2 {
        setup.switch("auto_create_topic", false);
        let answer = client.ask::<call::SendMessage>(&message(&format!("t{round}"), 0), "m").await;
        refused(&answer, ResponseCode::TOPIC_NOT_EXIST, "autoCreateTopicEnable is false");
        client.send(&SendMessage { default_topic: CLUSTER.to_owned(), ..message("other", 0) }, "m").await;
        setup.switch("auto_create_topic", true);
        client.send(&message(&format!("t{round}"), 0), "m").await;
    }
    setup.switch("auto_create_topic", false);
    node.stop().await;
    setup.switch("auto_create_topic", true);
    let node = setup.start().await;
    node.client().send(&message("after-restart", 0), "m").await;
    node.stop().await;
}

#[tokio::test]
async fn the_broker_chooses_a_queue_when_the_client_does_not() {
    let node = Setup::new().start().await;
    let client = node.client();
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..60 {
        used.insert(client.send(&message("orders", -1), "m").await.queue_id);
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    node.stop().await;
}

#[tokio::test]
async fn a_topic_without_queues_takes_no_message() {
    let node = Setup::new().start().await;
    let client = node.client();
    for queues in [0, -1] {
        let header = SendMessage { default_topic_queues: queues, ..message("nowhere", -1) };
        let answer = client.ask::<call::SendMessage>(&header, "m").await;
        assert_ne!(code(&answer), ResponseCode::SUCCESS, "nobody could read it");
    }
    node.stop().await;
}

#[tokio::test]
async fn forbidden_topics_and_illegal_names_are_refused() {
    let node = Setup::new().start().await;
    let client = node.client();
    let answer = client.ask::<call::SendMessage>(&message("SCHEDULE_TOPIC_XXXX", 0), "m").await;
    refused(&answer, ResponseCode::NO_PERMISSION, "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.");
    let long = "t".repeat(128);
    for (name, why) in [
        ("../x", "illegal characters"),
        ("a/b", "illegal characters"),
        ("a\\b", "illegal characters"),
        ("..", "illegal characters"),
        ("a\0b", "illegal characters"),
        ("tëst", "illegal characters"),
        (" ", "blank"),
        (&long, "longer"),
    ] {
        for (code, field) in [(RequestCode::SEND_MESSAGE, "topic"), (RequestCode::SEND_MESSAGE_V2, "b")] {
            let template = request::<call::SendMessage>(&message("x", 0), "m");
            let mut fields = template.fields.clone();
            if field == "b" {
                fields = request::<call::SendMessageV2>(&message("x", 0), "m").fields;
            }
            fields.set(field, name);
            let answer = client.exchange(Frame { code: code.0, fields, ..template }).await;
            refused(&answer, ResponseCode::SYSTEM_ERROR, why);
        }
    }
    let answer = client.ask::<call::SendMessage>(&message("%RETRY%", 0), "m").await;
    assert_ne!(code(&answer), ResponseCode::SUCCESS, "a retry topic of no group");
    node.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_its_size_and_the_limit() {
    let node = Setup::new().start().await;
    let client = node.client();
    let answer = client.ask::<call::SendMessage>(&message("orders", 0), vec![b'x'; RECORD_MAX]).await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, &RECORD_MAX.to_string());
    let size: usize = RECORD_MAX + 91 + "orders".len() + "CLUSTER\u{1}TestCluster\u{2}".len();
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, &size.to_string());

    let properties = properties_text(&[("a", &"x".repeat(32_767))]);
    let header = SendMessage { properties: Some(properties), ..message("orders", 0) };
    let answer = client.ask::<call::SendMessage>(&header, "m").await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, "32767");

    let fits = RECORD_MAX - (size - RECORD_MAX);
    client.send(&message("orders", 0), vec![b'x'; fits]).await;
    let answer = client.ask::<call::SendMessage>(&message("orders", 0), vec![b'x'; fits + 1]).await;
    refused(&answer, ResponseCode::MESSAGE_ILLEGAL, &RECORD_MAX.to_string());
    node.stop().await;
}

#[tokio::test]
async fn properties_without_their_last_separator_keep_their_value() {
    let node = Setup::new().start().await;
    let client = node.client();
    let header = SendMessage { properties: Some("TAGS\u{1}a".to_owned()), ..message("orders", 0) };
    client.send(&header, "m").await;
    let read = client.read("orders", 0, 0, 1).await;
    assert_eq!((read[0].property("TAGS"), read[0].property("CLUSTER")), (Some("a"), Some(CLUSTER)));
    node.stop().await;
}

#[tokio::test]
async fn the_bits_alone_make_no_half_message() {
    let node = Setup::new().start().await;
    let client = node.client();
    // The broker decides by the property.
    let header = SendMessage { sys_flag: 0x4, ..message_with("orders", 0, &[("TRAN_MSG", "false")]) };
    assert_eq!(client.send(&header, "plain").await.queue_offset, 0);
    assert_eq!(bodies(&client.read("orders", 0, 0, 1).await), ["plain"]);
    node.stop().await;
}

#[tokio::test]
async fn a_broker_that_does_not_accept_sends_yet_says_so() {
    let setup = Setup::new();
    let node = setup.start().await;
    let client = node.client();
    assert!(setup.live.set_number("accept_sends_from", i64::MAX));
    let answer = client.ask::<call::SendMessage>(&message("orders", 0), "m").await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "unable to service");
    assert!(setup.live.set_number("accept_sends_from", 0));
    client.send(&message("orders", 0), "m").await;
    node.stop().await;
}

#[tokio::test]
async fn a_deleted_topic_begins_anew() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message("orders", 0), "old").await;
    client.read("orders", 0, 0, 1).await;
    ok(&client.ask::<call::DeleteTopic>(&TopicRef { topic: topic("orders") }, Bytes::new()).await);
    let queue = QueueRef { topic: topic("orders"), queue_id: 0 };
    let max = client.ask::<call::GetMaxOffset>(&queue, Bytes::new()).await;
    assert_eq!(max.fields.get("offset"), Some("0"));
    client.send(&message("orders", 0), "new").await;
    assert_eq!(bodies(&client.read("orders", 0, 0, 1).await), ["new"]);
    let answer = client.ask::<call::DeleteTopic>(&TopicRef { topic: topic("TBW102") }, Bytes::new()).await;
    refused(&answer, ResponseCode::SYSTEM_ERROR, "system topic");
    node.stop().await;
}

#[tokio::test]
async fn a_broker_started_without_automatic_creation_offers_no_template() {
    let setup = Setup::new();
    setup.start().await.stop().await;
    setup.switch("auto_create_topic", false);
    let node = setup.start().await;
    let known = node.client().ask::<call::GetAllTopics>(&NoFields {}, "").await;
    let known: TopicConfigTable = from_json(&known.body).unwrap();
    // Name servers learn the same table: a client finds no route by which it could try.
    assert!(!known.topic_config_table.contains_key("TBW102"));
    assert!(known.topic_config_table.contains_key(CLUSTER));
    node.stop().await;
}

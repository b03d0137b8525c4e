//! Request and reply between clients: who gets the reply, what the replier hears, and what is kept.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use kerolox_wire::body::{HeartbeatData, ProducerData, Style, to_json};
use kerolox_wire::command::send::SendResult;
use kerolox_wire::command::{NoFields, RequestCode, call};
use kerolox_wire::properties;
use kerolox_wire::response::ResponseCode;

const REPLIES: &str = "TestCluster_REPLY_TOPIC";

async fn produces(client: &Client, id: &str) {
    let group = ProducerData { group_name: "askers".to_owned() };
    let data = HeartbeatData {
        client_id: id.to_owned(),
        consumer_data_set: vec![],
        producer_data_set: vec![group],
        unreadable: Vec::new(),
    };
    ok(&client.ask::<call::Heartbeat>(&NoFields {}, to_json(&data, Style::Fastjson)).await);
}

fn reply_to(id: &str) -> kerolox_wire::command::send::SendMessage {
    message_with(REPLIES, 0, &[("CORRELATION_ID", "c1"), ("REPLY_TO_CLIENT", id), ("MSG_TYPE", "reply")])
}

#[tokio::test]
async fn a_reply_reaches_the_client_that_asked_and_is_stored_too() {
    let node = Setup::new().start().await;
    let (asker, replier) = (node.client(), node.client());
    produces(&asker, "asker@1").await;
    let answer = replier.ask::<call::SendReplyV2>(&reply_to("asker@1"), "forty-two").await;
    let place: SendResult = header(&answer);
    assert_eq!((place.queue_id, place.queue_offset), (0, 0));
    assert_eq!(answer.fields.get("TRACE_ON"), Some("true"), "Java fails without it");

    let pushed = asker.hear().await;
    assert_eq!(pushed.code, RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT.0);
    assert_eq!(&pushed.body[..], b"forty-two");
    let told = pushed.fields.get("properties").unwrap();
    assert_eq!(properties::find(told, "CORRELATION_ID"), Some("c1"));
    assert!(properties::find(told, "PUSH_REPLY_TIME").is_some());
    assert!(pushed.fields.get("bornHost").unwrap().starts_with("/127.0.0.1:"));

    let kept = replier.read(REPLIES, 0, 0, 1).await;
    assert_eq!(bodies(&kept), ["forty-two"]);
    assert_eq!(kept[0].property("PUSH_REPLY_TIME"), None, "kept as it came");
    node.stop().await;
}

#[tokio::test]
async fn a_reply_is_passed_on_without_being_kept_when_that_is_off() {
    let setup = Setup::new();
    setup.switch("store_replies", false);
    let node = setup.start().await;
    let (asker, replier) = (node.client(), node.client());
    produces(&asker, "asker@1").await;
    let place: SendResult = header(&replier.ask::<call::SendReply>(&reply_to("asker@1"), "x").await);
    assert_eq!((place.msg_id.as_str(), place.queue_offset), ("0", 0));
    assert_eq!(&asker.hear().await.body[..], b"x");
    let empty = replier.pull(&pull("reader", REPLIES, 0, 0)).await;
    assert_eq!(code(&empty), ResponseCode::PULL_NOT_FOUND);
    node.stop().await;
}

#[tokio::test]
async fn a_reply_for_nobody_is_refused_with_the_reason() {
    let node = Setup::new().start().await;
    let client = node.client();
    let unknown = client.ask::<call::SendReply>(&reply_to("nobody@9"), "x").await;
    refused(&unknown, ResponseCode::SYSTEM_ERROR, "channel of <nobody@9> not found");
    let nameless = client.ask::<call::SendReply>(&message_with(REPLIES, 0, &[("MSG_TYPE", "reply")]), "x").await;
    refused(&nameless, ResponseCode::SYSTEM_ERROR, "REPLY_TO_CLIENT");
    let queue = client.ask::<call::SendReply>(&message(REPLIES, 9), "x").await;
    refused(&queue, ResponseCode::SYSTEM_ERROR, "queueId[9]");
    node.stop().await;
}

//! Spans: which requests have one, to whose trace it belongs, and that nothing waits for whoever takes them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use common::*;
use kerolox_broker::{Span, Spans};
use kerolox_store::FlushMode;
use kerolox_wire::command::call;
use kerolox_wire::command::send::SendMessage;
use kerolox_wire::response::ResponseCode;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A message of that span of the one trace.
fn followed(topic: &str, span: u8, flags: &str) -> SendMessage {
    message_with(topic, 0, &[("traceparent", &context(span, flags))])
}

fn context(span: u8, flags: &str) -> String {
    format!("00-{TRACE}-00000000000000{span:02x}-{flags}")
}

async fn started(share: f64, flush: FlushMode) -> (Node, Arc<Spans>) {
    let mut setup = Setup::new();
    let spans = Arc::new(Spans::new(share));
    setup.spans = Some(Arc::clone(&spans));
    setup.store.flush = flush;
    (setup.start().await, spans)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn one(spans: &Spans) -> Span {
    let mut taken = spans.take();
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

/// The span of a pull that brings all `count` messages: what was sent can be pulled a moment later.
async fn pulled(client: &Client, spans: &Spans, count: usize) -> Span {
    assert_eq!(client.read("orders", 0, 0, count).await.len(), count);
    let _those_of_reading = spans.take();
    ok(&client.pull(&pull("g", "orders", 0, 0)).await);
    one(spans)
}

#[tokio::test]
async fn a_followed_send_and_its_pull_belong_to_the_producers_trace() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let (node, spans) = started(0.0, flush).await;
        let client = node.client();
        client.send(&message("orders", 0), "nobody follows it").await;
        client.send(&followed("orders", 7, "00"), "not recorded").await;
        assert!(spans.take().is_empty());
        client.send(&followed("orders", 8, "01"), "four").await;
        let sent = one(&spans);
        assert_eq!((sent.what, sent.topic.as_str(), sent.code), ("send", "orders", 0));
        assert_eq!((hex(&sent.trace).as_str(), sent.parent.map(|id| id[7])), (TRACE, Some(8)));
        assert_eq!((sent.queue, sent.offset, sent.messages, sent.bytes), (Some(0), Some(2), 1, 4));
        assert!(sent.took > std::time::Duration::ZERO && sent.id != [0; 8] && sent.links.is_empty());

        let pulled = pulled(&client, &spans, 3).await;
        assert_eq!((pulled.what, pulled.group.as_str(), pulled.messages), ("pull", "g", 3));
        assert_eq!((hex(&pulled.trace).as_str(), pulled.parent), (TRACE, sent.parent));
        assert!(pulled.id != sent.id && pulled.offset == Some(0));
        assert_eq!(spans.counts().1, 0);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_pull_of_several_traces_is_linked_to_each() {
    let (node, spans) = started(0.0, FlushMode::Async).await;
    let client = node.client();
    for span in [1, 2, 2, 3] {
        client.send(&followed("orders", span, "01"), "m").await;
    }
    assert_eq!(spans.take().len(), 4);
    let pulled = pulled(&client, &spans, 4).await;
    assert_eq!(pulled.links.iter().map(|link| link.span[7]).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(pulled.parent.is_none() && hex(&pulled.trace) != TRACE);
    node.stop().await;
}

#[tokio::test]
async fn a_batch_is_followed_by_its_messages() {
    let (node, spans) = started(0.0, FlushMode::Async).await;
    let properties = format!("traceparent\u{1}{}\u{2}", context(5, "01"));
    let body = batch_body(&[("a", &properties), ("b", "")]);
    let header = SendMessage { batch: true, ..message("orders", 1) };
    node.client().send(&header, body).await;
    let sent = one(&spans);
    assert_eq!((sent.parent.map(|id| id[7]), sent.messages, sent.queue), (Some(5), 2, Some(1)));
    node.stop().await;
}

#[tokio::test]
async fn a_refused_send_has_a_span_that_says_why() {
    let (node, spans) = started(0.0, FlushMode::Async).await;
    let header = SendMessage { queue_id: 99, producer_group: "g".repeat(10_000), ..followed("orders", 1, "01") };
    let answer = node.client().ask::<call::SendMessageV2>(&header, "m").await;
    let refused = one(&spans);
    assert_eq!((refused.code, refused.messages), (ResponseCode::SYSTEM_ERROR.0, 0));
    assert_eq!(Some(refused.remark), answer.remark);
    assert_eq!(refused.group.len(), 255, "what waits must not hold what a client sends without end");
    node.stop().await;
}

#[tokio::test]
async fn a_share_of_the_rest_begins_traces_and_what_nobody_takes_is_dropped_and_counted() {
    let (node, spans) = started(1.0, FlushMode::Async).await;
    let client = node.client();
    client.send(&followed("orders", 1, "00"), "who says no means it").await;
    assert!(spans.take().is_empty());
    for _ in 0..5_000 {
        client.send(&message("orders", 0), "m").await;
    }
    spans.filled().await;
    let (ended, dropped) = spans.counts();
    let kept = spans.take();
    assert_eq!((ended, dropped, kept.len()), (5_000, 904, 4_096));
    let ids: std::collections::HashSet<_> = kept.iter().map(|span| (span.trace, span.id)).collect();
    assert!(ids.len() == kept.len() && kept.iter().all(|span| span.parent.is_none()));
    node.stop().await;
}

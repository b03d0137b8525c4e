//! The way of one message, as its clients told it to the trace topic.

use axum::Json;
use axum::extract::{Query, State};
use kerolox_client::Message;
use kerolox_wire::names::{TopicName, topics};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::topics::none_if_absent;
use crate::door::Shared;
use crate::error::{Answer, Failure};

/// Between the fields of a record of the trace, and behind each record.
const FIELD_END: char = '\u{1}';
const RECORD_END: char = '\u{2}';
/// Messages of the trace topic that are looked at for one message.
const FOUND_MAX: i32 = 64;
/// Records that are shown of one message.
const STEPS_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    id: String,
    /// The trace topic, where clients use one of their own.
    trace_topic: Option<String>,
}

/// One thing that a client told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Step {
    /// A producer sent it.
    #[serde(rename_all = "camelCase")]
    Sent {
        at_ms: i64,
        took_ms: i64,
        group: String,
        topic: String,
        tags: String,
        keys: String,
        store_host: String,
        size: i64,
        message_type: &'static str,
        ok: bool,
        client: String,
    },
    /// A consumer got it; how that ended is none until it has.
    #[serde(rename_all = "camelCase")]
    Consumed {
        request: String,
        at_ms: i64,
        group: String,
        retries: i64,
        took_ms: Option<i64>,
        ok: Option<bool>,
        client: String,
    },
    /// A producer told the end of its transaction.
    #[serde(rename_all = "camelCase")]
    Ended { at_ms: i64, group: String, topic: String, state: String, checked: bool, client: String },
}

/// What the trace topic has of the message with a key or id.
pub(crate) async fn trace(State(door): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let id = asked.id.trim();
    if id.is_empty() {
        return Err(Failure::bad("give the id of a message, or one of its keys"));
    }
    let given = asked.trace_topic.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let topic = TopicName::parse(given.unwrap_or(topics::TRACE))?;
    let found = none_if_absent(door.client.messages_by_key(&topic, id, FOUND_MAX, (0, i64::MAX)).await)?;
    let mut steps = Vec::new();
    for message in &found {
        read(message, id, &mut steps);
    }
    for message in &found {
        ends(&String::from_utf8_lossy(&message.body), &mut steps);
    }
    steps.sort_by_key(at);
    steps.dedup();
    steps.truncate(STEPS_MAX);
    let stored = stored(&door, id, &steps).await;
    Ok(Json(json!({ "id": id, "steps": steps, "stored": stored })))
}

/// When the broker stored it, if the trace says where it went and it is still there.
async fn stored(door: &Shared, id: &str, steps: &[Step]) -> Option<Value> {
    let topic = steps.iter().find_map(|step| match step {
        Step::Sent { topic, .. } => TopicName::parse(topic).ok(),
        _ => None,
    })?;
    let message = door.client.message_by_unique_key(&topic, id).await.ok()?;
    Some(json!({
        "topic": message.topic, "broker": message.broker_name, "queue": message.queue_id.get(),
        "queueOffset": message.queue_offset.get(), "atMs": message.store_timestamp, "offsetId": message.offset_id(),
    }))
}

fn at(step: &Step) -> i64 {
    match step {
        Step::Sent { at_ms, .. } | Step::Consumed { at_ms, .. } | Step::Ended { at_ms, .. } => *at_ms,
    }
}

/// Adds what a message of the trace topic says of the message `id`, which may also be a key of it.
fn read(message: &Message, id: &str, steps: &mut Vec<Step>) {
    let text = String::from_utf8_lossy(&message.body);
    let client = message.born_host.ip().to_string();
    for record in text.split(RECORD_END) {
        let fields: Vec<&str> = record.split(FIELD_END).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let number = |at: usize| field(at).parse().unwrap_or(0);
        let concerns = |own: usize, keys: usize| field(own) == id || field(keys).split(' ').any(|key| key == id);
        match field(0) {
            "Pub" if concerns(5, 7) => steps.push(Step::Sent {
                at_ms: number(1),
                took_ms: number(10),
                group: field(3).to_owned(),
                topic: field(4).to_owned(),
                tags: field(6).to_owned(),
                keys: field(7).to_owned(),
                store_host: field(8).to_owned(),
                size: number(9),
                message_type: message_type(number(11)),
                // Older clients leave the id of the place out.
                ok: fields.iter().skip(12).any(|field| *field == "true"),
                client: client.clone(),
            }),
            "SubBefore" if concerns(5, 7) => steps.push(Step::Consumed {
                request: format!("{} {}", field(4), field(5)),
                at_ms: number(1),
                group: field(3).to_owned(),
                retries: number(6),
                took_ms: None,
                ok: None,
                client: client.clone(),
            }),
            "EndTransaction" if concerns(5, 7) => steps.push(Step::Ended {
                at_ms: number(1),
                group: field(3).to_owned(),
                topic: field(4).to_owned(),
                state: field(11).to_owned(),
                checked: field(12) == "true",
                client: client.clone(),
            }),
            _ => {}
        }
    }
}

/// Fills in how consumptions ended, which is told apart from their begin, in the same message or in another.
fn ends(text: &str, steps: &mut [Step]) {
    for record in text.split(RECORD_END).filter(|record| record.starts_with("SubAfter")) {
        let fields: Vec<&str> = record.split(FIELD_END).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let named = format!("{} {}", field(1), field(2));
        for step in steps.iter_mut() {
            if let Step::Consumed { request, took_ms, ok, .. } = step
                && *request == named
            {
                *took_ms = field(3).parse().ok();
                *ok = Some(field(4) == "true");
            }
        }
    }
}

const fn message_type(ordinal: i64) -> &'static str {
    match ordinal {
        1 => "half",
        2 => "commit",
        3 => "delayed",
        4 => "ordered",
        _ => "normal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps_of(texts: &[&str], id: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let message = |text: &str| {
            let body = text.replace('|', "\u{1}").replace(';', "\u{2}").into_bytes();
            Message {
                topic: topics::TRACE.to_owned(),
                broker_name: None,
                queue_id: kerolox_wire::names::QueueId::new(0),
                queue_offset: kerolox_wire::names::QueueOffset::new(0),
                log_offset: kerolox_wire::names::LogOffset::new(0),
                store_size: 0,
                body_crc: 0,
                flag: 0,
                sys_flag: 0,
                born_timestamp: 0,
                born_host: ([10, 0, 0, 9], 1).into(),
                store_timestamp: 0,
                store_host: ([10, 0, 0, 1], 1).into(),
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                properties: kerolox_wire::properties::Properties::new(),
                body,
            }
        };
        // As the endpoint does: first all begins, and ends wherever they are.
        for text in texts {
            read(&message(text), id, &mut steps);
        }
        for text in texts {
            ends(&text.replace('|', "\u{1}").replace(';', "\u{2}"), &mut steps);
        }
        steps
    }

    #[test]
    fn a_message_is_followed_from_its_producer_to_each_consumer() {
        let sent = "Pub|1000|R|pg|t|ID|tag|k1 k2|10.0.0.1:10911|9|3|0|OFFID|true;Pub|1|R|pg|t|OTHER||||9|3|0|X|true;";
        let got = "SubBefore|1010|R|cg|req|ID|2|k1;SubAfter|req|ID|7|false|k1|3;SubBefore|1011|R|dg|r2|ID|0|k1;";
        let steps = steps_of(&[sent, got], "ID");
        assert_eq!(steps.len(), 3, "{steps:?}");
        let Step::Sent { at_ms: 1000, took_ms: 3, size: 9, ok: true, message_type: "normal", client, .. } = &steps[0]
        else {
            panic!("{steps:?}")
        };
        assert_eq!(client, "10.0.0.9");
        let Step::Consumed { retries: 2, took_ms: Some(7), ok: Some(false), group, .. } = &steps[1] else {
            panic!("{steps:?}")
        };
        assert_eq!(group, "cg");
        assert!(matches!(&steps[2], Step::Consumed { took_ms: None, ok: None, .. }));
        assert_eq!(steps_of(&[sent, got], "k2").len(), 1, "by key");
    }

    #[test]
    fn ends_may_come_before_or_in_another_message_and_nonsense_is_passed_over() {
        let steps = steps_of(&["SubAfter|req|ID|7|true|k", "Pub;SubBefore|x|R|cg|req|ID|y|k;|||"], "ID");
        assert!(matches!(&steps[..], [Step::Consumed { at_ms: 0, ok: Some(true), .. }]), "{steps:?}");
    }
}

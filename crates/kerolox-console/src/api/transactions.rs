//! Half messages whose producers have not said yet what shall become of them.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use kerolox_client::{Client, Message, MessageQueue};
use kerolox_wire::names::{GroupName, TopicName, groups, topics};
use kerolox_wire::properties;
use serde_json::{Value, json};

use super::cluster::{Node, in_parallel, masters};
use super::messages::row;
use super::topics::none_if_absent;
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::span::{Part, read};

/// Half messages that are looked at for one page.
const HALVES_MAX: i64 = 512;
/// Marks of ended ones that are looked at.
const MARKS_MAX: i64 = 8_192;

/// At each primary: figures, and the oldest half messages in doubt.
pub(crate) async fn list(State(door): State<Shared>) -> Answer {
    let client = &door.client;
    let items = in_parallel(masters(client).await?, |master| async move {
        let told = match of(client, &master).await {
            Ok(told) => told,
            Err(why) => json!({ "error": why.sentence() }),
        };
        let mut row = json!({ "broker": master.name });
        if let (Some(fields), Some(more)) = (row.as_object_mut(), told.as_object()) {
            fields.extend(more.clone());
        }
        row
    });
    Ok(Json(json!({ "items": items.await })))
}

async fn of(client: &Client, master: &Node) -> Result<Value, Failure> {
    let info = client.runtime_info(&master.address).await?;
    let figures: serde_json::Map<String, Value> =
        info.iter().filter(|(key, _)| key.starts_with("transaction")).map(|(k, v)| (k.clone(), json!(v))).collect();
    let Some(halves) = part(client, master, topics::TRANS_HALF).await? else {
        return Ok(json!({ "figures": figures, "items": [], "left": 0 }));
    };
    let left = halves.end.saturating_sub(halves.begin).max(0);
    let ended = match part(client, master, topics::TRANS_OP_HALF).await? {
        Some(marks) => ended(client, marks).await?,
        None => HashSet::new(),
    };
    let mut open = Vec::new();
    for message in all(client, halves, HALVES_MAX).await? {
        if !ended.contains(&message.queue_offset.to_wire()) {
            open.push(half(&message, &master.name));
        }
    }
    Ok(json!({ "figures": figures, "items": open, "left": left, "lookedAt": left.min(HALVES_MAX) }))
}

/// What is not settled of a topic of transactions: none where there never was any.
async fn part(client: &Client, master: &Node, topic: &'static str) -> Result<Option<Part>, Failure> {
    let (group, name) = (GroupName::parse(groups::TRANS)?, TopicName::known(topic));
    // The broker is asked, since RocketMQ tells the name servers of these topics half a minute later.
    let end = client.max_offset(&master.address, &name, 0).await?;
    if end == 0 {
        return Ok(None);
    }
    let progress = none_if_absent(client.progress_at(&master.address, &group, Some(&name)).await)?;
    let place = progress.queues.iter().find(|(queue, _)| queue.queue_id == 0);
    let begin = place.map_or(0, |(_, at)| at.consumer_offset);
    let begin = begin.max(client.min_offset(&master.address, &name, 0).await?);
    let queue = MessageQueue { topic: topic.to_owned(), broker_name: master.name.clone(), queue_id: 0 };
    Ok(Some(Part { queue, address: master.address.clone(), begin, end }))
}

/// The messages of a part, `most` at most.
async fn all(client: &Client, part: Part, most: i64) -> Result<Vec<Message>, Failure> {
    let topic = TopicName::parse(&part.queue.topic)?;
    let part = Part { end: part.end.min(part.begin.saturating_add(most)), ..part };
    let (mut at, mut messages) = (part.begin, Vec::new());
    while at < part.end {
        let (read, next) = read(client, &topic, &part, at).await?;
        at = next;
        messages.extend(read);
    }
    Ok(messages)
}

/// Queue offsets of half messages that have ended. A mark of 5.x names several.
async fn ended(client: &Client, marks: Part) -> Result<HashSet<i64>, Failure> {
    let marks = all(client, marks, MARKS_MAX).await?;
    let bodies = marks.iter().filter_map(|mark| std::str::from_utf8(&mark.body).ok());
    Ok(bodies.flat_map(|body| body.split(',')).filter_map(|one| one.trim().parse().ok()).collect())
}

/// A half message, as the one it may become.
fn half(message: &Message, broker: &str) -> Value {
    let own = |name: &str| message.properties.get(name);
    let mut row = row(message);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("topic".to_owned(), json!(own(properties::REAL_TOPIC)));
        fields.insert("broker".to_owned(), json!(broker));
        fields.insert("group".to_owned(), json!(own(properties::PGROUP)));
        let checks = own(properties::TRANSACTION_CHECK_TIMES).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        fields.insert("checks".to_owned(), json!(checks));
    }
    row
}

//! Messages: by time, by key, by id; whole; and who consumed them.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64ct::{Base64, Encoding};
use kerolox_client::{Client, Message};
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{GroupName, TopicName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::nodes;
use super::topics::{none_if_absent, rows};
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;
use crate::span::Span;

/// Messages of a page, unless fewer are asked for.
const PAGE_SIZE_MAX: usize = 64;
/// Messages that a look-up by key brings at most.
const BY_KEY_MAX: i32 = 64;
/// Bytes of a body that a page shows; the whole can be saved.
const SHOWN_SIZE_MAX: usize = 256 * 1024;

/// Reads base64.
pub(crate) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// A message in a list.
pub(crate) fn row(message: &Message) -> Value {
    json!({
        "id": message.id(), "offsetId": message.offset_id(), "topic": message.topic,
        "broker": message.broker_name, "queue": message.queue_id.get(), "queueOffset": message.queue_offset.get(),
        "storeMs": message.store_timestamp, "bornMs": message.born_timestamp, "tags": message.tags(),
        "keys": message.keys(), "size": message.body.len(), "reconsumeTimes": message.reconsume_times,
    })
}

fn whole(message: &Message) -> Value {
    let properties: Vec<(&str, &str)> = message.properties.iter().collect();
    let shown = message.body.get(..SHOWN_SIZE_MAX.min(message.body.len())).unwrap_or_default();
    let cut = shown.len() < message.body.len();
    // A cut may fall into a character.
    let text = match std::str::from_utf8(shown) {
        Ok(text) => Some(text),
        Err(why) if cut && why.error_len().is_none() => {
            shown.get(..why.valid_up_to()).and_then(|part| std::str::from_utf8(part).ok())
        }
        Err(_) => None,
    };
    let mut whole = row(message);
    if let Some(fields) = whole.as_object_mut() {
        let more = json!({
            "properties": properties, "bornHost": message.born_host.to_string(),
            "storeHost": message.store_host.to_string(), "logOffset": message.log_offset.get(),
            "sysFlag": message.sys_flag, "flag": message.flag, "bodyCrc": message.body_crc,
            "storeSize": message.store_size, "text": text, "base64": Base64::encode_string(shown), "cut": cut,
        });
        fields.extend(more.as_object().cloned().unwrap_or_default());
    }
    whole
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedSpan {
    topic: String,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    size: Option<usize>,
    cursor: Option<String>,
}

/// Messages stored within a span of time, newest first, a page at a time.
pub(crate) async fn by_time(State(door): State<Shared>, Query(asked): Query<AskedSpan>) -> Answer {
    let topic = TopicName::parse(asked.topic.trim())?;
    let (from, to) = (asked.from_ms.unwrap_or(0), asked.to_ms.unwrap_or_else(|| door.wall_ms()));
    if from > to {
        return Err(Failure::bad("the span of time ends before it begins"));
    }
    let mut span = match &asked.cursor {
        Some(cursor) => Span::resume(&door.client, &topic, cursor, (from, to)).await?,
        None => Span::open(&door.client, &topic, (from, to)).await?,
    };
    let left = span.left();
    let size = asked.size.unwrap_or(PAGE_SIZE_MAX / 2).clamp(1, PAGE_SIZE_MAX);
    let page = span.older(&door.client, size).await?;
    Ok(Json(json!({ "left": left, "items": rows(&page), "cursor": span.cursor() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedKey {
    topic: String,
    key: String,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

/// Messages with a key.
pub(crate) async fn by_key(State(door): State<Shared>, Query(asked): Query<AskedKey>) -> Answer {
    let topic = TopicName::parse(asked.topic.trim())?;
    let between = (asked.from_ms.unwrap_or(0), asked.to_ms.unwrap_or(i64::MAX));
    let found = door.client.messages_by_key(&topic, asked.key.trim(), BY_KEY_MAX, between).await;
    let mut found = none_if_absent(found)?;
    found.sort_by_key(|message| std::cmp::Reverse(message.store_timestamp));
    Ok(Json(json!({ "items": rows(&found) })))
}

#[derive(Deserialize)]
pub(crate) struct AskedId {
    #[serde(default)]
    topic: String,
    id: String,
}

/// The whole message of an id of either kind.
pub(crate) async fn by_id(State(door): State<Shared>, Query(asked): Query<AskedId>) -> Answer {
    Ok(Json(whole(&find(&door.client, &asked).await?)))
}

/// Its body as a file.
pub(crate) async fn body(State(door): State<Shared>, Query(asked): Query<AskedId>) -> Answer<Response> {
    let message = find(&door.client, &asked).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"message-body.bin\""),
    ];
    Ok((headers, message.body).into_response())
}

async fn find(client: &Client, asked: &AskedId) -> Result<Message, Failure> {
    let id = asked.id.trim();
    if let Some(message) = at_place(client, id).await? {
        return Ok(message);
    }
    if asked.topic.trim().is_empty() {
        return Err(Failure::bad("the id names no place of this cluster; give the topic to look for a sender's id"));
    }
    Ok(client.message_by_unique_key(&TopicName::parse(asked.topic.trim())?, id).await?)
}

/// The message at the place that an id names. An id carries an address, and only addresses of this cluster are asked:
/// otherwise a page could make the console connect to anything.
pub(crate) async fn at_place(client: &Client, id: &str) -> Result<Option<Message>, Failure> {
    let Ok(place) = MessageId::parse(id) else { return Ok(None) };
    let host = place.host.to_string();
    let Some(node) = nodes(client).await?.into_iter().find(|node| node.address == host) else { return Ok(None) };
    let mut message = client.view_message(id).await?;
    message.broker_name = Some(node.name);
    Ok(Some(message))
}

/// What became of a message in every group of its topic.
pub(crate) async fn track(State(door): State<Shared>, Query(asked): Query<AskedId>) -> Answer {
    let message = find(&door.client, &asked).await?;
    let tracks: Vec<Value> = none_if_absent(door.client.track(&message).await)?
        .into_iter()
        .map(|track| json!({ "group": track.group, "state": track.kind.name(), "why": track.why }))
        .collect();
    Ok(Json(json!({ "items": tracks })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedResend {
    id: String,
    group: String,
    /// The client that is to consume it; the first of the group unless it is named.
    client: Option<String>,
}

/// Has a client of a group consume a message once more.
pub(crate) async fn resend(State(door): State<Shared>, Json(asked): Json<AskedResend>) -> Answer<Done> {
    let client = &door.client;
    let group = GroupName::parse(asked.group.trim())?;
    let message = at_place(client, asked.id.trim()).await?;
    let message = message.ok_or_else(|| Failure::absent("the id names no place of this cluster"))?;
    let to = match asked.client {
        Some(id) => id,
        None => {
            let members = client.consumer_connection(&group).await?.connection_set;
            let first = members.into_iter().next().map(|member| member.client_id);
            first.ok_or_else(|| Failure::absent(format!("nobody is connected for the group [{group}]")))?
        }
    };
    // The place that was asked: the address in the record is that of the day when it was stored.
    let place = MessageId::parse(asked.id.trim()).map_err(|why| Failure::bad(why.to_string()))?;
    let result = client.consume_directly(&place.host.to_string(), &group, &to, &message.offset_id()).await?;
    Ok(Done::noted(format!("{} to {to} of {group}", message.offset_id())).telling(json!({
        "client": to, "result": result.consume_result.name(), "remark": result.remark, "tookMs": result.spent_time_mills,
    })))
}
